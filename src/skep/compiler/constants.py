"""Numbers at compile time: spelling to value and type (C11 6.4.4), and the folding of operators."""

from __future__ import annotations

import math
import operator
import struct

from skep.compiler import types as ct
from skep.compiler.types import FloatType, Type

COMPARE = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_SUFFIXES = {
    "": (ct.INT, ct.LONG), "u": (ct.UINT, ct.ULONG), "l": (ct.LONG,), "ul": (ct.ULONG,), "lu": (ct.ULONG,),
    "ll": (ct.LLONG,), "ull": (ct.ULLONG,), "llu": (ct.ULLONG,),
}  # fmt: skip
_UNSIGNED = {ct.INT: ct.UINT, ct.LONG: ct.ULONG, ct.LLONG: ct.ULLONG}


def parse_number(text: str) -> tuple[Type, int | float]:
    """Type and value of a number as written; ValueError says what is wrong with it."""
    low = text.lower().replace("'", "")
    base = 10
    if low.startswith("0x"):
        base, digits = 16, "0123456789abcdef"
    elif low.startswith("0b"):
        base, digits = 2, "01"
    else:
        digits = "0123456789"
    if (base == 10 and any(c in low for c in ".e")) or (base == 16 and any(c in low for c in ".p")):
        return _parse_float(text, low, base)
    body = low[2:] if base != 10 else low
    end = 0
    while end < len(body) and body[end] in digits:
        end += 1
    suffix = body[end:]
    if suffix not in _SUFFIXES or (end == 0):
        raise ValueError(f"'{text}' is not a number" + (f": '{text[len(text) - len(suffix):]}' is not a suffix" if end else ""))
    if base == 10 and body[0] == "0" and end > 1:
        base = 8
        if any(c in "89" for c in body[:end]):
            raise ValueError(f"'{text}' starts with 0 and so is octal, where 8 and 9 are no digits")
    value = int(body[:end], base)
    types = _SUFFIXES[suffix]
    for t in types:
        if value <= t.maximum:
            return t, value
        if base != 10 and t in _UNSIGNED and value <= _UNSIGNED[t].maximum:
            return _UNSIGNED[t], value
    if value <= ct.ULONG.maximum:
        return ct.ULONG, value
    raise ValueError(f"'{text}' is too large: 64 bits hold at most {ct.ULONG.maximum:#x}")


def _parse_float(text: str, low: str, base: int) -> tuple[Type, float]:
    type: FloatType = ct.DOUBLE
    body = low
    if body[-1] == "f" and (base == 10 or "p" in body):
        type, body = ct.FLOAT, body[:-1]
    elif body[-1] == "l":
        type, body = ct.LDOUBLE, body[:-1]
    try:
        value = float.fromhex(body) if base == 16 else float(body)
    except ValueError:
        raise ValueError(f"'{text}' is not a number") from None
    return type, convert(value, type)


def convert(value: int | float, to: Type) -> int | float:
    """The value after conversion to an arithmetic type."""
    if isinstance(to, FloatType):
        try:
            value = float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
        if to.width == 4:
            try:
                rounded: float = struct.unpack("f", struct.pack("f", value))[0]
                return rounded
            except OverflowError:
                return math.inf if value > 0 else -math.inf
        return value
    it = ct.integer(to)
    if isinstance(value, float):
        if math.isnan(value) or math.isinf(value):
            return it.wrap(int(value != 0)) if it.rank == ct.BOOL_RANK else it.minimum
        if it.rank == ct.BOOL_RANK:
            return int(value != 0)
        value = int(value)
    return it.wrap(value)


def binary(op: str, a: int | float, b: int | float, type: Type) -> int | float | None:
    """The folded value, or None where C gives it no meaning (division by zero, wide shifts)."""
    if isinstance(type, FloatType):
        if op == "/":
            if b == 0:
                return None
            return convert(a / b, type)
        return convert({"+": operator.add, "-": operator.sub, "*": operator.mul}[op](a, b), type)
    assert isinstance(a, int) and isinstance(b, int)
    it = ct.integer(type)
    if op in "/%":
        if b == 0:
            return None
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return it.wrap(quotient if op == "/" else a - b * quotient)
    if op in ("<<", ">>"):
        if not 0 <= b < it.bits:
            return None
        return it.wrap(a << b if op == "<<" else a >> b)
    return it.wrap(_INTEGER[op](a, b))


_INTEGER = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "&": operator.and_, "|": operator.or_, "^": operator.xor,
}  # fmt: skip
