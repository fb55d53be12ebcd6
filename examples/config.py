"""Configuration by global variables: counts the system calls of one process and the slow ones among them.

`const volatile` variables are set before the programs load, so the verifier leaves out what they switch off; the others
are shared memory: Python reads the counters without a system call, and changes `slow_ns` while the programs run.
"""

import os
import sys
from time import sleep

from skep import BPF
from skep.errors import MapError

PROGRAM = r"""
const volatile u32 wanted_pid;
const volatile bool measure = true;
u64 slow_ns = 1000000;                    // 1 ms
u64 calls, slow;
u64 per_number[512];
static u64 started;                       // one thread at a time: the wanted process has one

TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
    if (bpf_get_current_pid_tgid() >> 32 != wanted_pid)
        return 0;
    calls++;
    per_number[args->id & 511]++;
    if (measure)
        started = bpf_ktime_get_ns();
    return 0;
}

TRACEPOINT_PROBE(raw_syscalls, sys_exit)
{
    if (measure && bpf_get_current_pid_tgid() >> 32 == wanted_pid && bpf_ktime_get_ns() - started > slow_ns)
        slow++;
    return 0;
}
"""

pid = int(sys.argv[1]) if len(sys.argv) > 1 else os.getpid()
with BPF(text=PROGRAM, globals={"wanted_pid": pid}) as b:
    for wait_ms, slow_ms in ((5, 1), (5, 50), (100, 50)):
        b.globals["slow_ns"] = slow_ms * 1_000_000
        b.globals["slow"] = 0
        sleep(wait_ms / 1000)
        print(f"a wait of {wait_ms} ms: {b.globals['slow']} system calls took more than {slow_ms} ms")
    print(f"{b.globals['calls']} system calls of {sum(count > 0 for count in b.globals['per_number'])} kinds")
    try:
        b.globals["wanted_pid"] = 1
    except MapError as error:
        print(error)
