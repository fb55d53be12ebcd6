/* A lock between the process that runs programs at events and Python's threads; held for a few instructions only.
 *
 * It holds the pid of who has it, or THREAD. A process that was killed in between never gives it back: who waits for long asks
 * whether it is there, and takes the lock over. What is guarded is such that each of its writes leaves it fit for use.
 */
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

enum { THREAD = 1, OFTEN = 1 << 16, ESRCH = 3 };

extern int kill(int pid, int signal);
extern int *__errno_location(void);

/* Wait for a lock that another one has. */
NEVER void wait_for_lock(u32 *lock, u32 mine)
{
	u32 waited = 0, has;
	for (;;) {
		has = 0;
		if (__atomic_compare_exchange_n(lock, &has, mine, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
		pause_a_little();
		if (++waited % OFTEN == 0 && has != THREAD && kill(has, 0) && *__errno_location() == ESRCH &&
		    __atomic_compare_exchange_n(lock, &has, mine, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
	}
}

/* How a run's locks name it; without an environment it is Python that takes them. */
ALWAYS u32 holder_of(const struct skep_env *env)
{
	return env && env->holder ? env->holder : THREAD;
}

ALWAYS void take_lock(u32 *lock, u32 mine)
{
	u32 free = 0;
	if (__builtin_expect(!__atomic_compare_exchange_n(lock, &free, mine, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED), 0))
		wait_for_lock(lock, mine);
}

ALWAYS void give_lock(u32 *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

#endif
