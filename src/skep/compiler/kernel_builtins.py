"""What CO-RE asks of the kernel's types (`__builtin_preserve_*`), answered here and now from this kernel's BTF."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skep.compiler import ast, tree
from skep.compiler import types as ct
from skep.compiler.conversions import number, poison
from skep.compiler.types import PointerType, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.calls import Calls

_EXISTS = 2  # of the kinds of clang's __builtin_preserve_field_info
_TYPE_SIZE, _TYPE_MATCHES = 1, 2  # of __builtin_preserve_type_info


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


def _field_info(calls: Calls, node: ast.Call, name: str) -> tree.Node:
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


def _type_info(calls: Calls, node: ast.Call, name: str) -> tree.Node:
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


def _enum_value(calls: Calls, node: ast.Call, name: str) -> tree.Node:
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


def _type_id(calls: Calls, node: ast.Call, name: str) -> tree.Node:
    """The number of a type in the kernel's BTF (clang's 1), or in the program's own (0), which LLVM gives it later."""
    asked = _kind(calls, node, 2)
    if asked is None:
        return poison(node)
    type = calls.e.check(node.args[0]).type
    if asked == 0 and isinstance(type, ct.VoidType):
        calls.c.error("'void' has no number", node, code="builtin")
        return poison(node)
    if asked == 0:
        return tree.CallBuiltin(node.first, node.last, ct.UINT, "btf_type_id", [number(node, 0, PointerType(type.unqualified()))])
    kind, tag = "typedef", type.alias
    if isinstance(type, RecordType):
        kind, tag = type.record.kind, type.record.tag
    elif isinstance(type, ct.EnumType) and not tag:
        kind, tag = "enum", type.definition.tag
    btf = calls.c.kernel.btf
    found = btf.find(tag.partition("___")[0], kind) if btf is not None and tag else None
    if found is None:
        calls.c.error(f"this kernel's BTF has no '{type.unqualified()}'", node, code="builtin")
        return poison(node)
    return number(node, found, ct.UINT)


KERNEL_BUILTINS: dict[str, Callable[[Calls, ast.Call, str], tree.Node]] = {
    "preserve_field_info": _field_info,
    "preserve_type_info": _type_info,
    "preserve_enum_value": _enum_value,
    "btf_type_id": _type_id,
}
