/* How long tasks wait for a CPU: sched_wakeup to sched_switch, an LRU map of starts, histogram per state. */
#include "bench.h"
#define SLOTS 26

struct hist {
	u32 slots[SLOTS];
	char comm[16];
};

const volatile bool per_process = false;
const volatile int wanted = 0;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, u64);
} start SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct hist);
} hists SEC(".maps");

static struct hist zero;

static __always_inline int enqueue(u32 tgid, u32 pid)
{
	u64 ts;

	if (!pid)
		return 0;
	if (wanted && wanted != tgid)
		return 0;
	ts = bpf_ktime_get_ns();
	bpf_map_update_elem(&start, &pid, &ts, BPF_ANY);
	return 0;
}

static __always_inline u32 slot_of(u64 v)
{
	u32 slot = 0;
	int i;

	for (i = 5; i >= 0; i--) {
		if (v >> (1 << i)) {
			v >>= 1 << i;
			slot |= 1 << i;
		}
	}
	return slot;
}

SEC("tracepoint/sched/sched_switch")
int on_switch(struct trace_event_raw_sched_switch *ctx)
{
	u32 key = -1, pid = ctx->next_pid;
	struct hist *hist;
	u64 *ts, slot;
	s64 delta;

	if (ctx->prev_state == 0)
		enqueue(ctx->prev_pid, ctx->prev_pid);
	ts = bpf_map_lookup_elem(&start, &pid);
	if (!ts)
		return 0;
	delta = bpf_ktime_get_ns() - *ts;
	if (delta < 0)
		goto done;
	if (per_process)
		key = pid;
	hist = bpf_map_lookup_elem(&hists, &key);
	if (!hist) {
		bpf_map_update_elem(&hists, &key, &zero, BPF_NOEXIST);
		hist = bpf_map_lookup_elem(&hists, &key);
		if (!hist)
			goto done;
		memcpy(hist->comm, ctx->next_comm, sizeof(hist->comm));
	}
	slot = slot_of(delta / 1000);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	__sync_fetch_and_add(&hist->slots[slot], 1);
done:
	bpf_map_delete_elem(&start, &pid);
	return 0;
}
