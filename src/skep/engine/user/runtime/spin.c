/* bpf_spin_lock(): a word in a map's value. Python takes no such locks; a run that waits too long ends as one that runs too long. */
#include "lock.h"

u64 skep_refuel(struct skep_env *env);

enum { PATIENCE = 1 << 14 };

/* 1: the time is over. */
COLD u64 helper_spin_lock(struct skep_env *env, u64 lock, u64 b, u64 c, u64 d, u64 e)
{
	u32 waited = 0;
	while (__atomic_exchange_n((u32 *)lock, 1, __ATOMIC_ACQUIRE)) {
		pause_a_little();
		if (++waited % PATIENCE == 0 && !skep_refuel(env))
			return 1;
	}
	return 0;
}

COLD u64 helper_spin_unlock(struct skep_env *env, u64 lock, u64 b, u64 c, u64 d, u64 e)
{
	give_lock((u32 *)lock);
	return 0;
}
