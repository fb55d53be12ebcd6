"""Two BPF objects, one map: the first writes when a process starts to run a program, the second reads when it ends."""

import subprocess

from skep import BPF

STARTS = r"""
BPF_HASH(starts, u32, u64, 4096);

RAW_TRACEPOINT_PROBE(sched_process_exec)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 now = bpf_ktime_get_ns();
    starts.update(&pid, &now);
    return 0;
}
"""

ENDS = r"""
BPF_HASH(starts, u32, u64, 4096);         // of its own, unless BPF(maps=...) puts another in its place
BPF_HASH(lifetimes, u32, u64, 4096);

RAW_TRACEPOINT_PROBE(sched_process_exit)
{
    u64 id = bpf_get_current_pid_tgid();
    u32 pid = id >> 32;
    u64 *start = pid == (u32)id ? starts.lookup(&pid) : 0;
    if (start) {
        u64 lifetime = bpf_ktime_get_ns() - *start;
        lifetimes.update(&pid, &lifetime);
        starts.delete(&pid);
    }
    return 0;
}
"""

with BPF(text=STARTS) as starts, BPF(text=ENDS, maps={"starts": starts["starts"]}) as ends:
    process = subprocess.Popen(["sleep", "0.2"])
    process.wait()
    lifetimes = {pid.value: lifetime.value for pid, lifetime in ends["lifetimes"].items()}
    print(f"sleep 0.2 lived {lifetimes[process.pid] / 1e6:.0f} ms")
