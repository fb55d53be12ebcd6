/* Helpers about time, chance and the current task, and the lines that programs print. */
#include "env.h"

struct skep_timespec {
	long seconds;
	long nanoseconds;
};
int clock_gettime(int clock, struct skep_timespec *time);

#define CLOCK_MONOTONIC 1

u64 helper_ktime_get_ns(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	struct skep_timespec time;

	if (env->task->time)
		return env->task->time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.seconds * 1000000000ULL + time.nanoseconds;
}

u64 helper_get_prandom_u32(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	u64 x = env->random; /* xorshift64*; the state is never 0 */

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	env->random = x;
	return (x * 0x2545f4914f6cdd1dULL) >> 32;
}

u64 helper_get_smp_processor_id(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return env->task->cpu;
}

u64 helper_get_current_pid_tgid(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return (u64)env->task->tgid << 32 | env->task->pid;
}

u64 helper_get_current_uid_gid(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return (u64)env->task->gid << 32 | env->task->uid;
}

u64 helper_get_current_comm(struct skep_env *env, u64 buffer, u64 size, u64 c, u64 d, u64 e)
{
	char *to = (char *)buffer;
	u64 i;

	if (!size)
		return -22;
	for (i = 0; i < size; i++)
		to[i] = i < 15 && i < size - 1 ? env->task->comm[i] : 0;
	return 0;
}
