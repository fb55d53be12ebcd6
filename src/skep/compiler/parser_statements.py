"""Tokens to syntax tree: blocks, statements, asm."""

from __future__ import annotations

from collections.abc import Callable

from skep.compiler import ast
from skep.compiler import parser_declarations as declarations
from skep.compiler import parser_expressions as expressions
from skep.compiler import parser_specifiers as specifiers
from skep.compiler.parser_tokens import ASM, ATTRIBUTE, KEYWORDS, QUALIFIERS, STARTS_TYPE, Skip, TokenReader
from skep.compiler.source import Token
from skep.compiler.types import VOLATILE


def compound_statement(reader: TokenReader, *, scope: bool = True) -> ast.Block:
    """'{' block_item* '}'"""
    first = reader.expect("{", "to open the block")
    reader.deeper()
    if scope:
        reader.scopes.append({})
    reader.labels.append({})
    scopes, depth, labels = len(reader.scopes), reader.depth, len(reader.labels)
    items: list[ast.Stmt] = []
    while reader.token.text != "}" or reader.token.kind != "punct":
        if reader.token.kind == "eof":
            reader.diagnostics.error("missing '}': the block that opens here is never closed", first, code="syntax")
            break
        start = reader.at
        try:
            if reader.token.kind == "id" and reader.token.text == "case":
                items.append(case_statement(reader, in_block=True))
            elif reader.token.kind == "id" and reader.token.text == "default":
                items.append(default_statement(reader, in_block=True))
            else:
                items.append(block_item(reader))
        except Skip:
            del reader.scopes[scopes:]
            del reader.labels[labels:]
            reader.depth = depth
            reader.skip_statement(start)
    last = reader.accept("}") or reader.previous
    reader.labels.pop()
    if scope:
        reader.scopes.pop()
    reader.depth -= 1
    return ast.Block(first, last, items)


def block_item(reader: TokenReader) -> ast.Stmt:
    """local_labels | static_assert | declaration | statement"""
    token = reader.token
    if token.kind == "id":
        if token.text == "__label__":
            return local_labels(reader)
        if token.text in ATTRIBUTE:  # of a declaration, or "fallthrough" by itself
            at = reader.at
            specifiers.attributes(reader)
            if reader.accept(";"):
                return ast.ExprStmt(token, reader.previous, None)
            reader.at, reader.token = at, reader.tokens[at]
        following = reader.peek()
        if token.text == "_Static_assert":
            return declarations.static_assert(reader)
        if following.text != ":" and reader.starts_type(token, following):
            is_call = following.text == "(" and token.text not in STARTS_TYPE and not reader.is_typedef(token)
            if not is_call:
                return declarations.declaration(reader)
        if following.kind == "id" and token.text not in KEYWORDS and following.text not in KEYWORDS and not following.bol:
            return declarations.declaration(reader)  # an unknown type name, reported there
    return statement(reader)


def local_labels(reader: TokenReader) -> ast.Stmt:
    """'__label__' name (',' name)* ';'  (GNU: labels of this block only, so that a macro can be used twice in a function)"""
    """GNU: labels of this block only, so that a macro can be used twice in a function."""
    first = reader.next()
    while True:
        name = reader.next()
        if name.kind != "id":
            reader.fail("expected a label after '__label__'", name)
        reader.labels[-1][name.text] = f"{name.text}.{reader.at}"
        if not reader.accept(","):
            return ast.ExprStmt(first, reader.end_of("__label__"), None)


def label_name(reader: TokenReader, name: str) -> str:
    """The name of a label in its function: one that __label__ declared has a number."""
    for labels in reversed(reader.labels):
        if name in labels:
            return labels[name]
    return name


def statement(reader: TokenReader) -> ast.Stmt:
    """compound_statement | ';' | if_statement | ... | asm_statement | name ':' block_item | attributes ';' | expression ';'"""
    token = reader.token
    if token.kind == "punct":
        if token.text == "{":
            return compound_statement(reader)
        if reader.accept(";"):
            return ast.ExprStmt(token, token, None)
    elif token.kind == "id":
        rule = _STATEMENTS.get(token.text)
        if rule is not None:
            reader.deeper()
            found = rule(reader)
            reader.depth -= 1
            return found
        if token.text in ASM:
            return asm_statement(reader)
        if reader.peek().text == ":" and reader.peek().kind == "punct" and token.text not in KEYWORDS:
            reader.next()
            reader.next()
            specifiers.attributes(reader)
            label = label_name(reader, token.text)
            if reader.token.text == "}":
                return ast.Label(token, reader.previous, label, ast.ExprStmt(token, token, None))
            reader.deeper()
            body = block_item(reader)
            reader.depth -= 1
            return ast.Label(token, body.last, label, body)
    if token.text == "__attribute__":  # [[fallthrough]]'s older spelling
        specifiers.attributes(reader)
        return ast.ExprStmt(token, reader.end_of("the attribute"), None)
    expr = expressions.expression(reader)
    return ast.ExprStmt(token, reader.end_of("the statement"), expr)


def if_statement(reader: TokenReader) -> ast.Stmt:
    """'if' parenthesised statement ('else' statement)?

    A chain of else-ifs is read in a loop: such chains are long where nothing else nests deep.
    """
    heads: list[tuple[Token, ast.Expr, ast.Stmt]] = []
    otherwise: ast.Stmt | None = None
    while True:
        first = reader.next()
        reader.not_too_long(len(heads), "else-ifs")
        condition = parenthesised(reader, "if")
        heads.append((first, condition, statement(reader)))
        if not reader.accept("else"):
            break
        if reader.token.text != "if" or reader.token.kind != "id":
            otherwise = statement(reader)
            break
    for first, condition, then in reversed(heads):
        otherwise = ast.If(first, reader.previous, condition, then, otherwise)
    assert otherwise is not None
    return otherwise


def parenthesised(reader: TokenReader, what: str) -> ast.Expr:
    """'(' expression ')'"""
    reader.expect("(", f"after '{what}'")
    expr = expressions.expression(reader)
    reader.expect(")", f"to close the condition of '{what}'")
    return expr


def take_unroll(reader: TokenReader) -> int:
    unroll, reader.unroll = reader.unroll, 0
    return unroll


def while_statement(reader: TokenReader) -> ast.Stmt:
    """'while' parenthesised statement"""
    unroll = take_unroll(reader)
    first = reader.next()
    condition = parenthesised(reader, "while")
    body = statement(reader)
    return ast.Loop(first, reader.previous, "while", None, condition, None, body, unroll)


def do_statement(reader: TokenReader) -> ast.Stmt:
    """'do' statement 'while' parenthesised ';'"""
    unroll = take_unroll(reader)
    first = reader.next()
    body = statement(reader)
    reader.expect("while", "after the body of 'do'")
    condition = parenthesised(reader, "while")
    return ast.Loop(first, reader.end_of("do ... while (...)"), "do", None, condition, None, body, unroll)


def for_statement(reader: TokenReader) -> ast.Stmt:
    """'for' '(' (declaration | expression? ';') expression? ';' expression? ')' statement"""
    unroll = take_unroll(reader)
    first = reader.next()
    reader.expect("(", "after 'for'")
    reader.scopes.append({})
    init: ast.Stmt | None = None
    if reader.token.text != ";":
        if reader.starts_type(reader.token, reader.peek()):
            init = declarations.declaration(reader)
        else:
            start = reader.token
            expr = expressions.expression(reader)
            reader.expect(";", "after the first part of 'for'")
            init = ast.ExprStmt(start, reader.previous, expr)
    else:
        reader.next()
    condition = None if reader.token.text == ";" else expressions.expression(reader)
    reader.expect(";", "after the condition of 'for'")
    step = None if reader.token.text == ")" else expressions.expression(reader)
    reader.expect(")", "to close 'for ('")
    body = statement(reader)
    reader.scopes.pop()
    return ast.Loop(first, reader.previous, "for", init, condition, step, body, unroll)


def switch_statement(reader: TokenReader) -> ast.Stmt:
    """'switch' parenthesised statement"""
    first = reader.next()
    value = parenthesised(reader, "switch")
    body = statement(reader)
    return ast.Switch(first, reader.previous, value, body)


def labelled_body(reader: TokenReader, in_block: bool) -> ast.Stmt:
    # in a block, a label after a label is the next item: tables of cases are long
    if reader.token.text == "}" or (in_block and reader.token.kind == "id" and reader.token.text in ("case", "default")):
        return ast.ExprStmt(reader.previous, reader.previous, None)
    return block_item(reader)


def case_statement(reader: TokenReader, in_block: bool = False) -> ast.Stmt:
    """'case' conditional_expression ('...' conditional_expression)? ':' labelled_body"""
    first = reader.next()
    low = expressions.conditional_expression(reader)
    high = expressions.conditional_expression(reader) if reader.accept("...") else None
    reader.expect(":", "after the case value")
    body = labelled_body(reader, in_block)
    return ast.Case(first, body.last, low, high, body)


def default_statement(reader: TokenReader, in_block: bool = False) -> ast.Stmt:
    """'default' ':' labelled_body"""
    first = reader.next()
    reader.expect(":", "after 'default'")
    body = labelled_body(reader, in_block)
    return ast.Case(first, body.last, None, None, body)


def goto_statement(reader: TokenReader) -> ast.Stmt:
    """'goto' name ';'"""
    first = reader.next()
    if reader.token.text == "*":
        reader.fail("a computed goto cannot run as BPF, whose jumps are fixed; use a switch", first, reader.token)
    name = reader.next()
    if name.kind != "id":
        reader.fail("expected a label after 'goto'", name)
    label = label_name(reader, name.text)
    if label != name.text:
        name = Token(name.kind, label, name.file, name.pos, expansion=name.expansion)
    return ast.Goto(first, reader.end_of("goto"), name)


def jump_statement(reader: TokenReader) -> ast.Stmt:
    """('break' | 'continue') ';'"""
    first = reader.next()
    return ast.Jump(first, reader.end_of(f"'{first.text}'"), first.text)


def return_statement(reader: TokenReader) -> ast.Stmt:
    """'return' expression? ';'"""
    first = reader.next()
    value = None
    if reader.token.text not in (";", "}"):
        value = expressions.expression(reader)
    return ast.Return(first, reader.end_of("the return statement"), value)


def stray_else(reader: TokenReader) -> ast.Stmt:
    reader.fail("'else' without an 'if' before it", reader.token)


def asm_statement(reader: TokenReader) -> ast.Asm:
    """'asm' ('volatile' | 'goto' | 'inline')* '(' string (':' operands (':' operands (':' clobbers (':' labels)?)?)?)? ')' ';'"""
    first = reader.next()
    volatile = goes = False
    while reader.token.text in QUALIFIERS or reader.token.text in ("goto", "inline"):
        goes |= reader.token.text == "goto"
        volatile |= QUALIFIERS.get(reader.next().text) == VOLATILE
    reader.expect("(", "after 'asm'")
    start = reader.at
    template = reader.string_text()
    strings = [token for token in reader.tokens[start : reader.at] if token.kind == "str"]
    sections: list[list[tuple[str, str, ast.Expr]]] = [[], []]
    clobbers: list[str] = []
    labels: list[tuple[str, ast.Goto]] = []
    basic = reader.token.text != ":"
    for section in range(4 if goes else 3):
        if not reader.accept(":"):
            break
        while reader.token.text not in (":", ")"):
            if section == 2:
                clobbers.append(reader.string_text())
            elif section == 3:
                label = reader.next()
                if label.kind != "id":
                    reader.fail("expected a label that asm goto may jump to", label)
                target = Token(label.kind, label_name(reader, label.text), label.file, label.pos, expansion=label.expansion)
                labels.append((label.text, ast.Goto(label, label, target)))
            else:
                name = ""
                if reader.accept("["):
                    name = reader.next().text
                    reader.expect("]", "after the operand's name")
                constraint = reader.string_text()
                reader.expect("(", "before the operand")
                sections[section].append((name, constraint, expressions.expression(reader)))
                reader.expect(")", "after the operand")
            if not reader.accept(","):
                break
    reader.expect(")", "to close asm(")
    volatile |= goes or not sections[0]
    last = reader.end_of("asm")
    return ast.Asm(first, last, template, sections[0], sections[1], clobbers, volatile, strings, labels, basic)


_STATEMENTS: dict[str, Callable[[TokenReader], ast.Stmt]] = {
    "if": if_statement, "while": while_statement, "do": do_statement, "for": for_statement,
    "switch": switch_statement, "case": case_statement, "default": default_statement, "goto": goto_statement,
    "break": jump_statement, "continue": jump_statement, "return": return_statement, "else": stray_else,
}  # fmt: skip
