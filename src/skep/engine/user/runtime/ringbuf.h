/* The producer's side of ring buffers; records that a run has reserved and must give back. */
#ifndef SKEP_RINGBUF_H
#define SKEP_RINGBUF_H

#include "lock.h"

enum { BUSY = 1u << 31, DISCARD = 1u << 30, HEADER = 8 };
enum { NO_WAKEUP = 1, FORCE_WAKEUP = 2 };

struct ringbuf {
	u64 *consumer;
	u64 *producer;
	u8 *data;
	u64 size;
	u32 lock;
	int wake; /* an eventfd */
};

struct record {
	u32 length;
	u32 back; /* pages from the ring's first data to here: the way to struct ringbuf, which lies in the producer's page */
	u8 data[];
};

enum { PAGE = 4096, RING_AT = 64 / 8 };

extern long write(int fd, const void *from, u64 size);

ALWAYS struct record *ringbuf_make(struct skep_env *env, struct ringbuf *ring, u64 size, u32 flags)
{
	u64 whole = (size + HEADER + 7) & ~7ull, position;
	struct record *made = 0;
	if (size >= DISCARD)
		return 0;
	take_lock(&ring->lock, holder_of(env));
	position = *ring->producer;
	if (position + whole - __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE) <= ring->size - 1) {
		made = (struct record *)(ring->data + (position & (ring->size - 1)));
		made->length = size | flags;
		made->back = ((u8 *)made - ring->data) / PAGE;
		__atomic_store_n(ring->producer, position + whole, __ATOMIC_RELEASE);
	}
	give_lock(&ring->lock);
	return made;
}

/* Give a record to the reader; wake it if it had read everything before this record. */
NEVER void ringbuf_commit(struct ringbuf *ring, struct record *done, u32 flags, u64 wakeup)
{
	u64 offset = (u8 *)done - ring->data, one = 1;
	__atomic_store_n(&done->length, (done->length & ~BUSY) | flags, __ATOMIC_SEQ_CST);
	if (wakeup & NO_WAKEUP)
		return;
	if (wakeup & FORCE_WAKEUP || (__atomic_load_n(ring->consumer, __ATOMIC_SEQ_CST) & (ring->size - 1)) == offset)
		write(ring->wake, &one, sizeof(one));
}

ALWAYS struct ringbuf *ringbuf_of(u64 record)
{
	struct record *header = (struct record *)(record - HEADER);
	u64 first = ((u64)header & ~(u64)(PAGE - 1)) - (u64)header->back * PAGE;
	return ((struct ringbuf **)(first - PAGE))[RING_AT];
}

/* A record that is this run's own from now on; 0 where the ring or the list of such records is full. */
ALWAYS u64 ringbuf_hold(struct skep_env *env, struct ringbuf *ring, u64 size)
{
	struct record *made;
	if (env->held_count == SKEP_HELD)
		return 0;
	made = ringbuf_make(env, ring, size, BUSY);
	if (!made)
		return 0;
	env->held[env->held_count++] = (u64)made->data;
	return (u64)made->data;
}

/* Give a record of this run's to the reader; what is none, or not any more, is left alone. */
ALWAYS void ringbuf_let_go(struct skep_env *env, u64 record, u32 flags, u64 wakeup)
{
	u64 at = env->held_count;
	while (at && env->held[at - 1] != record)
		at--;
	if (!at)
		return;
	env->held[at - 1] = env->held[--env->held_count];
	for (at = 0; at < env->dynptr_count; at++) /* also when it was not given back as the dynptr's */
		if ((u64)env->dynptrs[at].data == record)
			env->dynptrs[at].kind = 0;
	ringbuf_commit(ringbuf_of(record), (struct record *)(record - HEADER), flags, wakeup);
}

#endif
