/* Helpers about time, chance and the current task, and the lines that programs print. */
#include "env.h"

struct skep_timespec {
	long seconds;
	long nanoseconds;
};
int clock_gettime(int clock, struct skep_timespec *time);

int clock_getres(int clock, struct skep_timespec *time);
int access(const char *path, int mode);
int open(const char *path, int flags);
long read(int file, void *to, u64 size);
int close(int file);
char *strstr(const char *text, const char *part);
int stat(const char *path, void *found);
int snprintf(char *to, u64 size, const char *format, ...);

#define CLOCK_MONOTONIC 1
#define CLOCK_MONOTONIC_COARSE 6
#define CLOCK_BOOTTIME 7
#define CLOCK_TAI 11
#define SECOND 1000000000ULL
#define NODES 64

static u64 now(int clock)
{
	struct skep_timespec time;

	clock_gettime(clock, &time);
	return time.seconds * SECOND + time.nanoseconds;
}

u64 helper_ktime_get_ns(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return env->task->time ? env->task->time : now(CLOCK_MONOTONIC);
}

u64 helper_ktime_get_boot_ns(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return env->task->time ? env->task->time + env->task->boot_offset : now(CLOCK_BOOTTIME);
}

u64 helper_ktime_get_coarse_ns(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return env->task->time ? env->task->time : now(CLOCK_MONOTONIC_COARSE);
}

u64 helper_ktime_get_tai_ns(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return now(CLOCK_TAI);
}

/* Ticks; the coarse clocks' resolution is one (LOW_RES_NSEC), and the count begins 300 s before it wraps (INITIAL_JIFFIES).
 * The kernel begins to count some ticks after the clock: a difference of two is exact, one alone is off by these. */
u64 helper_jiffies64(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	struct skep_timespec tick;
	u64 ticks;

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	ticks = (SECOND + tick.nanoseconds / 2) / tick.nanoseconds;
	return (u32)(-300 * (s64)ticks) + now(CLOCK_MONOTONIC_COARSE) / tick.nanoseconds;
}

u64 helper_get_prandom_u32(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	u64 x = env->random; /* xorshift64*; the state is never 0 */

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	env->random = x;
	return (x * 0x2545f4914f6cdd1dULL) >> 32;
}

u64 helper_get_smp_processor_id(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return env->task->cpu;
}

u64 helper_get_current_pid_tgid(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return (u64)env->task->tgid << 32 | env->task->pid;
}

u64 helper_get_current_uid_gid(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return (u64)env->task->gid << 32 | env->task->uid;
}

u64 helper_get_current_comm(struct skep_env *env, u64 buffer, u64 size, u64 c, u64 d, u64 e)
{
	char *to = (char *)buffer;
	u64 i;

	if (!size)
		return -22;
	for (i = 0; i < size; i++)
		to[i] = i < 15 && i < size - 1 ? env->task->comm[i] : 0;
	return 0;
}

u64 helper_get_numa_node_id(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	char path[64];
	u32 node;

	for (node = 0; node < NODES; node++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpu%u", node, env->task->cpu);
		if (!access(path, 0))
			return node;
	}
	return 0;
}

u64 helper_get_current_cgroup_id(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	char text[4200], *path = text + 128, *end;
	u64 found[18];
	long size;
	int file;

	if (env->task->cgroup)
		return env->task->cgroup;
	snprintf(text, 64, "/proc/%u/cgroup", env->task->pid);
	file = open(text, 0);
	if (file < 0)
		return 0;
	size = read(file, path, 4000);
	close(file);
	path[size > 0 ? size : 0] = 0;
	path = strstr(path, "0::/"); /* cgroup v2; its ids are inodes */
	if (!path)
		return 0;
	path += 3;
	for (end = path; *end && *end != '\n'; end++)
		;
	*end = 0;
	__builtin_memcpy(path - 14, "/sys/fs/cgroup", 14);
	return stat(path - 14, found) ? 0 : found[1];
}

/* The ids of this process's namespace are the only ones that the engine knows. */
u64 helper_get_ns_current_pid_tgid(struct skep_env *env, u64 device, u64 inode, u64 to, u64 size, u64 e)
{
	u64 found[18]; /* struct stat: the device and the inode are the first words */
	u32 ids[2] = { env->task->pid, env->task->tgid };

	if (size == sizeof(ids) && !stat("/proc/self/ns/pid", found) && found[0] == device && found[1] == inode) {
		__builtin_memcpy((void *)to, ids, sizeof(ids));
		return 0;
	}
	__builtin_memset((void *)to, 0, size);
	return -22;
}

/* Hooks of this engine carry no cookie. */
u64 helper_get_attach_cookie(struct skep_env *env, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return 0;
}
