"""The map kinds that the engine has: type number, name in runtime/'s C files, operations that programs may call."""

from __future__ import annotations

from collections import namedtuple

# `name` begins the functions' names, `file` in runtime/ has them; `holds`: "" plain values, "program" or "map".
MapKind = namedtuple("MapKind", ("name", "file", "operations", "holds"), defaults=("",))

# Numbers are facts of include/uapi/linux/bpf.h (enum bpf_map_type).
KINDS: dict[int, MapKind] = {
    2: MapKind("array", "arrays.c", ("lookup", "update", "delete", "iterate")),
    3: MapKind("prog_array", "arrays.c", (), "program"),
}
