"""128-bit multiplication and shifts for BPF, which has no run-time library to call: LLVM IR of inlined functions.

Shift counts are numbers that the program computes; LLVM does constant ones itself. Division is left out: the verifier would
follow the two ways of each of its 128 steps.
"""

from __future__ import annotations

_HALVES = """  %al = trunc i128 %a to i64
  %ax = lshr i128 %a, 64
  %ah = trunc i128 %ax to i64
"""
_JOIN = """  %lo = zext i64 %rl to i128
  %hx = zext i64 %rh to i128
  %hi = shl i128 %hx, 64
  %r = or i128 %hi, %lo
  ret i128 %r
"""
_COUNT = """  %c = trunc i128 %b to i64
  %m = and i64 %c, 63
  %n = xor i64 %m, 63
  %b6 = and i64 %c, 64
  %far = icmp ne i64 %b6, 0
"""
_RIGHT = """  %h1 = shl i64 %ah, 1
  %carry = shl i64 %h1, %n
  %l1 = lshr i64 %al, %m
  %near = or i64 %l1, %carry
  %hs = {shift} i64 %ah, %m
  %rl = select i1 %far, i64 %hs, i64 %near
  %fill = {fill}
  %rh = select i1 %far, i64 %fill, i64 %hs
"""


def _limbs(name: str) -> str:
    return f"""  %{name}0 = and i64 %{name}l, 4194303
  %{name}s = lshr i64 %{name}l, 22
  %{name}1 = and i64 %{name}s, 4194303
  %{name}2 = lshr i64 %{name}l, 44
"""


_BODIES = {
    # in limbs of 22 bits: LLVM knows the usual one of 32-bit halves, and makes the 128-bit multiplication of it again
    "mul": _HALVES
    + """  %bl = trunc i128 %b to i64
  %bx = lshr i128 %b, 64
  %bh = trunc i128 %bx to i64
"""
    + _limbs("a")
    + _limbs("b")
    + "".join(f"  %p{i}{j} = mul i64 %a{i}, %b{j}\n" for i in range(3) for j in range(3))
    + """  %k0 = lshr i64 %p00, 22
  %s1 = add i64 %p01, %p10
  %c1 = add i64 %s1, %k0
  %k1 = lshr i64 %c1, 22
  %s2 = add i64 %p02, %p20
  %s3 = add i64 %s2, %p11
  %c2 = add i64 %s3, %k1
  %k2 = lshr i64 %c2, 22
  %s4 = add i64 %p12, %p21
  %c3 = add i64 %s4, %k2
  %k3 = lshr i64 %c3, 22
  %c4 = add i64 %p22, %k3
  %d2 = and i64 %c2, 4194303
  %d3 = and i64 %c3, 4194303
  %u2 = lshr i64 %d2, 20
  %u3 = shl i64 %d3, 2
  %u4 = shl i64 %c4, 24
  %v3 = or i64 %u2, %u3
  %h0 = or i64 %v3, %u4
  %rl = mul i64 %al, %bl
  %x0 = mul i64 %al, %bh
  %x1 = mul i64 %ah, %bl
  %h2 = add i64 %h0, %x0
  %rh = add i64 %h2, %x1
"""
    + _JOIN,
    "shl": _HALVES
    + _COUNT
    + """  %l1 = lshr i64 %al, 1
  %carry = lshr i64 %l1, %n
  %h1 = shl i64 %ah, %m
  %near = or i64 %h1, %carry
  %ls = shl i64 %al, %m
  %rh = select i1 %far, i64 %ls, i64 %near
  %rl = select i1 %far, i64 0, i64 %ls
"""
    + _JOIN,
    "lshr": _HALVES + _COUNT + _RIGHT.format(shift="lshr", fill="and i64 %ah, 0") + _JOIN,
    "ashr": _HALVES + _COUNT + _RIGHT.format(shift="ashr", fill="ashr i64 %ah, 63") + _JOIN,
}


def wide_function(operation: str, attributes: str) -> str:
    """The definition of @skep.OPERATION.i128."""
    head = f"define internal i128 @skep.{operation}.i128(i128 %a, i128 %b) alwaysinline {attributes}"
    return f"{head} {{\nentry:\n{_BODIES[operation]}}}"
