/* The table under hash, LRU hash and LPM maps: chains of element numbers, so that a damaged link can only be a wrong number.
 *
 * Programs run in one thread and Python reads and writes in another. Whoever changes a chain or a whole value holds `lock` and makes
 * `sequence` odd meanwhile; who only reads looks at `sequence` before and after, and again when it has changed.
 * A program writes through the pointers that lookup gives without either, as in the kernel.
 */
#ifndef SKEP_HASH_H
#define SKEP_HASH_H

#include "lock.h"

enum { LRU_HASH = 9, LRU_PERCPU_HASH = 10, PERCPU_HASH = 5, LPM_TRIE = 11 };

struct link {
	u32 next; /* element number + 1; 0: the last */
	u32 state; /* FREE, USED, and SEEN since the hand of the LRU's clock passed */
};
enum { FREE, USED, SEEN };

struct hash {
	u32 lock;
	u32 sequence;
	u32 count;
	u32 fresh; /* elements from here on were never used */
	u32 free; /* element number + 1 of the first that was given back */
	u32 mask; /* buckets - 1 */
	u32 hand; /* the LRU's clock */
	u32 lengths; /* LPM: how many prefix lengths there are, in the array after the keys */
	u64 links; /* offsets from this struct */
	u64 keys;
	u64 populations;
	u32 buckets[];
};

struct population { /* LPM: elements with a prefix of this length; the longest first */
	u32 length;
	u32 count;
};

ALWAYS u64 load_word(const void *from)
{
	u64 word;
	__builtin_memcpy(&word, from, 8);
	return word;
}

ALWAYS u32 load_half(const void *from)
{
	u32 word;
	__builtin_memcpy(&word, from, 4);
	return word;
}

ALWAYS u64 mix(u64 state, u64 word)
{
	unsigned __int128 product = (unsigned __int128)(state ^ word) * 0x9E3779B97F4A7C15ull;
	return (u64)product ^ (u64)(product >> 64);
}

ALWAYS u64 hash_of(const u8 *key, u32 size)
{
	u64 state = size;
	while (size >= 8) {
		state = mix(state, load_word(key));
		key += 8;
		size -= 8;
	}
	if (size >= 4) {
		state = mix(state, load_half(key));
		key += 4;
		size -= 4;
	}
	while (size) {
		state = mix(state, *key++);
		size--;
	}
	return state;
}

ALWAYS int same(const u8 *one, const u8 *other, u32 size)
{
	while (size >= 8) {
		if (load_word(one) != load_word(other))
			return 0;
		one += 8;
		other += 8;
		size -= 8;
	}
	if (size >= 4) {
		if (load_half(one) != load_half(other))
			return 0;
		one += 4;
		other += 4;
		size -= 4;
	}
	while (size) {
		if (*one++ != *other++)
			return 0;
		size--;
	}
	return 1;
}

ALWAYS void hash_lock(struct hash *h, u32 mine)
{
	take_lock(&h->lock, mine);
	/* it is odd already where the lock was a dead one's */
	__atomic_store_n(&h->sequence, h->sequence + 1 | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

ALWAYS void hash_unlock(struct hash *h)
{
	__atomic_store_n(&h->sequence, h->sequence + 1, __ATOMIC_RELEASE);
	give_lock(&h->lock);
}

/* Wait for a writer's end. One that is not seen to end has died: the lock can be had. */
NEVER void hash_wait(struct hash *h, u32 sequence)
{
	u32 waited = 0;
	while (__atomic_load_n(&h->sequence, __ATOMIC_RELAXED) == sequence) {
		pause_a_little();
		if (++waited == OFTEN) {
			hash_lock(h, THREAD);
			hash_unlock(h);
		}
	}
}

/* The sequence number with which a look at the table begins: even, nobody writes. */
ALWAYS u32 hash_begin(struct hash *h)
{
	u32 sequence;
	while (__builtin_expect((sequence = __atomic_load_n(&h->sequence, __ATOMIC_ACQUIRE)) & 1, 0))
		hash_wait(h, sequence);
	return sequence;
}

ALWAYS int hash_changed(struct hash *h, u32 sequence)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&h->sequence, __ATOMIC_RELAXED) != sequence;
}

ALWAYS struct link *hash_links(struct hash *h)
{
	return (struct link *)((u8 *)h + h->links);
}

ALWAYS u8 *hash_key(struct hash *h, const struct skep_shape *shape, u32 element)
{
	return (u8 *)h + h->keys + (u64)element * ((shape->key_size + 7) & ~7u);
}

/* The number + 1 of a key's element, or 0. Without the lock the answer counts only if the sequence has not changed. */
ALWAYS u32 hash_find(struct hash *h, const struct skep_shape *shape, const u8 *key)
{
	struct link *links = hash_links(h);
	u32 at = __atomic_load_n(&h->buckets[hash_of(key, shape->key_size) & h->mask], __ATOMIC_RELAXED);
	u32 steps = 0, most = __atomic_load_n(&h->fresh, __ATOMIC_RELAXED);
	while (at && !same(hash_key(h, shape, at - 1), key, shape->key_size)) {
		at = __atomic_load_n(&links[at - 1].next, __ATOMIC_RELAXED);
		if (++steps > most) /* chains that change under our feet may be a ring for a moment */
			return 0;
	}
	return at;
}

/* As hash_find, sure of its answer. */
ALWAYS u32 hash_look(struct hash *h, const struct skep_shape *shape, const u8 *key)
{
	u32 sequence, found;
	do {
		sequence = hash_begin(h);
		found = hash_find(h, shape, key);
	} while (__builtin_expect(hash_changed(h, sequence), 0));
	return found;
}

/* The rest is called with the lock held. */

ALWAYS void hash_unlink(struct hash *h, const struct skep_shape *shape, u32 element)
{
	struct link *links = hash_links(h);
	u32 *at = &h->buckets[hash_of(hash_key(h, shape, element), shape->key_size) & h->mask];
	u32 steps = 0;
	while (*at && *at != element + 1 && steps++ < h->fresh) /* a writer that died may have left a ring */
		at = &links[*at - 1].next;
	if (*at == element + 1)
		*at = links[element].next;
	links[element].state = FREE;
	h->count--;
}

ALWAYS void hash_give_back(struct hash *h, const struct skep_shape *shape, u32 element)
{
	hash_unlink(h, shape, element);
	hash_links(h)[element].next = h->free;
	h->free = element + 1;
}

/* An LRU's clock: elements that were looked up since the hand passed stay for another round. */
NEVER u32 hash_evict(struct hash *h, const struct skep_shape *shape, u32 capacity)
{
	struct link *links = hash_links(h);
	for (;;) {
		u32 element = h->hand;
		h->hand = element + 1 == capacity ? 0 : element + 1;
		if (links[element].state == USED) {
			hash_unlink(h, shape, element);
			return element + 1;
		}
		links[element].state = USED;
	}
}

/* A new element's number + 1, linked in with its key; 0: the map is full. */
ALWAYS u32 hash_add(struct hash *h, const struct skep_shape *shape, u32 capacity, int lru, const u8 *key)
{
	struct link *links = hash_links(h);
	u32 added = h->free, *bucket;
	if (added)
		h->free = links[added - 1].next;
	else if (h->fresh < capacity)
		added = ++h->fresh;
	else if (lru)
		added = hash_evict(h, shape, capacity);
	else
		return 0;
	__builtin_memcpy(hash_key(h, shape, added - 1), key, shape->key_size);
	/* of the copy: `key` may be memory that changes meanwhile, and the element must be found by what it has */
	bucket = &h->buckets[hash_of(hash_key(h, shape, added - 1), shape->key_size) & h->mask];
	links[added - 1].next = *bucket;
	links[added - 1].state = USED;
	*bucket = added;
	h->count++;
	return added;
}

#endif
