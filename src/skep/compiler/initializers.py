"""Initialisers: braces, designators and strings to a flat list of stores (C11 6.7.9, with GNU ranges)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import ast, tree
from skep.compiler import types as ct
from skep.compiler.addresses import constant_address
from skep.compiler.conversions import assignable
from skep.compiler.diagnostics import closest
from skep.compiler.literals import string
from skep.compiler.types import ArrayType, Member, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker

Item = tuple[list[ast.Designator], ast.Expr]
_MAX_DEPTH = 200  # of nested objects
_MAX_ELEMENTS = 1 << 24


class _Cursor:
    """Where reading a list in braces is; `designators` are those of the item at hand that are not used up yet."""

    __slots__ = ("at", "designators", "items")

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.at = 0
        self.designators = items[0][0] if items else []

    @property
    def more(self) -> bool:
        return self.at < len(self.items)

    @property
    def expr(self) -> ast.Expr:
        return self.items[self.at][1]

    def next(self) -> None:
        self.at += 1
        self.designators = self.items[self.at][0] if self.at < len(self.items) else []

    def end(self) -> None:
        self.at = len(self.items)
        self.designators = []


class Initializers:
    """`of` gives the initialiser of a variable, completing the type of `x[] = ...`."""

    def __init__(self, checker: Checker) -> None:
        self.c = checker
        self.out: tree.Init
        self.constant = False
        self.depth = 0
        self.top = -1  # the largest offset that has a value
        # values of items that were asked for their type, by the item's id (the item is kept so that its id stays its own)
        self._seen: dict[int, tuple[ast.Expr, tree.Node]] = {}

    def of(self, node: ast.Expr, var: tree.Variable, *, constant: bool) -> tree.Init:
        """`constant`: a static object, whose values must be known at compile time."""
        saved = getattr(self, "out", None), self.constant, self.top
        self.top = -1
        type = var.type.unqualified()
        self.out = tree.Init(node.first, type, isinstance(node, ast.InitList))
        self.constant = constant
        if isinstance(type, ArrayType) and isinstance(node, ast.InitList) and len(node.items) == 1:
            node = _braced_text(node, type) or node  # char x[] = {"text"}
        if isinstance(type, ArrayType) and isinstance(node, ast.String) and ct.is_integer(type.of):
            count = self.text(node, type, 0)
            self.out.zero = bool(type.count and type.count > count)
            type = ArrayType(type.of, count) if type.count is None else type
        elif isinstance(node, ast.InitList):
            if isinstance(type, ArrayType | RecordType):
                last = self.aggregate(node.items, type, 0)
                if isinstance(type, ArrayType) and type.count is None:
                    type = ArrayType(type.of, last)
            elif node.items:
                self.scalar_list(node, type, 0, None)
        else:
            self.expression(node, type, 0, None)
        init, self.out, self.constant, self.top = self.out, saved[0] or self.out, saved[1], saved[2]
        init.type = type
        if not var.type.complete:
            var.type = type.with_quals(var.type.quals)
        return init

    def scalar_list(self, node: ast.InitList, type: Type, offset: int, member: Member | None) -> None:
        designators, expr = node.items[0]
        if designators:
            self.c.error(f"'{type}' has no members or elements to name", node, code="init")
        if len(node.items) > 1:
            self.c.warning(f"too many values for '{type}': only the first counts", node, code="excess-initializers")
        while isinstance(expr, ast.InitList) and expr.items:
            expr = expr.items[0][1]
        self.expression(expr, type, offset, member)

    def store(self, offset: int, member: Member | None, type: Type, value: tree.Node) -> None:
        self.out.items.append((offset, member, type, value))
        self.top = max(self.top, offset)

    def expression(self, expr: ast.Expr, type: Type, offset: int, member: Member | None) -> None:
        seen = self._seen.pop(id(expr), None)
        if seen is not None and not isinstance(type, ArrayType):
            node = seen[1]
        else:
            node = self.c.expr.value(expr) if not isinstance(type, ArrayType) else self.c.expr.check(expr)
        if isinstance(type, ArrayType):
            if isinstance(node.type, ArrayType) and isinstance(node, tree.CompoundLiteral | tree.VarRef):
                self.store(offset, None, type, node)  # GNU: an array from a compound literal
                return
            self.c.error(f"an array '{type}' needs a list in braces or a string", expr, code="init")
            return
        value = assignable(self.c, node, type, "initialiser", expr)
        if self.constant and not is_constant(value):
            self.c.error("a static object needs a constant initialiser", expr, code="constant")
            return
        self.store(offset, member, type, value)

    def text(self, node: ast.String, type: ArrayType, offset: int) -> int:
        """A string into an array; gives the number of elements stored."""
        value = string(self.c, node)
        assert isinstance(value.type, ArrayType)
        if value.type.of.size != type.of.size:
            self.c.error(f"a string of '{value.type.of}' does not fit an array of '{type.of}'", node, code="init")
            return 0
        size = value.type.of.size
        count = len(value.data) // size
        if type.count is not None and count > type.count:
            if count - 1 > type.count:
                self.c.warning(
                    f"the text has {count - 1} characters, and the array room for {type.count}", node, code="init-overflow"
                )
            count = type.count
        cut = ArrayType(value.type.of, count)
        self.store(offset, None, cut, tree.StringData(value.token, value.last, cut, value.data[: count * size]))
        return count

    def aggregate(self, items: list[Item], type: Type, base: int) -> int:
        """All of `{...}` for an array or record at `base`; gives the number of array elements reached."""
        cursor = _Cursor(items)
        reached = self.members(cursor, type, base, braces=True)
        if cursor.more:
            what = f"'{type}' has no more {'elements' if isinstance(type, ArrayType) else 'members'}"
            self.c.warning(f"too many values: {what}", cursor.expr, code="excess-initializers")
        return reached

    def members(self, cursor: _Cursor, type: Type, base: int, *, braces: bool) -> int:
        """Consume items for the parts of `type`, in order or by designators; gives the number of array elements reached.

        Without `braces` around just this object only the first item may name a part of it (C11 6.7.9p17-20).
        """
        self.depth += 1
        try:
            if self.depth > _MAX_DEPTH:
                self.c.error(f"initialisers nested more than {_MAX_DEPTH} deep", self.out.token, code="init")
                cursor.end()
                return 0
            if isinstance(type, RecordType):
                self._record(cursor, type, base, braces)
                return 0
            assert isinstance(type, ArrayType)
            return self._array(cursor, type, base, braces)
        finally:
            self.depth -= 1

    def _array(self, cursor: _Cursor, type: ArrayType, base: int, braces: bool) -> int:
        index = reached = 0
        first = True
        while cursor.more:
            high = index
            if cursor.designators:
                if not (braces or first):
                    break
                step = cursor.designators[0]
                if step.name:
                    self.c.error(f"'.{step.name}' in the initialiser of an array", step, code="init")
                    cursor.end()
                    return reached
                assert step.low is not None
                index = self.c.constant(step.low, "an index")
                high = self.c.constant(step.high, "an index") if step.high is not None else index
                outside = type.count is not None and high >= type.count
                if index < 0 or high < index or outside or high >= _MAX_ELEMENTS:
                    self.c.error(f"index {high} is outside the array of {type.count or _MAX_ELEMENTS}", step, code="init")
                    cursor.end()
                    return reached
                cursor.designators = cursor.designators[1:]
            elif type.count is not None and index >= type.count:
                break
            first = False
            if high > index:
                self._forget(base + index * type.of.size, ArrayType(type.of, high + 1 - index))
            begin = len(self.out.items)
            self.part(cursor, type.of, base + index * type.of.size, None)
            # a range: the same nodes again, which the emitter evaluates once
            stored = self.out.items[begin:]
            if len(stored) * (high - index) > _MAX_ELEMENTS:
                self.c.error("this range makes too many values", self.out.token, code="init")
                return reached
            for i in range(1, high - index + 1):
                self.out.items += [(at + i * type.of.size, member, part, node) for at, member, part, node in stored]
                self.top = max(self.top, base + high * type.of.size)
            index = high + 1
            reached = max(reached, index)
        return reached

    def _record(self, cursor: _Cursor, type: RecordType, base: int, braces: bool) -> None:
        if not type.complete:
            self.c.types.incomplete(type, "an initialiser", cursor.expr if cursor.more else self.out.token)
            cursor.end()
            return
        members = [m for m in type.record.members if m.name or m.bits is None]
        at = 0
        first = True
        while cursor.more:
            if cursor.designators:
                if not (braces or first):
                    break
                step = cursor.designators[0]
                path = type.record.find(step.name) if step.name else None
                if path is None:
                    near = closest(step.name, type.record.names())
                    hint = f"; did you mean '{near}'?" if near else ""
                    self.c.error(f"'{type}' has no member '{step.name or '[...]'}'{hint}", step, code="no-member")
                    cursor.next()
                    continue
                at = members.index(path[0])
                if len(path) == 1:  # else through an anonymous member: keep the designator for it
                    cursor.designators = cursor.designators[1:]
            elif at >= len(members):
                break
            first = False
            member = members[at]
            self.part(cursor, member.type, base + member.offset, member)
            at += 1
            if type.record.kind == "union" and not (braces and cursor.more and cursor.designators):
                break

    def part(self, cursor: _Cursor, type: Type, offset: int, member: Member | None) -> None:
        """One element or member from the items at the cursor."""
        expr = cursor.expr
        if not isinstance(type, ArrayType | RecordType):
            if cursor.designators:
                self.c.error(f"'{type}' has no parts to name", cursor.designators[0], code="init")
            elif not isinstance(expr, ast.InitList):
                self.expression(expr, type, offset, member if member is not None and member.bits is not None else None)
            elif expr.items:
                self.scalar_list(expr, type, offset, member if member is not None and member.bits is not None else None)
            cursor.next()
        elif cursor.designators:
            self.members(cursor, type, offset, braces=False)
        elif isinstance(expr, ast.InitList):
            self._forget(offset, type)
            text = _braced_text(expr, type)
            if text is not None:
                assert isinstance(type, ArrayType)
                self.text(text, type, offset)
            else:
                self.aggregate(expr.items, type, offset)
            cursor.next()
        elif isinstance(type, ArrayType) and isinstance(expr, ast.String) and ct.is_integer(type.of):
            self._forget(offset, type)
            self.text(expr, type, offset)
            cursor.next()
        elif isinstance(type, ArrayType) and isinstance(expr, ast.CompoundLiteral):
            self.expression(expr, type, offset, None)
            cursor.next()
        elif (isinstance(type, RecordType) and self._whole_record(expr, type, offset)) or (
            isinstance(type, RecordType) and type.complete and not type.record.members
        ):
            cursor.next()
        else:
            before = cursor.at
            self.members(cursor, type, offset, braces=False)
            if cursor.at == before and isinstance(type, ArrayType) and type.count is None:
                cursor.next()

    def _forget(self, offset: int, type: Type) -> None:
        """What a designator initialises a second time is as if it were new (C11 6.7.9p19)."""
        items, end = self.out.items, offset + max(type.size, 0)
        if self.top >= offset:
            items[:] = [item for item in items if not offset <= item[0] < end]

    def _whole_record(self, expr: ast.Expr, type: RecordType, offset: int) -> bool:
        """Is the expression a record of this type? Then it is stored."""
        if isinstance(expr, ast.Number | ast.Character | ast.String):
            return False
        seen = self._seen.get(id(expr))
        found = seen[1] if seen is not None else self.c.expr.value(expr)
        self._seen[id(expr)] = (expr, found)
        if not isinstance(found.type, RecordType) or found.type.record is not type.record:
            return False
        if self.constant and not is_constant(found):
            self.c.error("a static object needs a constant initialiser", expr, code="constant")
        else:
            self.store(offset, None, type, found)
        return True


def _braced_text(node: ast.InitList, type: Type) -> ast.String | None:
    """The string of `{"text"}` for an array of characters."""
    if isinstance(type, ArrayType) and ct.is_integer(type.of) and len(node.items) == 1 and not node.items[0][0]:
        only = node.items[0][1]
        if isinstance(only, ast.String):
            return only
    return None


def is_constant(node: tree.Node) -> bool:
    """Can the value stand in a data section: a number, or the address of a static object plus a number?"""
    match node:
        case tree.Const() | tree.StringData() | tree.Poison():
            return True
        case tree.CompoundLiteral():
            return all(is_constant(v) for _, _, _, v in node.init.items)
    return ct.is_scalar(node.type) and constant_address(node) is not None
