"""Machine code in this process: links an object of the compiler's host target into memory of its own, without LLVM.

In: an ELF object (x86-64, position-independent, small code model), or a C file of this package. Out: addresses and functions.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from struct import Struct

from skep.elf import ALLOCATED, EXECUTABLE, NOBITS, RELA, Elf
from skep.errors import ObjectError, SkepError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from skep.elf import Section, Symbol

_WRITABLE = 1  # SHF_WRITE
_COMMON, _UNDEFINED = 0xFFF2, 0
_RELA_ENTRY = Struct("<QIIq")
# System V ABI, AMD64 supplement, table 4.9
_R_64, _R_PC32, _R_PLT32, _R_GOTPCREL, _R_PC64, _R_GOTPCRELX, _R_REX_GOTPCRELX = 1, 2, 4, 9, 24, 41, 42
_GOT_KINDS = (_R_GOTPCREL, _R_GOTPCRELX, _R_REX_GOTPCRELX)
_STUB = b"\xff\x25"  # jmp *displacement(%rip)
_STUB_SIZE = 8
_ALIGNMENT = 64  # the largest that the compiler's sections ask for
_PAGE = mmap.PAGESIZE
_PROT_READ, _PROT_EXEC = 1, 4
_MACHINES = ("x86_64",)
_LIBC: Any = ctypes.CDLL(None, use_errno=True)


class NativeCode:
    """An object linked into memory: code that may run, constants that may be read, variables that may be written.

    `imports` are addresses by name for what the object does not define; other names are taken from the C library. A context
    manager; the memory goes with `close()`, or with the last of this object and its functions.
    ObjectError for a damaged object or an unknown name, UnsupportedError on other machines than x86-64.
    """

    __slots__ = ("_memory", "_symbols", "base", "size")

    def __init__(self, data: bytes, imports: Mapping[str, int] | None = None) -> None:
        if os.uname().machine not in _MACHINES:
            raise UnsupportedError(f"machine code for {os.uname().machine} cannot be linked yet", needs="x86-64")
        elf = Elf(data)
        parts = [section for section in elf.sections if section.flags & ALLOCATED and section.size]
        imported = sorted({symbol.name for symbol in elf.symbols if symbol.section == _UNDEFINED and symbol.name})
        offsets, stubs, got, limits = _lay_out(parts, len(elf.symbols), len(imported))
        self.size = limits[-1]
        self._memory: mmap.mmap | None = mmap.mmap(-1, self.size)
        try:
            self.base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
            for section in parts:
                if section.type != NOBITS:
                    self._memory[offsets[section.index] : offsets[section.index] + section.size] = section.data
            linker = _Linker(self._memory, self.base, offsets, stubs, got, elf, imports or {})
            for section in elf.sections:
                if section.type == RELA and section.info in offsets:
                    linker.relocate(section)
            self._symbols = {
                symbol.name: linker.address(symbol) for symbol in elf.symbols if symbol.name and symbol.section in offsets
            }
            for start, end, protection in (
                (0, limits[0], _PROT_READ | _PROT_EXEC),
                (limits[0], limits[1], _PROT_READ),
            ):
                if end > start and _LIBC.mprotect(ctypes.c_void_p(self.base + start), ctypes.c_size_t(end - start), protection):
                    reason = os.strerror(ctypes.get_errno())
                    raise SkepError(f"this system does not let a process make memory that runs (mprotect: {reason})")
        except BaseException:
            self.close()
            raise

    def address(self, name: str) -> int:
        """Where a function or variable of the object is."""
        address = self._symbols.get(name)
        if address is None:
            raise ObjectError(f"the machine code has no symbol {name!r}")
        return address

    def function(self, name: str, result: Any, *arguments: Any, gil: bool = False) -> Callable[..., Any]:
        """A function as ctypes calls it; `gil` keeps the interpreter's lock held (quicker to call, must not wait)."""
        prototype: Any = (ctypes.PYFUNCTYPE if gil else ctypes.CFUNCTYPE)(result, *arguments)
        function: Callable[..., Any] = prototype(self.address(name))
        function.code = self  # type: ignore[attr-defined]  # the memory stays while the function does
        return function

    def close(self) -> None:
        """Unmap the memory: its functions must not be called any more."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()

    def __enter__(self) -> NativeCode:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Linker:
    """Writes addresses into the sections of one object."""

    __slots__ = ("_base", "_elf", "_got", "_imports", "_memory", "_offsets", "_slots", "_stub_of", "_stubs")

    def __init__(
        self, memory: mmap.mmap, base: int, offsets: dict[int, int], stubs: int, got: int, elf: Elf, imports: Mapping[str, int]
    ) -> None:
        self._memory = memory
        self._base = base
        self._offsets = offsets
        self._stubs = stubs
        self._got = got
        self._elf = elf
        self._imports = imports
        self._slots: dict[int, int] = {}  # entries of the global offset table by the address in them
        self._stub_of: dict[int, int] = {}

    def address(self, symbol: Symbol) -> int:
        if symbol.section in self._offsets:
            return self._base + self._offsets[symbol.section] + symbol.value
        if symbol.section == _COMMON:
            raise ObjectError(f"symbol {symbol.name!r} is a common one: compile with an initialiser")
        if symbol.section != _UNDEFINED:
            return self._base  # a section without bytes
        address = self._imports.get(symbol.name)
        if not address and hasattr(_LIBC, symbol.name):
            address = ctypes.cast(_LIBC[symbol.name], ctypes.c_void_p).value
        if not address:
            raise ObjectError(f"the machine code needs {symbol.name!r}, which neither its imports nor the C library has")
        return address

    def relocate(self, table: Section) -> None:
        start = self._offsets[table.info]
        symbols = self._elf.symbols
        for offset, kind, number, addend in _RELA_ENTRY.iter_unpack(table.data):
            symbol = symbols[number]
            place = start + offset
            target = self.address(symbol)
            if kind == _R_64:
                self._write(place, target + addend, 8, symbol)
            elif kind == _R_PC64:
                self._write(place, target + addend - self._base - place, 8, symbol)
            elif kind in _GOT_KINDS:
                self._write(place, self._slot(target) + addend - place, 4, symbol)
            elif kind in (_R_PC32, _R_PLT32):
                distance = target + addend - self._base - place
                if not -(1 << 31) <= distance < 1 << 31:
                    distance = self._stub(target) + addend - place
                self._write(place, distance, 4, symbol)
            else:
                raise ObjectError(f"relocation of type {kind} against {symbol.name!r}: not one of the small code model's")

    def _slot(self, target: int) -> int:
        """The offset of the table's entry for an address."""
        slot = self._slots.get(target)
        if slot is None:
            slot = self._slots[target] = self._got + 8 * len(self._slots)
            self._memory[slot : slot + 8] = target.to_bytes(8, "little")
        return slot

    def _stub(self, target: int) -> int:
        """The offset of a jump to an address that is too far for a call."""
        stub = self._stub_of.get(target)
        if stub is None:
            stub = self._stub_of[target] = self._stubs + _STUB_SIZE * len(self._stub_of)
            distance = self._slot(target) - (stub + 6)
            self._memory[stub : stub + 6] = _STUB + distance.to_bytes(4, "little", signed=True)
        return stub

    def _write(self, place: int, value: int, size: int, symbol: Symbol) -> None:
        try:
            self._memory[place : place + size] = (value & (1 << 64) - 1 if size == 8 else value).to_bytes(
                size, "little", signed=size == 4
            )
        except OverflowError:
            raise ObjectError(f"{symbol.name!r} is too far away for its relocation") from None


def _lay_out(parts: list[Section], symbols: int, imports: int) -> tuple[dict[int, int], int, int, list[int]]:
    """(offset of each section, of the stubs, of the offset table; the ends of code, constants and variables, in whole pages)."""
    offsets: dict[int, int] = {}
    limits: list[int] = []
    end = stubs = got = 0
    for group in (
        [part for part in parts if part.flags & EXECUTABLE],
        # written by relocations and then no more
        [part for part in parts if not part.flags & EXECUTABLE and (not part.flags & _WRITABLE or "rel.ro" in part.name)],
        [part for part in parts if part.flags & _WRITABLE and "rel.ro" not in part.name],
    ):
        for part in group:
            end = -(-end // _ALIGNMENT) * _ALIGNMENT
            offsets[part.index] = end
            end += part.size
        end = -(-end // _ALIGNMENT) * _ALIGNMENT
        if not limits:
            stubs = end
            end += _STUB_SIZE * imports
        elif len(limits) == 1:
            got = end
            end += 8 * symbols
        end = -(-end // _PAGE) * _PAGE
        limits.append(end)
    return offsets, stubs, got, limits


def load(path: str, imports: Mapping[str, int] | None = None) -> NativeCode:
    """The machine code of a C file of this package, compiled once and then cached; it may include headers beside it."""
    return NativeCode(compile_file(path), imports)


def compile_file(path: str) -> bytes:
    """The host object of a C file, from the cache where nothing in its folder has changed."""
    from skep.build import compiler_state
    from skep.cache import Cache

    cache = Cache()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    key = ""
    if cache.enabled:
        key = cache.key("native", os.uname().machine, compiler_state(), os.path.basename(path), text, *_headers(path))
        data = cache.get(key)
        if data is not None:
            return data
    from skep.compiler import compile_source

    compiled = compile_source(text, file=path, target="host")
    if compiled.diagnostics:
        raise ObjectError(f"{path} compiles with warnings:\n{compiled.diagnostics}")
    if key:
        cache.put(key, compiled.data)
    return compiled.data


def _headers(path: str) -> list[bytes]:
    folder = os.path.dirname(path)
    contents = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".h"):
            with open(os.path.join(folder, name), "rb") as file:
                contents.append(file.read())
    return contents
