"""Tokens to syntax tree: expressions and initialisers."""

from __future__ import annotations

from skep.compiler import ast
from skep.compiler.parser_tokens import ALIGNOF, KEYWORDS, TokenReader

BINARY = {
    "*": 10, "/": 10, "%": 10, "+": 9, "-": 9, "<<": 8, ">>": 8, "<": 7, ">": 7, "<=": 7, ">=": 7, "==": 6, "!=": 6,
    "&": 5, "^": 4, "|": 3, "&&": 2, "||": 1,
}  # fmt: skip
ASSIGN = {"=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|="}


class ExpressionParser(TokenReader):
    """`expression`, `assignment_expression`, `conditional_expression` and `initializer` are the entries."""

    # rules of the layers above

    def type_name(self) -> ast.TypeName:
        raise NotImplementedError

    def compound_statement(self, *, scope: bool = True) -> ast.Block:
        raise NotImplementedError

    def expression(self) -> ast.Expr:
        left = self.assignment_expression()
        length = 0
        while self.token.text == "," and self.token.kind == "punct":
            self.next()
            length += 1
            self.not_too_long(length, "operators")
            right = self.assignment_expression()
            left = ast.Comma(left.first, right.last, left, right)
        return left

    def assignment_expression(self) -> ast.Expr:
        left = self.conditional_expression()
        token = self.token
        if token.kind == "punct" and token.text in ASSIGN:
            self.next()
            self.deeper()
            right = self.assignment_expression()
            self.depth -= 1
            return ast.Assign(left.first, right.last, token.text[:-1], left, right, token)
        return left

    def conditional_expression(self) -> ast.Expr:
        condition = self.binary_expression(1)
        if self.token.text != "?" or self.token.kind != "punct":
            return condition
        self.next()
        self.deeper()
        then = None if self.token.text == ":" else self.expression()
        self.expect(":", "in the conditional expression")
        otherwise = self.conditional_expression()
        self.depth -= 1
        return ast.Conditional(condition.first, otherwise.last, condition, then, otherwise)

    def binary_expression(self, level: int) -> ast.Expr:
        left = self.cast_expression()
        length = 0
        while True:
            token = self.token
            power = BINARY.get(token.text, 0) if token.kind == "punct" else 0
            if power < level:
                return left
            self.next()
            length += 1
            self.not_too_long(length, "operators")
            right = self.binary_expression(power + 1)
            left = ast.Binary(left.first, right.last, token.text, left, right, token)

    def cast_expression(self) -> ast.Expr:
        token = self.token
        if token.text == "(" and token.kind == "punct" and self.starts_type(self.peek(), self.peek(2)):
            self.next()
            self.deeper()
            type_name = self.type_name()
            self.expect(")", "to close the cast")
            if self.token.text == "{" and self.token.kind == "punct":
                init = self.initializer_list()
                self.depth -= 1
                return self.postfix_operators(ast.CompoundLiteral(token, init.last, type_name, init))
            operand = self.cast_expression()
            self.depth -= 1
            return ast.Cast(token, operand.last, type_name, operand)
        return self.unary_expression()

    def unary_expression(self) -> ast.Expr:
        self.deeper()  # every expression in an expression comes through here
        expr = self._unary_expression()
        self.depth -= 1
        return expr

    def _unary_expression(self) -> ast.Expr:
        token = self.token
        if token.kind == "punct" and token.text in ("+", "-", "!", "~", "*", "&", "++", "--"):
            self.next()
            operand = self.cast_expression() if token.text not in ("++", "--") else self.unary_expression()
            return ast.Unary(token, operand.last, token.text, operand)
        if token.kind == "punct" and token.text == "&&":
            self.fail("the address of a label needs a computed goto, which BPF does not have", token)
        if token.kind == "id":
            if token.text == "sizeof" or token.text in ALIGNOF:
                self.next()
                what = "sizeof" if token.text == "sizeof" else "alignof"
                if self.token.text == "(" and self.starts_type(self.peek(), self.peek(2)):
                    self.next()
                    type_name = self.type_name()
                    last = self.expect(")", f"to close {token.text}(")
                    if self.token.text == "{" and what == "sizeof":
                        init = self.initializer_list()
                        literal = self.postfix_operators(ast.CompoundLiteral(token, init.last, type_name, init))
                        return ast.SizeOf(token, literal.last, what, literal)
                    return ast.SizeOf(token, last, what, type_name)
                operand = self.unary_expression()
                return ast.SizeOf(token, operand.last, what, operand)
            if token.text == "__extension__":
                self.next()
                return self.cast_expression()
        return self.postfix_operators(self.primary_expression())

    def postfix_operators(self, expr: ast.Expr) -> ast.Expr:
        length = 0
        while self.token.kind == "punct":
            text = self.token.text
            length += 1
            self.not_too_long(length, "operators")
            if text == "[":
                self.next()
                index = self.expression()
                expr = ast.Index(expr.first, self.expect("]", "to close the index"), expr, index)
            elif text == "(":
                self.next()
                args: list[ast.Expr] = []
                while self.token.text != ")" or self.token.kind != "punct":
                    args.append(self.assignment_expression())
                    if not self.accept(","):
                        break
                expr = ast.Call(expr.first, self.expect(")", "to close the call's arguments"), expr, args)
            elif text in (".", "->"):
                self.next()
                name = self.next()
                if name.kind != "id":
                    self.fail(f"expected a member's name after '{text}'", name)
                expr = ast.MemberAccess(expr.first, name, expr, name, text == "->")
            elif text in ("++", "--"):
                expr = ast.Unary(expr.first, self.next(), "p" + text, expr)
            else:
                break
        return expr

    def primary_expression(self) -> ast.Expr:
        token = self.token
        if token.kind == "id" and token.text not in KEYWORDS:
            special = self._builtins.get(token.text)
            if special is not None and self.peek().text == "(":
                return special(self)
            return ast.Name(self.next(), token, token.text)
        if token.kind == "num":
            return ast.Number(self.next(), token)
        if token.kind == "char":
            return ast.Character(self.next(), token)
        if token.kind == "str":
            tokens = self.string_tokens()
            return ast.String(token, tokens[-1], tokens)
        if token.text == "(" and token.kind == "punct":
            self.next()
            expr: ast.Expr
            if self.token.text == "{" and self.token.kind == "punct":
                block = self.compound_statement()
                expr = ast.StatementExpr(token, self.expect(")", "to close the statement expression"), block)
            else:
                expr = self.expression()
                self.expect(")", "to close '('")
            return expr
        if token.text == "_Generic":
            return self.generic_selection()
        self.fail("expected an expression" + (f", found '{token.text}'" if token.kind != "eof" else ""), token)

    def generic_selection(self) -> ast.Generic:
        first = self.next()
        self.expect("(", "after _Generic")
        control = self.assignment_expression()
        cases: list[tuple[ast.TypeName | None, ast.Expr]] = []
        while self.accept(","):
            type_name = None if self.accept("default") else self.type_name()
            self.expect(":", "after the type in _Generic")
            cases.append((type_name, self.assignment_expression()))
        return ast.Generic(first, self.expect(")", "to close _Generic("), control, cases)

    def builtin_offsetof(self) -> ast.Expr:
        first = self.next()
        self.next()
        type_name = self.type_name()
        self.expect(",", f"in {first.text}")
        name = self.next()
        path = [ast.Designator(name, name, name.text, None, None), *self.designation()]
        return ast.OffsetOf(first, self.expect(")", f"to close {first.text}("), type_name, path)

    def builtin_va_arg(self) -> ast.Expr:
        first = self.next()
        self.next()
        va_list = self.assignment_expression()
        self.expect(",", "in va_arg")
        type_name = self.type_name()
        return ast.VaArg(first, self.expect(")", "to close va_arg("), va_list, type_name)

    def builtin_types_compatible(self) -> ast.Expr:
        first = self.next()
        self.next()
        left = self.type_name()
        self.expect(",", f"in {first.text}")
        right = self.type_name()
        return ast.TypesCompatible(first, self.expect(")", f"to close {first.text}("), left, right)

    _builtins = {  # noqa: RUF012
        "__builtin_offsetof": builtin_offsetof, "offsetof": builtin_offsetof, "__builtin_va_arg": builtin_va_arg,
        "__builtin_types_compatible_p": builtin_types_compatible,
    }  # fmt: skip

    # --- initialisers

    def initializer(self) -> ast.Expr:
        return self.initializer_list() if self.token.text == "{" else self.assignment_expression()

    def initializer_list(self) -> ast.InitList:
        first = self.expect("{", "to open the initialiser")
        self.deeper()
        items: list[tuple[list[ast.Designator], ast.Expr]] = []
        while not self.accept("}"):
            designators: list[ast.Designator] = []
            if self.token.kind == "id" and self.peek().text == ":" and self.peek().kind == "punct":
                name = self.next()  # GNU: `member: value`
                designators.append(ast.Designator(name, self.next(), name.text, None, None))
            else:
                designators = self.designation()
                if designators and not self.accept("=") and self.token.text == "{":
                    pass  # GNU: `[3] {...}` without '='
            items.append((designators, self.initializer()))
            if not self.accept(",") and self.token.text != "}":
                self.fail("expected ',' or '}' in the initialiser", self.token)
        self.depth -= 1
        return ast.InitList(first, self.previous, items)

    def designation(self) -> list[ast.Designator]:
        designators: list[ast.Designator] = []
        while True:
            first = self.token
            if self.accept("."):
                name = self.next()
                if name.kind != "id":
                    self.fail("expected a member's name after '.'", name)
                designators.append(ast.Designator(first, name, name.text, None, None))
            elif self.accept("["):
                low = self.conditional_expression()
                high = self.conditional_expression() if self.accept("...") else None
                designators.append(ast.Designator(first, self.expect("]", "to close the designator"), "", low, high))
            else:
                return designators
