"""ELF64 little-endian: sections, symbols, relocations of BPF objects and of files with BTF. Bytes in, checked records out."""

from __future__ import annotations

from struct import Struct

from skep.errors import ObjectError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PROGBITS, SYMTAB, RELA, NOBITS, REL = 1, 2, 4, 8, 9
ALLOCATED, EXECUTABLE = 2, 4
NOTYPE, OBJECT, FUNCTION, SECTION = 0, 1, 2, 3
LOCAL, GLOBAL, WEAK = 0, 1, 2

_HEADER = Struct("<16sHHIQQQIHHHHHH")
_SECTION = Struct("<IIQQQQIIQQ")
_SYMBOL = Struct("<IBBHQQ")
_REL = Struct("<QII")


class Section:
    __slots__ = ("data", "flags", "index", "info", "link", "name", "size", "type")

    def __init__(self, index: int, type: int, flags: int, size: int, link: int, info: int, data: bytes) -> None:
        self.index = index
        self.name = ""
        self.type = type
        self.flags = flags
        self.size = size
        self.link = link
        self.info = info
        self.data = data


class Symbol:
    __slots__ = ("binding", "hidden", "name", "section", "size", "type", "value")

    def __init__(self, name: str, info: int, other: int, section: int, value: int, size: int) -> None:
        self.name = name
        self.type = info & 15
        self.binding = info >> 4
        self.hidden = other & 3 in (1, 2)
        self.section = section
        self.value = value
        self.size = size


class Elf:
    """The sections, symbols and relocations of one object file; raises ObjectError where they are damaged."""

    def __init__(self, data: bytes) -> None:
        if data[:4] != b"\x7fELF" or len(data) < _HEADER.size:
            raise ObjectError(f"not an ELF file: it starts with {data[:4]!r} and has {len(data)} bytes")
        ident, self.type, self.machine, _, _, _, at, _, _, _, _, entry, count, names = _HEADER.unpack_from(data)
        if ident[4] != 2 or ident[5] != 1:
            raise ObjectError("the ELF file is not 64-bit little-endian")
        if count and (entry != _SECTION.size or at + count * entry > len(data)):
            raise ObjectError("the ELF file's section table is cut off")
        self.sections: list[Section] = []
        name_offsets = []
        for index in range(count):
            name, type, flags, _, offset, size, link, info, _, _ = _SECTION.unpack_from(data, at + index * entry)
            content = b""
            if type not in (0, NOBITS):
                if offset + size > len(data):
                    raise ObjectError(f"section {index} of the ELF file is cut off")
                content = data[offset : offset + size]
            name_offsets.append(name)
            self.sections.append(Section(index, type, flags, size, link, info, content))
        self.by_name: dict[str, Section] = {}
        if count:
            strings = self._section(names, "section names").data
            for section, name in zip(self.sections, name_offsets, strict=True):
                section.name = _string(strings, name)
                self.by_name.setdefault(section.name, section)
        self.symbols = [symbol for section in self.sections if section.type == SYMTAB for symbol in self._symbols(section)]

    def _section(self, index: int, what: str) -> Section:
        if not 0 <= index < len(self.sections):
            raise ObjectError(f"the ELF file's {what} are in section {index}, which does not exist")
        return self.sections[index]

    def _symbols(self, table: Section) -> Iterator[Symbol]:
        strings = self._section(table.link, "symbol names").data
        if len(table.data) % _SYMBOL.size:
            raise ObjectError("the ELF file's symbol table is cut off")
        for name, info, other, section, value, size in _SYMBOL.iter_unpack(table.data):
            yield Symbol(_string(strings, name), info, other, section, value, size)

    def relocations(self, target: Section) -> list[tuple[int, int, Symbol]]:
        """(offset, type, symbol) of each relocation of this section, by offset."""
        found = []
        for section in self.sections:
            if section.info != target.index or section.type not in (REL, RELA):
                continue
            if section.type == RELA or len(section.data) % _REL.size:
                raise ObjectError(f"section {section.name}: not a table of REL relocations")
            for offset, type, symbol in _REL.iter_unpack(section.data):
                if symbol >= len(self.symbols) or offset >= target.size:
                    raise ObjectError(f"section {section.name}: relocation at {offset} is outside the file's tables")
                found.append((offset, type, self.symbols[symbol]))
        found.sort(key=_offset)
        return found


def _offset(relocation: tuple[int, int, Symbol]) -> int:
    return relocation[0]


def _string(table: bytes, offset: int) -> str:
    end = table.find(b"\0", offset)
    if end < 0 or offset >= len(table):
        raise ObjectError(f"name at offset {offset} is outside the ELF file's string table")
    return table[offset:end].decode("utf-8", "replace")
