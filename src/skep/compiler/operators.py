"""Operators of the checker: unary, binary, assignments, casts, `?:`, with their conversions (C11 6.5.3 to 6.5.17)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skep.compiler import ast, constants, tree
from skep.compiler import types as ct
from skep.compiler.addresses import constant_address
from skep.compiler.conversions import (
    MIRRORED,
    assignable,
    check_compared,
    convert,
    is_lvalue,
    is_void_pointer,
    number,
    poison,
    promoted,
    writable,
)  # fmt: skip
from skep.compiler.types import FunctionType, PointerType, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker
    from skep.compiler.expressions import Expressions


class Operators:
    """A method for each kind of node; constant operands are folded."""

    def __init__(self, checker: Checker, expressions: Expressions) -> None:
        self.c = checker
        self.e = expressions

    def unary(self, node: ast.Unary) -> tree.Node:
        if node.op in ("++", "--", "p++", "p--"):
            return self._increment(node)
        if node.op == "&":
            return self._address(node)
        operand = self.e.value(node.operand)
        if isinstance(operand, tree.Poison):
            return operand
        if node.op == "*":
            if not isinstance(operand.type, PointerType):
                self.c.error(f"'*' needs a pointer, not '{operand.type}'", node, code="deref")
                return poison(node)
            if isinstance(operand, tree.AddressOf) and isinstance(operand.type.to, FunctionType):
                return operand.operand
            return tree.Deref(node.first, node.last, operand.type.to, operand)
        if node.op == "!":
            if not ct.is_scalar(operand.type):
                self.c.error(f"'!' needs a number or a pointer, not '{operand.type}'", node, code="type")
                return poison(node)
            value = operand.value if isinstance(operand, tree.Const) and not isinstance(operand.type, PointerType) else None
            if value is not None:
                return number(node, int(not value))
            return tree.Compare(node.first, node.last, ct.INT, "==", operand, self.zero_like(operand))
        wanted = ct.is_integer(operand.type) if node.op == "~" else ct.is_arithmetic(operand.type)
        if not wanted:
            self.c.error(f"'{node.op}' needs a number, not '{operand.type}'", node, code="type")
            return poison(node)
        operand = promoted(operand)
        if node.op == "+":
            return tree.Convert(node.first, node.last, operand.type, operand, False) if is_lvalue(operand) else operand
        if isinstance(operand, tree.Const):
            value = -operand.value if node.op == "-" else ~int(operand.value)
            return tree.Const(node.first, node.last, operand.type, constants.convert(value, operand.type))
        return tree.Unary(node.first, node.last, operand.type, node.op, operand)

    def zero_like(self, node: tree.Node) -> tree.Node:
        zero = number(node, 0)
        return convert(zero, node.type)

    def _increment(self, node: ast.Unary) -> tree.Node:
        target = self.e.check(node.operand)
        if isinstance(target, tree.Poison):
            return target
        if not writable(self.c, target, f"'{node.op[-2:]}'"):
            return poison(node)
        if not ct.is_scalar(target.type):
            self.c.error(f"'{node.op[-2:]}' needs a number or a pointer, not '{target.type}'", node, code="type")
            return poison(node)
        pointer = isinstance(target.type, PointerType)
        compute = None if pointer else ct.common(target.type, ct.INT)
        one: tree.Node = number(node, 1, ct.LONG if pointer else ct.INT)
        if compute is not None:
            one = convert(one, compute)
        op = "+" if node.op[-1] == "+" else "-"
        return tree.CompoundAssign(
            node.first, node.last, target.type.unqualified(), op, target, one, compute, node.op.startswith("p")
        )

    def _address(self, node: ast.Unary) -> tree.Node:
        operand = self.e.check(node.operand)
        if isinstance(operand, tree.Poison):
            return operand
        if isinstance(operand, tree.MapRef) or (isinstance(operand, tree.Const) and isinstance(operand.type, PointerType)):
            return operand  # `&map` and `map` are both the map for a helper
        if isinstance(operand, tree.FunctionRef):
            return tree.AddressOf(node.first, node.last, PointerType(operand.type), operand)
        if not is_lvalue(operand):
            self.c.error("'&' needs something that has an address, not a value", node, code="lvalue")
            return poison(node)
        if isinstance(operand, tree.MemberRef) and operand.member.bits is not None:
            self.c.error(f"'&': the bit-field '{operand.member.name}' has no address", node, code="bit-field")
            return poison(node)
        if isinstance(operand, tree.Deref):
            return convert(operand.pointer, PointerType(operand.type))
        return tree.AddressOf(node.first, node.last, PointerType(operand.type), operand)

    def pointer_add(self, pointer: tree.Node, index: tree.Node, negative: bool, at: ast.Node) -> tree.Node:
        assert isinstance(pointer.type, PointerType)
        if not pointer.type.to.complete and not isinstance(pointer.type.to, ct.VoidType | FunctionType):
            self.c.types.incomplete(pointer.type.to, "pointer arithmetic", at)
            return pointer
        it = ct.integer(index.type)
        index = convert(index, ct.LONG if it.signed or it.bits < 64 else ct.ULONG)
        return tree.PointerAdd(at.first, at.last, pointer.type.unqualified(), pointer, index, negative)

    def cast(self, node: ast.Cast) -> tree.Node:
        to = self.c.types.type_name(node.type)
        operand = self.e.value(node.operand)
        return self.cast_to(operand, to, node)

    def cast_to(self, operand: tree.Node, to: Type, node: ast.Node) -> tree.Node:
        if isinstance(operand, tree.Poison):
            return operand
        source = operand.type
        if isinstance(to, ct.VoidType):
            return tree.Convert(node.first, node.last, ct.VOID, operand, True)
        if isinstance(to, RecordType) and isinstance(source, RecordType) and to.record is source.record:
            return operand
        if not ct.is_scalar(to) or not ct.is_scalar(source):
            self.c.error(f"'{source}' cannot be cast to '{to}'", node, code="cast")
            return poison(node)
        if isinstance(to, ct.FloatType) or isinstance(source, ct.FloatType):
            if isinstance(to, PointerType) or isinstance(source, PointerType):
                self.c.error(f"'{source}' cannot be cast to '{to}'", node, code="cast")
                return poison(node)
            if self.c.bpf:
                self.c.no_floating_point(node)
                return poison(node)
        result = convert(operand, to, explicit=True)
        if result is operand and is_lvalue(operand):  # a cast is never an lvalue
            result = tree.Convert(node.first, node.last, to.unqualified(), operand, True)
        return result

    def binary(self, node: ast.Binary) -> tree.Node:
        op = node.op
        if op in ("&&", "||"):
            left, right = self.e.condition(node.left), self.e.condition(node.right)
            if isinstance(left, tree.Const) and not isinstance(left.type, PointerType):
                if bool(left.value) == (op == "||"):
                    return number(node, int(op == "||"))
                if isinstance(right, tree.Const) and not isinstance(right.type, PointerType):
                    return number(node, int(bool(right.value)))
            return tree.Logical(node.first, node.last, ct.INT, op, left, right)
        left, right = self.e.value(node.left), self.e.value(node.right)
        return self.arithmetic(op, left, right, node)

    def arithmetic(self, op: str, left: tree.Node, right: tree.Node, node: Any) -> tree.Node:
        if isinstance(left, tree.Poison) or isinstance(right, tree.Poison):
            return poison(node)
        if op in ("==", "!=", "<", ">", "<=", ">="):
            return self.compare(op, left, right, node)
        lp, rp = isinstance(left.type, PointerType), isinstance(right.type, PointerType)
        if lp or rp:
            if op == "+" and lp != rp and ct.is_integer(right.type if lp else left.type):
                return self.pointer_add(left, right, False, node) if lp else self.pointer_add(right, left, False, node)
            if op == "-" and lp and ct.is_integer(right.type):
                return self.pointer_add(left, right, True, node)
            if op == "-" and lp and rp:
                assert isinstance(left.type, PointerType)
                assert isinstance(right.type, PointerType)
                a, b = left.type.to.unqualified(), right.type.to.unqualified()
                if not ct.compatible(a, b, ignore_quals=True):
                    self.c.error(f"'{left.type}' minus '{right.type}': different types", node, code="pointer-diff")
                x, y = constant_address(left), constant_address(right)
                if x is not None and y is not None and x[0] is y[0] and a.size:
                    return tree.Const(node.first, node.last, ct.LONG, (x[1] - y[1]) // a.size)
                return tree.PointerDiff(node.first, node.last, ct.LONG, left, right)
        floats = op in ("+", "-", "*", "/")
        ok = ct.is_arithmetic if floats else ct.is_integer
        if not ok(left.type) or not ok(right.type):
            self.c.error(
                f"'{op}' does not work on '{left.type}' and '{right.type}'", getattr(node, "token", node), code="operands"
            )
            return poison(node)
        if op in ("<<", ">>"):
            left, right = promoted(left), promoted(right)
            result: Type = left.type
            count = tree.const_int(right)
            bits = ct.integer(result).bits
            if count is not None and not 0 <= count < bits:
                self.c.warning(f"shifting '{result}' by {count}: only 0 to {bits - 1} has a meaning", node, code="shift-count")
        else:
            left, right, result = self.usual(left, right)
            if op in "/%" and tree.const_int(right) == 0:
                self.c.warning("division by zero", node, code="division-by-zero")
        if isinstance(left, tree.Const) and isinstance(right, tree.Const):
            value = constants.binary(op, left.value, right.value, result)
            if value is not None:
                return tree.Const(node.first, node.last, result, value)
        return tree.Binary(node.first, node.last, result, op, left, right)

    def usual(self, left: tree.Node, right: tree.Node) -> tuple[tree.Node, tree.Node, Type]:
        """The usual arithmetic conversions on both operands, and their type."""
        left = promoted(left) if ct.is_integer(left.type) else left
        right = promoted(right) if ct.is_integer(right.type) else right
        result = ct.common(left.type, right.type)
        return convert(left, result), convert(right, result), result

    def compare(self, op: str, left: tree.Node, right: tree.Node, node: Any) -> tree.Node:
        lp, rp = isinstance(left.type, PointerType), isinstance(right.type, PointerType)
        if lp or rp:
            left, right = self._compare_pointers(op, left, right, node)
            x, y = constant_address(left), constant_address(right)
            if x is not None and y is not None and x[0] is y[0]:
                return number(node, int(constants.COMPARE[op](x[1], y[1])))
        elif ct.is_arithmetic(left.type) and ct.is_arithmetic(right.type):
            written = left, right
            left, right, common = self.usual(left, right)
            if isinstance(left, tree.Const) and isinstance(right, tree.Const):
                return number(node, int(constants.COMPARE[op](left.value, right.value)))
            if isinstance(common, ct.IntType):
                check_compared(self.c, op, written[0], right, common, node)
                check_compared(self.c, MIRRORED[op], written[1], left, common, node)
        else:
            self.c.error(
                f"'{op}' does not compare '{left.type}' and '{right.type}'", getattr(node, "token", node), code="operands"
            )
            return poison(node)
        return tree.Compare(node.first, node.last, ct.INT, op, left, right)

    def _compare_pointers(self, op: str, left: tree.Node, right: tree.Node, node: Any) -> tuple[tree.Node, tree.Node]:
        if not isinstance(left.type, PointerType):
            right, left = self._compare_pointers(op, right, left, node)
            return left, right
        if not isinstance(right.type, PointerType):
            if tree.const_int(right) != 0 and ct.is_integer(right.type):
                self.c.warning(f"comparing a pointer '{left.type}' with an integer", node, code="pointer-integer-compare")
            elif not ct.is_integer(right.type):
                self.c.error(f"'{op}' does not compare '{left.type}' and '{right.type}'", node, code="operands")
            return left, convert(right, left.type)
        a, b = left.type.to.unqualified(), right.type.to.unqualified()
        if not (is_void_pointer(left.type) or is_void_pointer(right.type)) and not ct.compatible(a, b, ignore_quals=True):
            self.c.warning(
                f"comparing different pointers: '{left.type}' and '{right.type}'", node, code="compare-distinct-pointers"
            )
        return left, right

    def assign(self, node: ast.Assign) -> tree.Node:
        target = self.e.check(node.left)
        if not writable(self.c, target, f"'{node.op}='"):
            self.e.value(node.right)
            return poison(node)
        if not node.op:
            if isinstance(target, tree.Poison):
                self.e.value(node.right)
                return target
            value = assignable(self.c, self.e.value(node.right), target.type, "assignment", node.right)
            return tree.Assign(node.first, node.last, target.type.unqualified(), target, value)
        right = self.e.value(node.right)
        if isinstance(target, tree.Poison) or isinstance(right, tree.Poison):
            return poison(node)
        result = target.type.unqualified()
        if isinstance(target.type, PointerType) and node.op in "+-" and ct.is_integer(right.type):
            it = ct.integer(right.type)
            offset = convert(right, ct.LONG if it.signed or it.bits < 64 else ct.ULONG)
            return tree.CompoundAssign(node.first, node.last, result, node.op, target, offset, None, False)
        floats = node.op in ("+", "-", "*", "/")
        ok = ct.is_arithmetic if floats else ct.is_integer
        if not ok(target.type) or not ok(right.type):
            self.c.error(f"'{node.op}=' does not work on '{target.type}' and '{right.type}'", node.token, code="operands")
            return poison(node)
        if node.op in ("<<", ">>"):
            compute: Type = ct.promote(target.type)
            right = promoted(right)
        else:
            left_type = ct.promote(target.type) if ct.is_integer(target.type) else target.type
            right = promoted(right) if ct.is_integer(right.type) else right
            compute = ct.common(left_type, right.type)
            right = convert(right, compute)
        return tree.CompoundAssign(node.first, node.last, result, node.op, target, right, compute, False)

    def conditional(self, node: ast.Conditional) -> tree.Node:
        condition = self.e.condition(node.condition)
        then = self.e.value(node.then) if node.then is not None else condition
        otherwise = self.e.value(node.otherwise)
        if isinstance(then, tree.Poison) or isinstance(otherwise, tree.Poison):
            return poison(node)
        a, b = then.type, otherwise.type
        if ct.is_arithmetic(a) and ct.is_arithmetic(b):
            then, otherwise, result = self.usual(then, otherwise)
        elif isinstance(a, RecordType) and isinstance(b, RecordType) and a.record is b.record:
            result = a.unqualified()
        elif isinstance(a, ct.VoidType) or isinstance(b, ct.VoidType):
            result = ct.VOID
        elif all(isinstance(one, PointerType) or ct.is_integer(one) for one in (a, b)):
            result = self._conditional_pointer(then, otherwise, node)
            then, otherwise = convert(then, result), convert(otherwise, result)
        else:
            self.c.error(f"the two values of '?:' do not fit together: '{a}' and '{b}'", node, code="operands")
            return poison(node)
        if isinstance(condition, tree.Const) and not isinstance(condition.type, PointerType):
            return then if condition.value else otherwise
        if node.then is None:
            # the condition's value is used twice but evaluated once
            return tree.Conditional(node.first, node.last, result, condition, None, otherwise)
        return tree.Conditional(node.first, node.last, result, condition, then, otherwise)

    def _conditional_pointer(self, then: tree.Node, otherwise: tree.Node, node: ast.Node) -> Type:
        a, b = then.type, otherwise.type
        if not isinstance(a, PointerType) or not isinstance(b, PointerType):
            pointer, other = (a, otherwise) if isinstance(a, PointerType) else (b, then)
            if tree.const_int(other) != 0:
                self.c.warning(f"'?:' mixes a pointer '{pointer}' and an integer", node, code="int-conversion")
            return pointer
        if _is_null(then):
            return b
        if _is_null(otherwise):
            return a
        if is_void_pointer(a) or is_void_pointer(b):
            return PointerType(ct.VOID.with_quals(a.to.quals | b.to.quals))
        if not ct.compatible(a.to.unqualified(), b.to.unqualified(), ignore_quals=True):
            self.c.warning(f"the two pointers of '?:' differ: '{a}' and '{b}'", node, code="incompatible-pointer-types")
        return PointerType(a.to.with_quals(b.to.quals))

    def comma(self, node: ast.Comma) -> tree.Node:
        left = self.e.value(node.left)
        right = self.e.value(node.right)
        if type(left) is tree.Const and type(right) is tree.Const:
            if node.left.first.expansion is None:
                self.c.warning("the value of this expression is not used", node.left, code="unused-value")
            return tree.Const(node.first, node.last, right.type.unqualified(), right.value)  # clang folds it, too
        return tree.Comma(node.first, node.last, right.type.unqualified(), left, right)


def _is_null(node: tree.Node) -> bool:
    """A null pointer constant (C11 6.3.2.3): 0, or 0 as a plain `void *`; 0 as any other pointer has that type."""
    if isinstance(node, tree.Convert) and is_void_pointer(node.type):
        plain = not node.type.to.quals if isinstance(node.type, PointerType) else False
        return plain and tree.const_int(node.operand) == 0
    return tree.const_int(node) == 0 and not isinstance(node.type, PointerType)
