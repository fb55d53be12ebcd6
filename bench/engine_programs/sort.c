/* Sorts 32 words on the stack. */
#include "bench.h"
SEC("syscall") int program(struct memory *m)
{
	u32 words[32], i, j;
	for (i = 0; i < 32; i++)
		words[i] = ((u32 *)m->bytes)[i];
	for (i = 1; i < 32; i++) {
		u32 word = words[i];
		for (j = i; j > 0 && words[(j - 1) & 31] > word; j--)
			words[j & 31] = words[(j - 1) & 31];
		words[j & 31] = word;
	}
	return words[3] ^ words[30];
}
