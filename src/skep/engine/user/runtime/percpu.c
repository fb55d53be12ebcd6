/* Per-CPU arrays: for each index a value for each CPU, and maps whose values are maps. */
#include "lock.h"

ALWAYS u32 percpu_piece(const struct skep_shape *shape)
{
	return (shape->value_size + 7) & ~7u;
}

ALWAYS u64 percpu_value(struct skep_map *map, const struct skep_shape *shape, u64 key, u64 cpu)
{
	u32 index;
	u64 offset = cpu * percpu_piece(shape);
	__builtin_memcpy(&index, (const void *)key, 4);
	if (index >= map->shape.max_entries)
		return 0;
	/* a CPU that was never announced (hotplug) shares the last piece */
	if (offset >= shape->stride)
		offset = shape->stride - percpu_piece(shape);
	return (u64)(map->values + (u64)index * shape->stride + offset);
}

HOT u64 percpu_array_lookup(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 b, u64 c)
{
	return percpu_value(map, shape, key, env->task->cpu);
}

HOT u64 percpu_array_lookup_percpu(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 cpu,
				      u64 c)
{
	return cpu < shape->stride / percpu_piece(shape) ? percpu_value(map, shape, key, cpu) : 0;
}

HOT u64 percpu_array_update(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 value,
			       u64 flags)
{
	u64 to = percpu_value(map, shape, key, env->task->cpu);
	if (flags > BPF_EXIST)
		return FAILED(EINVAL);
	if (!to)
		return FAILED(E2BIG);
	if (flags == BPF_NOEXIST)
		return FAILED(EEXIST);
	__builtin_memmove((void *)to, (const void *)value, shape->value_size);
	return 0;
}

HOT u64 percpu_array_delete(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 key, u64 b, u64 c)
{
	return FAILED(EINVAL);
}

COLD u64 percpu_array_iterate(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 position, u64 found,
			       u64 c)
{
	struct skep_element *element = (struct skep_element *)found;
	u32 *key = map->storage; /* one word: the index that a callback is shown */
	if (position >= map->shape.max_entries)
		return SKEP_END;
	*key = position;
	element->key = key;
	element->value = (void *)percpu_value(map, shape, (u64)key, env->task->cpu);
	return position + 1;
}
