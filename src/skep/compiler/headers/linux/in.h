// Protocol numbers are enumerators in BTF; these are macros in the kernel (uapi/linux/in.h, uapi/linux/in6.h).
#pragma once
#include <linux/socket.h>
#define IPPROTO_ICMPV6 58
#define INADDR_ANY 0
#define INADDR_LOOPBACK 0x7f000001
