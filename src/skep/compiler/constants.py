"""Numbers at compile time: spelling to value and type (C11 6.4.4), and the folding of operators."""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from skep.compiler import types as ct
from skep.compiler.types import FloatType, Type

Number = int | float | Fraction  # a fraction is a long double, exactly

COMPARE = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_SUFFIXES = {
    "": (ct.INT, ct.LONG), "u": (ct.UINT, ct.ULONG), "l": (ct.LONG,), "ul": (ct.ULONG,), "lu": (ct.ULONG,),
    "ll": (ct.LLONG,), "ull": (ct.ULLONG,), "llu": (ct.ULLONG,),
}  # fmt: skip
_UNSIGNED = {ct.INT: ct.UINT, ct.LONG: ct.ULONG, ct.LLONG: ct.ULLONG}


def parse_number(text: str) -> tuple[Type, Number]:
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
        raise ValueError(f"'{text}' is not a number" + (f": '{text[len(text) - len(suffix) :]}' is not a suffix" if end else ""))
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


def _parse_float(text: str, low: str, base: int) -> tuple[Type, Number]:
    type: FloatType = ct.DOUBLE
    body = low
    if body[-1] == "f" and (base == 10 or "p" in body):
        type, body = ct.FLOAT, body[:-1]
    elif body[-1] == "l":
        type, body = ct.LDOUBLE, body[:-1]
    try:
        value = float.fromhex(body) if base == 16 else float(body)
        if type is ct.LDOUBLE:
            return type, _round_long_double(_exact(body, base))
    except OverflowError:
        value = math.inf
    except ValueError:
        raise ValueError(f"'{text}' is not a number") from None
    return type, convert(value, type)


def _exact(body: str, base: int) -> Fraction:
    if base == 10:
        return Fraction(body)
    digits, _, exponent = body[2:].partition("p")
    whole, _, part = digits.partition(".")
    return Fraction(int(whole + part or "0", 16)) * Fraction(2) ** (int(exponent) - 4 * len(part))


def _round_long_double(value: Number) -> Number:
    """The nearest number with x87's 64 bits of precision; infinities, zeros and NaN stay floats."""
    if value == 0 or (isinstance(value, float) and not math.isfinite(value)):
        return float(value)
    exact = abs(Fraction(value))
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    if Fraction(2) ** exponent > exact:
        exponent -= 1
    if exponent > 16383:
        return math.inf if value > 0 else -math.inf
    unit = Fraction(2) ** (max(exponent, -16382) - 63)
    rounded = round(exact / unit) * unit
    return (rounded if value > 0 else -rounded) or 0.0


def long_double_bits(value: Number) -> int:
    """The 80 bits of an x87 number."""
    if isinstance(value, float) and not math.isfinite(value):
        sign = int(math.copysign(1, value) < 0)
        return sign << 79 | 0x7FFF << 64 | (3 << 62 if math.isnan(value) else 1 << 63)
    sign = int(math.copysign(1, value) < 0 if isinstance(value, float) else value < 0)
    exact = abs(Fraction(value))
    if not exact:
        return sign << 79
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    if Fraction(2) ** exponent > exact:
        exponent -= 1
    exponent = max(exponent, -16383)
    mantissa = round(exact / Fraction(2) ** (max(exponent, -16382) - 63))
    return sign << 79 | (exponent + 16383) << 64 | mantissa


def convert(value: Number, to: Type) -> Number:
    """The value after conversion to an arithmetic type."""
    if isinstance(to, FloatType):
        if to.width == 16:
            return _round_long_double(value)
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
    if not isinstance(value, int):
        if isinstance(value, float) and not math.isfinite(value):
            return it.wrap(int(value != 0)) if it.rank == ct.BOOL_RANK else it.minimum
        if it.rank == ct.BOOL_RANK:
            return int(value != 0)
        value = int(value)
    return it.wrap(value)


def binary(op: str, a: Number, b: Number, type: Type) -> Number | None:
    """The folded value, or None where C gives it no meaning (division by zero, wide shifts)."""
    if isinstance(type, FloatType):
        if op == "/":
            if b == 0:
                return None
            return _float_result(operator.truediv, a, b, type)
        return _float_result({"+": operator.add, "-": operator.sub, "*": operator.mul}[op], a, b, type)
    assert isinstance(a, int)
    assert isinstance(b, int)
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


def _float_result(operation: Callable[[Any, Any], Any], a: Number, b: Number, type: Type) -> Number | None:
    try:
        return convert(operation(a, b), type)
    except OverflowError:
        return None


_INTEGER = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "&": operator.and_, "|": operator.or_, "^": operator.xor,
}  # fmt: skip
