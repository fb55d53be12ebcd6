/* Types and numbers of tracer.c: its state, which tracer.py fills, and what it needs of the kernel's and C library's interfaces. */
#ifndef SKEP_TRACER_H
#define SKEP_TRACER_H

#include "env.h"

/* ---- include/uapi/linux/ptrace.h */
enum {
	PTRACE_POKEUSER = 6, PTRACE_CONT = 7, PTRACE_GETREGS = 12, PTRACE_DETACH = 17, PTRACE_SYSCALL = 24, PTRACE_SETOPTIONS = 0x4200,
	PTRACE_GETEVENTMSG = 0x4201, PTRACE_SEIZE = 0x4206, PTRACE_INTERRUPT = 0x4207, PTRACE_LISTEN = 0x4208,
	PTRACE_GET_SYSCALL_INFO = 0x420e, PTRACE_GET_RSEQ_CONFIGURATION = 0x420f,
};
enum {
	PTRACE_EVENT_FORK = 1, PTRACE_EVENT_VFORK = 2, PTRACE_EVENT_CLONE = 3, PTRACE_EVENT_EXEC = 4, PTRACE_EVENT_EXIT = 6,
	PTRACE_EVENT_SECCOMP = 7, PTRACE_EVENT_STOP = 128,
};
#define PTRACE_O_EXITKILL (1u << 20)
#define PTRACE_O_TRACESECCOMP (1u << 7)
#define FILTER_MARK 0x5ee9 /* what our filter returns with SECCOMP_RET_TRACE: tracer_filter.py */
enum { SYSCALL_INFO_ENTRY = 1, SYSCALL_INFO_EXIT = 2, SYSCALL_INFO_SECCOMP = 3 };

struct syscall_info { /* struct ptrace_syscall_info (5.3) */
	u8 op;
	u8 pad[3];
	u32 arch;
	u64 instruction_pointer;
	u64 stack_pointer;
	union {
		struct {
			u64 number;
			u64 args[6];
			u32 filter_data;
		} enter;
		struct {
			s64 result;
			u8 is_error;
		} leave;
	};
};

struct rseq_configuration { /* struct ptrace_rseq_configuration (5.13) */
	u64 area;
	u32 area_size;
	u32 signature;
	u32 flags;
	u32 pad;
};

/* ---- arch/x86/include/uapi/asm/ptrace.h: struct pt_regs; user_regs_struct begins with the same */
#define REGS 21
#define USER_REGS 27
enum { REG_DI = 14, REG_ORIG_AX = 15, REG_CS = 17 };
#define CS_32 0x23
#define AUDIT_ARCH_X86_64 0xc000003eu /* include/uapi/linux/audit.h */

/* ---- arch/x86/entry/syscalls/syscall_64.tbl */
enum {
	NR_CLOSE = 3, NR_RT_SIGRETURN = 15, NR_FORK = 57, NR_EXECVE = 59, NR_SETUID = 105, NR_SETGID = 106, NR_GETPPID = 110,
	NR_SETREUID = 113, NR_SETREGID = 114, NR_SETGROUPS = 116, NR_SETRESUID = 117, NR_SETRESGID = 119, NR_PRCTL = 157,
	NR_TIMER_CREATE = 222, NR_TIMER_SETTIME = 223, NR_TIMER_DELETE = 226, NR_SECCOMP = 317, NR_EXECVEAT = 322,
};
enum { PR_SET_NAME = 15, PR_SET_NO_NEW_PRIVS = 38, SECCOMP_SET_MODE_FILTER = 1, SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4, AT_EXECFN = 31 };
enum { SIGTRAP = 5, SIGKILL = 9, SIGSTOP = 19, SIGTSTP = 20, SIGTTIN = 21, SIGTTOU = 22, SIGCHLD = 17, SIG_SETMASK = 2 };
#define KICK 10 /* SIGUSR1: to the keeper, which has handlers of its own */
#define FAULT_SIGNALS (1ull << 3 | 1ull << 6 | 1ull << 7 | 1ull << 10) /* ILL, BUS, FPE, SEGV */
enum { EINTR = 4, ENOMEM = 12 };
#define O_RDONLY 0
#define O_CLOEXEC 02000000
#define WAIT_ALL 0x40000000 /* __WALL */
enum { CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_PARENT_SETTID = 0x100000, PR_SET_PDEATHSIG = 1 };

struct signal_info { /* siginfo_t, as a timer fills it */
	int number, error, code, pad;
	int timer, overrun;
	void *value;
};
enum { SI_TIMER = -2, SIGEV_SIGNAL = 0, SA_NOCLDSTOP = 1, SA_SIGINFO = 4, CLOCK_MONOTONIC = 1 };

struct signal_action { /* struct sigaction of glibc and musl on x86-64 */
	void (*handler)(int, const struct signal_info *, void *);
	u64 mask[16];
	int flags;
	void (*restorer)(void);
};

extern long ptrace(long request, ...);
extern long syscall(long number, ...);
extern long process_vm_readv(s32 pid, const void *local, u64 locals, const void *remote, u64 remotes, u64 flags);
extern s32 wait4(s32 pid, int *status, int options, void *usage);
extern int clone(int (*function)(void *), void *stack_end, int flags, void *argument, ...);
extern s32 getpid(void);
extern int execve(const char *path, char *const *words, char *const *environment);
extern int pipe2(int *fds, int flags);
extern int open(const char *path, int flags, ...);
extern long read(int fd, void *to, u64 size);
extern long write(int fd, const void *from, u64 size);
extern int close(int fd);
extern int access(const char *path, int mode);
extern int chdir(const char *path);
extern int dup2(int from, int to);
extern int setpgid(s32 pid, s32 group);
extern int kill(s32 pid, int signal);
extern void (*signal(int number, void (*handler)(int)))(int);
extern int sigaction(int number, const struct signal_action *new, struct signal_action *old);
extern int sigprocmask(int how, const void *new, void *old);
extern int prctl(int option, ...);
extern int sched_getcpu(void);
extern int clock_gettime(int clock, u64 *time);
extern void *calloc(u64 count, u64 size);
extern void free(void *memory);
extern __attribute__((noreturn)) void _exit(int status);
extern int *__errno_location(void);
#define errno_now (*__errno_location())

/* ---- the state */
#define BUCKETS 1024
#define CALLS 512 /* system call numbers; the last place is for numbers that are none */
#define HAPPENED 64
#define PATH_BYTES 4096

enum context { CONTEXT_RECORD, CONTEXT_RAW, CONTEXT_CALL, CONTEXT_SAMPLE };
enum { HOOK_CPU = 1 }; /* the program asks for its CPU */

struct hook {
	u64 (*entry)(void *ctx, struct skep_env *env);
	u32 context; /* enum context */
	u32 flags;
	u64 runs;
	u64 period; /* ns, of timers */
	u64 due;
	u32 is_due;
	u32 id; /* Python's */
};

enum { BEGAN = 1, NOT_STARTED, ENDED, FAULT, IS_COMPAT };
struct happening { /* what Python hears of */
	u32 kind;
	s32 pid; /* FAULT: the hook's row */
	u64 a, b, c, d; /* ENDED and NOT_STARTED: a is the wait status. FAULT: fault, insn, address, size */
};

/* How a command that could not be started ends; below 200 it is execve's errno. */
enum { EXIT_NO_TRACER = 200, EXIT_NO_FILTER, EXIT_NO_DIRECTORY, EXIT_NO_USER };
enum { EXIT_CRASH = 128 }; /* the keeper's, and a signal's number */

enum {
	OWNED = 1,     /* started by Skep: it ends with Skep */
	ROOT = 2,      /* asked for, not found as a child */
	FOLLOW = 4,    /* children, too */
	FILTERED = 8,  /* has the seccomp filter */
	HIDDEN = 16,   /* not yet the command: Skep's own child before execve */
	STARTED = 32,
	HELD = 64,     /* stopped until its parent's fork is reported */
	NEWBORN = 128, /* its first stop is to come */
	LEAVE = 256,   /* a child that nobody asked for */
	ENDING = 512,
	COMPAT = 1024, /* 32-bit, said once */
	SAMPLED = 2048,
};
enum { STALE_IDS = 1, STALE_COMM = 2 };
#define NO_RSEQ (~0ULL)

struct tracee {
	struct tracee *next;
	s32 tid;
	u32 flags;
	u32 options; /* ptrace's, as set */
	u32 stale;
	u32 exits; /* list of programs at the end of the call that it is in */
	s64 number; /* of that call */
	u64 rseq;
	struct skep_task task;
};

enum { READY_REGS = 1, READY_RAW = 2, READY_CALL = 4 };

struct tables {
	struct hook *hooks; /* the first row is unused */
	const u16 *lists; /* rows of `hooks`, each list ended by 0; the first list is empty */
	const u16 *enter; /* where the list of each system call begins in `lists` */
	const u16 *exit;
	u32 on_exec, on_fork, on_end, on_timer;
	u32 options;       /* of ptrace */
	u32 filter_covers; /* the filters of started commands stop all calls that are in `enter` and `exit` */
	u64 period;        /* ns between two samples; 0: none */
};

enum { START = 1, ATTACH, TABLES, SIGNAL, CLOSE };

struct tracer {
	/* tracer.py writes these before `serve` */
	struct skep_env *env;
	const struct tables *tables;
	u64 stack_end;
	s32 answer_fd;   /* eventfds: a request is done, */
	s32 happened_fd; /* something happened, */
	s32 idle_fd;     /* there is a request for a keeper without tracees */
	u32 cpus;
	/* and one request at a time, followed by KICK */
	u32 request;
	s32 keeper;
	u64 arguments[2];
	s64 result;
	u64 happened_tail;
	/* the keeper writes these */
	u64 happened_head;
	u64 happened_lost;
	u64 stops;
	u64 calls;
	u64 tracees;
	struct happening happened[HAPPENED];
	/* private */
	u64 period;
	s32 parent;
	int timer;
	volatile u32 ticks;
	u32 held;
	u32 ready;
	u32 is_call;
	u32 record_size;
	u32 record_used; /* bytes that are not 0 */
	u64 raw_args[3];
	u64 raw[6 + REGS];
	u64 call[2 * REGS];
	u64 user_regs[USER_REGS];
	u64 record[(64 + PATH_BYTES) / 8];
	struct skep_task nobody;
	struct tracee *buckets[BUCKETS];
};

struct start { /* what a command starts with */
	const char *path;
	char *const *words;
	char *const *environment;
	const char *directory;  /* 0: this one */
	const void *filter;     /* struct sock_fprog; 0: none */
	const void *mask;       /* sigset_t */
	u64 default_signals;    /* bit n - 1: signal n gets its default action */
	u64 group;              /* a process group of its own */
	s32 files[3];           /* what becomes its standard files, all above 2; -1: those of this process */
	s32 user;               /* user and group id, without other groups; -1: those of this process */
};

#endif
