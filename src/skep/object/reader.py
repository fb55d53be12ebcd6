"""Reads an object file: bytes in, `Object` out, with every program linked to the subprograms that it reaches.

The stages: debug info (info.py), maps (maps.py), then functions cut out of their sections and joined per program (here).
"""

from __future__ import annotations

from bisect import bisect_left
from struct import error, pack_into

from skep.elf import EXECUTABLE, FUNCTION, LOCAL, NOTYPE, OBJECT, PROGBITS, SECTION, WEAK, Elf
from skep.errors import ObjectError
from skep.object.info import USES_REGISTERS, Extension, extern_error, kernel_symbols, read_btf, tagged_functions
from skep.object.kinds import kind_for_section
from skep.object.maps import is_data, read_maps
from skep.object.model import Object, ProgramSpec, Relocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.elf import Section, Symbol
    from skep.object.model import MapSpec

EM_BPF, ET_REL = 247, 1
R_BPF_64_64, R_BPF_64_32 = 1, 10
CALL, LOAD_64 = 0x85, 0x18
PSEUDO_CALL, PSEUDO_FUNC = 1, 4  # src registers that say what a call or a 64-bit load refers to


class Function:
    """One function where the compiler put it; `calls` and `pointers` are (insn, function), insns counted from its start."""

    __slots__ = ("calls", "code", "entry", "lines", "name", "pointers", "relocations", "section", "start", "type_id")

    def __init__(self, name: str, section: Section, start: int, code: bytes, entry: bool) -> None:
        self.name = name
        self.section = section
        self.start = start
        self.code = code
        self.entry = entry
        self.type_id = 0
        self.calls: list[tuple[int, Function]] = []
        self.pointers: list[tuple[int, Function]] = []
        self.relocations: list[Relocation] = []
        self.lines: list[tuple[int, int, int, int]] = []


def read_object(data: bytes) -> Object:
    """The programs and maps of an object file; raises ObjectError where it is damaged or asks for what Skep cannot do."""
    try:
        return _read(bytes(data))
    except RecursionError as problem:
        raise ObjectError("the object's types are nested too deeply") from problem


def _read(data: bytes) -> Object:
    elf = Elf(data)
    if elf.machine != EM_BPF or elf.type != ET_REL:
        raise ObjectError(
            f"not a BPF object: ELF machine {elf.machine}, type {elf.type}; expected {EM_BPF} (BPF) and {ET_REL} (relocatable)"
        )
    btf, record_types = read_btf(elf)
    maps, places = read_maps(elf, btf, record_types)
    functions = _functions(elf)
    extension = elf.by_name.get(".BTF.ext")
    if btf and extension and extension.data:
        _add_debug_info(functions, Extension(extension.data, btf))
    _resolve(elf, functions, maps, places)
    tagged = tagged_functions(btf, USES_REGISTERS) if btf else set()
    programs = {}
    for by_start in functions.values():
        for function in by_start.values():
            if function.entry:
                programs[function.name] = _link(function, tagged)
    return Object(data, license=_license(elf), btf=btf, maps=maps, programs=programs)


def _license(elf: Elf) -> str:
    section = elf.by_name.get("license")
    return section.data.partition(b"\0")[0].decode("utf-8", "replace") if section else ""


def _functions(elf: Elf) -> dict[int, dict[int, Function]]:
    """Functions by section and by byte offset. Jump labels (NOTYPE, local) overlap functions and are no functions."""
    found: dict[int, dict[int, Function]] = {}
    symbols = [symbol for symbol in elf.symbols if symbol.type == FUNCTION and 0 < symbol.section < len(elf.sections)]
    # In .text live the subprograms of the programs in named sections; an object with .text alone has its programs there.
    named = any(elf.sections[symbol.section].name != ".text" for symbol in symbols)
    for symbol in symbols:
        section = elf.sections[symbol.section]
        end = symbol.value + symbol.size
        if section.type != PROGBITS or not section.flags & EXECUTABLE or end > len(section.data):
            raise ObjectError(f"function {symbol.name}: section {section.name} does not hold its {symbol.size} bytes of code")
        if symbol.value % 8 or symbol.size % 8 or not symbol.size:
            raise ObjectError(f"function {symbol.name}: {symbol.size} bytes at {symbol.value} are not whole instructions")
        entry = symbol.binding != LOCAL and not (named and section.name == ".text")
        code = section.data[symbol.value : end]
        found.setdefault(section.index, {})[symbol.value] = Function(symbol.name, section, symbol.value, code, entry)
    return found


def _add_debug_info(functions: dict[int, dict[int, Function]], extension: Extension) -> None:
    for by_start in functions.values():
        section = next(iter(by_start.values())).section.name
        types = extension.functions.get(section, {})
        lines = sorted(extension.lines.get(section, ()))
        for function in by_start.values():
            end = function.start + len(function.code)
            function.type_id = types.get(function.start, 0)
            rows = lines[bisect_left(lines, (function.start,)) : bisect_left(lines, (end,))]
            function.lines = [((row[0] - function.start) // 8, *row[1:]) for row in rows]
            for name, offset in extension.core_relocations:
                if name == section and function.start <= offset < end:
                    raise ObjectError(
                        f"program {function.name} has CO-RE relocations (from vmlinux.h or preserve_access_index); "
                        "Skep does not apply those yet: CO-RE objects come later"
                    )


def _resolve(
    elf: Elf, functions: dict[int, dict[int, Function]], maps: dict[str, MapSpec], places: dict[int, dict[int, str]]
) -> None:
    """Gives every function its calls, function pointers and map relocations, still relative to its own start."""
    outside = kernel_symbols(elf) if any(symbol.name and symbol.section == 0 for symbol in elf.symbols) else {}
    for section_index, by_start in functions.items():
        section = elf.sections[section_index]
        relocated = {offset: (type, symbol) for offset, type, symbol in elf.relocations(section)}
        for function in by_start.values():
            _resolve_function(elf, function, functions, relocated, places, outside)
    known = maps.keys()
    for by_start in functions.values():
        for function in by_start.values():
            for relocation in function.relocations:
                if relocation.kind in ("map", "map_value") and relocation.symbol not in known:
                    raise ObjectError(f"function {function.name}: refers to map {relocation.symbol}, which has no definition")


def _resolve_function(
    elf: Elf,
    function: Function,
    functions: dict[int, dict[int, Function]],
    relocated: dict[int, tuple[int, Symbol]],
    places: dict[int, dict[int, str]],
    outside: dict[str, str],
) -> None:
    code = function.code
    opcodes = code[::8]
    wide = -2
    for insn, opcode in enumerate(opcodes):
        relocation = relocated.get(function.start + 8 * insn)
        if insn == wide + 1:  # the second half of a 64-bit load
            if relocation:
                raise ObjectError(f"function {function.name}: relocation in the middle of instruction {insn}")
            continue
        if opcode == LOAD_64:
            wide = insn
            if insn + 1 == len(opcodes):
                raise ObjectError(f"function {function.name}: its last instruction is cut off")
            if relocation:
                _resolve_load(elf, function, insn, relocation, functions, places, outside)
        elif opcode == CALL and relocation and relocation[1].section == 0 and outside.get(relocation[1].name) == "kfunc":
            symbol = relocation[1]
            function.relocations.append(Relocation(insn, "kfunc", symbol.name, weak=symbol.binding == WEAK))
        elif opcode == CALL and (relocation or code[8 * insn + 1] >> 4 == PSEUDO_CALL):
            function.calls.append((insn, _called(function, insn, relocation, functions)))
        elif relocation:
            raise ObjectError(
                f"function {function.name}: relocation against {relocation[1].name!r} at instruction {insn} (opcode "
                f"{opcode:#04x}), which is neither a 64-bit load nor a call"
            )


def _immediate(code: bytes, insn: int) -> int:
    return int.from_bytes(code[8 * insn + 4 : 8 * insn + 8], "little", signed=True)


def _called(
    function: Function, insn: int, relocation: tuple[int, Symbol] | None, functions: dict[int, dict[int, Function]]
) -> Function:
    """A call of a static function may have no relocation, or one against its section: the offset is in the immediate."""
    immediate = _immediate(function.code, insn)
    section, offset = function.section.index, function.start + 8 * (insn + immediate + 1)
    what = ""
    if relocation:
        type, symbol = relocation
        if type != R_BPF_64_32:
            raise ObjectError(f"function {function.name}: relocation type {type} at the call in instruction {insn}")
        if symbol.section == 0:
            raise extern_error(symbol.name)
        what = symbol.name
        section, offset = symbol.section, symbol.value + 8 * (immediate + 1)
    target = functions.get(section, {}).get(offset)
    if target is None:
        raise ObjectError(f"function {function.name}: instruction {insn} calls {what or 'an offset'}, where no function starts")
    return target


def _resolve_load(
    elf: Elf,
    function: Function,
    insn: int,
    relocation: tuple[int, Symbol],
    functions: dict[int, dict[int, Function]],
    places: dict[int, dict[int, str]],
    outside: dict[str, str],
) -> None:
    type, symbol = relocation
    where = f"function {function.name}, instruction {insn}"
    if type != R_BPF_64_64:
        raise ObjectError(f"{where}: relocation type {type} at a 64-bit load")
    if symbol.section == 0:
        kind = outside.get(symbol.name)
        if kind is None:
            raise extern_error(symbol.name)
        kind = "kfunc_id" if kind == "kfunc" else kind
        offset = _immediate(function.code, insn)
        function.relocations.append(Relocation(insn, kind, symbol.name, offset, weak=symbol.binding == WEAK))
        return
    if symbol.section >= len(elf.sections) or symbol.type not in (NOTYPE, OBJECT, FUNCTION, SECTION):
        raise ObjectError(f"{where}: refers to {symbol.name!r}, which is not in a section of this file")
    section = elf.sections[symbol.section]
    offset = symbol.value + _immediate(function.code, insn)
    if section.index in places:
        name = places[section.index].get(offset)
        if name is None:
            raise ObjectError(f"{where}: refers to byte {offset} of section {section.name}, where no map is defined")
        function.relocations.append(Relocation(insn, "map", name))
    elif is_data(section):
        if not 0 <= offset <= section.size:
            raise ObjectError(f"{where}: refers to byte {offset} of section {section.name}, which has {section.size}")
        function.relocations.append(Relocation(insn, "map_value", section.name, offset))
    elif section.index in functions:
        target = functions[section.index].get(offset)
        if target is None:
            raise ObjectError(f"{where}: takes the address of byte {offset} of section {section.name}, where no function starts")
        function.pointers.append((insn, target))
    else:
        raise ObjectError(f"{where}: refers to {symbol.name or section.name!r} in section {section.name}, which cannot be loaded")


def _link(entry: Function, tagged: set[str]) -> ProgramSpec:
    """The entry and, once each, every function that it reaches; calls become distances within the result."""
    starts = {entry: 0}
    order = [entry]
    size = len(entry.code) // 8
    for function in order:  # grows while it is walked
        for _, target in function.calls + function.pointers:
            if target not in starts:
                starts[target] = size
                size += len(target.code) // 8
                order.append(target)
    code = bytearray(b"".join(function.code for function in order))
    relocations: list[Relocation] = []
    try:
        for function in order:
            start = starts[function]
            for insn, target in function.calls:
                code[8 * (start + insn) + 1] = code[8 * (start + insn) + 1] & 15 | PSEUDO_CALL << 4
                pack_into("<i", code, 8 * (start + insn) + 4, starts[target] - start - insn - 1)
            for insn, target in function.pointers:
                code[8 * (start + insn) + 1] = code[8 * (start + insn) + 1] & 15 | PSEUDO_FUNC << 4
                pack_into("<i", code, 8 * (start + insn) + 4, starts[target] - start - insn - 1)
            relocations += [
                Relocation(start + old.insn, old.kind, old.symbol, old.offset, weak=old.weak) for old in function.relocations
            ]
    except error as problem:
        raise ObjectError(f"program {entry.name}: its {size} instructions are too far apart to call each other") from problem
    # The kernel takes function and line information only when it covers the start of every function.
    functions = [(starts[function], function.type_id) for function in order] if all(f.type_id for f in order) else []
    covered = functions and all(function.lines and function.lines[0][0] == 0 for function in order)
    return ProgramSpec(
        entry.name,
        entry.section.name,
        bytes(code),
        kind=kind_for_section(entry.section.name, entry.name),
        relocations=relocations,
        functions=functions,
        lines=[(starts[function] + row[0], *row[1:]) for function in order for row in function.lines] if covered else [],
        uses_registers=any(function.name in tagged for function in order),
    )
