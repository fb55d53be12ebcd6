/* The tracing loop: waits for stops of traced processes, runs the programs of the event, lets the process go on.
 *
 * tracer.py owns the thread that calls this: ptrace requests and waits are a thread's, not a process's. Each function
 * returns a negated errno on failure. ptrace(2), seccomp(2) and wait(2) are the facts; numbers are those of x86-64's uapi.
 */
#include "tracer.h"

/* What a stop of a tracee is, from its wait status: the signal in bits 8-15, the ptrace event above. */
#define STOP_SIGNAL(status) ((status) >> 8 & 0xff)
#define STOP_EVENT(status) ((u32)(status) >> 16)
#define HAS_ENDED(status) (((status) & 0xff) != 0x7f)

#define BUCKET(m, tid) (&(m)->buckets[(tid) & (BUCKETS - 1)])

static struct tracee *find(struct tracer *m, s32 tid)
{
	struct tracee *t = *BUCKET(m, tid);
	while (t && t->tid != tid)
		t = t->next;
	return t;
}

static void insert(struct tracer *m, struct tracee *t)
{
	struct tracee **bucket = BUCKET(m, t->tid);
	t->next = *bucket;
	*bucket = t;
}

static void take_out(struct tracer *m, struct tracee *t)
{
	struct tracee **place = BUCKET(m, t->tid);
	while (*place != t)
		place = &(*place)->next;
	*place = t->next;
}

static struct tracee *add(struct tracer *m, s32 tid)
{
	struct tracee *t = calloc(1, sizeof(*t));
	if (!t)
		return 0;
	t->tid = tid;
	t->task.pid = tid;
	t->task.tgid = tid;
	t->task.reader = tid;
	insert(m, t);
	m->tracees++;
	return t;
}

static void drop(struct tracer *m, struct tracee *t)
{
	take_out(m, t);
	m->tracees--;
	if (m->env->task == &t->task)
		m->env->task = &m->nobody;
	free(t);
}

/* ---- facts about a task, from /proc: read at attach and when a system call may have changed them */

static long read_file(s32 tid, const char *name, char *to, long size)
{
	char path[64];
	char digits[12];
	int n = 0, count = 0;
	const char *head = "/proc/";

	while (*head)
		path[n++] = *head++;
	do
		digits[count++] = '0' + tid % 10;
	while (tid /= 10);
	while (count)
		path[n++] = digits[--count];
	path[n++] = '/';
	while (*name)
		path[n++] = *name++;
	path[n] = 0;

	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	long got = read(fd, to, size - 1);
	close(fd);
	to[got < 0 ? 0 : got] = 0;
	return got;
}

static void read_comm(struct tracee *t)
{
	char text[sizeof(t->task.comm) + 2];
	long got = read_file(t->tid, "comm", text, sizeof(text));
	if (got <= 0)
		return;
	__builtin_memset(t->task.comm, 0, sizeof(t->task.comm));
	for (int i = 0; i < (int)sizeof(t->task.comm) - 1 && text[i] && text[i] != '\n'; i++)
		t->task.comm[i] = text[i];
}

/* The first number after a line's name in /proc/PID/status, or `otherwise`. */
static u32 status_number(const char *text, const char *name, u32 otherwise)
{
	for (const char *line = text; *line; line++) {
		int i = 0;
		while (name[i] && line[i] == name[i])
			i++;
		if (!name[i]) {
			u32 value = 0;
			for (line += i; *line == ' ' || *line == '\t'; line++)
				;
			for (; *line >= '0' && *line <= '9'; line++)
				value = value * 10 + (*line - '0');
			return value;
		}
		while (*line && *line != '\n')
			line++;
		if (!*line)
			break;
	}
	return otherwise;
}

static void read_status(struct tracee *t)
{
	char text[4096];
	if (read_file(t->tid, "status", text, sizeof(text)) <= 0)
		return;
	t->task.tgid = status_number(text, "Tgid:", t->task.tgid);
	t->task.parent = status_number(text, "PPid:", t->task.parent);
	t->task.uid = status_number(text, "Uid:", t->task.uid);
	t->task.gid = status_number(text, "Gid:", t->task.gid);
}

static void refresh(struct tracee *t)
{
	if (t->stale & STALE_IDS)
		read_status(t);
	if (t->stale & STALE_COMM)
		read_comm(t);
	t->stale = 0;
}

/* ---- reading a tracee's memory */

static long copy_from(s32 tid, void *to, u64 size, u64 address)
{
	struct { void *base; u64 size; } local = {to, size}, remote = {(void *)address, size};
	return process_vm_readv(tid, &local, 1, &remote, 1, 0);
}

/* A text of at most size - 1 bytes: its length; 0 when it cannot be read. */
static u32 copy_text(s32 tid, char *to, u32 size, u64 address)
{
	u32 length = 0;
	while (length + 1 < size) {
		u64 piece = 4096 - ((address + length) & 4095); /* a read that crosses into a page that is not there fails as a whole */
		if (piece > size - 1 - length)
			piece = size - 1 - length;
		long got = copy_from(tid, to + length, piece, address + length);
		if (got <= 0)
			break;
		for (long i = 0; i < got; i++, length++)
			if (!to[length])
				return length;
	}
	to[length] = 0;
	return length;
}

/* The CPU that a stopped task ran on last, from its restartable sequence area (5.13: PTRACE_GET_RSEQ_CONFIGURATION). */
static void read_cpu(struct tracer *m, struct tracee *t)
{
	struct rseq_configuration configuration;
	u32 cpu;

	if (!t->rseq) {
		t->rseq = NO_RSEQ;
		if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->tid, (void *)sizeof(configuration), &configuration) > 0 &&
		    configuration.area)
			t->rseq = configuration.area;
	}
	if (t->rseq == NO_RSEQ || copy_from(t->tid, &cpu, sizeof(cpu), t->rseq + 4) != sizeof(cpu) || cpu >= m->cpus) {
		t->rseq = 0; /* a thread that just began registers it later */
		cpu = sched_getcpu();
	}
	t->task.cpu = cpu;
}

/* ---- contexts and programs */

static void happened(struct tracer *m, u32 kind, s32 pid, u64 a, u64 b, u64 c, u64 d)
{
	if (m->happened_count == HAPPENED) {
		m->happened_lost++;
		return;
	}
	struct happening *h = &m->happened[m->happened_count++];
	h->kind = kind;
	h->pid = pid;
	h->a = a;
	h->b = b;
	h->c = c;
	h->d = d;
}

static void fetch_regs(struct tracer *m, struct tracee *t, u64 *to)
{
	if (!(m->ready & READY_REGS)) {
		if (ptrace(PTRACE_GETREGS, t->tid, 0, m->user_regs))
			__builtin_memset(m->user_regs, 0, sizeof(m->user_regs));
		m->ready |= READY_REGS;
	}
	__builtin_memcpy(to, m->user_regs, REGS * 8);
}

/* The context of one shape for the event that m->record describes; made once a stop. */
static void *context(struct tracer *m, struct tracee *t, u32 shape, u64 period)
{
	switch (shape) {
	case CONTEXT_RAW: /* struct bpf_raw_tracepoint_args, the registers behind it */
		if (!(m->ready & READY_RAW)) {
			m->raw[0] = m->raw_args[0];
			m->raw[1] = m->raw_args[1];
			m->raw[2] = m->raw_args[2];
			if (m->is_call) {
				m->raw[0] = (u64)&m->raw[6];
				fetch_regs(m, t, &m->raw[6]);
			}
			m->ready |= READY_RAW;
		}
		m->env->ctx_size = m->is_call ? sizeof(m->raw) : 6 * 8;
		return m->raw;
	case CONTEXT_CALL: /* the registers of a system call's function, whose argument is the caller's registers, behind them */
		if (!(m->ready & READY_CALL)) {
			fetch_regs(m, t, &m->call[REGS]);
			__builtin_memcpy(m->call, &m->call[REGS], REGS * 8);
			m->call[REG_DI] = (u64)&m->call[REGS];
			m->ready |= READY_CALL;
		}
		m->env->ctx_size = sizeof(m->call);
		return m->call;
	case CONTEXT_SAMPLE: /* struct bpf_perf_event_data: registers, period, address */
		fetch_regs(m, t, m->call);
		m->call[REGS] = period;
		m->call[REGS + 1] = 0;
		m->env->ctx_size = (REGS + 2) * 8;
		return m->call;
	default:
		m->env->ctx_size = m->record_size;
		return m->record;
	}
}

/* `first` is where the event's list of hooks begins in m->lists. */
static void run_programs(struct tracer *m, struct tracee *t, u32 first)
{
	struct skep_env *env = m->env;

	if (t->stale)
		refresh(t);
	env->task = &t->task;
	m->ready = 0;
	for (const u16 *list = m->lists + first; *list; list++) {
		struct hook *hook = &m->hooks[*list];
		if (!hook->entry || (hook->period && !hook->is_due))
			continue;
		if (hook->flags & HOOK_CPU)
			read_cpu(m, t);
		void *ctx = context(m, t, hook->context, hook->period);
		env->deadline = 0;
		env->tail_calls = 0;
		hook->entry(ctx, env);
		hook->runs++;
		if (env->fault) { /* its maps are as it left them; it runs no more */
			happened(m, FAULT, *list, env->fault, env->fault_insn, env->fault_address, env->fault_size);
			env->fault = 0;
			hook->entry = 0;
		}
	}
	env->task = &m->nobody;
}

static void begin_record(struct tracer *m, struct tracee *t, u32 size)
{
	m->record[0] = (u64)(u32)t->tid << 32; /* common_type, common_flags, common_preempt_count, common_pid */
	m->record_size = size;
}

static u32 hooks_of(const u16 *heads, s64 number)
{
	return heads[number >= 0 && number < CALLS - 1 ? number : CALLS - 1];
}

static void on_enter(struct tracer *m, struct tracee *t, s64 number, const u64 *args)
{
	u32 first = hooks_of(m->enter, number);

	t->number = number;
	t->exits = hooks_of(m->exit, number);
	if (number == NR_EXECVE || number == NR_EXECVEAT)
		t->flags &= ~HIDDEN;
	if (t->flags & HIDDEN)
		return;
	m->calls++;
	if (first) {
		begin_record(m, t, 64);
		m->is_call = 1;
		m->raw_args[1] = m->record[1] = number;
		__builtin_memcpy(&m->record[2], args, 48);
		run_programs(m, t, first);
	}
	switch (number) { /* what may change facts that are kept */
	case NR_SETUID: case NR_SETGID: case NR_SETREUID: case NR_SETREGID: case NR_SETRESUID: case NR_SETRESGID:
		t->stale |= STALE_IDS;
		break;
	case NR_PRCTL:
		if ((u32)args[0] == PR_SET_NAME)
			t->stale |= STALE_COMM;
	}
}

static void on_exit(struct tracer *m, struct tracee *t, s64 result)
{
	u32 first = t->exits;
	s64 number = t->number;

	t->exits = 0;
	t->number = -1;
	if (t->flags & HIDDEN || !first)
		return;
	begin_record(m, t, 24);
	m->is_call = 1;
	m->record[1] = number == NR_RT_SIGRETURN ? -1 : number; /* the kernel has lost the number by then */
	m->raw_args[1] = m->record[2] = result;
	run_programs(m, t, first);
}

static u32 append_text(struct tracer *m, const char *text, u32 length)
{
	u32 offset = m->record_size;
	__builtin_memcpy((char *)m->record + offset, text, length);
	((char *)m->record)[offset + length] = 0;
	m->record_size += length + 1;
	return (length + 1) << 16 | offset; /* a __data_loc */
}

static u32 comm_length(const struct tracee *t)
{
	u32 n = 0;
	while (n < sizeof(t->task.comm) && t->task.comm[n])
		n++;
	return n;
}

static void on_exec(struct tracer *m, struct tracee *t, s32 former)
{
	char text[PATH_BYTES];
	u64 auxiliary[2 * 64];
	u32 *words = (u32 *)m->record;
	u32 length = 0;

	if (!m->on_exec || t->flags & HIDDEN)
		return;
	/* AT_EXECFN: execve's path as the caller wrote it, which is what the kernel's record has */
	long got = read_file(t->tid, "auxv", (char *)auxiliary, sizeof(auxiliary));
	text[0] = 0;
	for (long i = 0; i + 1 < got / 8; i += 2)
		if (auxiliary[i] == AT_EXECFN)
			length = copy_text(t->tid, text, sizeof(text), auxiliary[i + 1]);
	begin_record(m, t, 20);
	m->is_call = 0;
	m->raw_args[0] = m->raw_args[2] = 0;
	m->raw_args[1] = former;
	words[3] = t->tid;
	words[4] = former;
	words[2] = append_text(m, text, length);
	run_programs(m, t, m->on_exec);
}

static void on_fork(struct tracer *m, struct tracee *t, s32 child)
{
	u32 *words = (u32 *)m->record;

	if (!m->on_fork || t->flags & HIDDEN)
		return;
	if (t->stale)
		refresh(t);
	begin_record(m, t, 24);
	m->is_call = 0;
	m->raw_args[0] = m->raw_args[1] = m->raw_args[2] = 0;
	words[3] = t->tid;
	words[5] = child;
	words[2] = append_text(m, t->task.comm, comm_length(t));
	words[4] = append_text(m, t->task.comm, comm_length(t));
	run_programs(m, t, m->on_fork);
}

/* The end of a thread: its EXIT stop, or its death when it came without one. */
static void on_end(struct tracer *m, struct tracee *t)
{
	u32 *words = (u32 *)m->record;
	u32 others = 0;

	if (!m->on_end || t->flags & (HIDDEN | ENDING))
		return;
	t->flags |= ENDING;
	for (u32 i = 0; i < BUCKETS; i++)
		for (struct tracee *other = m->buckets[i]; other; other = other->next)
			others += other->task.tgid == t->task.tgid && !(other->flags & ENDING);
	if (t->stale)
		refresh(t);
	begin_record(m, t, 40);
	m->is_call = 0;
	m->raw_args[0] = m->raw_args[2] = 0;
	m->raw_args[1] = !others;
	__builtin_memcpy(&words[2], t->task.comm, 16);
	words[6] = t->tid;
	words[7] = 120; /* the priority of nice 0 */
	words[8] = !others;
	words[9] = 0;
	run_programs(m, t, m->on_end);
}

/* ---- stops */

static int covered(const struct tracer *m, const struct tracee *t)
{
	return t->flags & FILTERED && m->filter_covers;
}

static void go_on(struct tracer *m, struct tracee *t, long signal)
{
	if (t->options != (m->options | (t->flags & OWNED ? PTRACE_O_EXITKILL : 0))) {
		t->options = m->options | (t->flags & OWNED ? PTRACE_O_EXITKILL : 0);
		ptrace(PTRACE_SETOPTIONS, t->tid, 0, (void *)(u64)t->options);
	}
	/* a tracee that was killed meanwhile answers ESRCH; its end is the next thing that is reported of it */
	ptrace(t->exits || !covered(m, t) ? PTRACE_SYSCALL : PTRACE_CONT, t->tid, 0, (void *)signal);
}

static void say_compat(struct tracer *m, struct tracee *t)
{
	if (!(t->flags & COMPAT)) {
		t->flags |= COMPAT;
		happened(m, IS_COMPAT, t->task.tgid, 0, 0, 0, 0);
	}
}

static void on_call_stop(struct tracer *m, struct tracee *t)
{
	struct syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, (void *)sizeof(info), &info) <= 0)
		return;
	if (info.arch != AUDIT_ARCH_X86_64) {
		say_compat(m, t);
		return;
	}
	switch (info.op) {
	case SYSCALL_INFO_ENTRY:
		if (!covered(m, t))
			on_enter(m, t, info.enter.number, info.enter.args);
		break;
	case SYSCALL_INFO_SECCOMP: /* without `covered`, the stop at the entry came before (4.8) */
		if (covered(m, t))
			on_enter(m, t, info.enter.number, info.enter.args);
		break;
	case SYSCALL_INFO_EXIT:
		on_exit(m, t, info.leave.result);
	}
}

static void set_parent(struct tracee *child, const struct tracee *parent)
{
	char name[32] = "task/";
	char digits[12];
	int n = 5, count = 0;
	s32 tid = child->tid;

	do
		digits[count++] = '0' + tid % 10;
	while (tid /= 10);
	while (count)
		name[n++] = digits[--count];
	__builtin_memcpy(name + n, "/comm", 6);

	char text[20];
	int is_thread = read_file(parent->task.tgid, name, text, sizeof(text)) >= 0;
	child->task = parent->task;
	child->stale = parent->stale;
	child->options = parent->options;
	child->task.pid = child->task.reader = child->tid;
	if (!is_thread) {
		child->task.tgid = child->tid;
		child->task.parent = parent->task.tgid;
	}
	child->flags |= parent->flags & (FILTERED | OWNED | FOLLOW | COMPAT | HIDDEN);
	child->number = parent->number; /* the call ends in the child as well */
	child->exits = parent->exits;
	if (!is_thread && !(parent->flags & FOLLOW))
		child->flags |= LEAVE;
}

static void release_held(struct tracer *m, struct tracee *t)
{
	t->flags &= ~HELD;
	if (t->flags & LEAVE) {
		ptrace(PTRACE_DETACH, t->tid, 0, 0);
		drop(m, t);
		return;
	}
	go_on(m, t, 0);
}

/* Children whose parent died before it could say that they are its own. */
static void release_orphans(struct tracer *m)
{
	for (u32 i = 0; i < BUCKETS && m->held; i++)
		for (struct tracee *t = m->buckets[i], *next; t; t = next) {
			next = t->next;
			if (!(t->flags & HELD))
				continue;
			m->held--;
			read_status(t);
			read_comm(t);
			struct tracee *parent = find(m, t->task.parent);
			t->flags |= parent ? parent->flags & (FILTERED | OWNED | FOLLOW) : m->inherited;
			t->options = m->options | (t->flags & OWNED ? PTRACE_O_EXITKILL : 0);
			release_held(m, t);
		}
}

static void on_child(struct tracer *m, struct tracee *t)
{
	u64 message = 0;

	if (ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &message))
		return;
	struct tracee *child = find(m, message);
	int was_held = child && child->flags & HELD;
	if (!child && !(child = add(m, message)))
		return;
	if (!was_held)
		child->flags |= NEWBORN;
	set_parent(child, t);
	on_fork(m, t, message);
	if (was_held) {
		m->held--;
		release_held(m, child);
	}
}

static struct tracee *on_exec_stop(struct tracer *m, struct tracee *t)
{
	u64 former = t->tid;

	ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &former);
	if ((s32)former != t->tid) { /* a thread took its leader's number: execve(2) ended all others */
		struct tracee *caller = find(m, former);
		if (caller) {
			s32 tid = t->tid;
			u32 roots = t->flags & ROOT;
			drop(m, t);
			t = caller;
			take_out(m, t);
			t->tid = tid;
			t->flags |= roots;
			t->task.pid = t->task.reader = tid;
			insert(m, t);
		}
	}
	t->flags &= ~(HIDDEN | COMPAT);
	t->rseq = 0;
	t->stale |= STALE_COMM;
	if (ptrace(PTRACE_GETREGS, t->tid, 0, m->user_regs) == 0 && m->user_regs[REG_CS] == CS_32)
		say_compat(m, t);
	if (t->flags & ROOT && !(t->flags & STARTED)) {
		t->flags |= STARTED;
		if (t->flags & OWNED)
			happened(m, BEGAN, t->tid, 0, 0, 0, 0);
	}
	on_exec(m, t, former);
	return t;
}

static void on_death(struct tracer *m, struct tracee *t, int status)
{
	on_end(m, t);
	if (t->flags & ROOT)
		happened(m, t->flags & OWNED && !(t->flags & STARTED) ? NOT_STARTED : ENDED, t->tid, (u32)status, 0, 0, 0);
	if (t->flags & HELD)
		m->held--;
	drop(m, t);
	if (m->held)
		release_orphans(m);
}

static int is_stop_signal(int signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static void on_event_stop(struct tracer *m, struct tracee *t, int signal)
{
	if (is_stop_signal(signal)) { /* a group stop: it stays stopped for its parent, until SIGCONT */
		ptrace(PTRACE_LISTEN, t->tid, 0, 0);
		return;
	}
	if (t->flags & NEWBORN) {
		t->flags &= ~NEWBORN;
		if (t->flags & LEAVE) {
			ptrace(PTRACE_DETACH, t->tid, 0, 0);
			drop(m, t);
			return;
		}
	}
	if (t->flags & SAMPLED) {
		t->flags &= ~SAMPLED;
		m->is_call = 0;
		run_programs(m, t, m->on_timer);
	}
	go_on(m, t, 0);
}

static void on_stop(struct tracer *m, s32 tid, int status)
{
	struct tracee *t = find(m, tid);

	m->stops++;
	if (HAS_ENDED(status)) {
		if (t)
			on_death(m, t, status);
		return;
	}
	if (!t) { /* a child may be reported before the fork of its parent */
		if ((t = add(m, tid))) {
			t->flags = HELD;
			t->number = -1;
			m->held++;
		}
		return;
	}
	int signal = STOP_SIGNAL(status);
	switch (STOP_EVENT(status)) {
	case 0:
		if (signal == (SIGTRAP | 0x80)) {
			on_call_stop(m, t);
			go_on(m, t, 0);
		} else
			go_on(m, t, signal);
		return;
	case PTRACE_EVENT_STOP:
		on_event_stop(m, t, signal);
		return;
	case PTRACE_EVENT_SECCOMP:
		on_call_stop(m, t);
		break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		on_child(m, t);
		break;
	case PTRACE_EVENT_EXEC:
		t = on_exec_stop(m, t);
		break;
	case PTRACE_EVENT_EXIT:
		on_end(m, t);
	}
	go_on(m, t, 0);
}

/* ---- what tracer.py calls */

/* Runs so that wait4 returns EINTR; a timer's signal carries the tracer that it belongs to. */
static void on_kick(int signal, const struct signal_info *info, void *registers)
{
	(void)signal;
	(void)registers;
	if (info->code == SI_TIMER)
		((struct tracer *)info->value)->ticks = 1;
}

s64 skep_tracer_size(void)
{
	return sizeof(struct tracer);
}

/* Takes a real-time signal that nobody uses, for `kick`; its number, or a negated errno. */
s64 skep_tracer_open(struct tracer *m)
{
	struct signal_action action, old;

	for (int number = 64; number > 34; number--) {
		if (sigaction(number, 0, &old))
			return -errno_now;
		if (old.handler && old.handler != on_kick)
			continue;
		__builtin_memset(&action, 0, sizeof(action));
		action.handler = on_kick;
		action.flags = SA_SIGINFO;
		if (sigaction(number, &action, 0))
			return -errno_now;
		m->kick_signal = number;
		m->thread = syscall(NR_GETTID);
		m->env->task = &m->nobody;
		return number;
	}
	return -EBUSY;
}

/* SPEC_ALLOW (4.17): without it, kernels before 5.16 slow down a process that has a filter. */
static long install(const void *filter)
{
	return syscall(NR_SECCOMP, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter);
}

/* Start a command and trace it. Its tid, or a negated errno. A negated code of Skep's own comes later, as NOT_STARTED. */
s64 skep_tracer_start(struct tracer *m, const struct start *start)
{
	int gate[2];
	char byte = 0;

	if (pipe2(gate, O_CLOEXEC))
		return -errno_now;
	s32 tid = fork();
	if (tid < 0) {
		s64 error = -errno_now;
		close(gate[0]);
		close(gate[1]);
		return error;
	}
	if (tid == 0) {
		/* only what is safe in the child of a process with threads: no memory, no locks */
		close(gate[1]);
		if (read(gate[0], &byte, 1) != 1)
			_exit(EXIT_NO_TRACER);
		if (start->group)
			setpgid(0, 0);
		if (start->directory && chdir(start->directory))
			_exit(EXIT_NO_DIRECTORY);
		for (int i = 0; i < 64; i++)
			if (start->default_signals >> i & 1)
				signal(i + 1, 0);
		sigprocmask(SIG_SETMASK, start->mask, 0);
		if (start->filter && install(start->filter)) {
			/* without privilege a filter wants that no program down the tree can gain any (seccomp(2)) */
			if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			    install(start->filter))
				_exit(EXIT_NO_FILTER);
		}
		execve(start->path, start->words, start->environment);
		_exit(errno_now);
	}
	close(gate[0]);
	struct tracee *t = add(m, tid);
	s64 error = t ? 0 : -ENOMEM;
	if (t) {
		t->flags = OWNED | ROOT | FOLLOW | HIDDEN | (start->filter ? FILTERED : 0);
		t->number = -1;
		t->options = m->options | PTRACE_O_EXITKILL;
		if (ptrace(PTRACE_SEIZE, tid, 0, (void *)(u64)t->options))
			error = -errno_now;
		else if (!start->filter) /* no filter: every call stops from here on, but nothing shows before execve */
			ptrace(PTRACE_INTERRUPT, tid, 0, 0);
		read_status(t);
		read_comm(t);
	}
	if (!error && write(gate[1], &byte, 1) != 1)
		error = -errno_now;
	close(gate[1]);
	if (error) {
		int status;
		if (t)
			drop(m, t);
		kill(tid, SIGKILL);
		wait4(tid, &status, WAIT_ALL, 0);
		return error;
	}
	return tid;
}

/* Attach to one thread: 0, 1 when it is traced already, or a negated errno. */
s64 skep_tracer_attach(struct tracer *m, s32 tid, u32 flags)
{
	if (find(m, tid))
		return 1;
	struct tracee *t = add(m, tid);
	if (!t)
		return -ENOMEM;
	t->flags = flags;
	t->number = -1;
	t->options = m->options;
	if (ptrace(PTRACE_SEIZE, tid, 0, (void *)(u64)t->options)) {
		s64 error = -errno_now;
		drop(m, t);
		return error;
	}
	/* a seized thread runs on: system calls stop only after it was let go on by PTRACE_SYSCALL once */
	ptrace(PTRACE_INTERRUPT, tid, 0, 0);
	read_status(t);
	read_comm(t);
	return 0;
}

/* Send a signal to every traced process that is Skep's own: how many there are. */
s64 skep_tracer_signal(struct tracer *m, s32 signal)
{
	s64 count = 0;
	for (u32 i = 0; i < BUCKETS; i++)
		for (struct tracee *t = m->buckets[i]; t; t = t->next)
			if (t->flags & OWNED && t->task.tgid == (u32)t->tid) {
				kill(t->tid, signal);
				count++;
			}
	return count;
}

/* Stops all tracees once, so that a change of what is traced reaches threads that wait. */
s64 skep_tracer_interrupt(struct tracer *m)
{
	for (u32 i = 0; i < BUCKETS; i++)
		for (struct tracee *t = m->buckets[i]; t; t = t->next)
			if (!(t->flags & HELD))
				ptrace(PTRACE_INTERRUPT, t->tid, 0, 0);
	return 0;
}

/* A signal for this thread every `period` ns (timer_create(2)), 0: none any more. */
s64 skep_tracer_timer(struct tracer *m, u64 period)
{
	struct { u64 value; int signal; int notify; int thread; int pad[11]; } event = {(u64)m, m->kick_signal, SIGEV_THREAD_ID, m->thread, {0}};
	u64 times[4] = {period / 1000000000, period % 1000000000, period / 1000000000, period % 1000000000};

	if (m->has_timer)
		syscall(NR_TIMER_DELETE, m->timer);
	m->has_timer = 0;
	if (!period)
		return 0;
	if (syscall(NR_TIMER_CREATE, CLOCK_MONOTONIC, &event, &m->timer))
		return -errno_now;
	m->has_timer = 1;
	return syscall(NR_TIMER_SETTIME, m->timer, 0, times, 0) ? -errno_now : 0;
}

/* Stops each tracee that runs at this moment; its programs run when the stop is reported. */
static void sample(struct tracer *m)
{
	u64 now[2];
	int any = 0;

	clock_gettime(CLOCK_MONOTONIC, now);
	now[1] += now[0] * 1000000000;
	for (const u16 *list = m->lists + m->on_timer; *list; list++) {
		struct hook *hook = &m->hooks[*list];
		hook->is_due = now[1] >= hook->due;
		if (hook->is_due)
			hook->due = now[1] + hook->period - hook->period / 8; /* ticks come a little early or late */
		any |= hook->is_due;
	}
	for (u32 i = 0; i < BUCKETS && any; i++)
		for (struct tracee *t = m->buckets[i]; t; t = t->next) {
			char text[64];
			long at = read_file(t->tid, "stat", text, sizeof(text)) - 1;
			while (at > 0 && text[at] != ')')
				at--;
			/* one that waits is left alone: a stop would end its wait early (epoll_wait(2) gives EINTR) */
			if (at > 0 && text[at + 2] == 'R' && !(t->flags & (HELD | HIDDEN | SAMPLED)) &&
			    ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) == 0)
				t->flags |= SAMPLED;
		}
}

/* Trace until `stop` is set, something happened, or nothing is traced any more. */
s64 skep_tracer_run(struct tracer *m)
{
	while (!*(volatile u32 *)&m->stop && !m->happened_count && m->tracees) {
		int status;
		if (m->ticks) {
			m->ticks = 0;
			sample(m);
		}
		s32 tid = wait4(-1, &status, WAIT_ALL | WAIT_NO_THREAD, 0);
		if (tid > 0)
			on_stop(m, tid, status);
		else if (errno_now != EINTR)
			return -errno_now;
	}
	return 0;
}
