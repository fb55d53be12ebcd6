/* bpf_csum_diff(): what a checksum changes by when bytes are replaced by others (net/core/filter.c). */
#include "checksum.h"

COLD u64 helper_csum_diff(struct skep_env *env, u64 from, u64 from_size, u64 to, u64 to_size, u64 seed)
{
	u32 sum = seed;
	from_size = (u32)from_size;
	to_size = (u32)to_size;
	if (from_size && to_size)
		sum = sum_add(sum_of((const u8 *)to, to_size, seed), ~sum_of((const u8 *)from, from_size, 0));
	else if (to_size)
		sum = sum_of((const u8 *)to, to_size, seed);
	else if (from_size)
		sum = ~sum_of((const u8 *)from, from_size, ~(u32)seed);
	return sum_to_16(sum); /* folded, and of any size, since Linux 6.13 */
}
