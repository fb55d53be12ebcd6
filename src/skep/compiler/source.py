"""Source text, tokens and where they stand: the vocabulary that all passes of the compiler share.

Also decodes string and character literals. Positions are offsets into the original text, before line splicing.
"""

from __future__ import annotations

import re
from bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class SourceFile:
    """One text with its name; `system` is true for headers that the user did not write.

    `directory` is where `#include "..."` looks first. `markers` holds what `#line` said: (physical line from which it
    counts, line number, file name). `includer` is the token of the `#include` that brought the file in.
    """

    __slots__ = ("_starts", "directory", "includer", "markers", "name", "system", "text")

    def __init__(self, name: str, text: str, system: bool = False, directory: str = "") -> None:
        self.name = name
        self.text = text
        self.system = system
        self.directory = directory
        self.markers: list[tuple[int, int, str]] = []
        self.includer: Token | None = None
        self._starts: list[int] | None = None

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            starts = [0]
            for line in self.text.split("\n")[:-1]:
                starts.append(starts[-1] + len(line) + 1)
            self._starts = starts
        return self._starts

    def line_of(self, pos: int) -> int:
        """The 1-based line in the text itself, whatever `#line` says."""
        return bisect_right(self._line_starts(), pos)

    def column_of(self, pos: int) -> int:
        """The 1-based column in characters; a tab is one character."""
        starts = self._line_starts()
        return pos - starts[bisect_right(starts, pos) - 1] + 1

    def line_text(self, line: int) -> str:
        """The text of a 1-based line without its line end."""
        starts = self._line_starts()
        end = starts[line] - 1 if line < len(starts) else len(self.text)
        return self.text[starts[line - 1] : end].rstrip("\r")

    def presumed(self, line: int) -> tuple[str, int]:
        """File name and line number as `#line` directives make them appear."""
        for start, number, name in reversed(self.markers):
            if line >= start:
                return name, number + line - start
        return self.name, line

    def __repr__(self) -> str:
        return f"SourceFile({self.name!r})"


class Expansion:
    """A macro call that a token came out of; `token` is the macro's name at the call, and may be from an expansion itself."""

    __slots__ = ("macro_name", "token")

    def __init__(self, macro_name: str, token: Token) -> None:
        self.macro_name = macro_name
        self.token = token


class Token:
    """One preprocessing token.

    `kind` is "id" (keywords too), "num", "str", "char", "punct", "pragma" or "eof"; "other" only before the preprocessor.
    Digraphs have the `text` of what they stand for; `value` keeps their spelling. `space` and `bol` say that white space
    or a line end comes before; a name with `hide` is never expanded again. A macro argument keeps the expansion that it
    had outside the call, so that errors point at what the user wrote.
    """

    __slots__ = ("bol", "expansion", "file", "hide", "kind", "pos", "space", "text", "value")

    def __init__(
        self,
        kind: str,
        text: str,
        file: SourceFile,
        pos: int,
        space: bool = False,
        bol: bool = False,
        hide: bool | None = None,
        expansion: Expansion | None = None,
        value: object = None,
    ) -> None:
        self.kind = kind
        self.text = text
        self.file = file
        self.pos = pos
        self.space = space
        self.bol = bol
        self.hide = hide
        self.expansion = expansion
        self.value = value

    def __repr__(self) -> str:
        return f"Token({self.kind!r}, {self.text!r})"


def outermost(token: Token) -> Token:
    """The token in the user's file that the given one came from: itself, or the name in the first macro call."""
    while token.expansion is not None:
        token = token.expansion.token
    return token


def where(token: Token) -> tuple[SourceFile, str, int, int]:
    """File, file name, line and column of the outermost place of a token; name and line as `#line` says."""
    token = outermost(token)
    name, line = token.file.presumed(token.file.line_of(token.pos))
    return token.file, name, line, token.file.column_of(token.pos)


_SIMPLE_ESCAPES = {
    "n": 10, "t": 9, "r": 13, "0": 0, "a": 7, "b": 8, "f": 12, "v": 11, "e": 27, "E": 27,
    "\\": 92, "'": 39, '"': 34, "?": 63,
}  # fmt: skip
_HEX = frozenset("0123456789abcdefABCDEF")
_OCTAL = frozenset("01234567")
# characters that an element of each kind of literal may hold; "L" is 32 bits as on Linux
_ELEMENT_LIMIT = {"": 0xFF, "u8": 0xFF, "u": 0xFFFF, "U": 0xFFFFFFFF, "L": 0xFFFFFFFF}


def _split_literal(text: str) -> tuple[str, str]:
    start = 0
    while text[start] not in "\"'":
        start += 1
    return text[:start], text[start + 1 : -1]


def _elements(body: str, limit: int) -> Iterator[tuple[bool, int]]:
    """The literal's elements: (is a character, code point) or (False, value of a numeric escape)."""
    at, end = 0, len(body)
    while at < end:
        char = body[at]
        at += 1
        if char != "\\":
            yield True, ord(char)
            continue
        if at == end:
            raise ValueError("'\\' with nothing after it")
        char = body[at]
        start = at
        if char in _OCTAL:
            while at < end and at < start + 3 and body[at] in _OCTAL:
                at += 1
            value = int(body[start:at], 8)
        elif char == "x":
            at += 1
            while at < end and body[at] in _HEX:
                at += 1
            if at == start + 1:
                raise ValueError("'\\x' needs hexadecimal digits after it")
            value = int(body[start + 1 : at], 16)
        elif char in "uU":
            size = 4 if char == "u" else 8
            digits = body[at + 1 : at + 1 + size]
            if len(digits) < size or not _HEX.issuperset(digits):
                raise ValueError(f"'\\{char}' needs {size} hexadecimal digits after it")
            value = int(digits, 16)
            if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
                raise ValueError(f"'\\{char}{digits}' is not a Unicode character")
            at += 1 + size
            yield True, value
            continue
        elif char in _SIMPLE_ESCAPES:
            at += 1
            value = _SIMPLE_ESCAPES[char]
        else:  # the character itself; `literal_warnings` says so
            at += 1
            yield True, ord(char)
            continue
        if value > limit:
            raise ValueError(f"escape sequence '\\{body[start:at]}' is larger than a character here (at most {limit:#x})")
        yield False, value


def _utf8(code: int) -> bytes:
    # the texts are read with surrogateescape: a byte that is not UTF-8 goes back to what it was
    return chr(code).encode("utf-8", "surrogateescape")


def decode_string(token: Token, joined: str = "") -> tuple[str, bytes | list[int]]:
    """Prefix and content of one string literal, without a final zero: bytes for "" and u8, else a list of elements.

    `joined`: the prefix of the literals beside it, which one without a prefix takes (C11 6.4.5p5). Raises ValueError,
    with a message for the user, for a bad escape sequence.
    """
    prefix, body = _split_literal(token.text)
    prefix = prefix or joined
    if prefix in ("", "u8"):
        if "\\" not in body:
            return prefix, body.encode("utf-8", "surrogateescape")
        return prefix, b"".join(_utf8(v) if is_char else bytes((v,)) for is_char, v in _elements(body, 0xFF))
    values: list[int] = []
    for is_char, value in _elements(body, _ELEMENT_LIMIT[prefix]):
        if is_char and value > 0xFFFF and prefix == "u":
            values += (0xD800 + ((value - 0x10000) >> 10), 0xDC00 + ((value - 0x10000) & 0x3FF))
        else:
            values.append(value)
    return prefix, values


def decode_char(token: Token) -> int:
    """The value of a character constant; plain ones are signed as `char` is, and several characters are packed as GCC does.

    Of more than four the last four count, as for clang. Raises ValueError, with a message for the user, for an empty
    constant or a bad escape sequence.
    """
    prefix, body = _split_literal(token.text)
    elements = list(_elements(body, _ELEMENT_LIMIT[prefix]))
    if not elements:
        raise ValueError("empty character constant")
    if prefix:
        if len(elements) > 1:
            raise ValueError(f"more than one character in a constant with prefix '{prefix}'")
        return elements[0][1] - (1 << 32 if prefix == "L" and elements[0][1] >> 31 else 0)
    data = b"".join(_utf8(v) if is_char else bytes((v,)) for is_char, v in elements)
    return int.from_bytes(data[-4:], "big", signed=len(data) == 1 or len(data) >= 4)


_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPES = frozenset(_SIMPLE_ESCAPES) | _OCTAL | frozenset("xuU([{%")  # GNU takes brackets and '%' in silence


def literal_warnings(token: Token) -> list[str]:
    """What to say of a literal that has a value all the same."""
    prefix, body = _split_literal(token.text)
    found = [
        f"unknown escape sequence '\\{char}': it stands for '{char}'; write '\\\\{char}' for a backslash"
        for char in dict.fromkeys(_ESCAPE.findall(body))
        if char not in _KNOWN_ESCAPES
    ]
    if token.kind == "char" and not prefix and (count := sum(1 for _ in _elements(body, 0xFF))) > 4:
        found.append(f"a character constant of {count} characters; only the last 4 fit into an int (a string needs '\"')")
    return found
