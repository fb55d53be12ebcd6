"""Views of the event kinds: perf event arrays and ring buffers, and the decoding of their records."""

from __future__ import annotations

import ctypes

from skep.errors import MapError, MapIndexError
from skep.interrupts import Uninterrupted
from skep.maps.array import Array
from skep.maps.codec import type_of
from skep.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterator
    from typing import Any

    from skep.buffers.perf import PerfBuffer
    from skep.buffers.poller import Poller
    from skep.buffers.ring import RingBuffer
    from skep.maps.table import Owner


class RecordDecoder:
    """Turns a record, as a callback gets it, into a ctypes object of the type that the program submits."""

    __slots__ = ("_ctype", "_table")

    def __init__(self, table: Table) -> None:
        self._table = table
        self._ctype: Any = None

    @property
    def ctype(self) -> Any:
        if self._ctype is None:
            spec, owner = self._table.handle.spec, self._table.bpf.object
            if owner.btf is None or not spec.record_type:
                raise MapError(
                    f"the type of the records of {spec.name!r} is not known: no program submits a struct to it by name; "
                    f"decode them with YourStruct.from_address(data), a ctypes.Structure",
                    map_name=spec.name,
                )
            self._ctype = type_of(owner.btf, spec.record_type, 0)
        return self._ctype

    def __call__(self, data: Any) -> Any:
        """A view for an address (BCC's meaning: valid during the callback), a copy for bytes."""
        ctype = self._ctype or self.ctype
        if isinstance(data, int):
            return ctype.from_address(data)
        if isinstance(data, ctypes.c_void_p) and data.value:
            return ctype.from_address(data.value)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise MapError(
                f"event() of {self._table.name!r} takes the address that a callback gets, or bytes, not {data!r}",
                map_name=self._table.name,
            )
        if len(data) < ctypes.sizeof(ctype):
            raise MapError(
                f"a record of {len(data)} bytes from {self._table.name!r} is shorter than {ctype.__name__} "
                f"({ctypes.sizeof(ctype)} bytes)",
                map_name=self._table.name,
            )
        return ctype.from_buffer_copy(data)

    def copy(self, address: int) -> Any:
        """A copy of the record at an address."""
        ctype = self._ctype or self.ctype
        return ctype.from_buffer_copy(ctype.from_address(address))


class PerfEventArray(Array):
    """One perf buffer per CPU; `for event in table` gives the records of all, decoded."""

    def __init__(self, handle: Any, bpf: Owner, *, key_type: Any = None, leaf_type: Any = None) -> None:
        super().__init__(handle, bpf, key_type=key_type, leaf_type=leaf_type)
        self.max_entries = min(self.max_entries or bpf.engine.possible_cpus, bpf.engine.possible_cpus)
        self.event = RecordDecoder(self)
        self.buffer: PerfBuffer | None = None
        self.queue: deque[Any] | None = None  # of an iteration

    def open_perf_buffer(
        self,
        callback: Callable[[int, int, int], object],
        page_cnt: int = 8,
        lost_cb: Callable[[int], object] | None = None,
        wakeup_events: int = 1,
    ) -> None:
        """Open one buffer of `page_cnt` pages per online CPU; `BPF.perf_buffer_poll` calls `callback(cpu, data, size)`.

        `data` is an address, valid during the call: `table.event(data)` decodes it. `size` counts the padding to 8 bytes.
        `lost_cb(count)` hears of records that found no room; without it, a line on stderr says so. Linux 4.4.
        """
        from skep.buffers.perf import PerfBuffer

        with Uninterrupted():
            self.close_perf_buffer()
            self.buffer = PerfBuffer(
                self.bpf.engine, self.handle, self.bpf.perf_buffers, callback, page_cnt, lost_cb, wakeup_events
            )

    def close_perf_buffer(self) -> None:
        if self.buffer is not None:
            self.buffer.close()
            self.buffer = self.queue = None

    @property
    def lost(self) -> int:
        """How many records found no room since `open_perf_buffer`."""
        return self.buffer.lost if self.buffer is not None else 0

    def __iter__(self) -> Iterator[Any]:
        return _events(self, self.bpf.perf_buffers, lambda add: self.open_perf_buffer(lambda _cpu, data, _size: add(data)))

    def _refuse(self, *_: Any) -> Any:
        raise MapIndexError(f"the slots of {self.name!r} hold perf events and cannot be read", map_name=self.name)

    __getitem__ = values = zero = _walk_items = _refuse

    def __delitem__(self, key: Any) -> None:
        if not self.handle.delete(self._pack_key(key)):
            raise self._missing(key)


class RingBuf(Table):
    """A ring buffer that all CPUs share; `for event in table` gives its records, decoded. Linux 5.8."""

    def __init__(self, handle: Any, bpf: Owner, *, key_type: Any = None, leaf_type: Any = None) -> None:
        super().__init__(handle, bpf, key_type=key_type, leaf_type=leaf_type)
        self.event = RecordDecoder(self)
        self.buffer: RingBuffer | None = None
        self.queue: deque[Any] | None = None  # of an iteration

    def open_ring_buffer(self, callback: Callable[[Any, int, int], object], ctx: Any = None) -> None:
        """Let `BPF.ring_buffer_poll` call `callback(ctx, data, size)` for each record; a negative result stops that round."""
        from skep.buffers.ring import RingBuffer

        with Uninterrupted():
            self.close_ring_buffer()
            self.buffer = RingBuffer(self.bpf.engine, self.handle, self.bpf.ring_buffers, callback, ctx)

    def close_ring_buffer(self) -> None:
        if self.buffer is not None:
            self.buffer.close()
            self.buffer = self.queue = None

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return _events(self, self.bpf.ring_buffers, lambda add: self.open_ring_buffer(lambda _ctx, data, _size: add(data)))

    def _refuse(self, *_: Any) -> Any:
        raise MapError(f"{self.name!r} is a ring buffer: it has no keys; use open_ring_buffer(callback)", map_name=self.name)

    _pack_key: Any = _refuse
    _walk: Any = _refuse
    popitem = zero = _refuse


def _events(
    table: PerfEventArray | RingBuf, poller: Poller, open_buffer: Callable[[Callable[[int], object]], None]
) -> Iterator[Any]:
    """Decoded copies of the records, for ever. What a loop leaves behind when it breaks, the next one gets first."""
    queue = table.queue
    if queue is None:
        if table.buffer is not None:
            raise MapError(
                f"the records of {table.name!r} go to a callback already: poll, or iterate, not both", map_name=table.name
            )
        table.event.ctype  # noqa: B018 - an unknown type shows here, not in the first record
        from collections import deque

        copy = table.event.copy
        queue = deque()
        append = queue.append
        open_buffer(lambda address: append(copy(address)))
        table.queue = queue
    while True:
        while queue:
            yield queue.popleft()
        poller.poll(-1)
