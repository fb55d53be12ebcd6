"""Tokens to syntax tree: expressions and initialisers."""

from __future__ import annotations

from collections.abc import Callable

from skep.compiler import ast
from skep.compiler import parser_declarations as declarations
from skep.compiler import parser_statements as statements
from skep.compiler.parser_tokens import ALIGNOF, KEYWORDS, TokenReader

BINARY = {
    "*": 10, "/": 10, "%": 10, "+": 9, "-": 9, "<<": 8, ">>": 8, "<": 7, ">": 7, "<=": 7, ">=": 7, "==": 6, "!=": 6,
    "&": 5, "^": 4, "|": 3, "&&": 2, "||": 1,
}  # fmt: skip
PREFIX = {"+", "-", "!", "~", "*", "&", "++", "--"}
ASSIGN = {"=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|="}


def expression(reader: TokenReader) -> ast.Expr:
    """assignment_expression (',' assignment_expression)*"""
    left = assignment_expression(reader)
    length = 0
    while reader.token.text == "," and reader.token.kind == "punct":
        reader.next()
        length += 1
        reader.not_too_long(length, "operators")
        right = assignment_expression(reader)
        left = ast.Comma(left.first, right.last, left, right)
    return left


def assignment_expression(reader: TokenReader) -> ast.Expr:
    """conditional_expression (('=' | '+=' | ...) assignment_expression)?"""
    left = conditional_expression(reader)
    token = reader.token
    if token.kind == "punct" and token.text in ASSIGN:
        reader.next()
        reader.deeper()
        right = assignment_expression(reader)
        reader.depth -= 1
        return ast.Assign(left.first, right.last, token.text[:-1], left, right, token, False)
    return left


def conditional_expression(reader: TokenReader) -> ast.Expr:
    """binary_expression ('?' expression? ':' conditional_expression)?"""
    condition = binary_expression(reader, 1)
    if reader.token.text != "?" or reader.token.kind != "punct":
        return condition
    reader.next()
    reader.deeper()
    then = None if reader.token.text == ":" else expression(reader)
    reader.expect(":", "in the conditional expression")
    otherwise = conditional_expression(reader)
    reader.depth -= 1
    return ast.Conditional(condition.first, otherwise.last, condition, then, otherwise)


def binary_expression(reader: TokenReader, level: int) -> ast.Expr:
    """cast_expression (operator binary_expression)*, for operators that bind at least as `level`"""
    left = cast_expression(reader)
    length = 0
    while True:
        token = reader.token
        power = BINARY.get(token.text, 0) if token.kind == "punct" else 0
        if power < level:
            return left
        reader.next()
        length += 1
        reader.not_too_long(length, "operators")
        right = binary_expression(reader, power + 1)
        left = ast.Binary(left.first, right.last, token.text, left, right, token)


def cast_expression(reader: TokenReader) -> ast.Expr:
    """'(' type_name ')' (cast_expression | initializer_list) | unary_expression"""
    token = reader.token
    if token.text == "(" and token.kind == "punct" and reader.starts_type(reader.peek(), reader.peek(2)):
        reader.next()
        reader.deeper()
        type_name = declarations.type_name(reader)
        reader.expect(")", "to close the cast")
        if reader.token.text == "{" and reader.token.kind == "punct":
            init = initializer_list(reader)
            reader.depth -= 1
            return postfix_operators(reader, ast.CompoundLiteral(token, init.last, type_name, init))
        operand = cast_expression(reader)
        reader.depth -= 1
        return ast.Cast(token, operand.last, type_name, operand)
    return unary_expression(reader)


def unary_expression(reader: TokenReader) -> ast.Expr:
    """operator cast_expression | ('++' | '--') unary_expression | sizeof_expression | primary_expression postfix_operators"""
    reader.deeper()  # every expression in an expression comes through here
    token = reader.token
    expr: ast.Expr
    if token.kind == "punct" and token.text in PREFIX:
        reader.next()
        operand = unary_expression(reader) if token.text in ("++", "--") else cast_expression(reader)
        expr = ast.Unary(token, operand.last, token.text, operand)
    elif token.kind == "punct" and token.text == "&&":
        reader.fail("the address of a label needs a computed goto, which BPF does not have", token)
    elif token.kind == "id" and (token.text == "sizeof" or token.text in ALIGNOF):
        expr = sizeof_expression(reader)
    elif token.kind == "id" and token.text == "__extension__":
        reader.next()
        expr = cast_expression(reader)
    else:
        expr = postfix_operators(reader, primary_expression(reader))
    reader.depth -= 1
    return expr


def sizeof_expression(reader: TokenReader) -> ast.Expr:
    """('sizeof' | '_Alignof') ('(' type_name ')' | unary_expression)"""
    first = reader.next()
    what = "sizeof" if first.text == "sizeof" else "alignof"
    if reader.token.text != "(" or not reader.starts_type(reader.peek(), reader.peek(2)):
        operand = unary_expression(reader)
        return ast.SizeOf(first, operand.last, what, operand)
    reader.next()
    type_name = declarations.type_name(reader)
    last = reader.expect(")", f"to close {first.text}(")
    if reader.token.text == "{" and what == "sizeof":
        init = initializer_list(reader)
        literal = postfix_operators(reader, ast.CompoundLiteral(first, init.last, type_name, init))
        return ast.SizeOf(first, literal.last, what, literal)
    return ast.SizeOf(first, last, what, type_name)


def postfix_operators(reader: TokenReader, expr: ast.Expr) -> ast.Expr:
    """('[' expression ']' | '(' arguments? ')' | ('.' | '->') name | '++' | '--')*"""
    length = 0
    while reader.token.kind == "punct":
        text = reader.token.text
        length += 1
        reader.not_too_long(length, "operators")
        if text == "[":
            reader.next()
            index = expression(reader)
            expr = ast.Index(expr.first, reader.expect("]", "to close the index"), expr, index)
        elif text == "(":
            reader.next()
            args: list[ast.Expr] = []
            while reader.token.text != ")" or reader.token.kind != "punct":
                args.append(assignment_expression(reader))
                if not reader.accept(","):
                    break
            expr = ast.Call(expr.first, reader.expect(")", "to close the call's arguments"), expr, args)
        elif text in (".", "->"):
            reader.next()
            name = reader.next()
            if name.kind != "id":
                reader.fail(f"expected a member's name after '{text}'", name)
            expr = ast.MemberAccess(expr.first, name, expr, name, text == "->")
        elif text in ("++", "--"):
            expr = ast.Unary(expr.first, reader.next(), "p" + text, expr)
        else:
            break
    return expr


def primary_expression(reader: TokenReader) -> ast.Expr:
    """name | number | character | string+ | '(' expression ')' | '(' compound_statement ')' | generic_selection | builtin"""
    token = reader.token
    if token.kind == "id" and token.text not in KEYWORDS:
        special = _BUILTINS.get(token.text)
        if special is not None and reader.peek().text == "(":
            return special(reader)
        return ast.Name(reader.next(), token, token.text)
    if token.kind == "num":
        return ast.Number(reader.next(), token)
    if token.kind == "char":
        return ast.Character(reader.next(), token)
    if token.kind == "str":
        tokens = reader.string_tokens()
        return ast.String(token, tokens[-1], tokens)
    if token.text == "(" and token.kind == "punct":
        reader.next()
        expr: ast.Expr
        if reader.token.text == "{" and reader.token.kind == "punct":
            block = statements.compound_statement(reader)
            expr = ast.StatementExpr(token, reader.expect(")", "to close the statement expression"), block)
        else:
            expr = expression(reader)
            reader.expect(")", "to close '('")
            if isinstance(expr, ast.Assign):
                expr.in_parentheses = True
        return expr
    if token.text == "_Generic":
        return generic_selection(reader)
    reader.fail("expected an expression" + (f", found '{token.text}'" if token.kind != "eof" else ""), token)


def generic_selection(reader: TokenReader) -> ast.Generic:
    """'_Generic' '(' assignment_expression (',' (type_name | 'default') ':' assignment_expression)+ ')'"""
    first = reader.next()
    reader.expect("(", "after _Generic")
    control = assignment_expression(reader)
    cases: list[tuple[ast.TypeName | None, ast.Expr]] = []
    while reader.accept(","):
        type_name = None if reader.accept("default") else declarations.type_name(reader)
        reader.expect(":", "after the type in _Generic")
        cases.append((type_name, assignment_expression(reader)))
    return ast.Generic(first, reader.expect(")", "to close _Generic("), control, cases)


def builtin_offsetof(reader: TokenReader) -> ast.Expr:
    """'offsetof' '(' type_name ',' name designation ')'"""
    first = reader.next()
    reader.next()
    type_name = declarations.type_name(reader)
    reader.expect(",", f"in {first.text}")
    name = reader.next()
    path = [ast.Designator(name, name, name.text, None, None), *designation(reader)]
    return ast.OffsetOf(first, reader.expect(")", f"to close {first.text}("), type_name, path)


def builtin_va_arg(reader: TokenReader) -> ast.Expr:
    """'__builtin_va_arg' '(' assignment_expression ',' type_name ')'"""
    first = reader.next()
    reader.next()
    va_list = assignment_expression(reader)
    reader.expect(",", "in va_arg")
    type_name = declarations.type_name(reader)
    return ast.VaArg(first, reader.expect(")", "to close va_arg("), va_list, type_name)


def builtin_types_compatible(reader: TokenReader) -> ast.Expr:
    """'__builtin_types_compatible_p' '(' type_name ',' type_name ')'"""
    first = reader.next()
    reader.next()
    left = declarations.type_name(reader)
    reader.expect(",", f"in {first.text}")
    right = declarations.type_name(reader)
    return ast.TypesCompatible(first, reader.expect(")", f"to close {first.text}("), left, right)


# --- initialisers


def initializer(reader: TokenReader) -> ast.Expr:
    """initializer_list | assignment_expression"""
    return initializer_list(reader) if reader.token.text == "{" else assignment_expression(reader)


def initializer_list(reader: TokenReader) -> ast.InitList:
    """'{' ((designation '='? | name ':')? initializer (',' ...)* ','?)? '}'"""
    first = reader.expect("{", "to open the initialiser")
    reader.deeper()
    items: list[tuple[list[ast.Designator], ast.Expr]] = []
    while not reader.accept("}"):
        designators: list[ast.Designator] = []
        if reader.token.kind == "id" and reader.peek().text == ":" and reader.peek().kind == "punct":
            name = reader.next()  # GNU: `member: value`
            designators.append(ast.Designator(name, reader.next(), name.text, None, None))
        else:
            designators = designation(reader)
            if designators and not reader.accept("=") and reader.token.text == "{":
                pass  # GNU: `[3] {...}` without '='
        items.append((designators, initializer(reader)))
        if not reader.accept(",") and reader.token.text != "}":
            reader.fail("expected ',' or '}' in the initialiser", reader.token)
    reader.depth -= 1
    return ast.InitList(first, reader.previous, items)


def designation(reader: TokenReader) -> list[ast.Designator]:
    """('.' name | '[' conditional_expression ('...' conditional_expression)? ']')*"""
    designators: list[ast.Designator] = []
    while True:
        first = reader.token
        if reader.accept("."):
            name = reader.next()
            if name.kind != "id":
                reader.fail("expected a member's name after '.'", name)
            designators.append(ast.Designator(first, name, name.text, None, None))
        elif reader.accept("["):
            low = conditional_expression(reader)
            high = conditional_expression(reader) if reader.accept("...") else None
            designators.append(ast.Designator(first, reader.expect("]", "to close the designator"), "", low, high))
        else:
            return designators


_BUILTINS: dict[str, Callable[[TokenReader], ast.Expr]] = {
    "__builtin_offsetof": builtin_offsetof,
    "offsetof": builtin_offsetof,
    "__builtin_va_arg": builtin_va_arg,
    "__builtin_types_compatible_p": builtin_types_compatible,
}
