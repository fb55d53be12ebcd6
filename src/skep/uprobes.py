"""Places for uprobes: BCC's names (a library or path, a symbol, a pattern or an address, a process) to targets of hooks."""

from __future__ import annotations

from skep.errors import AttachError, SkepError
from skep.symbols.binary import Binary
from skep.symbols.libraries import find_binary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def targets(name: str, sym: str = "", sym_re: str = "", addr: int | None = None, pid: int = -1, sym_off: int = 0) -> list[str]:
    """Hook targets; `sym_re` gives one for each address that has a function with a matching name."""
    if (bool(sym) + bool(sym_re) + (addr is not None)) != 1:
        raise SkepError("a uprobe's place is given by one of sym=, sym_re= and addr=")
    if not isinstance(sym_off, int) or sym_off < 0 or (sym_off and not sym):
        raise SkepError(f"sym_off={sym_off!r}: it is a number of bytes from a symbol's start, 0 or more, and goes with sym=")
    if not isinstance(pid, int):
        raise SkepError(f"pid={pid!r}: a process id, or -1 for all")
    path = find_binary(name, pid)
    binary = Binary(path)
    if addr is not None:
        return [target(binary, addr, pid)]
    if sym_re:
        return [target(binary, address, pid) for address in sorted(set(_matching(binary, sym_re)))]
    address = binary.address(sym)
    if address is None:
        from skep.engine.kernel.ladder import near_names

        near = near_names(sym, {function.name for function in binary.functions()})
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise AttachError(f"{path} has no symbol {sym!r}{hint}", candidates=near)
    return [target(binary, address + sym_off, pid)]


def target(binary: Binary, address: int, pid: int = -1) -> str:
    """The hook target of a virtual address."""
    place = f"{binary.path}:{binary.file_offset(address):#x}"
    return f"{place} of process {pid}" if pid > 0 else place


def functions(name: str, pattern: str) -> list[tuple[str, int]]:
    """(name, address) of a library's or program's functions whose names a regular expression matches at their start."""
    return list(_named(Binary(find_binary(name)), pattern))


def _matching(binary: Binary, pattern: str) -> Iterator[int]:
    return (address for _, address in _named(binary, pattern))


def _named(binary: Binary, pattern: str) -> Iterator[tuple[str, int]]:
    import re

    try:
        matches = re.compile(pattern).match
    except re.error as error:
        raise SkepError(f"sym_re={pattern!r} is no regular expression: {error}") from None
    return ((function.name, function.address) for function in binary.functions() if matches(function.name))
