/* Numbers of all sizes mixed: widening, narrowing, signs, shifts, comparisons, minimum and maximum. */
#include "bench.h"

u64 out64[8];
u32 out32[8];
s16 out16[8];

SEC("raw_tracepoint/sys_enter")
int mix(struct bpf_raw_tracepoint_args *ctx)
{
	u64 a = ctx->args[0], b = ctx->args[1];
	u32 lo = a, hi = a >> 32;
	s32 sa = (s32)b;
	s16 small = (s16)(b >> 16);
	u8 byte = a >> 8;

	out64[0] = (u64)lo * hi;
	out64[1] = (s64)sa * small;
	out64[2] = a + sa;
	out64[3] = lo < hi ? a - hi : b - lo;
	out64[4] = (a << (b & 63)) | (a >> (-b & 63));
	out64[5] = max(a, b) - min(a, b);
	out64[6] = sa < 0 ? (u64)-sa : sa;
	out64[7] = (u64)byte << 56 | (u64)small << 8;
	out32[0] = lo + byte;
	out32[1] = hi * 2654435761U >> 20;
	out32[2] = sa >> 3;
	out32[3] = (u32)sa >> 3;
	out32[4] = lo % 1000;
	out32[5] = hi / 7;
	out32[6] = byte ? lo / byte : 0;
	out32[7] = (lo == hi) + 2 * (sa > small) + 4 * (a != b);
	out16[0] = small + byte;
	out16[1] = small * 3;
	out16[2] = -small;
	out16[3] = sa;
	out16[4] = small >> 1;
	out16[5] = (u16)small >> 1;
	out16[6] = ~small;
	out16[7] = !small;
	return (int)(a ^ b) < small;
}
