"""Statements of the checker: control flow, local declarations, labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from skep.compiler import ast, tree
from skep.compiler import types as ct
from skep.compiler.conversions import assignable, is_lvalue, number, promoted
from skep.compiler.diagnostics import closest
from skep.compiler.source import Token
from skep.compiler.symbols import Scope, Typedef

if TYPE_CHECKING:
    from skep.compiler.checker import Checker

_CALLED = re.compile(r"\bcall\s+([A-Za-z_]\w*)")  # in assembly


class Statements:
    """`function_body` is the entry; loops and switches keep what 'break', 'continue' and 'case' belong to."""

    def __init__(self, checker: Checker) -> None:
        self.c = checker
        self.breakable = 0
        self.loops = 0
        self.switches: list[tuple[tree.Switch, ct.IntType, tuple[tree.Variable, ...]]] = []
        self.gotos: list[Token] = []
        self.labels: dict[str, Token] = {}
        # variables with a cleanup that are in scope, and what was in scope at each goto and label
        self.cleanups: tuple[tree.Variable, ...] = ()
        self.left: list[tuple[tree.Goto, tuple[tree.Variable, ...]]] = []
        self.reached: dict[str, tuple[tree.Variable, ...]] = {}

    def function_body(self, node: ast.Block) -> tree.Block:
        self.breakable = self.loops = 0
        self.switches, self.gotos, self.labels = [], [], {}
        self.cleanups, self.left, self.reached = (), [], {}
        body = self.block(node, scope=False)
        assert self.c.function is not None
        if self.c.function.attributes.get("naked"):
            other = next((item for item in body.items if not isinstance(item, tree.Asm)), None)
            if other is not None:
                message = "a naked function has no frame: its body is asm statements only"
                self.c.error(message, other.token, code="naked")
        for goto, variables in self.left:
            there = self.reached.get(goto.name, ())
            self._entered(goto.token, "this goto", variables, there)
            goto.cleanups = len(variables) - len(there)
        for token in self.gotos:
            if token.text not in self.labels:
                near = closest(token.text, self.labels)
                self.c.error(
                    f"no label '{token.text}' in this function" + (f"; did you mean '{near}'?" if near else ""),
                    token,
                    code="label",
                )
        return body

    def _entered(self, at: Token, what: str, here: tuple[tree.Variable, ...], there: tuple[tree.Variable, ...]) -> None:
        """A jump must not go past the declaration of a variable whose cleanup would run behind it."""
        skipped = there if len(there) > len(here) or here[: len(there)] != there else ()
        for var in skipped:
            if var not in here:
                note = self.c.diagnostics.note("the variable is declared here", var.token)
                self.c.error(
                    f"{what} goes past the declaration of '{var.name}', which has a cleanup", at, notes=[note], code="goto"
                )
                return

    def block(self, node: ast.Block, *, scope: bool = True) -> tree.Block:
        cleanups = self.cleanups
        if scope:
            self.c.scopes.append(Scope())
        items: list[tree.Statement] = []
        for item in node.items:
            found = self.statement(item)
            if isinstance(found, list):
                items += found
            else:
                items.append(found)
        self.cleanups = cleanups
        if scope:
            self.c.scopes.pop()
        return tree.Block(node.first, items, node.last)

    def statement(self, node: ast.Stmt) -> Any:
        """One statement; a declaration gives a list of them."""
        method = self._methods[type(node)]
        return method(self, node)

    def single(self, node: ast.Stmt) -> tree.Statement:
        found = self.statement(node)
        if isinstance(found, list):
            return tree.Block(node.first, found, node.last)
        assert isinstance(found, tree.Statement)
        return found

    def expression(self, node: ast.ExprStmt) -> tree.Statement:
        if node.expr is None:
            return tree.Block(node.first, [], node.last)
        return tree.Evaluate(node.first, self.c.expr.value(node.expr))

    def static_assert(self, node: ast.StaticAssert) -> tree.Statement:
        self.c.static_assert(node)
        return tree.Block(node.first, [], node.last)

    # --- declarations

    def declaration(self, node: ast.Declaration) -> list[tree.Statement]:
        base = self.c.types.specifier_type(node.specifiers)
        storage = node.specifiers.storage
        found: list[tree.Statement] = []
        for d in node.declarators:
            token = d.declarator.name
            assert token is not None
            type = self.c.types.declared_type(base, d.declarator)
            attributes = self.c.attributes(node.specifiers, d.declarator)
            if storage == "typedef":
                self.c.declare(token.text, Typedef(type.named(token.text, attributes.get("aligned", 0)), token), token)
            elif isinstance(type, ct.FunctionType):
                self.c.declare_function(token, type, node.specifiers, attributes)
            elif storage == "extern":
                scope = self.c.scopes[-1]
                self.c.scopes, saved = self.c.scopes[:1], self.c.scopes
                if d.init is not None:
                    self.c.error(f"'{token.text}' is declared here and defined elsewhere: no initialiser", d.init, code="init")
                self.c.global_variable(token, type, node.specifiers, attributes, None)
                self.c.scopes = saved
                scope.names[token.text] = self.c.scopes[0].names[token.text]
            else:
                statement = self.variable(token, type, storage, attributes, d, node)
                if statement is not None:
                    found.append(statement)
        return found

    def variable(
        self, token: Token, type: ct.Type, storage: str, attributes: dict[str, Any], d: ast.InitDeclarator, node: ast.Declaration
    ) -> tree.Statement | None:
        assert self.c.function is not None
        if isinstance(type, ct.VoidType):
            self.c.error(f"'{token.text}' cannot have type 'void'", token, code="void")
            type = ct.INT
        static = storage == "static"
        var = tree.Variable(token.text, type, "global" if static else "local", token)
        for align in node.specifiers.align:
            attributes["aligned"] = self.c.types.alignment(align, node)
        var.attributes = attributes
        self.c.thread_local(var, node.specifiers)
        if static:
            self.c.statics += 1
            var.symbol = f"{self.c.function.name}.{token.text}.{self.c.statics}"
            var.linkage = "static"
            var.section = attributes.get("section", "")
            self.c.unit.globals.append(var)
        elif isinstance(type, ct.FloatType) and self.c.bpf:
            self.c.no_floating_point(token)
        self.c.declare(token.text, var, token)
        init = self.c.init.of(d.init, var, constant=static) if d.init is not None else None
        if not var.type.complete:
            if isinstance(var.type, ct.ArrayType):
                self.c.error(f"array '{token.text}' has no size and no initialiser", token, code="incomplete")
            else:
                self.c.types.incomplete(var.type, f"variable '{token.text}'", token)
            var.type = ct.INT
            return None
        if static:
            var.init = init
            return None
        if "cleanup" in attributes and not isinstance(self.c.lookup(attributes["cleanup"]), tree.Function):
            self.c.error(f"cleanup takes a function, and '{attributes.pop('cleanup')}' is none", token, code="attribute")
        if "cleanup" in attributes:
            text = f"{attributes['cleanup']}(&{token.text})"
            attributes["cleanup"] = self.c.expr.value(self.c.template(text, "cleanup", token))
            self.cleanups = (*self.cleanups, var)
        return tree.Declare(token, var, init)

    # --- control flow

    def if_(self, node: ast.If) -> tree.Statement:
        self.c.scopes.append(Scope())  # of what the condition declares, as `sizeof(enum {A})` does (C11 6.8.4p3)
        condition = self.c.expr.condition(node.condition)
        then = self.single(node.then)
        otherwise = self.single(node.otherwise) if node.otherwise is not None else None
        self.c.scopes.pop()
        return tree.If(node.first, condition, then, otherwise)

    def loop(self, node: ast.Loop) -> tree.Statement:
        self.c.scopes.append(Scope())
        cleanups = self.cleanups
        init = self.single(node.init) if node.init is not None else None
        if isinstance(node.init, ast.Declaration) and node.init.specifiers.storage in ("static", "extern", "typedef"):
            self.c.error(f"a '{node.init.specifiers.storage}' declaration in a for loop", node.init, code="storage")
        condition = None
        if node.condition is not None and node.kind != "do":
            condition = self.c.expr.condition(node.condition)
        step = self.c.expr.value(node.step) if node.step is not None else None
        self.breakable += 1
        self.loops += 1
        body = self.single(node.body)
        self.breakable -= 1
        self.loops -= 1
        if node.condition is not None and node.kind == "do":  # what it declares is not seen in the body
            condition = self.c.expr.condition(node.condition)
        self.cleanups = cleanups
        self.c.scopes.pop()
        return tree.Loop(node.first, node.kind, init, condition, step, body, node.unroll)

    def switch(self, node: ast.Switch) -> tree.Statement:
        self.c.scopes.append(Scope())
        value = self.c.expr.value(node.value)
        if not ct.is_integer(value.type):
            self.c.error(f"switch needs an integer, not '{value.type}'", node.value, code="switch")
            value = number(node.value, 0)
        value = promoted(value)
        found = tree.Switch(node.first, value, None, [], None)
        self.switches.append((found, ct.integer(value.type), self.cleanups))
        self.breakable += 1
        found.body = self.single(node.body)
        self.breakable -= 1
        self.switches.pop()
        self.c.scopes.pop()
        return found

    def case(self, node: ast.Case) -> tree.Statement:
        label = tree.CaseLabel(node.first, None)
        if not self.switches:
            self.c.error("'case' and 'default' belong into a switch", node.first, code="switch")
        else:
            switch, type, cleanups = self.switches[-1]
            self._entered(node.first, "the jump to this case", cleanups, self.cleanups)
            if node.low is None:
                if switch.default is not None:
                    self.c.error("two 'default' in one switch", node.first, code="switch")
                switch.default = label
            else:
                low = type.wrap(self.c.constant(node.low, "a case value"))
                high = type.wrap(self.c.constant(node.high, "a case value")) if node.high is not None else low
                if high < low:
                    self.c.warning(f"the range {low} ... {high} is empty", node.low, code="switch")
                else:
                    for other_low, other_high, other in switch.cases:
                        if low <= other_high and other_low <= high:
                            note = self.c.diagnostics.note("the other one", other.token)
                            self.c.error(f"case {max(low, other_low)} appears twice", node.low, notes=[note], code="switch")
                            break
                    switch.cases.append((low, high, label))
        label.body = self.single(node.body)
        return label

    def label(self, node: ast.Label) -> tree.Statement:
        if node.name in self.labels:
            note = self.c.diagnostics.note("the first one", self.labels[node.name])
            self.c.error(f"label '{node.name}' appears twice", node.first, notes=[note], code="label")
        self.labels[node.name] = node.first
        self.reached[node.name] = self.cleanups
        return tree.Label(node.first, node.name, self.single(node.body))

    def goto(self, node: ast.Goto) -> tree.Statement:
        self.gotos.append(node.name)
        goto = tree.Goto(node.first, node.name.text, 0)
        self.left.append((goto, self.cleanups))
        return goto

    def jump(self, node: ast.Jump) -> tree.Statement:
        allowed = self.loops if node.kind == "continue" else self.breakable
        if not allowed:
            where = "a loop" if node.kind == "continue" else "a loop or a switch"
            self.c.error(f"'{node.kind}' needs {where} around it", node.first, code="jump")
        return tree.Jump(node.first, node.kind)

    def return_(self, node: ast.Return) -> tree.Statement:
        assert self.c.function is not None
        wanted = self.c.function.type.returns
        name = self.c.function.name
        if node.value is None:
            if not isinstance(wanted, ct.VoidType):
                self.c.error(f"'{name}' must return a value of type '{wanted}'", node, code="return")
            return tree.Return(node.first, None)
        value = self.c.expr.value(node.value)
        if isinstance(wanted, ct.VoidType):
            if not isinstance(value.type, ct.VoidType):
                self.c.error(f"'{name}' returns nothing, so 'return' takes no value", node.value, code="return")
            return tree.Return(node.first, value)
        return tree.Return(node.first, assignable(self.c, value, wanted, f"the result of '{name}'", node.value))

    def asm(self, node: ast.Asm) -> tree.Statement:
        outputs = [(n, c, self.c.expr.check(e)) for n, c, e in node.outputs]
        for (_, _, value), (_, _, expr) in zip(outputs, node.outputs, strict=True):
            if not is_lvalue(value):
                self.c.error("an output of asm needs something that has an address", expr, code="lvalue")
        inputs = [(n, c, self.c.expr.check(e) if c == "m" else self.c.expr.value(e)) for n, c, e in node.inputs]
        for name in _CALLED.findall(node.template) if self.c.bpf else ():
            called = self.c.unit.functions.get(name)
            if called is not None:
                called.used = True
        labels = [(name, self.goto(jump)) for name, jump in node.labels]
        return tree.Asm(
            node.first, node.template, outputs, inputs, node.clobbers, node.volatile, node.strings, labels, node.basic
        )

    _methods: dict[type[ast.Stmt], Any] = {  # noqa: RUF012
        ast.Block: block, ast.ExprStmt: expression, ast.Declaration: declaration, ast.StaticAssert: static_assert, ast.If: if_,
        ast.Loop: loop, ast.Switch: switch, ast.Case: case, ast.Label: label, ast.Goto: goto, ast.Jump: jump, ast.Return: return_,
        ast.Asm: asm,
    }  # fmt: skip
