/* What a running program and its helpers share with Python and with the event sources.
 *
 * Included by the C files of this folder, which Skep's own compiler translates for the host; layout.py is the Python mirror
 * and tests/engine/user/test_execution.py compares the two. All fields are little or big endian as the machine is.
 *
 * A program is entered as  u64 entry(void *ctx, struct skep_env *env);  one env per thread that runs programs. Before each
 * run the caller sets ctx_size, deadline = 0 and tail_calls = 0; afterwards `fault` says whether the result counts.
 *
 * How a helper is added: a row in helpers.py (number, name, kinds of its arguments) and here a function
 *     u64 helper_NAME(struct skep_env *env, u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
 * The translator has proved or checked pointer arguments before the call: memory of the size that the row says is there.
 * What a row calls WRITE must be written whole, also by calls that fail (or the helper be one of LEAVING): a stack that was never
 * cleared would show.
 *
 * How a map kind is added: a row in mapkinds.py (type number, name, which operations it has) and functions
 *     u64 NAME_OPERATION(struct skep_env *env, struct skep_map *map, const struct skep_shape *shape, u64 a, u64 b, u64 c)
 * a, b, c are the helper's arguments after the map: lookup(key), update(key, value, flags), delete(key), push(value, flags),
 * pop(value), peek(value), and iterate(position, struct skep_element *) for for_each_map_elem, which gives the next position
 * or ~0 at the end. `shape` is a constant where the map is known when the program is translated, so that tests on sizes fold
 * away after inlining (mark hot ones __attribute__((always_inline))); max_entries is 0 in it for inner maps: ask map->shape.
 * Memory that programs may touch must be in `values`, each element's value at values + n * stride, 8-byte aligned: what
 * the engine keeps for itself (hash links, ring positions) must lie elsewhere, in `storage`.
 */
#ifndef SKEP_ENV_H
#define SKEP_ENV_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

/* What the helpers tell about the task that an event comes from. */
struct skep_task {
	u32 pid; /* of the thread; bpf_get_current_pid_tgid() is tgid << 32 | pid */
	u32 tgid;
	u32 uid;
	u32 gid;
	u32 cpu;
	u32 parent; /* tgid of the parent */
	u64 time; /* of the event, CLOCK_MONOTONIC ns; 0: read the clock when asked */
	u64 boot_offset; /* CLOCK_BOOTTIME - CLOCK_MONOTONIC, used with `time` */
	u64 cgroup;
	u64 reader; /* what probe_read_user reads from: 0 this process, else a pid for process_vm_readv */
	char comm[16];
};

enum skep_fault {
	SKEP_OK,
	SKEP_BAD_MEMORY, /* fault_address, fault_size: outside of everything that the program may touch */
	SKEP_MISALIGNED, /* an atomic operation on fault_address */
	SKEP_TIME_OVER,
	SKEP_BAD_CALL, /* callx of fault_address, which is no function */
	SKEP_CLOSED, /* the program was closed */
};

/* Memory that a program may touch besides its context and its stack. With a stride, only the first `span` bytes of each piece. */
struct skep_region {
	u64 base;
	u64 size;
	u64 stride; /* 0: all of it */
	u64 span;
};

struct skep_regions {
	u64 count;
	struct skep_region rows[];
};

struct skep_shape {
	u32 type; /* BPF_MAP_TYPE_* */
	u32 key_size;
	u32 value_size;
	u32 max_entries; /* 0 in a constant shape: see map->shape */
	u32 flags;
	u32 stride; /* bytes from one value to the next */
};

struct skep_map {
	struct skep_shape shape;
	u8 *values;
	u64 values_size;
	void *storage;
	u64 storage_size;
	u64 id; /* as Python numbers it */
	u64 spare[3];
};

struct skep_element {
	void *key;
	void *value;
};

/* Lines for Python (trace_printk), written into a pipe whole or not at all. */
struct skep_output {
	u64 fd;
	u64 lost; /* lines that found no room */
};

/* What a struct bpf_dynptr of a program's stands for; `place` is where the program keeps it. */
struct skep_dynptr {
	u64 place;
	u8 *data;
	u32 size;
	u32 kind; /* enum in dynptr.c */
};

enum { SKEP_HELD = 16 };

struct skep_env {
	struct skep_task *task;
	u64 ctx_size; /* bytes of context that may be touched */
	u64 fault; /* enum skep_fault; set by the program, cleared by whoever has reported it */
	u64 fault_insn;
	u64 fault_address;
	u64 fault_size;
	u64 deadline; /* CLOCK_MONOTONIC ns; 0: time_limit from the first look at the clock */
	u64 time_limit; /* ns; 0: none */
	u64 stop; /* set from outside (a signal handler): end the run as if the time were over */
	u64 tail_calls; /* made in this run */
	u64 random; /* state of get_prandom_u32 */
	u64 fuel; /* what is left of a loop's allowance while a program calls a function of its own */
	struct skep_output *output;
	void *owner; /* of whoever runs programs: the tracer's state */
	/* what a program may touch, set before helpers that look for themselves (Helper.looks) */
	u8 *ctx;
	u8 *stack;
	u64 stack_size;
	struct skep_regions *regions;
	u64 holder; /* what this run's locks hold: the pid of a process that shares this memory, 0: a thread of this one */
	u64 spare[3];
	/* what the run has to give back at its end: skep_release() of ringbuf.c */
	u64 held_count;
	u64 held[SKEP_HELD]; /* records that are reserved and not submitted */
	u64 dynptr_count;
	struct skep_dynptr dynptrs[SKEP_HELD];
};

#define SKEP_END (~0ULL)

#endif
