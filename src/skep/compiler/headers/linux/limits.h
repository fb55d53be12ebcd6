// Lengths of names and paths (uapi/linux/limits.h).
#pragma once
#ifndef NAME_MAX
#define NAME_MAX 255
#endif
#ifndef PATH_MAX
#define PATH_MAX 4096
#endif
