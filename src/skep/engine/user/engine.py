"""The user-space engine under the engine protocol: maps in this process's memory, programs as machine code, events by ptrace.

A map kind is a row of _MAPS and a class; a program kind is a row of _CONTEXTS.
"""

from __future__ import annotations

import os
import struct
import sys
from ctypes import pointer

from skep.engine.cpus import read_cpus
from skep.engine.user import session
from skep.engine.user.events import resolve
from skep.engine.user.facts import SKB, XDP, Context
from skep.engine.user.maps import ArrayMap, QueueMap, TableMap, UserMap, drop_number, new_number
from skep.engine.user.nested import MapOfMaps, ProgramArray
from skep.engine.user.program import Environment, Program, fault_error
from skep.engine.user.rings import PerfMap, ProducerRing, RingMap, UserPerfRing, UserRing
from skep.errors import AttachError, InvalidInstruction, MapError, MemoryFault, ObjectError, SkepError, UnsupportedError
from skep.interrupts import Uninterrupted
from skep.object.kinds import MAP_TYPES, PER_CPU, map_type_name
from skep.object.lines import source_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from skep.btf import Btf
    from skep.commands import Command
    from skep.engine import Hook, MapHandle, ProgramHandle
    from skep.engine.user.session import Session
    from skep.engine.user.tracer import Program as Attached
    from skep.errors import ExecutionError
    from skep.object.model import MapSpec, Object, ProgramKind, ProgramSpec

_CLASSES: dict[type[UserMap], str] = {
    ArrayMap: "array percpu_array",
    TableMap: "hash percpu_hash lru_hash lru_percpu_hash lpm_trie",
    QueueMap: "queue stack bloom_filter",
    RingMap: "ringbuf user_ringbuf",
    PerfMap: "perf_event_array",
    ProgramArray: "prog_array",
    MapOfMaps: "array_of_maps hash_of_maps",
}
_MAPS = {MAP_TYPES[name]: kind for kind, names in _CLASSES.items() for name in names.split()}

_REGISTERS = 21 * 8  # struct pt_regs of x86-64
# Bytes of context that are there for sure; what lies behind them is checked against the event's own size.
_CONTEXTS = {
    "kprobe": Context("kprobe", 2 * _REGISTERS),
    "kretprobe": Context("kprobe", 2 * _REGISTERS),
    "tracepoint": Context("tracepoint"),
    "raw_tracepoint": Context("raw_tracepoint", 2 * 8),
    "process_tracepoint": Context("raw_tracepoint", 2 * 8, structs=True),
    "perf_event": Context("perf_event", 2 * _REGISTERS),
    "fentry": Context("tracing", 2 * 8),
    "fexit": Context("tracing", 2 * 8),
    "tp_btf": Context("tracing", 2 * 8),
    "xdp": XDP,
    "skb": SKB,
}
_LOAD_64, _CALL = 0x18, 0x85
# get_smp_processor_id, tail_call (another program may ask), perf_event_output (whose ring), get_numa_node_id
_CPU_HELPERS = {8, 12, 25, 42}
_PSEUDO = {"map": 1, "map_value": 2}


class UserProgram:
    """A program in machine code, as `load_func` and program arrays know it. `fd` is a number of this process's own."""

    __slots__ = ("__weakref__", "arrays", "asks_cpu", "fd", "kind", "machine", "name")

    def __init__(self, name: str, kind: ProgramKind, machine: Program, asks_cpu: bool) -> None:
        self.name = name
        self.kind = kind
        self.machine = machine
        self.asks_cpu = asks_cpu  # or may do so: the tracee's CPU is read before each run
        self.arrays: list[tuple[ProgramArray, bytes]] = []  # where it was put for tail calls
        self.fd = new_number(self)

    @property
    def entry(self) -> int:
        """The address of u64 entry(void *context, struct skep_env *env)."""
        return self.machine.entry

    def test_run(self, data: bytes = b"", ctx: bytes = b"", repeat: int = 0) -> tuple[int, bytes, bytes, int]:
        """Run once (or `repeat` times) on given input: (return value, data after, context after, nanoseconds a run).

        Packet programs want at least 14 bytes of data; raw tracepoint programs take only a context and no repeat.
        """
        from skep.engine.user.test_run import test_run

        return test_run(self.machine, self.name, self.kind, data, ctx, repeat)

    def close(self) -> None:
        """Unload it; program arrays that have it lose it."""
        if not drop_number(self.fd):
            return
        arrays, self.arrays = self.arrays, []
        for array, key in arrays:
            array.remove(key, self)
        if arrays:
            session.settle()
        self.machine.close()


class UserLink:
    """A program at an event of the tracer's."""

    __slots__ = ("_attached", "_held", "_session", "how")

    def __init__(self, session: Session, attached: Attached, how: str, held: object) -> None:
        self._session = session
        self._attached: Attached | None = attached
        self._held = held  # what runs at the event: it stays when the program is closed before its link
        self.how = how

    def close(self) -> None:
        """The program is not running any more when this returns."""
        attached, self._attached = self._attached, None
        if attached is not None:
            self._session.detach_program(attached)
            self._held = None


class UserTracePipe:
    """Lines that programs of this process print."""

    __slots__ = ("_buffer", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._buffer = b""

    def fileno(self) -> int:
        """For select and poll."""
        if self._session.lines < 0:
            raise SkepError("these lines are closed: the engine that programs print with has ended")
        return self._session.lines

    def readline(self, nonblocking: bool = False) -> bytes | None:
        """The next line without its newline; None when nonblocking and there is no whole line yet."""
        from select import POLLIN, poll

        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                return line
            try:
                self._buffer += os.read(self.fileno(), 65536)
            except BlockingIOError:
                if nonblocking:
                    return None
                waiting = poll()
                waiting.register(self.fileno(), POLLIN)
                waiting.poll(1000)
            except OSError:
                self.fileno()  # another thread closed it just now: an error says so
                raise

    def close(self) -> None:
        """The lines are the session's."""


class UserEngine:
    """Programs of this process, at events of the processes that it traces (Linux 5.3, x86-64)."""

    name = "user"

    def __init__(self) -> None:
        if os.uname().machine != "x86_64":
            raise UnsupportedError(f"the user engine does not know {os.uname().machine} yet", needs="x86-64")
        code = session.prepare()
        with Uninterrupted():
            self._open = session.acquire(code)

    @property
    def session(self) -> Session:
        """The process's tracer."""
        found: Session | None = self.__dict__.get("_open")
        if found is None:
            raise SkepError("this engine is closed")
        return found

    @property
    def possible_cpus(self) -> int:
        """CPUs that per-CPU maps have room for."""
        return max(read_cpus("possible")) + 1

    @property
    def online_cpus(self) -> list[int]:
        return read_cpus("online")

    # maps

    def create_map(self, spec: MapSpec, owner: Object | None = None) -> UserMap:
        """A map in this process's memory."""
        kind = _MAPS.get(spec.type)
        if kind is None:
            raise UnsupportedError(
                f"map {spec.name!r} is a {map_type_name(spec.type)}, which the user engine lacks; it has "
                + " ".join(_CLASSES.values()),
                needs="engine='kernel' (as root)",
            )
        map = kind(spec, self.possible_cpus)
        if spec.initial is not None:
            map.update(bytes(4), spec.initial.ljust(map.value_size, b"\0"))
        return map

    def open_map(self, place: str | int) -> tuple[UserMap, Btf | None]:
        raise UnsupportedError(
            f"map {place!r}: the user engine's maps live in one process, without pins and ids of the kernel",
            needs="engine='kernel'",
        )

    def share_map(self, spec: MapSpec, map: MapHandle) -> UserMap:
        """One more handle of a live map: the same memory, which lives as long as the last handle."""
        if not isinstance(map, UserMap):
            raise MapError(f"map {map.spec.name!r} cannot be shared: it is the kernel's", map_name=map.spec.name)
        return map.share(spec)

    # programs

    def load_program(self, spec: ProgramSpec, kind: ProgramKind, maps: Mapping[str, MapHandle], owner: Object) -> UserProgram:
        """A program as machine code; UnsupportedError says which C line cannot run here, MemoryFault which one nowhere."""
        code, used, references = _link(spec, maps)
        context = _CONTEXTS.get(kind.context)
        if context is None:
            raise UnsupportedError(
                f"program {spec.name!r} is for {kind.name or kind.context}: the user engine has {', '.join(_CONTEXTS)}",
                needs="engine='kernel' (as root)",
            )

        def source(insn: int) -> str:
            return source_line(spec, owner, insn)

        for map in used:
            if isinstance(map, ProgramArray):
                map.bind(context.name)
        environment = Environment()
        environment.env.output = pointer(self.session.output)
        try:
            machine = Program(code, context=context, maps=used, references=references, environment=environment, source=source)
        except (MemoryFault, InvalidInstruction) as error:
            line = source(error.insn or 0)
            place = f" ({line})" if line else ""
            if isinstance(error, MemoryFault):
                raise MemoryFault(f"program {spec.name!r}: {error}{place}", insn=error.insn, source_line=line) from error
            raise UnsupportedError(
                f"program {spec.name!r} cannot run in the user engine: {error}{place}; use the kernel engine (as root)",
                needs="engine='kernel' (as root)",
            ) from error
        return UserProgram(spec.name, kind, machine, _asks_cpu(code, used))

    def attach(self, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> UserLink:
        """Run a program at an event of the traced processes; AttachError says what there is instead of what there is not."""
        event = resolve(hook)
        program = load(event.kind)
        if not isinstance(program, UserProgram):
            raise AttachError(f"cannot attach to {hook}: the program is not the user engine's")
        machine = program.machine
        held = machine.hold()

        def report(detail: tuple[int, ...]) -> ExecutionError:
            return fault_error(detail, session.TIME_LIMIT, machine.source)

        attached = self.session.attach_program(event, program.entry, report, needs_cpu=program.asks_cpu)
        return UserLink(self.session, attached, event.how, held)

    # rings and lines

    def open_perf_ring(self, map: MapHandle, cpu: int, pages: int, wakeup_events: int = 1, time: bool = False) -> UserPerfRing:
        """The perf ring of one CPU."""
        if not isinstance(map, PerfMap):
            raise MapError(f"map {map.spec.name!r} is no perf event array of the user engine", map_name=map.spec.name)
        return UserPerfRing(map, cpu, pages, wakeup_events, time)

    def map_ring(self, map: MapHandle) -> UserRing:
        """A ring buffer's memory."""
        if not isinstance(map, RingMap) or map.type != MAP_TYPES["ringbuf"]:
            raise MapError(f"map {map.spec.name!r} is no ring buffer of the user engine", map_name=map.spec.name)
        return map.ring

    def open_counter(self, type: int, config: int, pid: int, cpu: int) -> int:
        raise UnsupportedError(
            f"perf counter {type}:{config}: the user engine has no counters for programs to read",
            needs="engine='kernel' (as root)",
        )

    def map_user_ring(self, map: MapHandle) -> ProducerRing:
        """A user ring buffer's memory."""
        if not isinstance(map, RingMap) or map.type == MAP_TYPES["ringbuf"]:
            raise MapError(f"map {map.spec.name!r} is no user ring buffer of the user engine", map_name=map.spec.name)
        return ProducerRing(map.ring)

    def open_trace_pipe(self) -> UserTracePipe:
        """Lines that programs print."""
        return UserTracePipe(self.session)

    # what is traced

    def trace_command(self, argv: Sequence[str], files: Sequence[int], user: int | None) -> Command:
        """Start a command whose system calls the programs see."""
        from skep.commands import Command

        session = self.session
        pid = session.start(argv, files, user)

        def wait(timeout: float | None) -> int | None:
            status = session.wait(pid, -1 if timeout is None else timeout)
            return None if status is None else os.waitstatus_to_exitcode(status)

        return Command(pid, wait)

    def trace_pid(self, pid: int) -> None:
        """Trace a process that runs."""
        self.session.attach(pid)

    def close(self) -> None:
        """The last engine of the process ends what was started and lets go of the rest."""
        used = self.__dict__.pop("_open", None)  # one step: two threads may close
        if used is not None:
            session.release(used)

    def __del__(self) -> None:  # an interrupt may come before anyone knows this engine
        if not sys.is_finalizing():  # its threads do not run any more then: the kernel ends the tracer with this process
            self.close()


def _asks_cpu(code: bytes, maps: list[UserMap]) -> bool:
    """Whether a program's doings depend on its CPU: reading that costs 2 us an event, a fifth of all that an event costs."""
    calls = {
        code[at + 4]
        for at in range(0, len(code), 8)
        if code[at] == _CALL and not code[at + 1] & 0xF0 and not any(code[at + 5 : at + 8])
    }
    return bool(calls & _CPU_HELPERS) or any(map.spec.type in PER_CPU for map in maps)


def _link(spec: ProgramSpec, maps: Mapping[str, MapHandle]) -> tuple[bytes, list[UserMap], dict[int, int]]:
    """Instructions whose loads of maps say so, the maps, and the index of each by instruction."""
    code = bytearray(spec.instructions)
    used: list[UserMap] = []
    references: dict[int, int] = {}
    for relocation in spec.relocations:
        at = relocation.insn * 8
        if relocation.kind not in _PSEUDO:
            raise UnsupportedError(
                f"program {spec.name!r} uses the kernel's {relocation.symbol!r}, which the user engine does not have",
                needs="engine='kernel' (as root)",
            )
        map = maps.get(relocation.symbol)
        if not isinstance(map, UserMap):
            raise ObjectError(f"program {spec.name!r} uses map {relocation.symbol!r}, which was not created")
        if at + 16 > len(code) or code[at] != _LOAD_64:
            raise ObjectError(f"program {spec.name!r}: relocation {relocation!r} does not fit insn {relocation.insn}")
        if map not in used:
            used.append(map)
        references[relocation.insn] = used.index(map)
        code[at + 1] = code[at + 1] & 0x0F | _PSEUDO[relocation.kind] << 4
        offset = relocation.offset if relocation.kind == "map_value" else 0
        struct.pack_into("=I", code, at + 4, 0)
        struct.pack_into("=I", code, at + 12, offset & 0xFFFFFFFF)
    return bytes(code), used, references
