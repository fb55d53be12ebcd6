"""The kernel engine: maps, programs and links by bpf(2), perf_event_open(2) and tracefs.

A hook family is a row of FAMILIES and a file with an `attach` function.
"""

from __future__ import annotations

import errno
import os

from skep.engine.errnos import errno_text
from skep.engine.kernel import kprobe, map_create, programs, raw_tracepoint, rings, syscall, tracepoint
from skep.engine.kernel.ladder import KernelLink
from skep.engine.kernel.maps import KernelMap
from skep.engine.kernel.programs import KernelProgram
from skep.engine.kernel.rings import PerfRing, Ring
from skep.engine.kernel.tracefs import Tracefs, TracePipe
from skep.errors import AttachError, MapError, UnsupportedError
from skep.interrupts import Uninterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from skep.btf import Btf
    from skep.commands import Command
    from skep.engine import Hook, MapHandle, ProgramHandle
    from skep.engine.kernel.user_ring import UserRing
    from skep.object.model import MapSpec, Object, ProgramKind, ProgramSpec

__all__ = ["FAMILIES", "KernelEngine", "KernelLink", "KernelMap", "KernelProgram", "PerfRing", "Ring", "TracePipe", "Tracefs"]

# what most scripts use; MORE_FAMILIES are modules that are imported when one of theirs is asked for
FAMILIES = {
    "kprobe": kprobe.attach,
    "kretprobe": kprobe.attach,
    "tracepoint": tracepoint.attach,
    "raw_tracepoint": raw_tracepoint.attach,
}
MORE_FAMILIES = {
    "uprobe": "uprobe", "uretprobe": "uprobe", "perf_event": "perf_event", "raw_socket": "socket_filter", "xdp": "device",
    "tc_ingress": "device", "tc_egress": "device", "fentry": "bound", "fexit": "bound", "fmod_ret": "bound", "lsm": "bound",
    "tp_btf": "bound", "iter": "bound", "attach_func": "prog_attach",
}  # fmt: skip


class KernelEngine:
    """The running kernel as an engine. Closing it closes what it holds itself; maps, programs and links are their owners'."""

    name = "kernel"

    def __init__(self) -> None:
        if not syscall.supported_machine():
            raise UnsupportedError(
                f"the kernel engine does not know this machine's system calls ({os.uname().machine})", needs="x86-64 or arm64"
            )
        self._possible_cpus = 0
        self._tracefs: Tracefs | None = None
        self._btf: tuple[Object, int] | None = None

    @property
    def possible_cpus(self) -> int:
        """CPUs that per-CPU maps have room for (not: CPUs that are online)."""
        if not self._possible_cpus:
            from skep.engine.cpus import read_cpus

            self._possible_cpus = max(read_cpus("possible")) + 1
        return self._possible_cpus

    @property
    def online_cpus(self) -> list[int]:
        """Numbers of the CPUs that run now; there may be holes."""
        from skep.engine.cpus import read_cpus

        return read_cpus("online")

    @property
    def tracefs(self) -> Tracefs:
        """tracefs, opened when first asked for."""
        if self._tracefs is None:
            with Uninterrupted():
                self._tracefs = Tracefs()
        return self._tracefs

    def create_map(self, spec: MapSpec, owner: Object | None = None) -> KernelMap:
        """A live map; `owner` is the object whose BTF the spec's type ids are of."""
        typed = owner is not None and (spec.key_type or spec.value_type)
        return map_create.create_map(spec, self.possible_cpus, self._btf_fd(owner) if owner is not None and typed else 0)

    def open_map(self, place: str | int) -> tuple[KernelMap, Btf | None]:
        """The map that is pinned at a path, or that has an id; and the BTF that its spec's type ids are of."""
        return map_create.open_map(place, self.possible_cpus)

    def share_map(self, spec: MapSpec, map: MapHandle) -> KernelMap:
        """One more handle of a live map, with an fd of its own; `spec` says as what it is seen."""
        if not isinstance(map, KernelMap) or map.fd < 0:
            state = "closed" if map.fd < 0 else "not in the kernel"
            raise MapError(f"map {map.spec.name!r} cannot be shared: it is {state}", map_name=map.spec.name)
        return KernelMap(spec, syscall.safe_fd(os.dup(map.fd)), map.max_entries, self.possible_cpus, mappable=map.mappable)

    def load_program(self, spec: ProgramSpec, kind: ProgramKind, maps: Mapping[str, MapHandle], owner: Object) -> KernelProgram:
        """A loaded program; VerifierError, PrivilegeError or UnsupportedError when the kernel refuses it."""
        return programs.load_program(spec, kind, maps, owner, self._btf_fd(owner) if spec.functions else 0)

    def attach(self, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
        """Climb the family's ladder; `load` is asked for the program as the kind that a rung needs."""
        family = FAMILIES.get(hook.family) or _more_families(hook)
        return family(self, hook, load)

    def open_perf_ring(self, map: MapHandle, cpu: int, pages: int, wakeup_events: int = 1, time: bool = False) -> PerfRing:
        """The perf ring of one CPU, already in the map; OSError with ENODEV when the CPU is offline."""
        return rings.open_perf_ring(map, cpu, pages, wakeup_events, time)

    def map_ring(self, map: MapHandle) -> Ring:
        """A ring buffer's memory."""
        return rings.map_ring(map)

    def open_counter(self, type: int, config: int, pid: int, cpu: int) -> int:
        """The fd of a perf counter of one CPU; OSError with the reason."""
        fd = syscall.perf_event_open(type, config, cpu=cpu, pid=pid, sample_type=0, sample_period=0, wakeup_events=0)
        if fd < 0:
            hint = {-errno.ENOENT: "; this machine has no such counter", -errno.EINVAL: "; no such type and config"}.get(fd, "")
            raise OSError(-fd, f"perf_event_open(type {type}, config {config}, CPU {cpu}): {errno_text(fd)}{hint}")
        return fd

    def map_user_ring(self, map: MapHandle) -> UserRing:
        """A user ring buffer's memory, for its producer (6.1)."""
        from skep.engine.kernel.user_ring import map_user_ring

        return map_user_ring(map)

    def open_trace_pipe(self) -> TracePipe:
        """A reader of what programs print."""
        return TracePipe(self.tracefs)

    def trace_command(self, argv: Sequence[str], files: Sequence[int], user: int | None) -> Command:
        """Start a command: the kernel's programs see every process."""
        from skep.commands import spawn

        return spawn(argv, files, user)

    def trace_pid(self, pid: int) -> None:
        """Check that the process is there: the kernel's programs see it already."""
        from skep.commands import require_process

        require_process(pid)

    def _btf_fd(self, owner: Object) -> int:
        # the fd of the last object only: each emission is an object of its own, and maps and programs hold its BTF themselves
        if self._btf is not None and self._btf[0] is owner:
            return self._btf[1]
        self._drop_btf()
        if owner.btf is None:
            return 0
        fd = programs.load_btf(owner.btf.data)
        self._btf = (owner, fd)
        return fd

    def _drop_btf(self) -> None:
        if self._btf is not None and self._btf[1]:
            os.close(self._btf[1])
        self._btf = None

    def close(self) -> None:
        """Close the object's BTF and tracefs."""
        self._drop_btf()
        if self._tracefs is not None:
            self._tracefs.close()
            self._tracefs = None

    def __enter__(self) -> KernelEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _more_families(hook: Hook) -> Callable[[KernelEngine, Hook, Callable[[ProgramKind], ProgramHandle]], KernelLink]:
    module = MORE_FAMILIES.get(hook.family)
    if module is None:
        known = ", ".join([*FAMILIES, *MORE_FAMILIES])
        raise AttachError(f"cannot attach to {hook}: the kernel engine has the hook families {known}")
    from importlib import import_module

    attach: Callable[[KernelEngine, Hook, Callable[[ProgramKind], ProgramHandle]], KernelLink]
    attach = import_module(f"skep.engine.kernel.{module}").attach
    return attach
