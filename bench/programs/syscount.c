/* System calls by process: count and time, with a filter set before loading. */
#include "bench.h"

const volatile int filter_pid = 0;
const volatile bool failed_only = false;
const volatile bool by_process = true;

struct record {
	u64 count;
	u64 total_ns;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, u64);
} start SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct record);
} data SEC(".maps");

static __always_inline void save_comm(struct record *record)
{
	if (by_process)
		bpf_get_current_comm(record->comm, sizeof(record->comm));
}

SEC("tracepoint/raw_syscalls/sys_enter")
int sys_enter(struct trace_event_raw_sys_enter *args)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 pid = id >> 32;
	u32 tid = id;
	u64 ts;

	if (filter_pid && pid != filter_pid)
		return 0;
	ts = bpf_ktime_get_ns();
	bpf_map_update_elem(&start, &tid, &ts, 0);
	return 0;
}

SEC("tracepoint/raw_syscalls/sys_exit")
int sys_exit(struct trace_event_raw_sys_exit *args)
{
	static const struct record zero;
	u64 id = bpf_get_current_pid_tgid();
	u32 pid = id >> 32;
	u32 tid = id;
	u64 *start_ts, lat = 0;
	struct record *val;
	u32 key;

	if (filter_pid && pid != filter_pid)
		return 0;
	if (failed_only && args->ret >= 0)
		return 0;
	start_ts = bpf_map_lookup_elem(&start, &tid);
	if (!start_ts)
		return 0;
	lat = bpf_ktime_get_ns() - *start_ts;
	key = by_process ? pid : args->id;
	val = bpf_map_lookup_elem(&data, &key);
	if (!val) {
		bpf_map_update_elem(&data, &key, &zero, BPF_NOEXIST);
		val = bpf_map_lookup_elem(&data, &key);
		if (!val)
			return 0;
	}
	__sync_fetch_and_add(&val->count, 1);
	__sync_fetch_and_add(&val->total_ns, lat);
	save_comm(val);
	return 0;
}
