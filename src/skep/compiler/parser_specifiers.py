"""Tokens to syntax tree: declaration specifiers (storage, types, qualifiers), struct, union and enum, attributes."""

from __future__ import annotations

from collections.abc import Callable

from skep.compiler import ast
from skep.compiler import parser_declarations as declarations
from skep.compiler import parser_expressions as expressions
from skep.compiler.diagnostics import closest
from skep.compiler.parser_tokens import (
    ATTRIBUTE,
    FLAGS,
    KEYWORDS,
    QUALIFIERS,
    STORAGE,
    TYPE_WORDS,
    TYPEOF,
    Skip,
    TokenReader,
)  # fmt: skip
from skep.compiler.source import Token
from skep.compiler.types import BUILTIN_TYPEDEFS


class _Found:
    """The specifiers of one declaration as far as they are read; `context` is what they are of, for messages."""

    __slots__ = ("align", "attributes", "context", "flags", "quals", "storage", "storage_allowed", "type", "words")

    def __init__(self, context: str, storage_allowed: bool) -> None:
        self.context = context
        self.storage_allowed = storage_allowed
        self.storage = ""
        self.flags: set[str] = set()
        self.type: ast.TypeSpec | None = None
        self.words: list[Token] = []
        self.quals = 0
        self.attributes: list[ast.Attribute] = []
        self.align: list[ast.TypeName | ast.Expr] = []


def declaration_specifiers(reader: TokenReader, context: str, *, storage_allowed: bool = True) -> ast.Specifiers:
    """(type_word | qualifier | storage | flag | attributes | struct | union | enum | typeof | alignas | typedef_name)+"""
    reader.deeper()
    first = reader.token
    found = _Found(context, storage_allowed)
    while reader.token.kind == "id":
        token = reader.token
        rule = _SPECIFIERS.get(token.text)
        if rule is not None and (token.text != "noinline" or reader.peek().text != "("):
            rule(reader, found)
        elif found.type is None and not found.words and reader.is_typedef(token):
            found.type = ast.TypedefSpec(reader.next(), token, token.text)
        else:
            break
    if found.words:
        found.type = ast.WordsSpec(found.words[0], found.words[-1], [word.text for word in found.words])
    spec = found.type or _implicit_int(reader, found, first)
    reader.depth -= 1
    return ast.Specifiers(first, reader.previous, found.storage, found.flags, spec, found.quals, found.attributes, found.align)


def _type_word(reader: TokenReader, found: _Found) -> None:
    """'int' | 'unsigned' | ..."""
    if found.type is not None and reader.previous.text == "}" and reader.token.bol:
        kind = found.type.kind if isinstance(found.type, ast.RecordSpec) else "enum"
        reader.fail(f"missing ';' after this {kind}", reader.previous)
    if found.type is not None:
        reader.fail(f"'{reader.token.text}' after '{reader.previous.text}': two types in one declaration", reader.token)
    found.words.append(reader.next())


def _qualifier(reader: TokenReader, found: _Found) -> None:
    """'const' | 'volatile' | 'restrict' | '_Atomic' ('(' type_name ')')?"""
    token = reader.next()
    found.quals |= QUALIFIERS[token.text]
    if token.text == "_Atomic" and reader.accept("("):
        inner = declarations.type_name(reader)
        reader.expect(")", "to close _Atomic(")
        found.type = ast.TypeofSpec(token, reader.previous, inner)


def _storage(reader: TokenReader, found: _Found) -> None:
    """'static' | 'extern' | 'typedef' | ..."""
    token = reader.token
    text = token.text
    thread = text in ("__thread", "_Thread_local")
    if not found.storage_allowed and text != "register":
        reader.fail(f"'{text}' is not allowed in a {found.context}", token)
    if found.storage and found.storage != text and not thread:
        reader.fail(f"'{text}' together with '{found.storage}'", token)
    if thread:  # stands beside static or extern
        found.flags.add("thread")
    else:
        found.storage = text
    reader.next()


def _flag(reader: TokenReader, found: _Found) -> None:
    """'inline' | '_Noreturn' | '__extension__' | ..."""
    found.flags.add(FLAGS[reader.next().text])


def _attributes(reader: TokenReader, found: _Found) -> None:
    found.attributes += attributes(reader)


def _tagged(reader: TokenReader, found: _Found) -> None:
    """struct_or_union_specifier | enum_specifier"""
    _only_type(reader, found)
    found.type = enum_specifier(reader) if reader.token.text == "enum" else struct_or_union_specifier(reader)


def _typeof(reader: TokenReader, found: _Found) -> None:
    """'typeof' '(' (type_name | expression) ')'"""
    _only_type(reader, found)
    token = reader.next()
    reader.expect("(", f"after '{token.text}'")
    argument: ast.TypeName | ast.Expr
    if reader.starts_type(reader.token, reader.peek()):
        argument = declarations.type_name(reader)
    else:
        argument = expressions.expression(reader)
    reader.expect(")", f"to close {token.text}(")
    found.type = ast.TypeofSpec(token, reader.previous, argument)


def _alignas(reader: TokenReader, found: _Found) -> None:
    """'_Alignas' '(' (type_name | conditional_expression) ')'"""
    reader.next()
    reader.expect("(", "after _Alignas")
    if reader.starts_type(reader.token, reader.peek()):
        found.align.append(declarations.type_name(reader))
    else:
        found.align.append(expressions.conditional_expression(reader))
    reader.expect(")", "to close _Alignas(")


_SPECIFIERS: dict[str, Callable[[TokenReader, _Found], None]] = {
    **dict.fromkeys(TYPE_WORDS, _type_word),
    **dict.fromkeys(QUALIFIERS, _qualifier),
    **dict.fromkeys(STORAGE, _storage),
    **dict.fromkeys(FLAGS, _flag),
    **dict.fromkeys(ATTRIBUTE, _attributes),
    **dict.fromkeys(("struct", "union", "enum"), _tagged),
    **dict.fromkeys(TYPEOF, _typeof),
    "_Alignas": _alignas,
}


def _only_type(reader: TokenReader, found: _Found) -> None:
    if found.type is not None or found.words:
        reader.fail(f"'{reader.token.text}' follows a type already; is a ';' missing before it?", reader.token)


def _implicit_int(reader: TokenReader, found: _Found, first: Token) -> ast.TypeSpec:
    """A declaration without a type: C89's int where something else shows that it is a declaration."""
    token = reader.token
    following = reader.peek()
    named = token.kind == "id" and token.text not in KEYWORDS
    if named and (following.kind == "id" or following.text == "*"):
        near = closest(token.text, _type_names(reader))
        reader.fail(f"unknown type name '{token.text}'" + (f"; did you mean '{near}'?" if near else ""), token)
    specified = bool(found.storage or found.flags or found.quals or found.align)
    if found.context == "parameter" and (named or specified):
        reader.fail(f"parameter '{token.text}' has no type", token)
    if not specified and not (named and following.text == "("):
        reader.fail(f"expected a {found.context}" + (f", found '{token.text}'" if token.kind != "eof" else ""), token)
    reader.diagnostics.strict("implicit-int", f"'{token.text}' has no type; C89 would take int, write the type", token)
    return ast.WordsSpec(first, first, ["int"])


def _type_names(reader: TokenReader) -> list[str]:
    declared = [name for scope in reader.scopes for name, is_type in scope.items() if is_type]
    return declared + list(BUILTIN_TYPEDEFS) + sorted(TYPE_WORDS)


def attributes(reader: TokenReader) -> list[ast.Attribute]:
    """('__attribute__' '((' (name ('(' arguments ')')?)? (',' ...)* '))')*"""
    found: list[ast.Attribute] = []
    while reader.token.text in ATTRIBUTE:
        reader.next()
        reader.expect("(", "after __attribute__")
        reader.expect("(", "after __attribute__(")
        while reader.token.text != ")":
            if reader.accept(","):
                continue
            first = reader.next()
            if first.kind != "id":
                reader.fail("expected an attribute's name", first)
            args: list[object] = []
            if reader.accept("("):
                while reader.token.text != ")":
                    if reader.token.kind == "str":
                        args.append(reader.string_text())
                    elif reader.token.kind == "id" and reader.peek().text in (",", ")"):
                        args.append(reader.next().text)
                    else:
                        args.append(expressions.conditional_expression(reader))
                    if not reader.accept(","):
                        break
                reader.expect(")", f"to close {first.text}(")
            name = first.text
            if name.startswith("__") and name.endswith("__") and len(name) > 4:
                name = name[2:-2]
            found.append(ast.Attribute(first, reader.previous, name, args))
        reader.expect(")", "to close __attribute__((")
        reader.expect(")", "to close __attribute__((")
    return found


def struct_or_union_specifier(reader: TokenReader) -> ast.RecordSpec:
    """('struct' | 'union') attributes name? ('{' struct_declaration* '}' attributes)?"""
    first = reader.next()
    found = [ast.Attribute(first, first, "preserve_access_index", [])] if any(reader.pushed) else []
    found += attributes(reader)
    tag = ""
    if reader.token.kind == "id" and reader.token.text not in KEYWORDS:
        tag = reader.next().text
    members: list[ast.FieldDeclaration] | None = None
    pack = reader.pack
    if reader.accept("{"):
        members = []
        depth = reader.depth
        while not reader.accept("}"):
            if reader.token.kind == "eof":
                reader.fail(f"missing '}}' of {first.text} {tag}", first)
            if reader.accept(";"):
                continue
            start = reader.at
            try:
                members.append(struct_declaration(reader))
            except Skip:
                reader.depth = depth
                reader.skip_statement(start)
        found += attributes(reader)
    elif not tag:
        reader.fail(f"expected a name or '{{' after '{first.text}'", reader.token)
    return ast.RecordSpec(first, reader.previous, first.text, tag, members, found, pack)


def struct_declaration(reader: TokenReader) -> ast.FieldDeclaration:
    """static_assert | specifiers (declarator? (':' conditional_expression)? attributes (',' ...)*)? ';'"""
    first = reader.token
    if first.text == "_Static_assert":
        check = declarations.static_assert(reader)
        empty = ast.Specifiers(first, check.last, "", set(), ast.WordsSpec(first, first, ["int"]), 0, [], [])
        return ast.FieldDeclaration(first, check.last, empty, [], check)
    specified = declaration_specifiers(reader, context="member declaration", storage_allowed=False)
    declarators: list[tuple[ast.Declarator, ast.Expr | None]] = []
    while reader.token.text != ";":
        declared = declarations.declarator(reader, abstract=reader.token.text == ":")
        width = expressions.conditional_expression(reader) if reader.accept(":") else None
        declared.attributes += attributes(reader)
        declarators.append((declared, width))
        if not reader.accept(","):
            break
    name = declarators[-1][0].name if declarators else None
    last = reader.end_of(f"member '{name.text}'" if name else "the member")
    return ast.FieldDeclaration(first, last, specified, declarators, None)


def enum_specifier(reader: TokenReader) -> ast.EnumSpec:
    """'enum' attributes name? ('{' name attributes ('=' conditional_expression)? (',' ...)* ','? '}' attributes)?"""
    first = reader.next()
    found = attributes(reader)
    tag = ""
    if reader.token.kind == "id" and reader.token.text not in KEYWORDS:
        tag = reader.next().text
    enumerators: list[tuple[Token, ast.Expr | None]] | None = None
    if reader.accept("{"):
        enumerators = []
        while not reader.accept("}"):
            name = reader.next()
            if name.kind != "id" or name.text in KEYWORDS:
                reader.fail("expected an enumerator's name", name)
            attributes(reader)
            value = expressions.conditional_expression(reader) if reader.accept("=") else None
            enumerators.append((name, value))
            reader.scopes[-1][name.text] = False
            if not reader.accept(",") and reader.token.text != "}":
                reader.fail("expected ',' or '}' in the enum", reader.token)
        found += attributes(reader)
    elif not tag:
        reader.fail("expected a name or '{' after 'enum'", reader.token)
    return ast.EnumSpec(first, reader.previous, tag, enumerators, found)
