/* The FNV-1a hash of 1500 bytes. */
#include "bench.h"
SEC("syscall") int program(struct memory *m)
{
	u32 i;
	u64 hash = 0xcbf29ce484222325ULL;
	for (i = 0; i < 1500; i++)
		hash = (hash ^ m->bytes[i]) * 0x100000001b3ULL;
	return hash >> 32;
}
