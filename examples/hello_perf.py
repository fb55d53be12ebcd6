"""Prints who runs what: a struct per execve call, sent from the kernel through a perf buffer."""

from skep import BPF

PROGRAM = r"""
// The map through which the records pass.
BPF_PERF_OUTPUT(output);

struct data_t {
    int pid;
    int uid;
    char command[16];
    char message[12];
};

int hello(void *ctx) {
    struct data_t data = {};
    char message[12] = "Hello World";

    // The process id (the kernel's "thread group id") is the upper half.
    data.pid = bpf_get_current_pid_tgid() >> 32;
    data.uid = bpf_get_current_uid_gid() & 0xFFFFFFFF;

    // The name of the program that makes the call: at execve that is the caller's name, not yet the new one.
    bpf_get_current_comm(&data.command, sizeof(data.command));
    bpf_probe_read_kernel(&data.message, sizeof(data.message), message);

    output.perf_submit(ctx, &data, sizeof(data));
    return 0;
}
"""


def print_event(cpu, data, size):
    event = b["output"].event(data)
    print(f"{event.pid} {event.uid} {event.command.decode()} {event.message.decode()}", flush=True)


with BPF(text=PROGRAM) as b:
    b.attach_kprobe(event=b.get_syscall_fnname("execve"), fn_name="hello")
    b["output"].open_perf_buffer(print_event)
    try:
        while True:
            b.perf_buffer_poll()
    except KeyboardInterrupt:
        pass
