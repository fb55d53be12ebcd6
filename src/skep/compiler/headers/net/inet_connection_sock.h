#pragma once
#include <net/inet_sock.h>
#define inet_csk(sk) ((struct inet_connection_sock *)(sk))
