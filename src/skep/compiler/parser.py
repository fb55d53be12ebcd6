"""Tokens to syntax tree: C11 with the GNU extensions kernel code uses, and the dialect's map declarations.

Each method is named after the grammar rule that it reads. Typedef names are told from identifiers by scope, then
by `is_type(name)`, which asks the kernel's types.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NoReturn

from skep.compiler import ast
from skep.compiler.diagnostics import Diagnostics, closest
from skep.compiler.source import Token
from skep.compiler.types import ATOMIC, CONST, RESTRICT, VOLATILE

TYPE_WORDS = {
    "void", "char", "short", "int", "long", "float", "double", "signed", "unsigned", "_Bool", "_Complex",
    "__int128", "__signed__", "__signed", "__auto_type", "__builtin_va_list", "__uint128_t", "__int128_t", "_Float128",
    "__float128",
}  # fmt: skip
QUALIFIERS = {
    "const": CONST, "volatile": VOLATILE, "restrict": RESTRICT, "_Atomic": ATOMIC, "__const": CONST, "__const__": CONST,
    "__volatile__": VOLATILE, "__volatile": VOLATILE, "__restrict": RESTRICT, "__restrict__": RESTRICT,
}  # fmt: skip
STORAGE = {"typedef", "extern", "static", "auto", "register", "_Thread_local", "__thread"}
FLAGS = {
    "inline": "inline", "__inline": "inline", "__inline__": "inline", "_Noreturn": "noreturn", "__extension__": "",
    "__always_inline": "always_inline", "__noinline": "noinline", "noinline": "noinline",
}  # fmt: skip
TYPEOF = {"typeof", "__typeof__", "__typeof"}
ATTRIBUTE = {"__attribute__", "__attribute"}
ALIGNOF = {"_Alignof", "__alignof__", "__alignof", "alignof"}
ASM = {"asm", "__asm__", "__asm"}
STATEMENTS = {"if", "else", "while", "do", "for", "switch", "case", "default", "goto", "break", "continue", "return"}
KEYWORDS = (
    TYPE_WORDS | set(QUALIFIERS) | STORAGE | TYPEOF | ATTRIBUTE | ALIGNOF | ASM | STATEMENTS
    | {"struct", "union", "enum", "sizeof", "_Generic", "_Static_assert", "_Alignas", "inline", "__inline", "__inline__",
       "_Noreturn", "__extension__"}
)  # fmt: skip
STARTS_TYPE = TYPE_WORDS | set(QUALIFIERS) | STORAGE | TYPEOF | ATTRIBUTE | set(FLAGS) | {"struct", "union", "enum", "_Alignas"}

BINARY = {
    "*": 10, "/": 10, "%": 10, "+": 9, "-": 9, "<<": 8, ">>": 8, "<": 7, ">": 7, "<=": 7, ">=": 7, "==": 6, "!=": 6,
    "&": 5, "^": 4, "|": 3, "&&": 2, "||": 1,
}  # fmt: skip
ASSIGN = {"=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|="}
MAX_DEPTH = 256  # of nested parentheses, blocks, types (C11 5.2.4.1 asks for 63 and 127)
MAX_CHAIN = 1000  # operators in a row, else-ifs


class _Skip(Exception):
    """A syntax error was reported; unwinds to the nearest place that can go on."""


class Parser:
    """One translation unit; `map_macros` maps a dialect macro to its parameters, as (name, kind) with kind in
    "name", "type", "expr", "string", "flags"; a trailing "?" on the kind makes it optional."""

    def __init__(
        self,
        tokens: list[Token],
        diagnostics: Diagnostics,
        *,
        is_type: Callable[[str], bool],
        map_macros: dict[str, tuple[tuple[str, str], ...]],
    ) -> None:
        self.tokens = tokens
        self.diagnostics = diagnostics
        self.is_known_type = is_type
        self.map_macros = map_macros
        self.at = 0
        self.token = tokens[0]
        self.scopes: list[dict[str, bool]] = [{}]
        self.labels: list[dict[str, str]] = []  # per block, what __label__ declares
        self.depth = 0
        self.unroll = 0
        self.broken: set[str] = set()  # functions whose definition could not be read: calls of them are no further errors
        self._settle()

    # --- tokens

    def _settle(self) -> None:
        """Pass over pragma tokens, keeping what they say of the next loop."""
        while self.token.kind == "pragma":
            words = self.token.text.replace("(", " ").replace(")", " ").split()
            if words[:1] == ["clang"] and words[1:2] == ["loop"]:
                words = words[2:]
            if words[:1] in (["unroll"], ["GCC"]) and words[:2] != ["GCC", "diagnostic"]:
                argument = words[-1]
                self.unroll = int(argument, 0) if argument[:1].isdigit() else {"disable": 1, "nounroll": 1}.get(argument, -1)
            elif words[:1] == ["nounroll"]:
                self.unroll = 1
            self.at += 1
            self.token = self.tokens[self.at]

    def next(self) -> Token:
        token = self.token
        if token.kind != "eof":
            self.at += 1
            self.token = self.tokens[self.at]
            if self.token.kind == "pragma":
                self._settle()
        return token

    @property
    def previous(self) -> Token:
        at = self.at - 1
        while at > 0 and self.tokens[at].kind == "pragma":
            at -= 1
        return self.tokens[max(at, 0)]

    def peek(self, ahead: int = 1) -> Token:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def accept(self, text: str) -> Token | None:
        if self.token.text == text and self.token.kind in ("punct", "id"):
            return self.next()
        return None

    def expect(self, text: str, context: str) -> Token:
        token = self.accept(text)
        if token is None:
            self.fail(f"expected '{text}' {context}", self.token)
        return token

    def end_of(self, what: str) -> Token:
        """The ';' after `what`. A forgotten one is reported where it belongs, and reading goes on."""
        token = self.accept(";")
        if token is not None:
            return token
        previous = self.previous
        fresh_line = self.token.bol or self.token.text == "}" or self.token.kind == "eof"
        self.diagnostics.error(
            f"missing ';' after {what}" if fresh_line else f"expected ';' after {what}", previous, code="syntax"
        )
        if not fresh_line:
            raise _Skip
        return previous

    def fail(self, message: str, first: Token, last: Token | None = None) -> NoReturn:
        if first.kind == "eof":
            message += ", but the text ends here"
            first = self.previous if self.at else first
            last = None
        self.diagnostics.error(message, first, last, code="syntax")
        raise _Skip

    def skip_statement(self, start: int) -> None:
        """After an error: go behind the next ';' or to the '}' that closes the block."""
        if self.at == start and self.token.text not in ("}",):
            self.next()
        depth = 0
        while self.token.kind != "eof":
            text = self.token.text if self.token.kind == "punct" else ""
            if text == "{":
                depth += 1
            elif text == "}":
                if depth == 0:
                    return
                depth -= 1
                if depth == 0:
                    self.next()
                    return
            elif text == ";" and depth == 0:
                self.next()
                return
            self.next()

    # --- names

    def is_typedef(self, token: Token) -> bool:
        if token.kind != "id" or token.text in KEYWORDS:
            return False
        for scope in reversed(self.scopes):
            known = scope.get(token.text)
            if known is not None:
                return known
        return self.is_known_type(token.text)

    def starts_type(self, token: Token, following: Token) -> bool:
        if token.kind != "id":
            return False
        if token.text in STARTS_TYPE:
            return True
        if token.text in KEYWORDS or (following.kind != "id" and following.text not in ("*", ")", "(", "[", ",", ";", ":")):
            return False
        return self.is_typedef(token)

    def declare(self, declarator: ast.Declarator, is_type: bool) -> None:
        if declarator.name is not None:
            self.scopes[-1][declarator.name.text] = is_type

    # --- external declarations

    def translation_unit(self) -> list[ast.Node]:
        items: list[ast.Node] = []
        while self.token.kind != "eof":
            start = self.at
            try:
                item = self.external_declaration()
                if item is not None:
                    items.append(item)
            except _Skip:
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

    def static_assert(self) -> ast.StaticAssert:
        first = self.next()
        self.expect("(", "after _Static_assert")
        condition = self.conditional_expression()
        message = ""
        if self.accept(","):
            message = self.string_text()
        self.expect(")", "to close _Static_assert(")
        return ast.StaticAssert(first, self.end_of("_Static_assert(...)"), condition, message)

    # --- declarations

    def declaration(self) -> ast.Stmt:
        if self.token.text == "_Static_assert":
            return self.static_assert()
        first = self.token
        specifiers = self.declaration_specifiers(context="declaration")
        if self.accept(";"):
            return ast.Declaration(first, self.previous, specifiers, [])
        return self.rest_of_declaration(specifiers, self.declarator(abstract=False))

    def rest_of_declaration(self, specifiers: ast.Specifiers, declarator: ast.Declarator) -> ast.Declaration:
        declarators: list[ast.InitDeclarator] = []
        is_type = specifiers.storage == "typedef"
        while True:
            self.declare(declarator, is_type)
            if self.token.text in ASM:
                self.next()
                self.expect("(", "after 'asm'")
                self.string_text()
                self.expect(")", "to close asm(")
            declarator.attributes += self.attributes()
            init = self.initializer() if self.accept("=") else None
            if init is not None and isinstance(specifiers.type, ast.WordsSpec) and specifiers.type.words == ["__auto_type"]:
                # the value's type, arrays decayed: what a comma gives
                zero = ast.SizeOf(init.first, init.last, "sizeof", init)
                specifiers.type = ast.TypeofSpec(init.first, init.last, ast.Comma(init.first, init.last, zero, init))
            declarators.append(ast.InitDeclarator(declarator.first, self.previous, declarator, init))
            if not self.accept(","):
                break
            extra = self.attributes()
            declarator = self.declarator(abstract=False)
            declarator.attributes += extra
        what = f"the declaration of '{declarator.name.text}'" if declarator.name else "the declaration"
        last = self.end_of(what)
        return ast.Declaration(specifiers.first, last, specifiers, declarators)

    def declaration_specifiers(self, context: str, *, storage_allowed: bool = True) -> ast.Specifiers:
        self.deeper()
        specifiers = self._declaration_specifiers(context, storage_allowed)
        self.depth -= 1
        return specifiers

    def _declaration_specifiers(self, context: str, storage_allowed: bool) -> ast.Specifiers:
        first = self.token
        storage = ""
        flags: set[str] = set()
        spec: ast.TypeSpec | None = None
        words: list[Token] = []
        quals = 0
        attributes: list[ast.Attribute] = []
        align: list[ast.TypeName | ast.Expr] = []
        while True:
            token = self.token
            text = token.text
            if token.kind != "id":
                break
            if text in TYPE_WORDS:
                if spec is not None:
                    self.fail(f"'{text}' after '{self.previous.text}': two types in one declaration", token)
                words.append(self.next())
            elif text in QUALIFIERS:
                self.next()
                quals |= QUALIFIERS[text]
                if text == "_Atomic" and self.accept("("):
                    inner = self.type_name()
                    self.expect(")", "to close _Atomic(")
                    spec = ast.TypeofSpec(token, self.previous, inner)
            elif text in STORAGE:
                if not storage_allowed and text != "register":
                    self.fail(f"'{text}' is not allowed in a {context}", token)
                if storage and storage != text and "thread" not in text and "thread" not in storage:
                    self.fail(f"'{text}' together with '{storage}'", token)
                if "thread" not in text:  # there are no threads here: such a variable is an ordinary one
                    storage = text
                self.next()
            elif text in FLAGS and not (text in ("noinline",) and self.peek().text == "("):
                flags.add(FLAGS[text])
                self.next()
            elif text in ATTRIBUTE:
                attributes += self.attributes()
            elif text in ("struct", "union"):
                self._one_type(spec, words, token)
                spec = self.struct_or_union_specifier()
            elif text == "enum":
                self._one_type(spec, words, token)
                spec = self.enum_specifier()
            elif text in TYPEOF:
                self._one_type(spec, words, token)
                self.next()
                self.expect("(", f"after '{text}'")
                argument: ast.TypeName | ast.Expr
                argument = self.type_name() if self.starts_type(self.token, self.peek()) else self.expression()
                self.expect(")", f"to close {text}(")
                spec = ast.TypeofSpec(token, self.previous, argument)
            elif text == "_Alignas":
                self.next()
                self.expect("(", "after _Alignas")
                align.append(self.type_name() if self.starts_type(self.token, self.peek()) else self.conditional_expression())
                self.expect(")", "to close _Alignas(")
            elif spec is None and not words and self.is_typedef(token):
                spec = ast.TypedefSpec(self.next(), token, text)
            else:
                break
        if words:
            spec = ast.WordsSpec(words[0], words[-1], [w.text for w in words])
        if spec is None:
            token = self.token
            following = self.peek()
            if token.kind == "id" and token.text not in KEYWORDS and (following.kind == "id" or following.text == "*"):
                near = closest(token.text, self._type_names())
                self.fail(f"unknown type name '{token.text}'" + (f"; did you mean '{near}'?" if near else ""), token)
            if storage or flags or quals or (token.kind == "id" and token.text not in KEYWORDS and following.text == "("):
                if context == "parameter":
                    self.fail(f"parameter '{token.text}' has no type", token)
                spec = ast.WordsSpec(first, first, ["int"])
                self.diagnostics.warning(
                    f"'{token.text}' has no type; C89 would take int, write the type", token, code="implicit-int"
                )
            elif token.kind == "id" and token.text not in KEYWORDS and context == "parameter":
                self.fail(f"parameter '{token.text}' has no type", token)
            else:
                self.fail(f"expected a {context}" + (f", found '{token.text}'" if token.kind != "eof" else ""), token)
        return ast.Specifiers(first, self.previous, storage, flags, spec, quals, attributes, align)

    def _type_names(self) -> list[str]:
        from skep.compiler.types import BUILTIN_TYPEDEFS

        return (
            [n for scope in self.scopes for n, is_type in scope.items() if is_type] + list(BUILTIN_TYPEDEFS) + sorted(TYPE_WORDS)
        )

    def _one_type(self, spec: ast.TypeSpec | None, words: list[Token], token: Token) -> None:
        if spec is not None or words:
            self.fail(f"'{token.text}' follows a type already; is a ';' missing before it?", token)

    def attributes(self) -> list[ast.Attribute]:
        found: list[ast.Attribute] = []
        while self.token.text in ATTRIBUTE:
            self.next()
            self.expect("(", "after __attribute__")
            self.expect("(", "after __attribute__(")
            while self.token.text != ")":
                if self.accept(","):
                    continue
                first = self.next()
                if first.kind != "id":
                    self.fail("expected an attribute's name", first)
                args: list[object] = []
                if self.accept("("):
                    while self.token.text != ")":
                        if self.token.kind == "str":
                            args.append(self.string_text())
                        elif self.token.kind == "id" and self.peek().text in (",", ")"):
                            args.append(self.next().text)
                        else:
                            args.append(self.conditional_expression())
                        if not self.accept(","):
                            break
                    self.expect(")", f"to close {first.text}(")
                name = first.text
                if name.startswith("__") and name.endswith("__") and len(name) > 4:
                    name = name[2:-2]
                found.append(ast.Attribute(first, self.previous, name, args))
            self.expect(")", "to close __attribute__((")
            self.expect(")", "to close __attribute__((")
        return found

    def struct_or_union_specifier(self) -> ast.RecordSpec:
        first = self.next()
        attributes = self.attributes()
        tag = ""
        if self.token.kind == "id" and self.token.text not in KEYWORDS:
            tag = self.next().text
        members: list[ast.FieldDeclaration] | None = None
        if self.accept("{"):
            members = []
            depth = self.depth
            while not self.accept("}"):
                if self.token.kind == "eof":
                    self.fail(f"missing '}}' of {first.text} {tag}", first)
                if self.accept(";"):
                    continue
                start = self.at
                try:
                    members.append(self.struct_declaration())
                except _Skip:
                    self.depth = depth
                    self.skip_statement(start)
            attributes += self.attributes()
        elif not tag:
            self.fail(f"expected a name or '{{' after '{first.text}'", self.token)
        return ast.RecordSpec(first, self.previous, first.text, tag, members, attributes)

    def struct_declaration(self) -> ast.FieldDeclaration:
        first = self.token
        if first.text == "_Static_assert":
            check = self.static_assert()
            empty = ast.Specifiers(first, check.last, "", set(), ast.WordsSpec(first, first, ["int"]), 0, [], [])
            return ast.FieldDeclaration(first, check.last, empty, [], check)
        specifiers = self.declaration_specifiers(context="member declaration", storage_allowed=False)
        declarators: list[tuple[ast.Declarator, ast.Expr | None]] = []
        while self.token.text != ";":
            declarator = self.declarator(abstract=self.token.text == ":")
            width = self.conditional_expression() if self.accept(":") else None
            declarator.attributes += self.attributes()
            declarators.append((declarator, width))
            if not self.accept(","):
                break
        name = declarators[-1][0].name if declarators else None
        last = self.end_of(f"member '{name.text}'" if name else "the member")
        return ast.FieldDeclaration(first, last, specifiers, declarators, None)

    def enum_specifier(self) -> ast.EnumSpec:
        first = self.next()
        attributes = self.attributes()
        tag = ""
        if self.token.kind == "id" and self.token.text not in KEYWORDS:
            tag = self.next().text
        enumerators: list[tuple[Token, ast.Expr | None]] | None = None
        if self.accept("{"):
            enumerators = []
            while not self.accept("}"):
                name = self.next()
                if name.kind != "id" or name.text in KEYWORDS:
                    self.fail("expected an enumerator's name", name)
                self.attributes()
                value = self.conditional_expression() if self.accept("=") else None
                enumerators.append((name, value))
                self.scopes[-1][name.text] = False
                if not self.accept(",") and self.token.text != "}":
                    self.fail("expected ',' or '}' in the enum", self.token)
            attributes += self.attributes()
        elif not tag:
            self.fail("expected a name or '{' after 'enum'", self.token)
        return ast.EnumSpec(first, self.previous, tag, enumerators, attributes)

    def declarator(self, *, abstract: bool | None) -> ast.Declarator:
        """abstract: True forbids a name, False asks for one, None takes either (parameters)."""
        first = self.token
        parts: list[ast.PointerPart | ast.ArrayPart | ast.FunctionPart] = []
        attributes: list[ast.Attribute] = []
        while True:
            if self.token.text in ATTRIBUTE:
                attributes += self.attributes()
            elif self.token.text == "*" and self.token.kind == "punct":
                star = self.next()
                quals = 0
                pointer_attributes: list[ast.Attribute] = []
                while self.token.text in QUALIFIERS or self.token.text in ATTRIBUTE:
                    if self.token.text in ATTRIBUTE:
                        pointer_attributes += self.attributes()
                    else:
                        quals |= QUALIFIERS[self.next().text]
                parts.append(ast.PointerPart(star, self.previous, quals, pointer_attributes))
            else:
                break
        inner: ast.Declarator | None = None
        name: Token | None = None
        if self.token.text == "(" and self.token.kind == "punct" and self._is_nested_declarator(abstract):
            self.next()
            self.deeper()
            inner = self.declarator(abstract=abstract)
            self.depth -= 1
            self.expect(")", "to close the declarator")
        elif self.token.kind == "id" and self.token.text not in KEYWORDS and abstract is not True:
            name = self.next()
        elif abstract is False:
            self.fail("expected a name" + (f", found '{self.token.text}'" if self.token.kind != "eof" else ""), self.token)
        suffixes: list[ast.ArrayPart | ast.FunctionPart] = []
        while True:
            if self.token.text == "[" and self.token.kind == "punct":
                suffixes.append(self.array_part())
            elif self.token.text == "(" and self.token.kind == "punct":
                suffixes.append(self.function_part())
            else:
                break
        parts += reversed(suffixes)
        if inner is not None:
            parts += inner.parts
            name = inner.name
            attributes += inner.attributes
        attributes += self.attributes()
        if len(parts) > MAX_DEPTH:
            self.fail(f"a type of more than {MAX_DEPTH} parts", first, self.previous)
        return ast.Declarator(first, self.previous, name, parts, attributes)

    def _is_nested_declarator(self, abstract: bool | None) -> bool:
        following = self.peek()
        if following.text in ("*", "(", "[") or following.text in ATTRIBUTE:
            return following.text != "[" or abstract is not False
        if abstract is False:
            return True
        return following.kind == "id" and not self.starts_type(following, self.peek(2)) and abstract is None

    def array_part(self) -> ast.ArrayPart:
        first = self.next()
        while self.token.text in QUALIFIERS or self.token.text == "static":
            self.next()
        count = None
        if self.token.text == "*" and self.peek().text == "]":
            self.next()
        elif self.token.text != "]":
            count = self.assignment_expression()
        return ast.ArrayPart(first, self.expect("]", "to close the array's size"), count)

    def function_part(self) -> ast.FunctionPart:
        first = self.next()
        if self.accept(")"):
            return ast.FunctionPart(first, self.previous, [], False, [], False)
        if self.token.text == "void" and self.peek().text == ")":
            self.next()
            return ast.FunctionPart(first, self.next(), [], False, [], True)
        names: list[Token] = []
        if self.token.kind == "id" and self.peek().text in (",", ")") and not self.starts_type(self.token, self.peek()):
            while True:
                names.append(self.next())
                if not self.accept(","):
                    break
            return ast.FunctionPart(first, self.expect(")", "after the parameter names"), [], False, names, False)
        params: list[ast.Parameter] = []
        variadic = False
        self.deeper()
        self.scopes.append({})
        while True:
            if self.accept("..."):
                variadic = True
                break
            start = self.token
            specifiers = self.declaration_specifiers(context="parameter", storage_allowed=False)
            declarator = self.declarator(abstract=None)
            self.declare(declarator, False)
            params.append(ast.Parameter(start, self.previous, specifiers, declarator))
            if not self.accept(","):
                break
        self.scopes.pop()
        self.depth -= 1
        return ast.FunctionPart(first, self.expect(")", "after the parameters"), params, variadic, [], False)

    def type_name(self) -> ast.TypeName:
        first = self.token
        specifiers = self.declaration_specifiers(context="type name", storage_allowed=False)
        declarator = self.declarator(abstract=True)
        return ast.TypeName(first, self.previous, specifiers, declarator)

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

    # --- statements

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} deep", self.token)

    def not_too_long(self, count: int, what: str) -> None:
        """Trees of long chains are deep, and every pass goes down in them."""
        if count > MAX_CHAIN:
            self.fail(f"more than {MAX_CHAIN} {what} in a row", self.token)

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
            except _Skip:
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
        volatile = False
        while self.token.text in QUALIFIERS or self.token.text in ("goto", "inline"):
            if self.token.text == "goto":
                self.fail("asm goto is not supported", self.token)
            volatile |= QUALIFIERS.get(self.next().text) == VOLATILE
        self.expect("(", "after 'asm'")
        template = self.string_text()
        sections: list[list[tuple[str, str, ast.Expr]]] = [[], []]
        clobbers: list[str] = []
        for section in range(3):
            if not self.accept(":"):
                break
            while self.token.text not in (":", ")"):
                if section == 2:
                    clobbers.append(self.string_text())
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
        return ast.Asm(first, self.end_of("asm"), template, sections[0], sections[1], clobbers, volatile or not sections[0])

    # --- expressions

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

    def string_tokens(self) -> list[Token]:
        tokens: list[Token] = []
        while self.token.kind == "str":
            tokens.append(self.next())
        if not tokens:
            self.fail("expected a string", self.token)
        return tokens

    def string_text(self) -> str:
        from skep.compiler.source import decode_string

        parts = []
        for token in self.string_tokens():
            _, value = decode_string(token)
            parts.append(value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else "".join(map(chr, value)))
        return "".join(parts)

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
