/* Helpers of XDP programs: the packet's bytes, its begin and end moved within the memory around it (net/core/filter.c). */
#include "packet.h"

enum { FRAME = 40 /* struct xdp_frame is kept in the headroom */, MOST_META = 255, REDIRECT = 4, ABORTED = 0 };

struct xdp {
	u32 seen[XDP_SEEN / 4];
	struct packet packet;
};

ALWAYS struct packet *packet_of(u64 ctx)
{
	return &((struct xdp *)ctx)->packet;
}

COLD u64 helper_xdp_adjust_head(struct skep_env *env, u64 ctx, u64 delta, u64 c, u64 d, u64 e)
{
	struct packet *packet = packet_of(ctx);
	u64 meta = packet->data - packet->before;
	s64 by = (s32)delta;
	if (packet->data - packet->first + by < (s64)(FRAME + meta) || by > packet->end - packet->data - ETHERNET)
		return FAILED(EINVAL);
	if (meta)
		__builtin_memmove(packet->before + by, packet->before, meta);
	packet->before += by;
	packet->data += by;
	return 0;
}

COLD u64 helper_xdp_adjust_meta(struct skep_env *env, u64 ctx, u64 delta, u64 c, u64 d, u64 e)
{
	struct packet *packet = packet_of(ctx);
	s64 meta = packet->data - packet->before - (s32)delta;
	if (meta < 0 || packet->data - packet->first - meta < FRAME)
		return FAILED(EINVAL);
	if (meta & 3 || meta > MOST_META)
		return FAILED(EACCES);
	packet->before = packet->data - meta;
	return 0;
}

COLD u64 helper_xdp_adjust_tail(struct skep_env *env, u64 ctx, u64 delta, u64 c, u64 d, u64 e)
{
	struct packet *packet = packet_of(ctx);
	s64 by = (s32)delta;
	if (by > packet->limit - packet->end || packet->end - packet->data + by < ETHERNET)
		return FAILED(EINVAL);
	if (by > 0)
		__builtin_memset(packet->end, 0, by);
	packet->end += by;
	return 0;
}

COLD u64 helper_xdp_get_buff_len(struct skep_env *env, u64 ctx, u64 b, u64 c, u64 d, u64 e)
{
	return packet_length(packet_of(ctx));
}

COLD u64 helper_xdp_load_bytes(struct skep_env *env, u64 ctx, u64 offset, u64 to, u64 size, u64 e)
{
	u8 *part = packet_part(packet_of(ctx), (u32)offset, (u32)size);
	if ((u32)offset > FAR_OFFSET || (u32)size > FAR_OFFSET)
		return FAILED(EFAULT);
	if (!part)
		return FAILED(EINVAL);
	__builtin_memmove((void *)to, part, (u32)size);
	return 0;
}

COLD u64 helper_xdp_store_bytes(struct skep_env *env, u64 ctx, u64 offset, u64 from, u64 size, u64 e)
{
	u8 *part = packet_part(packet_of(ctx), (u32)offset, (u32)size);
	if ((u32)offset > FAR_OFFSET || (u32)size > FAR_OFFSET)
		return FAILED(EFAULT);
	if (!part)
		return FAILED(EINVAL);
	__builtin_memmove(part, (const void *)from, (u32)size);
	return 0;
}

/* bpf_redirect(): only the verdict; nothing is sent anywhere. */
COLD u64 helper_xdp_redirect(struct skep_env *env, u64 interface, u64 flags, u64 c, u64 d, u64 e)
{
	return flags ? ABORTED : REDIRECT;
}
