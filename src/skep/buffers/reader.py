"""The one loop that reads perf buffers and ring buffers: hands every record to a callback, or as many as are asked for to rows.

In: cursors of one map's rings. Out: calls of callback(first, address, size), and counts of lost records.
"""

from __future__ import annotations

import sys
from _collections import deque  # type: ignore[import-not-found]  # `collections` costs 1.8 ms at start-up
from _thread import allocate_lock
from ctypes import addressof, create_string_buffer, memmove, string_at
from time import monotonic

from skep.buffers.cursor import too_long
from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from skep.buffers.cursor import AnyCursor, Run
    from skep.buffers.poller import Poller

_REPORTS = 1.0  # seconds at least between two lines about lost records
_LOOKS = 1.0  # seconds at least between two looks at which CPUs are there


class Reader:
    """Reads the rings of one map. `callback` None: nobody is called, records wait in the rings for `copy` and `next_run`.

    The callback's first argument is the number of the ring's CPU; for a ring buffer (`stops`) it is `context`, and a negative
    result of the callback ends the round. `follow(reader)` is called once a second before the rings are read. Behind a record
    of less than `least` bytes the callback finds zeros up to there.
    """

    def __init__(
        self,
        name: str,
        registry: dict[str, Any],
        poller: Poller,
        callback: Callable[[Any, int, int], object] | None,
        *,
        context: Any = None,
        stops: bool = False,
        lost_cb: Callable[[int], object] | None = None,
        options: tuple[object, ...] = (),
        follow: Callable[[Reader], None] | None = None,
        least: int = 0,
    ) -> None:
        self.name = name
        self.poller = poller
        self._registry = registry
        self.callback = callback
        self.options = options  # what the rings were opened with
        self.cursors: list[AnyCursor] = []
        self.closed = False
        self._closing = allocate_lock()
        self.waiters: list[Callable[[], object]] = []  # to be told of the end
        self.least = least
        self.taken = Taken(None, 0, 0, 0, ())
        self._side: Any = None
        self._follow = follow
        self._next_look = monotonic() + _LOOKS
        self._context = context
        self._stops = stops
        self._report = lost_cb or LostReport()
        self._retired: list[AnyCursor] = []  # of a buffer that this one replaced, to be read to their ends
        self._ending: list[AnyCursor] = []  # closed in a callback, which still reads them
        self._lost: dict[int, int] = {}  # by CPU, of cursors that are closed
        self._reported = 0
        self._failure: tuple[MapError, int] | None = None  # of a copy that had records to give first, and of which CPU

    # Opening

    def add(self, cursor: AnyCursor) -> None:
        self.cursors.append(cursor)
        self.poller.watch(cursor.fd, cursor.acknowledge)

    def take_over(self, before: Reader, *, keep: bool) -> None:
        """Take the rings of the reader that this one replaces; without `keep` only to read what is in them."""
        before.put_back()
        cursors, before.cursors = before.cursors, []
        retired, before._retired = before._retired, []
        self._lost, self._reported, self._ending = before._lost, before._reported, before._ending
        self._failure = before._failure
        self.least = max(self.least, before.least)
        before.closed = True
        if before.poller is not self.poller:
            for cursor in (*retired, *cursors):
                before.poller.forget(cursor.fd)
                self.poller.watch(cursor.fd, cursor.acknowledge)
        self._retired += retired
        if keep:
            self.cursors += cursors
        else:
            self._retired += cursors

    def go_on_counting(self, before: Reader) -> None:
        """Add what an earlier reader of this map lost, which was closed and not taken over."""
        if before.cursors or before._lost is self._lost:
            return
        for cpu, count in before.lost_per_cpu().items():
            self._add_lost(cpu, count)
            self._reported += count

    def retire(self, cursor: AnyCursor) -> None:
        """Read this ring to its end, and close it then."""
        self.cursors.remove(cursor)
        self._retired.append(cursor)

    # Reading

    def _rings(self) -> tuple[AnyCursor, ...]:
        """All rings, those that this reader took over first."""
        if self._follow is not None and monotonic() >= self._next_look:
            self._next_look = monotonic() + _LOOKS
            self._follow(self)
        return (*self._retired, *self.cursors)

    def drain(self) -> int:
        """Hand all waiting records to the callback; its exceptions come out of here with the failing record counted as read."""
        if self.callback is None:
            return 0
        records = 0
        for cursor in self._rings():
            if self.closed:
                break
            records += self._drain(cursor, self.callback)
        self._close_retired()
        return records

    def _drain(self, cursor: AnyCursor, callback: Callable[[Any, int, int], object]) -> int:
        first = self._context if self._stops else cursor.cpu
        stops, stop = self._stops, False
        records = 0
        try:
            if not cursor.begin():
                return 0
            end = cursor.head.value
            cursor.position = cursor.tail.value
            while not stop and cursor.position != end:
                run = self._next_run(cursor, end)
                if run is None:
                    break
                address, stride, size, count = run
                if size < self.least:
                    address, count = self._filled_up(cursor, address, size), 1
                data = address
                try:
                    for data in range(address, address + count * stride, stride):
                        result = callback(first, data, size)
                        if result is not None and stops and type(result) is int and result < 0:
                            stop = True
                            break
                        if self.closed:
                            stop = True
                            break
                finally:
                    done = (data - address) // stride + 1
                    records += done
                    cursor.commit(cursor.position + done * cursor.length(size))
        finally:
            cursor.idle()
        return records

    def _next_run(self, cursor: AnyCursor, end: int) -> Run | None:
        """The cursor's next run. What was passed on the way to it is committed, and lost records are reported."""
        before, lost = cursor.position, cursor.lost
        try:
            run = cursor.next_run(end)
        except MapError:
            cursor.position = end
            raise
        finally:
            if cursor.position != before:
                cursor.commit(cursor.position)
            if cursor.lost != lost:
                self.report_lost(cursor.lost - lost)
        return run

    def _filled_up(self, cursor: AnyCursor, address: int, size: int) -> int:
        """Where a copy of a record with its header is, and zeros behind it up to `least` bytes."""
        self._side = create_string_buffer(cursor.prefix + self.least)
        memmove(self._side, address - cursor.prefix, cursor.prefix + size)
        return addressof(self._side) + cursor.prefix

    def take(self, type_size: int, decode: Callable[[bytes, int, int, int], list[Any]]) -> bool:
        """Decode the next records of some ring into `taken`; whether there were some. What leaves its queue counts as read.

        `decode(data, from one record to the next, bytes of each, how many)`. MapError for a record that is longer than
        `type_size`; it counts as read.
        """
        self.put_back()
        for cursor in self._rings():
            try:
                if not cursor.begin():
                    continue
                cursor.position = cursor.tail.value
                run = self._next_run(cursor, cursor.head.value)
                if run is not None:
                    address, stride, size, count = run
                    if size > cursor.longest(type_size):
                        cursor.commit(cursor.position + cursor.length(size))
                        raise too_long(self.name, size, type_size)
                    data = string_at(address, (count - 1) * stride + size)
                    # one assignment: an interrupt in between would lose them, or give them twice
                    self.taken = Taken(cursor, cursor.position, cursor.length(size), count, decode(data, stride, size, count))
                    return True
            finally:
                cursor.idle()
        self._close_retired()
        return False

    def put_back(self) -> None:
        """What is left in the queue of `taken` is unread again; its room in the ring was not given back yet."""
        taken = self.taken
        if taken.cursor is not None:
            read = taken.count
            try:
                while True:  # another thread may take records from the other end
                    taken.queue.pop()
                    read -= 1
            except IndexError:
                taken.cursor.give_back(taken.position + read * taken.length)
            self.taken = Taken(None, 0, 0, 0, ())

    def copy(self, copier: Callable[[AnyCursor, Any, int, int], int], rows: Any, room: int) -> int:
        """Copy up to `room` records of all rings into rows; how many. What is wrong with one is raised when it comes first."""
        count = 0
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure[0]
        for cursor in self._rings():
            if count == room:
                break
            lost = cursor.lost
            try:
                if not cursor.begin():
                    continue
                cursor.position = cursor.tail.value
                count += copier(cursor, rows, count, room - count)
            except MapError as error:
                if not count:
                    raise
                self._failure = error, cursor.cpu
                break
            finally:
                cursor.idle()
                if cursor.lost != lost:
                    self.report_lost(cursor.lost - lost)
        if count < room:
            self._close_retired()
        return count

    def waiting(self) -> int:
        """Bytes in all rings that are not read yet; 0: there is nothing to copy."""
        self.put_back()
        waiting = sum([cursor.waiting() for cursor in self._rings()])
        return waiting or len(self._retired) or self._failure is not None

    # Lost records

    def report_lost(self, count: int) -> None:
        self._reported += count
        self._report(count)

    def lost_per_cpu(self) -> dict[int, int]:
        """How many records nobody got, by CPU; since Linux 6.0 with those that no LOST record has told of yet."""
        lost = dict(self._lost)
        for cursor in (*self._ending, *self._retired, *self.cursors):
            lost[cursor.cpu] = lost.get(cursor.cpu, 0) + cursor.total_lost()
        return lost

    # The end

    def close(self) -> None:
        """Close all rings; from the callback of one, that one after the callback's return."""
        if self.closed or not self._closing.acquire(False):  # another thread closes it
            return
        self.closed = True
        unread = 0
        if not self.poller.inherited:  # else these rings are the parent's
            self.put_back()
            if self._failure is not None:  # a record that counts as read, and nobody was told of
                self._add_lost(self._failure[1], 1)
                unread += 1
        cursors, self.cursors, self._retired = [*self._retired, *self.cursors], [], []
        for cursor in cursors:
            self._close(cursor)
            unread += cursor.unread
        if self._registry.get(self.name) is self:
            self._registry.pop(self.name, None)
        for waiter in tuple(self.waiters):
            waiter()
        if isinstance(self._report, LostReport) and not self.poller.inherited:
            self._report.finish(sum(self.lost_per_cpu().values()) - unread - self._reported)

    def _close_retired(self) -> None:
        for cursor in self._retired:
            if cursor.is_at_end() and not self.closed:
                self._retired = [other for other in self._retired if other is not cursor]
                self._close(cursor)

    def _close(self, cursor: AnyCursor) -> None:
        self.poller.forget(cursor.fd)
        if self.poller.inherited:
            cursor.unlock()
        cursor.close()
        if cursor.busy:
            self._ending.append(cursor)
        else:
            self._add_lost(cursor.cpu, cursor.total_lost())

    def _add_lost(self, cpu: int, count: int) -> None:
        self._lost[cpu] = self._lost.get(cpu, 0) + count


class Taken:
    """A run of records of a ring, decoded: how many there were, from which position on, and those that nobody got yet."""

    __slots__ = ("count", "cursor", "length", "position", "queue")

    def __init__(self, cursor: AnyCursor | None, position: int, length: int, count: int, events: Iterable[Any]) -> None:
        self.cursor = cursor
        self.position = position
        self.length = length  # bytes of each in the ring
        self.count = count
        self.queue: deque[Any] = deque(events)


class LostReport:
    """Says on stderr how many records were lost, at most once a second."""

    __slots__ = ("_count", "_next")

    def __init__(self) -> None:
        self._count = 0
        self._next = 0.0

    def __call__(self, count: int) -> None:
        self._count += count
        now = monotonic()
        if now >= self._next:
            self._next = now + _REPORTS
            self._write()

    def finish(self, unreported: int) -> None:
        """The last line: with what no LOST record told of."""
        self._count += unreported
        self._write()

    def _write(self) -> None:
        if self._count > 0:
            print(f"Possibly lost {self._count} samples", file=sys.stderr)
        self._count = 0
