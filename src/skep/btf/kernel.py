"""The running kernel's BTF: `/sys/kernel/btf/vmlinux`, mapped where the kernel allows, with its index kept on disk."""

from __future__ import annotations

import mmap
import os
import sys

from skep.btf.kernel_id import kernel_identity
from skep.btf.reader import Btf
from skep.cache import Cache
from skep.errors import ObjectError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/sys/kernel/btf/vmlinux"
_loaded: dict[str, Btf] = {}  # one kernel, one BTF: its index and decoded types are shared by the whole process


def load() -> Btf:
    """See skep.btf.kernel_btf."""
    path = os.environ.get("SKEP_BTF") or PATH
    if path not in _loaded:
        _loaded[path] = _load(path)
    return _loaded[path]


def load_modules(name: str, only: str = "") -> Iterator[Btf]:
    """See skep.btf.module_btfs. A module is decoded when its strings, or the kernel's that it shares, have the name."""
    if os.environ.get("SKEP_BTF"):  # another kernel's: what is loaded here does not belong to it
        return
    folder = os.path.dirname(PATH)
    wanted = b"\0" + name.encode() + b"\0"
    try:
        modules = [only] if only else sorted(set(os.listdir(folder)) - {"vmlinux"})
    except OSError:
        return
    base = load()
    shared = bool(modules) and base.has_string(name)
    for module in modules:
        try:
            with open(f"{folder}/{module}", "rb", buffering=0) as file:
                data = file.read()
        except OSError:  # no such module, or it went away
            continue
        if shared or wanted in data:
            yield Btf(data, base, module=module)  # not kept: a module can come back with other types


def _load(path: str) -> Btf:
    try:
        data = _map(path)
    except FileNotFoundError as error:
        if path != PATH:
            raise UnsupportedError(f"SKEP_BTF={path}: no such file", needs="a file with BTF") from error
        raise UnsupportedError(
            f"This kernel ({os.uname().release}) has no {PATH}: the types of kernel structures are not known",
            needs="Linux 5.4 with CONFIG_DEBUG_INFO_BTF=y, or SKEP_BTF=FILE with the BTF of this kernel",
        ) from error
    except OSError as error:
        raise UnsupportedError(f"{path} cannot be read: {error.strerror}", needs="read access to the kernel's BTF") from error
    if path != PATH:
        try:
            return Btf(_btf_section(data) if data[:4] == b"\x7fELF" else data)
        except ObjectError as error:
            raise ObjectError(f"SKEP_BTF={path}: {error}") from error
    cache = Cache()
    key = cache.key("btf-index", kernel_identity(path)) if cache.enabled else ""
    index = cache.get(key) if key else None
    btf = Btf(data, index=index or b"")
    if key and index is None:
        cache.put(key, btf.index())
    return btf


def _map(path: str) -> bytes | mmap.mmap:
    with open(path, "rb", buffering=0) as file:
        if sys.version_info >= (3, 13):
            # Linux 6.16 and newer map it, and only privately: a shared mapping, Python's default, is EACCES. Before
            # Python 3.13 a mapping keeps a duplicate of the fd open, for as long as the process: reading costs 4 ms.
            try:
                return mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ, trackfd=False)
            except (OSError, ValueError):
                pass
        return file.read()


def _btf_section(data: bytes | mmap.mmap) -> bytes:
    from skep.elf import Elf

    section = Elf(bytes(data)).by_name.get(".BTF")
    if section is None:
        raise ObjectError("an ELF file without a .BTF section")
    return section.data
