"""The engine protocol: how maps, buffers and class BPF speak to the kernel or to the user-space engine.

An engine turns specs (`skep.object.model`) into live objects; each owns what it opened and is a context manager.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from mmap import mmap
    from typing import Any, Protocol

    from skep.btf import Btf
    from skep.commands import Command
    from skep.object.model import MapSpec, Object, ProgramKind, ProgramSpec

    Data = bytes | bytearray | memoryview
    Part = tuple[Data, Data, int]  # packed keys, packed values, how many

    class MapHandle(Protocol):
        """One live map; keys and values are bytes of exactly the map's sizes.

        `value_size` is that of a whole value: per-CPU ones are align8(spec.value_size) bytes for each possible CPU. `flags` of
        element calls: 0, 1 (only a new key), 2 (only an existing one), 4 (BPF_F_LOCK). Refusals are MapErrors.
        """

        spec: MapSpec
        fd: int
        key_size: int
        value_size: int
        max_entries: int

        def lookup(self, key: bytes, flags: int = 0) -> bytes | None: ...
        def update(self, key: bytes, value: bytes, flags: int = 0) -> None: ...
        def delete(self, key: bytes) -> bool: ...
        def lookup_and_delete(self, key: bytes, flags: int = 0) -> bytes | None: ...
        def contains(self, value: bytes) -> bool: ...
        def next_key(self, key: bytes | None) -> bytes | None: ...
        # all elements, some at a time, each part valid until the next; None when the kind can only be walked key by key.
        # With `delete`, those that were asked for are no longer in the map
        def parts(self, *, delete: bool = False, flags: int = 0) -> Iterator[Part] | None: ...
        def update_batch(self, keys: Data, values: Data, count: int, flags: int = 0) -> None: ...
        def delete_batch(self, keys: Data, count: int) -> int: ...
        # the elements of an array, each at a multiple of 8 bytes, shared with the programs; None when the map has no such memory.
        # Who asks drops it and never closes it: it may be the map's own
        def memory(self, *, writable: bool = False) -> mmap | None: ...
        def freeze(self) -> None: ...
        def pin(self, path: str) -> None: ...
        def info(self) -> dict[str, int | str]: ...
        def close(self) -> None: ...

    class ProgramHandle(Protocol):
        """One loaded program."""

        name: str
        kind: ProgramKind
        fd: int

        def close(self) -> None: ...

    class Link(Protocol):
        """One attached program: `how` names the rung of the ladder that was taken."""

        how: str

        def close(self) -> None: ...

    class PerfRing(Protocol):
        """The perf ring of one CPU: a metadata page (struct perf_event_mmap_page) and the data; `fd` is for poll."""

        cpu: int
        fd: int
        memory: mmap
        # called before each look at the ring where its fd does not see by itself that all was read
        acknowledge: Callable[[], None] | None

        # programs write into this ring from now on, in place of another one of the same CPU
        def install(self) -> None: ...
        def read_lost(self) -> int: ...
        # whether the CPU was offline since the last call but one, and the ring gets no more records
        def detached(self) -> bool: ...
        # no record comes after this; False where the ring is another process's
        def stop(self) -> bool: ...
        def close(self) -> None: ...

    class Ring(Protocol):
        """A ring buffer's memory: the page of the consumer position, and the producer's page with the data behind it, twice."""

        fd: int
        size: int
        consumer: mmap
        data: mmap
        acknowledge: Callable[[], None] | None

        def close(self) -> None: ...

    class UserRing(Protocol):
        """A user ring buffer for its producer: positions as views of a u64, the producer's page and the data behind it, twice."""

        size: int
        producer: memoryview
        consumer: memoryview
        memory: mmap

        def close(self) -> None: ...

    class TracePipe(Protocol):
        """Lines that programs print."""

        def fileno(self) -> int: ...
        def readline(self, nonblocking: bool = False) -> bytes | None: ...
        def close(self) -> None: ...

    class Engine(Protocol):
        """What runs programs: "kernel" or "user"."""

        name: str

        @property
        def possible_cpus(self) -> int: ...
        @property
        def online_cpus(self) -> list[int]: ...
        def create_map(self, spec: MapSpec, owner: Object | None = None) -> MapHandle: ...
        def open_map(self, place: str | int) -> tuple[MapHandle, Btf | None]: ...
        def share_map(self, spec: MapSpec, map: MapHandle) -> MapHandle: ...
        def load_program(
            self, spec: ProgramSpec, kind: ProgramKind, maps: Mapping[str, MapHandle], owner: Object
        ) -> ProgramHandle: ...
        def attach(self, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> Link: ...
        def open_perf_ring(
            self, map: MapHandle, cpu: int, pages: int, wakeup_events: int = 1, time: bool = False
        ) -> PerfRing: ...
        def map_ring(self, map: MapHandle) -> Ring: ...
        def open_counter(self, type: int, config: int, pid: int, cpu: int) -> int: ...
        def map_user_ring(self, map: MapHandle) -> UserRing: ...
        def open_trace_pipe(self) -> TracePipe: ...
        # a command with standard files (-1: this process's) as a user (None: this one's), seen by the programs; a running process
        def trace_command(self, argv: Sequence[str], files: Sequence[int], user: int | None) -> Command: ...
        def trace_pid(self, pid: int) -> None: ...
        def close(self) -> None: ...


class Hook:
    """A place to attach to: `family` is a hook family's name, `target` the place, `options` what the family takes.

    Families: "kprobe" and "kretprobe" (function; option offset), "tracepoint" ("category:event"), "raw_tracepoint" (name),
    "uprobe" and "uretprobe" ("PATH:0xOFFSET"), "perf_event" ("TYPE:CONFIG"), "raw_socket", "xdp", "tc_ingress" and
    "tc_egress" (device), "fentry", "fexit", "fmod_ret" and "lsm" (function), "tp_btf" (name).
    """

    __slots__ = ("family", "options", "target")

    def __init__(self, family: str, target: str, **options: Any) -> None:
        self.family = family
        self.target = target
        self.options = options

    def __repr__(self) -> str:
        return f"{self.family}:{self.target}"
