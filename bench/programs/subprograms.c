/* Functions that stay functions: static ones, a global one, with small integers and pointers as arguments. */
#include "bench.h"

struct point {
	s32 x, y;
};
struct point track[16];
u64 distance = 0;

static __noinline u32 magnitude(s32 v)
{
	return v < 0 ? -v : v;
}

static __noinline u8 narrow(u16 a, s8 b, bool flag)
{
	return flag ? (a >> 4) + b : a - b;
}

static __noinline int move(struct point *p, s16 dx, s16 dy)
{
	p->x += dx;
	p->y += dy;
	return p->x > 1000 || p->y > 1000;
}

__noinline int classify(u64 value, int limit)
{
	if (value > (u64)limit * 100)
		return 3;
	if (value > limit)
		return 2;
	return value ? 1 : 0;
}

SEC("raw_tracepoint/sys_enter")
int walk(struct bpf_raw_tracepoint_args *ctx)
{
	struct point here = {.x = ctx->args[0], .y = ctx->args[1]};
	u32 i = bpf_get_smp_processor_id() & 15;
	s32 dx = here.x - track[i].x, dy = here.y - track[i].y;

	distance += magnitude(dx) + magnitude(dy);
	if (move(&here, dx, dy))
		here.x = narrow(here.x, here.y, dx > dy);
	track[i] = here;
	return classify(distance, 500);
}
