"""What refusals of a map's elements mean, in words: the kernel's, and the user engine's, which are the same."""

from __future__ import annotations

import errno

from skep.engine.errnos import ENOTSUPP, errno_text
from skep.errors import MapError, MapIndexError, MapKeyError
from skep.object.kinds import MAP_TYPES, map_type_name, map_types

INDEXED = map_types(
    "array prog_array perf_event_array percpu_array cgroup_array array_of_maps devmap cpumap xskmap sockmap reuseport_sockarray"
)

# Why an operation is not permitted, and what to do
DENIED = {
    "frozen": "the map is frozen, so only programs may write it, for as long as it lives: write before, or into a new map",
    "read-only": "the map was opened with BPF_F_RDONLY (8), so it may only be read from here: make it without this flag, or, if "
    "only programs shall not write it, with BPF_F_RDONLY_PROG (128)",
    "write-only": "the map was opened with BPF_F_WRONLY (16), so it may only be written from here, by keys that are known: make "
    "it without this flag, or, if only programs shall not read it, with BPF_F_WRONLY_PROG (256)",
}
# Reasons that only some kinds have: (kinds, operations, errnos, reason)
_SOCKETS, _QUEUES = map_types("sockmap sockhash reuseport_sockarray"), map_types("queue stack")
_OBJECTS = map_types("sk_storage inode_storage task_storage")
_OF_KINDS = (
    (_SOCKETS, "lookup", (errno.ENOSPC,), "values of 4 bytes have no room for a socket's cookie: make the map with 8"),
    (map_types("xskmap cgroup_array"), "lookup", (errno.ENOTSUP, ENOTSUPP), "slots can be set and deleted, not read"),
    (map_types("cgroup_array cgrp_storage"), "lookup update delete", (errno.EBADF,), "it is no directory of a cgroup2 hierarchy"),
    (map_types("array"), "BPF_MAP_FREEZE", (errno.EBUSY,), "its memory is mapped for writing: delete what live() gave, first"),
    (_OBJECTS, "lookup update delete", (errno.EBADF,), "the key is no fd of what has values here"),
)  # fmt: skip


def element_error(name: str, type: int, max_entries: int, operation: str, number: int, key: bytes, denied: str = "") -> MapError:
    """The error of an operation on an element ("update", ...) that was answered with the errno `number`; `denied`: of DENIED."""
    what = f"{operation} in map {name!r} ({map_type_name(type)})"
    index = int.from_bytes(key, "little") if type in INDEXED and len(key) == 4 else None
    if number == errno.E2BIG and operation == "update":
        if index is not None:
            return MapIndexError(
                f"{what}: index {index} is out of range, max_entries is {max_entries}", errno=number, map_name=name
            )
        instead = "push with BPF_EXIST (2), which drops the oldest" if type in _QUEUES else "use an LRU hash"
        return MapError(
            f"{what}: the map is full, max_entries is {max_entries} (E2BIG); make it larger or {instead}",
            errno=number,
            map_name=name,
        )
    if number == errno.ENOENT and operation == "update":
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
        ("delete", errno.EINVAL): "there is nothing in this slot"
        if type == MAP_TYPES["sockmap"]
        else "elements of an array cannot be deleted, only overwritten",
        ("update", errno.EBADF): "the value is not an fd of the object that this map holds",
        ("update", errno.EINVAL): "the value or the flags do not fit this kind of map"
        + (
            "; a program must have the type of the programs that are in use with this array"
            if type == MAP_TYPES["prog_array"]
            else ""
        ),
        ("update", errno.ENOMEM): "the kernel has no memory for it now",
        ("update", errno.EBUSY): "the map is in use by another CPU; try again",
    }
    if denied:
        return MapError(f"{what}: {errno_text(number)}; {DENIED[denied]}", errno=number, map_name=name)
    reason = next(
        (
            text
            for kinds, operations, numbers, text in _OF_KINDS
            if type in kinds and operation in operations.split() and number in numbers
        ),
        reasons.get((operation, number), ""),
    )
    text = f"{what}: {reason + ': ' if reason else ''}{errno_text(number)}"
    return MapError(text, errno=number, map_name=name)
