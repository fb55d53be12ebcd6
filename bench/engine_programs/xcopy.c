/* Copies 1500 bytes, changing each. */
#include "bench.h"
SEC("syscall") int program(struct memory *m)
{
	u32 i;
	for (i = 0; i < 1500; i++)
		m->bytes[4096 + i] = m->bytes[i] ^ 0x5a;
	return m->bytes[4096 + 1499];
}
