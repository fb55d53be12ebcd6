"""Builtins that become other C or a constant: arithmetic that reports overflow, sizes of objects, and what CO-RE asks of the
kernel's types, answered here and now from this kernel's BTF.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skep.compiler import ast, tree
from skep.compiler import types as ct
from skep.compiler.conversions import convert, number, poison
from skep.compiler.literals import string
from skep.compiler.types import PointerType, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.calls import Calls

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
_EXISTS = 2  # of the kinds of clang's __builtin_preserve_field_info
_TYPE_SIZE, _TYPE_MATCHES = 1, 2  # of __builtin_preserve_type_info


def builtin(calls: Calls, node: ast.Call, name: str) -> tree.Node | None:
    """The value of __builtin_NAME; None if it is not one of these."""
    found = _OVERFLOW.fullmatch(name)
    if found is not None:
        return _overflow(calls, node, found[2] or found[4], _TYPED[found[1] + found[3]] if found[1] else None)
    method = _METHODS.get(name)
    return method(calls, node) if method is not None else None


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


def _object_size(calls: Calls, node: ast.Call) -> tree.Node:
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


# --- CO-RE


def _kernel_record(calls: Calls, type: Type) -> ct.Record | None:
    """The kernel's record of a type's name; what follows `___` makes a second declaration of one type possible."""
    if not isinstance(type, RecordType):
        return None
    record = type.record
    if not record.tag:
        return record
    found = calls.c.kernel.record(record.kind, record.tag.partition("___")[0])
    return record if found is None and record.from_kernel else found


def _kind(calls: Calls, node: ast.Call, known: int) -> int | None:
    kind = calls.c.constant(node.args[1], "what is asked") if len(node.args) == 2 else -1
    if not calls.c.bpf or not 0 <= kind < known:
        name = node.function.name if isinstance(node.function, ast.Name) else ""
        calls.c.error(f"{name}() with these arguments is not supported", node, code="builtin")
        return None
    return kind


def _field_info(calls: Calls, node: ast.Call) -> tree.Node:
    kind = _kind(calls, node, 4)
    if kind is None:
        return poison(node)
    steps: list[ast.MemberAccess | ast.Index] = []
    base: ast.Expr = node.args[0]
    while isinstance(base, ast.MemberAccess | ast.Index):
        steps.append(base)
        base = base.base
    type: Type = calls.e.value(base).type
    member: ct.Member | None = None
    offset = 0
    for step in reversed(steps):
        if isinstance(type, PointerType):
            type, offset = type.to, 0
        if isinstance(step, ast.Index):
            type = type.of if isinstance(type, ct.ArrayType) else type
            offset += calls.c.constant(step.index, "an index here") * type.size
            continue
        record = _kernel_record(calls, type)
        path = record.find(step.name.text) if record is not None else None
        if path is None:
            if kind != _EXISTS:
                calls.c.error(f"this kernel's '{type.unqualified()}' has no member '{step.name.text}'", step, code="no-member")
            return number(node, 0)
        offset += sum(m.offset for m in path)
        member = path[-1]
        type = member.type
    if member is None:
        calls.c.error("this asks about a member: write pointer->member", node.args[0], code="member")
        return poison(node)
    signed = ct.is_integer(type) and ct.integer(type).signed
    return number(node, (offset, type.size, 1, int(signed))[kind], ct.UINT)


def _type_info(calls: Calls, node: ast.Call) -> tree.Node:
    kind = _kind(calls, node, 3)
    if kind is None:
        return poison(node)
    type = calls.e.check(node.args[0]).type
    kernel = calls.c.kernel
    found: Type | None = type
    if isinstance(type, RecordType):
        record = _kernel_record(calls, type)
        found = None if record is None or not RecordType(record).complete else RecordType(record)
    elif type.alias and type.alias not in ct.BUILTIN_TYPEDEFS:
        found = kernel.typedef(type.alias.partition("___")[0])
    elif isinstance(type, ct.EnumType):
        found = kernel.enum(type.definition.tag.partition("___")[0])
    if kind == _TYPE_SIZE:
        return number(node, found.size if found is not None else 0, ct.UINT)
    if kind == _TYPE_MATCHES:
        return number(node, int(found is not None and _matches(type, found)), ct.UINT)
    return number(node, int(found is not None), ct.UINT)


def _matches(local: Type, kernel: Type, *, behind: bool = False) -> bool:
    """Do two types match as libbpf's relo_core.c has it? `behind` a pointer, names and kinds of structs are all that counts."""
    if isinstance(local, RecordType) and isinstance(kernel, RecordType):
        mine, its = local.record, kernel.record
        if mine is its or mine.kind != its.kind:
            return mine is its
        if behind:
            return mine.tag.partition("___")[0] == its.tag.partition("___")[0]
        members = {m.name: m for m in its.members if m.name}
        return all(m.name in members and _matches(m.type, members[m.name].type) for m in mine.members if m.name)
    if isinstance(local, ct.EnumType) and isinstance(kernel, ct.EnumType):
        names = {name.partition("___")[0] for name, _ in kernel.definition.enumerators}
        mine_names = {name.partition("___")[0] for name, _ in local.definition.enumerators}
        return behind or (local.size == kernel.size and mine_names <= names)
    if isinstance(local, PointerType) and isinstance(kernel, PointerType):
        return _matches(local.to, kernel.to, behind=True)
    if isinstance(local, ct.ArrayType) and isinstance(kernel, ct.ArrayType):
        return local.count == kernel.count and _matches(local.of, kernel.of)
    if isinstance(local, ct.FunctionType) and isinstance(kernel, ct.FunctionType):
        if len(local.params) != len(kernel.params) or not _matches(local.returns, kernel.returns):
            return False
        return all(_matches(mine, its) for (_, mine), (_, its) in zip(local.params, kernel.params, strict=True))
    if isinstance(local, ct.IntType) and isinstance(kernel, ct.IntType):
        return (local.size, local.signed) == (kernel.size, kernel.signed)
    return local.__class__ is kernel.__class__


def _enum_value(calls: Calls, node: ast.Call) -> tree.Node:
    """`*(typeof(type) *)name`, and whether to give 1 where the kernel has it (0), or its value (1)."""
    kind = _kind(calls, node, 2)
    argument = node.args[0] if node.args else None
    cast = argument.operand if isinstance(argument, ast.Unary) and argument.op == "*" else None
    if kind is None or not isinstance(cast, ast.Cast) or not isinstance(cast.operand, ast.Name):
        if kind is not None:
            calls.c.error("this asks about an enumerator: write its type and its name", node, code="builtin")
        return poison(node)
    name = cast.operand.name.partition("___")[0]
    found = calls.c.kernel.enumerator(name)
    if kind == 0:
        return number(node, int(found is not None), ct.ULLONG)
    if found is None:
        calls.c.error(f"this kernel has no enumerator '{name}'", cast.operand, code="undeclared")
        return poison(node)
    return number(node, ct.ULLONG.wrap(found[0]), ct.ULLONG)


def _compare_strings(calls: Calls, node: ast.Call) -> tree.Node | None:
    """Of two literals, as bpf_cmp_likely() looks at the operator that it was given."""
    if len(node.args) != 2 or not all(isinstance(arg, ast.String) for arg in node.args):
        return None
    left, right = (string(calls.c, arg).data for arg in node.args if isinstance(arg, ast.String))
    return number(node, (left > right) - (left < right))


_METHODS = {
    "strcmp": _compare_strings,
    "object_size": _object_size, "dynamic_object_size": _object_size, "preserve_field_info": _field_info,
    "preserve_type_info": _type_info, "preserve_enum_value": _enum_value,
}  # fmt: skip
