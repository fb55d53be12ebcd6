"""Python values to the bytes of a map's keys and values, and back.

A Codec is made once per map side from a ctypes type; what does not fit is a MapError that names the map and the side.
"""

from __future__ import annotations

import ctypes
import sys
from struct import Struct
from struct import error as struct_error

from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.btf import Btf
    from skep.engine import Data

_DATA: Any = ctypes._SimpleCData.__mro__[1]  # `_ctypes._CData`, the base of every ctypes class
ADDRESSES = ("z", "Z", "O")  # c_char_p, c_wchar_p, py_object
_FLOATS = ("f", "d", "g")  # letters of float, double, long double
_INTEGERS: dict[int, Any] = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}


def type_of(btf: Btf | None, type_id: int, size: int) -> Any:
    """The ctypes class of a BTF type; without a type an integer of that size, or that many bytes."""
    if btf is not None and type_id:
        from skep.btf import ctypes_type

        return ctypes_type(btf, type_id)
    return _INTEGERS.get(size) or ctypes.c_uint8 * size


def is_ctype(given: Any) -> bool:
    """Whether this is a class of ctypes whose instances have a size: not ctypes.Structure itself."""
    try:
        return isinstance(given, type) and issubclass(given, _DATA) and ctypes.sizeof(given) >= 0
    except TypeError:
        return False


class Codec:
    """One side (key or value) of one map: `ctype` and its bytes."""

    __slots__ = ("_cast", "_order", "_pack_native", "ctype", "letter", "map_name", "side", "size", "unpack")

    def __init__(self, ctype: Any, size: int, map_name: str, side: str) -> None:
        if not is_ctype(ctype):
            raise MapError(
                f"the {side} type of map {map_name!r} must be a class of ctypes with a size, not {ctype!r}", map_name=map_name
            )
        if getattr(ctype, "_type_", "") in ADDRESSES:
            raise MapError(
                f"the {side} type of map {map_name!r} cannot be {ctype.__name__}: ctypes would follow the kernel's numbers as "
                "addresses of this process; use ctypes.c_uint64",
                map_name=map_name,
            )
        if ctypes.sizeof(ctype) != size:
            raise MapError(
                f"{side} type {ctype.__name__} of map {map_name!r} has {ctypes.sizeof(ctype)} bytes, the map's {side} has {size}",
                map_name=map_name,
            )
        self.ctype = ctype
        self.size = size
        self.map_name = map_name
        self.side = side
        self.letter: Any = ctype._type_ if issubclass(ctype, ctypes._SimpleCData) else ""
        self._order: Any = "big" if getattr(ctype, "__ctype_be__", None) is ctype else "little"
        is_native = self._order == sys.byteorder or size == 1
        self._pack_native = Struct(self.letter).pack if is_native and self.letter in tuple("BHILQbhilq") else None
        self._cast: Any = self.letter if is_native and self.letter in tuple("BHILQbhilq?cfd") else ""
        self.unpack: Callable[..., Any] = ctype.from_buffer_copy

    def pack(self, value: Any) -> bytes:
        """The bytes of a ctypes instance, a number, a bytes-like object, or a tuple for a struct or an array."""
        ctype = self.ctype
        if type(value) is ctype:
            return bytes(value)
        if self.letter in _FLOATS and hasattr(value, "__float__"):
            try:
                return bytes(ctype(float(value)))
            except (TypeError, OverflowError) as error:
                raise self._error(f"{type(value).__name__} ({error})") from None
        if isinstance(value, int):
            if self._pack_native is not None:
                try:
                    return self._pack_native(value)
                except struct_error:  # negative for an unsigned type, or too large
                    pass
            return self._pack_integer(value)
        if isinstance(value, _DATA):
            if ctypes.sizeof(value) == self.size:
                return bytes(value)
            if self.letter and isinstance(value, ctypes._SimpleCData) and isinstance(value.value, (int, float)):
                return self.pack(value.value)
            raise self._error(f"{type(value).__name__} of {ctypes.sizeof(value)} bytes")
        if isinstance(value, str):
            try:
                value = value.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                raise self._error(f"{value!r}, which UTF-8 has no bytes for") from None
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._pack_bytes(bytes(value))
        if isinstance(value, (tuple, list)) and not self.letter:
            try:
                return bytes(_build(ctype, value))
            except (TypeError, ValueError, IndexError) as error:
                raise self._error(f"{value!r} ({error})") from None
        if getattr(getattr(value, "dtype", None), "names", None) and value.shape == ():
            from skep.maps.dtypes import dtype_of

            if value.dtype == dtype_of(ctype):  # an element of a structured array; in its gaps is anything
                return self.pack(value.tolist())
        try:
            return self._pack_integer(value.__index__())  # numpy integers
        except (AttributeError, TypeError):  # TypeError: an array of more than one
            pass
        raise self._error(f"{type(value).__name__} {value!r}")

    def unpack_all(self, data: Data, count: int) -> list[Any]:
        """`count` values that lie one after another in `data`."""
        if self._cast:  # through a typed memoryview: a quarter faster than an array of the type
            return list(map(self.ctype, memoryview(data)[: count * self.size].cast(self._cast)))
        if self.letter:
            return [self.unpack(data, at) for at in range(0, count * self.size, self.size)]
        return list((self.ctype * count).from_buffer_copy(data))

    def _pack_integer(self, value: int) -> bytes:
        if not self.letter:
            raise self._error(f"int {value}")
        bits = 8 * self.size
        if not -(1 << bits - 1) <= value < 1 << bits:
            raise MapError(f"{value} does not fit into {self._place()}: it has {self.size} bytes", map_name=self.map_name)
        return (value & (1 << bits) - 1).to_bytes(self.size, self._order)

    def _pack_bytes(self, value: bytes) -> bytes:
        if len(value) < self.size and getattr(self.ctype, "_type_", None) is ctypes.c_char:
            return value.ljust(self.size, b"\0")
        if len(value) != self.size:
            raise self._error(f"{len(value)} bytes")
        return value

    def _place(self) -> str:
        return f"the {self.side} of map {self.map_name!r}"

    def _error(self, got: str) -> MapError:
        kind = "a number" if self.letter in _FLOATS else "an integer" if self.letter else f"a {self.ctype.__name__}, a tuple"
        return MapError(
            f"{self._place()} is {self.ctype.__name__} ({self.size} bytes); got {got}; give {kind} or {self.size} bytes",
            map_name=self.map_name,
        )


def _build(ctype: Any, value: Any, bits: int = 0) -> Any:
    """A struct or array from a tuple of its members; the gaps that BTF's ctypes types name `__pad_N` are not counted."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, int):
        return _fitting(ctype, value, bits)
    if not isinstance(value, (tuple, list)):
        return value
    fields = getattr(ctype, "_fields_", None)
    if fields is None:
        return ctype(*[_build(ctype._type_, item) for item in value])
    named = [field for field in fields if not field[0].startswith("__pad_")]
    if len(value) > len(named):
        raise TypeError("too many initializers")
    return ctype(**{field[0]: _build(field[1], item, *field[2:]) for field, item in zip(named, value, strict=False)})


def _fitting(ctype: Any, value: int, bits: int = 0) -> int:
    """The integer, if the member has room for it, as a signed number or as an unsigned one: ctypes would cut it silently."""
    bits = bits or 8 * ctypes.sizeof(ctype)
    if getattr(ctype, "_type_", None) in tuple("bBhHiIlLqQ") and not -(1 << bits - 1) <= value < 1 << bits:
        raise ValueError(f"{value} does not fit into {bits} bits")
    return value
