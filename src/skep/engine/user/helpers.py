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
# KEPT is memory of a map's that the helper remembers, as many bytes as the next argument says.
ANY, MAP, KEY, MAP_VALUE, MAP_VALUE_OUT, CTX, READ, WRITE, SIZE, RECORD, CALLBACK, SOURCE, KEPT = (
    "any", "map", "key", "value", "value out", "ctx", "read", "write", "size", "record", "callback", "source", "kept",
)  # fmt: skip
# Maps of one type: their storage is read as that type's.
RINGBUF, EVENTS = "ring buffer", "perf event array"
MAP_TYPES = {RINGBUF: 27, EVENTS: 4}  # enum bpf_map_type
# Kinds of results. RECORD_OR_NULL: of as many bytes as the second argument says, SLICE_OR_NULL: the third. TIME_IS_OVER: not 0
# ends the run.
NUMBER, VALUE_OR_NULL, RECORD_OR_NULL, MAP_OR_VALUE, SLICE_OR_NULL, TIME_IS_OVER = (
    "number", "value or null", "record or null", "map or value", "slice or null", "time is over",
)  # fmt: skip

# `file` in runtime/ has the function; `operation` instead: the map kind's function of this name is called. `looks`: it asks for
# itself what the program may touch. `context`: the one kind of context that it takes ("": any). `moves`: the packet may lie
# elsewhere afterwards; `ends`: slices of dynptrs may be none afterwards.
Helper = namedtuple(
    "Helper",
    ("name", "arguments", "result", "file", "operation", "looks", "context", "moves", "ends"),
    defaults=(NUMBER, "basic.c", "", False, "", False, False),
)


def _of_map(name: str, operation: str, *arguments: Argument, result: str = NUMBER) -> Helper:
    return Helper(name, (MAP, *arguments), result, "", operation)


def _reads(name: str) -> Helper:
    return Helper(name, (WRITE, SIZE, SOURCE), NUMBER, "memory.c")


def _of_text(name: str, *arguments: str | tuple[str, int]) -> Helper:
    return Helper(name, arguments, NUMBER, "text.c", looks=True)


def _of_ring(name: str, *arguments: str, result: str = NUMBER) -> Helper:
    return Helper(name, arguments, result, "ringbuf.c")


def _of_packet(context: str, name: str, *arguments: Argument, moves: bool = False) -> Helper:
    return Helper(name, arguments, NUMBER, f"{context}.c", "", False, context, moves)


def _of_dynptr(name: str, *arguments: Argument, result: str = NUMBER, ends: bool = False) -> Helper:
    return Helper(name, arguments, result, "dynptr.c", ends=ends)


DYNPTR_SIZE = 16
_DYNPTR, _NEW_DYNPTR, _LOCK = (READ, DYNPTR_SIZE), (WRITE, DYNPTR_SIZE), (WRITE, 4)

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
    9: _of_packet("skb", "skb_store_bytes", CTX, ANY, READ, SIZE, ANY),
    10: _of_packet("skb", "l3_csum_replace", CTX, ANY, ANY, ANY, ANY),
    11: _of_packet("skb", "l4_csum_replace", CTX, ANY, ANY, ANY, ANY),
    12: Helper("tail_call", (CTX, MAP, ANY)),
    14: Helper("get_current_pid_tgid", ()),
    15: Helper("get_current_uid_gid", ()),
    16: Helper("get_current_comm", (WRITE, SIZE)),
    23: _of_packet("skb", "redirect", ANY, ANY),
    25: Helper("perf_event_output", (CTX, EVENTS, ANY, READ, SIZE), NUMBER, "perf.c"),
    26: _of_packet("skb", "skb_load_bytes", CTX, ANY, WRITE, SIZE),
    28: Helper("csum_diff", (READ, SIZE, READ, SIZE, ANY), NUMBER, "checksum.c"),
    34: _of_packet("skb", "get_hash_recalc", CTX),
    38: _of_packet("skb", "skb_change_tail", CTX, ANY, ANY, moves=True),
    39: _of_packet("skb", "skb_pull_data", CTX, ANY, moves=True),
    40: _of_packet("skb", "csum_update", CTX, ANY),
    41: _of_packet("skb", "set_hash_invalid", CTX),
    42: Helper("get_numa_node_id", ()),
    43: _of_packet("skb", "skb_change_head", CTX, ANY, ANY, moves=True),
    44: _of_packet("xdp", "xdp_adjust_head", CTX, ANY, moves=True),
    45: _reads("probe_read_str"),
    48: _of_packet("skb", "set_hash", CTX, ANY),
    54: _of_packet("xdp", "xdp_adjust_meta", CTX, ANY, moves=True),
    65: _of_packet("xdp", "xdp_adjust_tail", CTX, ANY, moves=True),
    68: _of_packet("skb", "skb_load_bytes_relative", CTX, ANY, WRITE, SIZE, ANY),
    80: Helper("get_current_cgroup_id", ()),
    87: _of_map("map_push_elem", "push", MAP_VALUE, ANY),
    88: _of_map("map_pop_elem", "pop", MAP_VALUE_OUT),
    89: _of_map("map_peek_elem", "peek", MAP_VALUE_OUT),
    93: Helper("spin_lock", (_LOCK,), TIME_IS_OVER, "spin.c"),
    94: Helper("spin_unlock", (_LOCK,), NUMBER, "spin.c"),
    105: _of_text("strtol", READ, SIZE, ANY, (WRITE, 8)),
    106: _of_text("strtoul", READ, SIZE, ANY, (WRITE, 8)),
    112: _reads("probe_read_user"),
    113: _reads("probe_read_kernel"),
    114: _reads("probe_read_user_str"),
    115: _reads("probe_read_kernel_str"),
    118: Helper("jiffies64", ()),
    120: Helper("get_ns_current_pid_tgid", (ANY, ANY, WRITE, SIZE)),
    125: Helper("ktime_get_boot_ns", ()),
    130: _of_ring("ringbuf_output", RINGBUF, READ, SIZE, ANY),
    131: _of_ring("ringbuf_reserve", RINGBUF, ANY, ANY, result=RECORD_OR_NULL),
    132: _of_ring("ringbuf_submit", RECORD, ANY),
    133: _of_ring("ringbuf_discard", RECORD, ANY),
    134: _of_ring("ringbuf_query", RINGBUF, ANY),
    148: _reads("copy_from_user"),
    160: Helper("ktime_get_coarse_ns", ()),
    165: _of_text("snprintf", WRITE, SIZE, ANY, READ, SIZE),
    174: Helper("get_attach_cookie", (CTX,)),
    177: _of_text("trace_vprintk", READ, SIZE, READ, SIZE),
    181: Helper("loop", (ANY, CALLBACK, ANY, ANY)),
    182: _of_text("strncmp", READ, SIZE, ANY),
    188: _of_packet("xdp", "xdp_get_buff_len", CTX),
    189: _of_packet("xdp", "xdp_load_bytes", CTX, ANY, WRITE, SIZE),
    190: _of_packet("xdp", "xdp_store_bytes", CTX, ANY, READ, SIZE),
    195: _of_map("map_lookup_percpu_elem", "lookup_percpu", KEY, ANY, result=VALUE_OR_NULL),
    197: _of_dynptr("dynptr_from_mem", KEPT, SIZE, ANY, _NEW_DYNPTR),
    198: _of_dynptr("ringbuf_reserve_dynptr", RINGBUF, ANY, ANY, _NEW_DYNPTR),
    199: _of_dynptr("ringbuf_submit_dynptr", _DYNPTR, ANY, ends=True),
    200: _of_dynptr("ringbuf_discard_dynptr", _DYNPTR, ANY, ends=True),
    201: _of_dynptr("dynptr_read", WRITE, SIZE, _DYNPTR, ANY, ANY),
    202: _of_dynptr("dynptr_write", _DYNPTR, ANY, READ, SIZE, ANY),
    203: _of_dynptr("dynptr_data", _DYNPTR, ANY, ANY, result=SLICE_OR_NULL),
    208: Helper("ktime_get_tai_ns", ()),
}
TAIL_CALL, LOOP, FOR_EACH, DRAIN = 12, 181, 164, 209
SLICE = 203
LEAVING = frozenset((45, 115, 189, 201))  # as in the kernel they leave a part of what they write to, or all, as it is
RELEASING = frozenset((132, 133))  # they end the record that they are given
ENDING = frozenset((TAIL_CALL, 199, 200))  # they may end others: the end of the other program's run gives back all
HOLDING = frozenset((131, 197, 198, DRAIN))  # what they give must be given back at the end of the run
BY_NUMBER = (5, 7, 8, 14, 15)  # those that callx can reach: numbers in, a number out
HELPERS[FOR_EACH] = Helper("for_each_map_elem", (MAP, CALLBACK, ANY, ANY))
HELPERS[DRAIN] = Helper("user_ringbuf_drain", (MAP, CALLBACK, ANY, ANY))
CALLING = frozenset((LOOP, FOR_EACH, DRAIN))
# The same number with another meaning: by context and number.
_OTHERS = {
    ("xdp", 23): _of_packet("xdp", "xdp_redirect", ANY, ANY),
    ("xdp", 25): Helper("xdp_event_output", (CTX, EVENTS, ANY, READ, SIZE), NUMBER, "perf.c"),
    ("skb", 25): Helper("skb_event_output", (CTX, EVENTS, ANY, READ, SIZE), NUMBER, "perf.c"),
}


def find(number: int, context: str) -> Helper | None:
    """The helper that a number means to programs with this context."""
    helper = _OTHERS.get((context, number)) or HELPERS.get(number)
    return helper if helper is not None and helper.context in ("", context) else None


def of_context(context: str) -> list[tuple[int, Helper]]:
    """All helpers of programs with this context."""
    numbers = HELPERS.keys() | {number for name, number in _OTHERS if name == context}
    return [(number, helper) for number in numbers if (helper := find(number, context)) is not None]


_REASONS = {
    "it gives a struct of the kernel's, and there is none in user space":
        "get_current_task get_current_task_btf task_pt_regs sk_lookup_tcp sk_lookup_udp skc_lookup_tcp sk_fullsock tcp_sock "
        "get_listener_sock sock_from_file find_vma per_cpu_ptr this_cpu_ptr sk_storage_get inode_storage_get task_storage_get "
        "cgrp_storage_get",
    "it reads a struct of the kernel's, and there is none in user space":
        "get_task_stack d_path snprintf_btf seq_printf_btf copy_from_user_task current_task_under_cgroup skb_under_cgroup",
    "it walks a stack from inside the kernel": "get_stackid get_stack",
    "it changes the process that is traced, which the user engine never does":
        "probe_write_user override_return send_signal send_signal_thread",
    "timers do not run there": "timer_init timer_set_callback timer_start timer_cancel",
    "it reads a counter of the processor's": "perf_event_read perf_event_read_value perf_prog_read_value read_branch_records",
}  # fmt: skip


def refusal(number: int, context: str) -> str:
    """Why there is no such helper here."""
    from skep.compiler.helpers import HELPERS as NAMES

    name = next((name for name, row in NAMES.items() if row[0] == number), "")
    if not name:
        return f"there is no helper function {number}"
    other = HELPERS.get(number)
    if other is not None:
        return f"bpf_{name}() wants the context of {_CONTEXTS[other.context]} programs"
    why = next((why for why, names in _REASONS.items() if name in names.split()), "it has no meaning in user space")
    return f"bpf_{name}() does not exist in the user engine: {why}"


_CONTEXTS = {"skb": "socket filter and tc (struct __sk_buff)", "xdp": "XDP (struct xdp_md)"}
