"""Cursors: what the reader of one ring knows, a perf ring or a ring buffer, and how it walks from record to record.

In: an engine's ring memory. Out: runs of records where they lie, and how many nobody has read.
"""

from __future__ import annotations

import ctypes
from _thread import RLock  # a signal's handler may close what is being closed

from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from skep.engine import PerfRing, Ring

    # (address of the first record's data, bytes to the next one, bytes of each, how many)
    Run = tuple[int, int, int, int]
    AnyCursor: TypeAlias = "PerfCursor | RingCursor"

# include/uapi/linux/perf_event.h: records, and struct perf_event_mmap_page as an array of u64
_RECORD_LOST, _RECORD_SAMPLE = 2, 9
_DATA_HEAD, _DATA_TAIL, _DATA_OFFSET, _DATA_SIZE = 128, 129, 130, 131
_PERF_PREFIX = 12  # perf_event_header, then the u32 size of the raw data: the sample type is PERF_SAMPLE_RAW
TIMED_PREFIX = _PERF_PREFIX + 8  # with PERF_SAMPLE_TIME it is between the two
_LONGEST_RECORD = 1 << 16  # a perf record's length is a u16
# include/uapi/linux/bpf.h
_BUSY, _DISCARD, _LENGTH = 1 << 31, 1 << 30, (1 << 30) - 1
_RING_PREFIX = 8
_PY_BUFFER_SIZE = 128  # of the C struct Py_buffer (80 bytes in 3.11), with room to spare

# Room goes back to the writer in steps of this part of a ring: while a slow callback runs, the rest of the ring is free
_STEPS = 16


class Cursor:
    """Where a ring of either kind is read. `position` counts all bytes that were; `commit` gives their room back to the kernel.

    Its memory is there from `begin` to `idle`, also when another thread closes it meanwhile; so are `head` and `tail`.
    x86-64 orders plain loads and stores as the protocols want them; `drain.c` says it for every machine.
    """

    __slots__ = (
        "_closed",
        "_lock",
        "_ring",
        "acknowledge",
        "busy",
        "cpu",
        "data",
        "fd",
        "head",
        "lost",
        "machine",
        "mask",
        "position",
        "prefix",
        "step",
        "tail",
        "unread",
    )

    def __init__(self, ring: Any, head: int, tail: int, data: int, size: int, prefix: int) -> None:
        self.fd: int = ring.fd
        self.acknowledge: Callable[[], None] | None = ring.acknowledge
        self.cpu = -1
        self.lost = 0  # of what the ring itself tells
        self.unread = 0  # that were in it when it was closed, and are gone
        self.busy = self._closed = False
        self._lock = RLock()
        self._ring = ring
        self.head = ctypes.c_uint64.from_address(head)
        self.tail = ctypes.c_uint64.from_address(tail)
        self.data = data
        self.mask = size - 1
        self.step = size // _STEPS
        self.prefix = prefix  # bytes of a record before its data
        self.position = self.tail.value
        self.machine: Any = None  # what the machine code keeps of this cursor

    def commit(self, position: int) -> None:
        """What is before `position` was read: its room is the kernel's again."""
        self.position = self.tail.value = position

    def length(self, size: int) -> int:
        """How many bytes a record takes in the ring that is reported with `size`."""
        return (size + self.prefix + 7) & ~7

    def longest(self, size: int) -> int:
        """How many bytes a record of `size` bytes is reported with."""
        return size

    def total_lost(self) -> int:
        """Records that nobody will get: they found no room, or the ring was closed before they were read."""
        return self.lost

    def give_back(self, position: int) -> None:
        """`commit`, of what was read in an earlier run."""
        with self._lock:
            if self._ring is not None:
                self.commit(position)

    def waiting(self) -> int:
        """Bytes that are not read yet."""
        with self._lock:
            return self.head.value - self.tail.value

    def is_at_end(self) -> bool:
        """Whether nothing came behind `position`."""
        with self._lock:
            return self.position == self.head.value

    def begin(self) -> bool:
        """The begin of a run; False when it is closed. `idle` must follow."""
        with self._lock:
            self.busy = not self._closed
            return self.busy

    def idle(self) -> None:
        """The end of a run: do what `close` had to put off."""
        with self._lock:
            self.busy = False
            if self._closed and self._ring is not None:
                self._end()

    def close(self) -> None:
        """Unmap and close; while a run of this cursor is being read (`busy`), afterwards."""
        with self._lock:
            self._closed = True
            if not self.busy and self._ring is not None:
                self._end()

    def unlock(self) -> None:
        """In a child made by fork: a thread that is not there may hold the lock."""
        self._lock = RLock()

    def _end(self) -> None:
        ring, self._ring = self._ring, None
        # no object may point into memory that is gone
        self.head = self.tail = ctypes.c_uint64(self.position)
        self.machine = None
        ring.close()


class PerfCursor(Cursor):
    """One CPU's ring. Head and tail are free-running byte counts; records are multiples of 8 bytes and may wrap."""

    __slots__ = ("_kernel_lost", "_side", "_words")

    kind = "perf_copy"  # of the function in the machine code
    _ring: PerfRing | None

    def __init__(self, ring: PerfRing, time: bool = False) -> None:
        page = ctypes.addressof(ctypes.c_char.from_buffer(ring.memory))
        words = (ctypes.c_uint64 * 132).from_address(page)
        data, size = page + words[_DATA_OFFSET], words[_DATA_SIZE]
        super().__init__(ring, page + 8 * _DATA_HEAD, page + 8 * _DATA_TAIL, data, size, TIMED_PREFIX if time else _PERF_PREFIX)
        self.cpu = ring.cpu
        self._words = (ctypes.c_uint16 * (size >> 1)).from_address(data)
        self._side: ctypes.Array[ctypes.c_char] | None = None  # where a wrapped record is put together
        self._kernel_lost = 0

    def next_run(self, end: int) -> Run | None:
        """The next records before `end` (a value of `head`) that have one size and lie in a row; None when there are none.

        `position` goes up to the first of them. MapError when the ring is damaged there: only `commit(end)` leads on.
        """
        words, mask, prefix = self._words, self.mask, self.prefix
        while self.position != end:
            offset = self.position & mask
            place = offset >> 1
            kind, length = words[place], words[place + 3]
            if kind == _RECORD_SAMPLE and length >= prefix:
                if offset + length > mask + 1:
                    return self._unwrap(offset, length) + prefix, length, length - prefix, 1
                count = 1
                room = min(end - self.position, mask + 1 - offset, self.step)
                if room >= 2 * length and words[place + (length >> 1) + 3] == length:
                    stride, count = length >> 1, room // length
                    # type and length apart: Python keeps numbers that small
                    count = _equal(words[place + 3 : place + 3 + count * stride : stride], length)
                    count = _equal(words[place : place + count * stride : stride], kind)
                return self.data + offset + prefix, length, length - prefix, count
            if length < 8 or kind == _RECORD_SAMPLE:
                raise damaged(self.cpu)
            if kind == _RECORD_LOST:  # header, u64 id, u64 lost
                self.lost += ctypes.c_uint64.from_address(self.data + (offset + 16 & mask)).value
            self.position += length
        return None

    def _unwrap(self, offset: int, length: int) -> int:
        if self._side is None:
            self._side = ctypes.create_string_buffer(_LONGEST_RECORD)
        side = ctypes.addressof(self._side)
        first = self.mask + 1 - offset
        ctypes.memmove(side, self.data + offset, first)
        ctypes.memmove(side + first, self.data, length - first)
        return side

    def longest(self, size: int) -> int:
        return self.length(size) - self.prefix  # the kernel pads the data, and counts that as data

    def install(self) -> None:
        """Have programs write into this ring, and no other of the CPU."""
        with self._lock:
            if self._ring is not None:
                self._ring.install()

    def detached(self) -> bool:
        """Whether the CPU went offline, and its records come here no more; as it is since the last time that this was asked."""
        with self._lock:
            return self._ring is not None and self._ring.detached()

    def total_lost(self) -> int:
        with self._lock:
            if self._ring is not None:
                self._kernel_lost = self._ring.read_lost()
            return max(self.lost, self._kernel_lost) + self.unread

    def _end(self) -> None:
        if self._ring is not None and self._ring.stop():
            self._count_unread()
        self.total_lost()
        super()._end()
        self._words = (ctypes.c_uint16 * 0)()

    def _count_unread(self) -> None:
        self.position = self.tail.value
        try:
            while (run := self.next_run(self.head.value)) is not None:
                self.unread += run[3]
                self.position += run[1] * run[3]
        except MapError:  # what lies behind a damaged record cannot be counted
            pass


class RingCursor(Cursor):
    """A ring buffer: all CPUs write it; it is mapped twice in a row, so no record wraps."""

    __slots__ = ("_lengths",)

    kind = "ring_copy"
    _ring: Ring | None

    def __init__(self, ring: Ring) -> None:
        page = _address(ring.data)
        data = page + len(ring.data) - 2 * ring.size  # behind the producer's page
        super().__init__(ring, page, _address(ring.consumer), data, ring.size, _RING_PREFIX)
        self._lengths = (ctypes.c_uint32 * (ring.size >> 1)).from_address(data)

    def next_run(self, end: int) -> Run | None:
        """As that of a perf ring; a record that its program has not submitted yet ends the run."""
        lengths, mask = self._lengths, self.mask
        while self.position < end:
            offset = self.position & mask
            # one load for length and flags: the kernel clears BUSY after it has written the record
            header = lengths[offset >> 2]
            if header & _BUSY:
                return None
            size = header & _LENGTH
            length = (size + _RING_PREFIX + 7) & ~7
            if not header & _DISCARD:
                count = 1
                room = min(end - self.position, self.step)
                if room >= 2 * length and lengths[(offset + length) >> 2] == header:
                    first, stride, count = offset >> 2, length >> 2, room // length
                    count = _equal(lengths[first : first + count * stride : stride], header)
                return self.data + offset + _RING_PREFIX, length, size, count
            self.position += length
        return None

    def _end(self) -> None:
        super()._end()
        self._lengths = (ctypes.c_uint32 * 0)()


def _equal(numbers: list[int], number: int) -> int:
    """How many of the first are that number."""
    if numbers.count(number) == len(numbers):
        return len(numbers)
    return next(index for index, other in enumerate(numbers) if other != number)


def time_of(data: int) -> int:
    """The time of a perf sample that was taken with PERF_SAMPLE_TIME, from the address of its data."""
    return ctypes.c_uint64.from_address(data - _PERF_PREFIX).value


def too_long(name: str, size: int, room: int) -> MapError:
    return MapError(
        f"a record of {size} bytes in {name!r} is longer than the type of its records ({room} bytes): "
        f"read it with a callback, or set b[{name!r}].record_type",
        map_name=name,
    )


def damaged(cpu: int) -> MapError:
    return MapError(f"the perf ring of CPU {cpu} is damaged: a record without a proper length; what was in the ring is skipped")


def _address(memory: Any) -> int:
    """Where a buffer's memory is; ctypes' from_buffer() refuses read-only ones."""
    view = ctypes.create_string_buffer(_PY_BUFFER_SIZE)
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(memory), view, 0)
    address = ctypes.c_void_p.from_buffer(view).value
    ctypes.pythonapi.PyBuffer_Release(view)
    return address or 0
