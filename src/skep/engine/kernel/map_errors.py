"""What the kernel's refusals of maps and of their elements mean, in words. Imported when something failed."""

from __future__ import annotations

import errno
import fcntl
import os

from skep.engine import element_errors
from skep.engine.element_errors import INDEXED
from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.errors import MapError, PrivilegeError
from skep.object.kinds import LPM_KEY_SIZES, MAP_TYPES, PER_CPU, map_type_name, map_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.engine.kernel.maps import KernelMap
    from skep.object.model import MapSpec

_KEYLESS = map_types("queue stack bloom_filter")
_STORAGES = map_types("sk_storage inode_storage task_storage cgrp_storage")
_MAPS_OF_MAPS = map_types("array_of_maps hash_of_maps")
_MOST_ENTRIES = (
    (map_types("hash lru_hash percpu_hash lru_percpu_hash hash_of_maps devmap_hash sockhash"), 1 << 31, "entries"),
    (map_types("ringbuf user_ringbuf"), 1 << 31, "bytes"),
    (map_types("arena"), (1 << 32) // os.sysconf("SC_PAGESIZE"), "pages"),
)
_PER_CPU_BYTES = 32 << 10  # PCPU_MIN_UNIT_SIZE (include/linux/percpu.h): before 6.12 a per-CPU array gets ENOMEM, not E2BIG
_AT_ONCE = 4 << 20  # KMALLOC_MAX_SIZE (include/linux/slab.h) with pages of 4 KiB


def element_error(map: KernelMap, command: int, number: int, key: bytes) -> MapError:
    """The error of an element call that the kernel answered with the errno `number`."""
    operation = syscall.COMMAND_NAMES[command]
    denied = denial(map.fd) if number == errno.EPERM else ""
    return element_errors.element_error(map.name, map.type, map.max_entries, operation, number, key, denied)


def memory_error(map: KernelMap, number: int) -> MapError:
    """The error of a map whose memory may not be seen, or not be written, through its fd."""
    return element_errors.element_error(map.name, map.type, map.max_entries, "memory access", number, b"", denial(map.fd))


def denial(fd: int) -> str:
    """Why a map permits something no more: "frozen", or "read-only" or "write-only" through this fd; "" for none of these."""
    from skep.engine.kernel.map_info import map_info

    try:
        mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
        frozen = map_info(fd).get("frozen")
    except (OSError, MapError):  # closed meanwhile
        return ""
    return {os.O_WRONLY: "write-only", os.O_RDONLY: "read-only"}.get(mode) or ("frozen" if frozen else "")


def create_error(spec: MapSpec, max_entries: int, result: int) -> MapError | PrivilegeError:
    """The error of a map that could not be made; `result` is the negated errno."""
    what = (
        f"cannot create map {spec.name!r} ({map_type_name(spec.type)}, key {spec.key_size}, value {spec.value_size}, "
        f"max_entries {max_entries}, flags {spec.flags:#x}): {errno_text(result)}"
    )
    if result == -errno.EPERM:
        from skep.engine.privileges import missing_for_bpf

        missing = missing_for_bpf()
        if missing:
            return PrivilegeError(f"{what}; this process lacks {', '.join(missing)}: run as root", missing=missing)
        return MapError(what, errno=errno.EPERM, map_name=spec.name)
    why = ""
    if result == -errno.EINVAL:
        if spec.type in _STORAGES:
            why = "; it needs BTF of its value, BPF_F_NO_PREALLOC (1), max_entries 0, or this kernel does not know it"
        elif max_entries == 0:
            why = "; max_entries must not be 0"
        elif spec.type == MAP_TYPES["lpm_trie"] and not spec.flags & 1:
            why = "; an LPM trie needs the flag BPF_F_NO_PREALLOC (1)"
        elif spec.type == MAP_TYPES["lpm_trie"] and not LPM_KEY_SIZES[0] <= spec.key_size <= LPM_KEY_SIZES[1]:
            least, most = LPM_KEY_SIZES
            why = f"; the key of an LPM trie has {least} to {most} bytes, of which 4 are the length of the prefix"
        elif spec.type in INDEXED and spec.key_size != 4:
            why = "; an array's key has 4 bytes"
        elif spec.type in _MAPS_OF_MAPS and spec.inner is None:
            why = "; a map of maps needs the description of its inner map"
        elif spec.type in _KEYLESS and spec.key_size:
            why = f"; a {map_type_name(spec.type)} has no key"
        else:
            why = "; a size or flag does not fit this type, or this kernel does not know it"
    elif result in (-errno.E2BIG, -errno.ENOMEM):
        why = f"; {_too_large(spec, max_entries, result)}"
    return MapError(what + why, errno=-result, map_name=spec.name)


def _too_large(spec: MapSpec, max_entries: int, result: int) -> str:
    """Which of the kernel's limits a map is above, and what is below it."""
    numbers = {"key": spec.key_size, "value": spec.value_size, "max_entries": max_entries, "flags": spec.flags}
    kind = map_type_name(spec.type)
    for kinds, most, unit in _MOST_ENTRIES:
        if spec.type in kinds and max_entries > most:
            return f"a map of kind {kind} has {most} {unit} at most"
    for name, number in numbers.items():
        if not 0 <= number < 1 << 32:
            return f"{name} is a number of 32 bits, not {number}"
    if spec.type in PER_CPU and spec.value_size > _PER_CPU_BYTES:
        return (
            f"a value has {_PER_CPU_BYTES} bytes at most on each CPU, not {spec.value_size}: use smaller values and more of "
            f"them, or the kind {kind.replace('percpu_', '')}, whose values all CPUs share"
        )
    if result == -errno.E2BIG and spec.type in INDEXED:
        return "it is too large" if spec.value_size < 1 << 31 else "a value has less than 2 GiB"
    if result == -errno.E2BIG and spec.key_size + spec.value_size > _AT_ONCE - (64 << 10):
        return f"an element has less than {_AT_ONCE >> 20} MiB, the most that the kernel allocates at once"
    if result == -errno.E2BIG:
        return "it is too large"
    size = max_entries * (spec.key_size + spec.value_size)
    return f"the kernel has no memory for {size:,} bytes now: make max_entries or the values smaller"
