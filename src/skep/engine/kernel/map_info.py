"""Maps that exist already: what the kernel says of one, and an fd by id or by the path of a pin.

In: an fd, an id or a path. Out: facts, a MapSpec with the BTF that its type ids are of.
"""

from __future__ import annotations

import errno
import os
import struct
from ctypes import addressof, create_string_buffer

from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.errors import MapError
from skep.object.model import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf import Btf
    from skep.engine.kernel.syscall import Buffer

_INFO_SIZE = 88
_FIELDS = (
    # struct bpf_map_info: name, place, format
    ("type", 0, "I"), ("id", 4, "I"), ("key_size", 8, "I"), ("value_size", 12, "I"), ("max_entries", 16, "I"),
    ("flags", 20, "I"), ("btf_id", 64, "I"), ("key_type", 68, "I"), ("value_type", 72, "I"), ("map_extra", 80, "Q"),
)  # fmt: skip


def map_info(fd: int) -> dict[str, int | str]:
    """BPF_OBJ_GET_INFO_BY_FD of a map's fd (4.13), and what /proc/self/fdinfo adds: memlock in bytes, frozen (5.2)."""
    data = syscall.object_info(fd, _INFO_SIZE)
    if isinstance(data, int):
        raise MapError(f"cannot ask for the info of map fd {fd}: {errno_text(data)}", errno=-data)
    info: dict[str, int | str] = {name: struct.unpack_from("=" + format, data, place)[0] for name, place, format in _FIELDS}
    info["name"] = data[24:40].rstrip(b"\0").decode()
    with open(f"/proc/self/fdinfo/{fd}") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name in ("memlock", "frozen"):
                info[name] = int(value)
    return info


def open_pin(path: str, flags: int = 0) -> int:
    """The fd of what is pinned at `path`, or -errno; `flags`: BPF_F_RDONLY (8) or BPF_F_WRONLY (16), 4.15."""
    name = create_string_buffer(os.fsencode(path))
    return syscall.bpf(syscall.OBJ_GET, create_string_buffer(struct.pack("=QII", addressof(name), 0, flags), 16))


def open_id(id: int) -> int:
    """The fd of the map with that id, or -errno (4.13; CAP_SYS_ADMIN)."""
    return syscall.bpf(syscall.MAP_GET_FD_BY_ID, create_string_buffer(struct.pack("=III", id, 0, 0), 12))


def map_ids() -> list[int]:
    """The ids of all maps of the machine (4.13; CAP_SYS_ADMIN)."""
    ids: list[int] = []
    attr: Buffer = create_string_buffer(12)
    while True:
        struct.pack_into("=I", attr, 0, ids[-1] if ids else 0)
        result = syscall.bpf(syscall.MAP_GET_NEXT_ID, attr)
        if result == -errno.ENOENT:
            return ids
        if result < 0:
            raise MapError(f"cannot list the maps: {errno_text(result)}; this needs CAP_SYS_ADMIN", errno=-result)
        ids.append(struct.unpack_from("=I", attr, 4)[0])


def spec_of(fd: int, name: str = "") -> tuple[MapSpec, Btf | None]:
    """The spec of a live map, and the BTF that it was made with (None: without, or not to be had)."""
    info = map_info(fd)
    numbers = {key: value for key, value in info.items() if isinstance(value, int)}
    btf = _load_btf(numbers["btf_id"]) if numbers["btf_id"] else None
    spec = MapSpec(
        str(info["name"]) or name,
        numbers["type"],
        numbers["key_size"],
        numbers["value_size"],
        numbers["max_entries"],
        flags=numbers["flags"],
        key_type=numbers["key_type"] if btf else 0,
        value_type=numbers["value_type"] if btf else 0,
        map_extra=numbers["map_extra"],
    )
    return spec, btf


def _load_btf(id: int) -> Btf | None:
    """The BTF of that id (4.18; CAP_SYS_ADMIN); None where it may not be read, or is the kernel's own."""
    from skep.btf import Btf

    fd = syscall.bpf(syscall.BTF_GET_FD_BY_ID, create_string_buffer(struct.pack("=III", id, 0, 0), 12))
    if fd < 0:
        return None
    try:
        # struct bpf_btf_info: u64 btf; u32 btf_size; u32 id; u64 name; u32 name_len; u32 kernel_btf
        info = syscall.object_info(fd, 32)
        if isinstance(info, int) or struct.unpack_from("=I", info, 28)[0]:
            return None
        size = struct.unpack_from("=I", info, 8)[0]
        data = create_string_buffer(size)
        filled = syscall.object_info(fd, 32, struct.pack("=QI", addressof(data), size))
        return None if isinstance(filled, int) else Btf(data.raw)
    finally:
        os.close(fd)
