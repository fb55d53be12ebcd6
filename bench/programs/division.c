/* Division as BPF below v4 has it: unsigned, and signed numbers by their magnitudes or by shifts. */
#include "bench.h"

s64 quotients[8];
s32 remainders[6];

static __always_inline s64 divide_signed(s64 v, u32 by)
{
	return v < 0 ? -(s64)((u64)-v / by) : (s64)((u64)v / by);
}

static __always_inline s32 round_to_zero(s32 v, u32 bits)
{
	return (v + (v < 0 ? (1 << bits) - 1 : 0)) >> bits;
}

SEC("raw_tracepoint/sys_exit")
int divide(struct bpf_raw_tracepoint_args *ctx)
{
	s64 v = ctx->args[1];
	s32 w = (s32)v;
	u32 d = ctx->args[0];

	quotients[0] = divide_signed(v, 1000);
	quotients[1] = divide_signed(w, 10);
	quotients[2] = (v < 0 ? 0 : (u64)v) / 10;
	quotients[3] = round_to_zero(w, 4);
	quotients[4] = v >> 16;
	quotients[5] = (u64)v / 1024;
	quotients[6] = d ? (u64)v / d : 0;
	quotients[7] = (u64)v / 3600000000000ULL;
	remainders[0] = v & 7;
	remainders[1] = (u32)w % 2;
	remainders[2] = (u32)w % 4096;
	remainders[3] = (u32)w % 10;
	remainders[4] = (u64)v % 1000000;
	remainders[5] = d ? (u32)w % d : -1;
	return 0;
}
