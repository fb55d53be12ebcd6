/* A pool of numbers in a queue: taken at entry, given back at exit. */
#include "bench.h"

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 128);
	__type(value, u32);
} pool SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, u64);
	__type(value, u32);
} taken SEC(".maps");

SEC("tracepoint/raw_syscalls/sys_enter")
int take(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 number;

	if (bpf_map_pop_elem(&pool, &number))
		return 0;
	if (bpf_map_update_elem(&taken, &id, &number, BPF_NOEXIST))
		bpf_map_push_elem(&pool, &number, 0);
	return 0;
}

SEC("tracepoint/raw_syscalls/sys_exit")
int give(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 *number = bpf_map_lookup_elem(&taken, &id), back;

	if (!number)
		return 0;
	back = *number;
	if (bpf_map_delete_elem(&taken, &id))
		return 0;
	bpf_map_push_elem(&pool, &back, BPF_EXIST);
	return 0;
}
