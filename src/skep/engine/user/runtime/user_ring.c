/* User ring buffers: Python puts records in (skep/maps/user_ring.py), a program takes them out with bpf_user_ringbuf_drain().
 *
 * The layout is ringbuf.c's. What the producer wrote is believed as little as in the kernel (kernel/bpf/ringbuf.c): a size that does
 * not fit ends the drain with an error.
 */
#include "ringbuf.h"

enum { NONE, LOCAL };
enum { EBUSY = 16, E_2BIG = 7, EPROTO = 71, ENODATA = 61, FLAGS = NO_WAKEUP | FORCE_WAKEUP, MOST = 128 * 1024 };

/* What is at a place of the engine's own, for a callback. */
static s64 show(struct skep_env *env, u64 place, u8 *data, u32 size)
{
	u64 at;
	for (at = 0; at < env->dynptr_count; at++)
		if (env->dynptrs[at].place == place)
			break;
	if (at == SKEP_HELD)
		return -EINVAL;
	if (at == env->dynptr_count)
		env->dynptr_count++;
	env->dynptrs[at].place = place;
	env->dynptrs[at].data = data;
	env->dynptrs[at].size = size;
	env->dynptrs[at].kind = LOCAL;
	return 1;
}

/* Whether a callback of this run's looks at a record of the ring's just now. */
static int is_drained(struct skep_env *env, const struct ringbuf *ring)
{
	u64 at;
	for (at = 0; at < env->dynptr_count; at++)
		if (env->dynptrs[at].kind == LOCAL && (u64)env->dynptrs[at].data - (u64)ring->data < 2 * ring->size)
			return 1;
	return 0;
}

/* The next record as a dynptr at `place`: 1; 0: there is none; a negative error. Discarded ones are skipped. */
COLD u64 user_ringbuf_next(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 place, u64 taken, u64 flags)
{
	struct ringbuf *ring = map->storage;
	u64 consumer = *ring->consumer, producer, left;
	if (flags & ~(u64)FLAGS)
		return FAILED(EINVAL);
	if (is_drained(env, ring)) /* a callback drains the ring that it is called for */
		return FAILED(EBUSY);
	if (taken >= MOST)
		return 0;
	for (;;) {
		producer = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
		left = producer - consumer;
		if (producer & 7)
			return FAILED(EINVAL);
		if (left > ring->size)
			return FAILED(E_2BIG);
		if (!left)
			return 0;
		struct record *record = (struct record *)(ring->data + (consumer & (ring->size - 1)));
		u32 header = __atomic_load_n(&record->length, __ATOMIC_ACQUIRE), size = header & ~(BUSY | DISCARD);
		u64 whole = ((u64)size + HEADER + 7) & ~7ull;
		if (header & BUSY)
			return 0;
		if (whole > ring->size)
			return FAILED(E_2BIG);
		if (whole > left)
			return FAILED(EPROTO);
		if (!(header & DISCARD))
			return show(env, place, record->data, size);
		consumer += whole;
		__atomic_store_n(ring->consumer, consumer, __ATOMIC_RELEASE);
	}
}

/* The record that a callback has seen is the producer's again. */
COLD u64 user_ringbuf_done(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 place, u64 b, u64 c)
{
	struct ringbuf *ring = map->storage;
	u64 at;
	for (at = 0; at < env->dynptr_count; at++)
		if (env->dynptrs[at].place == place) {
			u64 consumer = __atomic_load_n(ring->consumer, __ATOMIC_RELAXED);
			env->dynptrs[at].kind = NONE;
			/* another thread's run may have been faster */
			if (ring->data + (consumer & (ring->size - 1)) + HEADER == env->dynptrs[at].data)
				__atomic_compare_exchange_n(ring->consumer, &consumer,
							    consumer + (((u64)env->dynptrs[at].size + HEADER + 7) & ~7ull), 0,
							    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
		}
	return 0;
}
