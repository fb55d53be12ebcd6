"""Expressions of the checker: syntax nodes to typed nodes, with every implicit conversion written out (C11 6.5).

Constant subexpressions are folded here (see `constants`); calls and the dialect's methods are in `calls`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skep.compiler import ast, constants, tree
from skep.compiler import types as ct
from skep.compiler.addresses import constant_address
from skep.compiler.calls import Calls
from skep.compiler.conversions import MIRRORED, Conversions, is_void_pointer
from skep.compiler.diagnostics import closest
from skep.compiler.source import Token, decode_char, decode_string, literal_warnings
from skep.compiler.symbols import Enumerator, Helper, Typedef
from skep.compiler.types import ArrayType, FunctionType, PointerType, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker

_ELEMENT = {"": ct.CHAR, "u8": ct.CHAR, "L": ct.INT, "u": ct.USHORT, "U": ct.UINT}
_SIZE = ct.BUILTIN_TYPEDEFS["size_t"]


class Expressions(Conversions):
    """`check` gives a node as written (an lvalue stays one); `value` gives its value: arrays and functions decayed."""

    def __init__(self, checker: Checker) -> None:
        super().__init__(checker)
        self.calls = Calls(checker, self)

    # --- entry points

    def check(self, node: ast.Expr) -> tree.Node:
        method = self._methods[type(node)]
        result: tree.Node = method(self, node)
        return result

    def value(self, node: ast.Expr) -> tree.Node:
        return self.decay(self.check(node))

    def unevaluated(self, node: ast.Expr) -> tree.Node:
        return self.check(node)

    def condition(self, node: ast.Expr) -> tree.Node:
        found = self.value(node)
        if not ct.is_scalar(found.type):
            self.c.error(f"a condition needs a number or a pointer, not '{found.type}'", node, code="type")
            return self.poison(node)
        if isinstance(node, ast.Assign) and not node.op:
            first = self.c.diagnostics
            first.warning("an assignment is the condition here; write '==' to compare, or add parentheses around it",
                          node.token, code="parentheses") if not self._in_parentheses(node) else None  # fmt: skip
        return found

    @staticmethod
    def _in_parentheses(node: ast.Expr) -> bool:
        # the tree keeps no parentheses: look at the text before the expression
        text = node.first.file.text
        at = node.first.pos - 1
        depth = 0
        while at >= 0 and text[at] in " \t\n(":
            depth += text[at] == "("
            at -= 1
        return depth >= 2

    # --- primary

    def name(self, node: ast.Name) -> tree.Node:
        symbol = self.c.lookup(node.name)
        first, last = node.first, node.last
        match symbol:
            case tree.Variable():
                return tree.VarRef(first, last, symbol.type, symbol)
            case tree.Function():
                symbol.used = True
                return tree.FunctionRef(first, last, symbol.type, symbol)
            case Enumerator():
                fits = symbol.type if isinstance(symbol.type, ct.IntType) else ct.integer(symbol.type)
                fits = ct.INT if fits.bits <= 32 and -(1 << 31) <= symbol.value < 1 << 31 else fits
                return tree.Const(first, last, fits, symbol.value)
            case tree.MapInfo():
                return tree.MapRef(first, last, PointerType(ct.VOID), symbol)
            case Helper():
                return tree.Const(first, last, PointerType(symbol.type), symbol.number)
            case Typedef():
                self.c.error(f"'{node.name}' is a type, not a value", node, code="type-name")
            case None:
                if node.name in ("__func__", "__FUNCTION__", "__PRETTY_FUNCTION__"):
                    text = (self.c.function.name if self.c.function else "").encode() + b"\0"
                    return tree.StringData(first, last, ArrayType(ct.CHAR.with_quals(ct.CONST), len(text)), text)
                self.undeclared(node)
        return self.poison(node)

    def undeclared(self, node: ast.Name) -> None:
        near = self.c.suggestion(node.name)
        why = ""
        if not near and self.c.bpf and self.c.missing_headers and node.name.isupper():
            headers = ", ".join(f"<{name}>" for name, _ in self.c.missing_headers)
            why = (
                f"; Skep takes types from the kernel's BTF and has no text of {headers}:"
                " if it is a macro from there, define it in your program"
            )
        self.c.error(f"'{node.name}' is not declared{near}{why}", node, code="undeclared")

    def numeral(self, node: ast.Number) -> tree.Node:
        try:
            type, value = constants.parse_number(node.first.text)
        except ValueError as error:
            self.c.error(str(error), node, code="number")
            type, value = ct.INT, 0
        if isinstance(type, ct.FloatType) and self.c.bpf:
            self.c.error("BPF has no floating point: use integers, for example in thousandths", node, code="float")
            return self.poison(node)
        return tree.Const(node.first, node.last, type, value)

    def character(self, node: ast.Character) -> tree.Node:
        try:
            value = decode_char(node.first)
            self._literal_warnings(node.first)
        except ValueError as error:
            self.c.error(str(error), node, code="escape")
            value = 0
        prefix = node.first.text.split("'")[0]
        type = {"": ct.INT, "L": ct.INT, "u": ct.USHORT, "U": ct.UINT, "u8": ct.UCHAR}[prefix]
        return tree.Const(node.first, node.last, type, type.wrap(value))

    def _literal_warnings(self, token: Token) -> None:
        for message in literal_warnings(token) if "\\" in token.text or token.kind == "char" else ():
            self.c.warning(message, token, code="unknown-escape-sequence" if "escape" in message else "multichar")

    def string_bytes(self, node: ast.String) -> bytes:
        return self.string(node).data

    def string(self, node: ast.String) -> tree.StringData:
        prefix = next((p for token in node.tokens if (p := token.text.partition('"')[0])), "")
        elements: list[int] = []
        for token in node.tokens:
            try:
                own, value = decode_string(token, prefix)
                self._literal_warnings(token)
            except ValueError as error:
                self.c.error(str(error), token, code="escape")
                continue
            if own != prefix:
                self.c.error(f"a string with prefix {own} is joined to one with {prefix}", token, code="string")
            elements += value
        of = _ELEMENT[prefix]
        elements.append(0)
        data = b"".join((e & ((1 << of.bits) - 1)).to_bytes(of.size, "little") for e in elements)
        return tree.StringData(node.first, node.last, ArrayType(of, len(elements)), data)

    # --- postfix

    def member(self, node: ast.MemberAccess) -> tree.Node:
        base = self.value(node.base) if node.arrow else self.check(node.base)
        arrow = node.arrow
        if isinstance(base, tree.Poison):
            return base
        if isinstance(base, tree.MapRef):
            return self.calls.map_member(node, base)
        if arrow:
            if not isinstance(base.type, PointerType):
                hint = "; write '.'" if isinstance(base.type, RecordType) else ""
                self.c.error(f"'->' needs a pointer on its left, not '{base.type}'{hint}", node, code="member")
                return self.poison(node)
            pointed = base.type.to
            lvalue: tree.Node = tree.Deref(base.token, base.last, pointed, base)
        else:
            pointed = base.type
            lvalue = base
            if isinstance(pointed, PointerType) and isinstance(pointed.to, RecordType):
                self.c.error(f"'{pointed}' is a pointer; write '->' for its member '{node.name.text}'", node, code="member")
                lvalue = tree.Deref(base.token, base.last, pointed.to, self.decay(base))
                pointed = pointed.to
        if not isinstance(pointed, RecordType):
            self.c.error(f"'{pointed}' has no members", node, code="member")
            return self.poison(node)
        if not pointed.complete:
            self.c.types.incomplete(pointed, f"member '{node.name.text}'", node)
            return self.poison(node)
        path = pointed.record.find(node.name.text)
        if path is None:
            near = closest(node.name.text, pointed.record.names())
            hint = f"; did you mean '{near}'?" if near else ""
            at = pointed.record.token
            notes = [self.c.diagnostics.note(f"'{pointed.unqualified()}' is defined here", at)] if at is not None else []
            self.c.error(
                f"'{pointed.unqualified()}' has no member '{node.name.text}'{hint}", node.name, notes=notes, code="no-member"
            )
            return self.poison(node)
        for m in path:
            lvalue = tree.MemberRef(
                node.first, node.last, m.type.with_quals(lvalue.type.quals & (ct.CONST | ct.VOLATILE)), lvalue, m
            )
        return lvalue

    def index(self, node: ast.Index) -> tree.Node:
        left, right = self.value(node.base), self.value(node.index)
        if isinstance(left, tree.Poison) or isinstance(right, tree.Poison):
            return self.poison(node)
        if ct.is_integer(left.type) and isinstance(right.type, PointerType):
            left, right = right, left
        if not isinstance(left.type, PointerType) or not ct.is_integer(right.type):
            what = left.type if not isinstance(left.type, PointerType) else right.type
            self.c.error(f"'[...]' needs an array or pointer and an integer, not '{what}'", node, code="index")
            return self.poison(node)
        array = left.operand.type if isinstance(left, tree.AddressOf) and isinstance(left.operand.type, ArrayType) else None
        constant = tree.const_int(right)
        if array is not None and array.count and constant is not None and not 0 <= constant < array.count:
            self.c.warning(f"index {constant} is outside the array of {array.count}", node.index, code="array-bounds")
        pointer = self.pointer_add(left, right, False, node)
        return tree.Deref(node.first, node.last, left.type.to, pointer)

    def pointer_add(self, pointer: tree.Node, index: tree.Node, negative: bool, at: ast.Node) -> tree.Node:
        assert isinstance(pointer.type, PointerType)
        if not pointer.type.to.complete and not isinstance(pointer.type.to, ct.VoidType | FunctionType):
            self.c.types.incomplete(pointer.type.to, "pointer arithmetic", at)
            return pointer
        it = ct.integer(index.type)
        index = self.convert(index, ct.LONG if it.signed or it.bits < 64 else ct.ULONG)
        return tree.PointerAdd(at.first, at.last, pointer.type.unqualified(), pointer, index, negative)

    # --- unary

    def unary(self, node: ast.Unary) -> tree.Node:
        if node.op in ("++", "--", "p++", "p--"):
            return self._increment(node)
        if node.op == "&":
            return self._address(node)
        operand = self.value(node.operand)
        if isinstance(operand, tree.Poison):
            return operand
        if node.op == "*":
            if not isinstance(operand.type, PointerType):
                self.c.error(f"'*' needs a pointer, not '{operand.type}'", node, code="deref")
                return self.poison(node)
            if isinstance(operand, tree.AddressOf) and isinstance(operand.type.to, FunctionType):
                return operand.operand
            return tree.Deref(node.first, node.last, operand.type.to, operand)
        if node.op == "!":
            if not ct.is_scalar(operand.type):
                self.c.error(f"'!' needs a number or a pointer, not '{operand.type}'", node, code="type")
                return self.poison(node)
            value = operand.value if isinstance(operand, tree.Const) and not isinstance(operand.type, PointerType) else None
            if value is not None:
                return self.number(node, int(not value))
            return tree.Compare(node.first, node.last, ct.INT, "==", operand, self.zero_like(operand))
        wanted = ct.is_integer(operand.type) if node.op == "~" else ct.is_arithmetic(operand.type)
        if not wanted:
            self.c.error(f"'{node.op}' needs a number, not '{operand.type}'", node, code="type")
            return self.poison(node)
        operand = self.promoted(operand)
        if node.op == "+":
            return tree.Convert(node.first, node.last, operand.type, operand, False) if self.is_lvalue(operand) else operand
        if isinstance(operand, tree.Const):
            value = -operand.value if node.op == "-" else ~int(operand.value)
            return tree.Const(node.first, node.last, operand.type, constants.convert(value, operand.type))
        return tree.Unary(node.first, node.last, operand.type, node.op, operand)

    def zero_like(self, node: tree.Node) -> tree.Node:
        zero = self.number(node, 0)
        return self.convert(zero, node.type)

    def _increment(self, node: ast.Unary) -> tree.Node:
        target = self.check(node.operand)
        if isinstance(target, tree.Poison):
            return target
        if not self.writable(target, f"'{node.op[-2:]}'"):
            return self.poison(node)
        if not ct.is_scalar(target.type):
            self.c.error(f"'{node.op[-2:]}' needs a number or a pointer, not '{target.type}'", node, code="type")
            return self.poison(node)
        pointer = isinstance(target.type, PointerType)
        compute = None if pointer else ct.common(target.type, ct.INT)
        one: tree.Node = self.number(node, 1, ct.LONG if pointer else ct.INT)
        if compute is not None:
            one = self.convert(one, compute)
        op = "+" if node.op[-1] == "+" else "-"
        return tree.CompoundAssign(
            node.first, node.last, target.type.unqualified(), op, target, one, compute, node.op.startswith("p")
        )

    def _address(self, node: ast.Unary) -> tree.Node:
        operand = self.check(node.operand)
        if isinstance(operand, tree.Poison):
            return operand
        if isinstance(operand, tree.MapRef) or (isinstance(operand, tree.Const) and isinstance(operand.type, PointerType)):
            return operand  # `&map` and `map` are both the map for a helper
        if isinstance(operand, tree.FunctionRef):
            return tree.AddressOf(node.first, node.last, PointerType(operand.type), operand)
        if not self.is_lvalue(operand):
            self.c.error("'&' needs something that has an address, not a value", node, code="lvalue")
            return self.poison(node)
        if isinstance(operand, tree.MemberRef) and operand.member.bits is not None:
            self.c.error(f"'&': the bit-field '{operand.member.name}' has no address", node, code="bit-field")
            return self.poison(node)
        if isinstance(operand, tree.Deref):
            return self.convert(operand.pointer, PointerType(operand.type))
        return tree.AddressOf(node.first, node.last, PointerType(operand.type), operand)

    def sizeof(self, node: ast.SizeOf) -> tree.Node:
        if isinstance(node.argument, ast.TypeName):
            type = self.c.types.type_name(node.argument)
        else:
            operand = self.unevaluated(node.argument)
            if isinstance(operand, tree.MemberRef) and operand.member.bits is not None:
                self.c.error(f"'{node.what}' of the bit-field '{operand.member.name}'", node, code="bit-field")
            type = operand.type
        if not type.complete and not isinstance(type, ct.VoidType | FunctionType):
            self.c.types.incomplete(type, f"'{node.what}'", node.argument)
            return self.number(node, 1, _SIZE)
        if node.what == "alignof" and not isinstance(node.argument, ast.TypeName):
            own = operand.var.attributes.get("aligned", 0) if isinstance(operand, tree.VarRef) else 0
            own = max(own, operand.member.align) if isinstance(operand, tree.MemberRef) else own
            return self.number(node, max(type.align, own), _SIZE)
        return self.number(node, type.size if node.what == "sizeof" else type.align, _SIZE)

    def cast(self, node: ast.Cast) -> tree.Node:
        to = self.c.types.type_name(node.type)
        operand = self.value(node.operand)
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
            return self.poison(node)
        if isinstance(to, ct.FloatType) or isinstance(source, ct.FloatType):
            if isinstance(to, PointerType) or isinstance(source, PointerType):
                self.c.error(f"'{source}' cannot be cast to '{to}'", node, code="cast")
                return self.poison(node)
            if self.c.bpf:
                self.c.error("BPF has no floating point: use integers, for example in thousandths", node, code="float")
                return self.poison(node)
        result = self.convert(operand, to, explicit=True)
        if result is operand and self.is_lvalue(operand):  # a cast is never an lvalue
            result = tree.Convert(node.first, node.last, to.unqualified(), operand, True)
        return result

    # --- binary

    def binary(self, node: ast.Binary) -> tree.Node:
        op = node.op
        if op in ("&&", "||"):
            left, right = self.condition(node.left), self.condition(node.right)
            if isinstance(left, tree.Const) and not isinstance(left.type, PointerType):
                if bool(left.value) == (op == "||"):
                    return self.number(node, int(op == "||"))
                if isinstance(right, tree.Const) and not isinstance(right.type, PointerType):
                    return self.number(node, int(bool(right.value)))
            return tree.Logical(node.first, node.last, ct.INT, op, left, right)
        left, right = self.value(node.left), self.value(node.right)
        return self.arithmetic(op, left, right, node)

    def arithmetic(self, op: str, left: tree.Node, right: tree.Node, node: Any) -> tree.Node:
        if isinstance(left, tree.Poison) or isinstance(right, tree.Poison):
            return self.poison(node)
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
            return self.poison(node)
        if op in ("<<", ">>"):
            left, right = self.promoted(left), self.promoted(right)
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
        left = self.promoted(left) if ct.is_integer(left.type) else left
        right = self.promoted(right) if ct.is_integer(right.type) else right
        result = ct.common(left.type, right.type)
        return self.convert(left, result), self.convert(right, result), result

    def compare(self, op: str, left: tree.Node, right: tree.Node, node: Any) -> tree.Node:
        lp, rp = isinstance(left.type, PointerType), isinstance(right.type, PointerType)
        if lp or rp:
            left, right = self._compare_pointers(op, left, right, node)
            x, y = constant_address(left), constant_address(right)
            if x is not None and y is not None and x[0] is y[0]:
                return self.number(node, int(constants.COMPARE[op](x[1], y[1])))
        elif ct.is_arithmetic(left.type) and ct.is_arithmetic(right.type):
            written = left, right
            left, right, common = self.usual(left, right)
            if isinstance(left, tree.Const) and isinstance(right, tree.Const):
                return self.number(node, int(constants.COMPARE[op](left.value, right.value)))
            if isinstance(common, ct.IntType):
                self.check_compared(op, written[0], right, common, node)
                self.check_compared(MIRRORED[op], written[1], left, common, node)
        else:
            self.c.error(
                f"'{op}' does not compare '{left.type}' and '{right.type}'", getattr(node, "token", node), code="operands"
            )
            return self.poison(node)
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
            return left, self.convert(right, left.type)
        a, b = left.type.to.unqualified(), right.type.to.unqualified()
        if not (is_void_pointer(left.type) or is_void_pointer(right.type)) and not ct.compatible(a, b, ignore_quals=True):
            self.c.warning(
                f"comparing different pointers: '{left.type}' and '{right.type}'", node, code="compare-distinct-pointers"
            )
        return left, right

    def assign(self, node: ast.Assign) -> tree.Node:
        target = self.check(node.left)
        if not self.writable(target, f"'{node.op}='"):
            self.value(node.right)
            return self.poison(node)
        if not node.op:
            if isinstance(target, tree.Poison):
                self.value(node.right)
                return target
            value = self.assignable(self.value(node.right), target.type, "assignment", node.right)
            return tree.Assign(node.first, node.last, target.type.unqualified(), target, value)
        right = self.value(node.right)
        if isinstance(target, tree.Poison) or isinstance(right, tree.Poison):
            return self.poison(node)
        result = target.type.unqualified()
        if isinstance(target.type, PointerType) and node.op in "+-" and ct.is_integer(right.type):
            it = ct.integer(right.type)
            offset = self.convert(right, ct.LONG if it.signed or it.bits < 64 else ct.ULONG)
            return tree.CompoundAssign(node.first, node.last, result, node.op, target, offset, None, False)
        floats = node.op in ("+", "-", "*", "/")
        ok = ct.is_arithmetic if floats else ct.is_integer
        if not ok(target.type) or not ok(right.type):
            self.c.error(f"'{node.op}=' does not work on '{target.type}' and '{right.type}'", node.token, code="operands")
            return self.poison(node)
        if node.op in ("<<", ">>"):
            compute: Type = ct.promote(target.type)
            right = self.promoted(right)
        else:
            left_type = ct.promote(target.type) if ct.is_integer(target.type) else target.type
            right = self.promoted(right) if ct.is_integer(right.type) else right
            compute = ct.common(left_type, right.type)
            right = self.convert(right, compute)
        return tree.CompoundAssign(node.first, node.last, result, node.op, target, right, compute, False)

    def conditional(self, node: ast.Conditional) -> tree.Node:
        condition = self.condition(node.condition)
        then = self.value(node.then) if node.then is not None else condition
        otherwise = self.value(node.otherwise)
        if isinstance(then, tree.Poison) or isinstance(otherwise, tree.Poison):
            return self.poison(node)
        a, b = then.type, otherwise.type
        if ct.is_arithmetic(a) and ct.is_arithmetic(b):
            then, otherwise, result = self.usual(then, otherwise)
        elif isinstance(a, RecordType) and isinstance(b, RecordType) and a.record is b.record:
            result = a.unqualified()
        elif isinstance(a, ct.VoidType) or isinstance(b, ct.VoidType):
            result = ct.VOID
        elif all(isinstance(one, PointerType) or ct.is_integer(one) for one in (a, b)):
            result = self._conditional_pointer(then, otherwise, node)
            then, otherwise = self.convert(then, result), self.convert(otherwise, result)
        else:
            self.c.error(f"the two values of '?:' do not fit together: '{a}' and '{b}'", node, code="operands")
            return self.poison(node)
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
        left = self.value(node.left)
        right = self.value(node.right)
        if type(left) is tree.Const and type(right) is tree.Const:
            if node.left.first.expansion is None:
                self.c.warning("the value of this expression is not used", node.left, code="unused-value")
            return tree.Const(node.first, node.last, right.type.unqualified(), right.value)  # clang folds it, too
        return tree.Comma(node.first, node.last, right.type.unqualified(), left, right)

    # --- others

    def compound_literal(self, node: ast.CompoundLiteral) -> tree.Node:
        type = self.c.types.type_name(node.type)
        var = tree.Variable("(literal)", type, "local" if self.c.function else "global", node.first)
        init = self.c.init.of(node.init, var, constant=self.c.function is None)
        if self.c.function is None:
            self.c.statics += 1
            var.symbol, var.linkage, var.init = f".literal.{self.c.statics}", "static", init
        return tree.CompoundLiteral(node.first, node.last, var.type, var, init)

    def statement_expression(self, node: ast.StatementExpr) -> tree.Node:
        if self.c.function is None:
            self.c.error("a statement expression needs a function around it", node, code="syntax")
            return self.poison(node)
        block = self.c.stmt.block(node.block)
        value: tree.Node | None = None
        last: tree.Statement | None = block.items[-1] if block.items else None
        holder: tree.Label | tree.CaseLabel | None = None
        while isinstance(last, tree.Label | tree.CaseLabel):
            holder, last = last, last.body
        if isinstance(last, tree.Evaluate):
            value = self.decay(last.expr)
            if holder is not None:
                holder.body = tree.Block(last.token, [], last.token)
            else:
                block.items.pop()
        return tree.StatementExpr(node.first, node.last, value.type.unqualified() if value else ct.VOID, block, value)

    def generic(self, node: ast.Generic) -> tree.Node:
        control = self.value(node.control).type.unqualified()
        default: ast.Expr | None = None
        chosen: ast.Expr | None = None
        types: list[Type] = []
        for type_name, expr in node.cases:
            if type_name is None:
                if default is not None:
                    self.c.error("two 'default' in one _Generic", expr, code="generic")
                default = expr
                continue
            type = self.c.types.type_name(type_name)
            if any(ct.compatible(type, other) for other in types):
                self.c.error(f"two cases of _Generic are for '{type}'", type_name, code="generic")
            types.append(type)
            if chosen is None and ct.compatible(type, control):
                chosen = expr
        if chosen is not None:
            return self.check(chosen)
        if default is None:
            self.c.error(f"_Generic has no case for '{control}' and no default", node, code="generic")
            return self.poison(node)
        return self.check(default)

    def offsetof(self, node: ast.OffsetOf) -> tree.Node:
        type: Type = self.c.types.type_name(node.type)
        offset = 0
        for step in node.path:
            if step.name:
                path = type.record.find(step.name) if isinstance(type, RecordType) and type.complete else None
                if path is None:
                    near = closest(step.name, type.record.names()) if isinstance(type, RecordType) else None
                    hint = f"; did you mean '{near}'?" if near else ""
                    self.c.error(f"'{type}' has no member '{step.name}'{hint}", step, code="no-member")
                    return self.number(node, 0, _SIZE)
                if path[-1].bits is not None:
                    self.c.error(f"offsetof of the bit-field '{step.name}'", step, code="bit-field")
                offset += sum(m.offset for m in path)
                type = path[-1].type
            else:
                assert step.low is not None
                if not isinstance(type, ArrayType):
                    self.c.error(f"'{type}' is not an array", step, code="index")
                    return self.number(node, 0, _SIZE)
                offset += self.c.constant(step.low, "an index in offsetof") * type.of.size
                type = type.of
        return self.number(node, offset, _SIZE)

    def types_compatible(self, node: ast.TypesCompatible) -> tree.Node:
        left, right = self.c.types.type_name(node.left).unqualified(), self.c.types.type_name(node.right).unqualified()
        return self.number(node, int(ct.compatible(left, right)))

    def va_arg(self, node: ast.VaArg) -> tree.Node:
        type = self.c.types.type_name(node.type)
        if self.c.bpf:
            self.c.error("BPF functions take a fixed number of arguments", node, code="variadic")
        return tree.CallBuiltin(node.first, node.last, type, "va_arg", [self.value(node.list)])

    def stray_list(self, node: ast.InitList) -> tree.Node:
        self.c.error("a list in braces is only an initialiser", node, code="syntax")
        return self.poison(node)

    def call(self, node: ast.Call) -> tree.Node:
        return self.calls.call(node)

    _methods: dict[type[ast.Expr], Any] = {  # noqa: RUF012
        ast.Name: name, ast.Number: numeral, ast.Character: character, ast.String: string, ast.MemberAccess: member,
        ast.Index: index, ast.Call: call, ast.Unary: unary, ast.Binary: binary, ast.Assign: assign, ast.Conditional: conditional,
        ast.Comma: comma, ast.Cast: cast, ast.SizeOf: sizeof, ast.CompoundLiteral: compound_literal,
        ast.StatementExpr: statement_expression, ast.Generic: generic, ast.OffsetOf: offsetof,
        ast.TypesCompatible: types_compatible, ast.VaArg: va_arg, ast.InitList: stray_list,
    }  # fmt: skip


def _is_null(node: tree.Node) -> bool:
    """A null pointer constant (C11 6.3.2.3): 0, or 0 as a plain `void *`; 0 as any other pointer has that type."""
    if isinstance(node, tree.Convert) and is_void_pointer(node.type):
        plain = not node.type.to.quals if isinstance(node.type, PointerType) else False
        return plain and tree.const_int(node.operand) == 0
    return tree.const_int(node) == 0 and not isinstance(node.type, PointerType)
