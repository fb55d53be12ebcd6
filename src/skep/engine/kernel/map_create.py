"""Live maps: made from a MapSpec, taken from a pin, or found by path or id.

Out: KernelMaps; the maps' fds are theirs.
"""

from __future__ import annotations

import errno
import os
import struct
from ctypes import create_string_buffer

from skep.engine.errnos import ENOTSUPP, errno_text
from skep.engine.kernel import map_info, syscall
from skep.engine.kernel.maps import F_MMAPABLE, KernelMap, kernel_name, ring_size
from skep.errors import MapError
from skep.object.kinds import MAP_TYPES, map_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf import Btf
    from skep.object.model import MapSpec

_ARRAY, _PERF_EVENT_ARRAY = MAP_TYPES["array"], MAP_TYPES["perf_event_array"]
_RINGS = map_types("ringbuf user_ringbuf")
_F_NUMA_NODE = 1 << 2


def create_map(spec: MapSpec, possible_cpus: int, btf_fd: int) -> KernelMap:
    """The live map for a spec: taken from its pin, or created, filled and pinned as the spec says. Who loads programs freezes."""
    if spec.pin_path:
        pinned = _take_pin(spec, possible_cpus)
        if pinned is not None:
            return pinned
    if spec.operations is not None:
        from skep.engine.kernel.struct_ops import create

        return create(spec, possible_cpus, btf_fd)
    max_entries = _max_entries(spec, possible_cpus)
    fd, mappable = _create_fd(spec, max_entries, btf_fd, possible_cpus)
    handle = KernelMap(spec, fd, max_entries, possible_cpus, mappable=mappable)
    try:
        if spec.initial is not None:
            handle.update(b"\0\0\0\0", spec.initial.ljust(spec.value_size, b"\0"))
        if spec.pin_path:
            handle.pin(spec.pin_path)
    except BaseException:
        handle.close()
        raise
    return handle


def open_map(place: str | int, possible_cpus: int) -> tuple[KernelMap, Btf | None]:
    """The map that is pinned at a path (4.4), or that has an id (4.13, CAP_SYS_ADMIN); and the BTF of its types."""
    fd = map_info.open_id(place) if isinstance(place, int) else map_info.open_pin(place)
    what = f"map with id {place}" if isinstance(place, int) else f"map pinned at {place}"
    if fd < 0:
        hint = {
            -errno.ENOENT: "; there is none",
            -errno.EPERM: "; this needs CAP_SYS_ADMIN: run as root"
            if isinstance(place, int)
            else "; is this path in a bpffs? (mount -t bpf bpf /sys/fs/bpf)",
            -errno.EACCES: "; the permissions of the file do not allow it",
        }.get(fd, "")
        raise MapError(f"cannot open the {what}: {errno_text(fd)}{hint}", errno=-fd)
    try:
        if os.readlink(f"/proc/self/fd/{fd}") != "anon_inode:bpf-map":
            raise MapError(f"what is pinned at {place} is no map", errno=errno.EINVAL)
        spec, btf = map_info.spec_of(fd, name=os.path.basename(str(place)))
        return KernelMap(spec, fd, spec.max_entries, possible_cpus), btf
    except BaseException:
        os.close(fd)
        raise


def _max_entries(spec: MapSpec, possible_cpus: int) -> int:
    if spec.type == _PERF_EVENT_ARRAY and (spec.max_entries == 0 or spec.max_entries > possible_cpus):
        return possible_cpus
    return ring_size(spec.max_entries) if spec.type in _RINGS else spec.max_entries


def _create_fd(spec: MapSpec, max_entries: int, btf_fd: int, possible_cpus: int) -> tuple[int, bool]:
    """The fd, and whether the map's memory can be mapped: a plain array is made so, where the kernel can (5.5)."""
    inner_fd = 0
    if spec.inner is not None:
        inner_fd, _ = _create_fd(spec.inner, _max_entries(spec.inner, possible_cpus), btf_fd, possible_cpus)
    try:
        flags = spec.flags | (_F_NUMA_NODE if spec.numa_node is not None else 0)
        typed = bool(btf_fd and (spec.key_type or spec.value_type))
        # libbpf compares flags when it takes a map from its pin: pinned maps are made as they are described
        if spec.type == _ARRAY and not flags and not spec.pin_path:
            flags = F_MMAPABLE
        attempts = [(flags, typed), (flags, False), (flags & ~F_MMAPABLE, typed), (flags & ~F_MMAPABLE, False)]  # Linux 5.5
        fd = -errno.E2BIG
        for flags, with_btf in dict.fromkeys(attempts):
            try:
                packed = struct.pack(
                    "=7I16s5IQ", spec.type, spec.key_size, spec.value_size, max_entries, flags, inner_fd, spec.numa_node or 0,
                    kernel_name(spec.name), 0, btf_fd if with_btf else 0, spec.key_type if with_btf else 0,
                    spec.value_type if with_btf else 0, 0, spec.map_extra,
                )  # fmt: skip
            except struct.error:  # a number that has no place in 32 bits: as the kernel says of those that have
                break
            attr = create_string_buffer(packed, 72)
            fd = syscall.bpf(syscall.MAP_CREATE, attr)
            if fd >= 0:
                return fd, bool(flags & F_MMAPABLE)
            if fd not in (-errno.EINVAL, -ENOTSUPP):
                break
        from skep.engine.kernel.map_errors import create_error

        raise create_error(spec, max_entries, fd)
    finally:
        if inner_fd:
            os.close(inner_fd)


def _take_pin(spec: MapSpec, possible_cpus: int) -> KernelMap | None:
    """The pinned map, when there is one; MapError when it is not like the spec."""
    fd = map_info.open_pin(spec.pin_path)
    if fd == -errno.ENOENT:
        return None
    if fd < 0:
        raise MapError(
            f"cannot open the pinned map {spec.name!r} at {spec.pin_path}: {errno_text(fd)}", errno=-fd, map_name=spec.name
        )
    try:
        info = map_info.map_info(fd)
        max_entries = _max_entries(spec, possible_cpus)
        wanted = {"type": spec.type, "key_size": spec.key_size, "value_size": spec.value_size, "max_entries": max_entries}
        differing = [f"{name} is {info[name]}, wanted {value}" for name, value in wanted.items() if info[name] != value]
        if differing:
            raise MapError(
                f"the map pinned at {spec.pin_path} is not {spec.name!r}: {', '.join(differing)}; remove the pin, or fit the map",
                errno=errno.EINVAL,
                map_name=spec.name,
            )
        mappable = spec.type == _ARRAY and bool(int(info["flags"]) & F_MMAPABLE)
        return KernelMap(spec, fd, max_entries, possible_cpus, mappable=mappable)
    except BaseException:
        os.close(fd)
        raise
