"""A program that can run: its machine code linked to its maps, an environment, and ways in that cost nanoseconds.

`Program.run` is a built-in function made of machine code; `Program.entry` is for callers that are machine code themselves.
"""

from __future__ import annotations

import ctypes
import os
from struct import Struct

from skep.engine.user import layout, running
from skep.engine.user.facts import MEMORY
from skep.engine.user.jit import compile_program
from skep.errors import ExecutionError, InvalidInstruction, MemoryFault, TimeLimit
from skep.native import NativeCode, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol

    from skep.engine.user.facts import Context, MapFacts

    class LiveMap(Protocol):
        """A map in memory: what it is like, where its struct skep_map is, and which memory programs may touch."""

        @property
        def facts(self) -> MapFacts: ...
        @property
        def address(self) -> int: ...
        def regions(self) -> Sequence[tuple[int, int, int, int]]: ...
        def keep(self) -> object: ...  # its memory is there as long as this


TIME_LIMIT = 2.0  # seconds
_RUNNER = Struct("=10Q")
_METH_O = 0x0008
_SCRATCH = 65536
_NEVER = 1 << 62  # more bytes than a context has: the way through machine code is not for it
_SIZE_AT, _BYTES_AT = 16, 32  # as runtime/entry.c has them
_KEPT: list[NativeCode] = []


class _Method(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]


def _ways_in() -> NativeCode:
    """The machine code of runtime/entry.c, linked once in a process."""
    if not _KEPT:
        _KEPT.append(load(os.path.join(os.path.dirname(__file__), "runtime", "entry.c")))
    return _KEPT[0]


def _address_of(name: str) -> int:
    address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    assert address is not None
    return address


class Environment:
    """A struct skep_env with a task of its own: this process. One for each thread that runs programs."""

    __slots__ = ("env", "task")

    def __init__(self, time_limit: float = TIME_LIMIT) -> None:
        self.task = layout.Task()
        self.refresh()
        self.env = layout.Env(task=ctypes.pointer(self.task), time_limit=int(time_limit * 1e9))
        self.env.random = int.from_bytes(os.urandom(8), "little") | 1

    def refresh(self) -> None:
        """Say what is so now of the thread that calls: its ids, its name, its CPU."""
        task = self.task
        task.pid, task.tgid, task.parent = _thread_id(), os.getpid(), os.getppid()
        task.uid, task.gid = os.getuid(), os.getgid()
        task.cpu = max(_cpu(), 0)
        try:
            with open("/proc/thread-self/comm", "rb", buffering=0) as file:
                task.comm = file.read(16).rstrip(b"\n")
        except OSError:  # no /proc
            task.comm = b"python"

    @property
    def address(self) -> int:
        """Where the struct skep_env is."""
        return ctypes.addressof(self.env)

    def copy(self) -> layout.Env:
        """One for a run that other threads' runs shall not meet; it points to this one's task."""
        env = layout.Env.from_buffer_copy(self.env)
        env.fault = env.deadline = env.tail_calls = 0
        self.env.random = self.env.random * 0x5851F42D4C957F2D % (1 << 64) | 1
        return env


_cpu: Callable[[], int] = ctypes.CDLL(None).sched_getcpu


def _thread_id() -> int:
    import _thread

    return _thread.get_native_id()


class Program:
    """A program in machine code.

    `maps` are those that `references` name: the index of a map by the instruction that loads it. `source` gives the C line
    of an instruction. `entry` is the address of `u64 entry(void *context, struct skep_env *env)`.
    Raises InvalidInstruction for bytecode that is not valid.
    """

    __slots__ = (
        "_alive",
        "_kept",
        "_regions",
        "_runner",
        "source",
        "context",
        "entry",
        "environment",
        "maps",
        "run",
        "writes",
    )

    def __init__(
        self,
        code: bytes,
        *,
        context: Context = MEMORY,
        maps: Sequence[LiveMap] = (),
        references: Mapping[int, int] | None = None,
        environment: Environment | None = None,
        source: Callable[[int], str] | None = None,
        ranges: bool = True,
    ) -> None:
        # machine code, and the maps' memory: as in the kernel a program keeps its maps
        self._alive: list[object] = [map.keep() for map in maps]
        built, self.writes = compile_program(code, context, [map.facts for map in maps], references or {}, ranges=ranges)
        self.context = context
        self.maps = list(maps)
        self.environment = environment or Environment()
        self.source = source
        rows = [row for map in maps for row in map.regions()]
        self._regions = (ctypes.c_uint64 * (1 + 4 * len(rows)))(len(rows), *[word for row in rows for word in row])
        imports = {f"map_{index}": map.address for index, map in enumerate(maps)}
        imports["regions"] = ctypes.addressof(self._regions)
        native = NativeCode(built, imports)
        self._alive.append(native)
        self.entry: int = native.address("entry")
        self._make_run()

    run: Callable[[bytes], int]  # Runs once over a context: its bytes in, r0 out. Raises MemoryFault, TimeLimit, ...

    def _make_run(self) -> None:
        ways = _ways_in()
        scratch = ctypes.create_string_buffer(_SCRATCH) if self.writes else None
        fault, other = _Failed(self.environment, self.source), self._run_other
        probe = b"skep"
        assert ctypes.string_at(id(probe) + _BYTES_AT, 4) == probe
        self._runner = _RUNNER.pack(
            self.entry,
            self.environment.address,
            id(bytes),
            self.context.size if self.context.packet is None else _NEVER,
            _SCRATCH,
            ctypes.addressof(scratch) if scratch is not None else 0,
            _address_of("PyLong_FromUnsignedLongLong"),
            _address_of("PyObject_CallOneArg"),
            id(fault),
            id(other),
        )
        method = _Method(b"run", ways.address("skep_run"), _METH_O, b"Run the program over a context; gives r0.")
        # what the machine code points to lives as long as the function: as its module
        kept = (self._alive, self.environment, self._regions, self.maps, scratch, fault, other, method, ways)
        new: Any = ctypes.pythonapi.PyCFunction_NewEx
        new.restype = ctypes.py_object
        new.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
        self._kept = kept
        self.run = new(ctypes.addressof(method), self._runner, kept)

    def _run_other(self, given: object) -> int:
        """A context that is no bytes object: changed in place where it can be."""
        self._needs_no_packet()
        if not isinstance(given, bytes | bytearray | memoryview):
            raise TypeError(f"a context is bytes or a bytearray, not {type(given).__name__}")
        size = len(given) if isinstance(given, bytes) else memoryview(given).nbytes
        if size < self.context.size:
            raise ValueError(f"a context of {size} bytes: {self.context.name} has {self.context.size}")
        if isinstance(given, bytes) or memoryview(given).readonly:
            buffer = (ctypes.c_char * max(size, 1)).from_buffer_copy(bytes(given).ljust(1, b"\0"))
        else:
            buffer = (ctypes.c_char * size).from_buffer(given)
        env = self.environment.copy()
        env.ctx_size = size
        with Held(self):
            result: int = self.function(gil=True)(ctypes.addressof(buffer), ctypes.addressof(env))
        if env.fault:
            raise_fault(env, self.source)
        return result

    def function(self, *, gil: bool = False) -> Callable[[int, int], int]:
        """The entry as ctypes calls it."""
        kind: Any = ctypes.PYFUNCTYPE if gil else ctypes.CFUNCTYPE
        function: Callable[[int, int], int] = kind(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p)(self.entry)
        return function

    def _needs_no_packet(self) -> None:
        if self.context.packet is not None:
            raise TypeError(f"a program with the context {self.context.name!r} runs by test_run(), which makes its packet")

    def run_batch(self, contexts: bytes | bytearray, size: int) -> array[int]:
        """Run over contexts of `size` bytes each that lie one behind the other; r0 of each, as array("Q").

        A fault ends the batch. The interpreter's lock is not held.
        """
        from array import array

        self._needs_no_packet()
        least = max(self.context.size, 1)
        if size < least or len(contexts) % size:
            raise ValueError(f"{len(contexts)} bytes are not contexts of {size} bytes (at least {least})")
        count = len(contexts) // size
        results = array("Q", bytes(8 * count))
        if not count:
            return results
        buffer: Any
        if isinstance(contexts, bytes) and not self.writes:
            buffer = ctypes.c_char_p(contexts)
        elif isinstance(contexts, bytes):
            buffer = (ctypes.c_char * len(contexts)).from_buffer_copy(contexts)
        else:
            buffer = (ctypes.c_char * len(contexts)).from_buffer(contexts)
        number = ctypes.c_uint64
        batch = _ways_in().function("skep_batch", number, *[ctypes.c_void_p] * 2, *[number] * 3, ctypes.c_void_p)
        env = self.environment.copy()
        with Held(self):
            runner = self._runner[:8] + ctypes.addressof(env).to_bytes(8, "little") + self._runner[16:]
            done = batch(id(runner) + _BYTES_AT, buffer, size, size, count, results.buffer_info()[0])
        if done < count:
            raise_fault(env, self.source)
        return results

    def close(self) -> None:
        """Forget the machine code and the maps: `run` raises from now on; runs of other threads come to their end."""
        self.entry = _ways_in().address("skep_closed")
        ctypes.memmove(id(self._runner) + _BYTES_AT, self.entry.to_bytes(8, "little"), 8)
        running.keep(self.hold())
        self._alive.clear()

    def hold(self) -> tuple[object, ...]:
        """The machine code and the maps' memory, which stay while someone has this; `entry` is looked at afterwards."""
        return tuple(self._alive)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Held:
    """While a program runs that another thread may close."""

    __slots__ = ("_number",)

    def __init__(self, program: Program) -> None:
        self._number = running.begin(program.hold())

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        running.end(self._number)


class _Failed:
    """Called by machine code after a fault: raises it."""

    __slots__ = ("environment", "source")

    def __init__(self, environment: Environment, source: Callable[[int], str] | None) -> None:
        self.environment = environment
        self.source = source

    def __call__(self, context: bytes) -> None:
        raise_fault(self.environment.env, self.source)


def raise_fault(env: layout.Env, source: Callable[[int], str] | None = None) -> None:
    """Raise what a run ended with, and clear it."""
    detail = int(env.fault), int(env.fault_insn), int(env.fault_address), int(env.fault_size)
    env.fault = 0
    raise fault_error(detail, env.time_limit, source)


def fault_error(detail: tuple[int, ...], time_limit: int, source: Callable[[int], str] | None = None) -> ExecutionError:
    """The error of a fault: enum skep_fault, instruction, address, size."""
    fault, insn, address, size = detail
    if fault == layout.CLOSED:
        return ExecutionError("the program was closed: it cannot run any more")
    line = source(insn) if source else ""
    where = f"instruction {insn}" + (f": {line}" if line else "")
    of = f"{size} bytes" if size else "memory"
    if fault == layout.TIME_OVER:
        text = f"{where}: the program ran for longer than its limit of {time_limit / 1e9:g} s"
        return TimeLimit(text, insn=insn, source_line=line)
    if fault == layout.BAD_CALL:
        return InvalidInstruction(f"{where}: a call of {address:#x}, which is no function", insn=insn, source_line=line)
    if fault == layout.MISALIGNED:
        text = f"{where}: atomic operation of {of} at {address:#x}, which is not a multiple of its size"
    else:
        text = f"{where}: access of {of} at {address:#x}, outside of everything that the program may touch"
    return MemoryFault(text, insn=insn, source_line=line, address=address)
