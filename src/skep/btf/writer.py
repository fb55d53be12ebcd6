"""BTF made of ctypes types, for maps that Python creates: bpftool and other processes see their keys and values typed."""

from __future__ import annotations

import ctypes
import struct

from skep.errors import ObjectError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# include/uapi/linux/btf.h: kinds, and encodings of integers
_INT, _ARRAY, _STRUCT, _UNION, _FLOAT = 1, 3, 4, 5, 16
_SIGNED, _BOOL = 1, 4
_NAMES = {
    ("c", 1): "char", ("b", 1): "signed char", ("B", 1): "unsigned char", ("?", 1): "_Bool", ("h", 2): "short",
    ("H", 2): "unsigned short", ("i", 4): "int", ("I", 4): "unsigned int", ("l", 4): "long", ("L", 4): "unsigned long",
    ("l", 8): "long", ("L", 8): "unsigned long", ("q", 8): "long long", ("Q", 8): "unsigned long long",
    ("P", 8): "unsigned long", ("z", 8): "unsigned long",
}  # fmt: skip


def btf_of(*ctypes_types: Any) -> tuple[bytes, list[int]]:
    """BTF with these types, and the id of each."""
    writer = _Writer()
    ids = [writer.add(one) for one in ctypes_types]
    return writer.data(), ids


class _Writer:
    def __init__(self) -> None:
        self._types: list[bytes] = []
        self._strings = bytearray(b"\0")
        self._ids: dict[Any, int] = {}

    def add(self, ctype: Any) -> int:
        if ctype not in self._ids:
            self._ids[ctype] = self._new(ctype)
        return self._ids[ctype]

    def data(self) -> bytes:
        types = b"".join(self._types)
        header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self._strings))
        return header + types + bytes(self._strings)

    def _new(self, ctype: Any) -> int:
        if issubclass(ctype, (ctypes.Structure, ctypes.Union)):
            return self._record(ctype)
        if issubclass(ctype, ctypes.Array):
            element, index = self.add(ctype._type_), self.add(ctypes.c_uint)
            return self._append(struct.pack("=IIIIII", 0, _ARRAY << 24, 0, element, index, ctype._length_))
        size, letter = ctypes.sizeof(ctype), str(getattr(ctype, "_type_", ""))
        if letter in ("f", "d", "g"):
            return self._append(
                struct.pack("=III", self._string({4: "float", 8: "double"}.get(size, "long double")), _FLOAT << 24, size)
            )
        name = _NAMES.get((letter, size))
        if name is None:
            raise ObjectError(f"{ctype.__name__} has no counterpart in BTF: give integers, arrays and structs of ctypes")
        encoding = _BOOL if letter == "?" else _SIGNED if letter in "bhilq" else 0
        return self._append(struct.pack("=IIII", self._string(name), _INT << 24, size, encoding << 24 | 8 * size))

    def _record(self, ctype: Any) -> int:
        members = []
        has_bits = any(len(field) > 2 for field in ctype._fields_)
        for field in ctype._fields_:
            name, type = field[0], field[1]
            if name.startswith("__pad_"):
                continue
            id, place = self.add(type), getattr(ctype, name)
            bits = place.size >> 16 if len(field) > 2 else 0
            offset = 8 * place.offset + (place.size & 0xFFFF if bits else 0)
            hidden = name in getattr(ctype, "_anonymous_", ())
            members.append(
                struct.pack("=III", 0 if hidden else self._string(name), id, offset | bits << 24 if has_bits else offset)
            )
        kind = _UNION if issubclass(ctype, ctypes.Union) else _STRUCT
        info = kind << 24 | len(members) | (1 << 31 if has_bits else 0)
        return self._append(struct.pack("=III", self._string(ctype.__name__), info, ctypes.sizeof(ctype)) + b"".join(members))

    def _append(self, data: bytes) -> int:
        self._types.append(data)
        return len(self._types)

    def _string(self, text: str) -> int:
        """The place of a name; BTF takes only C's identifiers and spaces in it."""
        place = len(self._strings)
        clean = "".join(c if c.isascii() and (c.isalnum() or c in "_ ") else "_" for c in text)
        self._strings += clean.encode() + b"\0"
        return place
