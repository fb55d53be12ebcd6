/* Configuration that is read-only, state that is not, tables, and structs in global data. */
#include "bench.h"

struct config {
	u32 sample_every;
	u16 flags;
	u8 verbose;
	bool enabled;
	s32 offsets[4];
};
const volatile struct config config = {.sample_every = 10, .enabled = true, .offsets = {1, -2, 3, -4}};
static const u8 weights[8] = {1, 2, 4, 8, 16, 32, 64, 128};
static u64 seen;
u64 buckets[8];
u32 errors[4] = {1, 2, 3, 4};
struct {
	u64 last;
	u32 cpu;
	char comm[16];
} state;

SEC("raw_tracepoint/sys_exit")
int sample(struct bpf_raw_tracepoint_args *ctx)
{
	long ret = ctx->args[1];
	u32 i;

	if (!config.enabled || ++seen % config.sample_every)
		return 0;
	if (ret < 0) {
		i = -ret & 3;
		errors[i] += config.offsets[i];
		return 0;
	}
	i = ret & 7;
	buckets[i] += weights[i] * (config.flags & 1 ? 2 : 1);
	if (config.verbose > 2) {
		state.last = bpf_ktime_get_ns();
		state.cpu = bpf_get_smp_processor_id();
		bpf_get_current_comm(state.comm, sizeof(state.comm));
	}
	return buckets[0] > buckets[7];
}
