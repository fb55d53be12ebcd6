/* Queues and stacks: values in a ring; a stack takes from the end where it puts. */
#include "lock.h"

enum { QUEUE = 22, STACK = 23 };

struct queue {
	u32 lock;
	u32 first;
	u32 count;
};

ALWAYS u8 *queue_slot(struct skep_map *map, u32 number)
{
	return map->values + (u64)(number % map->shape.max_entries) * map->shape.stride;
}

/* Where the value that comes out next lies. */
ALWAYS u8 *queue_next(struct skep_map *map, struct queue *q)
{
	return queue_slot(map, map->shape.type == STACK ? q->first + q->count - 1 : q->first);
}

NEVER u64 queue_put(struct skep_map *map, u32 mine, const void *value, u64 flags)
{
	struct queue *q = map->storage;
	u64 result = 0;
	if (flags != BPF_ANY && flags != BPF_EXIST)
		return FAILED(EINVAL);
	take_lock(&q->lock, mine);
	if (q->count == map->shape.max_entries) {
		if (flags == BPF_EXIST) { /* the oldest goes */
			q->first = (q->first + 1) % map->shape.max_entries;
			q->count--;
		} else {
			result = FAILED(E2BIG);
		}
	}
	if (!result)
		__builtin_memcpy(queue_slot(map, q->first + q->count++), value, map->shape.value_size);
	give_lock(&q->lock);
	return result;
}

NEVER u64 queue_take(struct skep_map *map, u32 mine, void *value, int removing)
{
	struct queue *q = map->storage;
	u64 result = 0;
	take_lock(&q->lock, mine);
	if (!q->count) {
		__builtin_memset(value, 0, map->shape.value_size);
		result = FAILED(ENOENT);
	} else {
		__builtin_memcpy(value, queue_next(map, q), map->shape.value_size);
		if (removing) {
			q->count--;
			if (map->shape.type == QUEUE)
				q->first = (q->first + 1) % map->shape.max_entries;
		}
	}
	give_lock(&q->lock);
	return result;
}

HOT u64 queue_push(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 value, u64 flags, u64 c)
{
	return queue_put(map, holder_of(env), (const void *)value, flags);
}

HOT u64 queue_pop(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 value, u64 b, u64 c)
{
	return queue_take(map, holder_of(env), (void *)value, 1);
}

HOT u64 queue_peek(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 value, u64 b, u64 c)
{
	return queue_take(map, holder_of(env), (void *)value, 0);
}

/* What Python does; results are 0 or an errno. */

u64 queue_storage(const struct skep_shape *shape)
{
	return sizeof(struct queue);
}

void queue_start(struct skep_map *map)
{
}

u64 queue_set(struct skep_map *map, const u8 *key, const u8 *value, u64 flags)
{
	return -queue_put(map, THREAD, value, flags);
}

u64 queue_get(struct skep_map *map, const u8 *key, u8 *value)
{
	return -queue_take(map, THREAD, value, 0);
}

u64 queue_remove(struct skep_map *map, const u8 *key, u8 *value)
{
	return -queue_take(map, THREAD, value, 1);
}
