"""Tokens to syntax tree: declarations, types, attributes."""

from __future__ import annotations

from skep.compiler import ast
from skep.compiler.diagnostics import closest
from skep.compiler.parser_expressions import ExpressionParser
from skep.compiler.parser_tokens import ASM, ATTRIBUTE, FLAGS, KEYWORDS, MAX_DEPTH, QUALIFIERS, STORAGE, TYPE_WORDS, TYPEOF, Skip
from skep.compiler.source import Token


class DeclarationParser(ExpressionParser):
    """`declaration` and `type_name` are the entries."""

    def static_assert(self) -> ast.StaticAssert:
        first = self.next()
        self.expect("(", "after _Static_assert")
        condition = self.conditional_expression()
        message = ""
        if self.accept(","):
            message = self.string_text()
        self.expect(")", "to close _Static_assert(")
        return ast.StaticAssert(first, self.end_of("_Static_assert(...)"), condition, message)

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
            if specifiers.flags & {"inline", "noreturn"} and not self._may_be_function(specifiers, declarator):
                self.diagnostics.error("'inline' and '_Noreturn' are for functions", specifiers.first, code="syntax")
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

    @staticmethod
    def _may_be_function(specifiers: ast.Specifiers, declarator: ast.Declarator) -> bool:
        if declarator.parts:
            return isinstance(declarator.parts[-1], ast.FunctionPart)
        return isinstance(specifiers.type, ast.TypedefSpec | ast.TypeofSpec)

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
            if (
                storage
                or flags
                or quals
                or align
                or (token.kind == "id" and token.text not in KEYWORDS and following.text == "(")
            ):
                if context == "parameter":
                    self.fail(f"parameter '{token.text}' has no type", token)
                spec = ast.WordsSpec(first, first, ["int"])
                self.diagnostics.strict("implicit-int", f"'{token.text}' has no type; C89 would take int, write the type", token)
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
        attributes = [ast.Attribute(first, first, "preserve_access_index", [])] if any(self.pushed) else []
        attributes += self.attributes()
        tag = ""
        if self.token.kind == "id" and self.token.text not in KEYWORDS:
            tag = self.next().text
        members: list[ast.FieldDeclaration] | None = None
        pack = self.pack
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
                except Skip:
                    self.depth = depth
                    self.skip_statement(start)
            attributes += self.attributes()
        elif not tag:
            self.fail(f"expected a name or '{{' after '{first.text}'", self.token)
        return ast.RecordSpec(first, self.previous, first.text, tag, members, attributes, pack)

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
        if self.token.text == "...":
            self.fail("a parameter with a name is needed before '...'", self.token)
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
