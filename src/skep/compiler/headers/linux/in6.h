// Names of parts of struct in6_addr (uapi/linux/in6.h).
#pragma once
#include <linux/in.h>
#define s6_addr in6_u.u6_addr8
#define s6_addr16 in6_u.u6_addr16
#define s6_addr32 in6_u.u6_addr32
