"""Memory shared with the kernel: perf rings (one per CPU) and ring buffers, opened and mapped for the readers in skep.buffers."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct

from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.engine.kernel.maps import ring_size
from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.engine import MapHandle

_PAGE = mmap.PAGESIZE
_PERF_COUNT_SW_BPF_OUTPUT = 10
_BPF_ANY = 0
_CLOCK_MONOTONIC = 1
_COUNTS = struct.Struct("=QQQ")  # what read(2) of an event gives: value, ns that it was enabled, lost (where asked for)


class PerfRing:
    """The ring of one CPU: `memory` is a metadata page and 2^n data pages, `fd` is for poll."""

    __slots__ = ("_enabled", "_map", "_process", "cpu", "fd", "memory")
    acknowledge: Callable[[], None] | None = None

    def __init__(self, map: MapHandle, cpu: int, fd: int, memory: mmap.mmap) -> None:
        self._map = map
        self._enabled = -1
        self.cpu = cpu
        self.fd = fd
        self.memory = memory
        self._process = os.getpid()

    def install(self) -> None:
        """Put it into the map at the CPU's number: programs find it there."""
        # the slot lives as long as this map fd: it vanishes when the file that set it closes
        self._map.update(struct.pack("=I", self.cpu), struct.pack("=I", self.fd), _BPF_ANY)

    def _read(self) -> tuple[int, int]:
        """(ns that the event was enabled, records that found no room: 0 before Linux 6.0, which says it in the ring only)."""
        counts: tuple[int, int, int] = _COUNTS.unpack(os.read(self.fd, _COUNTS.size).ljust(_COUNTS.size, b"\0"))
        return counts[1:]

    def read_lost(self) -> int:
        """How many records found no room, at this moment; 0 before Linux 6.0."""
        return self._read()[1]

    def detached(self) -> bool:
        """Whether the CPU was offline at some time before the last call: the kernel takes its events away, for good.

        Nothing else tells (perf_event_exit_cpu): the fd polls and reads as before, but its clock stands.
        """
        before, self._enabled = self._enabled, self._read()[0]
        return before == self._enabled

    def stop(self) -> bool:
        """No record comes after this; False in a forked child, where the event is the parent's."""
        return self._process == os.getpid() and syscall.ioctl(self.fd, syscall.PERF_EVENT_IOC_DISABLE) == 0

    def close(self) -> None:
        """Unmap and close; views of `memory` must be released before."""
        if self.fd >= 0:
            if self._process == os.getpid():
                self.memory.close()
            else:
                # a forked child has no such memory (VM_DONTCOPY) and may have other memory there: it must never be unmapped
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.memory))
            os.close(self.fd)
            self.fd = -1


class Ring:
    """A ring buffer map: `consumer` is its writable page, `data` the producer's page and the data, mapped twice."""

    __slots__ = ("consumer", "data", "fd", "size")
    acknowledge: Callable[[], None] | None = None

    def __init__(self, fd: int, size: int, consumer: mmap.mmap, data: mmap.mmap) -> None:
        self.fd = fd
        self.size = size
        self.consumer = consumer
        self.data = data

    def close(self) -> None:
        """Unmap; the map's fd stays open, it is the map's."""
        self.data.close()
        self.consumer.close()


def open_perf_ring(map: MapHandle, cpu: int, pages: int, wakeup_events: int = 1, time: bool = False) -> PerfRing:
    """Open the BPF output event of one CPU, map it, enable it and put it into the map at the CPU's number (4.4).

    `pages` is a power of two; with `time` samples carry CLOCK_MONOTONIC's ns, as bpf_ktime_get_ns gives them (4.1). OSError
    with ENODEV when the CPU is offline: skip it.
    """
    if pages < 1 or pages & (pages - 1):
        raise ValueError(f"a perf ring has a power of two of pages, not {pages}")
    for lost in (syscall.PERF_FORMAT_LOST, 0):
        fd = syscall.perf_event_open(
            syscall.PERF_TYPE_SOFTWARE,
            _PERF_COUNT_SW_BPF_OUTPUT,
            cpu=cpu,
            sample_type=syscall.PERF_SAMPLE_RAW | syscall.PERF_SAMPLE_TIME * time,
            read_format=syscall.PERF_FORMAT_TOTAL_TIME_ENABLED | lost,
            wakeup_events=wakeup_events,
            clock=_CLOCK_MONOTONIC if time else -1,
        )
        if fd != -errno.EINVAL:  # of a kernel before 6.0: no PERF_FORMAT_LOST
            break
    if fd < 0:
        raise OSError(-fd, f"perf buffer of CPU {cpu} for map {map.spec.name!r}: perf_event_open: {errno_text(fd)}")
    memory = None
    try:
        try:
            memory = mmap.mmap(fd, (1 + pages) * _PAGE)
        except OSError as error:
            number = error.errno or errno.EIO
            hint = (
                "; the limit is kernel.perf_event_mlock_kb and RLIMIT_MEMLOCK: use fewer pages"
                if number == errno.EPERM
                else "; use fewer pages"
                if number == errno.ENOMEM
                else ""
            )
            raise OSError(number, f"perf buffer of CPU {cpu}: mapping {pages} pages: {errno_text(number)}{hint}") from error
        result = syscall.ioctl(fd, syscall.PERF_EVENT_IOC_ENABLE)
        if result < 0:
            raise OSError(-result, f"perf buffer of CPU {cpu}: enabling: {errno_text(result)}")
        ring = PerfRing(map, cpu, fd, memory)
        ring.install()
    except BaseException:
        if memory is not None:
            memory.close()
        os.close(fd)
        raise
    return ring


def map_ring(map: MapHandle) -> Ring:
    """Map a ring buffer (5.8): the consumer's page may be written, the producer's and the data only read."""
    if map.fd < 0:  # mmap of fd -1 is memory of this process alone
        raise MapError(f"map {map.spec.name!r} is closed", errno=errno.EBADF, map_name=map.spec.name)
    size = ring_size(map.spec.max_entries)
    try:
        consumer = mmap.mmap(map.fd, _PAGE)
    except OSError as error:
        raise _map_error(map, error) from error
    try:
        data = mmap.mmap(map.fd, _PAGE + 2 * size, prot=mmap.PROT_READ, offset=_PAGE)
    except OSError as error:
        consumer.close()
        raise _map_error(map, error) from error
    return Ring(map.fd, size, consumer, data)


def _map_error(map: MapHandle, error: OSError) -> MapError:
    number = error.errno or errno.EIO
    return MapError(f"cannot map ring buffer {map.spec.name!r}: {errno_text(number)}", errno=number, map_name=map.spec.name)
