/* A small byte-code machine: a switch of twelve ways a step. */
#include "bench.h"
SEC("syscall") int program(struct memory *m)
{
	u32 i, a = 1, b = 7;
	for (i = 0; i < 4096; i++) {
		switch (m->bytes[i] % 12) {
		case 0: a += b; break;
		case 1: a -= b; break;
		case 2: a ^= b << 3; break;
		case 3: b += a >> 2; break;
		case 4: b ^= a; break;
		case 5: a *= 3; break;
		case 6: b *= 5; break;
		case 7: a |= 1; break;
		case 8: b &= 0xffffff; break;
		case 9: a = ~a; break;
		case 10: a += i; break;
		default: b -= i; break;
		}
	}
	return a + b;
}
