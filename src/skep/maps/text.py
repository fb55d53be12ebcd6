"""Keys and values as text, in BCC's form: `{ 0x1 [ 0x2 0x3 ] "text" }`.

Integers are hexadecimal, structs in braces, arrays in brackets, arrays of bytes a quoted text; padding is left out.
"""

from __future__ import annotations

import ctypes
import sys

from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SPACE = b" \t\n\r\v\f"
_NOT_CS = (b"b", b"B", b"o", b"O")


def print_value(ctype: Any, data: bytes) -> bytes:
    """The text of a value of that type."""
    if issubclass(ctype, ctypes.Structure):
        return (
            b"{ " + b"".join(print_value(type, data[at : at + ctypes.sizeof(type)]) + b" " for at, type in _members(ctype)) + b"}"
        )
    if issubclass(ctype, ctypes.Union):
        type = _widest(ctype)
        return b"{ " + print_value(type, data[: ctypes.sizeof(type)]) + b" }"
    if issubclass(ctype, ctypes.Array):
        element = ctype._type_
        size = ctypes.sizeof(element)
        if _is_byte(element):
            return b'"' + data[: ctype._length_].partition(b"\0")[0] + b'"'
        return b"[ " + b"".join(print_value(element, data[i : i + size]) + b" " for i in range(0, len(data), size)) + b"]"
    if ctype._type_ in "fdg":
        return repr(ctype.from_buffer_copy(data).value).encode()
    return hex(int.from_bytes(data, sys.byteorder)).encode()


def scan_value(ctype: Any, text: str | bytes, what: str) -> bytes:
    """The bytes of the value that a text stands for; MapError says where the text is wrong."""
    if isinstance(text, str):
        text = text.encode("utf-8", "replace")  # what UTF-8 has no bytes for is no number either
    elif not isinstance(text, (bytes, bytearray, memoryview)):
        raise MapError(f"{what} is read from str or bytes, not from {type(text).__name__} {text!r}")
    return _Scanner(bytes(text), what).whole(ctype)


class _Scanner:
    __slots__ = ("_at", "_text", "_what")

    def __init__(self, text: bytes, what: str) -> None:
        self._text = text
        self._what = what
        self._at = 0

    def whole(self, ctype: Any) -> bytes:
        """The value, behind which there is nothing but space."""
        data = self.value(ctype)
        self._skip()
        if self._at < len(self._text):
            raise self._wrong("the end")
        return data

    def value(self, ctype: Any) -> bytes:
        size = ctypes.sizeof(ctype)
        if issubclass(ctype, ctypes.Structure):
            self._expect(b"{")
            data = bytearray(size)
            for at, type in _members(ctype):
                data[at : at + ctypes.sizeof(type)] = self.value(type)
            self._expect(b"}")
            return bytes(data)
        if issubclass(ctype, ctypes.Union):
            self._expect(b"{")
            inner = self.value(_widest(ctype))
            self._expect(b"}")
            return inner.ljust(size, b"\0")
        if issubclass(ctype, ctypes.Array):
            if _is_byte(ctype._type_):
                return self._quoted(size)
            self._expect(b"[")
            items = b"".join(self.value(ctype._type_) for _ in range(ctype._length_))
            self._expect(b"]")
            return items
        if ctype._type_ in "fdg":
            return self._float(ctype)
        return self._integer(size)

    def _float(self, ctype: Any) -> bytes:
        word = self._word()
        try:
            return bytes(ctype(float(word)))
        except ValueError:
            raise self._wrong("a number", word) from None

    def _integer(self, size: int) -> bytes:
        word = self._word()
        digits = word.lstrip(b"+-")
        # as C's %i: a leading 0 means octal, which Python writes 0o
        octal = len(digits) > 1 and digits[:1] == b"0" and digits[1:].isdigit()
        try:
            if digits[1:2] in _NOT_CS or b"_" in digits:  # 0b1, 0o1 and 1_0 are Python's
                raise ValueError
            number = int(word, 8 if octal else 0)
        except ValueError:
            raise self._wrong("a number: 42, 0x2a or 052", word) from None
        if not -(1 << 8 * size - 1) <= number < 1 << 8 * size:
            raise MapError(f"{self._what}: {number} does not fit into {size} bytes")
        return (number & (1 << 8 * size) - 1).to_bytes(size, sys.byteorder)

    def _quoted(self, size: int) -> bytes:
        self._expect(b'"')
        end = self._text.find(b'"', self._at)
        if end < 0:
            self._at = len(self._text)
            raise self._wrong('a closing "')
        content, self._at = self._text[self._at : end], end + 1
        if len(content) > size:
            raise MapError(f"{self._what}: {content!r} has {len(content)} bytes, there is room for {size}")
        return content.ljust(size, b"\0")

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _SPACE:
            self._at += 1

    def _word(self) -> bytes:
        self._skip()
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in b'{}[]"' + _SPACE:
            self._at += 1
        return self._text[start : self._at]

    def _expect(self, mark: bytes) -> None:
        self._skip()
        if self._text[self._at : self._at + 1] != mark:
            raise self._wrong(mark.decode())
        self._at += 1

    def _wrong(self, wanted: str, word: bytes = b"") -> MapError:
        """At the place that was reached, or where the word before it begins."""
        at = self._at - len(word)
        found = repr(self._text[at:]) if at < len(self._text) else "the end"
        return MapError(f"{self._what}: {self._text!r} has {found} at byte {at}, where {wanted} should be")


def _members(struct: Any) -> Iterator[tuple[int, Any]]:
    """(offset, type) of the members; bit-fields that share a place are the integer that holds them."""
    seen = -1
    for field in struct._fields_:
        offset = getattr(struct, field[0]).offset
        if field[0].startswith("__pad_") or offset == seen:
            continue
        seen = offset
        yield offset, field[1]


def _widest(union: Any) -> Any:
    """The member that BCC shows of a union: the largest, and of those the first."""
    return max((field[1] for field in union._fields_ if not field[0].startswith("__pad_")), key=ctypes.sizeof)


def _is_byte(element: Any) -> bool:
    return issubclass(element, ctypes._SimpleCData) and element._type_ in "cbB"
