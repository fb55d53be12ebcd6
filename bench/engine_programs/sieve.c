/* The sieve of Eratosthenes over 32 KiB of context. */
#include "bench.h"
SEC("syscall") int program(struct memory *m)
{
	u32 i, j, found = 0;
	for (i = 0; i < 32768; i++)
		m->bytes[i] = 1;
	for (i = 2; i < 32768; i++) {
		if (!m->bytes[i])
			continue;
		found++;
		for (j = i * 2; j < 32768; j += i)
			m->bytes[j] = 0;
	}
	return found;
}
