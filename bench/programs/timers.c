/* A timer for each mark: its callback counts behind a spin lock and starts the timer again. */
#include "bench.h"

struct state {
	u32 ticks;
	struct bpf_spin_lock lock;
	struct bpf_timer timer;
	u64 last;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct state);
} states SEC(".maps");
const volatile u64 period = 1000000;
u64 fired, failed;

static int tick(void *map, u32 *key, struct state *state)
{
	fired++;
	bpf_spin_lock(&state->lock);
	state->ticks++;
	state->last = fired;
	bpf_spin_unlock(&state->lock);
	if (state->ticks < 5 && bpf_timer_start(&state->timer, period, 0))
		failed++;
	return 0;
}

SEC("tc")
int arm(struct __sk_buff *skb)
{
	u32 key = skb->mark & 63;
	struct state first = {}, *state;

	bpf_map_update_elem(&states, &key, &first, BPF_NOEXIST);
	state = bpf_map_lookup_elem(&states, &key);
	if (!state)
		return 0;
	if (bpf_timer_init(&state->timer, &states, 1) || bpf_timer_set_callback(&state->timer, tick) ||
	    bpf_timer_start(&state->timer, period, 0))
		failed++;
	return 0;
}
