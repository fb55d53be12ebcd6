/* Data of write() to a pipe: a length that user space gives, bounded, and a buffer per CPU. */
#include "bench.h"
#define LIMIT 8192

struct data {
	u32 pid, length;
	u64 total;
	char bytes[LIMIT];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct data);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_write")
int enter(struct trace_event_raw_sys_enter *ctx)
{
	u32 zero = 0, size;
	long count = ctx->args[2];
	struct data *data = bpf_map_lookup_elem(&scratch, &zero);

	if (!data || count <= 0)
		return 0;
	size = count > LIMIT ? LIMIT : count;
	data->pid = bpf_get_current_pid_tgid() >> 32;
	data->length = size;
	data->total += count;
	if (bpf_probe_read_user(data->bytes, size, (void *)ctx->args[1]))
		return 0;
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, data, offsetof(struct data, bytes) + size);
	return 0;
}
