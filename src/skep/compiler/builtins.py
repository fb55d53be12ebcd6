"""Compiler builtins, as the checker sees them: values that are known here, other C, or a call that LLVM is asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from skep.compiler import ast, host, tree
from skep.compiler import types as ct
from skep.compiler.atomics import atomic
from skep.compiler.conversions import assignable, convert, number, poison
from skep.compiler.kernel_builtins import KERNEL_BUILTINS
from skep.compiler.literals import string
from skep.compiler.types import FunctionType, PointerType, Type

if TYPE_CHECKING:
    from skep.compiler.calls import Calls

_MEMORY = ("memcpy", "memmove", "memset", "memcmp")
BITS = {
    "bswap16": (ct.USHORT, ct.USHORT), "bswap32": (ct.UINT, ct.UINT), "bswap64": (ct.ULONG, ct.ULONG),
    "ctz": (ct.UINT, ct.INT), "ctzl": (ct.ULONG, ct.INT), "ctzll": (ct.ULLONG, ct.INT),
    "clz": (ct.UINT, ct.INT), "clzl": (ct.ULONG, ct.INT), "clzll": (ct.ULLONG, ct.INT),
    "ffs": (ct.INT, ct.INT), "ffsl": (ct.LONG, ct.INT), "ffsll": (ct.LLONG, ct.INT),
    "popcount": (ct.UINT, ct.INT), "popcountl": (ct.ULONG, ct.INT), "popcountll": (ct.ULLONG, ct.INT),
    "parity": (ct.UINT, ct.INT), "abs": (ct.INT, ct.INT), "labs": (ct.LONG, ct.LONG),
}  # fmt: skip
_OVERFLOW = re.compile(r"(?:([su])(add|sub|mul)(l{0,2})|(add|sub|mul))_overflow")
_TYPED = {"s": ct.INT, "u": ct.UINT, "sl": ct.LONG, "ul": ct.ULONG, "sll": ct.LLONG, "ull": ct.ULLONG}
_EXACT = "({{ {wide} _r = ({wide})a {op} ({wide})b; *to = _r; {test}; }})"
_SAME = {  # 64-bit operands and result of one type, (signed, operation)
    (False, "add"): "({ unsigned long long _r = a + b; *to = _r; _r < a; })",
    (False, "sub"): "({ *to = a - b; a < b; })",
    (True, "add"): (
        "({ unsigned long long _r = (unsigned long long)a + (unsigned long long)b; *to = _r;"
        " (long long)((a ^ _r) & (b ^ _r)) < 0; })"
    ),
    (True, "sub"): (
        "({ unsigned long long _r = (unsigned long long)a - (unsigned long long)b; *to = _r;"
        " (long long)((a ^ b) & (a ^ _r)) < 0; })"
    ),
}
# sign and magnitude, in halves: LLVM takes a division as a test for a product of 128 bits, and BPF has none
_PRODUCT = (
    "({{ unsigned long long _a = {a}, _b = {b}, _m = 0xffffffff, _l = (_a & _m) * (_b & _m),"
    " _h = (_a >> 32) * (_b & _m) + (_a & _m) * (_b >> 32), _r = _l + (_h << 32); int _minus = {minus};"
    " *to = _minus ? -_r : _r;"
    " (_a >> 32 && _b >> 32) || _h >> 32 || _r < _l || _r > (_minus ? {least}ULL : {most}ULL); }})"
)


def builtin(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    """A call of __builtin_*, __sync_* or __atomic_*."""
    short = name.removeprefix("__builtin_")
    overflow = _OVERFLOW.fullmatch(short)
    rule = _BUILTINS.get(short)
    found: tree.Node | None = None
    if short == name:
        found = atomic(calls, node, name)
    elif overflow is not None:
        found = _overflow(calls, node, overflow[2] or overflow[4], _TYPED[overflow[1] + overflow[3]] if overflow[1] else None)
    elif rule is not None:
        found = rule(calls, node, short)
    if found is None and short != name and not calls.c.bpf:
        found = _library(calls, node, short)
    if found is not None:
        return found
    calls.c.error(f"'{name}' is not a builtin that Skep knows", node.function, code="builtin")
    return poison(node)


# --- overflow


def _overflow(calls: Calls, node: ast.Call, op: str, type: Type | None) -> tree.Node:
    args = calls.take(node, 3)
    if args is None:
        return poison(node)
    to = args[2].type.to if isinstance(args[2].type, PointerType) else None
    if to is None or not all(ct.is_integer(t) and t.size <= 8 for t in (args[0].type, args[1].type, to)):
        calls.c.error(f"__builtin_{op}_overflow() takes two integers and a pointer to one, of 64 bits at most", node, code="type")
        return poison(node)
    if type is not None:
        args[:2] = [convert(a, type) for a in args[:2]]
    a, b, result = ct.integer(args[0].type), ct.integer(args[1].type), ct.integer(to)
    text = _overflow_text(op, a, b, result)
    found = calls.with_arguments(
        node, node.first, text, f"__builtin_{op}_overflow", list(zip(("a", "b", "to"), args, strict=True))
    )
    return convert(found, ct.BOOL)


def _overflow_text(op: str, a: ct.IntType, b: ct.IntType, to: ct.IntType) -> str:
    most = 1 if to.rank == ct.BOOL_RANK else to.maximum
    if a.size < 8 and b.size < 8:
        signed = op != "mul" or a.signed or b.signed
        test = [f"_r < ({to.minimum + 1}LL - 1)"] if signed else []
        test += [f"_r > {most}ULL"] if not signed and to.size < 8 | to.signed else []
        test += [f"_r > {most}LL"] if signed and most < (1 << 63) - 1 else []
        symbol = {"add": "+", "sub": "-", "mul": "*"}[op]
        return _EXACT.format(wide="long long" if signed else "unsigned long long", op=symbol, test=" || ".join(test) or "0")
    if op == "mul":
        sizes = {n: f"{n} < 0 ? -(unsigned long long){n} : {n}" if t.signed else n for n, t in (("a", a), ("b", b))}
        minus = " ^ ".join(f"({n} < 0)" for n, t in (("a", a), ("b", b)) if t.signed) or "0"
        return _PRODUCT.format(**sizes, minus=minus, least=-to.minimum, most=most)
    if a.size == b.size == to.size and a.signed == b.signed == to.signed:
        return _SAME[a.signed, op]
    test = [f"_r < (__int128)({to.minimum + 1}LL - 1)", f"_r > (__int128){most}ULL"]
    return _EXACT.format(wide="__int128", op="+" if op == "add" else "-", test=" || ".join(test))


# --- sizes of objects


def _object_size(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    """The bytes from a pointer to the end of its object where that is plain, else -1 (0 for the least size)."""
    args = calls.take(node, 2)
    kind = tree.const_int(args[1]) if args is not None else None
    if args is None or kind is None or not 0 <= kind <= 3:
        if args is not None:
            calls.c.error("__builtin_object_size() takes a pointer and a constant from 0 to 3", node, code="constant")
        return poison(node)
    size = _bytes_left(args[0], part=bool(kind & 1))
    return number(node, size if size is not None else 0 if kind & 2 else ct.ULONG.maximum, ct.ULONG)


def _bytes_left(node: tree.Node, *, part: bool) -> int | None:
    offset = 0
    while True:
        if isinstance(node, tree.Convert) and isinstance(node.type, PointerType):
            node = node.operand
        elif isinstance(node, tree.PointerAdd) and isinstance(node.type, PointerType) and node.type.to.complete:
            index = tree.const_int(node.index)
            if index is None:
                return None
            offset += (-index if node.negative else index) * node.type.to.size
            node = node.pointer
        else:
            break
    if not isinstance(node, tree.AddressOf):
        return None
    place = node.operand
    while isinstance(place, tree.MemberRef) and not part:
        offset += place.member.offset
        place = place.base
    if not isinstance(place, tree.VarRef | tree.StringData | tree.CompoundLiteral | tree.MemberRef) or not place.type.complete:
        return None
    return max(place.type.size - offset, 0)


def _compare_strings(calls: Calls, node: ast.Call, name: str) -> tree.Node | None:
    """Of two literals, as bpf_cmp_likely() looks at the operator that it was given."""
    if len(node.args) != 2 or not all(isinstance(arg, ast.String) for arg in node.args):
        return None
    left, right = (string(calls.c, arg).data for arg in node.args if isinstance(arg, ast.String))
    return number(node, (left > right) - (left < right))


# --- memory, bits, hints, hosts


def _memory(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    args = calls.take(node, 3)
    if args is None:
        return poison(node)
    for i in (0, 1) if name != "memset" else (0,):
        if not isinstance(args[i].type, PointerType):
            hint = f"; write '&{s.name}'" if isinstance(s := node.args[i], ast.Name) else ""
            calls.c.error(f"{name}() wants a pointer, not '{args[i].type}'{hint}", node.args[i], code="type")
            return poison(node)
    if name == "memset":
        args[1] = assignable(calls.c, args[1], ct.INT, "argument 2 of memset()", node.args[1])
    args[2] = assignable(calls.c, args[2], ct.ULONG, f"argument 3 of {name}()", node.args[2])
    if calls.c.bpf and tree.const_int(args[2]) is None:
        calls.c.error(
            f"{name}() in BPF needs a constant size: it becomes loads and stores; for a changing size use "
            "bpf_probe_read_kernel() or a loop with a bound", node.args[2], code="constant",
        )  # fmt: skip
        return poison(node)
    result = ct.INT if name == "memcmp" else PointerType(ct.VOID)
    return tree.CallBuiltin(node.first, node.last, result, name, args)


def _bits(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    args = calls.take(node, 1)
    if args is None:
        return poison(node)
    takes, gives = BITS[name]
    arg = assignable(calls.c, args[0], takes, f"argument 1 of __builtin_{name}()", node.args[0])
    value = tree.const_int(arg)
    if value is not None and name.startswith("bswap"):
        return number(node, int.from_bytes(value.to_bytes(takes.size, "little"), "big"), gives)
    if value is not None and (value or not name.startswith(("ctz", "clz"))):
        return number(node, gives.wrap(_fold_bits(name, value & takes.maximum if not takes.signed else value, takes)), gives)
    return tree.CallBuiltin(node.first, node.last, gives, name, [arg])


def _expect(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    args = calls.take(node, 2)
    if args is None or not all(ct.is_scalar(a.type) for a in args):
        return poison(node)
    args = [convert(a, ct.LONG) for a in args]
    if isinstance(args[0], tree.Const):
        return args[0]
    return tree.CallBuiltin(node.first, node.last, ct.LONG, "expect", args)


def _constant_p(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    args = calls.take(node, 1)
    if args is None or isinstance(args[0], tree.Const):
        return number(node, int(args is not None))
    if isinstance(args[0], tree.AddressOf) and isinstance(args[0].operand, tree.StringData):
        return number(node, 1)
    if not ct.is_integer(args[0].type):
        return poison(node)
    return tree.CallBuiltin(node.first, node.last, ct.INT, "constant_p", args)


def _choose(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    if len(node.args) != 3:
        calls.take(node, 3)
        return poison(node)
    return calls.e.check(node.args[1 if calls.c.constant(node.args[0], "the choice") else 2])


def _same(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    """Field accesses use the running kernel's own layout here, so there is nothing to preserve."""
    if len(node.args) != 1:
        calls.take(node, 1)
        return poison(node)
    return calls.e.value(node.args[0])


def _stop(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    calls.take(node, 0)
    return tree.CallBuiltin(node.first, node.last, ct.VOID, name, [])


def _alloca(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    if calls.c.bpf:
        calls.c.error("BPF's stack is fixed at load: give a variable a constant size", node, code="alloca")
        return poison(node)
    args = calls.take(node, 1)
    if args is None:
        return poison(node)
    size = assignable(calls.c, args[0], ct.ULONG, "the size", node)
    return tree.CallBuiltin(node.first, node.last, PointerType(ct.VOID), "alloca", [size])


def _packet_load(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    """LD_ABS and LD_IND: a number of the packet's in host order; outside of the packet the program ends with 0."""
    args = calls.take(node, 2)
    if args is None or not isinstance(args[0].type, PointerType) or not ct.is_integer(args[1].type):
        if args is not None:
            calls.c.error(f"__builtin_{name}() takes the packet's struct __sk_buff * and an offset", node, code="type")
        return poison(node)
    width = name.rsplit("_", 1)[1]
    offset = convert(args[1], ct.ULLONG)
    return tree.CallBuiltin(node.first, node.last, ct.ULLONG, "packet_load", [width, args[0], offset])


_VA_ARGUMENTS = {"va_start": "a va_list and the last named parameter", "va_copy": "two va_lists", "va_end": "a va_list"}


def _va(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    if calls.c.bpf:
        calls.c.error("BPF functions take a fixed number of arguments", node, code="variadic")
    if len(node.args) != (1 if name == "va_end" else 2):
        calls.c.error(f"{name}() takes {_VA_ARGUMENTS[name]}", node, code="arguments")
        return poison(node)
    lists = 2 if name == "va_copy" else 1
    args = [calls.e.va_list(arg, name) if i < lists else calls.e.value(arg) for i, arg in enumerate(node.args)]
    return tree.CallBuiltin(node.first, node.last, ct.VOID, name, args)


def _library(calls: Calls, node: ast.Call, name: str) -> tree.Node | None:
    """A builtin of hosts: a number, a function of the C library's, or an expression in C over its arguments."""
    bare = name.rstrip("fl") if name[:3] in ("inf", "nan", "hug") else ""
    if name in ("inf", "inff", "infl") or bare in ("inf", "huge_va", "nan"):
        type = {"f": ct.FLOAT, "l": ct.LDOUBLE}.get(name[len("huge_val" if name[0] == "h" else "inf") :], ct.DOUBLE)
        value = math.nan if bare == "nan" else math.inf
        for arg in node.args:
            calls.e.value(arg)
        return number(node, value, type)
    row = host.LIBRARY.get(name)
    if row is not None:
        prototype = calls.c.parse_type(f"{row[0]} (*)({row[1]})")
        assert isinstance(prototype, PointerType)
        assert isinstance(prototype.to, FunctionType)
        function = calls.c.unit.functions.get(name)
        if function is None:
            function = calls.c.unit.functions[name] = tree.Function(name, prototype.to, node.first)
        args = calls.arguments(node, prototype.to, f"__builtin_{name}()")
        return tree.CallFunction(node.first, node.last, prototype.to.returns, function, args)
    params, text = host.TEXTS.get(name, ((), ""))
    if not text:
        return None
    args_found = calls.take(node, len(params))
    if args_found is None or not all(isinstance(a.type, ct.FloatType) for a in args_found):
        if args_found is not None:
            calls.c.error(f"__builtin_{name}() takes floating-point numbers", node, code="type")
        return poison(node)
    return calls.with_arguments(node, node.first, text, name, list(zip(params, args_found, strict=True)))


def _fold_bits(name: str, value: int, type: ct.IntType) -> int:
    base = name.rstrip("l")
    if base == "ctz":
        return (value & -value).bit_length() - 1
    if base == "clz":
        return type.bits - value.bit_length()
    if base == "ffs":
        return (value & -value).bit_length()
    if base in ("popcount", "parity"):
        count = value.bit_count()
        return count if base == "popcount" else count & 1
    return abs(value)


_BUILTINS: dict[str, Callable[[Calls, ast.Call, str], tree.Node | None]] = {
    **dict.fromkeys(_MEMORY, _memory),
    **dict.fromkeys(BITS, _bits),
    **dict.fromkeys(("unreachable", "trap"), _stop),
    **dict.fromkeys(("bpf_load_byte", "bpf_load_half", "bpf_load_word"), _packet_load),
    **dict.fromkeys(("va_start", "va_end", "va_copy"), _va),
    **dict.fromkeys(("object_size", "dynamic_object_size"), _object_size),
    **KERNEL_BUILTINS,
    "expect": _expect,
    "constant_p": _constant_p,
    "choose_expr": _choose,
    "preserve_access_index": _same,
    "alloca": _alloca,
    "strcmp": _compare_strings,
}
