/* Samples of stacks by process, kernel and user. */
#include "bench.h"

struct key {
	u32 pid;
	int user_stack, kernel_stack;
	char name[16];
};

const volatile bool kernel_only = false;
const volatile bool user_only = false;
const volatile int wanted = -1;

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024);
	__uint(key_size, sizeof(u32));
	__uint(value_size, 127 * sizeof(u64));
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct key);
	__type(value, u64);
} counts SEC(".maps");

SEC("perf_event")
int sample(struct bpf_perf_event_data *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct key key = {.pid = id >> 32};
	static const u64 zero;
	u64 *count;

	if ((u32)id == 0)
		return 0;
	if (wanted != -1 && wanted != key.pid)
		return 0;
	bpf_get_current_comm(&key.name, sizeof(key.name));
	key.kernel_stack = user_only ? -1 : bpf_get_stackid(ctx, &stacks, 0);
	key.user_stack = kernel_only ? -1 : bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	if (key.kernel_stack < 0 && ctx->regs.ip >> 63)
		key.kernel_stack = -(int)(ctx->sample_period & 0xff);
	count = bpf_map_lookup_elem(&counts, &key);
	if (!count) {
		bpf_map_update_elem(&counts, &key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&counts, &key);
	}
	if (count)
		(*count)++;
	return 0;
}
