// Task states and flags (linux/sched.h).
#pragma once
#include <linux/list.h>
#include <linux/errno.h>
#define TASK_RUNNING 0
#define TASK_INTERRUPTIBLE 1
#define TASK_UNINTERRUPTIBLE 2
#define TASK_STOPPED 4
#define TASK_TRACED 8
#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000
#define CLONE_THREAD 0x00010000
#define CLONE_VM 0x00000100
