"""Prints what is run: the path that each execve call names, sent through a ring buffer."""

from skep import BPF

PROGRAM = r"""
struct event {
    u32 pid;
    u32 uid;
    char caller[16];
    char path[64];
};

// One buffer for all CPUs, of 16 pages: the records keep their order.
BPF_RINGBUF_OUTPUT(events, 16);

TRACEPOINT_PROBE(syscalls, sys_enter_execve)
{
    // Room in the buffer itself; null when it is full.
    struct event *event = events.ringbuf_reserve(sizeof(struct event));
    if (!event)
        return 0;
    event->pid = bpf_get_current_pid_tgid() >> 32;
    event->uid = bpf_get_current_uid_gid();
    bpf_get_current_comm(&event->caller, sizeof(event->caller));
    bpf_probe_read_user_str(&event->path, sizeof(event->path), args->filename);
    events.ringbuf_submit(event, 0);
    return 0;
}
"""


def print_event(ctx, data, size):
    event = b["events"].event(data)
    print(f"{event.pid} {event.uid} {event.caller.decode()} runs {event.path.decode()}", flush=True)


with BPF(text=PROGRAM) as b:
    b["events"].open_ring_buffer(print_event)
    try:
        while True:
            b.ring_buffer_poll()
    except KeyboardInterrupt:
        pass
