/* Structs as values: compared, copied, nested, passed to inlined functions and returned by them. */
#include "bench.h"

struct inner {
	u32 a;
	u16 b;
	u8 c[10];
};
struct outer {
	struct inner first, second;
	u64 stamp;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct inner);
	__type(value, struct outer);
} objects SEC(".maps");

static __always_inline struct inner make(u32 a, u16 b)
{
	struct inner i = {.a = a, .b = b, .c = {1, 2, 3}};
	return i;
}

static __always_inline bool same(const struct inner *a, const struct inner *b)
{
	return !__builtin_memcmp(a, b, sizeof(*a));
}

SEC("raw_tracepoint/sys_enter")
int keep(struct bpf_raw_tracepoint_args *ctx)
{
	struct inner key = make(ctx->args[0], ctx->args[1]);
	struct outer fresh = {}, *found = bpf_map_lookup_elem(&objects, &key);

	if (found) {
		if (same(&found->first, &found->second) || found->first.a == key.a) {
			found->second = key;
			found->stamp++;
			return 1;
		}
		found->first = found->second;
		memset(&found->second, 0, sizeof(found->second));
		return 2;
	}
	fresh.first = key;
	fresh.second = make(key.a + 1, key.b);
	fresh.stamp = bpf_ktime_get_ns();
	bpf_map_update_elem(&objects, &key, &fresh, BPF_ANY);
	return 3;
}
