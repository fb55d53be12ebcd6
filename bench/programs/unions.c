/* One value, several views: a union of numbers, bytes and structs. */
#include "bench.h"

union value {
	u64 whole;
	struct {
		u32 low, high;
	};
	u8 bytes[8];
	struct {
		u16 tag;
		s16 delta;
		union {
			u32 number;
			u16 pair[2];
		};
	} parts;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, union value);
} values SEC(".maps");

SEC("raw_tracepoint/sys_exit")
int view(struct bpf_raw_tracepoint_args *ctx)
{
	union value v, *slot;
	u32 key;

	v.whole = ctx->args[1];
	v.bytes[7] ^= v.bytes[0];
	v.parts.delta -= v.parts.tag;
	v.parts.pair[1] += 7;
	key = v.bytes[1];
	slot = bpf_map_lookup_elem(&values, &key);
	if (!slot)
		return 0;
	if (slot->low > v.high)
		slot->parts = v.parts;
	else
		*slot = v;
	return slot->parts.number > 100 ? slot->parts.delta : slot->bytes[3];
}
