"""Python views of maps: which class shows which kind; maps made or opened without a C text.

In: a MapHandle and the BPF object that it belongs to. Out: a mapping of ctypes keys and values.
"""

from __future__ import annotations

from skep.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.engine import MapHandle
    from skep.maps.standalone import create, from_id, open_pinned
    from skep.maps.view import Owner

__all__ = ["create", "from_id", "open_pinned", "open_view"]

# include/uapi/linux/bpf.h, enum bpf_map_type: module and class of the view; modules are imported when a map of the kind is seen
MAP_VIEWS: dict[int, tuple[str, str]] = {
    1: ("table", "Table"),  # hash
    2: ("array", "Array"),
    3: ("objects", "ProgArray"),
    4: ("events", "PerfEventArray"),
    5: ("percpu", "PerCpuHash"),
    6: ("percpu", "PerCpuArray"),
    7: ("stacks", "StackTrace"),
    8: ("objects", "CgroupArray"),
    9: ("table", "Table"),  # lru_hash
    10: ("percpu", "PerCpuHash"),  # lru_percpu_hash
    11: ("table", "Table"),  # lpm_trie
    12: ("objects", "ArrayOfMaps"),
    13: ("objects", "HashOfMaps"),
    14: ("objects", "DevMap"),
    15: ("objects", "SockMap"),
    16: ("objects", "CpuMap"),
    17: ("objects", "XskMap"),
    18: ("objects", "SockHash"),
    19: ("table", "Table"),  # cgroup_storage
    20: ("objects", "SockMap"),  # reuseport_sockarray
    21: ("percpu", "PerCpuHash"),  # percpu_cgroup_storage
    22: ("queues", "QueueStack"),
    23: ("queues", "QueueStack"),
    24: ("storage", "Storage"),  # sk_storage
    25: ("objects", "DevMapHash"),
    26: ("struct_ops", "StructOps"),
    27: ("events", "RingBuf"),
    28: ("storage", "Storage"),  # inode_storage
    29: ("storage", "Storage"),  # task_storage
    30: ("queues", "BloomFilter"),
    31: ("user_ring", "UserRingBuf"),
    32: ("storage", "Storage"),  # cgrp_storage
    33: ("arena", "Arena"),
}


def open_view(handle: MapHandle, bpf: Owner, *, key_type: Any = None, leaf_type: Any = None) -> Any:
    """The Python view of a live map; `key_type` and `leaf_type` replace the types that the object names."""
    place = MAP_VIEWS.get(handle.spec.type)
    if place is None:
        from skep.object.kinds import map_type_name

        raise UnsupportedError(
            f"map {handle.spec.name!r} is a {map_type_name(handle.spec.type)}, which has no Python view; its fd is {handle.fd}",
            needs="a newer Skep",
        )
    module = __import__(f"skep.maps.{place[0]}", fromlist=place[1:])
    return getattr(module, place[1])(handle, bpf, key_type=key_type, leaf_type=leaf_type)


def __getattr__(name: str) -> object:
    if name in ("create", "from_id", "open_pinned"):
        from skep.maps import standalone

        return getattr(standalone, name)
    raise AttributeError(f"module 'skep.maps' has no attribute {name!r}")
