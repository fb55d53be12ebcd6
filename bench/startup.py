"""Start-up: wall time and peak memory from process start to an attached program, against bpftrace and BCC in the same run.

usage: startup.py [--json] [--rounds N]    needs root; the peers run where they are installed
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import select
import shutil
import statistics
import sys
import tempfile
import time

from peers import BCC_PYTHON, bcc_environment

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, os.pardir, "examples", "hello_map.c")
MARKER = b"attached"
TRACEPOINT = "syscalls:sys_enter_execve"  # where the kprobe of hello_map ends up on a kernel without kprobes

SKEP = f"""
from skep import BPF
b = BPF(src_file={PROGRAM!r})
b.attach_kprobe(event=b.get_syscall_fnname("execve"), fn_name="hello")
print("attached", flush=True)
b.cleanup()
"""
BCC = f"""
from bcc import BPF
b = BPF(src_file={PROGRAM!r}.encode())
b.attach_tracepoint(tp=b"{TRACEPOINT}", fn_name=b"hello")
print("attached", flush=True)
b.cleanup()
"""
BPFTRACE = f"""
interval:ms:1 {{ printf("attached\\n"); exit(); }}
tracepoint:{TRACEPOINT} {{ @[uid] = count(); }}
"""

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 0x4000, 0x40000  # include/uapi/linux/sched.h, mount.h
LIBC = ctypes.CDLL(None, use_errno=True)


def mount_tracefs() -> None:
    """bpftrace and BCC need tracefs and debugfs mounted: they get them in a mount namespace of their own."""
    calls = (
        LIBC.unshare(CLONE_NEWNS),
        LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None),
        LIBC.mount(b"tracefs", b"/sys/kernel/tracing", b"tracefs", 0, None),
        LIBC.mount(b"debugfs", b"/sys/kernel/debug", b"debugfs", 0, None),
    )
    if any(calls[:2]):
        raise OSError(ctypes.get_errno(), "no mount namespace for the peers")


class Case:
    """One way to start: its command, its environment and what to do before each run."""

    def __init__(
        self, name: str, command: list[str], *, env: dict[str, str] | None = None, cold: str = "", peer: bool = False
    ) -> None:
        self.name = name
        self.command = command
        self.env = {**os.environ, **(env or {})}
        self.cold = cold
        self.peer = peer
        self.wall: list[float] = []
        self.attached: list[float] = []
        self.memory: list[float] = []

    def run(self) -> None:
        """One run; the times in ms, the memory in MiB, go to the lists."""
        if self.cold:
            shutil.rmtree(self.cold, ignore_errors=True)
        reader, writer = os.pipe()
        start = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            try:
                if self.peer:
                    mount_tracefs()
                    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # bpftrace 0.17 complains of its rlimit and goes on
                os.dup2(writer, 1)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.execvpe(self.command[0], self.command, self.env)
            finally:
                os._exit(127)
        os.close(writer)
        output, attached = b"", 0.0
        while select.select([reader], [], [], 60)[0] and (chunk := os.read(reader, 4096)):
            output += chunk
            if MARKER in output and not attached:
                attached = time.perf_counter() - start
        os.close(reader)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - start
        if status != 0 or (MARKER not in output and self.name != BASE):
            raise SystemExit(f"{self.name}: {' '.join(self.command)} failed (status {status}): {output.decode()}")
        self.wall.append(wall * 1000)
        self.attached.append((attached or wall) * 1000)
        self.memory.append(usage.ru_maxrss / 1024)

    def figures(self) -> dict[str, float]:
        return {
            "wall_ms": round(statistics.median(self.wall), 1),
            "attached_ms": round(statistics.median(self.attached), 1),
            "peak_mib": round(statistics.median(self.memory), 1),
        }


BASE = "python -c pass"


def cases(cache: str) -> list[Case]:
    """What is measured; a peer only where it is installed."""
    environment = {"PYTHONPATH": os.path.join(HERE, os.pardir, "src")}
    cold, warm = os.path.join(cache, "cold"), os.path.join(cache, "warm")
    python = os.path.realpath(sys.executable) if sys.prefix == sys.base_prefix else sys.executable
    found = [
        Case(BASE, [python, "-c", "pass"]),
        Case("skep, cold cache", [python, "-c", SKEP], env={**environment, "SKEP_CACHE_DIR": cold}, cold=cold),
        Case("skep, warm cache", [python, "-c", SKEP], env={**environment, "SKEP_CACHE_DIR": warm}),
    ]
    if shutil.which("bpftrace"):
        found.append(Case("bpftrace", ["bpftrace", "-e", BPFTRACE], peer=True))
    bcc = bcc_environment()
    if bcc is not None:
        found.append(Case("BCC", [BCC_PYTHON, "-c", BCC], env=bcc, peer=True))
    return found


def bars(figures: dict[str, dict[str, float]]) -> list[dict[str, object]]:
    """The bars: attached, warm, after at most 3 x `python -c pass` + 25 ms and with 40 MiB; cold after 450 ms more than it.

    They are about the time to attached. The rest of a whole run is the kernel's: taking a program off a tracepoint
    waits for its grace periods (perf_trace_event_unreg, kernel/trace/trace_event_perf.c), for every tool.
    """
    base = figures[BASE]["wall_ms"]
    rows = (
        ("warm, ms to attached", figures["skep, warm cache"]["attached_ms"], 3 * base + 25),
        ("warm, peak MiB", figures["skep, warm cache"]["peak_mib"], 40.0),
        ("cold, ms to attached", figures["skep, cold cache"]["attached_ms"], base + 450),
    )
    return [{"bar": name, "measured": value, "at_most": round(limit, 1), "holds": value <= limit} for name, value, limit in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skep-bench-") as cache:
        measured = cases(cache)
        for case in measured:  # fills page cache, .pyc files and the warm cache
            case.run()
            case.wall.clear()
            case.attached.clear()
            case.memory.clear()
        for _ in range(options.rounds):  # in turn, so that a slow moment of the machine meets all of them
            for case in measured:
                case.run()
    figures = {case.name: case.figures() for case in measured}
    results = bars(figures)
    if options.json:
        print(json.dumps({"rounds": options.rounds, "figures": figures, "bars": results}, indent=2))
    else:
        base = figures[BASE]["wall_ms"]
        print(f"{'medians of ' + str(options.rounds):<20}{'attached':>10}{'ratio':>8}{'whole run':>12}{'peak':>11}")
        for name, row in figures.items():
            times = f"{row['attached_ms']:>7.1f} ms{row['attached_ms'] / base:>7.1f}x{row['wall_ms']:>9.1f} ms"
            print(f"{name:<20}{times}{row['peak_mib']:>7.1f} MiB")
        for result in results:
            print(
                f"{'holds' if result['holds'] else 'FAILS'}: {result['bar']}: {result['measured']} (at most {result['at_most']})"
            )
    return 0 if all(result["holds"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
