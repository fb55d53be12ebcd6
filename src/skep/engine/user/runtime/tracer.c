/* The tracing loop: waits for stops of traced processes, runs the programs of the event, lets the process go on.
 *
 * It runs in a process of its own, the keeper, which shares all memory and files with Python's (clone(2): CLONE_VM). As a thread
 * it would share children: any waitpid of the script's would take the stops of tracees, and each stop would be a SIGCHLD to it.
 * ptrace(2), seccomp(2) and wait(2) are the facts; numbers are those of x86-64's uapi.
 */
#include "events.h"

/* What a stop of a tracee is, from its wait status: the signal in bits 8-15, the ptrace event above. */
#define STOP_SIGNAL(status) ((status) >> 8 & 0xff)
#define STOP_EVENT(status) ((u32)(status) >> 16)
#define HAS_ENDED(status) (((status) & 0xff) != 0x7f)

/* ---- stops */

static int covered(const struct tracer *m, const struct tracee *t)
{
	return t->flags & FILTERED && m->tables->filter_covers;
}

static u32 options_of(const struct tracer *m, const struct tracee *t)
{
	return m->tables->options | (t->flags & OWNED ? PTRACE_O_EXITKILL : 0) | (t->flags & FILTERED ? PTRACE_O_TRACESECCOMP : 0);
}

static void go_on(struct tracer *m, struct tracee *t, long signal)
{
	if (t->options != options_of(m, t)) {
		t->options = options_of(m, t);
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
	/* a filter of the tracee's own asks for a tracer: without one the call fails with ENOSYS (seccomp(2)), so it shall with this one */
	if (info.op == SYSCALL_INFO_SECCOMP && info.enter.filter_data != FILTER_MARK) {
		ptrace(PTRACE_POKEUSER, t->tid, (void *)(REG_ORIG_AX * 8), (void *)-1);
		return;
	}
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

static void set_parent(struct tracee *child, const struct tracee *parent, int is_thread)
{
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

/* A child's first stop: the call that made it ends in it, too, but with no stop of its own. */
static void begin(struct tracer *m, struct tracee *t)
{
	t->flags &= ~(HELD | NEWBORN);
	if (t->flags & LEAVE) {
		ptrace(PTRACE_DETACH, t->tid, 0, 0);
		drop(m, t);
		return;
	}
	on_exit(m, t, 0);
	go_on(m, t, 0);
}

/* Who made a thread or process, by what /proc says. */
static struct tracee *maker_of(struct tracer *m, struct tracee *t)
{
	read_status(t);
	return find(m, t->task.tgid == (u32)t->tid ? t->task.parent : t->task.tgid);
}

/* Children whose parent died before it could say that they are its own, or will say so late. */
static void release_held(struct tracer *m)
{
	for (u32 i = 0; i < BUCKETS && m->held; i++)
		for (struct tracee *t = m->buckets[i], *next; t; t = next) {
			next = t->next;
			if (!(t->flags & HELD))
				continue;
			m->held--;
			struct tracee *parent = maker_of(m, t);
			read_comm(t);
			t->flags |= parent ? parent->flags & (FILTERED | OWNED | FOLLOW) : FOLLOW;
			t->options = options_of(m, t); /* it has its parent's */
			begin(m, t);
		}
}

static void on_child(struct tracer *m, struct tracee *t, u32 event)
{
	u64 message = 0;

	if (ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &message))
		return;
	struct tracee *child = find(m, message);
	int was_held = child && child->flags & HELD;
	if (child && !was_held) { /* released already */
		on_fork(m, t, message);
		return;
	}
	if (!child && !(child = add(m, message)))
		return;
	if (!was_held)
		child->flags |= NEWBORN;
	/* clone(2) is CLONE only where the child's end sends another signal than SIGCHLD */
	set_parent(child, t, event == PTRACE_EVENT_CLONE && is_thread_of(child->tid, t->task.tgid));
	on_fork(m, t, message);
	if (was_held) {
		m->held--;
		begin(m, child);
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
			u32 roots = t->flags & (ROOT | STARTED);
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
	u32 flags = t->flags;
	s32 tid = t->tid;

	on_end(m, t);
	if (flags & HELD)
		m->held--;
	drop(m, t);
	if (m->held)
		release_held(m);
	if (flags & ROOT)
		happened(m, flags & OWNED && !(flags & STARTED) ? NOT_STARTED : ENDED, tid, (u32)status, 0, 0, 0);
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
		begin(m, t);
		return;
	}
	if (t->flags & SAMPLED) {
		t->flags &= ~SAMPLED;
		m->is_call = 0;
		run_programs(m, t, m->tables->on_timer);
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
			if (!maker_of(m, t)) /* killed before it could report the fork, and reaped */
				release_held(m);
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
		on_child(m, t, STOP_EVENT(status));
		break;
	case PTRACE_EVENT_EXEC:
		t = on_exec_stop(m, t);
		break;
	case PTRACE_EVENT_EXIT:
		on_end(m, t);
	}
	go_on(m, t, 0);
}

/* ---- the keeper */

static void on_kick(int signal, const struct signal_info *info, void *registers)
{
	(void)signal; /* it is there so that a system call that waits returns EINTR */
	(void)registers;
	if (info->code == SI_TIMER)
		((struct tracer *)info->value)->ticks = 1;
}

/* A core dump of the keeper would take Python's process with it before 5.17: all that shared the memory was killed. */
static void on_crash(int signal, const struct signal_info *info, void *registers)
{
	(void)info;
	(void)registers;
	_exit(EXIT_CRASH + signal);
}

/* SPEC_ALLOW (4.17): without it, kernels before 5.16 slow down a process that has a filter. */
static long install(const void *filter)
{
	return syscall(NR_SECCOMP, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter);
}

/* The child of `start`, up to execve: only what is safe where another thread's locks are copied. */
static void become_command(const struct start *start, int gate)
{
	char byte;

	if (read(gate, &byte, 1) != 1)
		_exit(EXIT_NO_TRACER);
	if (start->group)
		setpgid(0, 0);
	for (int i = 0; i < 3; i++)
		if (start->files[i] >= 0)
			dup2(start->files[i], i);
	if (start->directory && chdir(start->directory))
		_exit(EXIT_NO_DIRECTORY);
	for (int i = 0; i < 64; i++)
		if (start->default_signals >> i & 1)
			signal(i + 1, 0);
	sigprocmask(SIG_SETMASK, start->mask, 0);
	if (start->filter && install(start->filter)) {
		/* without privilege a filter wants that no program down the tree can gain any (seccomp(2)) */
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || install(start->filter))
			_exit(EXIT_NO_FILTER);
	}
	/* not before the filter, which that user might not be allowed to install */
	if (start->user >= 0 && (syscall(NR_SETGROUPS, 0, 0) || syscall(NR_SETGID, start->user) || syscall(NR_SETUID, start->user)))
		_exit(EXIT_NO_USER);
	execve(start->path, start->words, start->environment);
	_exit(errno_now);
}

/* Start a command and trace it: its pid, or a negated errno. Whether execve succeeds comes later, as BEGAN or NOT_STARTED. */
static s64 start(struct tracer *m, const struct start *start)
{
	int gate[2];
	char byte = 0;
	s64 error = 0;

	if (pipe2(gate, O_CLOEXEC))
		return -errno_now;
	s32 tid = syscall(NR_FORK);
	if (tid == 0) {
		/* this copy of the files has the other end, too: with it the read would wait for ever if the keeper died */
		syscall(NR_CLOSE, gate[1]);
		become_command(start, gate[0]);
	}
	error = tid < 0 ? -errno_now : 0;
	close(gate[0]);
	struct tracee *t = error ? 0 : add(m, tid);
	if (t) {
		t->flags = OWNED | ROOT | FOLLOW | HIDDEN | (start->filter ? FILTERED : 0);
		t->number = -1;
		t->options = options_of(m, t);
		if (ptrace(PTRACE_SEIZE, tid, 0, (void *)(u64)t->options))
			error = -errno_now;
		else if (!start->filter) /* every call stops from here on, but nothing shows before execve */
			ptrace(PTRACE_INTERRUPT, tid, 0, 0);
		read_status(t);
		read_comm(t);
		if (!error && write(gate[1], &byte, 1) != 1)
			error = -errno_now;
	} else if (!error)
		error = -ENOMEM;
	close(gate[1]);
	if (error && tid > 0) {
		int status;
		if (t)
			drop(m, t);
		kill(tid, SIGKILL);
		wait4(tid, &status, WAIT_ALL, 0);
	}
	return error ? error : tid;
}

/* Attach to one thread: 0, 1 when it is traced already, or a negated errno. */
static s64 attach(struct tracer *m, s32 tid, u32 flags)
{
	if (find(m, tid))
		return 1;
	struct tracee *t = add(m, tid);
	if (!t)
		return -ENOMEM;
	t->flags = flags;
	t->number = -1;
	t->options = options_of(m, t);
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

/* A signal to every traced process that is Skep's own. */
static void signal_owned(struct tracer *m, s32 number)
{
	for (u32 i = 0; i < BUCKETS; i++)
		for (struct tracee *t = m->buckets[i]; t; t = t->next)
			if (t->flags & OWNED && t->task.tgid == (u32)t->tid)
				kill(t->tid, number);
}

/* Stops all tracees once, so that a change of what is traced reaches those that run. */
static void interrupt(struct tracer *m)
{
	for (u32 i = 0; i < BUCKETS; i++)
		for (struct tracee *t = m->buckets[i]; t; t = t->next)
			if (!(t->flags & HELD))
				ptrace(PTRACE_INTERRUPT, t->tid, 0, 0);
}

/* A signal to the keeper every `period` ns (timer_create(2)), 0: none any more. */
static s64 set_timer(struct tracer *m, u64 period)
{
	struct { u64 value; int signal; int notify; int pad[12]; } event = {(u64)m, KICK, SIGEV_SIGNAL, {0}};
	u64 times[4] = {period / 1000000000, period % 1000000000, period / 1000000000, period % 1000000000};

	if (m->period == period)
		return 0;
	if (m->period)
		syscall(NR_TIMER_DELETE, m->timer);
	m->period = 0;
	if (!period)
		return 0;
	if (syscall(NR_TIMER_CREATE, CLOCK_MONOTONIC, &event, &m->timer))
		return -errno_now;
	m->period = period;
	return syscall(NR_TIMER_SETTIME, m->timer, 0, times, 0) ? -errno_now : 0;
}

static s64 set_tables(struct tracer *m, const struct tables *tables)
{
	int changed = m->tables->options != tables->options || m->tables->filter_covers != tables->filter_covers;

	m->tables = tables;
	if (changed)
		interrupt(m);
	return set_timer(m, tables->period);
}

static s64 obey(struct tracer *m)
{
	switch (m->request) {
	case START:
		return start(m, (const struct start *)m->arguments[0]);
	case ATTACH:
		return attach(m, m->arguments[0], m->arguments[1]);
	case TABLES:
		return set_tables(m, (const struct tables *)m->arguments[0]);
	case SIGNAL:
		signal_owned(m, m->arguments[0]);
		return 0;
	}
	_exit(0); /* the kernel detaches, and kills what has EXITKILL */
}

/* Stops each tracee that runs at this moment; its programs run when the stop is reported. */
static void sample(struct tracer *m)
{
	u64 now[2];
	int any = 0;

	clock_gettime(CLOCK_MONOTONIC, now);
	now[1] += now[0] * 1000000000;
	for (const u16 *list = m->tables->lists + m->tables->on_timer; *list; list++) {
		struct hook *hook = &m->tables->hooks[*list];
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

static int keep(void *state)
{
	struct tracer *m = state;
	struct signal_action action;
	u64 mask[16], word = 1;

	/* when Python's process ends in any way, so does its thread that waits for this one */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (syscall(NR_GETPPID) != m->parent)
		_exit(0);
	/* signal handlers are this process's own since the clone */
	__builtin_memset(&action, 0, sizeof(action));
	action.flags = SA_NOCLDSTOP;
	sigaction(SIGCHLD, &action, 0);
	action.handler = on_kick;
	action.flags = SA_SIGINFO;
	sigaction(KICK, &action, 0);
	action.handler = on_crash;
	for (int i = 1; i < 32; i++)
		if (FAULT_SIGNALS >> (i - 1) & 1)
			sigaction(i, &action, 0);
	__builtin_memset(mask, 0xff, sizeof(mask)); /* all are blocked so far */
	mask[0] &= ~(1ull << (KICK - 1) | FAULT_SIGNALS);
	sigprocmask(SIG_SETMASK, mask, 0);
	m->env->task = &m->nobody;
	m->env->holder = getpid();
	for (;;) {
		int status;
		if (__atomic_load_n(&m->request, __ATOMIC_ACQUIRE)) {
			m->result = obey(m);
			__atomic_store_n(&m->request, 0, __ATOMIC_RELEASE);
			write(m->answer_fd, &word, sizeof(word));
		} else if (!m->tracees) {
			read(m->idle_fd, mask, sizeof(word));
		} else {
			if (m->ticks) {
				m->ticks = 0;
				sample(m);
			}
			s32 tid = wait4(-1, &status, WAIT_ALL, 0);
			if (tid > 0)
				on_stop(m, tid, status);
		}
	}
}

/* ---- what tracer.py calls */

s64 skep_tracer_size(void)
{
	return sizeof(struct tracer);
}

/* Runs the keeper until its end: its wait status, or a negated errno. Its caller lends it the thread's local storage. */
s64 skep_tracer_serve(struct tracer *m)
{
	int status = 0;

	m->parent = getpid();
	/* no signal at its end: the script's waits do not see it (__WCLONE) */
	s32 pid = clone(keep, (void *)m->stack_end, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_PARENT_SETTID, m, &m->keeper);
	if (pid < 0)
		return -errno_now;
	while (wait4(pid, &status, WAIT_ALL, 0) < 0)
		if (errno_now != EINTR)
			return -errno_now;
	return status;
}
