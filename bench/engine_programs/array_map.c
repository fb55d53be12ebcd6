/* Counts 512 events in an array map. */
#include "bench.h"
MAP(counts, ARRAY, 256)
SEC("syscall") int program(struct memory *m)
{
	u32 i, key;
	u64 *count;
	for (i = 0; i < 512; i++) {
		key = m->bytes[i];
		count = array_at(counts, &key);
		if (count)
			*count += 1;
	}
	return 0;
}
