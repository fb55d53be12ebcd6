// Block requests (linux/blk_types.h, linux/blkdev.h): the operation is in the low 8 bits of the flags.
#pragma once
#include <linux/fs.h>
#define DISK_NAME_LEN 32
#define REQ_OP_BITS 8
#define REQ_OP_MASK ((1 << REQ_OP_BITS) - 1)
#define SECTOR_SHIFT 9
#define SECTOR_SIZE 512
