"""The helper functions that the engine has: number, name, kinds of arguments and result.

A row here and a C function `helper_NAME` in runtime/ (see env.h) make a helper; those of maps are in mapkinds.py's rows.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    Argument = str | tuple[str, int]

# Kinds of arguments. Memory must hold as many bytes as the next argument says (READ, WRITE), or as the map's key or value.
ANY, MAP, KEY, MAP_VALUE, MAP_VALUE_OUT, CTX, READ, WRITE, SIZE, RECORD, CALLBACK = (
    "any", "map", "key", "value", "value out", "ctx", "read", "write", "size", "record", "callback",
)  # fmt: skip
# Kinds of results.
NUMBER, VALUE_OR_NULL, RECORD_OR_NULL, MAP_OR_VALUE = "number", "value or null", "record or null", "map or value"

# `file` in runtime/ has the function; `operation` instead: the map kind's function of this name is called.
if TYPE_CHECKING:

    class Helper(NamedTuple):
        name: str
        arguments: tuple[Argument, ...]
        result: str = NUMBER
        file: str = "basic.c"
        operation: str = ""

else:
    Helper = namedtuple("Helper", ("name", "arguments", "result", "file", "operation"), defaults=(NUMBER, "basic.c", ""))


def _of_map(name: str, operation: str, *arguments: Argument, result: str = NUMBER) -> Helper:
    return Helper(name, (MAP, *arguments), result, "", operation)


# Numbers and names are facts of include/uapi/linux/bpf.h. A tuple (kind, n) is memory of n bytes whatever follows.
HELPERS: dict[int, Helper] = {
    1: _of_map("map_lookup_elem", "lookup", KEY, result=MAP_OR_VALUE),
    2: _of_map("map_update_elem", "update", KEY, MAP_VALUE, ANY),
    3: _of_map("map_delete_elem", "delete", KEY),
    5: Helper("ktime_get_ns", ()),
    6: Helper("trace_printk", (READ, SIZE, ANY, ANY, ANY)),
    7: Helper("get_prandom_u32", ()),
    8: Helper("get_smp_processor_id", ()),
    12: Helper("tail_call", (CTX, MAP, ANY)),
    14: Helper("get_current_pid_tgid", ()),
    15: Helper("get_current_uid_gid", ()),
    16: Helper("get_current_comm", (WRITE, SIZE)),
    181: Helper("loop", (ANY, CALLBACK, ANY, ANY)),
}
TAIL_CALL, LOOP, FOR_EACH = 12, 181, 164
HELPERS[FOR_EACH] = Helper("for_each_map_elem", (MAP, CALLBACK, ANY, ANY))
