"""A program run by hand on a packet or a context of words, as BPF_PROG_TEST_RUN does it in the kernel (net/bpf/test_run.c).

In: bytes. Out: the result, the bytes as the program left them, nanoseconds. The numbers of this file are that call's limits.
"""

from __future__ import annotations

import ctypes
import struct
from time import perf_counter_ns

from skep.engine.user.program import Held, raise_fault
from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.engine.user.program import Program
    from skep.object.model import ProgramKind

    Run = tuple[int, bytes, bytes, int]

_ETHERNET = 14
_XDP_HEADROOM, _XDP_FRAME, _FRAME_END, _MOST_META = 256, 4096, 320, 255
_SKB_HEADROOM, _SKB_LARGEST, _SKB_ROOM = 64, 4096 - 64 - 320, 65536 + _ETHERNET
_WORDS = 12  # of a raw tracepoint's context
_XDP_SEEN, _SKB_SEEN = 24, 192
_PACKET = struct.Struct("=6Q")  # struct packet of runtime/packet.h
# struct __sk_buff: what a caller may set and reads back, as (offset, size); then the fields that the call fills in
_SKB_GIVEN = (
    (8, 4), (32, 4), (36, 4), (40, 4), (48, 20), (152, 8), (160, 4), (164, 4), (176, 4), (184, 8),
)  # fmt: skip
_LEN, _TYPE, _PROTOCOL, _INTERFACE, _WIRE_LENGTH = 0, 4, 16, 40, 160
_HOST, _MULTICAST, _OTHERHOST = 0, 2, 3  # include/uapi/linux/if_packet.h
_L2_TYPES = (3, 4)  # sched_cls and sched_act see the Ethernet header
_ETH_P_802_2 = 0x0004


def test_run(program: Program, name: str, kind: ProgramKind, data: bytes, ctx: bytes, repeat: int) -> Run:
    """(return value, data after, context after, nanoseconds a run); SkepError for input that does not fit the program."""
    run = _RUNS.get(kind.context)
    if run is None:
        raise SkepError(f"test run of program {name!r} ({kind.name}): this program type cannot be run by hand")

    def refuse(why: str) -> SkepError:
        return SkepError(f"test run of program {name!r} ({kind.name}): {why}")

    program.environment.refresh()
    return run(program, kind, data, ctx, repeat, refuse)


def _enter(program: Program, context: Any, size: int, repeat: int) -> tuple[int, int]:
    """The last result and the time of a run; the interpreter's lock is not held."""
    env = program.environment.copy()
    env.ctx_size = size
    place, at = ctypes.addressof(context), ctypes.addressof(env)
    with Held(program):
        entry = program.function()
        result, begin = 0, perf_counter_ns()
        for _ in range(max(repeat, 1)):
            env.deadline = env.tail_calls = 0
            result = entry(place, at)
            if env.fault:
                raise_fault(env, program.source)
        end = perf_counter_ns()
    return result & 0xFFFFFFFF, (end - begin) // max(repeat, 1)


def _run_xdp(
    program: Program, kind: ProgramKind, data: bytes, ctx: bytes, repeat: int, refuse: Callable[[str], SkepError]
) -> Run:
    given = bytearray(ctx.ljust(_XDP_SEEN, b"\0"))
    meta, end, before = struct.unpack_from("=III", given)
    if ctx and (len(ctx) > _XDP_SEEN or before or end != len(data) or meta > end or meta % 4 or meta > _MOST_META):
        raise refuse("in a struct xdp_md, data is the length of the metadata, data_end that of everything, data_meta 0")
    if not len(data) - meta >= _ETHERNET or len(data) > _XDP_FRAME - _XDP_HEADROOM - _FRAME_END:
        raise refuse(f"{len(data)} bytes of data: a packet has {_ETHERNET} to {_XDP_FRAME - _XDP_HEADROOM - _FRAME_END}")
    memory = (ctypes.c_char * _XDP_FRAME)()
    first = ctypes.addressof(memory)
    begin = first + _XDP_HEADROOM
    ctypes.memmove(begin - meta, data, len(data))
    packet = _PACKET.pack(begin, begin + len(data) - meta, begin - meta, 0, first, first + _XDP_FRAME - _FRAME_END)
    context = (ctypes.c_char * (_XDP_SEEN + _PACKET.size)).from_buffer(given + packet)
    result, took = _enter(program, context, _XDP_SEEN, repeat)
    begin, stop, start = _PACKET.unpack_from(context.raw, _XDP_SEEN)[:3]
    after = bytearray(context.raw[: len(ctx)])
    if ctx:
        struct.pack_into("=III", after, 0, begin - start, stop - start, 0)
    return result, ctypes.string_at(start, stop - start), bytes(after), took


def _run_skb(
    program: Program, kind: ProgramKind, data: bytes, ctx: bytes, repeat: int, refuse: Callable[[str], SkepError]
) -> Run:
    allowed = bytearray(_SKB_SEEN)
    for offset, size in _SKB_GIVEN:
        allowed[offset : offset + size] = ctx[offset : offset + size]
    if len(ctx) > _SKB_SEEN or bytes(allowed[: len(ctx)]) != ctx:
        raise refuse("a struct __sk_buff may set mark, priority, ingress_ifindex, ifindex, cb, tstamp, wire_len, gso_*, hwtstamp")
    if not _ETHERNET <= len(data) <= _SKB_LARGEST:
        raise refuse(f"{len(data)} bytes of data: a packet has {_ETHERNET} to {_SKB_LARGEST}")
    seen = 0 if kind.type in _L2_TYPES else _ETHERNET
    memory = (ctypes.c_char * (_SKB_HEADROOM + _SKB_ROOM))()
    first = ctypes.addressof(memory)
    mac = first + _SKB_HEADROOM
    ctypes.memmove(mac, data, len(data))
    kind_of_data = struct.unpack_from(">H", data, 12)[0]
    protocol = kind_of_data if kind_of_data >= 0x600 else _ETH_P_802_2
    context_bytes = allowed.ljust(_SKB_SEEN, b"\0")
    struct.pack_into("=I", context_bytes, _LEN, len(data) - seen)
    struct.pack_into(">H", context_bytes, _PROTOCOL, protocol)
    struct.pack_into("=I", context_bytes, _TYPE, _packet_type(data[:6]))
    for place, value in ((_INTERFACE, 1), (_WIRE_LENGTH, len(data) - seen)):
        if not any(context_bytes[place : place + 4]):
            struct.pack_into("=I", context_bytes, place, value)
    packet = _PACKET.pack(mac + seen, mac + len(data), mac, mac + _ETHERNET, first, first + _SKB_HEADROOM + _SKB_ROOM)
    context = (ctypes.c_char * (_SKB_SEEN + _PACKET.size)).from_buffer(context_bytes + packet)
    result, took = _enter(program, context, _SKB_SEEN, repeat)
    begin, end = _PACKET.unpack_from(context.raw, _SKB_SEEN)[:2]
    after = bytearray(len(ctx))
    for offset, size in _SKB_GIVEN:
        if offset < len(ctx):
            after[offset : offset + size] = context.raw[offset : min(offset + size, len(ctx))]
    return result, bytes(seen) + ctypes.string_at(begin, end - begin), bytes(after), took


def _packet_type(destination: bytes) -> int:
    """As eth_type_trans() says it of a packet for the loopback device, whose address is all zeros."""
    if not any(destination):
        return _HOST
    return _MULTICAST if destination[0] & 1 else _OTHERHOST


def _run_words(
    program: Program, kind: ProgramKind, data: bytes, ctx: bytes, repeat: int, refuse: Callable[[str], SkepError]
) -> Run:
    if data or repeat or len(ctx) > _WORDS * 8:
        raise refuse(f"a raw tracepoint program takes a context of at most {_WORDS * 8} bytes, no data and no repeat")
    context = (ctypes.c_char * max(len(ctx), program.context.size)).from_buffer_copy(ctx.ljust(program.context.size, b"\0"))
    result, _ = _enter(program, context, len(context), 1)
    return result, b"", ctx, 0


_RUNS: dict[str, Callable[..., Run]] = {"xdp": _run_xdp, "skb": _run_skb, "raw_tracepoint": _run_words}
