// The TCP view of a socket and of a packet's control block (linux/tcp.h, net/tcp.h).
#pragma once
#include <net/inet_connection_sock.h>
#define tcp_sk(sk) ((struct tcp_sock *)(sk))
#define tcp_hdr(skb) ((struct tcphdr *)((skb)->head + (skb)->transport_header))
#define TCP_SKB_CB(skb) ((struct tcp_skb_cb *)&((skb)->cb[0]))
