/* Counts 512 events in a hash map, entering keys that are new. */
#include "bench.h"
MAP(counts, HASH, 512)
SEC("syscall") int program(struct memory *m)
{
	u32 i, key;
	u64 *count, one = 1;
	for (i = 0; i < 512; i++) {
		key = m->bytes[i] * 16777619u;
		count = hash_at(counts, &key);
		if (count)
			*count += 1;
		else
			hash_put(counts, &key, &one);
	}
	return 0;
}
