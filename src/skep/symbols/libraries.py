"""Which file a name means to BCC: a path, a library without its "lib" ("c", "pthread"), or a program on PATH."""

from __future__ import annotations

import os
from struct import unpack_from

from skep.errors import SkepError

_CACHE = "/etc/ld.so.cache"
_MAGIC = b"glibc-ld.so.cache1.1"  # dl-cache.h of glibc: header of 48 bytes, entries of 24


def find_binary(name: str, pid: int = -1) -> str:
    """The path of a library or program, as process `pid` sees it; raises SkepError when there is none."""
    root = f"/proc/{pid}/root" if pid > 0 else ""
    found = None
    if "/" in name:
        found = name if os.path.exists(root + name) else None
    else:
        found = (_mapped(name, pid) if pid > 0 else None) or _cached(name) or _program(name, root)
    if found is None:
        where = f" of process {pid}" if pid > 0 else ""
        raise SkepError(f"there is no library or program {name!r}{where}: a path, a library's name without 'lib', or a command")
    path = root + found
    if pid > 0 and _same_file(path, found):
        return os.path.realpath(found)
    return path if root else os.path.realpath(path)


def find_library(name: str, pid: int = 0) -> str | None:
    """The path of a library by its name without "lib", first among those that process `pid` has mapped; a path is itself."""
    if "/" in name:
        return name
    return (_mapped(name, pid) if pid > 0 else None) or _cached(name)


def find_program(name: str) -> str | None:
    """The path of a command, by its path or from PATH."""
    if "/" in name:
        return name if os.path.isfile(name) and os.access(name, os.X_OK) else None
    return _program(name, "")


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def is_library(path: str, name: str) -> bool:
    """Is the file libNAME.so, libNAME.so.6 or libNAME-2.36.so?"""
    base = os.path.basename(path)
    rest = base.removeprefix(f"lib{name}")
    return rest != base and ".so" in rest and rest[0] in ".-"


def _mapped(name: str, pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/maps") as maps:
            paths = [fields[5].rstrip("\n") for line in maps if len(fields := line.split(None, 5)) == 6]
    except OSError as error:
        raise SkepError(f"process {pid} cannot be looked at: {error.strerror}") from error
    return next((path for path in paths if path.startswith("/") and is_library(path, name)), None)


def _cached(name: str) -> str | None:
    """From the dynamic linker's cache."""
    try:
        with open(_CACHE, "rb") as file:
            data = file.read()
    except OSError:
        return None
    start = data.find(_MAGIC)
    if start < 0:
        return None
    (count,) = unpack_from("<I", data, start + len(_MAGIC))
    for i in range(count):
        flags, key, value = unpack_from("<iII", data, start + 48 + 24 * i)
        library = data[start + key : data.find(b"\0", start + key)].decode("utf-8", "replace")
        if flags & 0xFF00 in (0x0300, 0x0A00) and is_library(library, name):  # x86-64, AArch64
            return data[start + value : data.find(b"\0", start + value)].decode("utf-8", "replace")
    return None


def _program(name: str, root: str) -> str | None:
    for folder in os.environ.get("PATH", "/usr/bin:/bin").split(":"):
        path = f"{folder}/{name}"
        if os.path.isfile(root + path) and os.access(root + path, os.X_OK):
            return path
    return None
