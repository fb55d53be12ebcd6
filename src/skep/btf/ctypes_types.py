"""BTF types as ctypes types, for keys, values and events; every offset and size is exactly BTF's.

The layout that BCC's users see is kept: packed structs with explicit `__pad_N` members, `__anonN`, pointers as numbers.
"""

from __future__ import annotations

import ctypes

from skep.btf import types
from skep.btf.reader import MAX_DEPTH
from skep.errors import ObjectError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.btf.reader import Btf
    from skep.btf.types import Member

    CType = type[Any]

_INTEGERS: dict[tuple[int, bool], CType] = {
    (1, False): ctypes.c_ubyte, (2, False): ctypes.c_ushort, (4, False): ctypes.c_uint, (8, False): ctypes.c_ulong,
    (1, True): ctypes.c_byte, (2, True): ctypes.c_short, (4, True): ctypes.c_int, (8, True): ctypes.c_long,
    # ctypes has no 128-bit integers; BCC shows two halves, the low one first.
    (16, False): ctypes.c_uint64 * 2, (16, True): ctypes.c_int64 * 2,
}  # fmt: skip
_FLOATS: dict[int, CType] = {4: ctypes.c_float, 8: ctypes.c_double, 16: ctypes.c_longdouble}


def ctypes_type(btf: Btf, type_id: int, *, bcc_layout: bool = True) -> CType:
    """The ctypes type for this BTF type; the same one at every call. Raises ObjectError for a type without a size.

    With `bcc_layout`, structs without bit-fields are packed and their gaps are members `__pad_N` and `__pad_end`, as
    BCC's keys and values are; without it, gaps are left to ctypes wherever its layout is BTF's.
    """
    return _make(btf, type_id, bcc_layout, 0)


def _make(btf: Btf, type_id: int, bcc_layout: bool, depth: int) -> CType:
    key = (type_id, bcc_layout)
    made = btf.ctypes_types.get(key)
    if made is None:
        if depth > MAX_DEPTH:
            raise ObjectError(f"BTF: type {type_id} contains itself")
        made = btf.ctypes_types[key] = _new(btf, type_id, bcc_layout, depth)
    return made


def _new(btf: Btf, type_id: int, bcc_layout: bool, depth: int) -> CType:
    found = btf.type(type_id)
    if isinstance(found, types.Typedef):
        stripped = btf.type(btf.strip(found.target))
        if isinstance(stripped, types.Struct) and not stripped.name:
            return _new_struct(btf, stripped, found.name, bcc_layout, depth)
        return _make(btf, found.target, bcc_layout, depth + 1)
    if isinstance(found, (types.Const, types.Volatile, types.Restrict, types.TypeTag, types.Var)):
        return _make(btf, found.target, bcc_layout, depth + 1)
    if isinstance(found, types.Struct):
        return _new_struct(btf, found, found.name or f"anonymous_{found.kind}", bcc_layout, depth)
    if isinstance(found, types.DataSec):
        return _new_struct(btf, _variables(btf, found), found.name.lstrip("."), True, depth)
    if isinstance(found, types.Array):
        element = _make(btf, found.element, bcc_layout, depth + 1)
        if ctypes.sizeof(element) * found.length >= 1 << 31:
            raise ObjectError(f"BTF: array {type_id} has {found.length} elements of {ctypes.sizeof(element)} bytes")
        array: CType = element * found.length
        return array
    if isinstance(found, types.Pointer):
        return ctypes.c_ulong
    if isinstance(found, types.Enum) and (found.size, found.signed) in _INTEGERS:
        return _INTEGERS[found.size, found.signed]
    if isinstance(found, types.Int):
        if found.bool:
            return ctypes.c_bool
        # No compiler sets BTF's char flag: clang and pahole say "char" by name only.
        if found.size == 1 and (found.char or found.name == "char"):
            return ctypes.c_char
        if (found.size, found.signed) in _INTEGERS:
            return _INTEGERS[found.size, found.signed]
    if isinstance(found, types.Float) and found.size in _FLOATS:
        return _FLOATS[found.size]
    raise ObjectError(f"BTF: {found!r} has no counterpart in ctypes")


def _variables(btf: Btf, section: types.DataSec) -> types.Struct:
    """A data section as a struct of its variables. The gaps hold constants without a name, and parts of variables."""
    members = [types.Member(btf.type(id).name, id, offset * 8, 0) for id, offset, size in section.vars if btf.size_of(id) <= size]
    return types.Struct(section.id, section.name, section.size, sorted(members, key=lambda member: member.bit_offset))


class _Field:
    """A member with its ctypes type, placed: `offset` in bytes, `bits` 0 unless it is a bit-field."""

    __slots__ = ("bit_offset", "bits", "index", "name", "offset", "type")

    def __init__(self, index: int, name: str, type: CType, member: Member) -> None:
        self.index = index
        self.name = name
        self.type = type
        self.bit_offset = member.bit_offset
        self.offset = member.bit_offset // 8
        self.bits = member.bit_size


def _new_struct(btf: Btf, struct: types.Struct, name: str, bcc_layout: bool, depth: int) -> CType:
    anonymous: list[str] = []
    fields: list[_Field] = []
    for index, member in enumerate(struct.members):
        field_name = member.name
        if not field_name:
            if member.bit_size or not isinstance(btf.type(btf.strip(member.type_id)), types.Struct):
                continue  # padding between bit-fields
            field_name = f"__anon{len(anonymous)}"
            anonymous.append(field_name)
        fields.append(_Field(index, field_name, _make(btf, member.type_id, bcc_layout, depth + 1), member))
    bases = ctypes.Union if struct.kind == "union" else ctypes.Structure
    natural = struct.kind == "union" or not bcc_layout or any(field.bits for field in fields)
    if natural:
        made = _natural(bases, name, fields, anonymous)
        if made is not None and _agrees(made, struct, fields):
            return made
    return _explicit(bases, name, struct, fields, anonymous)


def _class(base: CType, name: str, fields: list[tuple[Any, ...]], anonymous: list[str], more: dict[str, object]) -> CType:
    return type(name, (base,), {**more, "_anonymous_": anonymous, "_fields_": fields})


def _natural(base: CType, name: str, fields: list[_Field], anonymous: list[str]) -> CType | None:
    rows: list[tuple[Any, ...]] = [
        (field.name, field.type, field.bits) if field.bits else (field.name, field.type) for field in fields
    ]
    try:
        return _class(base, name, rows, anonymous, {})
    except (TypeError, ValueError):  # ctypes has no bit-fields of this type, or not of this width
        return None


def _agrees(made: CType, struct: types.Struct, fields: list[_Field]) -> bool:
    """Whether ctypes put everything where BTF has it; for a bit-field, `size` is width << 16 | first bit."""
    if ctypes.sizeof(made) != struct.size:
        return False
    for field in fields:
        placed = getattr(made, field.name)
        if field.bits and placed.offset * 8 + (placed.size & 0xFFFF) != field.bit_offset:
            return False
        if not field.bits and placed.offset != field.offset:
            return False
    return True


def _explicit(base: CType, name: str, struct: types.Struct, fields: list[_Field], anonymous: list[str]) -> CType:
    """A packed layout with every gap a member. Bit-fields that ctypes would misplace are bytes behind properties."""
    rows: list[tuple[Any, ...]] = []
    properties: dict[str, object] = {}
    end = 0
    is_union = struct.kind == "union"
    for field in fields:
        if field.bits:
            properties[field.name] = _bit_field(field)
            continue
        size = ctypes.sizeof(field.type)
        if field.bit_offset % 8 or field.offset + size > struct.size or (not is_union and field.offset < end):
            raise ObjectError(f"BTF: {struct!r} has no room for its member {field.name!r} at bit {field.bit_offset}")
        if not is_union and field.offset > end:
            rows.append((f"__pad_{field.index}", ctypes.c_char * (field.offset - end)))
        rows.append((field.name, field.type))
        end = field.offset + size
    if is_union:
        rows.append(("__pad_end", ctypes.c_char * struct.size))
    elif end < struct.size:
        rows.append(("__pad_end", ctypes.c_char * (struct.size - end)))
    # Python 3.14 wants the layout said where a packing is; without bit-fields both of its layouts are the same.
    return _class(base, name, rows, anonymous, {"_pack_": 1, "_layout_": "ms", **properties})


def _bit_field(field: _Field) -> property:
    first, shift = divmod(field.bit_offset, 8)
    length = (shift + field.bits + 7) // 8
    mask = (1 << field.bits) - 1
    signed = getattr(field.type, "_type_", "") in ("b", "h", "i", "l", "q")
    is_bool = field.type is ctypes.c_bool

    def get(self: Any) -> int | bool:
        unit = int.from_bytes(ctypes.string_at(ctypes.addressof(self) + first, length), "little")
        value = unit >> shift & mask
        if signed and value >> (field.bits - 1):
            value -= 1 << field.bits
        return bool(value) if is_bool else value

    def put(self: Any, value: int) -> None:
        at = ctypes.addressof(self) + first
        unit = int.from_bytes(ctypes.string_at(at, length), "little") & ~(mask << shift) | (int(value) & mask) << shift
        ctypes.memmove(at, unit.to_bytes(length, "little"), length)

    return property(get, put)
