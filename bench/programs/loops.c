/* Loops that the verifier follows: bounded, nested, with break and continue, over an array on the stack and a map. */
#include "bench.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64[32]);
} table SEC(".maps");

const volatile u32 rounds = 12;

SEC("raw_tracepoint/sys_enter")
int sort(struct bpf_raw_tracepoint_args *ctx)
{
	u32 zero = 0, small[8], i, j;
	u64 *values = bpf_map_lookup_elem(&table, &zero);
	u64 sum = 0, best = 0;

	if (!values)
		return 0;
	for (i = 0; i < 8; i++)
		small[i] = bpf_get_prandom_u32() & 0xff;
	for (i = 0; i < 7; i++) {
		for (j = 0; j < 7; j++) {
			if (small[j] > small[j + 1]) {
				u32 t = small[j];
				small[j] = small[j + 1];
				small[j + 1] = t;
			}
		}
	}
	for (i = 0; i < 32; i++) {
		if (i >= rounds)
			break;
		if (values[i] & 1)
			continue;
		values[i] = values[i] * 3 + small[i & 7];
		sum += values[i];
		if (values[i] > best)
			best = values[i];
	}
	i = 0;
	do {
		sum ^= sum << 13;
		sum ^= sum >> 7;
		sum ^= sum << 17;
	} while (++i < 10);
	while (best > 1000 && i < 30) {
		best /= 3;
		i++;
	}
	return sum + best + i;
}
