"""Events of 64 bytes from a raw tracepoint to Python: a callback with a ctypes struct, `for`, `batches()`; perf and ring buffer.

Rates of a full buffer are records per second of CPU time: nothing waits there. Beside a busy process they are of the clock.

usage: events.py [--json] [--rounds N] [--seconds S]    needs root; BCC is measured beside where it is installed and has headers
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import os
import statistics
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from peers import BCC_PYTHON, bcc_environment

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "src"))

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = 512  # of the ring buffer, and of the perf ring of each CPU
FORMAT = "=QQIIIIiIQ16s"  # of struct event
GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]

TEXT = """
struct event { u64 time; u64 number; u32 pid; u32 tid; u32 uid; u32 cpu; int result; u32 flags; u64 bytes; char comm[16]; };
BPF_PERF_OUTPUT(perf);
BPF_RINGBUF_OUTPUT(ring, PAGES);
BPF_ARRAY(control, u64, 4);  // the process to look at; events so far; those that found no room

static int wanted(struct bpf_raw_tracepoint_args *ctx, struct event *event)
{
    int key = 0, count = 1;
    u64 *pid = control.lookup(&key), *number = control.lookup(&count);
    if (ctx->args[1] != GETPPID || !pid || !number || *pid != bpf_get_current_pid_tgid() >> 32)
        return 0;
    *number += 1;
    event->time = bpf_ktime_get_ns();
    event->pid = *pid;
    event->tid = bpf_get_current_pid_tgid();
    event->uid = bpf_get_current_uid_gid();
    event->cpu = bpf_get_smp_processor_id();
    event->number = *number;
    bpf_get_current_comm(event->comm, sizeof(event->comm));
    return 1;
}

static int failed(void)
{
    int key = 2;
    u64 *lost = control.lookup(&key);
    if (lost)
        *lost += 1;
    return 0;
}

int to_perf(struct bpf_raw_tracepoint_args *ctx)
{
    struct event event = {};
    if (wanted(ctx, &event) && perf.perf_submit(ctx, &event, sizeof(event)))
        failed();
    return 0;
}

int to_ring(struct bpf_raw_tracepoint_args *ctx)
{
    struct event event = {};
    if (wanted(ctx, &event) && ring.ringbuf_output(&event, sizeof(event), 0))
        failed();
    return 0;
}
""".replace("PAGES", str(PAGES)).replace("GETPPID", str(GETPPID))

# The callback, Skep's and BCC's.
CALLBACK = """
import os, sys, time
total = 0

def take(b, kind):
    def callback(first, data, size):
        global total
        event = b[kind].event(data)
        total += event.number
    return callback

"""
RECORDS = PAGES * 4096 // 80 - 1  # a perf record of 64 bytes takes 80, one of a ring buffer 72

# BCC's buffer is filled anew for each round: nothing can set it back.
BCC = f"""
from bcc import BPF
RECORDS = {RECORDS}

def empty(b, kind):
    global total
    total = 0
    before = b["control"][1].value
    for _ in range(RECORDS):
        os.getppid()
    start = time.thread_time()
    (b.perf_buffer_poll if kind == "perf" else b.ring_buffer_poll)(0)
    seconds = time.thread_time() - start
    assert total == sum(range(before + 1, before + RECORDS + 1)), total
    return seconds

os.sched_setaffinity(0, {{max(os.sched_getaffinity(0))}})
b = BPF(text=sys.argv[1])
b["control"][0] = b["control"].Leaf(os.getpid())
b["perf"].open_perf_buffer(take(b, "perf"), page_cnt={PAGES})
b["ring"].open_ring_buffer(take(b, "ring"))
for kind in ("perf", "ring"):
    b.attach_raw_tracepoint(tp="sys_enter", fn_name="to_" + kind)
    print(kind, *[empty(b, kind) for _ in range(int(sys.argv[2]))], flush=True)
    b.detach_raw_tracepoint("sys_enter")
"""


class Filled:
    """A buffer with RECORDS events of this process in it, for a callback or for iterating.

    Nothing writes any more, so setting the tail back makes it full again.
    """

    def __init__(self, kind: str, *, callback: bool) -> None:
        from skep import BPF

        self.kind = kind
        self.bpf = BPF(text=TEXT, engine="kernel")
        self.table = self.bpf[kind]
        self.names: dict[str, Any] = {}
        exec(CALLBACK, self.names)
        taker = self.names["take"](self.bpf, kind) if callback else None
        if kind == "perf":
            self.table.open_perf_buffer(taker, page_cnt=PAGES)
        else:
            self.table.open_ring_buffer(taker)
        self.poll = self.bpf.perf_buffer_poll if kind == "perf" else self.bpf.ring_buffer_poll
        self.bpf.attach_raw_tracepoint("sys_enter", f"to_{kind}")
        self.bpf["control"][0] = os.getpid()
        for _ in range(RECORDS):
            os.getppid()
        self.bpf["control"][0] = 0
        self.bpf.detach_raw_tracepoint("sys_enter")
        self.cursor = max(self.table.buffer.cursors, key=lambda cursor: cursor.head.value - cursor.tail.value)
        self.start = self.cursor.tail.value

    def refill(self) -> None:
        self.cursor.tail.value = self.start

    def close(self) -> None:
        self.bpf.cleanup()


TOTAL = sum(range(1, RECORDS + 1))  # of the events' numbers


def unpacked(filled: Filled) -> tuple[float, int]:
    """The peer: struct.unpack_from over the bytes of the full ring, in place of a reader."""
    prefix, stride = (12, 80) if filled.kind == "perf" else (8, 72)
    data, size = ctypes.string_at(filled.cursor.data, stride * RECORDS), stride * RECORDS
    unpack_from = struct.unpack_from
    total = 0
    start = time.thread_time()
    for offset in range(prefix, size, stride):
        fields = unpack_from(FORMAT, data, offset)
        total += fields[1]
    return time.thread_time() - start, total


def into_callback(filled: Filled) -> tuple[float, int]:
    filled.names["total"] = 0
    start = time.thread_time()
    filled.poll(0)
    return time.thread_time() - start, filled.names["total"]


def into_for(filled: Filled) -> tuple[float, int]:
    total = 0
    start = time.thread_time()
    for event in filled.table.events(timeout=0):
        total += event.number
    return time.thread_time() - start, total


def into_batches(filled: Filled) -> tuple[float, int]:
    count = 0
    start = time.thread_time()
    for batch in filled.table.batches(timeout=0):
        count += len(batch)
    return time.thread_time() - start, TOTAL if count == RECORDS else 0  # the next one looks at them


def into_batches_summed(filled: Filled) -> tuple[float, int]:
    total = 0
    start = time.thread_time()
    for batch in filled.table.batches(timeout=0):
        total += int(batch["number"].sum())
    return time.thread_time() - start, total


CASES: dict[str, Callable[[Filled], tuple[float, int]]] = {
    "struct.unpack_from": unpacked,
    "callback": into_callback,
    "for": into_for,
    "batches": into_batches,
    "batches, a field summed": into_batches_summed,
}
KINDS = ("perf", "ring")
LEAST = 0.005  # seconds of one measurement: what is quicker is repeated


def prefilled(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each round, by kind of buffer and case; in turn, so that a slow moment of the machine meets all of them."""
    measured: dict[str, dict[str, list[float]]] = {}
    for kind in KINDS:
        called, iterated = Filled(kind, callback=True), Filled(kind, callback=False)
        times: dict[str, list[float]] = {name: [] for name in CASES}
        for turn in range(rounds + 1):
            for name, run in CASES.items():
                filled = called if run is into_callback else iterated
                took, times_run = 0.0, 0
                while took < LEAST:
                    filled.refill()
                    seconds, total = run(filled)
                    assert total == TOTAL, (kind, name, total)
                    took += seconds
                    times_run += 1
                if turn:  # the first one compiles the machine code
                    times[name].append(took / times_run)
        called.close()
        iterated.close()
        measured[kind] = times
    return measured


def with_bcc(rounds: int) -> dict[str, list[float]]:
    """Seconds of each round by kind of buffer, empty where BCC cannot run."""
    environment = bcc_environment()
    if environment is None:
        return {}
    command = [BCC_PYTHON, "-c", CALLBACK + BCC, TEXT, str(rounds + 1)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        print(f"BCC did not run: {(done.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
        return {}
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0]: [float(word) for word in row[2:]] for row in rows}


def busy(ready: Any, stop: Any, cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    ready.set()
    while not stop.is_set():
        for _ in range(1000):
            os.getppid()


def live(seconds: float, cpus: list[int]) -> dict[str, dict[str, dict[str, float]]]:
    """A process that makes events as fast as it can on one CPU, readers on another: what arrives and what is lost."""
    from skep import BPF

    figures: dict[str, dict[str, dict[str, float]]] = {}
    for kind in KINDS:
        figures[kind] = {}
        for case in ("callback", "for", "batches"):
            ready, stop = multiprocessing.Event(), multiprocessing.Event()
            child = multiprocessing.Process(target=busy, args=(ready, stop, cpus[-1]))
            with BPF(text=TEXT, engine="kernel") as b:
                table = b[kind]
                received = 0

                def callback(_first: object, data: int, _size: int, table: Any = table) -> None:
                    nonlocal received
                    table.event(data)
                    received += 1

                taker = callback if case == "callback" else None
                table.open_perf_buffer(taker, PAGES, lambda _: None) if kind == "perf" else table.open_ring_buffer(taker)
                poll = b.perf_buffer_poll if kind == "perf" else b.ring_buffer_poll
                b.attach_raw_tracepoint("sys_enter", f"to_{kind}")
                child.start()
                ready.wait()
                os.sched_setaffinity(0, {cpus[0]})
                start = time.perf_counter()
                b["control"][0] = child.pid

                def over(start: float = start) -> bool:
                    return time.perf_counter() - start > seconds

                while not over():
                    if case == "callback":
                        poll(10)
                    elif case == "for":
                        for _ in table.events(timeout=10):
                            received += 1
                            if received % 1024 == 0 and over():
                                break
                    else:
                        for batch in table.batches(timeout=10):
                            received += len(batch)
                            if over():
                                break
                b["control"][0] = 0
                took = time.perf_counter() - start
                time.sleep(0.01)  # the program that runs at this moment
                received_in_time = received
                stop.set()
                child.join()
                if case == "callback":
                    while poll(0):
                        pass
                else:
                    received += sum(1 for _ in table.events(timeout=0))
                produced, failed = b["control"][1].value, b["control"][2].value
                lost = table.lost if kind == "perf" else failed
                assert lost == failed, (kind, case, lost, failed)
                assert produced == received + lost, (kind, case, produced, received, lost)
                figures[kind][case] = {"per_second": received_in_time / took, "produced": produced, "lost": lost}
    return figures


def bars(measured: dict[str, dict[str, list[float]]]) -> list[dict[str, Any]]:
    """Ratios of what was measured one after the other, the median of all rounds; BCC's, which had its own process, of medians."""

    def quicker(kind: str, case: str, peer: str) -> float:
        return statistics.median(b / a for a, b in zip(measured[kind][case], measured[kind][peer], strict=True))

    results = []
    for kind, rows in measured.items():
        results.append((f"{kind}: batches() against the callback", quicker(kind, "batches", "callback"), 50))
        results.append((f"{kind}: the callback against struct.unpack_from", quicker(kind, "callback", "struct.unpack_from"), 0.5))
        if "BCC, callback" in rows:
            ratio = statistics.median(rows["BCC, callback"]) / statistics.median(rows["callback"])
            results.append((f"{kind}: the callback against BCC's", ratio, 2))
    return [
        {"bar": name, "measured": round(ratio, 2), "at_least": least, "holds": ratio >= least} for name, ratio, least in results
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each reader beside a busy process; 0: leave them out")
    options = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[-1]})
    measured = prefilled(options.rounds)
    for kind, times in with_bcc(options.rounds).items():
        measured[kind]["BCC, callback"] = times
    os.sched_setaffinity(0, cpus)
    rates = {kind: {name: RECORDS / statistics.median(times) for name, times in rows.items()} for kind, rows in measured.items()}
    arrived = live(options.seconds, cpus) if options.seconds else {}
    results = bars(measured)
    if options.json:
        print(json.dumps({"records": RECORDS, "prefilled": rates, "live": arrived, "bars": results}, indent=2))
    else:
        print(f"{f'full buffer, {RECORDS} records':<28}{'perf buffer':>18}{'ring buffer':>18}")
        for name in rates["perf"]:
            print(f"{name:<28}" + "".join(f"{rates[kind].get(name, 0) / 1e6:>14.2f} M/s" for kind in KINDS))
        for kind, rows in arrived.items():
            for name, row in rows.items():
                share = 100 * row["lost"] / max(row["produced"], 1)
                print(
                    f"busy process, {kind}, {name:<10}{row['per_second'] / 1e6:>8.2f} M/s, "
                    f"produced {row['produced']:.0f}, lost {row['lost']:.0f} ({share:.1f} %)"
                )
        for result in results:
            verdict = "holds" if result["holds"] else "FAILS"
            print(f"{verdict}: {result['bar']}: {result['measured']} (at least {result['at_least']})")
    return 0 if all(result["holds"] for result in results) else 1


if __name__ == "__main__":
    from skep.errors import PrivilegeError

    try:
        sys.exit(main())
    except PrivilegeError as error:
        sys.exit(f"this measures the kernel: {error}")
