"""Initialisers: braces, designators and strings to a flat list of stores (C11 6.7.9, with GNU ranges)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import ast, tree
from skep.compiler import types as ct
from skep.compiler.diagnostics import closest
from skep.compiler.types import ArrayType, Member, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker

Item = tuple[list[ast.Designator], ast.Expr]


class Initializers:
    """`of` gives the initialiser of a variable, completing the type of `x[] = ...`."""

    def __init__(self, checker: Checker) -> None:
        self.c = checker
        self.out: tree.Init
        self.constant = False

    def of(self, node: ast.Expr, var: tree.Variable, *, constant: bool) -> tree.Init:
        """`constant`: a static object, whose values must be known at compile time."""
        saved = getattr(self, "out", None), self.constant
        type = var.type.unqualified()
        self.out = tree.Init(node.first, type, isinstance(node, ast.InitList))
        self.constant = constant
        if isinstance(type, ArrayType) and isinstance(node, ast.InitList) and len(node.items) == 1:
            only = node.items[0]
            if not only[0] and isinstance(only[1], ast.String) and ct.is_integer(type.of):
                node = only[1]  # char x[] = {"text"}
        if isinstance(type, ArrayType) and isinstance(node, ast.String) and ct.is_integer(type.of):
            count = self.text(node, type, 0)
            self.out.zero = bool(type.count and type.count > count)
            type = ArrayType(type.of, count) if type.count is None else type
        elif isinstance(node, ast.InitList):
            if isinstance(type, ArrayType | RecordType):
                last = self.aggregate(list(node.items), type, 0, node)
                if isinstance(type, ArrayType) and type.count is None:
                    type = ArrayType(type.of, last)
            elif node.items:
                self.scalar_list(node, type)
        else:
            self.expression(node, type, 0, None)
        init, self.out, self.constant = self.out, saved[0] or self.out, saved[1]
        init.type = type
        if not var.type.complete:
            var.type = type.with_quals(var.type.quals)
        return init

    def scalar_list(self, node: ast.InitList, type: Type) -> None:
        designators, expr = node.items[0]
        if designators or len(node.items) > 1:
            self.c.error(f"too many values for '{type}'", node, code="init")
        while isinstance(expr, ast.InitList) and expr.items:
            expr = expr.items[0][1]
        self.expression(expr, type, 0, None)

    def store(self, offset: int, member: Member | None, type: Type, value: tree.Node) -> None:
        self.out.items.append((offset, member, type, value))

    def expression(self, expr: ast.Expr, type: Type, offset: int, member: Member | None) -> None:
        node = self.c.expr.value(expr) if not isinstance(type, ArrayType) else self.c.expr.check(expr)
        if isinstance(type, ArrayType):
            if isinstance(node.type, ArrayType) and isinstance(node, tree.CompoundLiteral | tree.VarRef):
                self.store(offset, None, type, node)  # GNU: an array from a compound literal
                return
            self.c.error(f"an array '{type}' needs a list in braces or a string", expr, code="init")
            return
        value = self.c.expr.assignable(node, type, "initialiser", expr)
        if self.constant and not is_constant(value):
            self.c.error("a static object needs a constant initialiser", expr, code="constant")
            return
        self.store(offset, member, type, value)

    def text(self, node: ast.String, type: ArrayType, offset: int) -> int:
        """A string into an array; gives the number of elements stored."""
        value = self.c.expr.string(node)
        assert isinstance(value.type, ArrayType)
        if value.type.of.size != type.of.size:
            self.c.error(f"a string of '{value.type.of}' does not fit an array of '{type.of}'", node, code="init")
            return 0
        size = value.type.of.size
        count = len(value.data) // size
        if type.count is not None and count > type.count:
            if count - 1 > type.count:
                self.c.warning(f"the text has {count - 1} characters, and the array room for {type.count}", node, code="init-overflow")
            count = type.count
        cut = ArrayType(value.type.of, count)
        self.store(offset, None, cut, tree.StringData(value.token, value.last, cut, value.data[: count * size]))
        return count

    def aggregate(self, items: list[Item], type: Type, base: int, node: ast.Expr) -> int:
        """All of `{...}` for an array or record at `base`; gives the number of array elements reached."""
        rest = self.members(items, type, base, braces=True)
        if rest:
            first = rest[0][1]
            what = f"'{type}' has no more {'elements' if isinstance(type, ArrayType) else 'members'}"
            self.c.warning(f"too many values: {what}", first, code="excess-initializers")
        return self._reached

    def members(self, items: list[Item], type: Type, base: int, *, braces: bool) -> list[Item]:
        """Consume items for the parts of `type`, in order or by designators; gives what is left over."""
        if isinstance(type, RecordType):
            return self._record(items, type, base, braces)
        assert isinstance(type, ArrayType)
        index = reached = 0
        while items:
            designators, expr = items[0]
            high = index
            if designators:
                if not braces:
                    break
                step = designators[0]
                if step.name:
                    self.c.error(f"'.{step.name}' in the initialiser of an array", step, code="init")
                    return []
                assert step.low is not None
                index = self.c.constant(step.low, "an index")
                high = self.c.constant(step.high, "an index") if step.high is not None else index
                if index < 0 or high < index or (type.count is not None and high >= type.count):
                    self.c.error(f"index {high} is outside the array of {type.count}", step, code="init")
                    return []
                designators = designators[1:]
            elif type.count is not None and index >= type.count:
                break
            rest = items[1:]
            for i in range(index, high + 1):
                rest = self.part([(designators, expr), *items[1:]], type.of, base + i * type.of.size, None)
            items = rest
            index = high + 1
            reached = max(reached, index)
        self._reached = reached
        return items

    _reached = 0

    def _record(self, items: list[Item], type: RecordType, base: int, braces: bool) -> list[Item]:
        if not type.complete:
            self.c.incomplete(type, "an initialiser", items[0][1] if items else self.out.token)
            return []
        members = [m for m in type.record.members if m.name or m.bits is None]
        at = 0
        while items:
            designators, expr = items[0]
            if designators:
                if not braces:
                    break
                step = designators[0]
                path = type.record.find(step.name) if step.name else None
                if path is None:
                    near = closest(step.name, type.record.names())
                    hint = f"; did you mean '{near}'?" if near else ""
                    self.c.error(f"'{type}' has no member '{step.name or '[...]'}'{hint}", step, code="no-member")
                    return items[1:] and self._record(items[1:], type, base, braces)
                at = members.index(path[0])
                if len(path) > 1:  # through an anonymous member: keep the designator for it
                    items = self.part([(designators, expr), *items[1:]], path[0].type, base + path[0].offset, path[0])
                    at += 1
                    continue
                designators = designators[1:]
            elif at >= len(members):
                break
            member = members[at]
            items = self.part([(designators, expr), *items[1:]], member.type, base + member.offset, member)
            at += 1
            if type.record.kind == "union" and not (items and items[0][0] and braces):
                break
        return items

    def part(self, items: list[Item], type: Type, offset: int, member: Member | None) -> list[Item]:
        """One element or member from the front of `items`; gives the items after it."""
        designators, expr = items[0]
        if isinstance(type, ArrayType | RecordType):
            if designators:
                self.members([(designators, expr)], type, offset, braces=True)
                return items[1:]
            if isinstance(expr, ast.InitList):
                if (
                    isinstance(type, ArrayType) and ct.is_integer(type.of) and len(expr.items) == 1
                    and isinstance(expr.items[0][1], ast.String)
                ):  # fmt: skip
                    self.text(expr.items[0][1], type, offset)
                    return items[1:]
                reached = self._reached
                self.aggregate(list(expr.items), type, offset, expr)
                self._reached = reached
                return items[1:]
            if isinstance(type, ArrayType) and isinstance(expr, ast.String) and ct.is_integer(type.of):
                self.text(expr, type, offset)
                return items[1:]
            if isinstance(type, RecordType):
                node = self.c.expr.value(expr)
                if isinstance(node.type, RecordType) and node.type.record is type.record:
                    self.store(offset, None, type, node)
                    return items[1:]
            if isinstance(type, ArrayType) and isinstance(expr, ast.CompoundLiteral):
                self.expression(expr, type, offset, None)
                return items[1:]
            if isinstance(type, RecordType) and not type.record.members:
                return items[1:]
            reached = self._reached
            rest = self.members(items, type, offset, braces=False)
            self._reached = reached
            return rest
        if designators:
            self.c.error(f"'{type}' has no parts to name", designators[0], code="init")
            return items[1:]
        if isinstance(expr, ast.InitList):
            if expr.items:
                self.expression(expr.items[0][1], type, offset, member)
            return items[1:]
        self.expression(expr, type, offset, member if member is not None and member.bits is not None else None)
        return items[1:]


def is_constant(node: tree.Node) -> bool:
    """Can the value stand in a data section: a number, or the address of a static object plus a number?"""
    match node:
        case tree.Const() | tree.StringData() | tree.MapRef() | tree.FunctionRef():
            return True
        case tree.Convert():
            return is_constant(node.operand)
        case tree.CompoundLiteral():
            return all(is_constant(v) for _, _, _, v in node.init.items)
        case tree.AddressOf():
            return is_static(node.operand)
        case tree.PointerAdd():
            return is_constant(node.pointer) and tree.const_int(node.index) is not None
        case tree.Binary():
            return is_constant(node.left) and is_constant(node.right)
    return False


def is_static(node: tree.Node) -> bool:
    match node:
        case tree.VarRef():
            return node.var.storage == "global"
        case tree.StringData() | tree.FunctionRef() | tree.MapRef():
            return True
        case tree.CompoundLiteral():
            return node.var.storage == "global"
        case tree.MemberRef():
            return is_static(node.base)
        case tree.Deref():
            return is_constant(node.pointer)
    return False
