"""Checks before accesses, in LLVM IR: whether memory lies within what a pointer points into, or in the context or the stack.

The stack is the frames of the functions that run just now: from the lowest byte of this one's to the first one's r10.
"""

from __future__ import annotations

from skep.engine.user.state import FRAME
from skep.engine.user.values import CTX, KEY, PACKET, RECORD, STACK, VALUE
from skep.errors import MemoryFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.engine.user.calls import Calls
    from skep.engine.user.values import Value

    Size = int | str  # known now, or the name of an i64


def check_access(w: Calls, position: int, register: int, offset: int, size: Size, *, least: int) -> str:
    """Check `size` bytes (at least `least`) at an offset of a pointer of a kind in CHECKED; gives where that is."""
    known = w.known(register)
    if known.kind == STACK and known.lo == known.hi and least:
        _refuse_outside(w, known, position, known.lo + offset, least)
    pointer = w.pointer(register)
    address = w.offset(pointer, offset)
    number = w.value(f"ptrtoint ptr {address} to i64")
    fits = _FITS[known.kind](w, known, register, number, size)
    if known.null:
        fits = w.value(f"select i1 {w.value(f'icmp ne ptr {pointer}, null')}, i1 {fits}, i1 false")
    if not least:
        fits = w.value(f"select i1 {w.value(f'icmp eq i64 {size}, 0')}, i1 true, i1 {fits}")
    w.check(fits, position, number, size if isinstance(size, int) else 0)
    return address


def _refuse_outside(w: Calls, known: Value, position: int, offset: int, size: int) -> None:
    """What is known now to miss the frame is an error now, as in the kernel (check_stack_access_within_bounds())."""
    if offset >= -FRAME and offset + size <= 0:
        return
    whose = "" if known.ref == w.analysis.function.start else f" of the function at instruction {known.ref}"
    raise MemoryFault(
        f"instruction {position}: access of {size} byte{'s' if size > 1 else ''} at r10{offset:+d}{whose}, outside of its stack: "
        f"a function has the {FRAME} bytes from r10{-FRAME} to r10-1",
        insn=position,
    )


def stack_bounds(w: Calls) -> tuple[str, Size]:
    """Where the stack begins (an i64) that is this function's and its callers', and how long it is."""
    frame = w.once("frame.begin", f"getelementptr i8, ptr %fp, i64 {-FRAME}")
    begin = w.once("frame.number", f"ptrtoint ptr {frame} to i64")
    if w.is_main:
        return begin, FRAME
    w.once("stack.end", f"getelementptr i8, ptr %stack, i64 {FRAME * w.module.depth}")
    w.once("stack.end.number", "ptrtoint ptr %stack.end to i64")
    return begin, w.once("stack.room", f"sub i64 %stack.end.number, {begin}")


def within(w: Calls, number: str, begin: str, room: Size, size: Size, least: int = 0) -> str:
    """Whether `size` bytes at a number lie in `room` bytes (at least `least`) from `begin` on: an i1."""
    distance = w.value(f"sub i64 {number}, {begin}")
    if isinstance(room, int) and isinstance(size, int):
        return w.value(f"icmp ule i64 {distance}, {room - size}") if room >= size else "false"
    near = w.value(f"icmp ule i64 {distance}, {w.value(f'sub i64 {room}, {size}')}")
    if isinstance(size, int) and size <= least:
        return near
    return w.value(f"and i1 {near}, {w.value(f'icmp ule i64 {size}, {room}')}")


def in_stack(w: Calls, number: str, size: Size) -> str:
    """Whether an access is to the stack (an i1)."""
    begin, room = stack_bounds(w)
    return within(w, number, begin, room, size, FRAME)


def in_context(w: Calls, number: str, size: Size) -> str:
    """Whether an access is to the context (an i1)."""
    begin = w.once("ctx.number", "ptrtoint ptr %ctx to i64")
    length = w.context_length()
    if isinstance(size, str):
        return within(w, number, begin, length, size)
    w.once(f"holds{size}", f"icmp uge i64 {length}, {size}")
    w.once(f"places{size}", f"sub i64 {length}, {size - 1}")
    places = w.once(f"room{size}", f"select i1 %holds{size}, i64 %places{size}, i64 0")
    return w.value(f"icmp ult i64 {w.value(f'sub i64 {number}, {begin}')}, {places}")


def _fits_context(w: Calls, known: Value, register: int, number: str, size: Size) -> str:
    return in_context(w, number, size)


def _fits_stack(w: Calls, known: Value, register: int, number: str, size: Size) -> str:
    if known.ref != w.analysis.function.start:
        return in_stack(w, number, size)
    return within(w, number, stack_bounds(w)[0], FRAME, size)


def _fits_object(w: Calls, known: Value, register: int, number: str, size: Size) -> str:
    begin = w.value(f"ptrtoint ptr {w.base(register)} to i64")
    return within(w, number, begin, w.analysis.facts(known).value_size if known.kind == VALUE else known.ref, size)


def _fits_packet(w: Calls, known: Value, register: int, number: str, size: Size) -> str:
    begin, end = w.packet_bounds()
    return within(w, number, begin, w.value(f"sub i64 {end}, {begin}"), size)


_FITS: dict[str, Callable[[Calls, Value, int, str, Size], str]] = {
    CTX: _fits_context,
    STACK: _fits_stack,
    VALUE: _fits_object,
    RECORD: _fits_object,
    KEY: _fits_object,
    PACKET: _fits_packet,
}
CHECKED = frozenset(_FITS)
