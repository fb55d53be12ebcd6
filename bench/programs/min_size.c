/* A length bounded by min() of size_t values: the verifier must see the bound in the register that the helper gets. */
#include "bench.h"
struct data { u32 pid, length; char bytes[8192]; };
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, struct data); } scratch SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 100); __type(key, u32); __type(value, u64); } bufs SEC(".maps");

SEC("tracepoint/syscalls/sys_exit_read")
int leave(struct trace_event_raw_sys_exit *ctx)
{
	u32 zero = 0;
	int len = ctx->ret;
	u32 pid = bpf_get_current_pid_tgid();
	if (len <= 0)
		return 0;
	u64 *buf = bpf_map_lookup_elem(&bufs, &pid);
	struct data *data = bpf_map_lookup_elem(&scratch, &zero);
	if (!data || !buf)
		return 0;
	data->length = len;
	u32 n = min((size_t)8192, (size_t)len);
	if (bpf_probe_read_user(data->bytes, n, (void *)*buf))
		return 0;
	return n;
}
