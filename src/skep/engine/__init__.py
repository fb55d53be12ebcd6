"""The engine protocol: how maps, buffers and class BPF speak to the kernel or to the user-space engine.

An engine turns specs (`skep.object.model`) into live objects; each owns what it opened and is a context manager.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from skep.object.model import MapSpec, Object, ProgramKind, ProgramSpec

    class MapHandle(Protocol):
        """One live map; keys and values are bytes of exactly the map's sizes (per-CPU values: align8(value_size) x CPUs)."""

        spec: MapSpec
        fd: int

        def lookup(self, key: bytes) -> bytes | None: ...
        def update(self, key: bytes, value: bytes, flags: int = 0) -> None: ...
        def delete(self, key: bytes) -> bool: ...
        def lookup_and_delete(self, key: bytes) -> bytes | None: ...
        def next_key(self, key: bytes | None) -> bytes | None: ...
        def batch(self, *, delete: bool = False) -> tuple[bytes, bytes, int] | None: ...
        def freeze(self) -> None: ...
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

    class Engine(Protocol):
        """What runs programs: "kernel" or "user"."""

        name: str
        possible_cpus: int

        def create_map(self, spec: MapSpec, owner: Object | None = None) -> MapHandle: ...
        def load_program(
            self, spec: ProgramSpec, kind: ProgramKind, maps: Mapping[str, MapHandle], owner: Object
        ) -> ProgramHandle: ...
        def attach(self, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> Link: ...
        def close(self) -> None: ...


class Hook:
    """A place to attach to: `family` is a hook family's name, `target` the place, `options` what the family takes.

    Families: "kprobe" and "kretprobe" (function; option offset), "tracepoint" ("category:event"), "raw_tracepoint" (name).
    """

    __slots__ = ("family", "options", "target")

    def __init__(self, family: str, target: str, **options: int) -> None:
        self.family = family
        self.target = target
        self.options = options

    def __repr__(self) -> str:
        return f"{self.family}:{self.target}"
