/* Longest-prefix maps: a hash table of masked keys, asked once for each prefix length that there is, the longest first.
 *
 * The table's own functions (storage, start, next, dump, count) are those of hash.c.
 */
#include "hash.h"

#define MOST_DATA 256 /* bytes behind the length: LPM_DATA_SIZE_MAX of kernel/bpf/lpm_trie.c */

struct lpm_key {
	u32 length;
	u8 data[MOST_DATA];
};

/* The first `length` bits of a key, and zeros: what the table keeps. */
ALWAYS void lpm_mask(struct lpm_key *to, const u8 *key, u32 key_size, u32 length)
{
	u32 whole = length / 8, rest = length % 8, at = 0;
	to->length = length;
	for (; at < whole; at++)
		to->data[at] = key[4 + at];
	if (rest) {
		to->data[at] = key[4 + at] & (0xff00 >> rest);
		at++;
	}
	for (; at < key_size - 4; at++)
		to->data[at] = 0;
}

ALWAYS struct population *lpm_populations(struct hash *h)
{
	return (struct population *)((u8 *)h + h->populations);
}

NEVER u32 lpm_longest(struct hash *h, const struct skep_shape *shape, const u8 *key)
{
	struct lpm_key masked;
	u32 most = load_half(key), at, found;
	if (most > 8 * (shape->key_size - 4))
		return 0;
	for (at = 0; at < __atomic_load_n(&h->lengths, __ATOMIC_RELAXED) && at <= 8 * (shape->key_size - 4); at++) {
		u32 length = __atomic_load_n(&lpm_populations(h)[at].length, __ATOMIC_RELAXED);
		if (length > most)
			continue;
		lpm_mask(&masked, key, shape->key_size, length);
		found = hash_find(h, shape, (const u8 *)&masked);
		if (found)
			return found;
	}
	return 0;
}

static u32 lpm_exactly(struct hash *h, const struct skep_shape *shape, const u8 *key)
{
	struct lpm_key masked;
	if (load_half(key) > 8 * (shape->key_size - 4))
		return 0;
	lpm_mask(&masked, key, shape->key_size, load_half(key));
	return hash_find(h, shape, (const u8 *)&masked);
}

static void lpm_count(struct hash *h, u32 key_size, u32 length)
{
	struct population *rows = lpm_populations(h);
	u32 at = 0, move;
	while (at < h->lengths && rows[at].length > length)
		at++;
	if (at == h->lengths || rows[at].length != length) {
		if (h->lengths > 8 * (key_size - 4)) /* only a writer that died leaves a length twice */
			return;
		for (move = h->lengths++; move > at; move--)
			rows[move] = rows[move - 1];
		rows[at].length = length;
		rows[at].count = 0;
	}
	rows[at].count++;
}

static void lpm_forget(struct hash *h, u32 length)
{
	struct population *rows = lpm_populations(h);
	u32 at = 0;
	while (at < h->lengths && rows[at].length != length)
		at++;
	if (at == h->lengths || --rows[at].count)
		return;
	for (h->lengths--; at < h->lengths; at++)
		rows[at] = rows[at + 1];
}

NEVER u64 lpm_put(struct skep_map *map, u32 mine, const u8 *key, const u8 *value, u64 flags)
{
	struct hash *h = map->storage;
	struct lpm_key masked;
	u32 length = load_half(key), element;
	u64 result = 0;
	if (flags > BPF_EXIST || length > 8 * (map->shape.key_size - 4))
		return FAILED(EINVAL);
	lpm_mask(&masked, key, map->shape.key_size, length);
	hash_lock(h, mine);
	element = hash_find(h, &map->shape, (const u8 *)&masked);
	if (element ? flags == BPF_NOEXIST : flags == BPF_EXIST) {
		result = FAILED(element ? EEXIST : ENOENT);
	} else {
		if (!element) {
			element = hash_add(h, &map->shape, map->shape.max_entries, 0, (const u8 *)&masked);
			if (element)
				lpm_count(h, map->shape.key_size, length);
		}
		if (element)
			__builtin_memcpy(map->values + (u64)(element - 1) * map->shape.stride, value, map->shape.value_size);
		else
			result = FAILED(ENOSPC); /* what lpm_trie.c says */
	}
	hash_unlock(h);
	return result;
}

NEVER u64 lpm_take(struct skep_map *map, u32 mine, const u8 *key, u8 *value)
{
	struct hash *h = map->storage;
	u32 element;
	if (load_half(key) > 8 * (map->shape.key_size - 4))
		return FAILED(EINVAL);
	hash_lock(h, mine);
	element = lpm_exactly(h, &map->shape, key);
	if (element) {
		if (value)
			__builtin_memcpy(value, map->values + (u64)(element - 1) * map->shape.stride, map->shape.value_size);
		lpm_forget(h, load_half(key));
		hash_give_back(h, &map->shape, element - 1);
	}
	hash_unlock(h);
	return element ? 0 : FAILED(ENOENT);
}

COLD u64 lpm_lookup(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 b, u64 c)
{
	struct hash *h = map->storage;
	u32 sequence, found;
	do {
		sequence = hash_begin(h);
		found = lpm_longest(h, shape, (const u8 *)key);
	} while (hash_changed(h, sequence));
	return found ? (u64)(map->values + (u64)(found - 1) * shape->stride) : 0;
}

HOT u64 lpm_update(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 value, u64 flags)
{
	return lpm_put(map, holder_of(env), (const u8 *)key, (const u8 *)value, flags);
}

HOT u64 lpm_delete(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 b, u64 c)
{
	return lpm_take(map, holder_of(env), (const u8 *)key, 0);
}

/* What Python does; results are 0 or an errno. */

u64 lpm_get(struct skep_map *map, const u8 *key, u8 *value)
{
	struct hash *h = map->storage;
	u32 sequence, element;
	do {
		sequence = hash_begin(h);
		element = lpm_longest(h, &map->shape, key);
		if (element)
			__builtin_memcpy(value, map->values + (u64)(element - 1) * map->shape.stride, map->shape.stride);
	} while (hash_changed(h, sequence));
	return element ? 0 : ENOENT;
}

u64 lpm_set(struct skep_map *map, const u8 *key, const u8 *value, u64 flags)
{
	return -lpm_put(map, THREAD, key, value, flags);
}

u64 lpm_remove(struct skep_map *map, const u8 *key, u8 *value)
{
	return -lpm_take(map, THREAD, key, value);
}
