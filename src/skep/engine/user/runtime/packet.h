/* The packet of an XDP or socket buffer context, behind the fields that programs see (facts.py: XDP, SKB). */
#ifndef SKEP_PACKET_H
#define SKEP_PACKET_H

#include "lock.h"

enum { EACCES = 13, ENOMEM = 12, EFAULT = 14, ENOTSUPP = 524, ETHERNET = 14, FAR_OFFSET = 0xffff };
enum { XDP_SEEN = 24, SKB_SEEN = 192 }; /* bytes of struct xdp_md and struct __sk_buff */

/* test_run.py makes it and keeps the memory from `first` to `limit` while the program runs. */
struct packet {
	u8 *data;
	u8 *end;
	u8 *before; /* XDP: the metadata, which ends at data; socket buffer: the mac header */
	u8 *network;
	u8 *first;
	u8 *limit;
};

ALWAYS u64 packet_length(const struct packet *packet)
{
	return packet->end - packet->data;
}

/* `size` bytes at an offset; 0 when they are not all in the packet. */
ALWAYS u8 *packet_part(const struct packet *packet, u64 offset, u64 size)
{
	u64 length = packet_length(packet);
	return offset <= length && size <= length - offset ? packet->data + offset : 0;
}

#endif
