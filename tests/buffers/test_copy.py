"""Rings that these tests write themselves, as the kernel would: machine code and Python read the same from them. No privilege."""

from __future__ import annotations

import ctypes
import mmap
import random
import struct
from typing import Any

import pytest

from skep.buffers import machine
from skep.buffers.cursor import Cursor, PerfCursor, RingCursor
from skep.buffers.rows import Rows
from skep.buffers.rows import copy as copy_in_python
from skep.errors import MapError, SkepError

PAGE = mmap.PAGESIZE
LOST, SAMPLE, THROTTLE = 2, 9, 5
BUSY, DISCARD = 1 << 31, 1 << 30


class FakePerf:
    """What an engine opens for one CPU: the metadata page and a page of data, which `write` fills and wraps."""

    fd, cpu, acknowledge = -1, 5, None

    def __init__(self, time: bool = False) -> None:
        self.memory = mmap.mmap(-1, 2 * PAGE)
        self.time = time
        self.head = 0
        self.size = PAGE
        struct.pack_into("QQQQ", self.memory, 8 * 128, 0, 0, PAGE, PAGE)

    def start(self, position: int) -> None:
        self.head = position
        struct.pack_into("QQ", self.memory, 8 * 128, position, position)

    def write(self, record: bytes) -> None:
        offset = self.head % PAGE
        first = min(len(record), PAGE - offset)
        self.memory[PAGE + offset : PAGE + offset + first] = record[:first]
        self.memory[PAGE : PAGE + len(record) - first] = record[first:]
        self.head += len(record)
        struct.pack_into("Q", self.memory, 8 * 128, self.head)

    def sample(self, data: bytes, stamp: int = 0) -> bytes:
        padded = data.ljust((len(data) + 4 + 7 & ~7) - 4, b"\xee")
        body = struct.pack("Q", stamp) * self.time + struct.pack("I", len(padded)) + padded
        return struct.pack("IHH", SAMPLE, 1, 8 + len(body)) + body

    def cursor(self) -> PerfCursor:
        return PerfCursor(self, self.time)

    def read_lost(self) -> int:
        return 0

    def stop(self) -> bool:
        return True

    def close(self) -> None:
        self.memory.close()


class FakeRing:
    """A ring buffer: the consumer's page, the producer's page, and the data twice."""

    fd, acknowledge = -1, None

    def __init__(self) -> None:
        self.size = PAGE
        self.consumer, self.data = mmap.mmap(-1, PAGE), mmap.mmap(-1, 3 * PAGE)
        self.head = 0

    def start(self, position: int) -> None:
        self.head = position
        struct.pack_into("Q", self.consumer, 0, position)
        struct.pack_into("Q", self.data, 0, position)

    def write(self, record: bytes) -> None:
        offset = self.head % PAGE
        wrapped = max(offset + len(record) - PAGE, 0)
        both = bytearray(self.data[PAGE : 3 * PAGE])
        both[offset : offset + len(record)] = record
        once = both[PAGE : PAGE + wrapped] + both[wrapped:PAGE]
        self.data[PAGE : 3 * PAGE] = once * 2
        self.head += len(record)
        struct.pack_into("Q", self.data, 0, self.head)

    def record(self, data: bytes, flags: int = 0) -> bytes:
        return (struct.pack("II", len(data) | flags, 77) + data).ljust(8 + (len(data) + 7 & ~7), b"\xee")

    def cursor(self) -> RingCursor:
        return RingCursor(self)

    def close(self) -> None:
        self.consumer.close()
        self.data.close()


@pytest.fixture(scope="module")
def copy() -> Any:
    try:
        return machine.MachineCode().copy
    except SkepError as error:  # other machines than x86-64
        pytest.skip(str(error))


def read_all(copier: Any, make: Any, size: int, start: int, room: int) -> tuple[list[object], Cursor]:
    """What copies of up to `room` records give until nothing is left: rows, errors, and where each left the ring."""
    cursor = make()
    row = start + (-(-size // 8) * 8 if start else size)
    memory = ctypes.create_string_buffer(b"\xaa" * (row * (room + 1)), row * (room + 1))
    rows = Rows("events", None, ctypes.addressof(memory), row, start, size)
    seen: list[object] = []
    while True:
        try:
            count = copier(cursor, rows, 0, room)
        except MapError as error:
            seen.append((str(error), cursor.position, cursor.tail.value, cursor.lost))
            continue
        for index in range(count):
            seen.append(memory.raw[index * row : index * row + start + size])
        assert memory.raw[room * row :] == b"\xaa" * row  # nothing behind the room
        seen.append((cursor.position, cursor.tail.value, cursor.lost))
        if not count:
            return seen, cursor


def perf_records(ring: FakePerf, numbers: random.Random, sizes: list[int]) -> list[bytes]:
    records = []
    used = 0
    while True:
        kind = numbers.randrange(12)
        if kind == 0:
            record = struct.pack("IHHQQ", LOST, 0, 24, 1, numbers.randrange(1, 100))
        elif kind == 1:
            record = struct.pack("IHHQQQ", THROTTLE, 0, 32, 1, 2, 3)
        else:
            repeat = numbers.randrange(1, 6) if kind > 7 else 1  # runs of one size
            data = [numbers.randbytes(numbers.choice(sizes))] * repeat
            record = b"".join(ring.sample(one, numbers.getrandbits(64)) for one in data)
        used += len(record)
        if used > PAGE:
            return records
        records.append(record)


@pytest.mark.parametrize("time", [False, True])
def test_machine_code_and_python_copy_the_same_records_of_perf_rings(copy: Any, time: bool) -> None:
    numbers = random.Random(7)
    for turn in range(150):
        ring = FakePerf(time)
        ring.start(8 * numbers.randrange(0, 3 * PAGE // 8))
        size = numbers.choice([1, 7, 8, 12, 20, 64, 65, 100])
        sizes = [size, size, max(size - numbers.randrange(9), 0), size // 2] + [size + 40] * (turn % 3 == 0)
        records = perf_records(ring, numbers, sizes)
        for record in records:
            ring.write(record)
        if turn % 10 == 9 and ring.head % PAGE:
            ring.write(struct.pack("IHH", 1, 0, 0))  # damaged
        before = bytes(ring.memory)
        found = []
        room = numbers.choice([1, 3, 1000])
        for copier in (copy_in_python, copy):
            ring.memory[:] = before
            found.append(read_all(copier, ring.cursor, size, 16 * time, room)[0])
        assert found[0] == found[1], (turn, size, room)
        ring.close()


def test_machine_code_and_python_copy_the_same_records_of_ring_buffers(copy: Any) -> None:
    numbers = random.Random(11)
    for turn in range(150):
        ring = FakeRing()
        ring.start(8 * numbers.randrange(0, 3 * PAGE // 8))
        size = numbers.choice([1, 7, 8, 12, 20, 64, 65, 100])
        sizes = [size, size, size, max(size - numbers.randrange(9), 0), size // 2] + [size + 40] * (turn % 3 == 0)
        used = 0
        while True:
            kind = numbers.randrange(10)
            data = numbers.randbytes(numbers.choice(sizes))
            record = ring.record(data, DISCARD * (kind == 0)) * (numbers.randrange(1, 6) if kind > 6 else 1)
            used += len(record)
            if used > PAGE - 16:
                break
            ring.write(record)
        if turn % 4 == 3:
            ring.write(ring.record(b"12345678", BUSY))
        start = bytes(ring.consumer)
        found = []
        room = numbers.choice([1, 3, 1000])
        for copier in (copy_in_python, copy):
            ring.consumer[:] = start
            found.append(read_all(copier, ring.cursor, size, 0, room)[0])
        assert found[0] == found[1], (turn, size, room)
        ring.close()


@pytest.mark.parametrize("which", ["python", "machine code"])
def test_copies_say_what_was_in_the_ring(which: str, request: pytest.FixtureRequest) -> None:
    copier = copy_in_python if which == "python" else request.getfixturevalue("copy")
    ring = FakePerf(time=True)
    ring.start(PAGE - 24)  # the second record wraps
    for record in (
        struct.pack("IHHQQ", LOST, 0, 24, 1, 9),
        ring.sample(b"abcdefgh", 1_000),
        ring.sample(b"ABCD", 2_000),
        ring.sample(b"longer than eight", 3_000),
        ring.sample(b"12345678", 4_000),
    ):
        ring.write(record)
    seen, cursor = read_all(copier, ring.cursor, 8, 16, 10)
    end = PAGE - 24 + 24 + 32 + 24
    assert seen == [
        struct.pack("QQ8s", 1_000, 5, b"abcdefgh"),
        struct.pack("QQ8s", 2_000, 5, b"ABCD"),  # as long as the kernel says: 4 bytes
        (end, end, 9),
        (
            "a record of 20 bytes in 'events' is longer than the type of its records (8 bytes): "
            "read it with a callback, or set b['events'].record_type",
            end + 40,
            end + 40,
            9,
        ),
        struct.pack("QQ8s", 4_000, 5, b"12345678"),
        (ring.head, ring.head, 9),
        (ring.head, ring.head, 9),
    ]
    assert cursor.total_lost() == 9
    for record in (ring.sample(b"unread"), struct.pack("IHHQQ", LOST, 0, 24, 1, 5), ring.sample(b"as well") * 2):
        ring.write(record)
    cursor.close()
    assert cursor.total_lost() == 9 + 5 + 3


def test_a_record_that_is_still_written_ends_a_copy_and_comes_with_the_next(copy: Any) -> None:
    for copier in (copy_in_python, copy):
        ring = FakeRing()
        ring.write(ring.record(b"first") + ring.record(b"later", BUSY) + ring.record(b"third"))
        cursor = ring.cursor()
        memory = ctypes.create_string_buffer(64)
        rows = Rows("ring", None, ctypes.addressof(memory), 8, 0, 8)
        assert copier(cursor, rows, 0, 8) == 1
        assert (memory.raw[:8], cursor.tail.value) == (b"first\0\0\0", 16)
        ring.data[PAGE + 16 : PAGE + 20] = struct.pack("I", 5)  # committed
        assert copier(cursor, rows, 1, 7) == 2
        assert memory.raw[8:24] == b"later\0\0\0third\0\0\0"
        cursor.close()
