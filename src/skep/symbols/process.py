"""The functions of a process by address: /proc/PID/maps says which file, the file's symbols say which function."""

from __future__ import annotations

import os
from bisect import bisect_right

from skep.errors import SkepError
from skep.symbols.binary import FIXED, Binary


class ProcessSymbols:
    """`resolve` gives (name, offset, file) of an address; a process that ended is known by what it had when first asked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._binaries: dict[str, Binary | None] = {}
        self._ranges: list[tuple[int, int, int, str]] = []
        self._starts: list[int] = []
        self._read()

    def _read(self) -> None:
        found = []
        try:
            with open(f"/proc/{self.pid}/maps") as maps:
                for line in maps:
                    fields = line.split(None, 5)
                    if len(fields) == 6 and "x" in fields[1]:
                        start, _, end = fields[0].partition("-")
                        found.append((int(start, 16), int(end, 16), int(fields[2], 16), fields[5].rstrip("\n")))
        except OSError:
            return
        self._ranges = found
        self._starts = [start for start, _, _, _ in found]

    def _find(self, address: int) -> tuple[int, int, int, str] | None:
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._ranges[index][1]:
            return self._ranges[index]
        return None

    def resolve(self, address: int) -> tuple[str | None, int, str] | None:
        """(function or None, bytes from its start, or from the file's for None, file); None outside of all files."""
        found = self._find(address)
        if found is None:
            self._read()  # libraries come and go
            found = self._find(address)
            if found is None:
                return None
        start, _, offset, path = found
        binary = self._binary(path)
        if binary is None:
            return None, address - start + offset, path
        at = address if binary.type == FIXED else binary.address_of_offset(address - start + offset)
        symbol = binary.resolve(at) if at is not None else None
        return (*symbol, path) if symbol is not None else (None, address - start + offset, path)

    def address(self, name: str, path: str) -> int | None:
        """Where a function of a mapped file is in this process."""
        for start, _, offset, mapped in self._ranges:
            binary = self._binary(mapped) if os.path.realpath(mapped) == os.path.realpath(path) else None
            at = binary.address(name) if binary is not None else None
            if binary is not None and at is not None:
                return at if binary.type == FIXED else start + binary.file_offset(at) - offset
        return None

    def _binary(self, path: str) -> Binary | None:
        if path not in self._binaries:
            self._binaries[path] = None
            if path.startswith("/"):
                for where in (f"/proc/{self.pid}/root{path}", path):
                    try:
                        self._binaries[path] = _shared(where)
                        break
                    except (OSError, SkepError):
                        continue
        return self._binaries[path]


_read: dict[tuple[int, int, int, int], Binary] = {}


def _shared(path: str) -> Binary:
    """A file's symbols, read once for all processes that have it."""
    status = os.stat(path)
    key = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    binary = _read.get(key)
    if binary is None:
        binary = Binary(path)
        binary.functions()  # now, while the process is there
        _read[key] = binary
    return binary
