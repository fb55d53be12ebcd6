"""Records that Python iterates: one by one, in asyncio, as numpy arrays; and what becomes of those that nobody has read."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import time
from typing import Any

import numpy
import pytest
from sample import attach
from waiting import PATIENCE

from skep import BPF
from skep.errors import MapError, SkepError

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("one_cpu")]

TEXT = b"forty-four bytes in all"


def open_waiting(bpf: BPF, kind: str, **options: Any) -> Any:
    """(the view of a buffer whose records wait, a function that makes records)."""
    table = bpf["events" if kind == "perf" else "ring"]
    table.open_perf_buffer(None, **options) if kind == "perf" else table.open_ring_buffer(None)
    return table, attach(bpf, "send" if kind == "perf" else "put")


def expected(kind: str, first: int, last: int) -> list[int]:
    """The numbers of records that arrive: the program of the ring buffer discards every third."""
    return [n for n in range(first, last + 1) if kind == "perf" or n % 3]


@pytest.mark.parametrize("kind", ["perf", "ring"])
def test_events_end_when_none_comes_and_the_next_loop_goes_on(bpf: BPF, kind: str) -> None:
    table, call = open_waiting(bpf, kind)
    call(30)
    loop = table.events(timeout=0)
    first = next(loop)
    loop.close()
    seen = [first.n] + [event.n for event in table.events(timeout=0)]
    call(12)
    seen += [event.n for event in table.events(timeout=20)]
    assert seen == expected(kind, 1, 42)
    assert (first.pid, first.text) == (os.getpid(), TEXT)


@pytest.mark.parametrize("kind", ["perf", "ring"])
def test_batches_are_bounded_arrays_with_the_offsets_of_the_struct(bpf: BPF, kind: str) -> None:
    table, call = open_waiting(bpf, kind)
    call(100)
    next(table.events())  # one record is decoded ahead of the arrays: they go on behind it
    batches = list(table.batches(max_records=7, timeout=0))
    assert max(len(batch) for batch in batches) == 7
    every = numpy.concatenate(batches)
    assert every["n"].tolist() == expected(kind, 1, 100)[1:]
    assert set(every["pid"]) == {os.getpid()}
    assert set(every["text"]) == {TEXT}
    assert every.dtype.itemsize == ctypes.sizeof(table.record_type) == 44
    assert list(table.batches(timeout=0)) == []


def test_a_batch_that_is_kept_stays_as_it_is(bpf: BPF) -> None:
    table, call = open_waiting(bpf, "ring")
    kept = []
    for _ in range(6):
        call(30)
        kept += table.batches(timeout=0)
    assert numpy.concatenate(kept)["n"].tolist() == expected("ring", 1, 180)
    address = kept.pop().__array_interface__["data"][0]
    call(30)
    (batch,) = table.batches(timeout=0)
    assert batch.__array_interface__["data"][0] == address  # of the one that nobody has any more


def test_a_stream_of_batches_wraps_perf_rings_and_loses_nothing(bpf: BPF) -> None:
    table, call = open_waiting(bpf, "perf", page_cnt=1)
    numbers: list[int] = []
    for _ in range(50):
        call(61)
        for batch in table.batches(timeout=0):
            numbers += batch["n"].tolist()
    assert numbers == list(range(1, 50 * 61 + 1))
    assert table.lost == 0


def test_times_are_those_of_the_monotonic_clock_and_cpus_those_of_the_ring(bpf: BPF, one_cpu: int) -> None:
    table, call = open_waiting(bpf, "perf")
    call(3)
    start = time.monotonic_ns()
    (early,) = table.batches(timeout=0, time=True)
    assert early["time"].tolist() == [0, 0, 0]  # they came before times were asked for
    call(3)
    (batch,) = table.batches(timeout=0, time=True)
    end = time.monotonic_ns()
    assert batch["event"]["n"].tolist() == [4, 5, 6]
    assert batch["cpu"].tolist() == [one_cpu] * 3
    times = batch["time"].tolist()
    assert start < times[0] < times[1] < times[2] < end


def test_a_callback_can_ask_for_the_time_of_its_record(bpf: BPF) -> None:
    table = bpf["events"]
    seen: list[tuple[int, int]] = []
    table.open_perf_buffer(lambda _cpu, data, _size: seen.append((table.time(data), table.event(data).n)), time=True)
    start = time.monotonic_ns()
    attach(bpf, "send")(2)
    bpf.perf_buffer_poll(0)
    assert [n for _, n in seen] == [1, 2]
    assert start < seen[0][0] < seen[1][0] < time.monotonic_ns()
    table.open_perf_buffer(lambda *_: None)
    with pytest.raises(MapError, match=r"the records of 'events' carry no time: open_perf_buffer\(..., time=True\)"):
        table.time(0)


@pytest.mark.parametrize("kind", ["perf", "ring"])
def test_asyncio_gets_every_record_while_other_tasks_run(bpf: BPF, kind: str) -> None:
    table, call = open_waiting(bpf, kind)
    seen: list[int] = []

    async def read() -> None:
        async for event in table:
            seen.append(event.n)

    async def run() -> None:
        reader = asyncio.create_task(read())
        for _ in range(5):
            call(9)
            await asyncio.sleep(0.01)
        bpf.cleanup()
        await asyncio.wait_for(reader, PATIENCE)

    asyncio.run(run())
    assert seen == expected(kind, 1, 45)


def test_asyncio_sees_records_that_came_without_a_wake_up(bpf: BPF, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.buffers.poller.SLICE", 0.05)
    table, call = open_waiting(bpf, "perf", wakeup_events=1000)

    async def read() -> list[int]:
        seen: list[int] = []
        asyncio.get_running_loop().call_later(0.02, call, 3)
        async for event in table:
            seen.append(event.n)
            if len(seen) == 3:
                break
        return seen

    assert asyncio.run(read()) == [1, 2, 3]


def test_a_wait_without_end_sees_records_that_came_without_a_wake_up(bpf: BPF, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.buffers.poller.SLICE", 0.05)
    table, call = open_waiting(bpf, "perf", wakeup_events=1000)
    timer = threading.Timer(0.02, os.kill, (os.getpid(), 0))  # something else happens; no record wakes the reader
    timer.start()
    call(2)
    loop = iter(table)
    assert [next(loop).n, next(loop).n] == [1, 2]
    timer.join()


@pytest.mark.parametrize(("kind", "pages"), [("perf", 8), ("perf", 4), ("ring", 0)])
def test_opening_again_in_its_own_callback_loses_nothing(bpf: BPF, kind: str, pages: int) -> None:
    """With as many pages the rings stay; with other pages the old ones are read to their ends."""
    table = bpf["events" if kind == "perf" else "ring"]
    first: list[int] = []
    second: list[int] = []

    def take_all(_first: object, data: int, _size: int) -> None:
        second.append(table.event(data).n)

    def take(_first: object, data: int, _size: int) -> None:
        first.append(table.event(data).n)
        if len(first) == 3:
            table.open_perf_buffer(take_all, page_cnt=pages) if kind == "perf" else table.open_ring_buffer(take_all)

    table.open_perf_buffer(take, page_cnt=8) if kind == "perf" else table.open_ring_buffer(take)
    poll = bpf.perf_buffer_poll if kind == "perf" else bpf.ring_buffer_poll
    call = attach(bpf, "send" if kind == "perf" else "put")
    for records in (20, 10):
        call(records)
        while poll(0):
            pass
    assert first + second == expected(kind, 1, 30)
    assert len(first) == 3


def test_every_record_arrives_or_is_counted_as_lost(bpf: BPF, one_cpu: int) -> None:
    """Overload with a reader that is too slow: also what no record has told of yet."""
    table, call = open_waiting(bpf, "perf", page_cnt=1)
    received = 0
    for turn in range(40):
        call(200)
        if turn % 3 == 0:
            received += sum(len(batch) for batch in table.batches(timeout=0))
    received += sum(len(batch) for batch in table.batches(timeout=0))
    call(100)
    received += sum(len(batch) for batch in table.batches(timeout=0))
    produced = bpf["control"][2].value
    assert produced == 8100
    assert received + table.lost == produced
    assert table.lost_per_cpu()[one_cpu] == table.lost > 5000
    table.close_perf_buffer()
    assert received + table.lost == produced  # the count stays


def test_what_no_lost_record_told_of_is_said_at_the_end(bpf: BPF, capsys: pytest.CaptureFixture[str]) -> None:
    bpf["events"].open_perf_buffer(lambda *_: None, page_cnt=1)
    attach(bpf, "send")(100)
    bpf.perf_buffer_poll(0)
    bpf.cleanup()
    assert capsys.readouterr().err == f"Possibly lost {100 - 4096 // 56} samples\n"


@pytest.mark.parametrize("kind", ["perf", "ring"])
def test_the_type_of_records_can_be_set_and_a_record_must_fit(bpf: BPF, kind: str) -> None:
    class Longer(ctypes.Structure):
        _fields_ = (("pid", ctypes.c_uint32), ("n", ctypes.c_uint32), ("more", ctypes.c_uint8 * 56))

    class Short(ctypes.Structure):
        _fields_ = (("pid", ctypes.c_uint32), ("n", ctypes.c_uint32))

    table, call = open_waiting(bpf, kind)
    table.record_type = Longer
    call(1)
    (event,) = table.events(timeout=0)
    assert (event.n, bytes(event.more[36:])) == (1, bytes(20))  # behind the record's 44 bytes are zeros
    call(1)
    (batch,) = table.batches(timeout=0)
    assert (batch["n"][0], batch["more"][0][36:].tolist()) == (2, [0] * 20)
    table.close_perf_buffer() if kind == "perf" else table.close_ring_buffer()
    table.open_perf_buffer(None) if kind == "perf" else table.open_ring_buffer(None)
    table.record_type = Short
    call(3)
    with pytest.raises(MapError, match=r"a record of 44 bytes in '\w+' is longer than the type of its records \(8 bytes\)"):
        list(table.events(timeout=0))
    with pytest.raises(MapError, match="read it with a callback"):
        list(table.batches(timeout=0))
    with pytest.raises(MapError, match=r"record_type of '\w+' is a ctypes type of the record's bytes, not 5"):
        table.record_type = 5
    with pytest.raises(MapError, match="max_records is 1 or more, not 0"):
        next(table.batches(0))


def test_a_loop_ends_when_another_thread_closes_the_buffer(bpf: BPF, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.buffers.poller.SLICE", 0.05)
    table, call = open_waiting(bpf, "perf")
    call(2)
    closer = threading.Thread(target=bpf.cleanup)
    seen = []
    for event in table:
        seen.append(event.n)
        if len(seen) == 2:
            closer.start()
    assert seen == [1, 2]
    closer.join()


def test_views_made_anew_share_the_reader_and_the_object_closes_it(bpf: BPF) -> None:
    seen: list[int] = []
    one, other = bpf.get_table("events"), bpf.get_table("events")
    one.open_perf_buffer(lambda *_: None, page_cnt=2)
    other.open_perf_buffer(lambda _cpu, data, _size: seen.append(data), page_cnt=2)
    attach(bpf, "send")(4)
    assert bpf.perf_buffer_poll(0) == len(seen) == 4
    assert one.buffer is other.buffer


def test_a_forked_child_says_nothing_of_its_parents_losses(bpf: BPF, capfd: pytest.CaptureFixture[str]) -> None:
    bpf["events"].open_perf_buffer(lambda *_: None, page_cnt=1)
    attach(bpf, "send")(100)
    child = os.fork()
    if child == 0:
        try:
            bpf.cleanup()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert capfd.readouterr().err == ""
    assert bpf["events"].lost == 100 - 4096 // 56
    assert bpf.perf_buffer_poll(0) == 4096 // 56  # the parent's buffer is as it was


def test_a_forked_child_is_refused_its_parents_rings(bpf: BPF) -> None:
    """The kernel copies no perf ring into a child: whoever looked at one there would get SIGSEGV."""
    bpf["events"].open_perf_buffer(None)
    attach(bpf, "send")(1)

    async def first() -> None:
        async for _ in bpf["events"]:
            return

    child = os.fork()
    if child == 0:
        refused = 0
        for read in (
            lambda: asyncio.run(first()),
            lambda: next(bpf["events"].events(0)),
            lambda: next(bpf["events"].batches(1, 0)),
        ):
            try:
                read()
            except SkepError as error:
                refused += "is the parent process's" in str(error)
            except BaseException:
                os._exit(99)
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert [event.n for event in bpf["events"].events(0)] == [1]
