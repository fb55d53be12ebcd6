/* Perf event arrays: one perf ring per CPU, in the kernel's layout, so that one reader reads both engines'
 * (include/uapi/linux/perf_event.h: struct perf_event_mmap_page, PERF_RECORD_SAMPLE, PERF_RECORD_LOST).
 *
 * `map->storage` is an array of struct perf_ring, one for each index; a ring without a page is not open.
 */
#include "packet.h"

enum { SAMPLE = 9, LOST = 2, TIME = 1 << 2, HEAD = 1024 / 8, TAIL = 1032 / 8 };
enum { ALL_LOST = HEAD - 1 }; /* a word that the kernel keeps free: records that found no room since the ring was opened */
#define CURRENT_CPU 0xffffffffull
#define CONTEXT_SIZE(flags) ((flags) >> 32 & 0xfffff)
#define MOST_DATA 0xff00 /* a record's size is a u16 */

struct perf_ring {
	u64 *page;
	u8 *data;
	u64 size;
	u64 sample_type;
	u64 lost; /* since the last record of them */
	u32 lock;
	u32 wakeup_events;
	u32 unwoken;
	int wake; /* an eventfd */
};

struct perf_header {
	u32 type;
	u16 misc;
	u16 size;
};

extern long write(int fd, const void *from, u64 size);
extern int clock_gettime(int clock, void *to);

/* Copy into the ring, which wraps; the next position. */
ALWAYS u64 perf_put(struct perf_ring *ring, u64 position, const void *from, u64 size)
{
	u64 offset = position & (ring->size - 1), first = ring->size - offset;
	if (first > size)
		first = size;
	__builtin_memcpy(ring->data + offset, from, first);
	__builtin_memcpy(ring->data, (const u8 *)from + first, size - first);
	return position + size;
}

ALWAYS u64 perf_time(struct skep_env *env)
{
	u64 now[2];
	if (env->task->time)
		return env->task->time;
	clock_gettime(1, now); /* CLOCK_MONOTONIC */
	return now[0] * 1000000000 + now[1];
}

/* A record of `size` bytes at `data`, and `more` bytes of the packet behind them. */
static u64 perf_output(struct skep_env *env, struct skep_map *map, u64 index, const void *data, u64 size, const u8 *packet, u64 more)
{
	u64 one = 1, words[3], head, room, whole, raw, padding;
	struct perf_ring *ring;
	struct perf_header header = { SAMPLE, 2 /* PERF_RECORD_MISC_USER */, 0 };
	u32 raw_size;
	if (index == CURRENT_CPU)
		index = env->task->cpu;
	if (index >= map->shape.max_entries)
		return FAILED(E2BIG);
	ring = (struct perf_ring *)map->storage + index;
	if (size > MOST_DATA || more > MOST_DATA - size)
		return FAILED(E2BIG);
	raw = (size + more + 4 + 7) & ~7ull; /* with its length; the kernel counts the padding as data */
	padding = raw - 4 - size - more;
	raw_size = raw - 4;
	whole = sizeof(header) + raw + (ring->sample_type & TIME ? 8 : 0);
	header.size = whole;
	take_lock(&ring->lock, holder_of(env));
	if (!ring->page) {
		give_lock(&ring->lock);
		return FAILED(ENOENT);
	}
	head = ring->page[HEAD];
	room = ring->size - (head - __atomic_load_n(&ring->page[TAIL], __ATOMIC_ACQUIRE));
	if (room < whole + (ring->lost ? 24 : 0)) {
		ring->lost++;
		ring->page[ALL_LOST]++;
		give_lock(&ring->lock);
		return FAILED(ENOSPC);
	}
	if (ring->lost) {
		struct perf_header note = { LOST, 0, 24 };
		words[0] = 0;
		words[1] = ring->lost;
		head = perf_put(ring, head, &note, sizeof(note));
		head = perf_put(ring, head, words, 16);
		ring->lost = 0;
	}
	head = perf_put(ring, head, &header, sizeof(header));
	if (ring->sample_type & TIME) {
		words[0] = perf_time(env);
		head = perf_put(ring, head, words, 8);
	}
	head = perf_put(ring, head, &raw_size, 4);
	head = perf_put(ring, head, data, size);
	head = perf_put(ring, head, packet, more);
	words[0] = 0;
	head = perf_put(ring, head, words, padding);
	__atomic_store_n(&ring->page[HEAD], head, __ATOMIC_RELEASE);
	ring->unwoken++;
	if (ring->unwoken >= ring->wakeup_events) {
		ring->unwoken = 0;
		write(ring->wake, &one, sizeof(one));
	}
	give_lock(&ring->lock);
	return 0;
}

COLD u64 helper_perf_event_output(struct skep_env *env, u64 ctx, u64 map, u64 flags, u64 data, u64 size)
{
	if (flags & ~CURRENT_CPU)
		return FAILED(EINVAL);
	return perf_output(env, (struct skep_map *)map, flags, (const void *)data, size, 0, 0);
}

ALWAYS u64 packet_output(struct skep_env *env, const struct packet *packet, u64 map, u64 flags, u64 data, u64 size)
{
	u64 more = CONTEXT_SIZE(flags);
	if (flags >> 52)
		return FAILED(EINVAL);
	if (more > packet_length(packet))
		return FAILED(EFAULT);
	return perf_output(env, (struct skep_map *)map, flags & CURRENT_CPU, (const void *)data, size, packet->data, more);
}

/* Of packet programs: the flags say how many bytes of the packet go with the data. */
COLD u64 helper_xdp_event_output(struct skep_env *env, u64 ctx, u64 map, u64 flags, u64 data, u64 size)
{
	return packet_output(env, (const struct packet *)(ctx + XDP_SEEN), map, flags, data, size);
}

COLD u64 helper_skb_event_output(struct skep_env *env, u64 ctx, u64 map, u64 flags, u64 data, u64 size)
{
	return packet_output(env, (const struct packet *)(ctx + SKB_SEEN), map, flags, data, size);
}

/* From Python: programs write into this ring from now on, and no more into one that was open before. */
void perf_open(struct perf_ring *ring, const struct perf_ring *opened)
{
	take_lock(&ring->lock, THREAD);
	ring->page = opened->page;
	ring->data = opened->data;
	ring->size = opened->size;
	ring->sample_type = opened->sample_type;
	ring->wakeup_events = opened->wakeup_events;
	ring->wake = opened->wake;
	ring->lost = 0;
	ring->unwoken = 0;
	give_lock(&ring->lock);
}

/* From Python: no program writes into the ring with this page any more. */
void perf_close(struct perf_ring *ring, const u64 *page)
{
	take_lock(&ring->lock, THREAD);
	if (ring->page == page)
		ring->page = 0;
	give_lock(&ring->lock);
}
