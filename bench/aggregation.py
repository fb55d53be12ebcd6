"""Counting in the kernel against sending each event, polling /proc, stopping the process: time per event, and what is seen.

usage: aggregation.py [--json] [--events N] [--processes N]    docs/buffers.md says what it shows. Without privilege only what
is stopped (ptrace) is measured, by the user engine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "src"))

GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
AT_ONCE = 20_000  # system calls between two readings
ROUNDS = 5
POLLS = (0.01, 0.1)  # seconds from one look at /proc to the next

TEXT = """
struct event { u64 time; u32 pid; u32 call; char comm[16]; };
BPF_ARRAY(target, u64, 1);
BPF_HASH(counts, u32, u64);
BPF_RINGBUF_OUTPUT(events, 1024);

static int wanted(struct bpf_raw_tracepoint_args *ctx)
{
    int zero = 0;
    u64 *pid = target.lookup(&zero);
    return ctx->args[1] == GETPPID && pid && *pid == bpf_get_current_pid_tgid() >> 32;
}

int nothing(struct bpf_raw_tracepoint_args *ctx) { return wanted(ctx); }

int count(struct bpf_raw_tracepoint_args *ctx)
{
    if (wanted(ctx))
        counts.increment(bpf_get_current_pid_tgid() >> 32);
    return 0;
}

int send(struct bpf_raw_tracepoint_args *ctx)
{
    struct event event = {};
    if (!wanted(ctx))
        return 0;
    event.time = bpf_ktime_get_ns();
    event.pid = bpf_get_current_pid_tgid() >> 32;
    event.call = ctx->args[1];
    bpf_get_current_comm(event.comm, sizeof(event.comm));
    events.ringbuf_output(&event, sizeof(event), 0);
    return 0;
}

// A process that starts a program: counted when this process is its parent
int started(struct bpf_raw_tracepoint_args *ctx)
{
    int zero = 0;
    u64 *pid = target.lookup(&zero);
    struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
    if (pid && *pid == task->real_parent->tgid)
        counts.increment(task->tgid);
    return 0;
}
""".replace("GETPPID", str(GETPPID))


def per_event(events: int) -> dict[str, dict[str, float]]:
    """ns of CPU time for each event: what it adds to the system call, and what the reader needs for it."""
    from skep import BPF

    def read_count(b: Any) -> int:
        return sum(value.value for value in b["counts"].values())

    def read_batches(b: Any) -> int:
        return sum(len(batch) for batch in b["events"].batches(timeout=0))

    def read_events(b: Any) -> int:
        return sum(1 for _ in b["events"].events(timeout=0))

    ways: dict[str, tuple[str, Callable[[Any], int] | None]] = {
        "a program that does nothing": ("nothing", None),
        "counted in a map": ("count", read_count),
        "sent, read as arrays": ("send", read_batches),
        "sent, read one by one": ("send", read_events),
    }
    found = {}
    for name, (program, read) in ways.items():
        with BPF(text=TEXT, engine="kernel") as b:
            b["events"].open_ring_buffer(None)
            b.attach_raw_tracepoint("sys_enter", program)
            b["target"][0] = os.getpid()
            made, seen, making, reading = 0, 0, [], []
            while made < events:
                start = time.thread_time()
                for _ in range(AT_ONCE):
                    os.getppid()
                making.append((time.thread_time() - start) / AT_ONCE * 1e9)
                made += AT_ONCE
                if read is not None:
                    start = time.thread_time()
                    answer = read(b)
                    reading.append((time.thread_time() - start) / AT_ONCE * 1e9)
                    seen = answer if program == "count" else seen + answer
            assert read is None or seen == made, (name, seen, made)
        found[name] = {"made": statistics.median(making), "read": statistics.median(reading or [0])}
    return found


def processes_in_proc(parent: int) -> set[int]:
    """The children of a process, by a walk over /proc as tools without tracing do it."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.add(int(name))
    return found


def short_lived(processes: int) -> dict[str, dict[str, float]]:
    """How many of many short processes each way sees, and its CPU time per process."""
    from skep import BPF

    parent = os.getpid()

    def run_all() -> None:
        for _ in range(processes):
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)

    found: dict[str, dict[str, float]] = {}
    for every in POLLS:
        seen: set[int] = set()
        used = [0.0]
        stop = threading.Event()

        def poll(every: float = every, seen: set[int] = seen, used: list[float] = used, stop: threading.Event = stop) -> None:
            while not stop.wait(every):
                start = time.thread_time()
                seen |= processes_in_proc(parent)
                used[0] += time.thread_time() - start

        poller = threading.Thread(target=poll)
        poller.start()
        run_all()
        stop.set()
        poller.join()
        found[f"/proc every {every * 1000:.0f} ms"] = {
            "seen_percent": 100 * len(seen) / processes,
            "reader_us_per_process": used[0] / processes * 1e6,
        }
    with BPF(text=TEXT, engine="kernel") as b:
        b["target"][0] = parent
        b.attach_raw_tracepoint("sched_process_exec", "started")
        run_all()
        start = time.thread_time()
        counted = len(b["counts"].items())
        used_by_reader = time.thread_time() - start
    found["counted in a map"] = {
        "seen_percent": 100 * counted / processes,
        "reader_us_per_process": used_by_reader / processes * 1e6,
    }
    return found


# Makes system calls when it is told to, and says how long one took (ns), and how often it was taken off its CPU
CALLER = """
import os, sys, time

def switches():
    with open("/proc/self/status") as file:
        return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)

calls = int(sys.argv[1])
sys.stdin.readline()
before, start = switches(), time.perf_counter()
for _ in range(calls):
    os.getppid()
print((time.perf_counter() - start) / calls * 1e9, switches() - before)
"""
STOPPED = 20  # times fewer calls where each of them stops the process


def context_switches(calls: int, engines: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """What a process that makes system calls notices: its time for one, and how often it had to wait for somebody."""
    from skep import BPF

    ways = {
        "alone": ("", "", calls),
        "counted in a map": ("kernel", "count", calls),
        "sent through a ring buffer": ("kernel", "send", calls),
        "stopped for a tracer (ptrace)": ("user", "count", calls // STOPPED),
    }
    found = {}
    for name, (engine, program, number) in ways.items():
        command = [sys.executable, "-c", CALLER, str(number)]
        if not engine:
            words = subprocess.run(command, input=b"\n", capture_output=True, check=True).stdout.split()
        elif engine not in engines:
            continue
        else:
            (stdin, go), (answer, stdout) = os.pipe(), os.pipe()
            with BPF(text=TEXT, engine=engine) as b, open(go, "wb", 0) as go_file, open(answer, "rb") as answer_file:
                b.attach_raw_tracepoint("sys_enter", program)
                process = b.trace_command(command, stdin=stdin, stdout=stdout)
                os.close(stdin)
                os.close(stdout)
                b["target"][0] = process.pid
                go_file.write(b"\n")
                words = answer_file.read().split()
                process.wait()
                if program == "count":
                    assert b["counts"][process.pid].value == number, (name, number)
        found[name] = {"ns_per_call": float(words[0]), "switches_per_1000": 1000 * int(words[1]) / number}
    return found


def main() -> int:
    from skep.errors import PrivilegeError

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--processes", type=int, default=300)
    options = parser.parse_args()
    events: dict[str, dict[str, float]] = {}
    processes: dict[str, dict[str, float]] = {}
    engines: tuple[str, ...] = ("kernel", "user")
    try:
        events, processes = per_event(options.events), short_lived(options.processes)
    except PrivilegeError as error:
        print(f"Only what stops the process can be measured here: {error}\n", file=sys.stderr)
        engines = ("user",)
    switches = context_switches(options.events, engines)
    if options.json:
        print(json.dumps({"per_event": events, "short_lived": processes, "switches": switches}, indent=2))
        return 0
    if events:
        print_kernels(events, processes, options.processes)
    print(f"{'a process that makes system calls':<34}{'ns a call':>11}{'context switches in 1000 calls':>33}")
    for name, row in switches.items():
        print(f"{name:<34}{row['ns_per_call']:>11.0f}{row['switches_per_1000']:>33.2f}")
    return 0


def print_kernels(events: dict[str, dict[str, float]], processes: dict[str, dict[str, float]], number: int) -> None:
    base = events["a program that does nothing"]["made"]
    print(f"one system call with a program that does nothing: {base:.0f} ns of CPU time. More per event, in ns:")
    print(f"{'':<28}{'in the kernel':>15}{'in the reader':>15}{'together':>10}")
    for name, row in events.items():
        if row["read"]:
            print(f"{name:<28}{row['made'] - base:>15.0f}{row['read']:>15.1f}{row['made'] - base + row['read']:>10.0f}")
    print(f"{number} processes that live for a millisecond or so:")
    print(f"{'':<28}{'seen':>15}{'reader, us per process':>26}")
    for name, row in processes.items():
        print(f"{name:<28}{row['seen_percent']:>13.1f} %{row['reader_us_per_process']:>26.2f}")


if __name__ == "__main__":
    sys.exit(main())
