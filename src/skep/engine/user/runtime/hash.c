/* Hash maps: plain, per CPU, and LRU (a clock: what was looked up since the hand came by stays another round). */
#include "hash.h"

ALWAYS int hash_is_lru(const struct skep_shape *shape)
{
	return shape->type == LRU_HASH || shape->type == LRU_PERCPU_HASH;
}

ALWAYS int hash_is_per_cpu(const struct skep_shape *shape)
{
	return shape->type == PERCPU_HASH || shape->type == LRU_PERCPU_HASH;
}

ALWAYS u32 hash_piece(const struct skep_shape *shape)
{
	return (shape->value_size + 7) & ~7u;
}

ALWAYS u8 *hash_value(struct skep_map *map, const struct skep_shape *shape, u32 element)
{
	return map->values + (u64)element * shape->stride;
}

/* A CPU that was never announced (hotplug) shares the last piece. */
ALWAYS u32 hash_cpu_offset(const struct skep_shape *shape, u32 cpu)
{
	u32 offset = cpu * hash_piece(shape);
	return offset < shape->stride ? offset : shape->stride - hash_piece(shape);
}

ALWAYS u64 hash_find_value(struct skep_map *map, const struct skep_shape *shape, u64 key, u32 cpu)
{
	struct hash *h = map->storage;
	u32 found = hash_look(h, shape, (const u8 *)key);
	if (!found)
		return 0;
	if (hash_is_lru(shape) && hash_links(h)[found - 1].state == USED)
		hash_links(h)[found - 1].state = SEEN;
	return (u64)(hash_value(map, shape, found - 1) + (hash_is_per_cpu(shape) ? hash_cpu_offset(shape, cpu) : 0));
}

HOT u64 hash_lookup(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 b, u64 c)
{
	return hash_find_value(map, shape, key, hash_is_per_cpu(shape) ? env->task->cpu : 0);
}

HOT u64 hash_lookup_percpu(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 cpu, u64 c)
{
	return cpu < shape->stride / hash_piece(shape) ? hash_find_value(map, shape, key, cpu) : 0;
}

/* The element of a key, made if the flags allow it; 0 and *result otherwise. The lock is held. */
ALWAYS u32 hash_place(struct skep_map *map, const struct skep_shape *shape, const u8 *key, u64 flags, u64 *result, int *is_new)
{
	struct hash *h = map->storage;
	u32 element = hash_find(h, shape, key);
	*is_new = !element;
	if (element ? flags & BPF_NOEXIST : flags & BPF_EXIST) {
		*result = FAILED(element ? EEXIST : ENOENT);
		return 0;
	}
	if (!element) {
		element = hash_add(h, shape, map->shape.max_entries, hash_is_lru(shape), key);
		*result = FAILED(E2BIG);
	}
	return element;
}

HOT u64 hash_update(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 value, u64 flags)
{
	struct hash *h = map->storage;
	u64 result = 0;
	int is_new;
	u32 element;
	if (flags > (BPF_F_LOCK | BPF_EXIST) || (flags & 3) == 3)
		return FAILED(EINVAL);
	hash_lock(h, holder_of(env));
	element = hash_place(map, shape, (const u8 *)key, flags, &result, &is_new);
	if (element) {
		u8 *to = hash_value(map, shape, element - 1);
		if (hash_is_per_cpu(shape)) {
			if (is_new)
				__builtin_memset(to, 0, shape->stride);
			to += hash_cpu_offset(shape, env->task->cpu);
		}
		__builtin_memcpy(to, (const void *)value, shape->value_size);
		result = 0;
	}
	hash_unlock(h);
	return result;
}

COLD u64 hash_delete(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 b, u64 c)
{
	struct hash *h = map->storage;
	u32 element;
	hash_lock(h, holder_of(env));
	element = hash_find(h, shape, (const u8 *)key);
	if (element)
		hash_give_back(h, shape, element - 1);
	hash_unlock(h);
	return element ? 0 : FAILED(ENOENT);
}

COLD u64 hash_iterate(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 position, u64 found, u64 c)
{
	struct hash *h = map->storage;
	struct skep_element *element = (struct skep_element *)found;
	for (; position < h->fresh; position++) {
		if (hash_links(h)[position].state != FREE) {
			element->key = hash_key(h, shape, position);
			element->value = hash_value(map, shape, position) + (hash_is_per_cpu(shape) ? hash_cpu_offset(shape, env->task->cpu) : 0);
			return position + 1;
		}
	}
	return SKEP_END;
}

/* What Python does. Whole values: all CPUs'. Results are 0 or an errno. */

static u64 hash_buckets(u64 number)
{
	u64 power = 1;
	while (power < number)
		power *= 2;
	return power;
}

/* Where the parts lie; the size of all. */
static u64 hash_lay_out(struct hash *h, const struct skep_shape *shape, u64 buckets)
{
	h->links = (sizeof(struct hash) + 4 * buckets + 7) & ~7ull;
	h->keys = h->links + (u64)shape->max_entries * sizeof(struct link);
	h->populations = h->keys + (u64)shape->max_entries * ((shape->key_size + 7) & ~7u);
	return h->populations + (shape->type == LPM_TRIE ? sizeof(struct population) * (8 * (shape->key_size - 4) + 1) : 0);
}

u64 hash_storage(const struct skep_shape *shape)
{
	struct hash h;
	return hash_lay_out(&h, shape, hash_buckets(shape->max_entries));
}

/* `map->storage` is zeroed memory of hash_storage() bytes. */
void hash_start(struct skep_map *map)
{
	struct hash *h = map->storage;
	u64 buckets = hash_buckets(map->shape.max_entries);
	h->mask = buckets - 1;
	hash_lay_out(h, &map->shape, buckets);
}

u64 hash_get(struct skep_map *map, const u8 *key, u8 *value)
{
	struct hash *h = map->storage;
	u32 sequence, element;
	do {
		sequence = hash_begin(h);
		element = hash_find(h, &map->shape, key);
		if (element)
			__builtin_memcpy(value, hash_value(map, &map->shape, element - 1), map->shape.stride);
	} while (hash_changed(h, sequence));
	return element ? 0 : ENOENT;
}

u64 hash_set(struct skep_map *map, const u8 *key, const u8 *value, u64 flags)
{
	u64 result = 0;
	int is_new;
	u32 element;
	if (flags > (BPF_F_LOCK | BPF_EXIST) || (flags & 3) == 3)
		return EINVAL;
	hash_lock(map->storage, THREAD);
	element = hash_place(map, &map->shape, key, flags, &result, &is_new);
	if (element) {
		__builtin_memcpy(hash_value(map, &map->shape, element - 1), value, map->shape.stride);
		result = 0;
	}
	hash_unlock(map->storage);
	return -result;
}

/* Remove a key; its value is copied out first where `value` is not 0. */
u64 hash_remove(struct skep_map *map, const u8 *key, u8 *value)
{
	struct hash *h = map->storage;
	u32 element;
	hash_lock(h, THREAD);
	element = hash_find(h, &map->shape, key);
	if (element) {
		if (value)
			__builtin_memcpy(value, hash_value(map, &map->shape, element - 1), map->shape.stride);
		hash_give_back(h, &map->shape, element - 1);
	}
	hash_unlock(h);
	return element ? 0 : ENOENT;
}

/* The first key, or (key not 0) the one after; a key that is gone starts again, as in the kernel. */
u64 hash_next(struct skep_map *map, const u8 *key, u8 *following)
{
	struct hash *h = map->storage;
	u32 element = 0, found = ENOENT;
	hash_lock(h, THREAD);
	if (key)
		element = hash_find(h, &map->shape, key); /* its number + 1: where the search goes on */
	for (; element < h->fresh; element++) {
		if (hash_links(h)[element].state != FREE) {
			__builtin_memcpy(following, hash_key(h, &map->shape, element), map->shape.key_size);
			found = 0;
			break;
		}
	}
	hash_unlock(h);
	return found;
}

/* Copy elements from *position on, at most `room`, and remove them if told to; how many. *position is SKEP_END after the last. */
u64 hash_dump(struct skep_map *map, u64 *position, u8 *keys, u8 *values, u64 room, u64 removing)
{
	struct hash *h = map->storage;
	u32 key_size = map->shape.key_size, stride = map->shape.stride;
	u64 at = *position, count = 0;
	hash_lock(h, THREAD);
	for (; at < h->fresh && count < room; at++) {
		if (hash_links(h)[at].state == FREE)
			continue;
		__builtin_memcpy(keys + count * key_size, hash_key(h, &map->shape, at), key_size);
		__builtin_memcpy(values + count * stride, hash_value(map, &map->shape, at), stride);
		count++;
		if (removing)
			hash_give_back(h, &map->shape, at);
	}
	*position = at < h->fresh ? at : SKEP_END;
	hash_unlock(h);
	return count;
}

u64 hash_count(struct skep_map *map)
{
	return ((struct hash *)map->storage)->count;
}
