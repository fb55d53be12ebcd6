"""The producer of a user ring buffer: records from Python to programs, which take them with bpf_user_ringbuf_drain. Linux 6.1."""

from __future__ import annotations

import select
import struct

from skep.arguments import as_number
from skep.errors import MapError
from skep.maps.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

_HEADER = 8
_BUSY, _DISCARD = 1 << 31, 1 << 30  # BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT
_PAGE = 4096
_LONGEST_WAIT = 1e9  # ms of one poll(2), which takes an int


class UserRingBuf(View):
    """A ring that one Python thread writes and programs read; records are bytes or ctypes objects."""

    _ring: Any = None
    _open: list[Reservation]  # neither submitted nor discarded

    def output(self, data: Any, timeout: float = 0) -> None:
        """Put a record in; when there is no room, wait up to `timeout` ms (negative: for ever) for programs to take some out.

        MapError (ENOSPC in `.errno`) when there is still none.
        """
        if isinstance(data, (int, str)) or data is None:  # bytes(5) would be five zeros
            raise MapError(f"a record of {self.name!r} is bytes or a ctypes object, not {data!r}", map_name=self.name)
        packed = bytes(data)
        with self.reserve(len(packed), timeout) as record:
            record.data[:] = packed

    def reserve(self, size: int, timeout: float = 0) -> Reservation:
        """Room for a record of `size` bytes: write to its `.data`, then `submit()` or `discard()` it; a `with` block submits.

        Programs see records in the order of their reservations, and none behind one that is not submitted yet.
        """
        size = as_number(size, "the size of a record")
        if not isinstance(timeout, (int, float)) or timeout != timeout:
            raise MapError(f"timeout is a number of milliseconds (negative: for ever), not {timeout!r}", map_name=self.name)
        ring = self._mapped()
        total = (size + _HEADER + 7) // 8 * 8
        if not 0 <= size <= ring.size - _HEADER:
            raise MapError(
                f"user ring buffer {self.name!r} has {ring.size} bytes: no room for a record of {size}", map_name=self.name
            )
        if total > ring.size - self._used(ring) and not self._wait(ring, total, timeout):
            from errno import ENOSPC

            raise MapError(
                f"user ring buffer {self.name!r} is full: no program has made room for {size} bytes (bpf_user_ringbuf_drain)",
                errno=ENOSPC,
                map_name=self.name,
            )
        position = ring.producer[0]
        at = _PAGE + (position & ring.size - 1)
        # a busy record first, then the new position: what is before the position must be a record
        struct.pack_into("=II", ring.memory, at, size | _BUSY, 0)
        ring.producer[0] = position + total
        record = Reservation(self._open, ring, at, size)
        self._open.append(record)
        return record

    def pending(self) -> int:
        """Bytes that no program has taken yet."""
        return self._used(self._mapped())

    def _mapped(self) -> Any:
        if self._ring is None:
            self._ring = self.bpf.engine.map_user_ring(self.handle)
            self._open = []
        return self._ring

    def _used(self, ring: Any) -> int:
        used: int = ring.producer[0] - ring.consumer[0]
        return used

    def _wait(self, ring: Any, total: int, timeout: float) -> bool:
        from time import monotonic

        end = monotonic() + min(timeout, 1e15) / 1000  # an int may be larger than any float
        poller = select.poll()
        poller.register(self.handle.fd, select.POLLOUT)
        while total > ring.size - self._used(ring):
            left = (end - monotonic()) * 1000
            if timeout >= 0 and left <= 0:
                return False
            poller.poll(None if timeout < 0 else min(left, _LONGEST_WAIT))
        return True

    def close(self) -> None:
        """Unmap the ring, and close the map when it is this view's own; what is reserved still is discarded."""
        if self._ring is not None:
            for record in tuple(self._open):
                record.discard()
            self._ring.close()
            self._ring = None
        super().close()


class Reservation:
    """Room for one record; `data` is its memory."""

    __slots__ = ("_at", "_done", "_open", "_ring", "_size", "data")

    def __init__(self, open: list[Reservation], ring: Any, at: int, size: int) -> None:
        self._open = open
        self._ring = ring
        self._at = at
        self._size = size
        self._done = False
        self.data = memoryview(ring.memory)[at + _HEADER : at + _HEADER + size]

    def submit(self) -> None:
        """Let programs have it."""
        self._finish(0)

    def discard(self) -> None:
        """Let programs skip it."""
        self._finish(_DISCARD)

    def _finish(self, flag: int) -> None:
        if not self._done:
            self._done = True
            self._open.remove(self)
            self.data.release()
            struct.pack_into("=I", self._ring.memory, self._at, self._size | flag)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is None:
            self.submit()
        else:
            self.discard()
