"""What the kernel's refusals of maps and of their elements mean, in words. Imported when something failed."""

from __future__ import annotations

import errno

from skep.engine.kernel import syscall
from skep.engine.kernel.syscall import errno_text
from skep.errors import MapError, MapIndexError, MapKeyError, PrivilegeError
from skep.object.kinds import MAP_TYPES, map_type_name, map_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.object.model import MapSpec

_INDEXED = map_types(
    "array prog_array perf_event_array percpu_array cgroup_array array_of_maps devmap cpumap xskmap sockmap reuseport_sockarray"
)
_KEYLESS = map_types("queue stack bloom_filter")
_STORAGES = map_types("sk_storage inode_storage task_storage cgrp_storage")
_MAPS_OF_MAPS = map_types("array_of_maps hash_of_maps")


def element_error(name: str, type: int, max_entries: int, command: int, number: int, key: bytes) -> MapError:
    """The error of an element call that the kernel answered with the errno `number`."""
    what = f"{syscall.COMMAND_NAMES[command]} in map {name!r} ({map_type_name(type)})"
    index = int.from_bytes(key, "little") if type in _INDEXED and len(key) == 4 else None
    if number == errno.E2BIG and command == syscall.MAP_UPDATE_ELEM:
        if index is not None:
            return MapIndexError(
                f"{what}: index {index} is out of range, max_entries is {max_entries}", errno=number, map_name=name
            )
        return MapError(
            f"{what}: the map is full, max_entries is {max_entries} (E2BIG); make it larger or use an LRU hash",
            errno=number,
            map_name=name,
        )
    if number == errno.ENOENT and command == syscall.MAP_UPDATE_ELEM:
        reason = "no such CPU event or key"
        if index is not None and index >= max_entries:
            return MapIndexError(f"{what}: index {index}, max_entries {max_entries}", errno=number, map_name=name)
        return MapKeyError(f"{what}: {reason} (key {key.hex()})", errno=number, map_name=name)
    if number == errno.EEXIST:
        if index is not None:
            return MapKeyError(
                f"{what}: an array's elements always exist, so 'only a new key' never holds", errno=number, map_name=name
            )
        return MapKeyError(f"{what}: the key {key.hex()} exists already", errno=number, map_name=name)
    reasons = {
        (syscall.MAP_DELETE_ELEM, errno.EINVAL): "there is nothing in this slot"
        if type == MAP_TYPES["sockmap"]
        else "elements of an array cannot be deleted, only overwritten",
        (syscall.MAP_UPDATE_ELEM, errno.EPERM): "the map is frozen or read-only",
        (syscall.MAP_UPDATE_ELEM, errno.EBADF): "the value is not an fd of the object that this map holds",
        (syscall.MAP_UPDATE_ELEM, errno.EINVAL): "the value or the flags do not fit this kind of map"
        + (
            "; a program must have the type of the programs that are in use with this array"
            if type == MAP_TYPES["prog_array"]
            else ""
        ),
        (syscall.MAP_UPDATE_ELEM, errno.ENOMEM): "the kernel has no memory for it now",
        (syscall.MAP_UPDATE_ELEM, errno.EBUSY): "the map is in use by another CPU; try again",
    }
    reason = reasons.get((command, number), "")
    text = f"{what}: {reason + ': ' if reason else ''}{errno_text(number)}"
    return MapError(text, errno=number, map_name=name)


def create_error(spec: MapSpec, max_entries: int, result: int) -> MapError | PrivilegeError:
    """The error of a map that could not be made; `result` is the negated errno."""
    what = (
        f"cannot create map {spec.name!r} ({map_type_name(spec.type)}, key {spec.key_size}, value {spec.value_size}, "
        f"max_entries {max_entries}, flags {spec.flags:#x}): {errno_text(result)}"
    )
    if result == -errno.EPERM:
        from skep.engine.kernel.privileges import missing_for_bpf

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
        elif spec.type in _INDEXED and spec.key_size != 4:
            why = "; an array's key has 4 bytes"
        elif spec.type in _MAPS_OF_MAPS and spec.inner is None:
            why = "; a map of maps needs the description of its inner map"
        elif spec.type in _KEYLESS and spec.key_size:
            why = f"; a {map_type_name(spec.type)} has no key"
        else:
            why = "; a size or flag does not fit this type, or this kernel does not know it"
    elif result in (-errno.E2BIG, -errno.ENOMEM):
        why = "; it is too large"
    return MapError(what + why, errno=-result, map_name=spec.name)
