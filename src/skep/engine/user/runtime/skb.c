/* Helpers of programs with a struct __sk_buff: the packet's bytes, length and checksums (net/core/filter.c). */
#include "checksum.h"
#include "packet.h"

enum { RECOMPUTE = 1, INVALIDATE_HASH = 2, FIELD = 0xf, PSEUDO = 16, MANGLED_0 = 32, ENFORCE = 64, IPV6 = 128 };
enum { SHOT = 2, REDIRECT = 7, INGRESS = 1, LEN = 0, HASH = 17, FAR_BYTES = 0x7fffffff, MAC = 0, NET = 1 };

struct skb {
	u32 seen[SKB_SEEN / 4];
	struct packet packet;
};

ALWAYS struct packet *packet_of(u64 ctx)
{
	return &((struct skb *)ctx)->packet;
}

COLD u64 helper_skb_load_bytes(struct skep_env *env, u64 ctx, u64 offset, u64 to, u64 size, u64 e)
{
	u8 *part = packet_part(packet_of(ctx), (u32)offset, (u32)size);
	if ((u32)offset > FAR_BYTES || !part) {
		__builtin_memset((void *)to, 0, (u32)size);
		return FAILED(EFAULT);
	}
	__builtin_memmove((void *)to, part, (u32)size);
	return 0;
}

COLD u64 helper_skb_load_bytes_relative(struct skep_env *env, u64 ctx, u64 offset, u64 to, u64 size, u64 start)
{
	struct packet *packet = packet_of(ctx);
	u8 *from = (u32)start == MAC ? packet->before : packet->network;
	u64 room = packet->end - from;
	offset = (u32)offset;
	size = (u32)size;
	if (offset > FAR_OFFSET || (u32)start > NET || offset > room || size > room - offset) {
		__builtin_memset((void *)to, 0, size);
		return FAILED(EFAULT);
	}
	__builtin_memmove((void *)to, from + offset, size);
	return 0;
}

COLD u64 helper_skb_store_bytes(struct skep_env *env, u64 ctx, u64 offset, u64 from, u64 size, u64 flags)
{
	struct skb *skb = (struct skb *)ctx;
	u8 *part = packet_part(&skb->packet, (u32)offset, (u32)size);
	if (flags & ~(u64)(RECOMPUTE | INVALIDATE_HASH))
		return FAILED(EINVAL);
	if ((u32)offset > FAR_BYTES || !part)
		return FAILED(EFAULT);
	__builtin_memmove(part, (const void *)from, (u32)size);
	if (flags & INVALIDATE_HASH)
		skb->seen[HASH] = 0;
	return 0;
}

/* The difference that a field of `size` bytes makes; 0 says that the sizes and values are none. */
ALWAYS int difference_of(u64 size, u64 from, u64 to, u32 *difference)
{
	switch (size) {
	case 0:
		*difference = to;
		return !from;
	case 2:
		*difference = sum_add((u16)to, 0xffff & ~(u32)(u16)from);
		return 1;
	case 4:
		*difference = sum_add(to, ~(u32)from);
		return 1;
	}
	return 0;
}

ALWAYS u8 *field_of(u64 ctx, u64 offset)
{
	return (u32)offset > FAR_OFFSET || offset & 1 ? 0 : packet_part(packet_of(ctx), (u32)offset, 2);
}

COLD u64 helper_l3_csum_replace(struct skep_env *env, u64 ctx, u64 offset, u64 from, u64 to, u64 flags)
{
	u8 *place = field_of(ctx, offset);
	u32 difference;
	u16 field;
	if (flags & ~(u64)FIELD)
		return FAILED(EINVAL);
	if (!place)
		return FAILED(EFAULT);
	if (!difference_of(flags & FIELD, from, to, &difference))
		return FAILED(EINVAL);
	__builtin_memcpy(&field, place, 2);
	field = sum_field(field, difference);
	__builtin_memcpy(place, &field, 2);
	return 0;
}

COLD u64 helper_l4_csum_replace(struct skep_env *env, u64 ctx, u64 offset, u64 from, u64 to, u64 flags)
{
	u8 *place = field_of(ctx, offset);
	u32 difference;
	u16 field;
	if (flags & ~(u64)(FIELD | PSEUDO | MANGLED_0 | ENFORCE | IPV6))
		return FAILED(EINVAL);
	if (!place)
		return FAILED(EFAULT);
	__builtin_memcpy(&field, place, 2);
	if (flags & MANGLED_0 && !(flags & ENFORCE) && !field) /* UDP without a checksum */
		return 0;
	if (!difference_of(flags & FIELD, from, to, &difference))
		return FAILED(EINVAL);
	field = sum_field(field, difference);
	if (flags & MANGLED_0 && !field)
		field = 0xffff;
	__builtin_memcpy(place, &field, 2);
	return 0;
}

/* Nothing in memory here is a checksum that a device has computed: CHECKSUM_COMPLETE never holds. */
COLD u64 helper_csum_update(struct skep_env *env, u64 ctx, u64 sum, u64 c, u64 d, u64 e)
{
	return FAILED(ENOTSUPP);
}

COLD u64 helper_skb_pull_data(struct skep_env *env, u64 ctx, u64 size, u64 c, u64 d, u64 e)
{
	return (u32)size > packet_length(packet_of(ctx)) ? FAILED(ENOMEM) : 0;
}

COLD u64 helper_skb_change_tail(struct skep_env *env, u64 ctx, u64 size, u64 flags, u64 d, u64 e)
{
	struct skb *skb = (struct skb *)ctx;
	struct packet *packet = &skb->packet;
	s64 least = packet->network - packet->data, length = (u32)size;
	if (flags || length > packet->limit - packet->data || length < least)
		return FAILED(EINVAL);
	if (packet->data + length > packet->end)
		__builtin_memset(packet->end, 0, packet->data + length - packet->end);
	packet->end = packet->data + length;
	skb->seen[LEN] = length;
	return 0;
}

COLD u64 helper_skb_change_head(struct skep_env *env, u64 ctx, u64 room, u64 flags, u64 d, u64 e)
{
	struct skb *skb = (struct skb *)ctx;
	struct packet *packet = &skb->packet;
	if (flags || (u32)room > packet->data - packet->first)
		return FAILED(EINVAL);
	packet->data -= (u32)room;
	__builtin_memset(packet->data, 0, (u32)room);
	packet->before = packet->data;
	skb->seen[LEN] += room;
	return 0;
}

COLD u64 helper_set_hash(struct skep_env *env, u64 ctx, u64 hash, u64 c, u64 d, u64 e)
{
	((struct skb *)ctx)->seen[HASH] = hash;
	return 0;
}

COLD u64 helper_set_hash_invalid(struct skep_env *env, u64 ctx, u64 b, u64 c, u64 d, u64 e)
{
	((struct skb *)ctx)->seen[HASH] = 0;
	return 0;
}

/* A number that the addresses, the protocol and the ports decide; the kernel's own has a secret in it and differs at each boot. */
COLD u64 helper_get_hash_recalc(struct skep_env *env, u64 ctx, u64 b, u64 c, u64 d, u64 e)
{
	struct skb *skb = (struct skb *)ctx;
	struct packet *packet = &skb->packet;
	const u8 *from = packet->network;
	u64 room = packet->end - from, at, size = 0, begin = 0, ports = 0;
	u32 hash = 2166136261u; /* FNV-1a */
	u8 protocol = 0;
	if (skb->seen[HASH])
		return skb->seen[HASH];
	if (room >= 20 && from[0] >> 4 == 4) {
		begin = 12;
		size = 8;
		protocol = from[9];
		ports = (from[0] & 15) * 4;
	} else if (room >= 40 && from[0] >> 4 == 6) {
		begin = 8;
		size = 32;
		protocol = from[6];
		ports = 40;
	} else {
		return 0;
	}
	hash = (hash ^ protocol) * 16777619;
	for (at = begin; at < begin + size; at++)
		hash = (hash ^ from[at]) * 16777619;
	if ((protocol == 6 || protocol == 17) && room >= ports + 4)
		for (at = ports; at < ports + 4; at++)
			hash = (hash ^ from[at]) * 16777619;
	skb->seen[HASH] = hash ? hash : 1;
	return skb->seen[HASH];
}

/* bpf_redirect(): only the verdict; nothing is sent anywhere. */
COLD u64 helper_redirect(struct skep_env *env, u64 interface, u64 flags, u64 c, u64 d, u64 e)
{
	return flags & ~(u64)INGRESS ? SHOT : REDIRECT;
}
