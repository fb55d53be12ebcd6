// Lengths of interface names (uapi/linux/if.h).
#pragma once
#define IFNAMSIZ 16
#define IFALIASZ 256
