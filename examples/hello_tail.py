"""One trace line per system call: a raw tracepoint that jumps, by system call number, through a program array."""

import ctypes as ct

from skep import BPF

PROGRAM = r"""
BPF_PROG_ARRAY(syscall, 500);

int hello(struct bpf_raw_tracepoint_args *ctx) {
    int opcode = ctx->args[1];
    // Goes on in the program at this index and never comes back; an empty index falls through to the next line.
    syscall.call(ctx, opcode);
    bpf_trace_printk("Another syscall: %d", opcode);
    return 0;
}

int hello_execve(void *ctx) {
    bpf_trace_printk("Executing a program");
    return 0;
}

int hello_timer(struct bpf_raw_tracepoint_args *ctx) {
    if (ctx->args[1] == 222) {
        bpf_trace_printk("Creating a timer");
    } else if (ctx->args[1] == 226) {
        bpf_trace_printk("Deleting a timer");
    } else {
        bpf_trace_printk("Some other timer operation");
    }
    return 0;
}

int ignore_opcode(void *ctx) {
    return 0;
}
"""

EXECVE = 59
TIMERS = range(222, 227)  # timer_create, timer_settime, timer_gettime, timer_getoverrun, timer_delete
# read, write, close, stat, fstat, poll, lseek, mmap, brk, rt_sigaction, ioctl, ...: calls that come up a lot
IGNORED = (0, 1, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 16, 21, 22, 25, 29, 202, 257, 262, 281, 291)

with BPF(text=PROGRAM) as b:
    execve = b.load_func("hello_execve", BPF.RAW_TRACEPOINT)
    timer = b.load_func("hello_timer", BPF.RAW_TRACEPOINT)
    ignore = b.load_func("ignore_opcode", BPF.RAW_TRACEPOINT)

    # Filled before the attach: what happens first on the machine already finds its program.
    programs = b.get_table("syscall")
    programs[ct.c_int(EXECVE)] = ct.c_int(execve.fd)
    for number in TIMERS:
        programs[ct.c_int(number)] = ct.c_int(timer.fd)
    for number in IGNORED:
        programs[ct.c_int(number)] = ct.c_int(ignore.fd)

    b.attach_raw_tracepoint(tp="sys_enter", fn_name="hello")
    try:
        b.trace_print()
    except KeyboardInterrupt:
        pass
