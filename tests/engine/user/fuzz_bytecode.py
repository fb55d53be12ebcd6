"""Random and damaged bytecode against the user engine, in child processes: none may die by a signal, hang, or differ.

Each program runs twice, with accesses proved and with every varying access checked, and both are compared with
tests/engine/user/interpreter.py where its answer does not depend on addresses. A share (--real) are damaged copies of
the tree's own programs, with maps of all kinds and helpers (real_programs.py): their two runs are compared.

  fuzz_bytecode.py -n 1000000 --seed 1 --keep fuzz-found
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2] / "src"), str(HERE.parents[1]), str(HERE)]

import llvmlite.binding as llvm  # noqa: E402
import real_programs  # noqa: E402
from interpreter import ENTRIES, VALUE_SIZE, outcome  # noqa: E402
from map_parts import joined  # noqa: E402
from random_programs import corpus, make  # noqa: E402
from real_programs import Real, damaged, live_map  # noqa: E402

from skep.bytecode import disassemble  # noqa: E402
from skep.bytecode import instruction as isa  # noqa: E402
from skep.cache import Cache  # noqa: E402
from skep.engine.user import layout  # noqa: E402
from skep.engine.user import test_run as by_hand  # noqa: E402
from skep.engine.user.facts import MEMORY, Context, MapFacts  # noqa: E402
from skep.engine.user.jit import _RUNTIME, _runtime  # noqa: E402
from skep.engine.user.module import translate  # noqa: E402
from skep.engine.user.program import Environment  # noqa: E402
from skep.engine.user.unit import Unit  # noqa: E402
from skep.engine.user.validate import validate  # noqa: E402
from skep.errors import ExecutionError, MapError, SkepError  # noqa: E402
from skep.llvm import _load, processor_machine  # noqa: E402
from skep.native import NativeCode  # noqa: E402

if TYPE_CHECKING:
    from skep.engine.user.maps import UserMap

CHUNK = 100
REPORT = 50_000  # programs between two lines about how far it is
MAP_FACTS = MapFacts(2, 4, VALUE_SIZE, ENTRIES)
PATIENCE = 60  # seconds of processor time for a chunk; each run in it may take 20 ms


class Known:
    """What damaged programs are made of, and which share of all are damaged real ones."""

    def __init__(self, share: float) -> None:
        self.cases = corpus()
        self.real = real_programs.corpus() if share else []
        self.share = share


class Batch:
    """Several programs in one LLVM module; both ways of translating each. Names in it end with the program's own."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.head: dict[str, None] = {}
        self.files: set[str] = set()
        self.bodies: list[str] = []
        self.tail = ""

    def add(self, name: str, unit: Unit) -> None:
        module = translate(unit)
        text = OWN.sub(rf"@\1_{name}", module.text)
        head, middle, rest = text.partition("define ")
        body, _, tail = rest.partition('!0 = !{!"branch')
        self.files |= module.files
        self.head |= dict.fromkeys(head.splitlines())
        self.tail = '!0 = !{!"branch' + tail
        if RELEASE in body:
            body = body.replace(RELEASE, "")
            self.head[RELEASE] = None
        self.bodies.append(middle + body)

    def take(self, other: Batch) -> None:
        self.bodies += other.bodies
        self.head |= other.head
        self.files |= other.files
        self.tail = other.tail

    def link(self, imports: dict[str, int]) -> NativeCode:
        machine = processor_machine(llvm, self.level)
        head = f'target triple = "{machine.triple}"\ntarget datalayout = "{machine.target_data}"\n'
        module = llvm.parse_assembly("\n".join([head, *self.head, *self.bodies, self.tail]))
        if self.level:
            for file in sorted(self.files):
                module.link_in(llvm.parse_assembly(head + _runtime(file, Cache())))
            optimise(module, machine, self.level, "entry_")
        else:
            module.verify()
            code, names = runtime()
            imports = {name: code.address(name) for name in names} | imports
        return NativeCode(machine.emit_object(module), imports)


RELEASE = "declare void @skep_release(ptr) nounwind\n"
# What each program has of its own: its functions, its maps.
OWN = re.compile(r"@(entry|main|regions|f\d+|map_\d+|shape_\d+|inner_\d+)\b")


def optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine, level: int, kept: str) -> None:
    module.verify()
    for function in module.functions:
        if not function.is_declaration and not function.name.startswith(kept):
            function.linkage = "internal"
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(level))
    builder.getModulePassManager().run(module, builder)


LINKED: list[tuple[NativeCode, list[str]]] = []


def runtime() -> tuple[NativeCode, list[str]]:
    """What programs call, linked once: without LLVM's optimiser nothing of it becomes part of a program. And its functions."""
    if not LINKED:
        machine = processor_machine(llvm, 2)
        head = f'target triple = "{machine.triple}"\ntarget datalayout = "{machine.target_data}"\n'
        files = [name for name in sorted(os.listdir(_RUNTIME)) if name.endswith(".c") and name not in ("tracer.c", "entry.c")]
        module, *others = [llvm.parse_assembly(head + _runtime(name, Cache())) for name in files]
        for other in others:
            module.link_in(other)
        optimise(module, machine, 2, "")
        names = [function.name for function in module.functions if not function.is_declaration]
        LINKED.append((NativeCode(machine.emit_object(module)), names))
    return LINKED[0]


class Map:
    """An array with bytes around it that must stay as they are."""

    def __init__(self) -> None:
        size, stride = MAP_FACTS.stride * MAP_FACTS.max_entries, MAP_FACTS.stride
        self.room = ctypes.create_string_buffer(size + 128)
        self.at = (ctypes.addressof(self.room) + 63) // 64 * 64
        self.header = layout.MapHeader(layout.Shape(2, 4, MAP_FACTS.value_size, MAP_FACTS.max_entries, 0, stride), self.at)
        self.regions = (ctypes.c_uint64 * 5)(1, self.at, size, stride, MAP_FACTS.value_size)
        self.fresh = bytes(range(size))

    def reset(self) -> None:
        ctypes.memset(self.room, 0x5A, len(self.room))
        ctypes.memmove(self.at, self.fresh, len(self.fresh))

    def content(self) -> bytes:
        around = self.room.raw
        begin = self.at - ctypes.addressof(self.room)
        assert set(around[:begin] + around[begin + len(self.fresh) :]) <= {0x5A}, "written outside of the map"
        return around[begin : begin + len(self.fresh)]


ENTRY = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p)


def run(entry: int, memory: bytes, environment: Environment, map: Map | None, shift: int = 0) -> tuple[object, bytes]:
    """(result or fault, memory afterwards); `shift` 64 bytes moves the memory."""
    room = ctypes.create_string_buffer(len(memory) + 128 + 64 * shift)
    place = (ctypes.addressof(room) + 63) // 64 * 64 + 64 * shift
    ctypes.memmove(place, memory, len(memory))
    if map is not None:
        map.reset()
    env = environment.env
    env.ctx_size, env.deadline, env.tail_calls, env.fault = len(memory), 0, 0, 0
    result: object = ENTRY(entry)(place if memory else 0, environment.address)
    if env.fault:
        result = "time" if env.fault == layout.TIME_OVER else f"fault at {env.fault_insn}"
    begin, around = place - ctypes.addressof(room), room.raw
    assert not any(around[:begin] + around[begin + len(memory) :]), "written outside of the context"
    return result, around[begin : begin + len(memory)] + (map.content() if map is not None else b"")


class Plain:
    """A program over bytes and one array, which the interpreter knows."""

    def __init__(self, data: bytes, memory: bytes) -> None:
        self.memory = memory
        self.code = validate(data)
        references = {at: 0 for at, insn in enumerate(self.code.insns) if insn and insn.wide and insn.src == isa.PSEUDO_MAP_FD}
        self.units = [Unit(self.code, MEMORY, [MAP_FACTS], references, ranges) for ranges in (True, False)]

    def imports(self, name: str, map: Map) -> dict[str, int]:
        return {f"regions_{name}": ctypes.addressof(map.regions), f"map_0_{name}": ctypes.addressof(map.header)}

    def check(self, entries: list[int], environment: Environment, map: Map) -> tuple[str, str]:
        """(what came of it, what is wrong)."""
        code, memory = self.code, self.memory
        proved, checked = [run(entry, memory, environment, map) for entry in entries]
        came = "timed out" if "time" in (proved[0], checked[0]) else "faulted" if isinstance(proved[0], str) else "returned"
        expected = outcome(code, memory) if came != "timed out" else None
        if expected is None:
            return came, ""
        # a frame is its function's own, and an element not the one beside it
        shares = code.depth > 1 or any(insn and insn.wide and insn.src for insn in code.insns)
        stricter = shares and isinstance(proved[0], str) and proved == checked
        if (proved, checked) != (expected, expected) and outcome(code, memory, 300) is None:
            return came, ""
        if proved != expected and not stricter:
            return came, f"proved {proved[0]}, interpreter {expected[0]}"
        if checked != expected and not stricter:
            return came, f"checked {checked[0]}, interpreter {expected[0]}"
        return f"{came}, compared", ""


class Damaged:
    """A damaged copy of a real program, with maps for each of its two runs."""

    def __init__(self, real: Real, data: bytes, references: dict[int, int], memory: bytes, level: int) -> None:
        self.real = real
        self.memory = memory
        self.level = level
        self.code = validate(data)
        self.maps = [[live_map(spec) for spec in real.specs] for _ in range(2)]
        try:
            facts = [map.facts for map in self.maps[0]]
            self.units = [Unit(self.code, real.context, facts, references, ranges) for ranges in (True, False)]
        except BaseException:
            self.close()
            raise
        self.regions = [regions_of(maps) for maps in self.maps]
        self.again = (data, references)

    def imports(self, name: str, map: Map) -> dict[str, int]:
        way = "pc".index(name[-1])
        found = {f"map_{index}_{name}": live.address for index, live in enumerate(self.maps[way])}
        return found | {f"regions_{name}": ctypes.addressof(self.regions[way])}

    def check(self, entries: list[int], environment: Environment, map: Map) -> tuple[str, str]:
        """(what came of it, what is wrong)."""
        proved, checked = self.results(entries, environment)
        came = f"real {proved[0] if isinstance(proved[0], str) else 'returned'}".partition(" at ")[0]
        if proved == checked:
            return came, ""
        if "time" in (proved[0], checked[0]) or self.depends_on_addresses([proved, checked]):
            return came, ""
        return came, f"{self.real.name}: proved {str(proved)[:200]}, checked {str(checked)[:200]}"

    def results(self, entries: list[int], environment: Environment, shift: int = 0) -> list[tuple[object, ...]]:
        """What comes of both ways of running."""
        return [self.run(entry, environment, maps, shift) for entry, maps in zip(entries, self.maps, strict=True)]

    def run(self, entry: int, environment: Environment, maps: list[UserMap], shift: int) -> tuple[object, ...]:
        env, context = environment.env, self.real.context
        env.random, environment.task.time = 1, 1_000_000
        if context.packet is None:
            room = max(context.size, len(self.memory) // 8 * 8)
            result, after = run(entry, self.memory.ljust(room, b"\0"), environment, None, shift)
        else:
            result, after = run_packet(entry, self.memory, environment, self.real)
        assert env.held_count == env.dynptr_count == 0, "records that are still held"
        return result, after, *[content_of(map) for map in maps]

    def depends_on_addresses(self, first: list[tuple[object, ...]]) -> bool:
        """Whether other addresses give other results: maps, context, packet and stack of each run lie elsewhere."""
        found, others = [first], []
        try:
            for number in range(1, 5):
                other = Damaged(self.real, *self.again, self.memory, self.level)
                others.append(other)
                found.append(other.alone(number))
                if found[-1][0] == found[-1][1] or repr(found[-1]) != repr(first):
                    return True
            return False
        finally:
            for other in others:
                other.close()

    def alone(self, number: int) -> list[tuple[object, ...]]:
        """The results in a thread with a larger stack for each number, after other allocations in it."""
        batch = Batch(self.level)
        for way, unit in zip("pc", self.units, strict=True):
            batch.add(f"0_{way}", unit)
        native = batch.link({name: at for way in "pc" for name, at in self.imports(f"0_{way}", Map()).items()})
        results: list[tuple[object, ...]] = []

        def both() -> None:
            environment = new_environment(0.1)
            sizes = [4096 * 37 * number, *[size for size in range(16, 8192, 16) for _ in range(number)], 70_000 * number]
            elsewhere = [ctypes.create_string_buffer(size) for size in sizes]
            results.extend(self.results([native.address(f"entry_0_{way}") for way in "pc"], environment, number))
            elsewhere.clear()

        before = threading.stack_size((1 << 20) + 4096 * 37 * number)
        thread = threading.Thread(target=both)
        thread.start()
        threading.stack_size(before)
        thread.join()
        return results

    def close(self) -> None:
        for maps in self.maps:
            for map in maps:
                map.close()


def new_environment(time_limit: float) -> Environment:
    """One in which every run is the same."""
    environment = Environment(time_limit)
    environment.env.output = OUTPUT
    environment.task.pid = environment.task.tgid = environment.task.cpu = 0
    return environment


OUTPUT = ctypes.pointer(layout.Output(fd=os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)))


def regions_of(maps: list[UserMap]) -> ctypes.Array[ctypes.c_uint64]:
    rows = [row for map in maps for row in map.regions()]
    return (ctypes.c_uint64 * (1 + 4 * len(rows)))(len(rows), *[word for row in rows for word in row])


def content_of(map: UserMap) -> object:
    """What Python sees of a map; what lies behind its memory is still empty."""
    sizes = [size for size in (map.header.values_size, map.header.storage_size) if size]
    for memory, size in zip(map.keep().parts, sizes, strict=False):
        assert not any(memory[size:]), "written behind a map"
    try:
        parts = map.parts()
    except MapError:
        return None
    if parts is None:
        return None
    keys, values, count = joined(parts)
    return sorted(
        (keys[at * map.key_size :][: map.key_size], values[at * map.value_size :][: map.value_size]) for at in range(count)
    )


class Entry:
    """What test_run.py wants of a program."""

    def __init__(self, entry: int, environment: Environment, context: Context) -> None:
        self.environment, self.context, self.source = environment, context, None
        self.function = lambda: ENTRY(entry)
        self.hold = tuple


def run_packet(entry: int, memory: bytes, environment: Environment, real: Real) -> tuple[object, bytes]:
    """Over a packet: (result or fault, the packet afterwards)."""
    program = Entry(entry, environment, real.context)
    data = (b"\xff" * 12 + b"\x08\x00\x45" + memory).ljust(64, b"\0")
    try:
        result, after, _, _ = by_hand._RUNS[real.context.name](program, real.kind, data, b"", 0, SkepError)
    except ExecutionError as error:
        return "time" if type(error).__name__ == "TimeLimit" else f"fault at {error.insn}", b""
    return result, after


def subject_of(seed: int, known: Known, level: int) -> Plain | Damaged:
    """The program of one number; ExecutionError where the engine refuses it."""
    r = random.Random(seed)
    if r.random() < known.share:
        real = r.choice(known.real)
        data, references = damaged(real, r)
        return Damaged(real, data, references, r.randbytes(r.choice((64, 64, 200, 512))), level)
    return Plain(*make(r, known.cases))


def bytecode_of(seed: int, known: Known) -> bytes:
    r = random.Random(seed)
    return damaged(r.choice(known.real), r)[0] if r.random() < known.share else make(r, known.cases)[0]


def check_chunk(seeds: list[int], known: Known, level: int) -> tuple[collections.Counter[str], list[str]]:
    """Counts, and the seeds of programs that went wrong."""
    counts: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    batch, map, imports = Batch(level), Map(), {}
    taken: list[tuple[int, Plain | Damaged]] = []
    for seed in seeds:
        counts["programs"] += 1
        try:
            subject = subject_of(seed, known, level)
        except ExecutionError:
            counts["refused"] += 1
            continue
        texts = Batch(level)
        try:
            for way, unit in zip("pc", subject.units, strict=True):
                texts.add(f"{seed}_{way}", unit)
        except ExecutionError:
            counts["refused"] += 1
            if isinstance(subject, Damaged):
                subject.close()
            continue
        batch.take(texts)
        for way in "pc":
            imports |= subject.imports(f"{seed}_{way}", map)
        taken.append((seed, subject))
    if not taken:
        return counts, wrong
    native = batch.link(imports)
    environment = new_environment(0.005)
    for seed, subject in taken:
        came, why = subject.check([native.address(f"entry_{seed}_{way}") for way in "pc"], environment, map)
        for part in came.split(", "):
            counts[part] += 1
        if why:
            wrong.append(f"seed {seed}: {why}")
        if isinstance(subject, Damaged):
            subject.close()
    return counts, wrong


def in_child(seeds: list[int], known: Known, level: int) -> tuple[collections.Counter[str], list[str]]:
    """check_chunk in a child; a death or a hang is told for the program that did it."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(read)
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
            counts, wrong = check_chunk(seeds, known, level)
            os.write(write, repr((dict(counts), wrong)).encode())
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(write)
    parts = []
    while part := os.read(read, 65536):
        parts.append(part)
    os.close(read)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        counts, wrong = eval(b"".join(parts))
        return collections.Counter(counts), wrong
    if len(seeds) == 1:
        return collections.Counter(programs=1), [f"seed {seeds[0]}: ended with status {status}"]
    total: collections.Counter[str] = collections.Counter()
    found: list[str] = []
    half = len(seeds) // 2
    for part_of in (seeds[:half], seeds[half:]):
        counts, wrong = in_child(part_of, known, level)
        total += counts
        found += wrong
    return total, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", default="")
    parser.add_argument("--level", type=int, default=2)
    parser.add_argument("--real", type=float, default=0.1, help="the share of damaged real programs")
    parser.add_argument("--show", type=int, help="print one program and what becomes of it")
    options = parser.parse_args()
    known = Known(options.real)
    _load()
    if options.show is not None:
        subject = subject_of(options.show, known, options.level)
        print("\n".join(disassemble(bytecode_of(options.show, known))), subject.memory.hex(), sep="\n")
        print(check_chunk([options.show], known, options.level))
        return 0
    if not options.level:
        runtime()  # for all children
    started, total, failures = time.monotonic(), collections.Counter[str](), 0
    first = options.seed * 1_000_000_000
    try:
        for begin in range(first, first + options.n, CHUNK):
            counts, wrong = in_child(list(range(begin, min(begin + CHUNK, first + options.n))), known, options.level)
            total += counts
            if begin // REPORT != (begin + CHUNK) // REPORT:
                print(
                    f"{total['programs']} programs, {failures} wrong, {time.monotonic() - started:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
            for line in wrong:
                failures += 1
                print(line, flush=True)
                if options.keep:
                    os.makedirs(options.keep, exist_ok=True)
                    seed = int(line.split()[1].rstrip(":"))
                    Path(options.keep, f"bytecode-{seed}.bin").write_bytes(bytecode_of(seed, known))
    except KeyboardInterrupt:
        pass  # what was done counts
    print(", ".join(f"{value} {key}" for key, value in total.items()), f"in {time.monotonic() - started:.0f} s; {failures} wrong")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
