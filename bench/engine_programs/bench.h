/* What the programs of bench/engine.py share: names of types, and for clang's native build the engine's own map code. */
#ifdef NATIVE
#include "../../src/skep/engine/user/runtime/hash.c"
#include "../../src/skep/engine/user/runtime/arrays.c"
#define SEC(name)
#define ARRAY 2, 4
#define HASH 1, 4
#define MAP(name, kind, count)                                                                                         \
	struct skep_map *name;                                                                                         \
	static const struct skep_shape name##_shape = { kind, 8, count, 0, 8 };
#define array_at(map, key) ((u64 *)array_lookup(0, map, &map##_shape, (u64)(key), 0, 0))
#define hash_at(map, key) ((u64 *)hash_lookup(0, map, &map##_shape, (u64)(key), 0, 0))
#define hash_put(map, key, value) hash_update(0, map, &map##_shape, (u64)(key), (u64)(value), 0)
#else
#define MAP(name, kind, count) kind(name, count)
#define ARRAY(name, count) BPF_ARRAY(name, u64, count);
#define HASH(name, count) BPF_HASH(name, u32, u64, count);
#define array_at(map, key) map.lookup(key)
#define hash_at(map, key) map.lookup(key)
#define hash_put(map, key, value) map.update(key, value)
#endif
#define NOINLINE __attribute__((noinline))
struct memory {
	u8 bytes[65536];
};
