"""Conversions of the checker: what a value becomes where another type is wanted (C11 6.3), lvalues, constants.

`convert` asks nothing, `assignable` is conversion as by assignment, `promoted` the integer promotions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skep.compiler import ast, constants, tree
from skep.compiler import types as ct
from skep.compiler.addresses import constant_address
from skep.compiler.types import ArrayType, FunctionType, PointerType, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker
    from skep.compiler.source import Token

MIRRORED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def decay(node: tree.Node) -> tree.Node:
    if isinstance(node.type, ArrayType):
        return tree.AddressOf(node.token, node.last, ct.decay(node.type), node)
    if isinstance(node.type, FunctionType):
        return tree.AddressOf(node.token, node.last, PointerType(node.type), node)
    return node


def number(at: Any, value: float, type: Type = ct.INT) -> tree.Const:
    first, last = (at.first, at.last) if isinstance(at, ast.Node) else (at.token, at.last)
    return tree.Const(first, last, type, value)


def poison(at: Any) -> tree.Poison:
    """Stands for an expression that is wrong and was reported; nothing more is said about it."""
    first, last = (at.first, at.last) if isinstance(at, ast.Node) else (at.token, at.last)
    return tree.Poison(first, last, ct.INT, 0)


# --- lvalues


def is_lvalue(node: tree.Node) -> bool:
    if isinstance(node, tree.MemberRef):
        return is_lvalue(node.base)
    return isinstance(node, tree.VarRef | tree.Deref | tree.StringData | tree.CompoundLiteral | tree.Poison)


def writable(checker: Checker, node: tree.Node, what: str) -> bool:
    if not is_lvalue(node):
        checker.error(f"{what} needs something that has an address, not a value", node, code="lvalue")
        return False
    if isinstance(node.type, ArrayType):
        checker.error(f"{what}: an array cannot be assigned; copy it with __builtin_memcpy", node, code="lvalue")
        return False
    if node.type.quals & ct.CONST:
        checker.error(f"{what}: '{node.type}' is const", node, code="const")
        return False
    return True


# --- conversions


def convert(node: tree.Node, to: Type, *, explicit: bool = False) -> tree.Node:
    """A value of another type, without questions; constants are folded."""
    to = to.unqualified()
    if isinstance(node, tree.Const) and (isinstance(to, ct.IntType | ct.EnumType | ct.FloatType)):
        return tree.Const(node.token, node.last, to, constants.convert(node.value, to))
    if isinstance(to, ct.IntType) and isinstance(node.type, PointerType):
        address = constant_address(node)  # as in (size_t)&((struct s *)0)->member
        if address is not None and address[0] is None:
            return tree.Const(node.token, node.last, to, to.wrap(address[1]))
        if address is not None and to.rank == ct.BOOL_RANK:
            return tree.Const(node.token, node.last, to, 1)
    same = type(node.type) is type(to) and ct.compatible(node.type.unqualified(), to, ignore_quals=True)
    named_alike = node.type is to or (node.type.alias == to.alias and not node.type.quals)
    if same and named_alike and not isinstance(to, PointerType):
        return node
    return tree.Convert(node.token, node.last, to, node, explicit)


def assignable(checker: Checker, node: tree.Node, to: Type, context: str, at: Any = None) -> tree.Node:
    """Implicit conversion as by assignment (C11 6.5.16.1); `context` begins the message, as "argument 1 of f()"."""
    at = at or node
    source = node.type
    target = to.unqualified()
    if isinstance(node, tree.Poison):
        return node
    if isinstance(target, ct.VoidType) or isinstance(source, ct.VoidType):
        checker.error(f"{context}: a 'void' value cannot be used", at, code="void")
        return poison(node)
    if ct.is_arithmetic(target) and ct.is_arithmetic(source):
        _check_range(checker, node, target, context, at)
        return convert(node, target)
    if isinstance(target, PointerType):
        return _to_pointer(checker, node, target, context, at)
    if ct.is_integer(target) and isinstance(source, PointerType):
        if isinstance(target, ct.IntType) and target.rank == ct.BOOL_RANK:
            return convert(node, target)
        message = f"{context}: a pointer '{source}' is no integer '{to}'; {_instead(node)}"
        checker.diagnostics.strict("int-conversion", message, *_span(at))
        return convert(node, target)
    if isinstance(target, RecordType) and isinstance(source, RecordType) and target.record is source.record:
        return node
    checker.error(f"{context}: '{source}' cannot become '{to}'", at, code="type")
    return tree.Convert(node.token, node.last, target, number(node, 0), False) if ct.is_scalar(target) else node


def _check_range(checker: Checker, node: tree.Node, target: Type, context: str, at: Any) -> None:
    if isinstance(node, tree.Const) and isinstance(node.value, int) and ct.is_integer(target):
        it = ct.integer(target)
        if it.rank and not -(1 << (it.bits - 1)) <= node.value < 1 << it.bits:
            kept = it.wrap(node.value)
            checker.warning(f"{context}: {node.value} does not fit '{target}' and becomes {kept}", at, code="constant-conversion")


def check_compared(checker: Checker, op: str, value: tree.Node, other: tree.Node, common: ct.IntType, node: Any) -> None:
    """Warn of a comparison with a number that the type of `value` does not have, as clang does by default."""
    constant = tree.const_int(other)
    bits = isinstance(value, tree.MemberRef) and value.member.bits is not None
    if constant is None or bits or not isinstance(value.type, ct.IntType) or value.type.size >= common.size:
        return
    bounds = (0, 1) if value.type.rank == ct.BOOL_RANK else (value.type.minimum, value.type.maximum)
    if value.type.signed and not common.signed:  # negative values become the largest ones
        low, high = bounds[1], bounds[0] + (1 << common.bits)
        if not low < constant < high or op not in ("==", "!="):
            return
    elif bounds[0] <= constant <= bounds[1]:
        return
    # all values of the type are on one side of the number
    always = constants.COMPARE[op](bounds[1], constant)
    checker.warning(
        f"'{value.type}' {op} {constant} is always {'true' if always else 'false'}: no '{value.type}' has this value",
        node, code="constant-compare",
    )  # fmt: skip


def _instead(pointer: tree.Node) -> str:
    """What may be meant where a pointer stands for an integer."""
    if isinstance(pointer.type, PointerType) and isinstance(pointer.type.to, FunctionType):
        return "'()' calls the function"
    inner: tree.Node | None = pointer
    while isinstance(inner, tree.Convert | tree.StatementExpr):
        inner = inner.operand if isinstance(inner, tree.Convert) else inner.value
    if isinstance(inner, tree.CallHelper) and inner.name == "map_lookup_elem":
        return "keep the pointer, test that it is not null, then read what is behind it with '*'"
    return "cast it if that is meant"


def _to_pointer(checker: Checker, node: tree.Node, target: PointerType, context: str, at: Any) -> tree.Node:
    source = node.type
    if tree.const_int(node) == 0 or (
        isinstance(node, tree.Convert) and tree.const_int(node.operand) == 0 and is_void_pointer(source)
    ):
        return convert(node, target)
    if ct.is_integer(source):
        message = f"{context}: an integer '{source}' is no pointer '{target}'; cast it if that is meant"
        checker.diagnostics.strict("int-conversion", message, *_span(at))
        return convert(node, target)
    if not isinstance(source, PointerType):
        checker.error(f"{context}: '{source}' cannot become the pointer '{target}'", at, code="type")
        return convert(number(node, 0), target)
    if not (is_void_pointer(source) or is_void_pointer(target)):
        a, b = source.to.unqualified(), target.to.unqualified()
        if not ct.compatible(a, b, ignore_quals=True) and not _same_representation(a, b):
            message = f"{context}: '{source}' is not '{target}'"
            if isinstance(a, FunctionType) and isinstance(b, FunctionType):
                checker.diagnostics.strict("incompatible-function-pointer-types", message, *_span(at))
            else:
                checker.warning(message, at, code="incompatible-pointer-types")
    lost = source.to.quals & ~target.to.quals & ct.CONST
    if lost and not isinstance(target.to, FunctionType):
        checker.warning(f"{context}: '{source}' to '{target}' loses 'const'", at, code="discarded-qualifiers")
    return convert(node, target)


def promoted(node: tree.Node) -> tree.Node:
    if isinstance(node, tree.MemberRef) and node.member.bits is not None:
        it = ct.integer(node.type)
        if node.member.bits < 32 or (node.member.bits == 32 and it.signed):
            return convert(node, ct.INT)
    return convert(node, ct.promote(node.type)) if ct.is_integer(node.type) else node


def _span(at: Any) -> tuple[Token, Token]:
    return (at.token, at.last) if isinstance(at, tree.Node) else (at.first, at.last)


def is_void_pointer(t: Type) -> bool:
    return isinstance(t, PointerType) and isinstance(t.to, ct.VoidType)


def _same_representation(a: Type, b: Type) -> bool:
    """Pointers to integers of one size are the same to BPF authors (u64 and unsigned long, char and u8).

    So are pointers to a struct of the kernel's and to the text's own of that name, which takes its place.
    """
    if ct.is_integer(a) and ct.is_integer(b):
        return a.size == b.size
    if not isinstance(a, RecordType) or not isinstance(b, RecordType) or a.record.from_kernel == b.record.from_kernel:
        return False
    return (a.record.kind, a.record.tag) == (b.record.kind, b.record.tag)
