/* Bit-fields of several widths in a map value: read, written, counted, signed ones too. */
#include "bench.h"

struct state {
	u32 seen : 1, kind : 3, level : 12, rest : 16;
	s32 balance : 10, trend : 4;
	u64 stamp : 48, cpu : 16;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, u32);
	__type(value, struct state);
} states SEC(".maps");

SEC("raw_tracepoint/sys_enter")
int update(struct bpf_raw_tracepoint_args *ctx)
{
	u32 key = bpf_get_current_pid_tgid() >> 32;
	struct state *state = bpf_map_lookup_elem(&states, &key);
	struct state first = {.seen = 1, .kind = 5, .balance = -3};

	if (!state) {
		first.cpu = bpf_get_smp_processor_id();
		bpf_map_update_elem(&states, &key, &first, BPF_NOEXIST);
		return 0;
	}
	state->level++;
	state->kind = ctx->args[1] & 7;
	if (state->balance < 0)
		state->trend--;
	else
		state->trend = state->balance / 8;
	state->balance += state->kind - 3;
	state->stamp = bpf_ktime_get_ns() >> 16;
	state->rest = state->level * 3 + state->seen;
	return state->level;
}
