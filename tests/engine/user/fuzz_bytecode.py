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
from real_programs import Real, damaged, live_map  # noqa: E402

from skep.bytecode import Instruction, disassemble, encode  # noqa: E402
from skep.bytecode import instruction as isa  # noqa: E402
from skep.bytecode.assembler import assemble  # noqa: E402
from skep.cache import Cache  # noqa: E402
from skep.engine.user import layout  # noqa: E402
from skep.engine.user import test_run as by_hand  # noqa: E402
from skep.engine.user.facts import MEMORY, Context, MapFacts  # noqa: E402
from skep.engine.user.jit import _RUNTIME, _runtime  # noqa: E402
from skep.engine.user.module import translate  # noqa: E402
from skep.engine.user.program import Environment  # noqa: E402
from skep.engine.user.unit import Unit  # noqa: E402
from skep.engine.user.validate import validate  # noqa: E402
from skep.errors import ExecutionError, MapError, ObjectError, SkepError  # noqa: E402
from skep.llvm import _load, processor_machine  # noqa: E402
from skep.native import NativeCode  # noqa: E402

if TYPE_CHECKING:
    from skep.engine.user.maps import UserMap

CHUNK = 100
REPORT = 50_000  # programs between two lines about how far it is
MAP_FACTS = MapFacts(2, 4, VALUE_SIZE, ENTRIES)
PATIENCE = 60  # seconds of processor time for a chunk; each run in it may take 20 ms
ALU = [isa.ADD, isa.SUB, isa.MUL, isa.DIV, isa.OR, isa.AND, isa.LSH, isa.RSH, isa.MOD, isa.XOR, isa.MOV, isa.ARSH]
JUMPS = [isa.JEQ, isa.JGT, isa.JGE, isa.JSET, isa.JNE, isa.JSGT, isa.JSGE, isa.JLT, isa.JLE, isa.JSLT, isa.JSLE]
SIZES = [isa.B, isa.H, isa.W, isa.DW]
NUMBERS = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 100, 127, 255, 256, 511, 512, -1, -2, -8, 0x7FFFFFFF, -0x80000000, 65535]


class Generator:
    """Programs that look like programs: pointers made and moved, bounds tested, loops counted, values spilled."""

    def __init__(self, source: random.Random) -> None:
        self.r = source

    def program(self) -> list[Instruction]:
        r = self.r
        code = [Instruction(isa.ALU64 | isa.MOV | isa.X, 6, 1), Instruction(isa.ALU64 | isa.MOV | isa.X, 7, 2)]
        for _ in range(r.randint(2, 7)):
            code += self.piece(2)
        calls = r.random() < 0.25
        if calls:
            code += self.call()
        code += [Instruction(isa.ALU64 | isa.MOV | isa.X, 0, r.randint(0, 9))] if r.random() < 0.8 else []
        code.append(Instruction(isa.JMP | isa.EXIT))
        if calls:
            start = len(code)
            for _ in range(r.randint(1, 3)):
                code += self.piece(1)
            code.append(Instruction(isa.JMP | isa.EXIT))
            for at, insn in enumerate(code):
                if insn.code == isa.JMP | isa.CALL and insn.src == 1:
                    insn.imm = start - at - 1
        return code

    def piece(self, depth: int) -> list[Instruction]:
        if self.r.random() < 0.12:
            return self.lookup()
        makers = (
            [self.arithmetic] * 4 + [self.pointer] * 3 + [self.access] * 6 + [self.spill] * 2 + [self.indexed] * 3 + [self.atomic]
        )
        if depth:
            makers += [lambda: self.branch(depth - 1)] * 3 + [lambda: self.loop(depth - 1)] * 2
        return self.r.choice(makers)()

    def number(self) -> int:
        return self.r.choice(NUMBERS) if self.r.random() < 0.8 else self.r.randint(-0x80000000, 0x7FFFFFFF)

    def register(self) -> int:
        return self.r.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9))

    def arithmetic(self) -> list[Instruction]:
        r, group = self.r, self.r.choice((isa.ALU64, isa.ALU64, isa.ALU))
        operation = r.choice(ALU)
        off = r.choice((0, 1)) if operation in (isa.DIV, isa.MOD) else 0
        if r.random() < 0.5:
            return [Instruction(group | operation | isa.X, self.register(), self.register(), off)]
        return [Instruction(group | operation, self.register(), 0, off, self.number())]

    def pointer(self) -> list[Instruction]:
        r, register = self.r, self.r.randint(1, 5)
        if r.random() < 0.5:
            offset = r.choice((-8, -16, -24, -64, -512, -r.randint(1, 520)))
            return [
                Instruction(isa.ALU64 | isa.MOV | isa.X, register, 10),
                Instruction(isa.ALU64 | isa.ADD, register, imm=offset),
            ]
        return [
            Instruction(isa.ALU64 | isa.MOV | isa.X, register, 6),
            Instruction(isa.ALU64 | isa.ADD, register, imm=r.randint(0, 70)),
        ]

    def access(self) -> list[Instruction]:
        r, size, base = self.r, self.r.choice(SIZES), self.r.choice((1, 2, 3, 4, 5, 6, 6, 10, 10, 10))
        offset = -8 * r.randint(1, 6) if base == 10 and r.random() < 0.8 else r.choice((0, 0, 1, 4, 8, 16, -8, 56, 60, 63, -1))
        kind = r.random()
        if kind < 0.5:
            mode = isa.MEMSX if size != isa.DW and r.random() < 0.2 else isa.MEM
            return [Instruction(isa.LDX | mode | size, self.register(), base, offset)]
        if kind < 0.8:
            return [Instruction(isa.STX | isa.MEM | size, base, self.register(), offset)]
        return [Instruction(isa.ST | isa.MEM | size, base, 0, offset, self.number())]

    def spill(self) -> list[Instruction]:
        slot = -8 * self.r.randint(1, 4)
        store = Instruction(isa.STX | isa.MEM | isa.DW, 10, self.register(), slot)
        load = Instruction(isa.LDX | isa.MEM | isa.DW, self.register(), 10, slot)
        return self.r.choice(([store, load], [store], [load], [store, *self.access(), load]))

    def indexed(self) -> list[Instruction]:
        """A number with a bound, added to a pointer."""
        r = self.r
        index, base = r.randint(1, 5), r.randint(1, 5)
        code = [Instruction(isa.LDX | isa.MEM | r.choice(SIZES), index, 6, r.randint(0, 40))] if r.random() < 0.7 else []
        code += self.pointer()
        bound = r.choice((7, 15, 31, 63, 55, 64))
        if r.random() < 0.6:
            code.append(Instruction(r.choice((isa.ALU64, isa.ALU)) | isa.AND, index, imm=bound))
        else:
            group, jump = r.choice((isa.JMP, isa.JMP32)), r.choice((isa.JGT, isa.JGE, isa.JSGT))
            code.append(Instruction(group | jump, index, 0, 2, bound))
        code.append(Instruction(isa.ALU64 | isa.ADD | isa.X, base, index))
        code += [Instruction(isa.LDX | isa.MEM | r.choice(SIZES), 0, base, r.choice((0, 0, 1, -8)))]
        return code

    def lookup(self) -> list[Instruction]:
        """An element of the map, mostly tested, and accesses to it."""
        r, kept = self.r, self.r.choice((0, 6, 7, 8))
        code = [
            Instruction(isa.ST | isa.MEM | isa.W, 10, 0, -4, r.choice((0, 1, 2, 3, 3, 4, -1))),
            Instruction(isa.ALU64 | isa.MOV | isa.X, 2, 10),
            Instruction(isa.ALU64 | isa.ADD, 2, imm=-4),
            Instruction(isa.LOAD_64, 1, isa.PSEUDO_MAP_FD),
            Instruction(isa.JMP | isa.CALL, imm=1),
            Instruction(isa.ALU64 | isa.MOV | isa.X, kept, 0),
        ]
        inside = []
        for _ in range(r.randint(1, 3)):
            offset = r.choice((0, 8, 16, 20, 23, 24, -1))
            mode = r.choice((isa.LDX, isa.STX)) | isa.MEM | r.choice(SIZES)
            kind = r.random()
            if kind < 0.3:
                inside += [Instruction(isa.ALU64 | isa.ADD, kept, imm=r.choice((1, 4, 8, -8)))]
            elif kind < 0.5:
                inside += [
                    Instruction(isa.LDX | isa.MEM | isa.B, 3, kept, r.choice((0, 16))),
                    Instruction(isa.ALU64 | isa.AND, 3, imm=r.choice((7, 15, 16, 31))),
                    Instruction(isa.ALU64 | isa.ADD | isa.X, 3, kept),
                    Instruction(isa.LDX | isa.MEM | r.choice(SIZES), 4, 3, r.choice((0, 8, 9, 16))),
                ]
            else:
                inside += [Instruction(mode, kept if mode & 7 == isa.STX else 4, kept if mode & 7 == isa.LDX else 4, offset)]
        if r.random() < 0.85:
            tested = r.choice((kept, kept, kept, 0))
            code.append(Instruction(isa.JMP | r.choice((isa.JEQ, isa.JEQ, isa.JEQ, isa.JNE)), tested, 0, len(inside)))
        return code + inside

    def atomic(self) -> list[Instruction]:
        r = self.r
        operation = r.choice(
            (isa.ADD, isa.OR | isa.FETCH, isa.XCHG, isa.CMPXCHG, isa.AND, isa.XOR | isa.FETCH, isa.ADD | isa.FETCH)
        )
        return [
            Instruction(
                isa.STX | isa.ATOMIC | r.choice((isa.W, isa.DW)),
                r.choice((10, 10, 6, 3)),
                self.register(),
                r.choice((-8, -16, -4, 0, 8)),
                operation,
            )
        ]

    def body(self, depth: int) -> list[Instruction]:
        code = []
        for _ in range(self.r.randint(1, 3)):
            code += self.piece(depth)
        return code

    def branch(self, depth: int) -> list[Instruction]:
        r, inside = self.r, self.body(depth)
        group, jump = r.choice((isa.JMP, isa.JMP, isa.JMP32)), r.choice(JUMPS)
        if r.random() < 0.3:
            return [Instruction(group | jump | isa.X, self.register(), self.register(), len(inside)), *inside]
        return [Instruction(group | jump, self.register(), 0, len(inside), self.number()), *inside]

    def loop(self, depth: int) -> list[Instruction]:
        """A counter (in r8 or r9) that goes up or down, by odd and even steps, tested before or after the body."""
        r, counter = self.r, self.r.choice((8, 9))
        inside = [insn for insn in self.body(depth) if insn.dst != counter or r.random() < 0.1]
        group, wide = (isa.ALU64, isa.JMP) if r.random() < 0.6 else (isa.ALU, isa.JMP32)
        step, rounds = r.choice((1, 1, 2, 3, 4, 8)), r.randint(1, 70)
        first, last = (0, rounds * step) if r.random() < 0.6 else (rounds * step, 0)
        up = first < last
        if r.random() < 0.4:  # an index into memory moves along
            mode, offset = r.choice((isa.LDX, isa.STX)) | isa.MEM | r.choice(SIZES), r.choice((0, 0, -64, -512))
            inside += [
                Instruction(isa.ALU64 | isa.MOV | isa.X, 3, r.choice((6, 10))),
                Instruction(isa.ALU64 | isa.ADD | isa.X, 3, counter),
                Instruction(mode, 3, 3, offset),
            ]
        if r.random() < 0.3:  # a pointer does
            inside += [Instruction(isa.ALU64 | isa.ADD, 5, imm=r.choice((1, 4, 8, -1)))]
        jump = r.choice((isa.JNE, isa.JLT if up else isa.JGT, isa.JLE if up else isa.JGE, isa.JSLT if up else isa.JSGT))
        code = [Instruction(group | isa.MOV, counter, imm=first), *inside]
        code.append(Instruction(group | isa.ADD, counter, imm=step if up else -step))
        back = -len(inside) - 2
        if r.random() < 0.2:
            return [Instruction(isa.ALU64 | isa.MOV, 4, imm=last), *code, Instruction(wide | jump | isa.X, counter, 4, back)]
        return [*code, Instruction(wide | jump, counter, 0, back, last)]

    def call(self) -> list[Instruction]:
        return [Instruction(isa.JMP | isa.CALL, 0, 1)]


def corpus() -> list[bytes]:
    found = []
    for path in sorted((HERE.parents[1] / "conformance" / "cases").glob("*.data")):
        text = path.read_text().partition("-- asm\n")[2].partition("\n-- ")[0]
        try:
            found.append(assemble(text))
        except ObjectError:
            continue
    return found


class Known:
    """What damaged programs are made of, and which share of all are damaged real ones."""

    def __init__(self, share: float) -> None:
        self.cases = corpus()
        self.real = real_programs.corpus() if share else []
        self.share = share


def mutated(data: bytes, r: random.Random) -> bytes:
    """A few fields changed, instructions dropped, doubled or moved."""
    units = [data[at : at + 8] for at in range(0, len(data), 8)]
    for _ in range(r.randint(1, 3)):
        at = r.randrange(len(units))
        kind = r.random()
        if kind < 0.2:
            units.insert(at, r.choice(units))
        elif kind < 0.3 and len(units) > 1:
            del units[at]
        else:
            unit = bytearray(units[at])
            place = r.choice((0, 1, 2, 3, 4, 4, 5, 7))
            unit[place] = r.choice((unit[place] ^ 1 << r.randrange(8), unit[place] + 1 & 255, r.randrange(256)))
            if place == 1 and unit[1] & 15 > 10:
                unit[1] &= 0x77
            units[at] = bytes(unit)
    return b"".join(units)


def make(r: random.Random, known: list[bytes]) -> tuple[bytes, bytes]:
    """(bytecode, memory)."""
    memory = r.randbytes(r.choice((64, 64, 64, 72, 8, 0, 100)))
    kind = r.random()
    if kind < 0.02:
        return r.randbytes(8 * r.randint(1, 8)), memory
    if kind < 0.2:
        return mutated(r.choice(known), r), memory
    try:
        data = encode(Generator(r).program())
    except ObjectError:
        return b"", memory
    return (mutated(data, r) if kind < 0.45 else data), memory


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


def run(entry: int, memory: bytes, environment: Environment, map: Map | None) -> tuple[object, bytes]:
    """(result or fault, memory afterwards)."""
    room = ctypes.create_string_buffer(len(memory) + 128)
    place = (ctypes.addressof(room) + 63) // 64 * 64
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
        proved, checked = [self.run(entry, environment, maps) for entry, maps in zip(entries, self.maps, strict=True)]
        came = f"real {proved[0] if isinstance(proved[0], str) else 'returned'}".partition(" at ")[0]
        if proved == checked:
            return came, ""
        if "time" in (proved[0], checked[0]) or self.depends_on_addresses((proved, checked)):
            return came, ""
        return came, f"{self.real.name}: proved {str(proved)[:200]}, checked {str(checked)[:200]}"

    def run(self, entry: int, environment: Environment, maps: list[UserMap]) -> tuple[object, ...]:
        env, context = environment.env, self.real.context
        env.random, environment.task.time = 1, 1_000_000
        if context.packet is None:
            room = max(context.size, len(self.memory) // 8 * 8)
            result, after = run(entry, self.memory.ljust(room, b"\0"), environment, None)
        else:
            result, after = run_packet(entry, self.memory, environment, self.real)
        assert env.held_count == env.dynptr_count == 0, "records that are still held"
        return result, after, *[content_of(map) for map in maps]

    def depends_on_addresses(self, first: tuple[object, object]) -> bool:
        """Whether other addresses give other results: maps, context and stack of another run lie elsewhere."""
        found = [first]
        elsewhere = []
        for number in range(4):
            if any(pair[0] == pair[1] for pair in found) or len({repr(pair) for pair in found}) > 1:
                return True
            elsewhere += [ctypes.create_string_buffer(size) for size in (4096 * 37 * (number + 1), *range(64, 8192, 64))]
            other = Damaged(self.real, *self.again, self.memory, self.level)
            try:
                batch = Batch(self.level)
                for way, unit in zip("pc", other.units, strict=True):
                    batch.add(f"0_{way}", unit)
                native = batch.link({name: at for way in "pc" for name, at in other.imports(f"0_{way}", Map()).items()})
                results: list[tuple[object, ...]] = []

                def both(other: Damaged = other, native: NativeCode = native, into: list[tuple[object, ...]] = results) -> None:
                    environment = Environment(0.1)
                    environment.env.output = OUTPUT
                    environment.task.pid = environment.task.tgid = environment.task.cpu = 0
                    for way, maps in zip("pc", other.maps, strict=True):
                        into.append(other.run(native.address(f"entry_0_{way}"), environment, maps))

                thread = threading.Thread(target=both)
                thread.start()
                thread.join()
                found.append((results[0], results[1]))
            finally:
                other.close()
        return False

    def close(self) -> None:
        for maps in self.maps:
            for map in maps:
                map.close()


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
        found = map.batch()
    except MapError:
        return None
    if found is None:
        return None
    keys, values, count = (bytes(found[0]), bytes(found[1]), found[2])
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
    environment = Environment(0.005)
    environment.env.output = OUTPUT
    environment.task.pid = environment.task.tgid = environment.task.cpu = 0
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
