"""Tokens to syntax tree: declarations, declarators, type names."""

from __future__ import annotations

from skep.compiler import ast
from skep.compiler import parser_expressions as expressions
from skep.compiler import parser_specifiers as specifiers
from skep.compiler.parser_tokens import ASM, ATTRIBUTE, KEYWORDS, MAX_DEPTH, QUALIFIERS, TokenReader
from skep.compiler.source import Token


def static_assert(reader: TokenReader) -> ast.StaticAssert:
    """'_Static_assert' '(' conditional_expression (',' string)? ')' ';'"""
    first = reader.next()
    reader.expect("(", "after _Static_assert")
    condition = expressions.conditional_expression(reader)
    message = ""
    if reader.accept(","):
        message = reader.string_text()
    reader.expect(")", "to close _Static_assert(")
    return ast.StaticAssert(first, reader.end_of("_Static_assert(...)"), condition, message)


def declaration(reader: TokenReader) -> ast.Stmt:
    """static_assert | declaration_specifiers (init_declarator (',' init_declarator)*)? ';'"""
    if reader.token.text == "_Static_assert":
        return static_assert(reader)
    first = reader.token
    specified = specifiers.declaration_specifiers(reader, context="declaration")
    if reader.accept(";"):
        return ast.Declaration(first, reader.previous, specified, [])
    return rest_of_declaration(reader, specified, declarator(reader, abstract=False))


def rest_of_declaration(reader: TokenReader, specified: ast.Specifiers, declared: ast.Declarator) -> ast.Declaration:
    """what follows the first declared: asm_label? attributes ('=' initializer)? (',' init_declarator)* ';'"""
    declarators: list[ast.InitDeclarator] = []
    is_type = specified.storage == "typedef"
    while True:
        reader.declare(declared, is_type)
        if specified.flags & {"inline", "noreturn"} and not _may_be_function(specified, declared):
            reader.diagnostics.error("'inline' and '_Noreturn' are for functions", specified.first, code="syntax")
        if reader.token.text in ASM:
            reader.next()
            reader.expect("(", "after 'asm'")
            reader.string_text()
            reader.expect(")", "to close asm(")
        declared.attributes += specifiers.attributes(reader)
        init = expressions.initializer(reader) if reader.accept("=") else None
        if init is not None and isinstance(specified.type, ast.WordsSpec) and specified.type.words == ["__auto_type"]:
            # the value's type, arrays decayed: what a comma gives
            zero = ast.SizeOf(init.first, init.last, "sizeof", init)
            specified.type = ast.TypeofSpec(init.first, init.last, ast.Comma(init.first, init.last, zero, init))
        declarators.append(ast.InitDeclarator(declared.first, reader.previous, declared, init))
        if not reader.accept(","):
            break
        extra = specifiers.attributes(reader)
        declared = declarator(reader, abstract=False)
        declared.attributes += extra
    what = f"the declaration of '{declared.name.text}'" if declared.name else "the declaration"
    last = reader.end_of(what)
    return ast.Declaration(specified.first, last, specified, declarators)


def _may_be_function(specified: ast.Specifiers, declared: ast.Declarator) -> bool:
    if declared.parts:
        return isinstance(declared.parts[-1], ast.FunctionPart)
    return isinstance(specified.type, ast.TypedefSpec | ast.TypeofSpec)


def declarator(reader: TokenReader, *, abstract: bool | None) -> ast.Declarator:
    """pointer* (name | '(' declarator ')')? (array_part | function_part)* attributes

    abstract: True forbids a name, False asks for one, None takes either (parameters).
    """
    first = reader.token
    attributes: list[ast.Attribute] = []
    parts = pointers(reader, attributes)
    inner: ast.Declarator | None = None
    name: Token | None = None
    if reader.token.text == "(" and reader.token.kind == "punct" and _is_nested_declarator(reader, abstract):
        reader.next()
        reader.deeper()
        inner = declarator(reader, abstract=abstract)
        reader.depth -= 1
        reader.expect(")", "to close the declarator")
    elif reader.token.kind == "id" and reader.token.text not in KEYWORDS and abstract is not True:
        name = reader.next()
    elif abstract is False:
        reader.fail("expected a name" + (f", found '{reader.token.text}'" if reader.token.kind != "eof" else ""), reader.token)
    suffixes: list[ast.ArrayPart | ast.FunctionPart] = []
    while reader.token.kind == "punct" and reader.token.text in ("[", "("):
        suffixes.append(array_part(reader) if reader.token.text == "[" else function_part(reader))
    parts += reversed(suffixes)
    if inner is not None:
        parts += inner.parts
        name = inner.name
        attributes += inner.attributes
    attributes += specifiers.attributes(reader)
    if len(parts) > MAX_DEPTH:
        reader.fail(f"a type of more than {MAX_DEPTH} parts", first, reader.previous)
    return ast.Declarator(first, reader.previous, name, parts, attributes)


def pointers(reader: TokenReader, attributes: list[ast.Attribute]) -> list[ast.PointerPart | ast.ArrayPart | ast.FunctionPart]:
    """(attributes | '*' (qualifier | attributes)*)*, where those before a star join the declarator's"""
    parts: list[ast.PointerPart | ast.ArrayPart | ast.FunctionPart] = []
    while True:
        if reader.token.text in ATTRIBUTE:
            attributes += specifiers.attributes(reader)
        elif reader.token.text == "*" and reader.token.kind == "punct":
            star = reader.next()
            quals = 0
            pointer_attributes: list[ast.Attribute] = []
            while reader.token.text in QUALIFIERS or reader.token.text in ATTRIBUTE:
                if reader.token.text in ATTRIBUTE:
                    pointer_attributes += specifiers.attributes(reader)
                else:
                    quals |= QUALIFIERS[reader.next().text]
            parts.append(ast.PointerPart(star, reader.previous, quals, pointer_attributes))
        else:
            return parts


def _is_nested_declarator(reader: TokenReader, abstract: bool | None) -> bool:
    following = reader.peek()
    if following.text in ("*", "(", "[") or following.text in ATTRIBUTE:
        return following.text != "[" or abstract is not False
    if abstract is False:
        return True
    return following.kind == "id" and not reader.starts_type(following, reader.peek(2)) and abstract is None


def array_part(reader: TokenReader) -> ast.ArrayPart:
    """'[' ('static' | qualifier)* ('*' | assignment_expression)? ']'"""
    first = reader.next()
    while reader.token.text in QUALIFIERS or reader.token.text == "static":
        reader.next()
    count = None
    if reader.token.text == "*" and reader.peek().text == "]":
        reader.next()
    elif reader.token.text != "]":
        count = expressions.assignment_expression(reader)
    return ast.ArrayPart(first, reader.expect("]", "to close the array's size"), count)


def function_part(reader: TokenReader) -> ast.FunctionPart:
    """'(' ('void' | name (',' name)* | parameter (',' parameter)* (',' '...')?)? ')'"""
    first = reader.next()
    if reader.accept(")"):
        return ast.FunctionPart(first, reader.previous, [], False, [], False)
    if reader.token.text == "...":
        reader.fail("a parameter with a name is needed before '...'", reader.token)
    if reader.token.text == "void" and reader.peek().text == ")":
        reader.next()
        return ast.FunctionPart(first, reader.next(), [], False, [], True)
    names: list[Token] = []
    if reader.token.kind == "id" and reader.peek().text in (",", ")") and not reader.starts_type(reader.token, reader.peek()):
        while True:
            names.append(reader.next())
            if not reader.accept(","):
                break
        return ast.FunctionPart(first, reader.expect(")", "after the parameter names"), [], False, names, False)
    params: list[ast.Parameter] = []
    variadic = False
    reader.deeper()
    reader.scopes.append({})
    while True:
        if reader.accept("..."):
            variadic = True
            break
        start = reader.token
        specified = specifiers.declaration_specifiers(reader, context="parameter", storage_allowed=False)
        declared = declarator(reader, abstract=None)
        reader.declare(declared, False)
        params.append(ast.Parameter(start, reader.previous, specified, declared))
        if not reader.accept(","):
            break
    reader.scopes.pop()
    reader.depth -= 1
    return ast.FunctionPart(first, reader.expect(")", "after the parameters"), params, variadic, [], False)


def type_name(reader: TokenReader) -> ast.TypeName:
    """declaration_specifiers abstract_declarator"""
    first = reader.token
    specified = specifiers.declaration_specifiers(reader, context="type name", storage_allowed=False)
    declared = declarator(reader, abstract=True)
    return ast.TypeName(first, reader.previous, specified, declared)
