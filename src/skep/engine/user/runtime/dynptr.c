/* Dynptrs: memory whose size is known when the program runs (kernel/bpf/helpers.c). What a program keeps on its stack is only a
 * place; what it stands for is in env->dynptrs, where programs cannot write.
 */
#include "ringbuf.h"

enum { NONE, LOCAL, RING };
enum { MOST = (1 << 24) - 1 /* DYNPTR_MAX_SIZE */ };

static struct skep_dynptr *dynptr_at(struct skep_env *env, u64 place)
{
	u64 at;
	for (at = 0; at < env->dynptr_count; at++)
		if (env->dynptrs[at].place == place)
			return env->dynptrs + at;
	return 0;
}

/* A dynptr of nothing at a place; 0 where the list is full, or one there still holds a record. */
static struct skep_dynptr *dynptr_new(struct skep_env *env, u64 place)
{
	struct skep_dynptr *made = dynptr_at(env, place);
	__builtin_memset((void *)place, 0, 16);
	if (made && made->kind == RING)
		return 0;
	if (!made) {
		if (env->dynptr_count == SKEP_HELD)
			return 0;
		made = env->dynptrs + env->dynptr_count++;
	}
	made->place = place;
	made->kind = NONE;
	return made;
}

/* `size` bytes at an offset of it. */
static u8 *dynptr_part(const struct skep_dynptr *dynptr, u32 offset, u32 size)
{
	return size <= dynptr->size && offset <= dynptr->size - size ? dynptr->data + offset : 0;
}

COLD u64 helper_dynptr_from_mem(struct skep_env *env, u64 data, u64 size, u64 flags, u64 place, u64 e)
{
	struct skep_dynptr *made = dynptr_new(env, place);
	if ((u32)size > MOST)
		return FAILED(E2BIG);
	if (flags || !made)
		return FAILED(EINVAL);
	made->data = (u8 *)data;
	made->size = size;
	made->kind = LOCAL;
	return 0;
}

COLD u64 helper_ringbuf_reserve_dynptr(struct skep_env *env, u64 map, u64 size, u64 flags, u64 place, u64 e)
{
	struct skep_dynptr *made = dynptr_new(env, place);
	if (flags || !made)
		return FAILED(EINVAL);
	if ((u32)size > MOST)
		return FAILED(E2BIG);
	made->data = (u8 *)ringbuf_hold(env, ((struct skep_map *)map)->storage, (u32)size);
	if (!made->data)
		return FAILED(EINVAL);
	made->size = size;
	made->kind = RING;
	return 0;
}

static void finish(struct skep_env *env, u64 place, u32 flags, u64 wakeup)
{
	struct skep_dynptr *dynptr = dynptr_at(env, place);
	if (!dynptr || dynptr->kind != RING)
		return;
	ringbuf_let_go(env, (u64)dynptr->data, flags, wakeup);
	dynptr->kind = NONE;
}

COLD u64 helper_ringbuf_submit_dynptr(struct skep_env *env, u64 place, u64 flags, u64 c, u64 d, u64 e)
{
	finish(env, place, 0, flags);
	return 0;
}

COLD u64 helper_ringbuf_discard_dynptr(struct skep_env *env, u64 place, u64 flags, u64 c, u64 d, u64 e)
{
	finish(env, place, DISCARD, flags);
	return 0;
}

COLD u64 helper_dynptr_read(struct skep_env *env, u64 to, u64 size, u64 place, u64 offset, u64 flags)
{
	struct skep_dynptr *dynptr = dynptr_at(env, place);
	u8 *part;
	if (!dynptr || !dynptr->kind || flags)
		return FAILED(EINVAL);
	part = dynptr_part(dynptr, offset, size);
	if (!part)
		return FAILED(E2BIG);
	__builtin_memmove((void *)to, part, (u32)size);
	return 0;
}

COLD u64 helper_dynptr_write(struct skep_env *env, u64 place, u64 offset, u64 from, u64 size, u64 flags)
{
	struct skep_dynptr *dynptr = dynptr_at(env, place);
	u8 *part;
	if (!dynptr || !dynptr->kind)
		return FAILED(EINVAL);
	part = dynptr_part(dynptr, offset, size);
	if (!part)
		return FAILED(E2BIG);
	if (flags)
		return FAILED(EINVAL);
	__builtin_memmove(part, (const void *)from, (u32)size);
	return 0;
}

COLD u64 helper_dynptr_data(struct skep_env *env, u64 place, u64 offset, u64 size, u64 d, u64 e)
{
	struct skep_dynptr *dynptr = dynptr_at(env, place);
	return dynptr && dynptr->kind ? (u64)dynptr_part(dynptr, offset, size) : 0;
}
