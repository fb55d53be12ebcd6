"""Expressions of the checker: syntax nodes to typed nodes, with every implicit conversion written out (C11 6.5).

Constant subexpressions are folded here (see `constants`); calls and the dialect's methods are in `calls`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skep.compiler import ast, dialect, tree
from skep.compiler import types as ct
from skep.compiler.calls import Calls
from skep.compiler.conversions import (
    decay,
    number,
    poison,
)
from skep.compiler.diagnostics import closest
from skep.compiler.literals import character, numeral, string
from skep.compiler.operators import Operators
from skep.compiler.pp_files import header_that_has
from skep.compiler.symbols import Enumerator, Helper, Typedef
from skep.compiler.types import ArrayType, FunctionType, PointerType, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker

_SIZE = ct.BUILTIN_TYPEDEFS["size_t"]


class Expressions:
    """`check` gives a node as written (an lvalue stays one); `value` gives its value: arrays and functions decayed."""

    def __init__(self, checker: Checker) -> None:
        self.c = checker
        self.calls = Calls(checker, self)
        self.operators = operators = Operators(checker, self)
        self._rules: dict[type[ast.Expr], Callable[[Any], tree.Node]] = {
            ast.Name: self.name,
            ast.Number: lambda node: numeral(checker, node),
            ast.Character: lambda node: character(checker, node),
            ast.String: lambda node: string(checker, node),
            ast.MemberAccess: self.member,
            ast.Index: self.index,
            ast.Call: self.calls.call,
            ast.Unary: operators.unary,
            ast.Binary: operators.binary,
            ast.Assign: operators.assign,
            ast.Conditional: operators.conditional,
            ast.Comma: operators.comma,
            ast.Cast: operators.cast,
            ast.SizeOf: self.sizeof,
            ast.CompoundLiteral: self.compound_literal,
            ast.StatementExpr: self.statement_expression,
            ast.Generic: self.generic,
            ast.OffsetOf: self.offsetof,
            ast.TypesCompatible: self.types_compatible,
            ast.VaArg: self.va_arg,
            ast.InitList: self.stray_list,
        }

    # --- entry points

    def check(self, node: ast.Expr) -> tree.Node:
        return self._rules[type(node)](node)

    def value(self, node: ast.Expr) -> tree.Node:
        return decay(self.check(node))

    def condition(self, node: ast.Expr) -> tree.Node:
        found = self.value(node)
        if not ct.is_scalar(found.type):
            self.c.error(f"a condition needs a number or a pointer, not '{found.type}'", node, code="type")
            return poison(node)
        if isinstance(node, ast.Assign) and not node.op and not node.in_parentheses:
            message = "an assignment is the condition here; write '==' to compare, or add parentheses around it"
            self.c.diagnostics.warning(message, node.token, code="parentheses")
        return found

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
        return poison(node)

    def undeclared(self, node: ast.Name) -> None:
        near = self.c.suggestion(node.name)
        if not near and self.c.bpf and node.name.startswith("BPF_MAP_TYPE_"):
            name = closest(node.name, [f"BPF_MAP_TYPE_{kind.upper()}" for kind in dialect.MAP_TYPES])
            near = f"; did you mean '{name}'?" if name else ""
        why = ""
        if not near and self.c.bpf and self.c.missing_headers and node.name.isupper():
            headers = ", ".join(f"<{name}>" for name, _ in self.c.missing_headers)
            why = (
                f"; Skep takes types from the kernel's BTF and has no text of {headers}:"
                " if it is a macro from there, define it in your program"
            )
        self.c.error(f"'{node.name}' is not declared{near}{why}", node, code="undeclared")

    # --- postfix

    def member(self, node: ast.MemberAccess) -> tree.Node:
        base = self.value(node.base) if node.arrow else self.check(node.base)
        arrow = node.arrow
        if isinstance(base, tree.Poison):
            return base
        if isinstance(base, tree.MapRef):
            return self.calls.maps.member(node, base)
        if arrow:
            if not isinstance(base.type, PointerType):
                hint = "; write '.'" if isinstance(base.type, RecordType) else ""
                self.c.error(f"'->' needs a pointer on its left, not '{base.type}'{hint}", node, code="member")
                return poison(node)
            pointed = base.type.to
            lvalue: tree.Node = tree.Deref(base.token, base.last, pointed, base)
        else:
            pointed = base.type
            lvalue = base
            if isinstance(pointed, PointerType) and isinstance(pointed.to, RecordType):
                self.c.error(f"'{pointed}' is a pointer; write '->' for its member '{node.name.text}'", node, code="member")
                lvalue = tree.Deref(base.token, base.last, pointed.to, decay(base))
                pointed = pointed.to
        if not isinstance(pointed, RecordType):
            self.c.error(f"'{pointed}' has no members", node, code="member")
            return poison(node)
        if not pointed.complete:
            self.c.types.incomplete(pointed, f"member '{node.name.text}'", node)
            return poison(node)
        path = pointed.record.find(node.name.text)
        if path is None:
            header = header_that_has(node.name.text) if self.c.bpf and pointed.record.from_kernel else ""
            near = closest(node.name.text, pointed.record.names())
            hint = f"; <{header}> has it: #include that" if header else f"; did you mean '{near}'?" if near else ""
            at = pointed.record.token
            notes = [self.c.diagnostics.note(f"'{pointed.unqualified()}' is defined here", at)] if at is not None else []
            self.c.error(
                f"'{pointed.unqualified()}' has no member '{node.name.text}'{hint}", node.name, notes=notes, code="no-member"
            )
            return poison(node)
        for m in path:
            lvalue = tree.MemberRef(
                node.first, node.last, m.type.with_quals(lvalue.type.quals & (ct.CONST | ct.VOLATILE)), lvalue, m
            )
        return lvalue

    def index(self, node: ast.Index) -> tree.Node:
        left, right = self.value(node.base), self.value(node.index)
        if isinstance(left, tree.Poison) or isinstance(right, tree.Poison):
            return poison(node)
        if isinstance(left, tree.MapRef):
            name = left.map.name
            self.c.error(f"map '{name}' is no array in C: {name}.lookup(&key) gives a pointer to the value", node, code="index")
            return poison(node)
        if ct.is_integer(left.type) and isinstance(right.type, PointerType):
            left, right = right, left
        if not isinstance(left.type, PointerType) or not ct.is_integer(right.type):
            what = left.type if not isinstance(left.type, PointerType) else right.type
            self.c.error(f"'[...]' needs an array or pointer and an integer, not '{what}'", node, code="index")
            return poison(node)
        array = left.operand.type if isinstance(left, tree.AddressOf) and isinstance(left.operand.type, ArrayType) else None
        constant = tree.const_int(right)
        if array is not None and array.count and constant is not None and not 0 <= constant < array.count:
            self.c.warning(f"index {constant} is outside the array of {array.count}", node.index, code="array-bounds")
        pointer = self.operators.pointer_add(left, right, False, node)
        return tree.Deref(node.first, node.last, left.type.to, pointer)

    # --- unary

    def sizeof(self, node: ast.SizeOf) -> tree.Node:
        if isinstance(node.argument, ast.TypeName):
            type = self.c.types.type_name(node.argument)
        else:
            operand = self.check(node.argument)
            if isinstance(operand, tree.MemberRef) and operand.member.bits is not None:
                self.c.error(f"'{node.what}' of the bit-field '{operand.member.name}'", node, code="bit-field")
            type = operand.type
        if not type.complete and not isinstance(type, ct.VoidType | FunctionType):
            self.c.types.incomplete(type, f"'{node.what}'", node.argument)
            return number(node, 1, _SIZE)
        if node.what == "alignof" and not isinstance(node.argument, ast.TypeName):
            own = operand.var.attributes.get("aligned", 0) if isinstance(operand, tree.VarRef) else 0
            own = max(own, operand.member.align) if isinstance(operand, tree.MemberRef) else own
            return number(node, max(type.align, own), _SIZE)
        return number(node, type.size if node.what == "sizeof" else type.align, _SIZE)

    # --- binary

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
            return poison(node)
        block = self.c.stmt.block(node.block)
        value: tree.Node | None = None
        last: tree.Statement | None = block.items[-1] if block.items else None
        holder: tree.Label | tree.CaseLabel | None = None
        while isinstance(last, tree.Label | tree.CaseLabel):
            holder, last = last, last.body
        if isinstance(last, tree.Evaluate):
            value = decay(last.expr)
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
            return poison(node)
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
                    return number(node, 0, _SIZE)
                if path[-1].bits is not None:
                    self.c.error(f"offsetof of the bit-field '{step.name}'", step, code="bit-field")
                offset += sum(m.offset for m in path)
                type = path[-1].type
            else:
                assert step.low is not None
                if not isinstance(type, ArrayType):
                    self.c.error(f"'{type}' is not an array", step, code="index")
                    return number(node, 0, _SIZE)
                offset += self.c.constant(step.low, "an index in offsetof") * type.of.size
                type = type.of
        return number(node, offset, _SIZE)

    def types_compatible(self, node: ast.TypesCompatible) -> tree.Node:
        left, right = self.c.types.type_name(node.left).unqualified(), self.c.types.type_name(node.right).unqualified()
        return number(node, int(ct.compatible(left, right)))

    def va_arg(self, node: ast.VaArg) -> tree.Node:
        type = self.c.types.type_name(node.type)
        if self.c.bpf:
            self.c.error("BPF functions take a fixed number of arguments", node, code="variadic")
        if not ct.is_scalar(type) and not isinstance(type, ct.RecordType):
            self.c.error(f"an argument cannot be '{type}'", node, code="type")
            return poison(node)
        if not type.complete:
            self.c.types.incomplete(type, "the argument", node)
            return poison(node)
        return tree.CallBuiltin(node.first, node.last, type, "va_arg", [self.va_list(node.list, "va_arg")])

    def va_list(self, node: ast.Expr, name: str) -> tree.Node:
        """An argument that has to be a va_list."""
        value = self.value(node)
        if not ct.compatible(value.type, PointerType(self.c.types.va_list_tag())):
            self.c.error(f"{name}() takes a va_list, not '{value.type}'", node, code="type")
        return value

    def stray_list(self, node: ast.InitList) -> tree.Node:
        self.c.error("a list in braces is only an initialiser", node, code="syntax")
        return poison(node)
