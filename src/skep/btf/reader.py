"""Reads BTF lazily: raw bytes (or an mmap) in, one `Type` per asked id out; names are found without decoding.

A full decode of the kernel's 126,000 types takes seconds; the walk for the sparse index takes 10 ms, a find 1 ms.
"""

from __future__ import annotations

from bisect import bisect_right
from struct import Struct as Format
from struct import pack, unpack_from

from skep.btf import types
from skep.errors import ObjectError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap
    from typing import Any

# One entry of the index per this many types: small enough to walk from, large enough that the index is 16 KB.
STRIDE = 32
MAX_DEPTH = 64  # the kernel resolves at most 32 levels; deeper (or cyclic) is a damaged file

(
    INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT,
    DECL_TAG, TYPE_TAG, ENUM64,
) = range(1, 20)  # fmt: skip

# 32-bit words of each kind: the fixed part, and per element of the tail.
_WORDS = {
    INT: (4, 0), PTR: (3, 0), ARRAY: (6, 0), STRUCT: (3, 3), UNION: (3, 3), ENUM: (3, 2), FWD: (3, 0), TYPEDEF: (3, 0),
    VOLATILE: (3, 0), CONST: (3, 0), RESTRICT: (3, 0), FUNC: (3, 0), FUNC_PROTO: (3, 2), VAR: (4, 0), DATASEC: (3, 3),
    FLOAT: (3, 0), DECL_TAG: (4, 0), TYPE_TAG: (3, 0), ENUM64: (3, 3),
}  # fmt: skip
KINDS = {
    "int": (INT,), "ptr": (PTR,), "array": (ARRAY,), "struct": (STRUCT,), "union": (UNION,), "enum": (ENUM, ENUM64),
    "enum64": (ENUM64,), "fwd": (FWD,), "typedef": (TYPEDEF,), "volatile": (VOLATILE,), "const": (CONST,),
    "restrict": (RESTRICT,), "func": (FUNC,), "func_proto": (FUNC_PROTO,), "var": (VAR,), "datasec": (DATASEC,),
    "float": (FLOAT,), "decl_tag": (DECL_TAG,), "type_tag": (TYPE_TAG,),
}  # fmt: skip
_REFERENCES = {
    PTR: types.Pointer, TYPEDEF: types.Typedef, VOLATILE: types.Volatile, CONST: types.Const, RESTRICT: types.Restrict,
    TYPE_TAG: types.TypeTag,
}  # fmt: skip
_QUALIFIERS = (types.Typedef, types.Const, types.Volatile, types.Restrict, types.TypeTag)

_HEADER = Format("<HBBIIIII")
_THREE = Format("<III")


class _Sizes(dict[int, int]):
    """Words of a type by its info word; computed once per distinct word (there are about 2,000 in a kernel)."""

    def __missing__(self, info: int) -> int:
        layout = _WORDS.get(info >> 24 & 31)
        if layout is None:
            raise ObjectError(f"BTF: type of unknown kind {info >> 24 & 31}; this Skep knows the kinds 1 to {max(_WORDS)}")
        size = self[info] = layout[0] + layout[1] * (info & 0xFFFF)
        return size


class Btf:
    """One BTF blob. `base` makes it split BTF: ids and string offsets continue from the base; `module` says whose.

    Ids are stable: 0 is void, the first own type is `first_id`, `count` is one more than the last id.
    Raises ObjectError where the data is damaged.
    """

    def __init__(self, data: bytes | mmap, base: Btf | None = None, *, index: bytes = b"", module: str = "") -> None:
        self.data = data
        self.base = base
        self.module = module
        if len(data) < _HEADER.size:
            raise ObjectError(f"BTF: {len(data)} bytes are less than a header")
        magic, version, _, header, type_off, type_len, str_off, str_len = _HEADER.unpack_from(data)
        if magic != 0xEB9F or version != 1:
            what = "big-endian data" if magic == 0x9FEB else f"magic {magic:#06x}, version {version}"
            raise ObjectError(f"BTF: {what}; expected little-endian version 1")
        self._types_at: int = header + type_off
        self._strings_at: int = header + str_off
        self._strings_end: int = self._strings_at + str_len
        self.count: int
        if header < _HEADER.size or self._strings_end > len(data) or self._types_at + type_len > len(data) or type_len & 3:
            raise ObjectError("BTF: the header names sections outside the data")
        if str_len and data[self._strings_end - 1]:
            raise ObjectError("BTF: the string section has no end")
        self.string_size: int = str_len
        self._first_string: int = base._first_string + base.string_size if base else 0
        self.first_id: int = base.count if base else 1
        self._words = memoryview(data)[self._types_at : self._types_at + type_len].cast("I")
        self._sizes = _Sizes()
        self._types: dict[int, types.Type] = {}
        self.ctypes_types: dict[tuple[int, bool], type[Any]] = {}  # filled by skep.btf.ctypes_types
        self._found: dict[tuple[str, str], int | None] = {}
        self._enumerators_found: dict[str, tuple[int, int] | None] = {}
        # A memoryview, not an array.array: importing `array` brings in collections.abc, 1 ms.
        self._starts: memoryview[int] = memoryview(b"").cast("I")
        if not index or not self._take_index(index):
            self._walk()

    def _walk(self) -> None:
        words, sizes = self._words, self._sizes
        starts: list[int] = []
        position, end = 0, len(words)
        steps = range(STRIDE)
        step = 0
        try:
            while position < end:
                starts.append(position)
                for step in steps:  # noqa: B007 - how far the last block came
                    position += sizes[words[position + 1]]
            step = STRIDE
        except IndexError:  # cheaper than a test per type; a whole section ends exactly at `end`
            pass
        if position != end:
            raise ObjectError("BTF: the last type is cut off")
        self._starts = memoryview(pack(f"{len(starts)}I", *starts)).cast("I")
        self.count = self.first_id + (len(starts) - 1) * STRIDE + step if starts else self.first_id

    def index(self) -> bytes:
        """What `Btf(data, index=...)` takes to skip the walk over all types."""
        return pack("<II", self.count, len(self._words)) + self._starts.tobytes()

    def _take_index(self, index: bytes) -> bool:
        if len(index) % 4 or len(index) < 8:
            return False
        count, words = unpack_from("<II", index)
        starts = memoryview(index)[8:].cast("I")
        if words != len(self._words) or (count - self.first_id + STRIDE - 1) // STRIDE != len(starts):
            return False
        self.count = count
        self._starts = starts
        return True

    def string(self, offset: int) -> str:
        """The string at `offset` of the string section (also file names and source lines of .BTF.ext)."""
        if self.base and offset < self._first_string:
            return self.base.string(offset)
        start = self._strings_at + offset - self._first_string
        if not self._strings_at <= start < self._strings_end:
            if offset == 0:
                return ""
            raise ObjectError(f"BTF: string offset {offset} is outside the string section")
        end = self.data.find(b"\0", start, self._strings_end)
        return self.data[start:end].decode("utf-8", "replace")

    def _position(self, id: int) -> int:
        index = id - self.first_id
        if not 0 <= index < self.count - self.first_id:
            raise ObjectError(f"BTF: no type with id {id}; ids end at {self.count - 1}")
        position = self._starts[index // STRIDE]
        words, sizes = self._words, self._sizes
        for _ in range(index % STRIDE):
            position += sizes[words[position + 1]]
        return position

    def _owner(self, word: int) -> tuple[int, int]:
        """Id and position of the type that covers this word."""
        block = bisect_right(self._starts, word) - 1
        position = self._starts[block]
        id = self.first_id + block * STRIDE
        words, sizes = self._words, self._sizes
        while True:
            following = position + sizes[words[position + 1]]
            if word < following:
                return id, position
            position = following
            id += 1

    def type(self, id: int) -> types.Type:
        """The type with this id; decoded at the first call."""
        found = self._types.get(id)
        if found is None:
            if id == 0:
                found = types.Void(0, "void")
            elif self.base and id < self.first_id:
                found = self.base.type(id)
            else:
                found = self._decode(id)
            self._types[id] = found
        return found

    def _decode(self, id: int) -> types.Type:
        position = self._position(id)
        words = self._words
        name_offset, info, value = words[position : position + 3]
        kind, length, flag = info >> 24 & 31, info & 0xFFFF, info >> 31
        name = self.string(name_offset) if name_offset else ""
        if kind in _REFERENCES:
            return _REFERENCES[kind](id, name, value)
        tail = position + 3
        if kind in (STRUCT, UNION):
            members = []
            for at in range(tail, tail + 3 * length, 3):
                member, type_id, offset = words[at : at + 3]
                size = offset >> 24 if flag else 0
                members.append(
                    types.Member(self.string(member) if member else "", type_id, offset & 0xFFFFFF if flag else offset, size)
                )
            return (types.Struct if kind == STRUCT else types.Union)(id, name, value, members)
        if kind == FUNC_PROTO:
            params = [(self.string(words[at]), words[at + 1]) for at in range(tail, tail + 2 * length, 2)]
            return types.FuncProto(id, value, params)
        if kind == FUNC:
            return types.Func(id, name, value, length)
        if kind == ARRAY:
            return types.Array(id, *words[tail : tail + 3].tolist())
        if kind == INT:
            word = words[tail]
            return types.Int(id, name, value, word >> 24 & 15, word >> 16 & 255, word & 255)
        if kind in (ENUM, ENUM64):
            return types.Enum(id, name, value, bool(flag), self._enumerators(kind, tail, length, flag))
        if kind == FWD:
            return types.Fwd(id, name, bool(flag))
        if kind == DATASEC:
            rows = [(words[at], words[at + 1], words[at + 2]) for at in range(tail, tail + 3 * length, 3)]
            return types.DataSec(id, name, value, rows)
        if kind == VAR:
            return types.Var(id, name, value, words[tail])
        if kind == DECL_TAG:
            return types.DeclTag(id, name, value, _signed(words[tail], 32))
        return types.Float(id, name, value)

    def _enumerators(self, kind: int, tail: int, length: int, flag: int) -> list[tuple[str, int]]:
        words = self._words
        if kind == ENUM:
            pairs = ((words[at], words[at + 1], 32) for at in range(tail, tail + 2 * length, 2))
        else:
            pairs = ((words[at], words[at + 1] | words[at + 2] << 32, 64) for at in range(tail, tail + 3 * length, 3))
        return [(self.string(name), _signed(value, bits) if flag else value) for name, value, bits in pairs]

    def _occurrences(self, name: str) -> Iterator[int]:
        """Words of the type section that hold the offset of this name (and perhaps words that only look like it)."""
        data, base, end = self.data, self._types_at, self._types_at + 4 * len(self._words)
        wanted = name.encode() + b"\0"
        offsets = []
        at = data.find(b"\0" + wanted, self._strings_at, self._strings_end)
        while at >= 0:
            offsets.append(at + 1 - self._strings_at + self._first_string)
            at = data.find(b"\0" + wanted, at + 1, self._strings_end)
        if self.base:  # split BTF names its types with the base's strings where it can
            start, stop = self.base._strings_at, self.base._strings_end
            at = self.base.data.find(b"\0" + wanted, start, stop)
            if at >= 0:
                offsets.append(at + 1 - start)
        for offset in offsets:
            needle = pack("<I", offset)
            at = data.find(needle, base, end)
            while at >= 0:
                if (at - base) & 3:
                    at = data.find(needle, at + 1, end)
                else:
                    yield (at - base) >> 2
                    at = data.find(needle, at + 4, end)

    def has_string(self, text: str) -> bool:
        """Whether the string section has this text as one of its strings."""
        return self.data.find(b"\0" + text.encode() + b"\0", self._strings_at, self._strings_end) >= 0

    def find(self, name: str, kind: str) -> int | None:
        """Id of the first type of this kind with exactly this name; own types before the base's. "enum" is ENUM64 too."""
        key = (name, kind)
        if key not in self._found:
            found = self._find(name, KINDS[kind]) if name else None
            if found is None and self.base:
                found = self.base.find(name, kind)
            self._found[key] = found
        return self._found[key]

    def _find(self, name: str, kinds: tuple[int, ...]) -> int | None:
        words = self._words
        limit = len(words) - 1
        for word in self._occurrences(name):
            if word < limit and words[word + 1] >> 24 & 31 in kinds:
                id, position = self._owner(word)
                if position == word:
                    return id
        return None

    def find_enumerator(self, name: str) -> tuple[int, int] | None:
        """Value of this enumerator and id of its enum."""
        if name not in self._enumerators_found:  # a search goes through all strings
            self._enumerators_found[name] = self._find_enumerator(name)
        return self._enumerators_found[name]

    def _find_enumerator(self, name: str) -> tuple[int, int] | None:
        for word in self._occurrences(name) if name else ():
            id, position = self._owner(word)
            info = self._words[position + 1]
            kind = info >> 24 & 31
            if word > position and kind in (ENUM, ENUM64) and (word - position - 3) % _WORDS[kind][1] == 0:
                at = word - position - 3
                return self._enumerators(kind, position + 3, info & 0xFFFF, info >> 31)[at // _WORDS[kind][1]][1], id
        return self.base.find_enumerator(name) if self.base else None

    def name_candidates(self, kind: str) -> Iterator[str]:
        """Every name of this kind, for "did you mean"; walks all types."""
        kinds = KINDS[kind]
        if self.base:
            yield from self.base.name_candidates(kind)
        for _, name, _ in self._entries(kinds):
            if name:
                yield self.string(name)

    def ids(self, kind: str) -> Iterator[int]:
        """Ids of all own types of this kind; walks all types."""
        for id, _, _ in self._entries(KINDS[kind]):
            yield id

    def _entries(self, kinds: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
        words, sizes = self._words, self._sizes
        position, end, id = 0, len(words), self.first_id
        while position < end:
            info = words[position + 1]
            if info >> 24 & 31 in kinds:
                yield id, words[position], position
            position += sizes[info]
            id += 1

    def offset_of_type(self, id: int) -> int:
        """Byte offset of this own type's record in `data`."""
        return self._types_at + 4 * self._position(id)

    def strip(self, id: int) -> int:
        """The id without typedefs, qualifiers and type tags around it."""
        for _ in range(MAX_DEPTH):
            found = self.type(id)
            if not isinstance(found, _QUALIFIERS):
                return id
            id = found.target
        raise ObjectError(f"BTF: type {id} refers to itself")

    def size_of(self, id: int) -> int:
        """Size in bytes; raises ObjectError for what has none (void, functions, forward declarations)."""
        count = 1
        for _ in range(MAX_DEPTH):
            found = self.type(self.strip(id))
            if isinstance(found, types.Array):
                count *= found.length
                id = found.element
            elif isinstance(found, types.Var):
                id = found.target
            elif isinstance(found, types.Pointer):
                return 8 * count
            elif isinstance(found, (types.Int, types.Struct, types.Enum, types.Float, types.DataSec)):
                return found.size * count
            else:
                raise ObjectError(f"BTF: {found!r} has no size")
        raise ObjectError(f"BTF: type {id} contains itself")

    def align_of(self, id: int) -> int:
        """Alignment in bytes; 1 for a struct whose members' offsets say that it is packed."""
        return self._align(id, 0)

    def _align(self, id: int, depth: int) -> int:
        found = self.type(self.strip(id))
        if depth > MAX_DEPTH:
            raise ObjectError(f"BTF: type {id} contains itself")
        if isinstance(found, types.Array):
            return self._align(found.element, depth + 1)
        if isinstance(found, types.Var):
            return self._align(found.target, depth + 1)
        if isinstance(found, types.Pointer):
            return 8
        if isinstance(found, (types.Int, types.Enum, types.Float)):
            return max(1, min(found.size, 16))
        if isinstance(found, types.Struct):
            alignment = 1
            for member in found.members:
                own = self._align(member.type_id, depth + 1)
                if not member.bit_size and member.bit_offset % (8 * own):
                    return 1
                alignment = max(alignment, own)
            return alignment if found.size % alignment == 0 else 1
        raise ObjectError(f"BTF: {found!r} has no alignment")


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
