/* Traced threads by number, what is known of them (from /proc), and their memory. */
#ifndef SKEP_TRACEES_H
#define SKEP_TRACEES_H

#include "tracer.h"

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

static char *append(char *to, const char *text)
{
	while ((*to = *text++))
		to++;
	return to;
}

static char *append_number(char *to, u32 number)
{
	char digits[12];
	int count = 0;

	do
		digits[count++] = '0' + number % 10;
	while (number /= 10);
	while (count)
		*to++ = digits[--count];
	*to = 0;
	return to;
}

/* A file of a task in /proc: bytes read (and a 0 after them), or -1. */
static long read_file(s32 tid, const char *name, char *to, long size)
{
	char path[64];

	append(append(append_number(append(path, "/proc/"), tid), "/"), name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	long got = read(fd, to, size - 1);
	close(fd);
	to[got < 0 ? 0 : got] = 0;
	return got;
}

static int is_thread_of(s32 tid, s32 process)
{
	char path[64];

	append_number(append(append_number(append(path, "/proc/"), process), "/task/"), tid);
	return access(path, 0) == 0;
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

#endif
