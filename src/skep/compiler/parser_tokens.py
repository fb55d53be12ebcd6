"""What all rules of the parser stand on: the words of the language, the cursor, errors, limits, which names are types."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from skep.compiler import ast
from skep.compiler.diagnostics import Diagnostics
from skep.compiler.source import Token, decode_string
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

MAX_DEPTH = 256  # of nested parentheses, blocks, types (C11 5.2.4.1 asks for 63 and 127)
MAX_CHAIN = 1000  # operators in a row, else-ifs


class Skip(Exception):
    """A syntax error was reported; unwinds to the nearest place that can go on."""


class TokenReader:
    """The cursor over one translation unit's tokens.

    `map_macros` maps a dialect macro to its parameters, as (name, kind) with kind in "name", "type", "expr", "string", "flags";
    a trailing "?" on the kind makes it optional.
    """

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
        self.pack = 0  # the alignment that #pragma pack leaves to members, 0: their own
        self._packs: list[tuple[str, int]] = []
        self.pushed: list[bool] = []  # by each `#pragma clang attribute push`: does it keep records' accesses relocatable?
        self.broken: set[str] = set()  # functions whose definition could not be read: calls of them are no further errors
        self._settle()

    # --- tokens

    def _settle(self) -> None:
        """Pass over pragma tokens, keeping what they say of the next loop."""
        while self.token.kind == "pragma":
            words = self.token.text.replace("(", " ").replace(")", " ").split()
            if words[:2] == ["clang", "attribute"]:
                self._pushed_attribute(words[2:])
            if words[:1] == ["clang"] and words[1:2] == ["loop"]:
                words = words[2:]
            if words[:1] in (["unroll"], ["GCC"]) and words[:2] != ["GCC", "diagnostic"]:
                argument = words[-1]
                self.unroll = int(argument) if argument.isdecimal() else {"disable": 1, "full": -2}.get(argument, -1)
            elif words[:1] == ["nounroll"]:
                self.unroll = 1
            elif words[:1] == ["pack"]:
                self._pragma_pack([word for word in " ".join(words[1:]).replace(",", " ").split() if word])
            self.at += 1
            self.token = self.tokens[self.at]

    def _pushed_attribute(self, words: list[str]) -> None:
        """`#pragma clang attribute push(__attribute__((X)), apply_to = record)`, and pop: what struct definitions ask for."""
        if words[:1] == ["pop"]:
            del self.pushed[-1:]
        elif words[:1] == ["push"]:
            self.pushed.append("preserve_access_index" in words and "record" in " ".join(words).partition("apply_to")[2])

    def _pragma_pack(self, words: list[str]) -> None:
        """`pack(n)`, `pack()`, `pack(push[, name][, n])`, `pack(pop[, name])`."""
        action = words.pop(0) if words[:1] in (["push"], ["pop"]) else ""
        name = words.pop(0) if action and words and not words[0].isdecimal() else ""
        if words[1:] or (words or ["1"])[0] not in ("0", "1", "2", "4", "8", "16"):
            self.diagnostics.warning("#pragma pack takes 1, 2, 4, 8 or 16, push or pop", self.token, code="pragma")
            return
        if action == "push":
            self._packs.append((name, self.pack))
        elif action == "pop":
            at = next((i for i in range(len(self._packs) - 1, -1, -1) if name in ("", self._packs[i][0])), -1)
            if at < 0:
                self.diagnostics.warning("#pragma pack(pop) without a push before it", self.token, code="pragma")
            else:
                self.pack = self._packs[at][1]
                del self._packs[at:]
        if words or not action:
            self.pack = int(words[0]) if words else 0

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
            raise Skip
        return previous

    def fail(self, message: str, first: Token, last: Token | None = None) -> NoReturn:
        if first.kind == "eof":
            message += ", but the text ends here"
            first = self.previous if self.at else first
            last = None
        self.diagnostics.error(message, first, last, code="syntax")
        raise Skip

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

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} deep", self.token)

    def not_too_long(self, count: int, what: str) -> None:
        """Trees of long chains are deep, and every pass goes down in them."""
        if count > MAX_CHAIN:
            self.fail(f"more than {MAX_CHAIN} {what} in a row", self.token)

    def string_tokens(self) -> list[Token]:
        tokens: list[Token] = []
        while self.token.kind == "str":
            tokens.append(self.next())
        if not tokens:
            self.fail("expected a string", self.token)
        return tokens

    def string_text(self) -> str:
        parts = []
        for token in self.string_tokens():
            try:
                _, value = decode_string(token)
                parts.append(value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else "".join(map(chr, value)))
            except (ValueError, OverflowError) as error:
                self.fail(str(error), token)
        return "".join(parts)
