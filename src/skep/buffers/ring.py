"""Ring buffers: one ring that all CPUs share, mapped twice in a row so that no record wraps.

In: the engine's memory of the ring. Out: callback(ctx, address, size) for each record.
"""

from __future__ import annotations

import ctypes

from skep.buffers import require_callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.buffers.poller import Poller
    from skep.engine import MapHandle

# include/uapi/linux/bpf.h
_BUSY, _DISCARD, _LENGTH = 1 << 31, 1 << 30, (1 << 30) - 1
_HEADER = 8
_PY_BUFFER_SIZE = 128  # of the C struct Py_buffer (80 bytes in 3.11), with room to spare


class RingBuffer:
    """Reads the ring buffer of one map."""

    def __init__(
        self, engine: Any, handle: MapHandle, poller: Poller, callback: Callable[[Any, int, int], object], ctx: Any = None
    ) -> None:
        require_callable(callback, "callback(ctx, data, size)", handle.spec.name)
        self.fd = handle.fd
        self.name = handle.spec.name
        self._callback = callback
        self._ctx = ctx
        self._closed = self._draining = False
        self._ring = engine.map_ring(handle)
        self._mask = self._ring.size - 1
        self._consumer = memoryview(self._ring.consumer).cast("Q")
        self._producer = memoryview(self._ring.data).cast("Q")
        start = len(self._ring.data) - 2 * self._ring.size  # the producer's page
        self._data = _address(self._ring.data) + start
        self._start = start >> 3
        self._poller = poller
        try:
            poller.add(self)
        except BaseException:
            self._release()
            raise

    def drain(self) -> int:
        """Hand all records to the callback, up to one that is still being written; a negative result of it ends the round.

        Its exceptions come out of here with the failing record counted as read.
        """
        if self._closed:
            return 0
        consumer, words = self._consumer, self._producer
        position = consumer[0]
        end = words[0]
        if position == end:
            return 0
        data, start, mask = self._data + _HEADER, self._start, self._mask
        callback, ctx = self._callback, self._ctx
        records = 0
        self._draining = True
        try:
            while position < end:
                offset = position & mask
                # one load for length and flags: an acquire where the machine needs it, x86-64 orders plain loads so
                header = words[start + (offset >> 3)] & 0xFFFFFFFF
                if header & _BUSY:
                    break
                length = header & _LENGTH
                position += (length + 15) & ~7
                if not header & _DISCARD:
                    records += 1
                    result = callback(ctx, data + offset, length)
                    if self._closed or (type(result) is int and result < 0):
                        break
                # after each record: the room is the writers' again while a slow callback runs
                consumer[0] = position
        finally:
            consumer[0] = position
            # a traceback keeps this frame, and memory with views cannot be unmapped
            del consumer, words
            self._draining = False
            if self._closed:
                self._release()
        return records

    def close(self) -> None:
        """Unmap; when the callback asks for it, after the callback's return."""
        if not self._closed:
            self._closed = True
            self._poller.remove(self)
            if not self._draining:
                self._release()

    def _release(self) -> None:
        del self._consumer, self._producer  # memory that is exported cannot be unmapped
        self._ring.close()


def _address(memory: Any) -> int:
    """Where a buffer's memory is; ctypes' from_buffer() refuses read-only ones."""
    view = ctypes.create_string_buffer(_PY_BUFFER_SIZE)
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(memory), view, 0)
    address = ctypes.c_void_p.from_buffer(view).value
    ctypes.pythonapi.PyBuffer_Release(view)
    return address or 0
