/* Maps of maps: what is kept for a key is the address of a struct skep_map, or 0. Only Python writes them. */
#include "hash.h"

HOT u64 array_of_maps_lookup(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 b, u64 c)
{
	u32 index = load_half((const void *)key);
	return index < map->shape.max_entries ? __atomic_load_n((u64 *)map->storage + index, __ATOMIC_ACQUIRE) : 0;
}

/* A hash of maps: `map->spare[0]` is the struct skep_map of a hash with 8-byte values. */
HOT u64 hash_of_maps_lookup(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 b, u64 c)
{
	struct skep_map *inside = (struct skep_map *)map->spare[0];
	struct hash *h = inside->storage;
	u32 found = hash_look(h, &inside->shape, (const u8 *)key);
	return found ? __atomic_load_n((u64 *)(inside->values + (u64)(found - 1) * 8), __ATOMIC_ACQUIRE) : 0;
}
