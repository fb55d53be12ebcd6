/* Latency of block requests per disk: a start map, a histogram in the value, linear index. */
#include "bench.h"
#define MAX_SLOTS 27

const volatile bool in_ms = false;
const volatile bool per_disk = true;

struct key {
	u32 dev;
	u64 sector;
};
struct hist {
	u32 slots[MAX_SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct key);
	__type(value, u64);
} start SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct hist);
} hists SEC(".maps");

static struct hist initial;

static __always_inline u64 log2(u32 v)
{
	u32 shift, r;

	r = (v > 0xFFFF) << 4;
	v >>= r;
	shift = (v > 0xFF) << 3;
	v >>= shift;
	r |= shift;
	shift = (v > 0xF) << 2;
	v >>= shift;
	r |= shift;
	shift = (v > 0x3) << 1;
	v >>= shift;
	r |= shift;
	r |= (v >> 1);
	return r;
}

static __always_inline u64 log2l(u64 v)
{
	u32 hi = v >> 32;
	return hi ? log2(hi) + 32 : log2(v);
}

SEC("tracepoint/block/block_rq_issue")
int issue(struct trace_event_raw_block_rq_completion *ctx)
{
	struct key key = {.dev = ctx->dev, .sector = ctx->sector};
	u64 ts = bpf_ktime_get_ns();
	bpf_map_update_elem(&start, &key, &ts, BPF_ANY);
	return 0;
}

SEC("tracepoint/block/block_rq_complete")
int complete(struct trace_event_raw_block_rq_completion *ctx)
{
	struct key key = {.dev = ctx->dev, .sector = ctx->sector};
	u32 disk = 0;
	u64 *ts, slot;
	struct hist *hist;
	s64 delta;

	ts = bpf_map_lookup_elem(&start, &key);
	if (!ts)
		return 0;
	delta = (s64)(bpf_ktime_get_ns() - *ts);
	if (delta < 0)
		goto cleanup;
	if (per_disk)
		disk = ctx->dev;
	hist = bpf_map_lookup_elem(&hists, &disk);
	if (!hist) {
		bpf_map_update_elem(&hists, &disk, &initial, 0);
		hist = bpf_map_lookup_elem(&hists, &disk);
		if (!hist)
			goto cleanup;
	}
	if (in_ms)
		delta /= 1000000U;
	else
		delta /= 1000U;
	slot = log2l(delta);
	if (slot >= MAX_SLOTS)
		slot = MAX_SLOTS - 1;
	__sync_fetch_and_add(&hist->slots[slot], 1);
cleanup:
	bpf_map_delete_elem(&start, &key);
	return 0;
}
