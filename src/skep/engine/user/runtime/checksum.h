/* One's complement sums of the Internet checksum (RFC 1071, RFC 1624). */
#ifndef SKEP_CHECKSUM_H
#define SKEP_CHECKSUM_H

#include "lock.h"

ALWAYS u32 sum_fold(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

ALWAYS u32 sum_add(u32 a, u32 b)
{
	return sum_fold((u64)a + b);
}

ALWAYS u16 sum_to_16(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* Of words of 4 bytes, the last one filled up with zeros. */
ALWAYS u32 sum_of(const u8 *from, u64 size, u32 seed)
{
	u64 sum = seed, at;
	u32 word;
	for (at = 0; at + 4 <= size; at += 4) {
		__builtin_memcpy(&word, from + at, 4);
		sum += word;
	}
	for (word = 0; size > at; size--)
		word = word << 8 | from[size - 1];
	return sum_fold(sum + word);
}

/* A checksum field after `difference` was added to what it covers. */
ALWAYS u16 sum_field(u16 field, u32 difference)
{
	return ~sum_to_16(sum_add((u16)~field, difference));
}

#endif
