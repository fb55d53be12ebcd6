/* Counters without contention: a struct per CPU, updated under several conditions, with minimum, maximum and mean. */
#include "bench.h"

struct stats {
	u64 count, errors, bytes;
	s64 smallest, largest;
	u32 last_pid;
	u16 streak;
	u8 level;
	bool dirty;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 512);
	__type(key, u32);
	__type(value, struct stats);
} stats SEC(".maps");

SEC("tracepoint/raw_syscalls/sys_exit")
int result(struct trace_event_raw_sys_exit *ctx)
{
	u32 key = ctx->id;
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	s64 ret = ctx->ret;
	struct stats *s;

	s = bpf_map_lookup_elem(&stats, &key);
	if (!s)
		return 0;
	s->count++;
	if (ret < 0) {
		s->errors++;
		s->streak = 0;
	} else {
		s->bytes += ret;
		s->streak++;
	}
	if (!s->dirty || ret < s->smallest)
		s->smallest = ret;
	if (!s->dirty || ret > s->largest)
		s->largest = ret;
	s->dirty = s->last_pid != pid || s->errors > 3;
	s->last_pid = pid;
	s->level = s->bytes / (s->count + 1) > 4096 ? s->level + 1 : s->level / 2;
	return 0;
}
