/* Arrays: a value for each index from 0 on, 8-byte aligned. */
#include "env.h"

#define BPF_NOEXIST 1
#define BPF_EXIST 2
#define E2BIG 7
#define EEXIST 17
#define EINVAL 22

static inline u32 entries(struct skep_map *map, const struct skep_shape *shape)
{
	return shape->max_entries ? shape->max_entries : map->shape.max_entries;
}

__attribute__((always_inline)) u64 array_lookup(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape,
						u64 key, u64 unused1, u64 unused2)
{
	u32 index = *(u32 *)key;

	if (index >= entries(map, shape))
		return 0;
	return (u64)(map->values + (u64)index * shape->stride);
}

__attribute__((always_inline)) u64 array_update(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape,
						u64 key, u64 value, u64 flags)
{
	u32 index = *(u32 *)key;

	if (flags > BPF_EXIST)
		return -EINVAL;
	if (index >= entries(map, shape))
		return -E2BIG;
	if (flags == BPF_NOEXIST)
		return -EEXIST;
	__builtin_memmove(map->values + (u64)index * shape->stride, (void *)value, shape->value_size);
	return 0;
}

u64 array_delete(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 unused1, u64 unused2)
{
	return -EINVAL;
}

u64 array_iterate(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 position, u64 element, u64 unused)
{
	struct skep_element *found = (struct skep_element *)element;
	u32 *key = (u32 *)map->storage; /* one word: the index that a callback is shown */

	if (position >= entries(map, shape))
		return SKEP_END;
	*key = position;
	found->key = key;
	found->value = map->values + position * shape->stride;
	return position + 1;
}
