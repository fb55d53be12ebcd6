"""The helper functions that the engine has: number, name, kinds of arguments and result.

A row here and a C function `helper_NAME` in runtime/ (see env.h) make a helper; those of maps are in mapkinds.py's rows.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    Argument = str | tuple[str, int]

# Kinds of arguments. Memory must hold as many bytes as the next argument says (READ, WRITE), or as the map's key or value.
# SOURCE is any address: the helper's fifth argument says whether as many bytes as the argument before says are the program's.
ANY, MAP, KEY, MAP_VALUE, MAP_VALUE_OUT, CTX, READ, WRITE, SIZE, RECORD, CALLBACK, SOURCE = (
    "any", "map", "key", "value", "value out", "ctx", "read", "write", "size", "record", "callback", "source",
)  # fmt: skip
# Kinds of results.
NUMBER, VALUE_OR_NULL, RECORD_OR_NULL, MAP_OR_VALUE = "number", "value or null", "record or null", "map or value"

# `file` in runtime/ has the function; `operation` instead: the map kind's function of this name is called. `looks`: it asks for
# itself what the program may touch.
Helper = namedtuple(
    "Helper", ("name", "arguments", "result", "file", "operation", "looks"), defaults=(NUMBER, "basic.c", "", False)
)


def _of_map(name: str, operation: str, *arguments: Argument, result: str = NUMBER) -> Helper:
    return Helper(name, (MAP, *arguments), result, "", operation)


def _reads(name: str) -> Helper:
    return Helper(name, (WRITE, SIZE, SOURCE), NUMBER, "memory.c")


def _of_text(name: str, *arguments: str | tuple[str, int]) -> Helper:
    return Helper(name, arguments, NUMBER, "text.c", looks=True)


def _of_ring(name: str, *arguments: str, result: str = NUMBER) -> Helper:
    return Helper(name, arguments, result, "ringbuf.c")


# Numbers and names are facts of include/uapi/linux/bpf.h. A tuple (kind, n) is memory of n bytes whatever follows.
HELPERS: dict[int, Helper] = {
    1: _of_map("map_lookup_elem", "lookup", KEY, result=MAP_OR_VALUE),
    2: _of_map("map_update_elem", "update", KEY, MAP_VALUE, ANY),
    3: _of_map("map_delete_elem", "delete", KEY),
    4: _reads("probe_read"),
    5: Helper("ktime_get_ns", ()),
    6: _of_text("trace_printk", READ, SIZE, ANY, ANY, ANY),
    7: Helper("get_prandom_u32", ()),
    8: Helper("get_smp_processor_id", ()),
    12: Helper("tail_call", (CTX, MAP, ANY)),
    14: Helper("get_current_pid_tgid", ()),
    15: Helper("get_current_uid_gid", ()),
    16: Helper("get_current_comm", (WRITE, SIZE)),
    25: Helper("perf_event_output", (CTX, MAP, ANY, READ, SIZE), NUMBER, "perf.c"),
    45: _reads("probe_read_str"),
    87: _of_map("map_push_elem", "push", MAP_VALUE, ANY),
    88: _of_map("map_pop_elem", "pop", MAP_VALUE_OUT),
    89: _of_map("map_peek_elem", "peek", MAP_VALUE_OUT),
    105: _of_text("strtol", READ, SIZE, ANY, (WRITE, 8)),
    106: _of_text("strtoul", READ, SIZE, ANY, (WRITE, 8)),
    112: _reads("probe_read_user"),
    113: _reads("probe_read_kernel"),
    114: _reads("probe_read_user_str"),
    115: _reads("probe_read_kernel_str"),
    130: _of_ring("ringbuf_output", MAP, READ, SIZE, ANY),
    131: _of_ring("ringbuf_reserve", MAP, ANY, ANY, result=RECORD_OR_NULL),
    132: _of_ring("ringbuf_submit", RECORD, ANY),
    133: _of_ring("ringbuf_discard", RECORD, ANY),
    134: _of_ring("ringbuf_query", MAP, ANY),
    148: _reads("copy_from_user"),
    165: _of_text("snprintf", WRITE, SIZE, ANY, READ, SIZE),
    177: _of_text("trace_vprintk", READ, SIZE, READ, SIZE),
    181: Helper("loop", (ANY, CALLBACK, ANY, ANY)),
    182: _of_text("strncmp", READ, SIZE, ANY),
    195: _of_map("map_lookup_percpu_elem", "lookup_percpu", KEY, ANY, result=VALUE_OR_NULL),
}
TAIL_CALL, LOOP, FOR_EACH = 12, 181, 164
BY_NUMBER = (5, 7, 8, 14, 15)  # those that callx can reach: numbers in, a number out
HELPERS[FOR_EACH] = Helper("for_each_map_elem", (MAP, CALLBACK, ANY, ANY))
