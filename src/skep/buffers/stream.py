"""Records as Python iterates them: one by one, one by one in asyncio, and many at once as numpy arrays.

In: a reader without a callback, and the records' type. Out: decoded copies, in the order of each ring.
"""

from __future__ import annotations

import os
from sys import getrefcount

from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

    import numpy

    from skep.buffers.cursor import AnyCursor
    from skep.buffers.reader import Reader
    from skep.buffers.rows import Rows

_ARENAS = 4
_UNUSED = 3  # references: the Rows', the variable's, getrefcount's argument

STAMPS = 16  # bytes before an event in a row that has them: its time and its CPU, u64 both


class Stream:
    """The records of one map, for all who iterate over it: each record goes to one of them."""

    def __init__(self, reader: Reader, ctype: Any) -> None:
        from ctypes import sizeof

        self.reader = reader
        self._poller = reader.poller
        self._ctype = ctype
        self._size = sizeof(ctype)
        self._arenas: list[Rows] = []
        self._dtypes: dict[bool, numpy.dtype[Any]] = {}
        self._copier: Callable[[AnyCursor, Rows, int, int], int] | None = None

    def events(self, timeout: float) -> Iterator[Any]:
        """Decoded records until none comes for `timeout` ms (negative: for ever), or the buffer is closed."""
        while True:
            queue = self.reader.taken.queue
            while queue:
                yield queue.popleft()
            if self.reader.closed or not self._poller.until(self._fill, timeout):
                return

    async def events_async(self) -> AsyncIterator[Any]:
        """Decoded records until the buffer is closed; other tasks run while it waits, and between two portions of records."""
        from asyncio import get_running_loop, sleep

        loop = get_running_loop()
        while True:
            queue = self.reader.taken.queue
            while queue:
                yield queue.popleft()
            if self.reader.closed:
                return
            self._poller.require()  # in a child made by fork there is no ring in the memory
            if self._poller.take(self._fill):
                await sleep(0)
            else:
                await self._readable(loop)

    async def _readable(self, loop: AbstractEventLoop) -> None:
        """Wait until epoll says that there is something, the buffer is closed, or it is time to look without being told."""
        from skep.buffers.poller import SLICE

        future = loop.create_future()

        def wake() -> None:
            if not future.done():
                future.set_result(None)

        def closed() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(wake)

        self._poller.require()
        # the loop must know no fd that somebody else closes
        fd = os.dup(self._poller.fd)
        try:
            timer = loop.call_later(SLICE, wake)
            self.reader.waiters.append(closed)
            try:
                loop.add_reader(fd, wake)
                await future
            finally:
                loop.remove_reader(fd)
                timer.cancel()
                self.reader.waiters.remove(closed)
        finally:
            os.close(fd)

    def _fill(self) -> bool:
        # not empty: another thread was quicker
        return bool(self.reader.taken.queue) or self.reader.take(self._size, self._decode)

    def _decode(self, data: bytes, stride: int, size: int, count: int) -> list[Any]:
        make, wanted = self._ctype.from_buffer_copy, self._size
        offsets = range(0, count * stride, stride)
        if size >= wanted:
            return [make(data, offset) for offset in offsets]
        return [make(data[offset : offset + size].ljust(wanted, b"\0")) for offset in offsets]

    def batches(self, max_records: int, timeout: float, time: bool) -> Iterator[numpy.ndarray[Any, Any]]:
        """Arrays of 1 to `max_records` records until none comes for `timeout` ms, or the buffer is closed."""
        if not isinstance(max_records, int) or max_records < 1:
            raise MapError(f"batches() of {self.reader.name!r}: max_records is 1 or more, not {max_records!r}")
        dtype = self._dtypes.get(time)
        if dtype is None:
            dtype = self._dtypes[time] = self._dtype(time)
        while not self.reader.closed:
            found = self._poller.until(lambda: self._batch(dtype, max_records, STAMPS * time), timeout)
            if not found:
                return
            yield found.pop()

    def _dtype(self, time: bool) -> numpy.dtype[Any]:
        from skep.maps.dtypes import dtype_of

        event = dtype_of(self._ctype)
        if not time:
            return event
        import numpy

        return numpy.dtype(
            {
                "names": ["time", "cpu", "event"],
                "formats": ["u8", "u8", event],
                "offsets": [0, 8, STAMPS],
                "itemsize": STAMPS + -(-self._size // 8) * 8,
            }
        )

    def _batch(self, dtype: numpy.dtype[Any], max_records: int, start: int) -> list[numpy.ndarray[Any, Any]]:
        reader = self.reader
        waiting = reader.waiting()
        if not waiting:
            return []
        if self._copier is None:
            from skep.buffers.machine import copier

            self._copier = copier()
        arena = self._arena(dtype, min(max_records, waiting // self._size + 1), start)
        count = reader.copy(self._copier, arena, min(max_records, len(arena.array)))
        return [arena.array[:count]] if count else []  # a list, since an array is neither true nor false

    def _arena(self, dtype: numpy.dtype[Any], room: int, start: int) -> Rows:
        """Memory for at least `room` records: of an array that nobody has any more, since new memory costs more than the copy."""
        for arena in self._arenas:
            array = arena.array
            # a batch is a view of it, and refers to it
            if getrefcount(array) == _UNUSED and len(array) >= room and array.dtype is dtype:
                return arena
        import numpy

        from skep.buffers.rows import Rows

        array = numpy.empty(1 << (room - 1).bit_length(), dtype)
        arena = Rows(self.reader.name, array, array.__array_interface__["data"][0], dtype.itemsize, start, self._size)
        self._arenas = [arena, *self._arenas][:_ARENAS]
        return arena
