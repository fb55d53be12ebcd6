/* What every translated program needs: where memory may be touched, how a fault is told, how long a run may take. */
#include "env.h"

struct skep_timespec {
	long seconds;
	long nanoseconds;
};
int clock_gettime(int clock, struct skep_timespec *time);

#define CLOCK_MONOTONIC 1
#define ALLOWANCE (1 << 24) /* instructions until the next look at the clock: some milliseconds */

void skep_fault(struct skep_env *env, u64 insn, u64 address, u64 size, u64 fault)
{
	env->fault = fault;
	env->fault_insn = insn;
	env->fault_address = address;
	env->fault_size = size;
}

/* A new allowance, or 0 when the time is over. */
u64 skep_refuel(struct skep_env *env)
{
	struct skep_timespec time;
	u64 now;

	if (*(volatile u64 *)&env->stop)
		return 0;
	if (!env->time_limit)
		return ALLOWANCE;
	clock_gettime(CLOCK_MONOTONIC, &time);
	now = time.seconds * 1000000000ULL + time.nanoseconds;
	if (!env->deadline)
		env->deadline = now + env->time_limit;
	return now < env->deadline ? ALLOWANCE : 0;
}

static u64 inside(u64 base, u64 length, u64 address, u64 size)
{
	return size <= length && address - base <= length - size;
}

u64 skep_allowed(struct skep_env *env, u8 *ctx, u8 *stack, u64 stack_size, struct skep_regions *regions, u64 packet,
		 u64 packet_end, u64 address, u64 size)
{
	u64 i;

	if (!size)
		return 1;
	if (inside((u64)ctx, env->ctx_size, address, size) || inside((u64)stack, stack_size, address, size) ||
	    inside(packet, packet_end - packet, address, size))
		return 1;
	for (i = 0; i < regions->count; i++) {
		struct skep_region *row = &regions->rows[i];

		if (!inside(row->base, row->size, address, size))
			continue;
		if (!row->stride || inside(0, row->span, (address - row->base) % row->stride, size))
			return 1;
	}
	return 0;
}
