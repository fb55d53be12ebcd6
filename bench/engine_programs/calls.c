/* Two calls of functions for each of 1024 bytes. */
#include "bench.h"
static NOINLINE u32 blend(u32 a, u32 b)
{
	return (a ^ b) * 16777619;
}
static NOINLINE u32 turn(u32 a)
{
	return a << 5 | a >> 27;
}
SEC("syscall") int program(struct memory *m)
{
	u32 i, hash = 2166136261u;
	for (i = 0; i < 1024; i++)
		hash = turn(blend(hash, m->bytes[i]));
	return hash;
}
