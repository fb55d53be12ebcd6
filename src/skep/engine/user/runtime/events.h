/* From an event of a tracee to the programs that are attached to it: contexts, records, runs. */
#ifndef SKEP_EVENTS_H
#define SKEP_EVENTS_H

#include "tracees.h"



static void happened(struct tracer *m, u32 kind, s32 pid, u64 a, u64 b, u64 c, u64 d)
{
	u64 one = 1;

	if (m->happened_head - *(volatile u64 *)&m->happened_tail == HAPPENED) {
		m->happened_lost++;
		return;
	}
	struct happening *h = &m->happened[m->happened_head % HAPPENED];
	h->kind = kind;
	h->pid = pid;
	h->a = a;
	h->b = b;
	h->c = c;
	h->d = d;
	__atomic_store_n(&m->happened_head, m->happened_head + 1, __ATOMIC_RELEASE);
	write(m->happened_fd, &one, sizeof(one));
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
		/* with a text in it, to the end of the buffer: programs read texts with room for a longer one */
		m->env->ctx_size = m->is_call ? m->record_size : sizeof(m->record);
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
	for (const u16 *list = m->tables->lists + first; *list; list++) {
		struct hook *hook = &m->tables->hooks[*list];
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
			happened(m, FAULT, hook->id, env->fault, env->fault_insn, env->fault_address, env->fault_size);
			env->fault = 0;
			hook->entry = 0;
		}
	}
	env->task = &m->nobody;
}

static void begin_record(struct tracer *m, struct tracee *t, u32 size)
{
	__builtin_memset(m->record, 0, m->record_used);
	m->record[0] = (u64)(u32)t->tid << 32; /* common_type, common_flags, common_preempt_count, common_pid */
	m->record_size = size;
	m->record_used = size;
}

static u32 hooks_of(const u16 *heads, s64 number)
{
	return heads[number >= 0 && number < CALLS - 1 ? number : CALLS - 1];
}

static void on_enter(struct tracer *m, struct tracee *t, s64 number, const u64 *args)
{
	u32 first = hooks_of(m->tables->enter, number);

	t->number = number;
	t->exits = hooks_of(m->tables->exit, number);
	if (number == NR_EXECVE || number == NR_EXECVEAT)
		t->flags &= ~HIDDEN;
	if (first && !(t->flags & HIDDEN)) {
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
	m->record_used = m->record_size;
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

	if (!m->tables->on_exec || t->flags & HIDDEN)
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
	run_programs(m, t, m->tables->on_exec);
}

static void on_fork(struct tracer *m, struct tracee *t, s32 child)
{
	u32 *words = (u32 *)m->record;

	if (!m->tables->on_fork || t->flags & HIDDEN)
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
	run_programs(m, t, m->tables->on_fork);
}

/* The end of a thread: its EXIT stop, or its death when it came without one. */
static void on_end(struct tracer *m, struct tracee *t)
{
	u32 *words = (u32 *)m->record;
	u32 others = 0;

	if (!m->tables->on_end || t->flags & (HIDDEN | ENDING))
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
	run_programs(m, t, m->tables->on_end);
}

#endif
