/* Helpers that read memory by address: the program's own, which the engine has looked at (`known`), or the traced process's.
 *
 * A program that runs by itself (task->reader is 0) reads nobody's: this process is none of its business.
 */
#include "lock.h"

enum { EFAULT = 14, ERANGE = 34, PAGE = 4096 };
#define USER_END (1ull << 47)

struct span {
	u64 base;
	u64 size;
};

extern long process_vm_readv(int pid, const void *local, u64 locals, const void *remote, u64 remotes, u64 flags);

static u64 read_process(struct skep_env *env, u64 to, u64 size, u64 from)
{
	struct span local = { to, size }, remote = { from, size };
	if (!env->task->reader)
		return FAILED(EFAULT);
	if (process_vm_readv(env->task->reader, &local, 1, &remote, 1, 0) == (long)size)
		return 0;
	return FAILED(EFAULT);
}

/* Bytes of a string with its end, at most `size`; the last byte is always 0. */
static u64 copy_string(u8 *to, u64 size, const u8 *from)
{
	u64 at;
	for (at = 0; at < size; at++) {
		to[at] = from[at];
		if (!to[at])
			return at + 1;
	}
	to[size - 1] = 0;
	return size;
}

static u64 read_process_string(struct skep_env *env, u64 to, u64 size, u64 from)
{
	u8 *into = (u8 *)to;
	u64 done = 0, at;
	while (done < size) { /* to the end of the page: the string may end before what cannot be read */
		u64 piece = PAGE - ((from + done) & (PAGE - 1));
		if (piece > size - done)
			piece = size - done;
		if (read_process(env, to + done, piece, from + done)) {
			__builtin_memset(into, 0, size);
			return FAILED(EFAULT);
		}
		for (at = done; at < done + piece; at++)
			if (!into[at]) {
				__builtin_memset(into + at, 0, size - at);
				return at + 1;
			}
		done += piece;
	}
	into[size - 1] = 0;
	return size;
}

COLD u64 helper_probe_read_user(struct skep_env *env, u64 to, u64 size, u64 from, u64 d, u64 known)
{
	u64 result;
	if (!size)
		return 0;
	result = read_process(env, to, size, from);
	if (result)
		__builtin_memset((void *)to, 0, size);
	return result;
}

/* What the kernel says of an address that it does not read for itself: copy_from_kernel_nofault_allowed(), arch/x86/mm/maccess.c. */
static u64 unread(u64 from)
{
	return from < USER_END + PAGE ? FAILED(ERANGE) : FAILED(EFAULT);
}

COLD u64 helper_probe_read_kernel(struct skep_env *env, u64 to, u64 size, u64 from, u64 d, u64 known)
{
	if (!known) {
		__builtin_memset((void *)to, 0, size);
		return unread(from);
	}
	__builtin_memmove((void *)to, (const void *)from, size);
	return 0;
}

COLD u64 helper_probe_read(struct skep_env *env, u64 to, u64 size, u64 from, u64 d, u64 known)
{
	if (known)
		return helper_probe_read_kernel(env, to, size, from, 0, known);
	return helper_probe_read_user(env, to, size, from, 0, 0);
}

COLD u64 helper_probe_read_user_str(struct skep_env *env, u64 to, u64 size, u64 from, u64 d, u64 known)
{
	return size ? read_process_string(env, to, size, from) : 0;
}

COLD u64 helper_probe_read_kernel_str(struct skep_env *env, u64 to, u64 size, u64 from, u64 d, u64 known)
{
	if (!size)
		return 0;
	if (!known) {
		__builtin_memset((void *)to, 0, size);
		return unread(from);
	}
	return copy_string((u8 *)to, size, (const u8 *)from);
}

COLD u64 helper_probe_read_str(struct skep_env *env, u64 to, u64 size, u64 from, u64 d, u64 known)
{
	if (known)
		return helper_probe_read_kernel_str(env, to, size, from, 0, known);
	return helper_probe_read_user_str(env, to, size, from, 0, 0);
}

/* bpf_copy_from_user(): as probe_read_user, for programs that may sleep. */
COLD u64 helper_copy_from_user(struct skep_env *env, u64 to, u64 size, u64 from, u64 d, u64 known)
{
	return helper_probe_read_user(env, to, size, from, 0, known);
}
