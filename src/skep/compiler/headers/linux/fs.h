// File modes and types (linux/fs.h, uapi/linux/stat.h, asm-generic/fcntl.h).
#pragma once
#include <linux/dcache.h>
#include <linux/limits.h>
#include <linux/stat.h>
#include <linux/fcntl.h>
#define FMODE_READ 0x1
#define FMODE_WRITE 0x2
#define FMODE_CREATED 0x100000
#define READ 0
#define WRITE 1
#define MAY_EXEC 1
#define MAY_WRITE 2
#define MAY_READ 4
