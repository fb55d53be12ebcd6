"""ctypes types as numpy dtypes: the same bytes at the same offsets.

In: the ctypes class of a key, value, record or variable. Out: the dtype that reads its bytes; numpy is imported when asked.
"""

from __future__ import annotations

import ctypes
import sys

from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy
    from numpy.typing import NDArray

# numpy's kind for each of ctypes' letters; pointers are the numbers that they hold
_KINDS = {
    **dict.fromkeys("bhilq", "i"),
    **dict.fromkeys("BHILQPzZ", "u"),
    **dict.fromkeys("fdg", "f"),
    "?": "b",
    "c": "S",
    "u": "U",
}
_PADDING = "__pad_"  # of ctypes_types: gaps as members, and where bit-fields are that ctypes cannot place
_FUNCTION: Any = ctypes.CFUNCTYPE(None).__mro__[1]  # the base of all function pointers
_FOREIGN_ORDER = "__ctype_be__" if sys.byteorder == "little" else "__ctype_le__"


def dtype_of(ctype: Any) -> numpy.dtype[Any]:
    """The numpy dtype with the layout of a ctypes type; MapError for a type that is no data (py_object).

    Structs and unions become structured dtypes, the fields of a union overlap, and members of anonymous ones are lifted as in
    C. char arrays are `S`, other arrays subarrays, 128-bit integers two u8 (the low one first), pointers u8. A bit-field
    has no dtype: the integer that holds it and its neighbours is the field `__bits_N`, N being its first byte.
    """
    import numpy

    if issubclass(ctype, (ctypes.Structure, ctypes.Union)):
        fields: dict[str, tuple[Any, int]] = {}
        _add_members(ctype, 0, fields)
        return numpy.dtype(
            {
                "names": list(fields),
                "formats": [format for format, _ in fields.values()],
                "offsets": [offset for _, offset in fields.values()],
                "itemsize": ctypes.sizeof(ctype),
            }
        )
    if issubclass(ctype, ctypes.Array):
        if ctype._type_ is ctypes.c_char and ctype._length_:
            return numpy.dtype(f"S{ctype._length_}")
        element = dtype_of(ctype._type_)
        return numpy.dtype((element.base, (ctype._length_, *element.shape)))
    if issubclass(ctype, (ctypes._Pointer, _FUNCTION)):
        return numpy.dtype("u8")
    kind = _KINDS.get(getattr(ctype, "_type_", ""))
    if kind is None:
        raise MapError(f"{ctype!r} has no counterpart in numpy: it is no data of a fixed size")
    order = ">" if getattr(ctype, _FOREIGN_ORDER, None) is ctype else "<"
    if sys.byteorder == "big":
        order = {">": "<", "<": ">"}[order]
    return numpy.dtype(f"{order}{kind}{1 if kind in 'SU' else ctypes.sizeof(ctype)}")


def without_gaps(array: NDArray[Any]) -> NDArray[Any]:
    """The bytes of a contiguous array, with zeros in the gaps between fields, which numpy leaves as it finds them."""
    import numpy

    data = array.reshape(-1).view(numpy.uint8)
    gaps = ~_used(array.dtype)
    if not gaps.any():
        return data
    rows = data.reshape(-1, len(gaps)).copy()
    rows[:, gaps] = 0
    return rows.reshape(-1)


def _used(dtype: numpy.dtype[Any]) -> NDArray[Any]:
    """Which bytes of an element are of some field."""
    import numpy

    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return numpy.tile(_used(base), int(numpy.prod(shape)))
    used = numpy.full(dtype.itemsize, not dtype.names)
    for name in dtype.names or ():
        field, offset = dtype.fields[name][:2]  # type: ignore[index]
        used[offset : offset + field.itemsize] |= _used(field)
    return used


def _add_members(record: Any, base: int, fields: dict[str, tuple[Any, int]]) -> None:
    """The members of a struct or union that begins at byte `base`, by name."""
    hidden = any(isinstance(member, property) for member in vars(record).values())  # bit-fields that ctypes cannot place
    for row in _rows(record):
        name, type = row[0], row[1]
        offset = base + getattr(record, name).offset
        if len(row) > 2:
            unit = f"__bits_{offset}"
            if unit not in fields or fields[unit][0].itemsize < ctypes.sizeof(type):
                fields[unit] = (dtype_of(type), offset)
        elif name.startswith(_PADDING):
            if hidden:
                fields[f"__bits_{offset}"] = (dtype_of(ctypes.c_uint8 * ctypes.sizeof(type)), offset)
        elif name in getattr(record, "_anonymous_", ()):
            _add_members(type, offset, fields)
        else:
            fields[name] = (dtype_of(type), offset)


def _rows(record: Any) -> list[tuple[Any, ...]]:
    """The rows of `_fields_`, those of a base class first."""
    return [row for one in reversed(record.__mro__) for row in vars(one).get("_fields_", ())]
