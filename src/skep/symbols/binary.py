"""Programs and libraries as ELF files (64-bit little-endian): symbols, file offsets of addresses, sections."""

from __future__ import annotations

from bisect import bisect_right
from struct import Struct

from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator

_HEADER = Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = Struct("<IIQQQQQQ")
_SECTION = Struct("<IIQQQQIIQQ")
_SYMBOL = Struct("<IBBHQQ")
_LOAD = 1
_SYMTAB, _DYNSYM, _NOBITS = 2, 11, 8
_FUNCTION, _INDIRECT = 2, 10  # STT_FUNC, STT_GNU_IFUNC
FIXED = 2  # ET_EXEC; the others are moved when they are loaded


class Function:
    """A function's name, virtual address and size in bytes."""

    __slots__ = ("address", "name", "size")

    def __init__(self, name: str, address: int, size: int) -> None:
        self.name = name
        self.address = address
        self.size = size

    def __repr__(self) -> str:
        return f"<{self.name} at {self.address:#x}, {self.size} bytes>"


class Binary:
    """One file; raises SkepError where it cannot be read or is no 64-bit ELF file."""

    def __init__(self, path: str) -> None:
        self.path = path
        head = self._bytes(0, _HEADER.size)
        if head[:4] != b"\x7fELF" or len(head) < _HEADER.size or head[4] != 2 or head[5] != 1:
            raise SkepError(f"{path} is not a 64-bit little-endian ELF file")
        _, self.type, _, _, _, segments, sections, _, _, _, segment_count, _, section_count, names = _HEADER.unpack(head)
        self.segments = list(_SEGMENT.iter_unpack(self._bytes(segments, segment_count * _SEGMENT.size)))
        self.sections = list(_SECTION.iter_unpack(self._bytes(sections, section_count * _SECTION.size)))
        self._names = self._content(self.sections[names]) if names < len(self.sections) else b""
        self._functions: list[Function] | None = None
        self._addresses: list[int] = []

    def _bytes(self, offset: int, size: int) -> bytes:
        """A part of the file, which is not kept open: a library may be looked at for as long as the process lives."""
        try:
            with open(self.path, "rb") as file:
                file.seek(offset)
                data = file.read(size)
        except (OSError, ValueError, OverflowError) as error:
            raise SkepError(f"cannot read {self.path}: {getattr(error, 'strerror', error)}") from error
        if len(data) < size and offset:
            raise SkepError(f"{self.path} is a damaged ELF file: it ends before what its headers name")
        return data

    def _content(self, section: tuple[int, ...]) -> bytes:
        return self._bytes(section[4], section[5]) if section[1] != _NOBITS else b""

    def section(self, name: str) -> tuple[int, bytes] | None:
        """(address, content) of a section."""
        for row in self.sections:
            if _text(self._names, row[0]) == name and row[1] != _NOBITS:
                return row[3], self._content(row)
        return None

    def file_offset(self, address: int) -> int:
        """Where in the file the byte is that is at a virtual address; raises SkepError when it is in none of what is loaded."""
        for type, _, offset, start, _, size, _, _ in self.segments:
            if type == _LOAD and start <= address < start + size:
                return int(address - start + offset)
        raise SkepError(f"{self.path} has nothing at address {address:#x}")

    def address_of_offset(self, offset: int) -> int | None:
        """The virtual address of a byte of the file."""
        for type, _, at, start, _, size, _, _ in self.segments:
            if type == _LOAD and at <= offset < at + size:
                return int(offset - at + start)
        return None

    def _symbols(self, types: Container[int] = range(16)) -> Iterator[tuple[str, int, int]]:
        """(name, address, size) of what is defined here; the full table first, then the dynamic one."""
        for row in sorted(self.sections, key=_kind):
            if row[1] not in (_SYMTAB, _DYNSYM) or row[6] >= len(self.sections):
                continue
            strings, table = self._content(self.sections[row[6]]), self._content(row)
            whole = len(table) // _SYMBOL.size * _SYMBOL.size
            for name, info, _, section, address, size in _SYMBOL.iter_unpack(table[:whole]):
                if section and address and info & 15 in types:
                    yield _text(strings, name), address, size

    def functions(self) -> list[Function]:
        """The functions by address; several names of one address are all there."""
        if self._functions is None:
            seen: dict[tuple[int, str], int] = {}
            for name, address, size in self._symbols((_FUNCTION, _INDIRECT)):
                seen.setdefault((address, name.partition("@")[0]), size)
            found = [Function(name, address, size) for (address, name), size in seen.items()]
            found.sort(key=_address)
            self._functions = found
            self._addresses = [function.address for function in found]
        return self._functions

    def address(self, symbol: str) -> int | None:
        """The virtual address of a function (or other symbol) by its name."""
        for function in self.functions():
            if function.name == symbol:
                return function.address
        return next((address for name, address, _ in self._symbols() if name.partition("@")[0] == symbol), None)

    def resolve(self, address: int) -> tuple[str, int] | None:
        """(name, bytes from its start) of the function that has a virtual address."""
        functions = self.functions()
        index = bisect_right(self._addresses, address) - 1
        while index >= 0:
            function = functions[index]
            if address - function.address < max(function.size, 1):
                return function.name, address - function.address
            if function.size:  # what has none may stand inside of another
                return None
            index -= 1
        return None


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.find(b"\0", at)].decode("utf-8", "replace")


def _kind(section: tuple[int, ...]) -> int:
    return section[1]


def _address(function: Function) -> int:
    return function.address
