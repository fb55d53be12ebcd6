/* A lock between the thread that runs programs and Python's threads; held for a few instructions only. */
#ifndef SKEP_LOCK_H
#define SKEP_LOCK_H

#include "env.h"

#define ALWAYS __attribute__((always_inline)) static inline
#define NEVER __attribute__((noinline)) static
/* What programs call is no static function: the engine takes it out of the file by its name. */
#define HOT __attribute__((always_inline))
#define COLD __attribute__((noinline))

enum { BPF_ANY, BPF_NOEXIST, BPF_EXIST, BPF_F_LOCK = 4 };
enum { ENOENT = 2, E2BIG = 7, EAGAIN = 11, EEXIST = 17, EINVAL = 22, ENOSPC = 28 };
#define FAILED(number) ((u64)-(s64)(number))

ALWAYS void pause_a_little(void)
{
	__asm__ volatile("pause" ::: "memory");
}

ALWAYS void take_lock(u32 *lock)
{
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(lock, __ATOMIC_RELAXED))
			pause_a_little();
}

ALWAYS void give_lock(u32 *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

#endif
