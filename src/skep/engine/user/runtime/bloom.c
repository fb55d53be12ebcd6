/* Bloom filters: `map->spare[0]` is the number of hash functions, storage a power of two of bits. */
#include "lock.h"
#include "hash.h"

struct bloom {
	u64 mask; /* bits - 1 */
	u64 words[];
};

ALWAYS u64 bloom_bit(const struct bloom *filter, const struct skep_map *map, const u8 *value, u64 number)
{
	return mix(hash_of(value, map->shape.value_size), number + 1) & filter->mask;
}

NEVER u64 bloom_add(struct skep_map *map, const u8 *value, u64 flags)
{
	struct bloom *filter = map->storage;
	u64 number;
	if (flags != BPF_ANY)
		return FAILED(EINVAL);
	for (number = 0; number < map->spare[0]; number++) {
		u64 bit = bloom_bit(filter, map, value, number);
		__atomic_fetch_or(&filter->words[bit / 64], 1ull << bit % 64, __ATOMIC_RELAXED);
	}
	return 0;
}

NEVER u64 bloom_test(struct skep_map *map, const u8 *value)
{
	struct bloom *filter = map->storage;
	u64 number;
	for (number = 0; number < map->spare[0]; number++) {
		u64 bit = bloom_bit(filter, map, value, number);
		if (!(filter->words[bit / 64] >> bit % 64 & 1))
			return FAILED(ENOENT);
	}
	return 0;
}

HOT u64 bloom_push(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 value, u64 flags, u64 c)
{
	return bloom_add(map, (const u8 *)value, flags);
}

HOT u64 bloom_peek(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 value, u64 b, u64 c)
{
	return bloom_test(map, (const u8 *)value);
}

/* What Python does; results are 0 or an errno. */

/* Bits for `functions` hash functions at half of the bits set: entries * functions * 7 / 5 (kernel/bpf/bloom_filter.c). */
static u64 bloom_bits(u64 entries, u64 functions)
{
	u64 wanted = entries * functions / 5 * 7, bits = 64;
	while (bits < wanted && bits < 1ull << 32)
		bits *= 2;
	return bits;
}

u64 bloom_storage(const struct skep_shape *shape)
{
	return sizeof(struct bloom) + bloom_bits(shape->max_entries, 15) / 8;
}

void bloom_start(struct skep_map *map)
{
	struct bloom *filter = map->storage;
	if (!map->spare[0])
		map->spare[0] = 5; /* the kernel's default */
	filter->mask = bloom_bits(map->shape.max_entries, map->spare[0]) - 1;
}

u64 bloom_set(struct skep_map *map, const u8 *key, const u8 *value, u64 flags)
{
	return -bloom_add(map, value, flags);
}

/* Here `value` is asked for, not given. */
u64 bloom_get(struct skep_map *map, const u8 *key, u8 *value)
{
	return -bloom_test(map, value);
}
