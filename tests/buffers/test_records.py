"""What a record looks like in Python: every kind of member, as ctypes and as numpy, at the offsets that the program wrote to."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from skep import BPF

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
TEXT = """
struct point { s16 x; s16 y; };
enum color { RED, GREEN = 7 };
typedef struct { u8 major; u8 minor; } version_t;
struct event {
    u64 numbers[2][2];
    u32 pid;
    char comm[16];
    struct point place;
    struct point corners[3];
    u32 small : 3, middle : 12, : 5, high : 12;
    s32 below : 4;
    union { u64 whole; u32 halves[2]; };
    union { u32 word; u8 bytes[4]; } named;
    enum color color;
    version_t version;
    bool yes;
    void *where;
    char tail[5];
} __attribute__((packed_or_not));
BPF_PERF_OUTPUT(perf);
BPF_RINGBUF_OUTPUT(ring, 8);
BPF_ARRAY(control, u64, 3);  // process, flags of the ring buffer, bytes that wait in it

static int make(struct bpf_raw_tracepoint_args *ctx, struct event *event)
{
    int zero = 0;
    u64 *pid = control.lookup(&zero);
    if (ctx->args[1] != GETPPID || !pid || *pid != bpf_get_current_pid_tgid() >> 32)
        return 0;
    event->pid = *pid;
    event->comm[0] = 'p'; event->comm[1] = 'y';
    event->place.x = -3;
    event->place.y = 4;
    event->corners[2].y = -9;
    event->numbers[1][0] = 1ull << 63;
    event->small = 5;
    event->middle = 0xabc;
    event->high = 0xfed;
    event->below = -2;
    event->whole = 0x1122334455667788ull;
    event->named.word = 0x01020304;
    event->color = GREEN;
    event->version.minor = 8;
    event->yes = true;
    event->where = (void *)0xffff888000001000ull;
    event->tail[0] = 'e'; event->tail[1] = 'n'; event->tail[2] = 'd';
    return 1;
}

int to_perf(struct bpf_raw_tracepoint_args *ctx)
{
    struct event event = {};
    if (make(ctx, &event))
        perf.perf_submit(ctx, &event, sizeof(event));
    return 0;
}

int to_ring(struct bpf_raw_tracepoint_args *ctx)
{
    struct event event = {};
    int one = 1, two = 2;
    u64 *flags = control.lookup(&one), *waiting = control.lookup(&two);
    if (flags && waiting && make(ctx, &event)) {
        ring.ringbuf_output(&event, sizeof(event), *flags);
        *waiting = ring.ringbuf_query(BPF_RB_AVAIL_DATA);
    }
    return 0;
}
""".replace("GETPPID", str(GETPPID))


def opened(layout: str) -> BPF:
    b = BPF(text=TEXT.replace("__attribute__((packed_or_not))", layout))
    b["control"][0] = os.getpid()
    return b


@pytest.fixture
def bpf() -> Iterator[BPF]:
    with opened("") as b:
        yield b


def check(event: Any) -> None:
    """The members of a ctypes object."""
    assert (event.pid, event.comm, event.tail) == (os.getpid(), b"py", b"end")
    assert (event.place.x, event.place.y, [corner.y for corner in event.corners]) == (-3, 4, [0, 0, -9])
    assert [list(row) for row in event.numbers] == [[0, 0], [1 << 63, 0]]
    assert (event.small, event.middle, event.high, event.below) == (5, 0xABC, 0xFED, -2)
    assert (event.whole, list(event.halves)) == (0x1122334455667788, [0x55667788, 0x11223344])
    assert (event.named.word, list(event.named.bytes)) == (0x01020304, [4, 3, 2, 1])
    assert (event.color, event.version.minor, event.yes, event.where) == (7, 8, True, 0xFFFF888000001000)


@pytest.mark.parametrize("layout", ["", "__attribute__((packed))"])
@pytest.mark.parametrize("kind", ["perf", "ring"])
def test_every_kind_of_member_arrives_in_callbacks_loops_and_arrays(kind: str, layout: str) -> None:
    seen: list[Any] = []
    with opened(layout) as b:
        table = b[kind]
        b.attach_raw_tracepoint("sys_enter", f"to_{kind}")

        def take(_first: object, data: int, _size: int) -> None:
            check(table.event(data))
            seen.append(data)

        for callback in (take, None):
            table.open_perf_buffer(callback) if kind == "perf" else table.open_ring_buffer(callback)
            os.getppid()
            if callback is not None:
                (b.perf_buffer_poll if kind == "perf" else b.ring_buffer_poll)(0)
        assert len(seen) == 1
        (event,) = table.events(timeout=0)
        check(event)
        os.getppid()
        (batch,) = table.batches(timeout=0)
        assert len(batch) == 1
        row = batch[0]
        assert row.tobytes()[: batch.dtype.itemsize] == bytes(event)
        assert (row["pid"], row["comm"], row["tail"]) == (os.getpid(), b"py", b"end")
        assert row["corners"]["y"].tolist() == [0, 0, -9]
        assert row["numbers"].tolist() == [[0, 0], [1 << 63, 0]]
        assert (row["whole"], row["halves"].tolist()) == (0x1122334455667788, [0x55667788, 0x11223344])
        assert (row["color"], row["version"]["minor"], row["yes"], row["where"]) == (7, 8, True, 0xFFFF888000001000)
        for name in ("pid", "corners", "numbers", "color", "where", "tail"):
            assert batch.dtype.fields[name][1] == getattr(type(event), name).offset


def test_records_without_a_wake_up_are_found_and_a_forced_one_wakes(bpf: BPF, monkeypatch: pytest.MonkeyPatch) -> None:
    no_wakeup, force_wakeup = 1, 2  # include/uapi/linux/bpf.h
    got: list[int] = []
    bpf["ring"].open_ring_buffer(lambda _context, data, _size: got.append(data))
    bpf.attach_raw_tracepoint("sys_enter", "to_ring")
    bpf["control"][1] = no_wakeup
    monkeypatch.setattr("skep.buffers.poller.SLICE", 0.05)
    timer = threading.Timer(0.02, os.getppid)
    timer.start()
    assert bpf.ring_buffer_poll() == len(got) == 1  # not woken: found when the poll looked again
    timer.join()
    monkeypatch.setattr("skep.buffers.poller.SLICE", 60)
    bpf["control"][1] = force_wakeup
    timer = threading.Timer(0.02, os.getppid)
    timer.start()
    assert bpf.ring_buffer_poll(30_000) == 1
    timer.join()


def test_the_program_can_ask_how_much_waits_in_its_ring_buffer(bpf: BPF) -> None:
    table = bpf["ring"]
    table.open_ring_buffer(None)
    bpf.attach_raw_tracepoint("sys_enter", "to_ring")
    os.getppid()
    one = bpf["control"][2].value
    os.getppid()
    assert bpf["control"][2].value == 2 * one == table.buffer.waiting()
    assert len(list(table.events(timeout=0))) == 2
    assert table.buffer.waiting() == 0


def test_cpus_that_are_offline_have_no_ring_and_the_others_keep_their_numbers(bpf: BPF, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = type(bpf.engine)
    last = bpf.engine.online_cpus[-1]
    allowed = os.sched_getaffinity(0)
    open_ring = engine.open_perf_ring

    def open_last(self: Any, map: Any, cpu: int, *options: Any) -> Any:
        if cpu != last:
            raise OSError(errno.ENODEV, "as the kernel says of a CPU that is offline")
        return open_ring(self, map, cpu, *options)

    monkeypatch.setattr(engine, "open_perf_ring", open_last)
    cpus: list[int] = []
    bpf["perf"].open_perf_buffer(lambda cpu, _data, _size: cpus.append(cpu))
    bpf.attach_raw_tracepoint("sys_enter", "to_perf")
    try:
        os.sched_setaffinity(0, {last})
        os.getppid()
    finally:
        os.sched_setaffinity(0, allowed)
    bpf.perf_buffer_poll(0)
    assert cpus == [last]
