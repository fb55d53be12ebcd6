"""Perf buffer against ring buffer: cost of an event, what is lost, order across CPUs, memory, wake-ups, reserve against output.

usage: buffers.py [--json] [--events N]    needs root. docs/buffers.md says what it shows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import select
import sys
import time
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "src"))

GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
PAGES = 512  # of the ring buffer; the perf rings share them out among the CPUs
SIZE = 64

# `ways`: one program each, that sends the same event in another way
TEXT = """
struct event { u64 time; u64 number; u32 cpu; u32 parent; u64 rest[5]; };
BPF_PERF_OUTPUT(perf);
BPF_RINGBUF_OUTPUT(ring, PAGES);
BPF_ARRAY(control, u64, 2);        // the processes to look at: this one, or the children of it
BPF_PERCPU_ARRAY(counts, u64, 2);  // events; those that found no room

static u64 *wanted(struct bpf_raw_tracepoint_args *ctx)
{
    int zero = 0;
    u64 *target = control.lookup(&zero), *count = counts.lookup(&zero);
    struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
    if (ctx->args[1] != GETPPID || !target || !count || (*target != task->tgid && *target != task->real_parent->tgid))
        return 0;
    *count += 1;
    return count;
}

static void fill_in(struct event *event, u64 number)
{
    event->number = number;
    event->cpu = bpf_get_smp_processor_id();
    event->parent = 0;
    event->time = bpf_ktime_get_ns();
}

static int failed(void)
{
    int one = 1;
    u64 *count = counts.lookup(&one);
    if (count)
        *count += 1;
    return 0;
}

int to_nothing(struct bpf_raw_tracepoint_args *ctx)
{
    struct event event = {};
    u64 *number = wanted(ctx);
    if (number)
        fill_in(&event, *number);
    return event.number == 1;
}

int to_perf(struct bpf_raw_tracepoint_args *ctx)
{
    struct event event = {};
    u64 *number = wanted(ctx);
    if (!number)
        return 0;
    fill_in(&event, *number);
    return perf.perf_submit(ctx, &event, sizeof(event)) ? failed() : 0;
}

int to_ring(struct bpf_raw_tracepoint_args *ctx)
{
    struct event event = {};
    u64 *number = wanted(ctx);
    if (!number)
        return 0;
    fill_in(&event, *number);
    return ring.ringbuf_output(&event, sizeof(event), 0) ? failed() : 0;
}

int to_ring_silently(struct bpf_raw_tracepoint_args *ctx)
{
    struct event event = {};
    u64 *number = wanted(ctx);
    if (!number)
        return 0;
    fill_in(&event, *number);
    return ring.ringbuf_output(&event, sizeof(event), BPF_RB_NO_WAKEUP) ? failed() : 0;
}

int to_reserved(struct bpf_raw_tracepoint_args *ctx)
{
    u64 *number = wanted(ctx);
    if (!number)
        return 0;
    struct event *event = ring.ringbuf_reserve(sizeof(struct event));
    if (!event)
        return failed();
    fill_in(event, *number);
    ring.ringbuf_submit(event, 0);
    return 0;
}
""".replace("PAGES", str(PAGES)).replace("GETPPID", str(GETPPID))

# name: program, view, options of the perf buffer
WAYS: dict[str, tuple[str, str, dict[str, int]]] = {
    "no event": ("to_nothing", "", {}),
    "perf buffer, wake-up for each": ("to_perf", "perf", {"wakeup_events": 1}),
    "perf buffer, wake-up for 64": ("to_perf", "perf", {"wakeup_events": 64}),
    "ring buffer, output": ("to_ring", "ring", {}),
    "ring buffer, reserve and submit": ("to_reserved", "ring", {}),
    "ring buffer, no wake-up": ("to_ring_silently", "ring", {}),
}


def open_way(way: str) -> tuple[Any, Any]:
    """(BPF object with the program attached, the open view or None)."""
    from skep import BPF

    program, view, options = WAYS[way]
    b = BPF(text=TEXT, engine="kernel")
    table = b[view] if view else None
    if view == "perf":
        table.open_perf_buffer(
            None, page_cnt=PAGES // (1 << (len(b.engine.online_cpus) - 1).bit_length()), lost_cb=lambda _: None, **options
        )
    elif view == "ring":
        table.open_ring_buffer(None)
    b.attach_raw_tracepoint("sys_enter", program)
    return b, table


def totals(b: Any) -> tuple[int, int]:
    """(events that the programs made, those that found no room), over all CPUs."""
    return int(b["counts"].sum(0).value), int(b["counts"].sum(1).value)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cost(way: str, events: int) -> dict[str, float]:
    """CPU time of an event where it is made (this process), the reader being another process's business: it never reads here."""
    b, table = open_way(way)
    with b:
        b["control"][0] = os.getpid()
        fits = min(events, PAGES * 4096 // 88 // 4)
        spent = 0.0
        made = 0
        while made < events:
            start = time.thread_time()
            for _ in range(fits):
                os.getppid()
            spent += time.thread_time() - start
            made += fits
            if table is not None:
                for _ in table.batches(timeout=0):
                    pass
        produced, failed = totals(b)
        assert (produced, failed) == (made, 0), (way, produced, failed, made)
    return {"ns_per_event": spent / made * 1e9}


def _busy(events: int, cpu: int, go: Any) -> None:
    os.sched_setaffinity(0, {cpu})
    go.wait()
    for _ in range(events):
        os.getppid()


def together(way: str, events: int, delay: float) -> dict[str, float]:
    """A process on each CPU makes `events` events; this one reads and rests `delay` s after each round: loss, order, wake-ups."""
    b, table = open_way(way)
    with b:
        cpus = sorted(os.sched_getaffinity(0))
        go = multiprocessing.Event()
        children = [multiprocessing.Process(target=_busy, args=(events, cpu, go)) for cpu in cpus]
        for child in children:
            child.start()
        b["control"][0] = os.getpid()
        epoll = select.epoll.fromfd(os.dup(table.buffer.poller.fd))
        received = late = switched = wakeups = 0
        newest = 0
        waiting_bytes = 0
        go.set()
        used = cpu_seconds()
        start = time.perf_counter()
        alive = True
        while True:
            waiting_bytes = max(waiting_bytes, table.buffer.waiting())
            got = False
            for batch in table.batches(timeout=0):
                got = True
                received += len(batch)
                times = batch["time"].tolist()
                cpu_of = batch["cpu"].tolist()
                for stamp, cpu, before in zip(times, cpu_of, [cpu_of[0], *cpu_of], strict=False):
                    late += stamp < newest
                    switched += cpu != before
                    newest = max(newest, stamp)
            if not got:
                if not alive:
                    break
                alive = any(child.is_alive() for child in children)
                wakeups += bool(epoll.poll(0.01))
            elif delay:
                time.sleep(delay)
        took = time.perf_counter() - start
        used = cpu_seconds() - used
        epoll.close()
        for child in children:
            child.join()
        produced, failed = totals(b)
        lost = table.lost if WAYS[way][1] == "perf" else failed
        assert lost == failed, (way, lost, failed)
        assert produced == received + lost == events * len(cpus), (way, produced, received, lost)
    return {
        "per_second": produced / took,
        "lost_percent": 100 * lost / produced,
        "late_percent": 100 * late / max(received, 1),
        "wakeups_per_1000": 1000 * wakeups / max(received, 1),
        "reader_ns_per_event": used / max(received, 1) * 1e9,
        "waiting_kib": waiting_bytes / 1024,
    }


def memory() -> dict[str, int]:
    """KiB of buffer for the same room for one busy CPU, by number of CPUs: perf rings are per CPU, a ring buffer is shared."""
    from skep import BPF

    with BPF(text=TEXT, engine="kernel") as b:
        cpus = len(b.engine.online_cpus)
        b["perf"].open_perf_buffer(None, page_cnt=PAGES)
        b["ring"].open_ring_buffer(None)
        return {
            "perf_kib": sum(cursor.mask + 1 for cursor in b["perf"].buffer.cursors) // 1024,
            "ring_kib": (b["ring"].buffer.cursors[0].mask + 1) // 1024,
            "cpus": cpus,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--events", type=int, default=100_000, help="of each process (default %(default)s)")
    options = parser.parse_args()
    found: dict[str, Any] = {"memory": memory(), "ways": {}}
    for way, (_, view, _) in WAYS.items():
        row = cost(way, options.events)
        if view:
            row["quick"] = together(way, options.events, 0)
            row["slow"] = together(way, options.events, 0.05)
        found["ways"][way] = row
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    base = found["ways"]["no event"]["ns_per_event"]
    print(f"the system call with a program that sends nothing: {base:.0f} ns; an event of {SIZE} bytes adds, where it is made:")
    print(f"{'':<34}{'ns':>7}{'  quick reader: k/s':>19}{'lost':>8}{'late':>7}{'wakes':>7}{'slow: lost':>12}")
    for way, row in found["ways"].items():
        if "quick" in row:
            quick, slow = row["quick"], row["slow"]
            print(
                f"{way:<34}{row['ns_per_event'] - base:>7.0f}{quick['per_second'] / 1e3:>19.0f}{quick['lost_percent']:>7.1f}%"
                f"{quick['late_percent']:>6.1f}%{quick['wakeups_per_1000']:>7.1f}{slow['lost_percent']:>11.1f}%"
            )
    sizes = found["memory"]
    print(
        f"room for {PAGES} pages from one CPU: perf {sizes['perf_kib']} KiB on {sizes['cpus']} CPUs, ring {sizes['ring_kib']} KiB"
    )
    print(
        "late: events that come after a newer one was read. wakes: waits that ended because the kernel said so, per 1000 events"
    )
    return 0


if __name__ == "__main__":
    from skep.errors import PrivilegeError

    try:
        sys.exit(main())
    except PrivilegeError as error:
        sys.exit(f"this measures the kernel: {error}")
