#pragma once
#include <net/inet_sock.h>
#define udp_sk(sk) ((struct udp_sock *)(sk))
