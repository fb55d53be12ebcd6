"""What becomes of records when buffers are closed or opened again, and when CPUs come and go: they arrive, or count as lost."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from mmap import PAGESIZE
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sample import attach
from support import new_files, open_files
from waiting import PATIENCE

from skep import BPF
from skep.buffers.stream import Stream
from skep.engine.kernel.rings import PerfRing
from skep.errors import MapError

if TYPE_CHECKING:
    from collections.abc import Iterator

# User and kernel engine run this, 100 times a call
FILL = r"""
struct record { u64 number; u64 rest[7]; };
BPF_PERF_OUTPUT(events);
BPF_RINGBUF_OUTPUT(ring, 16);
BPF_ARRAY(sent, u64, 1);
int fill(struct __sk_buff *skb)
{
    for (int i = 0; i < 20; i++) {
        sent.increment(0);
        u64 *number = sent.lookup(&(int){0});
        struct record record = {.number = number ? *number : 0};
        events.perf_submit_skb(skb, 0, &record, sizeof(record));
        ring.ringbuf_output(&record, sizeof(record), 0);
    }
    return 0;
}
int mixed(struct __sk_buff *skb)
{
    struct record record = {};
    for (int i = 0; i < 8; i++)
        record.rest[i % 7] = record.number = ~0ull;
    for (int i = 0; i < 20; i++) {
        bpf_perf_event_output(skb, &events, BPF_F_CURRENT_CPU, &record, i % 2 ? 12 : sizeof(record));
        bpf_ringbuf_output(&ring, &record, i % 2 ? 12 : sizeof(record), 0);
    }
    return 0;
}
"""
KINDS = ["perf", "ring"]


@pytest.fixture(params=["kernel", "user"])
def b(request: pytest.FixtureRequest, one_cpu: int) -> Iterator[BPF]:
    if request.param == "kernel" and os.geteuid() != 0:
        pytest.skip("needs root")
    with BPF(text=FILL, engine=request.param) as found:
        yield found


def of(b: BPF, kind: str) -> tuple[Any, Any, Any, Any]:
    """(the view, what opens it, what polls it, what makes 20 records)."""
    table = b["events" if kind == "perf" else "ring"]
    program: Any = b.load_func("fill", BPF.SCHED_CLS).handle
    open_buffer = table.open_perf_buffer if kind == "perf" else table.open_ring_buffer
    return table, open_buffer, b.perf_buffer_poll if kind == "perf" else b.ring_buffer_poll, lambda: program.test_run(bytes(64))


def test_records_that_nobody_read_count_as_lost_when_a_perf_buffer_is_closed(b: BPF, capsys: pytest.CaptureFixture[str]) -> None:
    table, open_buffer, poll, fill = of(b, "perf")
    seen: list[int] = []
    open_buffer(lambda _cpu, data, _size: seen.append(table.event(data).number), page_cnt=1)
    fill()
    poll(0)
    fill()
    fill()
    fill()  # 51 of 80 bytes fit: 9 find no room
    table.close_perf_buffer()
    assert len(seen) == 20
    assert table.lost == b["sent"][0].value - len(seen) == 60
    assert capsys.readouterr().err == "Possibly lost 9 samples\n"
    open_buffer(lambda _cpu, data, _size: seen.append(table.event(data).number), page_cnt=1)
    fill()
    assert poll(0) == 20
    assert seen[20:] == list(range(81, 101))
    fill()
    table.close_perf_buffer()
    assert table.lost == 60 + 20
    open_buffer(None, page_cnt=2)
    assert table.lost == 60 + 20
    assert capsys.readouterr().err == ""


def test_closing_in_a_callback_counts_the_rest_as_lost(b: BPF) -> None:
    table, open_buffer, poll, fill = of(b, "perf")
    seen: list[int] = []

    def take(_cpu: int, data: int, _size: int) -> None:
        seen.append(table.event(data).number)
        if len(seen) == 7:
            table.close_perf_buffer()

    open_buffer(take)
    fill()
    assert poll(0) == 7
    assert (seen, table.lost) == ([*range(1, 8)], 13)


def test_what_the_kernel_lost_is_counted_once_however_often_it_was_told(b: BPF) -> None:
    table, open_buffer, poll, fill = of(b, "perf")
    told: list[int] = []
    seen: list[int] = []
    for pages in (1, 1, 2, 1):  # the same rings, then new ones
        open_buffer(lambda _cpu, data, _size: seen.append(table.event(data).number), pages, told.append)
        for _ in range(3):
            for _ in range(6):
                fill()
            poll(0)
            assert len(seen) + table.lost == b["sent"][0].value
    assert 0 < sum(told) <= table.lost


@pytest.mark.parametrize("pages", [8, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_callback_gets_what_a_loop_left_behind(b: BPF, kind: str, pages: int) -> None:
    table, open_buffer, poll, fill = of(b, kind)
    open_buffer(None, *[8] * (kind == "perf"))
    fill()
    seen = []
    for event in table:
        seen.append(event.number)
        if len(seen) == 7:
            break
    open_buffer(lambda _first, data, _size: seen.append(table.event(data).number), *[pages] * (kind == "perf"))
    fill()
    assert poll(0) == 33
    assert seen == list(range(1, 41))


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_that_is_left_and_a_close_lose_nothing_in_silence(b: BPF, kind: str) -> None:
    table, open_buffer, _, fill = of(b, kind)
    open_buffer(None)
    fill()
    seen = [event.number for event, _ in zip(table.events(0), range(7), strict=False)]
    taken = len(seen) + 1  # zip takes one more from the loop
    if kind == "perf":
        table.close_perf_buffer()
        assert table.lost == 20 - taken
    else:
        table.close_ring_buffer()
        open_buffer(None)
        assert [event.number for event in table.events(0)] == list(range(taken + 1, 21))  # the map has them still


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_that_goes_on_elsewhere_takes_each_record_once(b: BPF, kind: str) -> None:
    table, open_buffer, _, fill = of(b, kind)
    open_buffer(None)
    for _ in range(5):
        fill()
    one, other = table.events(0), table.events(0)
    seen = [next(one).number, next(other).number, next(one).number]
    batch = next(table.batches(3, 0))
    seen += batch["number"].tolist()
    seen += [event.number for event in other] + [event.number for event in one]
    assert seen == list(range(1, 101))


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_while_records_are_decoded_loses_none(b: BPF, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table, open_buffer, _, fill = of(b, kind)
    open_buffer(None)
    fill()
    loop = table.events(0)
    decode = Stream._decode

    def interrupted(*arguments: Any) -> list[Any]:
        decode(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Stream, "_decode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(loop)
    assert [event.number for event in table.events(0)] == list(range(1, 21))


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_record_ends_in_zeros_for_a_callback_too(b: BPF, kind: str) -> None:
    table, open_buffer, poll, _ = of(b, kind)
    seen: list[tuple[int, int, int]] = []

    def take(_first: object, data: int, size: int) -> None:
        event = table.event(data)
        assert ctypes.string_at(data, min(size, 12)) == b"\xff" * 12
        seen.append((size, event.number, event.rest[1]))

    open_buffer(take)
    program: Any = b.load_func("mixed", BPF.SCHED_CLS).handle
    program.test_run(bytes(64))
    assert poll(0) == 20
    ones = (1 << 64) - 1
    assert seen == [(68 if kind == "perf" else 64, ones, ones), (12, ones, 0)] * 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_buffer_that_another_thread_closes_ends_a_poll(b: BPF, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.buffers.poller.SLICE", 0.02)
    table, open_buffer, poll, fill = of(b, kind)
    ended: list[object] = []

    def wait() -> None:
        try:
            while True:
                poll(-1)
        except MapError as error:
            ended.append(error)

    for _ in range(20):
        open_buffer(lambda *_: None)
        thread = threading.Thread(target=wait)
        thread.start()
        fill()
        table.close_perf_buffer() if kind == "perf" else table.close_ring_buffer()
        thread.join(PATIENCE)
    assert [str(error).partition(":")[0] for error in ended] == [f"no {kind} buffer is open to poll"] * 20


@pytest.mark.parametrize("kind", KINDS)
def test_opening_and_closing_leaves_nothing_behind(b: BPF, kind: str) -> None:
    table, open_buffer, poll, fill = of(b, kind)
    close = table.close_perf_buffer if kind == "perf" else table.close_ring_buffer

    def cycle() -> None:
        open_buffer(lambda *_: None)
        fill()
        open_buffer(None)
        next(table.batches(5, 0))
        next(table.events(0))
        open_buffer(lambda *_: None)
        poll(0)
        close()

    cycle()
    before = open_files(), resident()
    for _ in range(60):
        cycle()
    assert not new_files(before[0])
    assert resident() - before[1] < 2 << 20


def resident() -> int:
    """Bytes of memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGESIZE


@pytest.mark.parametrize("kind", KINDS)
def test_threads_that_iterate_share_the_records(b: BPF, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.buffers.poller.SLICE", 0.02)
    table, open_buffer, _, fill = of(b, kind)
    open_buffer(None, *[64] * (kind == "perf"))
    got: list[int] = []

    def take(events: Any) -> None:
        for event in events:
            got.append(event.number)
            if event.number == 800:
                table.close_perf_buffer() if kind == "perf" else table.close_ring_buffer()

    threads = [threading.Thread(target=take, args=(table.events(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        fill()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(got) == len(set(got))
    unread = 800 - len(got)
    assert unread == (table.lost if kind == "perf" else unread)


# CPUs


@pytest.mark.kernel
def test_a_cpu_that_goes_online_gets_a_ring_when_the_reader_looks(
    bpf: BPF, one_cpu: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, every = type(bpf.engine), bpf.engine.online_cpus
    monkeypatch.setattr(engine, "online_cpus", [cpu for cpu in every if cpu != one_cpu])
    monkeypatch.setattr("skep.buffers.reader._LOOKS", 0.0)
    seen: list[tuple[int, int]] = []
    bpf["events"].open_perf_buffer(lambda cpu, data, _size: seen.append((cpu, bpf["events"].event(data).n)))
    call = attach(bpf, "send")
    call(2)
    assert bpf.perf_buffer_poll(0) == 0
    monkeypatch.setattr(engine, "online_cpus", every)
    assert bpf.perf_buffer_poll(0) == 0
    call(2)
    assert bpf.perf_buffer_poll(0) == 2
    assert seen == [(one_cpu, 3), (one_cpu, 4)]


@pytest.mark.kernel
@pytest.mark.parametrize("iterate", [False, True])
def test_a_cpu_that_was_offline_gets_a_new_ring_and_its_old_one_is_read(
    bpf: BPF, one_cpu: int, monkeypatch: pytest.MonkeyPatch, iterate: bool
) -> None:
    seen: list[int] = []
    table = bpf["events"]
    table.open_perf_buffer(None if iterate else lambda _cpu, data, _size: seen.append(table.event(data).n))
    call = attach(bpf, "send")
    call(2)
    (old,) = [cursor for cursor in table.buffer.cursors if cursor.cpu == one_cpu]
    monkeypatch.setattr("skep.buffers.reader._LOOKS", 0.0)
    monkeypatch.setattr(PerfRing, "detached", lambda ring: ring.fd == old.fd)
    read = (lambda: seen.extend(event.n for event in table.events(0))) if iterate else (lambda: bpf.perf_buffer_poll(0))
    table.buffer._next_look = 0
    read()
    call(3)
    read()
    assert seen == [1, 2, 3, 4, 5]
    assert old not in table.buffer.cursors
    assert sorted(cursor.cpu for cursor in table.buffer.cursors) == bpf.engine.online_cpus
    assert table.lost == 0


@pytest.mark.kernel
def test_the_clock_of_a_perf_event_says_that_its_cpu_is_there(bpf: BPF) -> None:
    bpf["events"].open_perf_buffer(None)
    for _ in range(3):
        assert [cursor.detached() for cursor in bpf["events"].buffer.cursors] == [False] * len(bpf.engine.online_cpus)
