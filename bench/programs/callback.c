/* bpf_loop over a table, with a callback and its context. */
#include "bench.h"
#define ENTRIES 256

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ENTRIES);
	__type(key, u32);
	__type(value, u64);
} ages SEC(".maps");

struct context {
	u64 now, oldest;
	u32 index, live;
};

static int visit(u32 index, struct context *c)
{
	u64 *age = bpf_map_lookup_elem(&ages, &index);

	if (!age)
		return 1;
	if (!*age)
		return 0;
	c->live++;
	if (c->now - *age > c->oldest) {
		c->oldest = c->now - *age;
		c->index = index;
	}
	return 0;
}

SEC("raw_tracepoint/sched_switch")
int scan(void *ctx)
{
	struct context c = {.now = bpf_ktime_get_ns(), .index = -1};

	bpf_loop(ENTRIES, visit, &c, 0);
	if (c.index < ENTRIES && c.live > 200)
		bpf_map_update_elem(&ages, &c.index, &c.now, BPF_EXIST);
	return c.live;
}
