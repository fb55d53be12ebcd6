"""The debug sections of an object: `.BTF` made loadable (sizes and offsets filled in), `.BTF.ext` split by section."""

from __future__ import annotations

from struct import Struct, error, pack_into

from skep.btf.reader import Btf
from skep.btf.types import Array, DataSec, DeclTag, Func, Var
from skep.btf.types import Struct as StructType
from skep.elf import FUNCTION
from skep.errors import ObjectError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.elf import Elf

USES_REGISTERS = "skep:uses_registers"

_EXT_HEADER = Struct("<HBBIIIII")
_CORE_HEADER = Struct("<II")
_PAIR = Struct("<II")
_QUAD = Struct("<IIII")
_TYPE_ID_LOCAL = 6  # of enum bpf_core_relo_kind: the number in this object's BTF, which is in its place already
_STRUCT, _TYPEDEF = 4 << 24, 8 << 24
_STRUCT_ONE_MEMBER = _STRUCT | 1
_KSYMS = ".ksyms"
_ALLOCATED, _EXTERN = 1, 2  # linkage of variables


def read_btf(elf: Elf) -> tuple[Btf | None, dict[str, int]]:
    """The object's BTF, fit for BPF_BTF_LOAD (None without a .BTF section), and the record types of its buffers by name.

    clang leaves the sizes of data sections and the offsets of global variables at 0 for the loader to fill in; the
    kernel refuses both.
    """
    section = elf.by_name.get(".BTF")
    if section is None or not section.data:
        return None, {}
    btf = Btf(section.data)
    data = bytearray(section.data)
    offsets = {(symbol.section, symbol.name): symbol.value for symbol in elf.symbols if symbol.name}
    records: dict[str, int] = {}
    for id in btf.ids("datasec"):
        found = btf.type(id)
        assert isinstance(found, DataSec)
        at = btf.offset_of_type(id)
        if found.name == ".skep":
            records = _take_records(btf, found, data, at)
            continue
        if found.name == _KSYMS:
            _take_kernel_symbols(btf, found, data, at)
            continue
        target = elf.by_name.get(found.name)
        rows = []
        for type_id, offset, size in found.vars:
            variable = btf.type(type_id)
            if isinstance(variable, (Var, Func)) and variable.linkage == _EXTERN:
                raise extern_error(variable.name, found.name)
            if not isinstance(variable, Var):
                raise ObjectError(f"BTF section {found.name}: {variable!r} where a variable belongs")
            place = offset
            if target is not None:
                place = offsets.get((target.index, variable.name), offset)
            rows.append((place, type_id, size or btf.size_of(variable.target)))
        rows.sort()  # the kernel wants ascending offsets, compilers list variables in the order of their use
        try:
            pack_into("<I", data, at + 8, target.size if target else found.size)
            for row, (offset, type_id, size) in enumerate(rows):
                pack_into("<III", data, at + 12 + 12 * row, type_id, offset, size)
        except error as problem:
            raise ObjectError(f"BTF section {found.name}: a variable is outside of what 32 bits can say") from problem
    for symbol in elf.symbols:
        # A hidden function is no interface to anyone: verified with its callers, like a static one, as libbpf has it.
        if symbol.hidden and symbol.type == FUNCTION and (id := btf.find(symbol.name, "func") or 0):
            pack_into("<H", data, btf.offset_of_type(id) + 4, 0)
    return Btf(bytes(data)), records


def kernel_symbols(elf: Elf) -> dict[str, str]:
    """What the object expects of the kernel: "kfunc", "ksym" (a variable with a type) or "ksym_address" by name."""
    section = elf.by_name.get(".BTF")
    if section is None:
        return {}
    btf = Btf(section.data)
    found: dict[str, str] = {}
    for id in btf.ids("datasec"):
        part = btf.type(id)
        for symbol, _, _ in part.vars if isinstance(part, DataSec) and part.name == _KSYMS else ():
            one = btf.type(symbol)
            if isinstance(one, Func):
                found[one.name] = "kfunc"
            elif isinstance(one, Var):
                found[one.name] = "ksym" if btf.strip(one.target) else "ksym_address"
    return found


def _take_kernel_symbols(btf: Btf, section: DataSec, data: bytearray, at: int) -> None:
    """Functions and variables of the kernel that the object names.

    The kernel takes neither what is elsewhere nor a section with it: functions become names of their types, variables ints
    of the object's own, and the section a struct of just as many bytes. The uses themselves are found by relocations.
    """
    integer = next(btf.ids("int"))
    for id, _, _ in section.vars:
        place = btf.offset_of_type(id)
        if isinstance(btf.type(id), Func):
            pack_into("<I", data, place + 4, _TYPEDEF)
        else:
            pack_into("<II", data, place + 8, integer, _ALLOCATED)
    size = btf.size_of(integer)
    pack_into("<III", data, at, 0, _STRUCT | len(section.vars), size * len(section.vars))
    for i in range(len(section.vars)):
        pack_into("<III", data, at + 12 + 12 * i, 0, integer, i * size * 8)


def _take_records(btf: Btf, section: DataSec, data: bytearray, at: int) -> dict[str, int]:
    """Skep's compiler says what perf and ring buffers carry: one variable whose members are arrays of the records.

    The kernel refuses a section of size 0, so the record of it becomes an anonymous struct of just as many bytes.
    """
    variable = btf.type(section.vars[0][0]) if len(section.vars) == 1 else None
    table = btf.type(btf.strip(variable.target)) if isinstance(variable, Var) else None
    if not isinstance(variable, Var) or not isinstance(table, StructType):
        raise ObjectError("BTF section .skep: expected one struct variable, __skep_records")
    pack_into("<IIIIII", data, at, 0, _STRUCT_ONE_MEMBER, table.size, 0, variable.target, 0)
    arrays = {member.name: btf.type(btf.strip(member.type_id)) for member in table.members}
    return {name: array.element for name, array in arrays.items() if isinstance(array, Array)}


def extern_error(name: str, section: str = "") -> UnsupportedError:
    """The error for a symbol that the object leaves to others."""
    what = {".kconfig": "kernel configuration variable", ".ksyms": "kernel symbol"}.get(section, "symbol")
    return UnsupportedError(
        f"the object refers to {name!r}, an extern {what}; Skep does not resolve externs yet",
        needs="an object without extern variables and kernel functions",
    )


def tagged_functions(btf: Btf, tag: str) -> set[str]:
    """Names of the functions that carry this declaration tag."""
    names = set()
    for id in btf.ids("decl_tag"):
        found = btf.type(id)
        if isinstance(found, DeclTag) and found.name == tag and found.component == -1:
            names.add(btf.type(found.target).name)
    return names


class Extension:
    """`.BTF.ext`: per section name, rows by byte offset: `functions` (offset, type id), `lines` (offset, file, line, column)."""

    __slots__ = ("core_relocations", "functions", "lines")

    def __init__(self, data: bytes, btf: Btf) -> None:
        self.functions: dict[str, dict[int, int]] = {}
        self.lines: dict[str, list[tuple[int, int, int, int]]] = {}
        self.core_relocations: list[tuple[str, int]] = []
        if len(data) < _EXT_HEADER.size:
            raise ObjectError(".BTF.ext is cut off")
        magic, version, _, header, functions_at, functions_size, lines_at, lines_size = _EXT_HEADER.unpack_from(data)
        if magic != 0xEB9F or version != 1:
            raise ObjectError(f".BTF.ext: magic {magic:#06x}, version {version}; expected 0xeb9f, version 1")
        core_at = core_size = 0
        if header >= _EXT_HEADER.size + _CORE_HEADER.size and len(data) >= _EXT_HEADER.size + _CORE_HEADER.size:
            core_at, core_size = _CORE_HEADER.unpack_from(data, _EXT_HEADER.size)
        for name, record, at, count in _groups(data, header + functions_at, functions_size, 8, btf):
            rows = self.functions.setdefault(name, {})
            for place in range(at, at + record * count, record):
                offset, type_id = _PAIR.unpack_from(data, place)
                rows[offset] = type_id
        for name, record, at, count in _groups(data, header + lines_at, lines_size, 16, btf):
            lines = self.lines.setdefault(name, [])
            if record == _QUAD.size:
                lines.extend(_QUAD.iter_unpack(memoryview(data)[at : at + record * count]))
            else:
                lines.extend(_QUAD.unpack_from(data, place) for place in range(at, at + record * count, record))
        for name, record, at, count in _groups(data, header + core_at, core_size, 16, btf):
            for place in range(at, at + record * count, record):
                offset, _, _, kind = _QUAD.unpack_from(data, place)
                if kind != _TYPE_ID_LOCAL:
                    self.core_relocations.append((name, offset))


def _groups(data: bytes, at: int, size: int, least: int, btf: Btf) -> Iterator[tuple[str, int, int, int]]:
    """(section name, record size, first record, number of records) of one of the tables."""
    if not size:
        return
    end = at + size
    if end > len(data) or size < 4:
        raise ObjectError(".BTF.ext: a table is cut off")
    record = int.from_bytes(data[at : at + 4], "little")
    if record < least:
        raise ObjectError(f".BTF.ext: records of {record} bytes; at least {least} expected")
    at += 4
    while at < end:
        if at + 8 > end:
            raise ObjectError(".BTF.ext: a table is cut off")
        name, count = _PAIR.unpack_from(data, at)
        at += 8
        if at + record * count > end:
            raise ObjectError(".BTF.ext: a table is cut off")
        yield btf.string(name), record, at, count
        at += record * count
