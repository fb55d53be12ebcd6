/* The mission's first program: how many programs each user has started. */
#include "bench.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u64);
	__type(value, u64);
} counter SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_execve")
int hello(void *ctx)
{
	u64 uid = bpf_get_current_uid_gid() & 0xFFFFFFFF;
	u64 count = 0;
	u64 *seen = bpf_map_lookup_elem(&counter, &uid);
	if (seen)
		count = *seen;
	count++;
	bpf_map_update_elem(&counter, &uid, &count, BPF_ANY);
	return 0;
}
