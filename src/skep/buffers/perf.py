"""Perf buffers: one ring of perf records per online CPU, read from its mapped memory.

In: the engine's perf rings. Out: callback(cpu, address, size) for each sample, and counts of lost records.
"""

from __future__ import annotations

import ctypes
import errno
import sys

from skep.buffers import require_callable
from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.buffers.poller import Poller
    from skep.engine import MapHandle

# include/uapi/linux/perf_event.h: records, and struct perf_event_mmap_page as an array of u64
_RECORD_LOST, _RECORD_SAMPLE = 2, 9
_DATA_HEAD, _DATA_TAIL, _DATA_OFFSET, _DATA_SIZE = 128, 129, 130, 131
_SAMPLE_HEADER = 12  # perf_event_header, then the u32 size of the raw data: the sample type is PERF_SAMPLE_RAW alone


class PerfBuffer:
    """The perf buffer of one map: its rings, its callback and its count of lost records."""

    def __init__(
        self,
        engine: Any,
        handle: MapHandle,
        poller: Poller,
        callback: Callable[[int, int, int], object],
        page_cnt: int = 8,
        lost_cb: Callable[[int], object] | None = None,
        wakeup_events: int = 1,
    ) -> None:
        name = handle.spec.name
        if not isinstance(page_cnt, int) or page_cnt < 1 or page_cnt & (page_cnt - 1):
            near = f"; use {1 << max(page_cnt - 1, 0).bit_length()}" if isinstance(page_cnt, int) else ""
            raise MapError(f"perf buffer {name!r}: page_cnt must be a power of two, not {page_cnt!r}{near}", map_name=name)
        if not isinstance(wakeup_events, int) or not 0 <= wakeup_events < 1 << 32:
            raise MapError(f"perf buffer {name!r}: wakeup_events is a number of records, not {wakeup_events!r}", map_name=name)
        require_callable(callback, "callback(cpu, data, size)", name)
        if lost_cb is not None:
            require_callable(lost_cb, "lost_cb(count)", name)
        self.name = name
        self.callback = callback
        self.lost_cb = lost_cb or _report_lost
        self.lost = 0
        self._poller = poller
        self._rings: list[PerfRingReader] = []
        try:
            for cpu in engine.online_cpus:
                try:
                    opened = engine.open_perf_ring(handle, cpu, page_cnt, wakeup_events)
                except OSError as error:
                    if error.errno == errno.ENODEV:  # went offline since it was listed
                        continue
                    raise MapError(str(error.strerror), errno=error.errno or 0, map_name=name) from error
                ring = PerfRingReader(self, opened)
                self._rings.append(ring)
                poller.add(ring)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        while self._rings:
            ring = self._rings.pop()
            self._poller.remove(ring)
            ring.close()

    def count_lost(self, count: int) -> None:
        self.lost += count
        self.lost_cb(count)


class PerfRingReader:
    """Reads one CPU's ring. Head and tail are free-running byte counts; records are multiples of 8 bytes and may wrap."""

    __slots__ = ("_buffer", "_closed", "_data", "_draining", "_mask", "_ring", "_side", "_start", "_tail", "_words", "cpu", "fd")

    def __init__(self, buffer: PerfBuffer, ring: Any) -> None:
        self.fd: int = ring.fd
        self.cpu: int = ring.cpu
        self._buffer = buffer
        self._ring = ring
        self._closed = self._draining = False
        self._words = memoryview(ring.memory).cast("Q")
        start, size = self._words[_DATA_OFFSET], self._words[_DATA_SIZE]
        self._data = ctypes.addressof(ctypes.c_char.from_buffer(ring.memory)) + start
        self._start = start >> 3
        self._mask = size - 1
        self._tail = self._words[_DATA_TAIL]
        self._side: ctypes.Array[ctypes.c_char] | None = None  # where a wrapped record is put together

    def drain(self) -> int:
        """Hand all samples to the callback; its exceptions come out of here with the failing record counted as read."""
        if self._closed:
            return 0
        words = self._words
        # an acquire load and, below, release stores where the machine needs them: x86-64 orders plain ones so
        head = words[_DATA_HEAD]
        tail = self._tail
        if head == tail:
            return 0
        buffer = self._buffer
        callback = buffer.callback
        cpu, data, start, mask = self.cpu, self._data, self._start, self._mask
        samples = 0
        self._draining = True
        try:
            while tail != head:
                offset = tail & mask
                header = words[start + (offset >> 3)]
                length = header >> 48
                kind = header & 0xFFFFFFFF
                if kind == _RECORD_SAMPLE:
                    address = data + offset if offset + length <= mask + 1 else self._unwrap(offset, length)
                    tail += length
                    samples += 1
                    callback(cpu, address + _SAMPLE_HEADER, length - _SAMPLE_HEADER)
                    if self._closed:
                        break
                elif length == 0:
                    tail = head
                    raise MapError(f"the perf ring of {buffer.name!r} on CPU {cpu} is damaged: a record without length")
                else:
                    # header, u64 id, u64 lost
                    lost = words[start + ((offset + 16 & mask) >> 3)] if kind == _RECORD_LOST else 0
                    tail += length
                    if lost:
                        buffer.count_lost(lost)
                # after each record: the room is the writer's again while a slow callback runs
                words[_DATA_TAIL] = tail
        finally:
            words[_DATA_TAIL] = self._tail = tail
            # a traceback keeps this frame, and memory with views cannot be unmapped
            del words
            self._draining = False
            if self._closed:
                self._release()
        return samples

    def _unwrap(self, offset: int, length: int) -> int:
        if self._side is None:
            self._side = ctypes.create_string_buffer(1 << 16)  # a record's length is a u16
        side = ctypes.addressof(self._side)
        first = self._mask + 1 - offset
        ctypes.memmove(side, self._data + offset, first)
        ctypes.memmove(side + first, self._data, length - first)
        return side

    def close(self) -> None:
        """Unmap and close; when the callback asks for it, after the callback's return."""
        self._closed = True
        if not self._draining:
            self._release()

    def _release(self) -> None:
        del self._words  # memory that is exported cannot be unmapped
        self._ring.close()


def _report_lost(count: int) -> None:
    print(f"Possibly lost {count} samples", file=sys.stderr)
