"""What the kernel's refusals of maps and of their elements mean, in words. Imported when something failed."""

from __future__ import annotations

import errno

from skep.engine import element_errors
from skep.engine.element_errors import INDEXED
from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.errors import MapError, PrivilegeError
from skep.object.kinds import MAP_TYPES, map_type_name, map_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.object.model import MapSpec

_KEYLESS = map_types("queue stack bloom_filter")
_STORAGES = map_types("sk_storage inode_storage task_storage cgrp_storage")
_MAPS_OF_MAPS = map_types("array_of_maps hash_of_maps")


def element_error(name: str, type: int, max_entries: int, command: int, number: int, key: bytes) -> MapError:
    """The error of an element call that the kernel answered with the errno `number`."""
    return element_errors.element_error(name, type, max_entries, syscall.COMMAND_NAMES[command], number, key)


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
        elif spec.type in INDEXED and spec.key_size != 4:
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
