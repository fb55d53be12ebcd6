"""The tree's own programs as the compiler makes them, for the fuzzer to damage: instructions that can be moved, maps, contexts.

In: C files, and C texts in Python files. Out: `Real` programs, `damaged` copies of them. Compiled once, then from Skep's cache.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING

from helper_cases import KINDS
from helper_programs import CASES

from skep.bytecode import instruction as isa
from skep.cache import Cache
from skep.engine.user.engine import _CONTEXTS, _MAPS, _link
from skep.engine.user.facts import Context
from skep.engine.user.validate import CALL, call_target, jump_target, validate
from skep.errors import SkepError
from skep.object import read_object
from skep.object.kinds import kind_for_type
from skep.object.model import MapSpec

if TYPE_CHECKING:
    import random

    from skep.engine.user.maps import UserMap
    from skep.object.model import Object, ProgramKind

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("examples", "examples/bcc", "tests/engine/user", "tests/maps", "tests/buffers", "tests")
TEXT = re.compile(r'"""(.*?)"""', re.DOTALL)
ENTRIES = 64  # of a map, at most: each run makes its maps
NUMBERS = [0, 1, 2, 4, 7, 8, 16, 31, 32, 63, 64, 255, 256, 511, 512, 4096, 65535, -1, -2, -8, -512, 0x7FFFFFFF, -0x80000000]


class Unit:
    """One instruction (a 64-bit load whole): its bytes, which map it loads (-1: none), the unit that it jumps to or calls."""

    __slots__ = ("data", "map", "target")

    def __init__(self, data: bytes, map: int = -1) -> None:
        self.data = bytearray(data)
        self.map = map
        self.target: Unit | None = None


class Real:
    """A program that the user engine takes, and what it needs to run."""

    def __init__(
        self, name: str, data: bytes, references: dict[int, int], specs: list[MapSpec], kind: ProgramKind | None
    ) -> None:
        self.name = name
        self.data = data
        self.references = references
        self.specs = specs
        self.kind = kind

    @property
    def context(self) -> Context:
        return _CONTEXTS[self.kind.context] if self.kind is not None else Context("memory", 4096)

    def units(self) -> list[Unit]:
        units: dict[int, Unit] = {}
        insns = validate(self.data).insns
        for at, insn in enumerate(insns):
            if insn is not None:
                units[at] = Unit(self.data[8 * at : 8 * at + (16 if insn.wide else 8)], self.references.get(at, -1))
        for at, unit in units.items():
            insn = insns[at]
            assert insn is not None
            target = call_target(at, insn)
            target = jump_target(at, insn) if target is None else target
            unit.target = None if target is None else units[target]
        return list(units.values())


def joined(units: list[Unit]) -> tuple[bytes, dict[int, int]]:
    """Bytecode with all offsets as the units' places want them, and the maps' references."""
    places, at = {}, 0
    for unit in units:
        places[id(unit)] = at
        at += len(unit.data) // 8
    references = {places[id(unit)]: unit.map for unit in units if unit.map >= 0}
    for unit in units:
        if unit.target is None or id(unit.target) not in places:
            continue
        distance = places[id(unit.target)] - places[id(unit)] - 1
        if unit.data[0] in (CALL, isa.JMP32 | isa.JA, isa.LOAD_64):
            unit.data[4:8] = (distance & 0xFFFFFFFF).to_bytes(4, "little")
        else:
            unit.data[2:4] = (distance & 0xFFFF).to_bytes(2, "little")
    return b"".join(unit.data for unit in units), references


def damaged(program: Real, r: random.Random) -> tuple[bytes, dict[int, int]]:
    """A copy with one to four faults; jumps mostly still go where they went."""
    units = program.units()
    for _ in range(r.choice((1, 1, 1, 2, 2, 3, 4))):
        at = r.randrange(len(units))
        r.choice(_DAMAGES)(units, at, r, len(program.specs))
        if not units:
            break
    return joined(units)


def _number(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    data = units[at].data
    value = int.from_bytes(data[4:8], "little")
    changed = r.choice((value + r.choice((-8, -4, -1, 1, 4, 8)), value ^ 1 << r.randrange(32), r.choice(NUMBERS), -value))
    data[4:8] = (changed & 0xFFFFFFFF).to_bytes(4, "little")


def _offset(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    data = units[at].data
    value = int.from_bytes(data[2:4], "little")
    changed = r.choice((value + r.choice((-8, -4, -2, -1, 1, 2, 4, 8)), value ^ 1 << r.randrange(16), r.choice(NUMBERS)))
    data[2:4] = (changed & 0xFFFF).to_bytes(2, "little")
    units[at].target = None


def _swap_operands(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    registers = units[at].data[1]
    units[at].data[1] = registers >> 4 | registers << 4 & 0xF0


def _register(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    registers, new = units[at].data[1], r.randrange(11)
    units[at].data[1] = registers & 0xF0 | new if r.random() < 0.5 or units[at].map >= 0 else registers & 0x0F | new << 4


def _operation(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    data = units[at].data
    data[0] = r.choice((data[0] ^ 1 << r.randrange(8), data[0] ^ 8, data[0] & 0x0F | r.randrange(16) << 4, data[0] ^ 4))


def _bit(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    units[at].data[r.randrange(8)] ^= 1 << r.randrange(8)
    units[at].target = None


def _drop(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    gone = units.pop(at)
    for unit in units:
        if unit.target is gone:
            unit.target = units[at] if at < len(units) else None


def _copy(unit: Unit) -> Unit:
    copy = Unit(unit.data, unit.map)
    copy.target = unit.target
    return copy


def _double(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    units.insert(r.choice((at, at + 1, r.randrange(len(units) + 1))), _copy(units[at]))


def _splice(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    to = r.randrange(len(units) + 1)
    units[to:to] = [_copy(unit) for unit in units[at : at + r.randint(2, 6)]]


def _exchange(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    other = r.choice((at - 1, r.randrange(len(units))))
    units[at], units[other] = units[other], units[at]


def _retarget(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    jumps = [unit for unit in units if unit.target is not None]
    if jumps:
        r.choice(jumps).target = units[r.choice((at, min(at + 1, len(units) - 1)))]


def _other_map(units: list[Unit], at: int, r: random.Random, maps: int) -> None:
    loads = [unit for unit in units if unit.map >= 0]
    if loads:
        r.choice(loads).map = r.randrange(maps)


_DAMAGES = [
    _number, _number, _offset, _swap_operands, _register, _register, _operation, _bit, _drop, _drop, _double, _splice, _exchange,
    _retarget, _other_map,
]  # fmt: skip


def live_map(spec: MapSpec) -> UserMap:
    """A map as the engine makes it."""
    map = _MAPS[spec.type](spec, 2)
    if spec.initial is not None:
        map.update(bytes(4), spec.initial.ljust(map.value_size, b"\0"))
        if spec.frozen:
            map.freeze()
    return map


def corpus() -> list[Real]:
    """All programs of the tree that the user engine takes."""
    texts = [(path.name, path.read_text(), 0) for folder in ("bench/programs", "bench/engine_programs")
             for path in sorted((ROOT / folder).glob("*.c"))]  # fmt: skip
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.py")):
            texts += [(path.name, text, 0) for text in TEXT.findall(path.read_text()) if "{" in text and "(" in text]
    texts += [(case.name, case.text, KINDS[case.kind]) for case in CASES]
    from skep.build import compiler_state

    cache = Cache()
    key = cache.key("fuzz corpus", compiler_state(), Path(__file__).read_bytes(), *[text for _, text, _ in texts])
    found = cache.get(key) if cache.enabled else None
    if found is not None:
        return list(pickle.loads(found))
    programs: dict[bytes, Real] = {}
    for name, text, type in texts:
        for program in _compiled(name, text, type):
            programs.setdefault(program.data, program)
    if cache.enabled:
        cache.put(key, pickle.dumps(list(programs.values())))
    return list(programs.values())


def _compiled(name: str, text: str, type: int) -> list[Real]:
    from skep.compiler import compile_source

    folder = next(
        (ROOT / folder for folder in ("bench/programs", "bench/engine_programs") if (ROOT / folder / name).is_file()), ROOT
    )
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            built = read_object(compile_source(text, file=str(folder / name)).data)
    except SkepError:
        return []  # no program, or one that is wrong on purpose
    found = []
    for spec in built.programs.values():
        kind = spec.kind or (kind_for_type(type) if type else None)
        if kind is None or kind.context in _CONTEXTS:
            program = _taken(f"{name}: {spec.name}", built, spec.name, kind)
            found += [program] if program is not None else []
    return found


def _taken(name: str, built: Object, program: str, kind: ProgramKind | None) -> Real | None:
    spec = built.programs[program]
    maps = {}
    try:
        for map in built.maps.values():
            small = MapSpec(
                map.name, map.type, map.key_size, map.value_size, min(map.max_entries, ENTRIES) if map.type != 27 else 4096,
                flags=map.flags, map_extra=map.map_extra, inner=map.inner, initial=map.initial, frozen=map.frozen,
            )  # fmt: skip
            if map.type in _MAPS:
                maps[map.name] = live_map(small)
        data, used, references = _link(spec, maps)
        real = Real(name, data, references, [map.spec for map in used], kind)
        validate(data)
        return real if len(data) <= 8 * 600 else None
    except SkepError:
        return None
    finally:
        for live in maps.values():
            live.close()
