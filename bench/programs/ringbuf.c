/* Records written in place in a ring buffer, submitted or discarded. */
#include "bench.h"

struct event {
	u32 pid, ppid;
	u64 duration;
	int exit_code;
	char comm[16];
	char filename[127];
	bool exited;
};

const volatile u64 min_duration = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, u64);
} started SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 262144);
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_execve")
int start(struct trace_event_raw_sys_enter *ctx)
{
	struct task_struct *task, *parent;
	struct event *e;
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	u64 ts = bpf_ktime_get_ns();

	bpf_map_update_elem(&started, &pid, &ts, BPF_ANY);
	if (min_duration)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	task = (struct task_struct *)bpf_get_current_task();
	e->exited = false;
	e->pid = pid;
	e->duration = 0;
	e->exit_code = 0;
	bpf_probe_read_kernel(&parent, sizeof(parent), &task->real_parent);
	bpf_probe_read_kernel(&e->ppid, sizeof(e->ppid), &parent->tgid);
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	if (bpf_probe_read_user_str(&e->filename, sizeof(e->filename), (void *)ctx->args[0]) < 0) {
		bpf_ringbuf_discard(e, 0);
		return 0;
	}
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tracepoint/sched/sched_process_exit")
int stop(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 pid = id >> 32, tid = (u32)id;
	u64 *start_ts, duration = 0;
	struct event *e;

	if (pid != tid)
		return 0;
	start_ts = bpf_map_lookup_elem(&started, &pid);
	if (start_ts)
		duration = bpf_ktime_get_ns() - *start_ts;
	else if (min_duration)
		return 0;
	bpf_map_delete_elem(&started, &pid);
	if (min_duration && duration < min_duration)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 0;
	e->exited = true;
	e->duration = duration;
	e->pid = pid;
	e->ppid = 0;
	e->exit_code = 0;
	e->filename[0] = 0;
	bpf_get_current_comm(&e->comm, sizeof(e->comm));
	bpf_ringbuf_submit(e, 0);
	return 0;
}
