/* The internet checksum of 1500 bytes. */
#include "bench.h"
SEC("syscall") int program(struct memory *m)
{
	u32 i;
	u64 sum = 0;
	for (i = 0; i < 750; i++)
		sum += ((u16 *)m->bytes)[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}
