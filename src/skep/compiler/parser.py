"""Tokens to syntax tree: C11 with the GNU extensions kernel code uses, and the dialect's map declarations.

Each method is named after the grammar rule that it reads. Typedef names are told from identifiers by scope, then
by `is_type(name)`, which asks the kernel's types. Each of the four files adds its rules to those it is built on.
"""

from __future__ import annotations

import itertools

from skep.compiler import ast
from skep.compiler.parser_declarations import DeclarationParser
from skep.compiler.parser_tokens import ASM, ATTRIBUTE, KEYWORDS, QUALIFIERS, STARTS_TYPE, Skip
from skep.compiler.source import Token
from skep.compiler.types import VOLATILE


class Parser(DeclarationParser):
    """One translation unit: external declarations and statements. `translation_unit` is the entry."""

    # --- external declarations

    def translation_unit(self) -> list[ast.Node]:
        items: list[ast.Node] = []
        while self.token.kind != "eof":
            start = self.at
            try:
                item = self.external_declaration()
                if item is not None:
                    items.append(item)
            except Skip:
                self.scopes = self.scopes[:1]
                self.depth = 0
                here = self.tokens[start : self.at]
                self.broken |= {a.text for a, b in itertools.pairwise(here) if a.kind == "id" and b.text == "("}
                self.skip_statement(start)
                while self.token.text == "}" and self.token.kind == "punct":
                    self.next()
        return items

    def external_declaration(self) -> ast.Node | None:
        token = self.token
        if self.accept(";"):
            return None
        if token.text in ASM:
            self.next()
            while self.token.text in QUALIFIERS:
                self.next()
            self.expect("(", "after 'asm'")
            text = self.string_text()
            self.expect(")", "after the asm text")
            return ast.FileAsm(token, self.end_of("asm"), text)
        if token.text == "_Static_assert":
            return self.static_assert()
        if token.text in self.map_macros and self.peek().text == "(":
            return self.map_declaration()
        specifiers = self.declaration_specifiers(context="declaration")
        if self.accept(";"):
            return ast.Declaration(token, self.previous, specifiers, [])
        if specifiers.storage in ("auto", "register"):
            self.fail(f"'{specifiers.storage}' outside a function", token)
        declarator = self.declarator(abstract=False)
        if self.is_function(declarator) and (
            self.token.text == "{" or (self.token.text != ";" and self.declares_old_style(declarator))
        ):
            return self.function_definition(specifiers, declarator)
        return self.rest_of_declaration(specifiers, declarator)

    @staticmethod
    def is_function(declarator: ast.Declarator) -> bool:
        return bool(declarator.parts) and isinstance(declarator.parts[-1], ast.FunctionPart)

    def declares_old_style(self, declarator: ast.Declarator) -> bool:
        part = declarator.parts[-1]
        return isinstance(part, ast.FunctionPart) and bool(part.names) and self.starts_type(self.token, self.peek())

    def map_declaration(self) -> ast.MapDeclaration:
        macro = self.next()
        self.expect("(", f"after '{macro.text}'")
        values: dict[str, object] = {}
        parameters = self.map_macros[macro.text]
        for i, (name, kind) in enumerate(parameters):
            if self.token.text == ")":
                if not kind.endswith("?"):
                    usage = ", ".join(f"[{n}]" if k.endswith("?") else n for n, k in parameters)
                    self.fail(f"{macro.text} needs '{name}': {macro.text}({usage})", macro, self.token)
                break
            if kind == "type?" and self.peek().kind == "str":
                continue  # left out before an argument that is no type
            if i:
                self.expect(",", f"between the arguments of {macro.text}")
            kind = kind.rstrip("?")
            if kind == "name":
                if self.token.kind != "id":
                    self.fail(f"expected a name for the map in {macro.text}", self.token)
                values[name] = self.next()
            elif kind == "type":
                values[name] = self.type_name()
            elif kind == "string":
                first = self.token
                tokens = self.string_tokens()
                values[name] = ast.String(first, self.previous, tokens)
            else:
                values[name] = self.assignment_expression()
        if self.token.text == ",":
            usage = ", ".join(f"[{n}]" if k.endswith("?") else n for n, k in parameters)
            self.fail(f"too many arguments: {macro.text}({usage})", macro, self.token)
        self.expect(")", f"to close {macro.text}(")
        name_token = values["name"]
        assert isinstance(name_token, Token)
        self.scopes[-1][name_token.text] = False
        last = self.end_of(f"{macro.text}(...)")
        return ast.MapDeclaration(macro, last, macro.text, values)

    def function_definition(self, specifiers: ast.Specifiers, declarator: ast.Declarator) -> ast.FunctionDefinition:
        self.declare(declarator, False)
        part = declarator.parts[-1]
        assert isinstance(part, ast.FunctionPart)
        self.scopes.append({})
        for parameter in part.params:
            self.declare(parameter.declarator, False)
        old_style: list[ast.Declaration] = []
        while self.token.text != "{":
            declaration = self.declaration()
            if not isinstance(declaration, ast.Declaration):
                self.fail("expected a parameter declaration or '{'", self.token)
            old_style.append(declaration)
        body = self.compound_statement(scope=False)
        self.scopes.pop()
        return ast.FunctionDefinition(specifiers.first, body.last, specifiers, declarator, old_style, body)

    # --- statements

    def compound_statement(self, *, scope: bool = True) -> ast.Block:
        first = self.expect("{", "to open the block")
        self.deeper()
        if scope:
            self.scopes.append({})
        self.labels.append({})
        scopes, depth, labels = len(self.scopes), self.depth, len(self.labels)
        items: list[ast.Stmt] = []
        while self.token.text != "}" or self.token.kind != "punct":
            if self.token.kind == "eof":
                self.diagnostics.error("missing '}': the block that opens here is never closed", first, code="syntax")
                break
            start = self.at
            try:
                if self.token.kind == "id" and self.token.text == "case":
                    items.append(self.case_statement(in_block=True))
                elif self.token.kind == "id" and self.token.text == "default":
                    items.append(self.default_statement(in_block=True))
                else:
                    items.append(self.block_item())
            except Skip:
                del self.scopes[scopes:]
                del self.labels[labels:]
                self.depth = depth
                self.skip_statement(start)
        last = self.accept("}") or self.previous
        self.labels.pop()
        if scope:
            self.scopes.pop()
        self.depth -= 1
        return ast.Block(first, last, items)

    def block_item(self) -> ast.Stmt:
        token = self.token
        if token.kind == "id":
            if token.text == "__label__":
                return self.local_labels()
            if token.text in ATTRIBUTE:  # of a declaration, or "fallthrough" by itself
                at = self.at
                self.attributes()
                if self.accept(";"):
                    return ast.ExprStmt(token, self.previous, None)
                self.at, self.token = at, self.tokens[at]
            following = self.peek()
            if token.text == "_Static_assert":
                return self.static_assert()
            if following.text != ":" and self.starts_type(token, following):
                is_call = following.text == "(" and token.text not in STARTS_TYPE and not self.is_typedef(token)
                if not is_call:
                    return self.declaration()
            if following.kind == "id" and token.text not in KEYWORDS and following.text not in KEYWORDS and not following.bol:
                return self.declaration()  # an unknown type name, reported there
        return self.statement()

    def local_labels(self) -> ast.Stmt:
        """GNU: labels of this block only, so that a macro can be used twice in a function."""
        first = self.next()
        while True:
            name = self.next()
            if name.kind != "id":
                self.fail("expected a label after '__label__'", name)
            self.labels[-1][name.text] = f"{name.text}.{self.at}"
            if not self.accept(","):
                return ast.ExprStmt(first, self.end_of("__label__"), None)

    def label_name(self, name: str) -> str:
        """The name of a label in its function: one that __label__ declared has a number."""
        for labels in reversed(self.labels):
            if name in labels:
                return labels[name]
        return name

    def statement(self) -> ast.Stmt:
        token = self.token
        if token.kind == "punct":
            if token.text == "{":
                return self.compound_statement()
            if self.accept(";"):
                return ast.ExprStmt(token, token, None)
        elif token.kind == "id":
            method = self._statements.get(token.text)
            if method is not None:
                self.deeper()
                found = method(self)
                self.depth -= 1
                return found
            if token.text in ASM:
                return self.asm_statement()
            if self.peek().text == ":" and self.peek().kind == "punct" and token.text not in KEYWORDS:
                self.next()
                self.next()
                self.attributes()
                label = self.label_name(token.text)
                if self.token.text == "}":
                    return ast.Label(token, self.previous, label, ast.ExprStmt(token, token, None))
                self.deeper()
                body = self.block_item()
                self.depth -= 1
                return ast.Label(token, body.last, label, body)
        if token.text == "__attribute__":  # [[fallthrough]]'s older spelling
            self.attributes()
            return ast.ExprStmt(token, self.end_of("the attribute"), None)
        expr = self.expression()
        return ast.ExprStmt(token, self.end_of("the statement"), expr)

    def if_statement(self) -> ast.Stmt:
        """A chain of else-ifs is read in a loop: such chains are long where nothing else nests deep."""
        heads: list[tuple[Token, ast.Expr, ast.Stmt]] = []
        otherwise: ast.Stmt | None = None
        while True:
            first = self.next()
            self.not_too_long(len(heads), "else-ifs")
            condition = self.parenthesised("if")
            heads.append((first, condition, self.statement()))
            if not self.accept("else"):
                break
            if self.token.text != "if" or self.token.kind != "id":
                otherwise = self.statement()
                break
        for first, condition, then in reversed(heads):
            otherwise = ast.If(first, self.previous, condition, then, otherwise)
        assert otherwise is not None
        return otherwise

    def parenthesised(self, what: str) -> ast.Expr:
        self.expect("(", f"after '{what}'")
        expr = self.expression()
        self.expect(")", f"to close the condition of '{what}'")
        return expr

    def take_unroll(self) -> int:
        unroll, self.unroll = self.unroll, 0
        return unroll

    def while_statement(self) -> ast.Stmt:
        unroll = self.take_unroll()
        first = self.next()
        condition = self.parenthesised("while")
        body = self.statement()
        return ast.Loop(first, self.previous, "while", None, condition, None, body, unroll)

    def do_statement(self) -> ast.Stmt:
        unroll = self.take_unroll()
        first = self.next()
        body = self.statement()
        self.expect("while", "after the body of 'do'")
        condition = self.parenthesised("while")
        return ast.Loop(first, self.end_of("do ... while (...)"), "do", None, condition, None, body, unroll)

    def for_statement(self) -> ast.Stmt:
        unroll = self.take_unroll()
        first = self.next()
        self.expect("(", "after 'for'")
        self.scopes.append({})
        init: ast.Stmt | None = None
        if self.token.text != ";":
            if self.starts_type(self.token, self.peek()):
                init = self.declaration()
            else:
                start = self.token
                expr = self.expression()
                self.expect(";", "after the first part of 'for'")
                init = ast.ExprStmt(start, self.previous, expr)
        else:
            self.next()
        condition = None if self.token.text == ";" else self.expression()
        self.expect(";", "after the condition of 'for'")
        step = None if self.token.text == ")" else self.expression()
        self.expect(")", "to close 'for ('")
        body = self.statement()
        self.scopes.pop()
        return ast.Loop(first, self.previous, "for", init, condition, step, body, unroll)

    def switch_statement(self) -> ast.Stmt:
        first = self.next()
        value = self.parenthesised("switch")
        body = self.statement()
        return ast.Switch(first, self.previous, value, body)

    def labelled_body(self, in_block: bool) -> ast.Stmt:
        # in a block, a label after a label is the next item: tables of cases are long
        if self.token.text == "}" or (in_block and self.token.kind == "id" and self.token.text in ("case", "default")):
            return ast.ExprStmt(self.previous, self.previous, None)
        return self.block_item()

    def case_statement(self, in_block: bool = False) -> ast.Stmt:
        first = self.next()
        low = self.conditional_expression()
        high = self.conditional_expression() if self.accept("...") else None
        self.expect(":", "after the case value")
        body = self.labelled_body(in_block)
        return ast.Case(first, body.last, low, high, body)

    def default_statement(self, in_block: bool = False) -> ast.Stmt:
        first = self.next()
        self.expect(":", "after 'default'")
        body = self.labelled_body(in_block)
        return ast.Case(first, body.last, None, None, body)

    def goto_statement(self) -> ast.Stmt:
        first = self.next()
        if self.token.text == "*":
            self.fail("a computed goto cannot run as BPF, whose jumps are fixed; use a switch", first, self.token)
        name = self.next()
        if name.kind != "id":
            self.fail("expected a label after 'goto'", name)
        label = self.label_name(name.text)
        if label != name.text:
            name = Token(name.kind, label, name.file, name.pos, expansion=name.expansion)
        return ast.Goto(first, self.end_of("goto"), name)

    def jump_statement(self) -> ast.Stmt:
        first = self.next()
        return ast.Jump(first, self.end_of(f"'{first.text}'"), first.text)

    def return_statement(self) -> ast.Stmt:
        first = self.next()
        value = None
        if self.token.text not in (";", "}"):
            value = self.expression()
        return ast.Return(first, self.end_of("the return statement"), value)

    def stray_else(self) -> ast.Stmt:
        self.fail("'else' without an 'if' before it", self.token)

    _statements = {  # noqa: RUF012  (a table of methods, never changed)
        "if": if_statement, "while": while_statement, "do": do_statement, "for": for_statement,
        "switch": switch_statement, "case": case_statement, "default": default_statement, "goto": goto_statement,
        "break": jump_statement, "continue": jump_statement, "return": return_statement, "else": stray_else,
    }  # fmt: skip

    def asm_statement(self) -> ast.Asm:
        first = self.next()
        volatile = goes = False
        while self.token.text in QUALIFIERS or self.token.text in ("goto", "inline"):
            goes |= self.token.text == "goto"
            volatile |= QUALIFIERS.get(self.next().text) == VOLATILE
        self.expect("(", "after 'asm'")
        start = self.at
        template = self.string_text()
        strings = [token for token in self.tokens[start : self.at] if token.kind == "str"]
        sections: list[list[tuple[str, str, ast.Expr]]] = [[], []]
        clobbers: list[str] = []
        labels: list[tuple[str, ast.Goto]] = []
        basic = self.token.text != ":"
        for section in range(4 if goes else 3):
            if not self.accept(":"):
                break
            while self.token.text not in (":", ")"):
                if section == 2:
                    clobbers.append(self.string_text())
                elif section == 3:
                    label = self.next()
                    if label.kind != "id":
                        self.fail("expected a label that asm goto may jump to", label)
                    target = Token(label.kind, self.label_name(label.text), label.file, label.pos, expansion=label.expansion)
                    labels.append((label.text, ast.Goto(label, label, target)))
                else:
                    name = ""
                    if self.accept("["):
                        name = self.next().text
                        self.expect("]", "after the operand's name")
                    constraint = self.string_text()
                    self.expect("(", "before the operand")
                    sections[section].append((name, constraint, self.expression()))
                    self.expect(")", "after the operand")
                if not self.accept(","):
                    break
        self.expect(")", "to close asm(")
        volatile |= goes or not sections[0]
        last = self.end_of("asm")
        return ast.Asm(first, last, template, sections[0], sections[1], clobbers, volatile, strings, labels, basic)
