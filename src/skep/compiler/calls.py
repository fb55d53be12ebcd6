"""Calls, as the checker sees them: functions, kernel helpers, compiler builtins and the dialect's map methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import ast, dialect, tree
from skep.compiler import types as ct
from skep.compiler.builtins import builtin
from skep.compiler.conversions import assignable, convert, decay, number, poison, promoted
from skep.compiler.dialect_calls import DialectCalls
from skep.compiler.helpers import HELPER_NAMES
from skep.compiler.literals import string
from skep.compiler.map_methods import MapMethods
from skep.compiler.printk import FORMATS, check_format, format_of
from skep.compiler.source import Token
from skep.compiler.symbols import Scope
from skep.compiler.types import FunctionType, PointerType, Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker
    from skep.compiler.expressions import Expressions


# functions of C's library that people reach for
_PRINT = "; bpf_trace_printk() prints, into the trace pipe"
_COMPARE = "; compare with bpf_strncmp(), or in a loop with a bound"
_MEMORY = "; BPF has no heap: maps hold what outlives a run, a BPF_PERCPU_ARRAY what is too large for the stack"
_INSTEAD = {"printf": _PRINT, "printk": _PRINT, "strcmp": _COMPARE, "strncmp": _COMPARE, "strlen": _COMPARE,
            "malloc": _MEMORY, "kmalloc": _MEMORY, "free": _MEMORY, "kfree": _MEMORY}  # fmt: skip


class Calls:
    """`call` is the entry; it needs the expression checker for the arguments."""

    def __init__(self, checker: Checker, expressions: Expressions) -> None:
        self.c = checker
        self.e = expressions
        self.dialect = DialectCalls(self)
        self.maps = MapMethods(checker)

    def call(self, node: ast.Call) -> tree.Node:
        function = node.function
        if isinstance(function, ast.MemberAccess) and not function.arrow and isinstance(function.base, ast.Name):
            symbol = self.c.lookup(function.base.name)
            if isinstance(symbol, tree.MapInfo):
                return self.maps.call(node, function, symbol)
        if isinstance(function, ast.Name):
            name = function.name
            if name.startswith(("__builtin_", "__sync_", "__atomic_")):
                return builtin(self, node, name)
            symbol = self.c.lookup(name)
            if self.c.bpf and (symbol is None or (isinstance(symbol, tree.Function) and symbol.body is None)):
                found = self.dialect.call(node, name)
                if found is not None:
                    return found
            if symbol is None:
                return self.unknown(node, function)
            if self.c.bpf and name == "bpf_trace_printk" and node.args and isinstance(node.args[0], ast.String):
                return self.trace_printk(node)
        called = self.e.value(function)
        if isinstance(called, tree.Poison):
            return called
        if not isinstance(called.type, PointerType) or not isinstance(called.type.to, FunctionType):
            self.c.error(f"'{called.type}' is not a function", node, code="call")
            return poison(node)
        type = called.type.to
        name = function.name if isinstance(function, ast.Name) else "the function"
        args = self.arguments(node, type, f"{name}()")
        result = type.returns.unqualified()
        if isinstance(called, tree.Const):
            helper = HELPER_NAMES.get(int(called.value), "")
            if len(args) > 5:
                self.c.error(f"{name}() takes at most 5 arguments in all", node, code="arguments")
            self._check_printed(helper, args, node)
            return tree.CallHelper(node.first, node.last, result, helper, int(called.value), args)
        if isinstance(called, tree.AddressOf) and isinstance(called.operand, tree.FunctionRef):
            return tree.CallFunction(node.first, node.last, result, called.operand.function, args)
        return tree.CallPointer(node.first, node.last, result, called, args)

    def unknown(self, node: ast.Call, function: ast.Name) -> tree.Node:
        for arg in node.args:
            self.e.value(arg)
        if function.name in self.c.broken:
            return poison(node)
        near = self.c.suggestion(function.name)
        if self.c.bpf and function.name.startswith("bpf_"):
            self.c.error(f"the kernel has no helper '{function.name}'{near}", function, code="unknown-helper")
        elif self.c.bpf and function.name in dialect.MAP_MACROS:
            self.c.error(f"{function.name} declares a map: write it outside functions", function, code="map")
        else:
            why = _INSTEAD.get(function.name, "") if self.c.bpf and not near else ""
            why = why or "; a BPF program can call only helpers and functions in this text" if self.c.bpf and not near else ""
            self.c.error(f"function '{function.name}' is not declared{near}{why}", function, code="undeclared")
        return poison(node)

    def arguments(self, node: ast.Call, type: FunctionType, name: str) -> list[tree.Node]:
        args = [self.e.value(a) for a in node.args]
        wanted = len(type.params)
        if type.prototyped and (len(args) < wanted or (len(args) > wanted and not type.variadic)):
            few = "few" if len(args) < wanted else "many"
            params = ", ".join(_parameter(n, t) for n, t in type.params) or "no arguments"
            least = "at least " if type.variadic else ""
            self.c.error(
                f"too {few} arguments for {name}: {len(args)} given, {least}{wanted} needed: ({params})", node, code="arguments"
            )
            return [poison(node)] * wanted
        converted = []
        for i, arg in enumerate(args):
            if i < wanted and type.prototyped:
                converted.append(assignable(self.c, arg, type.params[i][1], f"argument {i + 1} of {name}", node.args[i]))
            else:
                converted.append(self.default_promotion(arg))
        return converted

    def default_promotion(self, arg: tree.Node) -> tree.Node:
        """C11 6.5.2.2p6: what an argument without a parameter type becomes."""
        if isinstance(arg.type, ct.VoidType):
            self.c.error("this has no value that could be an argument", arg, code="type")
            return poison(arg)
        if isinstance(arg.type, ct.FloatType) and arg.type.width == 4:
            return convert(arg, ct.DOUBLE)
        return promoted(arg) if ct.is_integer(arg.type) else arg

    # --- bpf_trace_printk and its kin

    def _check_printed(self, helper: str, args: list[tree.Node], node: ast.Call) -> None:
        place = FORMATS.get(helper)
        text = format_of(args[place]) if place is not None and place < len(args) else None
        if text is not None:
            check_format(self.c, helper, text, args[2:] if helper == "trace_printk" else None, node)

    def trace_printk(self, node: ast.Call) -> tree.Node:
        """`bpf_trace_printk("text", ...)`: the literal's size is filled in, as BCC does."""
        first = node.args[0]
        assert isinstance(first, ast.String)
        text = string(self.c, first)
        args = [self.default_promotion(self.e.value(a)) for a in node.args[1:]]
        if len(args) > 3:
            self.c.error(f"bpf_trace_printk() prints at most 3 values, and here are {len(args)}", node.args[4], code="printk")
            args = args[:3]
        check_format(self.c, "trace_printk", text, args, node)
        size = number(first, len(text.data), ct.UINT)
        return tree.CallHelper(node.first, node.last, ct.INT, "trace_printk", 6, [decay(text), size, *args])

    def with_arguments(self, node: ast.Call, at: Token, text: str, name: str, values: list[tuple[str, tree.Node]]) -> tree.Node:
        """A C expression over variables that hold the values."""
        scope = Scope()
        items: list[tree.Statement] = []
        for param, value in values:
            var = tree.Variable(param, value.type.unqualified(), "local", at)
            init = tree.Init(at, var.type, False)
            init.items.append((0, None, var.type, value))
            items.append(tree.Declare(at, var, init))
            scope.names[param] = var
        self.c.scopes.append(scope)
        result = self.e.value(self.c.template(text, name, at))
        self.c.scopes.pop()
        return tree.StatementExpr(node.first, node.last, result.type, tree.Block(at, items, at), result)

    def take(self, node: ast.Call, count: int) -> list[tree.Node] | None:
        args = [self.e.value(a) for a in node.args]
        if len(args) != count:
            name = node.function.name if isinstance(node.function, ast.Name) else ""
            self.c.error(
                f"{name}() takes {count} argument{'s' * (count != 1)}, and {len(args)} are given", node, code="arguments"
            )
            return None
        return args


def _parameter(name: str, type: Type) -> str:
    return type.spell(name) if not type.alias else f"{type} {name}".strip()
