/* Counts primes below 3000 by trial division. */
#include "bench.h"
SEC("syscall") int program(struct memory *m)
{
	u32 n, d, found = 0;
	for (n = 2; n < 3000; n++) {
		for (d = 2; d * d <= n; d++)
			if (n % d == 0)
				break;
		if (d * d > n)
			found++;
	}
	return found;
}
