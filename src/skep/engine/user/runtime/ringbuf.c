/* Ring buffers: the producer's side, in the kernel's layout, so that one reader reads both engines' (kernel/bpf/ringbuf.c).
 *
 * `map->storage` is struct ringbuf; a record is a header of a u32 length with two flags, and 8-byte aligned data. The data is
 * mapped twice in a row, so no record wraps. Records are no memory of the map's for programs: only what reserve gave them is.
 */
#include "ringbuf.h"

enum { AVAIL_DATA, RING_SIZE, CONSUMER_POSITION, PRODUCER_POSITION };

COLD u64 helper_ringbuf_output(struct skep_env *env, u64 map, u64 data, u64 size, u64 flags, u64 e)
{
	struct ringbuf *ring = ((struct skep_map *)map)->storage;
	struct record *made;
	if (flags & ~(u64)(NO_WAKEUP | FORCE_WAKEUP))
		return FAILED(EINVAL);
	made = ringbuf_make(env, ring, size, BUSY);
	if (!made)
		return FAILED(EAGAIN);
	__builtin_memcpy(made->data, (const void *)data, size);
	ringbuf_commit(ring, made, 0, flags);
	return 0;
}

COLD u64 helper_ringbuf_reserve(struct skep_env *env, u64 map, u64 size, u64 flags, u64 d, u64 e)
{
	return flags ? 0 : ringbuf_hold(env, ((struct skep_map *)map)->storage, size);
}

COLD u64 helper_ringbuf_submit(struct skep_env *env, u64 record, u64 flags, u64 c, u64 d, u64 e)
{
	ringbuf_let_go(env, record, 0, flags);
	return 0;
}

COLD u64 helper_ringbuf_discard(struct skep_env *env, u64 record, u64 flags, u64 c, u64 d, u64 e)
{
	ringbuf_let_go(env, record, DISCARD, flags);
	return 0;
}

COLD u64 helper_ringbuf_query(struct skep_env *env, u64 map, u64 what, u64 c, u64 d, u64 e)
{
	struct ringbuf *ring = ((struct skep_map *)map)->storage;
	u64 consumer = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
	switch (what) {
	case AVAIL_DATA:
		return *ring->producer - consumer;
	case RING_SIZE:
		return ring->size;
	case CONSUMER_POSITION:
		return consumer;
	case PRODUCER_POSITION:
		return *ring->producer;
	}
	return 0;
}

/* The end of a run, however it ended: what it has reserved and not submitted is no record (the kernel refuses such programs). */
void skep_release(struct skep_env *env)
{
	while (env->held_count)
		ringbuf_let_go(env, env->held[env->held_count - 1], DISCARD, 0);
	env->dynptr_count = 0;
}
