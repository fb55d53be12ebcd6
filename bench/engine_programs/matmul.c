/* The product of two matrices of 24 by 24 words. */
#include "bench.h"
SEC("syscall") int program(struct memory *m)
{
	u32 *a = (u32 *)m->bytes, *b = a + 576, *c = b + 576;
	u32 i, j, k;
	for (i = 0; i < 24; i++)
		for (j = 0; j < 24; j++) {
			u32 sum = 0;
			for (k = 0; k < 24; k++)
				sum += a[i * 24 + k] * b[k * 24 + j];
			c[i * 24 + j] = sum;
		}
	return c[575];
}
