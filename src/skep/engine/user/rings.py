"""Ring buffers and perf buffers of the user-space engine, in the kernel's layout, so that `skep.buffers` reads both engines'.

What programs do is in runtime/ringbuf.c and runtime/perf.c. An eventfd wakes the reader.
"""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import Structure, c_int, c_uint32, c_uint64
from mmap import PAGESIZE, mmap

from skep.engine.user.maps import UserMap, runtime
from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.object.model import MapSpec

# include/uapi/linux/mman.h, include/uapi/asm-generic/mman-common.h
_PROT_READ_WRITE, _MAP_SHARED_FIXED = 3, 0x11
# include/uapi/linux/perf_event.h: enum perf_event_sample_format
_SAMPLE_TIME, _SAMPLE_RAW = 1 << 2, 1 << 10
# where struct perf_event_mmap_page keeps the place and size of the data, and perf.c how many records found no room
_DATA_OFFSET, _ALL_LOST = 1040, 1016
_RING_AT = 64
_LIBC: Any = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, c_int, c_int, c_int, ctypes.c_long)


class _RingState(Structure):
    """struct ringbuf of ringbuf.c."""

    _fields_ = [
        ("consumer", c_uint64),
        ("producer", c_uint64),
        ("data", c_uint64),
        ("size", c_uint64),
        ("lock", c_uint32),
        ("wake", c_int),
    ]


class _PerfState(Structure):
    """struct perf_ring of perf.c."""

    _fields_ = [
        ("page", c_uint64),
        ("data", c_uint64),
        ("size", c_uint64),
        ("sample_type", c_uint64),
        ("lost", c_uint64),
        ("lock", c_uint32),
        ("wakeup_events", c_uint32),
        ("unwoken", c_uint32),
        ("wake", c_int),
    ]


class _Wake:
    """The eventfd of a ring: readable from a wake-up until the reader begins to read."""

    __slots__ = ("fd",)

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def acknowledge(self) -> None:
        """Called before the ring is read: what is written after this wakes again."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            if self.fd >= 0:  # else another thread closed it just now
                raise

    def close(self) -> None:
        fd, self.fd = self.fd, -1  # in this order: another thread may close it, too
        if fd >= 0:
            os.close(fd)


class UserRing(_Wake):
    """A ring buffer as its reader sees it: the consumer's page, and the producer's page with the data behind it, twice."""

    __slots__ = ("consumer", "data", "size")

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        memory = -1
        try:
            self.consumer = mmap(-1, PAGESIZE)
            memory = os.memfd_create("skep-ring", os.MFD_CLOEXEC)
            os.ftruncate(memory, PAGESIZE + size)
            self.data = mmap(-1, PAGESIZE + 2 * size)
            base = _address(self.data)
            for place, length, offset in ((0, PAGESIZE + size, 0), (PAGESIZE + size, size, PAGESIZE)):
                if _LIBC.mmap(base + place, length, _PROT_READ_WRITE, _MAP_SHARED_FIXED, memory, offset) != base + place:
                    number = ctypes.get_errno()
                    raise OSError(number, f"mapping a ring buffer of {size} bytes: {os.strerror(number)}")
        finally:
            if memory >= 0:
                os.close(memory)

    def close(self) -> None:
        """The memory is the map's: it goes with it."""

    def __del__(self) -> None:
        super().close()


class RingMap(UserMap):
    """A ring buffer, or a user ring buffer: Python's side looks at the same memory as programs."""

    __slots__ = ()

    def __init__(self, spec: MapSpec, cpus: int) -> None:
        super().__init__(spec, cpus)
        size = PAGESIZE
        while size < spec.max_entries:
            size *= 2
        self.max_entries = size
        self._allocate(storage=ctypes.sizeof(_RingState))
        try:
            ring = UserRing(size)
        except (OSError, ValueError, OverflowError) as error:
            self.close()
            raise MapError(f"cannot create ring buffer {spec.name!r}: {error}", errno=errno.ENOMEM, map_name=spec.name) from error
        self.keep().parts.append(ring)
        state = _RingState.from_address(self.header.storage)
        state.consumer, state.producer, state.size = _address(ring.consumer), _address(ring.data), size
        state.data = state.producer + PAGESIZE
        state.wake = ring.fd
        # the way from a record to its ring (ringbuf.c: RING_AT), behind the position that the reader looks at
        ring.data[_RING_AT : _RING_AT + 8] = ctypes.addressof(state).to_bytes(8, "little")

    @property
    def ring(self) -> UserRing:
        """The memory of the records, with its eventfd."""
        found: UserRing = self.keep().parts[1]
        return found


class ProducerRing:
    """A user ring buffer as its producer sees it: views of the positions; `memory` is the producer's page and the data, twice."""

    __slots__ = ("consumer", "memory", "producer", "size")

    def __init__(self, ring: UserRing) -> None:
        self.size = ring.size
        self.memory = ring.data
        self.producer = memoryview(ring.data)[:8].cast("Q")
        self.consumer = memoryview(ring.consumer)[:8].cast("Q")

    def close(self) -> None:
        """Release the views; the memory is the map's."""
        self.producer.release()
        self.consumer.release()


class UserPerfRing(_Wake):
    """The perf ring of one CPU: `memory` is a metadata page and the data."""

    __slots__ = ("_opened", "_process", "_slot", "cpu", "memory")

    def __init__(self, map: PerfMap, cpu: int, pages: int, wakeup_events: int, time: bool) -> None:
        self._slot: Any = map.slot(cpu)
        super().__init__()
        self.cpu = cpu
        try:
            self.memory = mmap(-1, (1 + pages) * PAGESIZE)
        except BaseException:
            _Wake.close(self)
            raise
        base, size = _address(self.memory), pages * PAGESIZE
        self.memory[_DATA_OFFSET : _DATA_OFFSET + 16] = PAGESIZE.to_bytes(8, "little") + size.to_bytes(8, "little")
        self._process = os.getpid()
        self._opened = _PerfState(
            page=base, data=base + PAGESIZE, size=size, sample_type=_SAMPLE_RAW | _SAMPLE_TIME * time,
            wakeup_events=wakeup_events, wake=self.fd,
        )  # fmt: skip
        self.install()

    def install(self) -> None:
        """Programs write into this ring from now on."""
        self._call("perf_open", ctypes.addressof(self._opened))

    def _call(self, name: str, argument: int) -> None:
        function = runtime("perf.c").function(name, None, ctypes.c_void_p, ctypes.c_void_p, gil=True)
        function(ctypes.addressof(self._slot), argument)

    def read_lost(self) -> int:
        """Records that found no room since this ring was opened."""
        return int.from_bytes(self.memory[_ALL_LOST : _ALL_LOST + 8], "little")

    def detached(self) -> bool:
        """False: programs find the ring by its number, whatever becomes of the CPU."""
        return False

    def stop(self) -> bool:
        """No record comes after this: programs find no ring. False in a forked child, where the ring is the parent's."""
        mine = self._process == os.getpid()
        if mine:
            self._call("perf_close", self._opened.page)
        return mine

    def close(self) -> None:
        """Unmap; views of `memory` must be released before."""
        if self.fd >= 0:
            self.stop()
            self.memory.close()
            super().close()


class PerfMap(UserMap):
    """A perf event array: a ring for each CPU that a reader has opened."""

    __slots__ = ()

    def __init__(self, spec: MapSpec, cpus: int) -> None:
        super().__init__(spec, cpus)
        if not spec.max_entries:
            self.max_entries = self.header.shape.max_entries = cpus
        self._allocate(storage=self.max_entries * ctypes.sizeof(_PerfState))

    def next_key(self, key: bytes | None) -> bytes | None:
        """The index after `key`; which of them have a reader is not told."""
        return self._next_index(key)

    def delete(self, key: bytes) -> bool:
        """False: readers come and go by `open_perf_ring`."""
        self._check(key)
        return False

    def slot(self, cpu: int) -> _PerfState:
        """The state of one CPU's ring."""
        memory = self.keep()
        if not 0 <= cpu < self.max_entries:
            raise MapError(f"perf buffer {self.name!r} has no CPU {cpu}: max_entries is {self.max_entries}", map_name=self.name)
        # the memory stays while the state does: a ring may be closed after its map
        return _PerfState.from_buffer(memory.parts[0], cpu * ctypes.sizeof(_PerfState))


def _address(memory: mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
