"""Perf and ring buffers, read from the running kernel: nothing invented, nothing lost in silence."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from sample import attach
from support import ROOT

from skep import BPF
from skep.errors import MapError

pytestmark = pytest.mark.kernel

TEXT = b"forty-four bytes in all"
RECORD = 56  # a sample of 44 bytes in the ring: header 8, size 4, data, up to a multiple of 8


def test_events_arrive_whole_in_order_and_on_their_cpu_through_many_wraps(bpf: BPF, one_cpu: int) -> None:
    got: list[tuple[int, int, int, bytes, int]] = []

    def take(cpu: int, data: int, size: int) -> None:
        event = bpf["events"].event(data)
        got.append((cpu, event.pid, event.n, event.text, size))

    bpf["events"].open_perf_buffer(take, page_cnt=1)
    call = attach(bpf, "send")
    delivered = 0
    for _ in range(200):  # 8000 bytes a round would not fit: 30 records of 56 bytes do, and do not divide 4096
        call(30)
        delivered += bpf.perf_buffer_poll(0)
    assert delivered == 6000
    # the size counts the padding: what is asked for plus its own 4 bytes, up to a multiple of 8
    assert got == [(one_cpu, os.getpid(), n, TEXT, RECORD - 12) for n in range(1, 6001)]
    assert bpf["events"].lost == 0


def test_the_size_is_what_the_kernel_wrote_before_the_data(bpf: BPF) -> None:
    sizes: list[tuple[int, int]] = []
    bpf["events"].open_perf_buffer(lambda _cpu, data, size: sizes.append((size, ctypes.c_uint32.from_address(data - 4).value)))
    attach(bpf, "send")(3)
    bpf.perf_buffer_consume()
    assert sizes == [(44, 44)] * 3


def test_a_full_buffer_counts_what_it_lost(bpf: BPF, one_cpu: int, capsys: pytest.CaptureFixture[str]) -> None:
    got: list[int] = []
    lost: list[int] = []
    bpf["events"].open_perf_buffer(lambda _cpu, data, _size: got.append(data), page_cnt=1, lost_cb=lost.append)
    call = attach(bpf, "send")
    call(300)
    bpf.perf_buffer_poll()
    assert len(got) == 4096 // RECORD
    call(1)  # the kernel reports losses with the next record that fits
    bpf.perf_buffer_poll()
    assert len(got) + sum(lost) == 301
    assert bpf["events"].lost == sum(lost) == 300 - 4096 // RECORD
    bpf["events"].open_perf_buffer(lambda *_: None, page_cnt=1)
    call(300)
    bpf.perf_buffer_poll()
    call(1)
    bpf.perf_buffer_poll()
    assert capsys.readouterr().err == f"Possibly lost {sum(lost)} samples\n"


def test_an_exception_in_a_callback_comes_out_and_later_records_wait(bpf: BPF, one_cpu: int) -> None:
    got: list[int] = []

    def take(_cpu: int, data: int, _size: int) -> None:
        event = bpf["events"].event(data)
        if event.n == 3:
            raise ZeroDivisionError("mine")
        got.append(event.n)

    bpf["events"].open_perf_buffer(take)
    attach(bpf, "send")(5)
    with pytest.raises(ZeroDivisionError, match="mine"):
        bpf.perf_buffer_poll()
    assert got == [1, 2]
    assert bpf.perf_buffer_poll() == 2
    assert got == [1, 2, 4, 5]


def test_a_callback_may_close_everything(bpf: BPF, one_cpu: int) -> None:
    got: list[int] = []

    def take(_cpu: int, data: int, _size: int) -> None:
        got.append(data)
        bpf.cleanup()

    bpf["events"].open_perf_buffer(take)
    attach(bpf, "send")(5)
    bpf.perf_buffer_poll()
    assert len(got) == 1
    with pytest.raises(MapError, match=r"no perf buffer is open to poll: call b\[\"name\"\].open_perf_buffer\(callback\) first"):
        bpf.perf_buffer_poll(0)


def test_a_signal_ends_a_poll_that_waits_for_ever(bpf: BPF) -> None:
    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    bpf["events"].open_perf_buffer(lambda *_: None)
    before = signal.signal(signal.SIGALRM, end)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - also when it comes before the poll
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            bpf.perf_buffer_poll()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_poll_waits_in_milliseconds_and_looks_again_every_second(bpf: BPF, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    now = 100.0

    class Epoll:
        def poll(self, seconds: float) -> list[object]:
            nonlocal now
            waited.append(seconds)
            now += seconds
            return []

        def close(self) -> None:
            real.close()

        def unregister(self, fd: int) -> None:
            real.unregister(fd)

    monkeypatch.setattr("skep.buffers.poller.monotonic", lambda: now)
    bpf["events"].open_perf_buffer(lambda *_: None)
    real, bpf.perf_buffers._epoll = bpf.perf_buffers._epoll, Epoll()
    assert [bpf.perf_buffer_poll(timeout) for timeout in (150, 0, 2500)] == [0, 0, 0]
    assert waited == pytest.approx([0.15, 1, 1, 0.5])


def test_fewer_events_than_wakeup_events_arrive_when_the_time_is_over(bpf: BPF) -> None:
    got: list[int] = []
    bpf["events"].open_perf_buffer(lambda _cpu, data, _size: got.append(data), wakeup_events=100)
    attach(bpf, "send")(3)
    bpf.perf_buffer_poll(100)
    assert len(got) == 3


def test_page_count_must_be_a_power_of_two(bpf: BPF) -> None:
    with pytest.raises(MapError, match="perf buffer 'events': page_cnt must be a power of two, not 12; use 16"):
        bpf["events"].open_perf_buffer(print, page_cnt=12)
    with pytest.raises(MapError, match="not 0; use 1"):
        bpf["events"].open_perf_buffer(print, page_cnt=0)


def test_opening_again_replaces_the_callback(bpf: BPF) -> None:
    first: list[int] = []
    second: list[int] = []
    bpf["events"].open_perf_buffer(lambda _cpu, data, _size: first.append(data))
    bpf["events"].open_perf_buffer(lambda _cpu, data, _size: second.append(data))
    attach(bpf, "send")(2)
    bpf.perf_buffer_poll()
    assert (len(first), len(second)) == (0, 2)


def test_event_takes_an_address_or_bytes(bpf: BPF) -> None:
    event, record = bpf["events"].event, bytearray(44)
    address = ctypes.addressof(ctypes.c_char.from_buffer(record))
    record[0] = 9
    assert event(address).pid == event(ctypes.c_void_p(address)).pid == event(bytes(record)).pid == 9
    seen = event(address)
    record[0] = 10
    assert seen.pid == 10  # BCC's meaning: a view
    with pytest.raises(MapError, match=r"a record of 8 bytes from 'events' is shorter than event \(44 bytes\)"):
        event(bytes(8))
    with pytest.raises(MapError, match="takes the address that a callback gets, or bytes, not 18446744073709551616"):
        event(1 << 64)
    with pytest.raises(MapError, match="the type of the records of 'untyped' is not known"):
        bpf["untyped"].event(address)
    for wrong in (5, int, ctypes.c_uint64(1), ctypes.py_object, ctypes.c_char_p, ctypes.c_char * 0):
        with pytest.raises(MapError, match="record_type of 'untyped' is a ctypes type of the record's bytes, not"):
            bpf["untyped"].record_type = wrong


def test_iteration_gives_decoded_copies_and_forgets_nothing_between_two_loops(bpf: BPF, one_cpu: int) -> None:
    events = bpf["events"]
    call = attach(bpf, "send")
    seen = []
    iterator = iter(events)
    bpf["control"][2] = 0
    first = _after_open(bpf, iterator, call)
    seen.append(first.n)
    for event in events:
        seen.append(event.n)
        if len(seen) == 5:
            break
    assert seen == [1, 2, 3, 4, 5]
    events.open_perf_buffer(lambda *_: None)
    with pytest.raises(MapError, match="go to a callback already"):
        next(iter(events))


def _after_open(bpf: BPF, iterator: Any, call: Any) -> Any:
    """The first event of a loop that opens its buffer when it starts: the calls are made when it waits, by a signal."""

    def tick(*_: object) -> None:
        if bpf["events"].buffer is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            call(5)

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        return next(iterator)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_ring_buffer_gives_all_records_but_discarded_ones(bpf: BPF) -> None:
    got: list[tuple[str, int, int, bytes, int]] = []

    def take(context: str, data: int, size: int) -> None:
        event = bpf["ring"].event(data)
        got.append((context, event.pid, event.n, event.text, size))

    bpf["ring"].open_ring_buffer(take, "context")
    call = attach(bpf, "put")
    delivered = 0
    for _ in range(100):
        call(60)
        delivered += bpf.ring_buffer_poll(0)
    assert delivered == 4000
    assert got == [("context", os.getpid(), n, TEXT, 44) for n in range(1, 6001) if n % 3]
    assert bpf.ring_buffer_consume() == 0


def test_a_wake_up_without_a_record_ends_the_poll() -> None:
    text = """
BPF_RINGBUF_OUTPUT(ring, 1);
BPF_ARRAY(me, u32, 1);
int drop(void *ctx) {
    int zero = 0;
    u32 *pid = me.lookup(&zero);
    if (!pid || *pid != bpf_get_current_pid_tgid() >> 32)
        return 0;
    u64 *record = ring.ringbuf_reserve(8);
    if (record)
        ring.ringbuf_discard(record, 0);
    return 0;
}
"""
    with BPF(text=text) as bpf:
        bpf["ring"].open_ring_buffer(lambda context, data, size: None)
        bpf.attach_raw_tracepoint("sys_enter", "drop")
        bpf["me"][0] = bpf["me"].Leaf(os.getpid())
        os.getppid()
        assert bpf.ring_buffer_poll(-1) == 0


def test_a_negative_result_of_a_ring_callback_ends_the_round(bpf: BPF) -> None:
    got: list[int] = []

    def take(_context: object, data: int, _size: int) -> int:
        got.append(bpf["ring"].event(data).n)
        return -1 if len(got) == 2 else 0

    bpf["ring"].open_ring_buffer(take)
    attach(bpf, "put")(8)
    assert bpf.ring_buffer_poll() == 2
    assert bpf.ring_buffer_poll() == 4
    assert got == [1, 2, 4, 5, 7, 8]


def test_an_exception_in_a_ring_callback_comes_out_and_later_records_wait(bpf: BPF) -> None:
    got: list[int] = []

    def take(_context: object, data: int, _size: int) -> None:
        number = bpf["ring"].event(data).n
        if number == 2:
            raise SystemExit(3)
        got.append(number)

    bpf["ring"].open_ring_buffer(take)
    attach(bpf, "put")(5)
    with pytest.raises(SystemExit):
        bpf.ring_buffer_poll()
    assert bpf.ring_buffer_consume() == 2
    assert got == [1, 4, 5]


def test_a_ring_callback_may_close_everything(bpf: BPF) -> None:
    bpf["ring"].open_ring_buffer(lambda *_: bpf.close())
    attach(bpf, "put")(5)
    assert bpf.ring_buffer_poll() == 1
    with pytest.raises(MapError, match="no ring buffer is open"):
        bpf.ring_buffer_consume()


def test_a_ring_buffer_has_no_keys(bpf: BPF) -> None:
    assert len(bpf["ring"]) == 0
    with pytest.raises(MapError, match="'ring' is a ring buffer: it has no keys"):
        bpf["ring"][0]


FILLING = r"""
struct record { u64 words[8]; };
BPF_RINGBUF_OUTPUT(copied, 1);
BPF_RINGBUF_OUTPUT(reserved, 1);
BPF_RINGBUF_OUTPUT(helper, 1);
BPF_ARRAY(accepted, u64, 1);

int fill(struct __sk_buff *skb)
{
    struct record record = {};
    for (int i = 0; i < 100; i++) {
        if (copied.ringbuf_output(&record, sizeof(record), 0) == 0)
            accepted.increment(0);
        struct record *room = reserved.ringbuf_reserve(sizeof(record));
        if (room)
            reserved.ringbuf_submit(room, 0);
        bpf_ringbuf_output(&helper, &record, sizeof(record), 0);
    }
    return 0;
}
"""


@pytest.mark.parametrize("engine", ["kernel", "user"])
def test_a_full_ring_buffer_counts_what_found_no_room(engine: str) -> None:
    with BPF(text=FILLING, engine=engine) as b:
        program: Any = b.load_func("fill", BPF.SCHED_CLS).handle
        got = {"copied": 0, "reserved": 0}
        for name in got:
            b[name].open_ring_buffer(lambda name, _data, _size: got.update({name: got[name] + 1}), name)
        for produced in (100, 200):
            program.test_run(bytes(64))
            b.ring_buffer_consume()
            assert {name: count + b[name].lost for name, count in got.items()} == {"copied": produced, "reserved": produced}
        assert b["copied"].lost == 200 - b["accepted"][0].value == 2 * (100 - 4096 // 72)
        assert list(b.globals) == []  # the counters are not the program's own variables
        with pytest.raises(
            MapError, match=r"'helper' is not counted: no program of this object calls helper\.ringbuf_output\(\)"
        ):
            _ = b["helper"].lost


STAMPED = r"""
struct stamped { u64 n; char text[40]; u64 again; };
BPF_PERF_OUTPUT(events);
BPF_ARRAY(sent, u64, 1);

int send(struct __sk_buff *skb)
{
    u64 *n = sent.lookup(&(int){0});
    if (!n)
        return 0;
    for (int i = 0; i < 20; i++) {
        struct stamped record = {.n = ++*n, .text = "text", .again = *n};
        events.perf_submit(skb, &record, sizeof(record));
    }
    return 0;
}
"""


@pytest.mark.parametrize("engine", ["kernel", "user"])
@pytest.mark.usefixtures("one_cpu")
def test_records_with_their_times_arrive_whole_in_callbacks_loops_and_arrays(engine: str) -> None:
    with BPF(text=STAMPED, engine=engine) as b:
        program: Any = b.load_func("send", BPF.SCHED_CLS).handle
        events, seen = b["events"], []

        def on_event(_cpu: int, data: int, _size: int) -> None:
            event = events.event(data)
            seen.append((event.n, event.text, event.again, events.time(data)))

        start = time.monotonic_ns()
        events.open_perf_buffer(on_event, page_cnt=1, time=True)
        for _ in range(5):  # 100 records of 80 bytes in rings of 4096: some wrap
            program.test_run(bytes(64))
            b.perf_buffer_poll(0)
        events.close_perf_buffer()
        events.open_perf_buffer(None, page_cnt=1, time=True)
        program.test_run(bytes(64))
        loop = [(event.n, event.text, event.again) for event in events.events(0)]
        program.test_run(bytes(64))
        (batch,) = events.batches(timeout=0, time=True)
        assert [row[:3] for row in seen] + loop == [(n, b"text", n) for n in range(1, 121)]
        assert batch["event"].tolist() == [(n, b"text", n) for n in range(121, 141)]
        times = [row[3] for row in seen] + batch["time"].tolist()
        assert [start, *times] == sorted([*times, start])
        assert times[-1] <= time.monotonic_ns()
        assert len(set(batch["cpu"].tolist())) == 1


SENT = r"""
struct sent { u64 length; };
BPF_PERF_OUTPUT(perf);
BPF_RINGBUF_OUTPUT(ring, 1);

int send(struct __sk_buff *skb)
{
    struct sent sent = {skb->len};
    perf.perf_submit(skb, &sent, sizeof(sent));
    return ring.ringbuf_output(&sent, sizeof(sent), 0);
}
"""
READER = """
import ctypes, sys
from skep import maps

class Sent(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint64)]

found = []
with maps.from_id(int(sys.argv[1])) as perf, maps.from_id(int(sys.argv[2])) as ring:
    perf.record_type = ring.record_type = Sent
    perf.open_perf_buffer(lambda _cpu, data, _size: found.append(perf.event(data).length))
    print("open", flush=True)
    sys.stdin.readline()
    perf.bpf.perf_buffer_poll(0)
    print(found, [event.length for event in ring.events(timeout=0)])
"""


@pytest.mark.usefixtures("one_cpu")
def test_another_process_reads_events_by_the_ids_of_their_maps() -> None:
    with BPF(text=SENT) as b:
        program: Any = b.load_func("send", BPF.SCHED_CLS).handle
        command = [sys.executable, "-c", READER, str(b["perf"].map_id), str(b["ring"].map_id)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdin is not None
            assert reader.stdout is not None
            assert reader.stdout.readline() == "open\n"
            for length in (60, 61, 62):
                program.test_run(bytes(length))
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert reader.stdout.read() == "[60, 61, 62] [60, 61, 62]\n"
