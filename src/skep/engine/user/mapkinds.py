"""The map kinds that the engine has: type number, name in runtime/'s C files, operations that programs may call."""

from __future__ import annotations

from collections import namedtuple

# `name` begins the functions' names, `file` in runtime/ has them; `holds`: "" plain values, "program" or "map".
MapKind = namedtuple("MapKind", ("name", "file", "operations", "holds"), defaults=("",))

_TABLE = ("lookup", "update", "delete", "iterate", "lookup_percpu")
_HASH = MapKind("hash", "hash.c", _TABLE)
_QUEUE = MapKind("queue", "queue.c", ("push", "pop", "peek"))
# Numbers are facts of include/uapi/linux/bpf.h (enum bpf_map_type).
KINDS: dict[int, MapKind] = {
    1: _HASH,
    2: MapKind("array", "arrays.c", ("lookup", "update", "delete", "iterate")),
    3: MapKind("prog_array", "arrays.c", (), "program"),
    4: MapKind("perf", "perf.c", ()),
    5: _HASH,
    6: MapKind("percpu_array", "percpu.c", _TABLE),
    9: _HASH,
    10: _HASH,
    11: MapKind("lpm", "lpm.c", ("lookup", "update", "delete")),
    12: MapKind("array_of_maps", "nested.c", ("lookup",), "map"),
    13: MapKind("hash_of_maps", "nested.c", ("lookup",), "map"),
    22: _QUEUE,
    23: _QUEUE,
    27: MapKind("ringbuf", "ringbuf.c", ()),
    30: MapKind("bloom", "bloom.c", ("push", "peek")),
    31: MapKind("user_ringbuf", "user_ring.c", ("next", "done")),
}
