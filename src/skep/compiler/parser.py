"""Tokens to syntax tree: C11 with the GNU extensions kernel code uses, and the dialect's map declarations.

Each function of the parser's files is named after the grammar rule that it reads and starts with that rule. The grammar goes
round (a cast holds a type, an expression in parentheses a block), so the files import each other. Entry: `translation_unit`.
"""

from __future__ import annotations

import itertools

from skep.compiler import ast
from skep.compiler import parser_declarations as declarations
from skep.compiler import parser_expressions as expressions
from skep.compiler import parser_specifiers as specifiers
from skep.compiler import parser_statements as statements
from skep.compiler.parser_tokens import ASM, QUALIFIERS, Skip, TokenReader
from skep.compiler.source import Token


def translation_unit(reader: TokenReader) -> list[ast.Node]:
    """external_declaration*"""
    items: list[ast.Node] = []
    while reader.token.kind != "eof":
        start = reader.at
        try:
            item = external_declaration(reader)
            if item is not None:
                items.append(item)
        except Skip:
            reader.scopes = reader.scopes[:1]
            reader.depth = 0
            here = reader.tokens[start : reader.at]
            reader.broken |= {a.text for a, b in itertools.pairwise(here) if a.kind == "id" and b.text == "("}
            reader.skip_statement(start)
            while reader.token.text == "}" and reader.token.kind == "punct":
                reader.next()
    return items


def external_declaration(reader: TokenReader) -> ast.Node | None:
    """';' | asm | static_assert | map_declaration | function_definition | declaration"""
    token = reader.token
    if reader.accept(";"):
        return None
    if token.text in ASM:
        reader.next()
        while reader.token.text in QUALIFIERS:
            reader.next()
        reader.expect("(", "after 'asm'")
        text = reader.string_text()
        reader.expect(")", "after the asm text")
        return ast.FileAsm(token, reader.end_of("asm"), text)
    if token.text == "_Static_assert":
        return declarations.static_assert(reader)
    if token.text in reader.map_macros and reader.peek().text == "(":
        return map_declaration(reader)
    specified = specifiers.declaration_specifiers(reader, context="declaration")
    if reader.accept(";"):
        return ast.Declaration(token, reader.previous, specified, [])
    if specified.storage in ("auto", "register"):
        reader.fail(f"'{specified.storage}' outside a function", token)
    declared = declarations.declarator(reader, abstract=False)
    if is_function(declared) and (
        reader.token.text == "{" or (reader.token.text != ";" and declares_old_style(reader, declared))
    ):
        return function_definition(reader, specified, declared)
    return declarations.rest_of_declaration(reader, specified, declared)


def is_function(declared: ast.Declarator) -> bool:
    return bool(declared.parts) and isinstance(declared.parts[-1], ast.FunctionPart)


def declares_old_style(reader: TokenReader, declared: ast.Declarator) -> bool:
    part = declared.parts[-1]
    return isinstance(part, ast.FunctionPart) and bool(part.names) and reader.starts_type(reader.token, reader.peek())


def map_declaration(reader: TokenReader) -> ast.MapDeclaration:
    """MACRO '(' argument (',' argument)* ')' ';', the arguments as the macro's row in the dialect's table says"""
    macro = reader.next()
    reader.expect("(", f"after '{macro.text}'")
    values: dict[str, object] = {}
    parameters = reader.map_macros[macro.text]
    for i, (name, kind) in enumerate(parameters):
        if reader.token.text == ")":
            if not kind.endswith("?"):
                usage = ", ".join(f"[{n}]" if k.endswith("?") else n for n, k in parameters)
                reader.fail(f"{macro.text} needs '{name}': {macro.text}({usage})", macro, reader.token)
            break
        if kind == "type?" and reader.peek().kind == "str":
            continue  # left out before an argument that is no type
        if i:
            reader.expect(",", f"between the arguments of {macro.text}")
        kind = kind.rstrip("?")
        if kind == "name":
            if reader.token.kind != "id":
                reader.fail(f"expected a name for the map in {macro.text}", reader.token)
            values[name] = reader.next()
        elif kind == "type":
            values[name] = declarations.type_name(reader)
        elif kind == "string":
            first = reader.token
            tokens = reader.string_tokens()
            values[name] = ast.String(first, reader.previous, tokens)
        else:
            values[name] = expressions.assignment_expression(reader)
    if reader.token.text == ",":
        usage = ", ".join(f"[{n}]" if k.endswith("?") else n for n, k in parameters)
        reader.fail(f"too many arguments: {macro.text}({usage})", macro, reader.token)
    reader.expect(")", f"to close {macro.text}(")
    name_token = values["name"]
    assert isinstance(name_token, Token)
    reader.scopes[-1][name_token.text] = False
    last = reader.end_of(f"{macro.text}(...)")
    return ast.MapDeclaration(macro, last, macro.text, values)


def function_definition(reader: TokenReader, specified: ast.Specifiers, declared: ast.Declarator) -> ast.FunctionDefinition:
    """what follows the declarator: declaration* compound_statement"""
    reader.declare(declared, False)
    part = declared.parts[-1]
    assert isinstance(part, ast.FunctionPart)
    reader.scopes.append({})
    for parameter in part.params:
        reader.declare(parameter.declarator, False)
    old_style: list[ast.Declaration] = []
    while reader.token.text != "{":
        declaration = declarations.declaration(reader)
        if not isinstance(declaration, ast.Declaration):
            reader.fail("expected a parameter declaration or '{'", reader.token)
        old_style.append(declaration)
    body = statements.compound_statement(reader, scope=False)
    reader.scopes.pop()
    return ast.FunctionDefinition(specified.first, body.last, specified, declared, old_style, body)
