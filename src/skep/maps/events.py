"""Views of the event kinds: perf event arrays and ring buffers, and the decoding of their records."""

from __future__ import annotations

import ctypes

from skep.errors import MapError, MapIndexError
from skep.interrupts import Uninterrupted
from skep.maps.array import Array
from skep.maps.codec import ADDRESSES, is_ctype, type_of
from skep.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

    import numpy

    from skep.buffers.poller import Poller
    from skep.buffers.reader import Reader
    from skep.buffers.stream import Stream
    from skep.maps.table import Owner

_PULLED_PAGES = 64  # of a perf ring that is opened by iterating: a loop is seldom as quick as a callback
_BATCH = 16384  # records: with the usual sizes about as much as a core's own cache holds


class RecordType:
    """The ctypes type of a map's records: what the program submits by name, or what the user says."""

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
                    f"set b[{spec.name!r}].record_type to a ctypes.Structure, or use YourStruct.from_address(data)",
                    map_name=spec.name,
                )
            self._ctype = type_of(owner.btf, spec.record_type, 0)
        return self._ctype

    @ctype.setter
    def ctype(self, ctype: Any) -> None:
        if not is_ctype(ctype) or not ctypes.sizeof(ctype) or getattr(ctype, "_type_", "") in ADDRESSES:
            name = self._table.name
            raise MapError(f"record_type of {name!r} is a ctypes type of the record's bytes, not {ctype!r}", map_name=name)
        self._ctype = ctype

    def least(self) -> int:
        """Bytes that `event` reads at an address; 0 where the type is not known."""
        try:
            return ctypes.sizeof(self.ctype)
        except MapError:
            return 0

    def decode(self, data: Any) -> Any:
        """What `event` gives for other things than an address."""
        ctype = self.ctype
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


def _event_function(records: RecordType) -> Callable[[Any], Any]:
    # a function and no method, and what it calls a variable of its own: a program calls it for every record
    def view(data: Any) -> Any:
        nonlocal view
        view = records.ctype.from_address
        return view(data)

    def event(data: Any) -> Any:
        """The record at an address that a callback got, a view that is valid during it (BCC's meaning); of bytes a copy.

        Behind a record that is shorter than its type are zeros.
        """
        try:
            return view(data)
        except (TypeError, OverflowError):
            return records.decode(data)

    return event


class Events:
    """What both event kinds have: records decoded by a function, by a loop, in asyncio, or as arrays."""

    name: str
    bpf: Owner
    poller: Poller  # of the readers with callbacks
    event: Callable[[Any], Any]
    _open_call: str
    _open_unread: Callable[[bool], None]  # opens the buffer, with times or without, for who iterates
    _records: RecordType
    _stream: Stream | None
    _last: Reader | None

    def _prepare(self, poller: Poller, table: Table) -> None:
        self.poller = poller
        self._records = RecordType(table)
        self.event = _event_function(self._records)
        self._stream = self._last = None

    @property
    def record_type(self) -> Any:
        """The ctypes type of the records; it may be set where the program does not say it, before the first is read."""
        return self._records.ctype

    @record_type.setter
    def record_type(self, ctype: Any) -> None:
        self._records.ctype = ctype
        self.event = _event_function(self._records)
        if self.buffer is not None:
            self.buffer.least = max(self.buffer.least, ctypes.sizeof(ctype))

    @property
    def buffer(self) -> Reader | None:
        """The open reader of this map, however it was opened."""
        reader: Reader | None = self.poller.readers.get(self.name)
        return reader

    def events(self, timeout: float = -1) -> Iterator[Any]:
        """Decoded copies of the records until none comes for `timeout` ms (negative: for ever), or the buffer is closed.

        `for event in table` is the same without a time. What a loop leaves behind, the next one gets first.
        """
        return self._open_stream(False).events(timeout)

    def __iter__(self) -> Iterator[Any]:
        return self.events()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._open_stream(False).events_async()

    def _open_stream(self, time: bool) -> Stream:
        """The stream of this map's records; opened when nobody has opened it."""
        from skep.buffers.stream import Stream

        reader = self.buffer
        if reader is not None and reader.callback is not None:
            raise MapError(
                f"the records of {self.name!r} go to a callback already: poll, or iterate, not both", map_name=self.name
            )
        ctype = self.record_type  # an unknown type shows here, not in the first record
        if reader is None:
            self._open_unread(time)
            reader = self.buffer
            assert reader is not None
        if self._stream is None or self._stream.reader is not reader:
            self._stream = Stream(reader, ctype)
        return self._stream

    def _open_batches(self, time: bool) -> Stream:
        from skep.buffers.machine import copier

        copier()  # before the buffer opens and fills: to compile it for the first time takes half a second
        return self._open_stream(time)

    def _poller_for(self, callback: object) -> Poller:
        """Who waits for the records: with a callback, the BPF object's poll; without, whoever iterates."""
        from skep.buffers.poller import Poller

        if callback is not None:
            return self.poller
        reader = self.buffer
        return reader.poller if reader is not None and reader.callback is None else Poller(self.poller.what, self._open_call)


class PerfEventArray(Events, Array):
    """One perf buffer per CPU; `for event in table` gives the records of all, decoded."""

    _open_call = "open_perf_buffer"

    def __init__(self, handle: Any, bpf: Owner, *, key_type: Any = None, leaf_type: Any = None) -> None:
        super().__init__(handle, bpf, key_type=key_type, leaf_type=leaf_type)
        self.max_entries = min(self.max_entries or bpf.engine.possible_cpus, bpf.engine.possible_cpus)
        self._prepare(bpf.perf_buffers, self)

    def open_perf_buffer(
        self,
        callback: Callable[[int, int, int], object] | None,
        page_cnt: int = 8,
        lost_cb: Callable[[int], object] | None = None,
        wakeup_events: int = 1,
        *,
        time: bool = False,
    ) -> None:
        """Open one buffer of `page_cnt` pages per online CPU; `BPF.perf_buffer_poll` calls `callback(cpu, data, size)`.

        `data` is an address, valid during the call: `table.event(data)` decodes it. `size` counts the padding to 8 bytes.
        `lost_cb(count)` hears of records that found no room; without it, a line on stderr says so. With `time` the kernel
        stamps each record: `table.time(data)`. With None for a callback the records wait for `for`, `events()` or
        `batches()`. Opened again, also from a callback, the new callback gets what is still in the buffer. Linux 4.4.
        """
        from skep.buffers.perf import open_perf_reader

        with Uninterrupted():
            opened = open_perf_reader(
                self.bpf.engine, self.handle, self.poller.readers, self._poller_for(callback), callback, page_cnt, lost_cb,
                wakeup_events, time, self._records.least(),
            )  # fmt: skip
            if self._last is not None:
                opened.go_on_counting(self._last)
            self._last = opened

    def open_perf_event(self, typ: int, config: int, pid: int = -1) -> None:
        """Let programs read a counter with `perf_read` and `perf_counter_value`: of type and config as perf_event_open(2) has
        them, of all tasks or of `pid`, on each online CPU. Linux 4.3.
        """
        from skep.maps.counters import open_counters

        open_counters(self, typ, config, pid)

    def close_perf_buffer(self) -> None:
        """Close the buffer; records that nobody has read count as lost."""
        if self.buffer is not None:
            self.buffer.close()

    def batches(self, max_records: int = _BATCH, timeout: float = -1, *, time: bool = False) -> Iterator[numpy.ndarray[Any, Any]]:
        """Arrays of up to `max_records` records, until none comes for `timeout` ms or the buffer is closed.

        The dtype is that of the records' type. A shorter record ends in zeros, a longer one is a MapError and counts as
        read. With `time` the fields are `time` (ns of CLOCK_MONOTONIC; 0: from before times were asked for), `cpu`, `event`.
        """
        return self._open_batches(time).batches(max_records, timeout, time)

    def _open_unread(self, time: bool) -> None:
        self.open_perf_buffer(None, _PULLED_PAGES, time=time)

    def _open_stream(self, time: bool) -> Stream:
        reader = self.buffer
        if time and reader is not None and reader.callback is None and not reader.options[-1]:
            pages, wakeup_events, _ = reader.options
            self.open_perf_buffer(None, pages, None, wakeup_events, time=True)  # type: ignore[arg-type]
        return super()._open_stream(time)

    def time(self, data: int) -> int:
        """When the kernel wrote the record that a callback gets as `data`, ns of CLOCK_MONOTONIC; opened with `time=True`."""
        from skep.buffers.cursor import time_of

        if self.buffer is None or not self.buffer.options[-1]:
            raise MapError(f"the records of {self.name!r} carry no time: open_perf_buffer(..., time=True)", map_name=self.name)
        return time_of(data)

    @property
    def lost(self) -> int:
        """How many records nobody got since the buffer was first opened: they found no room, or were unread when it was closed.

        Exact at any moment since Linux 6.0; before, the kernel tells with the next record that finds room.
        """
        return sum(self.lost_per_cpu().values())

    def lost_per_cpu(self) -> dict[int, int]:
        """`lost`, by CPU."""
        reader = self.buffer or self._last
        return reader.lost_per_cpu() if reader is not None else {}

    def _refuse(self, *_: Any) -> Any:
        raise MapIndexError(f"the slots of {self.name!r} hold perf events and cannot be read", map_name=self.name)

    __getitem__ = values = zero = _parts = _refuse

    def __delitem__(self, key: Any) -> None:
        if not self.handle.delete(self._pack_key(key)):
            raise self._missing(key)


class RingBuf(Events, Table):
    """A ring buffer that all CPUs share; `for event in table` gives its records, decoded. Linux 5.8."""

    _open_call = "open_ring_buffer"

    def __init__(self, handle: Any, bpf: Owner, *, key_type: Any = None, leaf_type: Any = None) -> None:
        super().__init__(handle, bpf, key_type=key_type, leaf_type=leaf_type)
        self._prepare(bpf.ring_buffers, self)

    def open_ring_buffer(self, callback: Callable[[Any, int, int], object] | None, ctx: Any = None) -> None:
        """Let `BPF.ring_buffer_poll` call `callback(ctx, data, size)` for each record; a negative result stops that round.

        With None for a callback the records wait for `for`, `events()` or `batches()`. Opened again, also from a callback,
        the new callback gets what is still in the buffer. A record that finds no room makes the program's ringbuf_output or
        ringbuf_reserve fail, and counts in `lost`.
        """
        from skep.buffers.ring import open_ring_reader

        with Uninterrupted():
            self._last = open_ring_reader(
                self.bpf.engine, self.handle, self.poller.readers, self._poller_for(callback), callback, ctx,
                self._records.least(),
            )  # fmt: skip

    def close_ring_buffer(self) -> None:
        """Close the buffer; records that nobody has read stay in the map."""
        if self.buffer is not None:
            self.buffer.close()

    def batches(self, max_records: int = _BATCH, timeout: float = -1) -> Iterator[numpy.ndarray[Any, Any]]:
        """Arrays of up to `max_records` records, until none comes for `timeout` ms or the buffer is closed.

        The dtype is that of the records' type. A shorter record ends in zeros, a longer one is a MapError and counts as read.
        """
        return self._open_batches(False).batches(max_records, timeout, False)

    @property
    def lost(self) -> int:
        """How many records of this object's programs found no room, up to this moment.

        `ringbuf_output` and `ringbuf_reserve` count; MapError for a map whose programs use neither, such as one opened by id.
        """
        counters = getattr(self.bpf, "globals", {})
        name = f"__skep_lost_{self.name}"
        if name not in counters:
            raise MapError(
                f"what found no room in {self.name!r} is not counted: no program of this object calls "
                f"{self.name}.ringbuf_output() or {self.name}.ringbuf_reserve()",
                map_name=self.name,
            )
        return int(counters[name])

    def _open_unread(self, time: bool) -> None:
        self.open_ring_buffer(None)

    def __len__(self) -> int:
        return 0

    def _refuse(self, *_: Any) -> Any:
        raise MapError(f"{self.name!r} is a ring buffer: it has no keys; use open_ring_buffer(callback)", map_name=self.name)

    _pack_key: Any = _refuse
    _walk: Any = _refuse
    popitem = zero = _refuse
