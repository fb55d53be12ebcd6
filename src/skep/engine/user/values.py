"""What is known of a register's content: a number within bounds, or a pointer into something at an offset within bounds.

Numbers are unsigned 64-bit: lo, lo + step, ..., hi. The functions here are pure; `analysis` uses them along a program's paths.
"""

from __future__ import annotations

from collections import namedtuple
from math import gcd

from skep.bytecode import instruction as isa

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

M32, M64 = (1 << 32) - 1, (1 << 64) - 1
SIGN64 = 1 << 63
FAR = 1 << 29  # an offset beyond is as good as unknown
NOWHERE = 1 << 62

# Kinds of values. `ref` is: of a stack pointer the start of the function whose frame it is, of map pointers and values the
# map's index, of a record or key its size, of a packet pointer what its base is (0: the packet's first byte), of a function
# its start. A key is memory of the engine's own that a callback is shown: it is only read.
SCALAR, CTX, STACK, VALUE, RECORD, KEY, PACKET, PACKET_END, MAP, FUNCTION = "SCKVRYPEMF"
OF_KERNEL = 1  # `ref` of a number that is in the kernel the address of a struct
MEMORY = frozenset((CTX, STACK, VALUE, RECORD, KEY, PACKET))

# `null`: the pointer may be null. `id`: equal in two places means equal values (0: not known).
if TYPE_CHECKING:

    class Value(NamedTuple):
        kind: str
        lo: int
        hi: int
        step: int
        ref: int
        null: bool
        id: int

else:
    Value = namedtuple("Value", ("kind", "lo", "hi", "step", "ref", "null", "id"))


def scalar(lo: int, hi: int, step: int = 1, id: int = 0) -> Value:
    """A number within bounds."""
    return Value(SCALAR, lo, hi, 0 if lo == hi else step, 0, False, id)


def constant(number: int) -> Value:
    """One number; negative ones as their two's complement."""
    number &= M64
    return Value(SCALAR, number, number, 0, 0, False, 0)


UNKNOWN = scalar(0, M64)
WORD = scalar(0, M32)
ZERO = constant(0)


def pointer(kind: str, offset: int = 0, ref: int = 0, *, null: bool = False, id: int = 0) -> Value:
    """A pointer at a known offset."""
    return Value(kind, offset, offset, 0, ref, null, id)


def moved(value: Value, lo: int, hi: int, step: int) -> Value:
    """A pointer with other bounds of its offset; far ones are unknown."""
    if lo < -FAR or hi > FAR:
        return value._replace(lo=-NOWHERE, hi=NOWHERE, step=1)
    return value._replace(lo=lo, hi=hi, step=0 if lo == hi else step)


def join(a: Value, b: Value) -> Value:
    """What is known when either may be the case."""
    if a == b:
        return a
    if a.kind != b.kind or a.ref != b.ref:
        if a.kind == b.kind == PACKET:
            return Value(PACKET, -NOWHERE, NOWHERE, 1, -1, False, 0)
        return UNKNOWN
    lo, hi = min(a.lo, b.lo), max(a.hi, b.hi)
    step = gcd(gcd(a.step, b.step), abs(a.lo - b.lo))
    return Value(a.kind, lo, hi, 0 if lo == hi else step, a.ref, a.null or b.null, a.id if a.id == b.id else 0)


def widen(old: Value, new: Value, marks: list[int]) -> Value:
    """`new`, which includes `old`, with bounds that moved pushed to the next mark: chains of joins come to an end."""
    if new == old or new.kind != old.kind or new.ref != old.ref:
        return new
    lo, hi = new.lo, new.hi
    bottom, top = (0, M64) if new.kind == SCALAR else (-NOWHERE, NOWHERE)
    step = new.step or 1
    if hi > old.hi:
        hi = next((mark for mark in marks if mark >= hi), top)
        hi = lo + (hi - lo) // step * step
    if lo < old.lo:
        found = next((mark for mark in reversed(marks) if mark <= lo), bottom)
        found = max(found, bottom)
        lo = hi - (hi - found) // step * step
    return new._replace(lo=lo, hi=hi, step=0 if lo == hi else new.step)


def bounded(value: Value, lo: int, hi: int) -> Value | None:
    """A value of which more is known; None if that cannot be."""
    lo, hi = max(lo, value.lo), min(hi, value.hi)
    step = value.step
    if step > 1:
        lo = value.lo + -(-(lo - value.lo) // step) * step
        hi = value.lo + (hi - value.lo) // step * step
    if lo > hi:
        return None
    if lo == value.lo and hi == value.hi:
        return value
    return value._replace(lo=lo, hi=hi, step=0 if lo == hi else step)


# -- arithmetic on numbers


def _range(lo: int, hi: int, step: int, mask: int) -> Value:
    """Bounds of a result before it is cut to its width; a range that straddles the end is unknown."""
    if lo >= 0 and hi <= mask:
        return scalar(lo, hi, step)
    if (lo < 0 and hi < 0 and lo >= -mask - 1) or (lo > mask and hi <= 2 * mask + 1):
        return scalar(lo & mask, hi & mask, step)
    return scalar(0, mask)


def _add(a: Value, b: Value, mask: int) -> Value:
    return _range(a.lo + b.lo, a.hi + b.hi, gcd(a.step, b.step), mask)


def _sub(a: Value, b: Value, mask: int) -> Value:
    return _range(a.lo - b.hi, a.hi - b.lo, gcd(a.step, b.step), mask)


def _mul(a: Value, b: Value, mask: int) -> Value:
    if a.hi * b.hi > mask:
        return scalar(0, mask)
    if b.lo == b.hi or a.lo == a.hi:
        factor, other = (b.lo, a) if b.lo == b.hi else (a.lo, b)
        return scalar(other.lo * factor, other.hi * factor, max(other.step * factor, 1))
    return scalar(a.lo * b.lo, a.hi * b.hi)


def _and(a: Value, b: Value, mask: int) -> Value:
    for m, other in ((b, a), (a, b)):
        if m.lo == m.hi:
            low = m.lo & -m.lo
            if m.lo + low == 1 << m.lo.bit_length() and other.hi <= m.lo and low == 1:
                return other  # nothing is cut off
            return scalar(0, min(m.lo, other.hi) // (low or 1) * (low or 1), low or 1)
    return scalar(0, min(a.hi, b.hi))


def _or(a: Value, b: Value, mask: int) -> Value:
    return scalar(max(a.lo, b.lo), (1 << max(a.hi.bit_length(), b.hi.bit_length())) - 1)


def _xor(a: Value, b: Value, mask: int) -> Value:
    return scalar(0, (1 << max(a.hi.bit_length(), b.hi.bit_length())) - 1)


def _lsh(a: Value, b: Value, mask: int) -> Value:
    if b.lo != b.hi:
        return scalar(0, mask)
    shift = b.lo & (63 if mask == M64 else 31)
    if a.hi << shift > mask:
        return scalar(0, mask >> shift << shift, 1 << shift)
    return scalar(a.lo << shift, a.hi << shift, a.step << shift)


def _rsh(a: Value, b: Value, mask: int) -> Value:
    if b.lo != b.hi:
        return scalar(0, a.hi)
    shift = b.lo & (63 if mask == M64 else 31)
    even = a.step >> shift << shift == a.step and a.lo >> shift << shift == a.lo
    return scalar(a.lo >> shift, a.hi >> shift, (a.step >> shift if even else 1) or 1)


def _arsh(a: Value, b: Value, mask: int) -> Value:
    return _rsh(a, b, mask) if a.hi <= mask >> 1 else scalar(0, mask)


def _div(a: Value, b: Value, mask: int) -> Value:
    return scalar(a.lo // b.lo, a.hi // b.lo) if b.lo == b.hi and b.lo else scalar(0, a.hi)


def _mod(a: Value, b: Value, mask: int) -> Value:
    if b.lo == 0:  # by zero the dividend stays
        return scalar(0, a.hi)
    return a if a.hi < b.lo else scalar(0, min(a.hi, b.hi - 1))


def _neg(a: Value, b: Value, mask: int) -> Value:
    return _sub(ZERO, a, mask)


_OPERATIONS = {
    isa.ADD: _add, isa.SUB: _sub, isa.MUL: _mul, isa.AND: _and, isa.OR: _or, isa.XOR: _xor, isa.LSH: _lsh, isa.RSH: _rsh,
    isa.ARSH: _arsh, isa.DIV: _div, isa.MOD: _mod, isa.NEG: _neg,
}  # fmt: skip


def truncated(value: Value, mask: int) -> Value:
    """The low bits of a number (a pointer's are not known)."""
    return value._replace(id=0) if value.kind == SCALAR and value.hi <= mask else scalar(0, mask)


def arithmetic(operation: int, a: Value, b: Value, mask: int, *, signed: bool = False) -> Value:
    """The result of an operation on numbers, of 32 or 64 bits."""
    a, b = truncated(a, mask), truncated(b, mask)
    if signed and (a.hi > mask >> 1 or b.hi > mask >> 1):
        return scalar(0, mask)
    return _OPERATIONS[operation](a, b, mask)


def extended(value: Value, bits: int, mask: int) -> Value:
    """A sign-extending move."""
    return truncated(value, mask) if value.kind == SCALAR and value.hi < 1 << bits - 1 else scalar(0, mask)


# -- conditions

_OPPOSITE = {
    isa.JEQ: isa.JNE, isa.JNE: isa.JEQ, isa.JGT: isa.JLE, isa.JLE: isa.JGT, isa.JGE: isa.JLT, isa.JLT: isa.JGE,
    isa.JSGT: isa.JSLE, isa.JSLE: isa.JSGT, isa.JSGE: isa.JSLT, isa.JSLT: isa.JSGE,
}  # fmt: skip
_SWAPPED = {
    isa.JEQ: isa.JEQ, isa.JNE: isa.JNE, isa.JGT: isa.JLT, isa.JLT: isa.JGT, isa.JGE: isa.JLE, isa.JLE: isa.JGE,
    isa.JSGT: isa.JSLT, isa.JSLT: isa.JSGT, isa.JSGE: isa.JSLE, isa.JSLE: isa.JSGE,
}  # fmt: skip
_UNSIGNED = {isa.JSGT: isa.JGT, isa.JSGE: isa.JGE, isa.JSLT: isa.JLT, isa.JSLE: isa.JLE}


def opposite(operation: int) -> int | None:
    """The condition that holds where this one does not; None for JSET."""
    return _OPPOSITE.get(operation)


def swapped(operation: int) -> int:
    """The same condition with its operands the other way round."""
    return _SWAPPED[operation]


def unsigned(operation: int, a_hi: int, b_hi: int, b_lo: int, mask: int) -> int | None:
    """The unsigned form of a condition where it says the same or less; None where it would say something wrong."""
    plain = _UNSIGNED.get(operation)
    if plain is None:
        return operation
    top = mask >> 1
    if b_hi > top or (a_hi > top and operation not in (isa.JSGT, isa.JSGE)):
        return None
    return plain


def limits(operation: int, value: Value, other: Value, mask: int, bottom: int = 0) -> tuple[int, int]:
    """Bounds that `value operation other` puts on value, which must fit into mask."""
    top = mask
    if operation in _UNSIGNED:
        plain = unsigned(operation, value.hi, other.hi, other.lo, mask)
        if plain is None:
            return bottom, mask
        operation, top = plain, mask >> 1  # not above: it would be negative
    if operation == isa.JEQ:
        return other.lo, other.hi
    if operation == isa.JNE:
        if other.lo != other.hi:
            return bottom, mask
        return (value.lo + (value.lo == other.lo)), (value.hi - (value.hi == other.lo))
    if operation == isa.JGT:
        return other.lo + 1, top
    if operation == isa.JGE:
        return other.lo, top
    return (bottom, other.hi - 1) if operation == isa.JLT else (bottom, other.hi)
