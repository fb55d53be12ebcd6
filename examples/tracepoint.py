"""How a tracepoint works, on the running kernel: what it is called, what its record holds, what it costs when nobody looks.

usage: tracepoint.py [CATEGORY:EVENT]    needs root; only this process's system calls are counted
"""

import os
import sys
import time

from skep import BPF
from skep.errors import SkepError

TEXT = """
struct record { u64 common; long id; unsigned long args[6]; };  // of raw_syscalls:sys_enter, as its format says
BPF_ARRAY(seen, u64, 3);  // the process to look at; calls of the two programs

static void count(int which)
{
    int zero = 0;
    u64 *pid = seen.lookup(&zero), *calls = seen.lookup(&which);
    if (pid && calls && *pid == bpf_get_current_pid_tgid() >> 32)
        *calls += 1;
}
// The record that the kernel wrote for this event: fields at the offsets of the format.
int with_record(struct record *ctx) { count(1); return 0; }
// The arguments of the tracepoint itself, without a record: (struct pt_regs *regs, long id).
int with_arguments(struct bpf_raw_tracepoint_args *ctx) { count(2); return 0; }
"""


def ns_per_call(calls: int = 200_000) -> float:
    """The time of a system call that does next to nothing."""
    start = time.thread_time()
    for _ in range(calls):
        os.getppid()
    return (time.thread_time() - start) / calls * 1e9


def main() -> None:
    event = sys.argv[1] if len(sys.argv) > 1 else "raw_syscalls:sys_enter"
    category, _, name = event.partition(":")
    with BPF(text=TEXT, engine="kernel") as b:
        if not b.tracepoint_exists(category, name):
            sys.exit(f"there is no tracepoint {event!r}: CATEGORY:EVENT, such as sched:sched_switch")
        tracefs = b.engine.tracefs
        print(f"{event} has the number {tracefs.tracepoint_id(category, name)}; its record:")
        for line in tracefs.format(category, name).splitlines():
            if line.lstrip().startswith("field:"):
                print(" ", line.strip().expandtabs(2))
        b["seen"][0] = os.getpid()
        print(f"a system call with nothing on the tracepoint: {ns_per_call():.0f} ns")
        b.attach_tracepoint("raw_syscalls:sys_enter", fn_name="with_record")
        print(f"with a program on the tracepoint: {ns_per_call():.0f} ns ({b.links[0].how})")
        b.detach_tracepoint("raw_syscalls:sys_enter")
        b.attach_raw_tracepoint("sys_enter", "with_arguments")
        print(f"with a program on the raw tracepoint: {ns_per_call():.0f} ns ({b.links[0].how})")
        b.detach_raw_tracepoint("sys_enter")
        print(f"and after both are gone: {ns_per_call():.0f} ns")
        print(f"calls seen: {b['seen'][1].value} and {b['seen'][2].value}")


if __name__ == "__main__":
    try:
        main()
    except SkepError as error:
        sys.exit(f"tracepoints are the kernel's: {error}")
