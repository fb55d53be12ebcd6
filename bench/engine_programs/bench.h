/* What the programs of bench/engine.py share: names of types, and for clang's native build the maps that Skep has by itself. */
#ifdef NATIVE
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name)
#define NOINLINE __attribute__((noinline))
#define MAP(name, kind, count)                                                                                         \
	static struct native_map name = { count };
struct native_map {
	u32 max_entries;
	u64 values[1024];
	u32 keys[1024];
	u8 used[1024];
};
static inline u32 slot_of(struct native_map *map, u32 key)
{
	u32 at = (key * 2654435761u) >> 22;

	while (map->used[at] && map->keys[at] != key)
		at = (at + 1) & 1023;
	return at;
}
static inline u64 *array_at(struct native_map *map, u32 *key)
{
	return *key < map->max_entries ? &map->values[*key] : (u64 *)0;
}
static inline u64 *hash_at(struct native_map *map, u32 *key)
{
	u32 at = slot_of(map, *key);

	return map->used[at] ? &map->values[at] : (u64 *)0;
}
static inline void hash_put(struct native_map *map, u32 *key, u64 *value)
{
	u32 at = slot_of(map, *key);

	map->used[at] = 1;
	map->keys[at] = *key;
	map->values[at] = *value;
}
#else
#define NOINLINE __attribute__((noinline))
#define MAP(name, kind, count) kind(name, count)
#define ARRAY(name, count) BPF_ARRAY(name, u64, count);
#define HASH(name, count) BPF_HASH(name, u32, u64, count);
#define array_at(map, key) (*(map)).lookup(key)
#define hash_at(map, key) (*(map)).lookup(key)
#define hash_put(map, key, value) (*(map)).update(key, value)
#endif
struct memory {
	u8 bytes[65536];
};
