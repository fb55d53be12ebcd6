/* Ring buffers: the producer's side, in the kernel's layout, so that one reader reads both engines' (kernel/bpf/ringbuf.c).
 *
 * `map->storage` is struct ringbuf; a record is a header of a u32 length with two flags, and 8-byte aligned data. The data is
 * mapped twice in a row, so no record wraps. Records are no memory of the map's for programs: only what reserve gave them is.
 */
#include "lock.h"

enum { BUSY = 1u << 31, DISCARD = 1u << 30, HEADER = 8 };
enum { NO_WAKEUP = 1, FORCE_WAKEUP = 2 };
enum { AVAIL_DATA, RING_SIZE, CONSUMER_POSITION, PRODUCER_POSITION };

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

ALWAYS struct record *ringbuf_make(struct ringbuf *ring, u64 size, u32 flags)
{
	u64 whole = (size + HEADER + 7) & ~7ull, position;
	struct record *made = 0;
	if (size >= DISCARD)
		return 0;
	take_lock(&ring->lock);
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

COLD u64 helper_ringbuf_output(struct skep_env *env, u64 map, u64 data, u64 size, u64 flags, u64 e)
{
	struct ringbuf *ring = ((struct skep_map *)map)->storage;
	struct record *made;
	if (flags & ~(u64)(NO_WAKEUP | FORCE_WAKEUP))
		return FAILED(EINVAL);
	made = ringbuf_make(ring, size, BUSY);
	if (!made)
		return FAILED(EAGAIN);
	__builtin_memcpy(made->data, (const void *)data, size);
	ringbuf_commit(ring, made, 0, flags);
	return 0;
}

COLD u64 helper_ringbuf_reserve(struct skep_env *env, u64 map, u64 size, u64 flags, u64 d, u64 e)
{
	struct record *made = flags ? 0 : ringbuf_make(((struct skep_map *)map)->storage, size, BUSY);
	return made ? (u64)made->data : 0;
}

static struct ringbuf *ringbuf_of(u64 record)
{
	struct record *header = (struct record *)(record - HEADER);
	u64 first = ((u64)header & ~(u64)(PAGE - 1)) - (u64)header->back * PAGE;
	return ((struct ringbuf **)(first - PAGE))[RING_AT];
}

COLD u64 helper_ringbuf_submit(struct skep_env *env, u64 record, u64 flags, u64 c, u64 d, u64 e)
{
	ringbuf_commit(ringbuf_of(record), (struct record *)(record - HEADER), 0, flags);
	return 0;
}

COLD u64 helper_ringbuf_discard(struct skep_env *env, u64 record, u64 flags, u64 c, u64 d, u64 e)
{
	ringbuf_commit(ringbuf_of(record), (struct record *)(record - HEADER), DISCARD, flags);
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
