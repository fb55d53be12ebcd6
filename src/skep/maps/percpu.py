"""Views of the per-CPU kinds: a value is one element for each possible CPU."""

from __future__ import annotations

import ctypes

from skep.errors import MapError
from skep.maps.array import Array
from skep.maps.codec import Codec
from skep.maps.table import Table
from skep.maps.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from skep.engine import Data


class PerCpuCodec(Codec):
    """Packs `elements` values of `element` type; the kernel gives each a multiple of 8 bytes (bpf_long_memcpy)."""

    __slots__ = ("element", "elements", "reducer", "stride", "whole")

    def __init__(self, element: Any, size: int, elements: int, map_name: str) -> None:
        Codec(element, size, map_name, "value")  # checks the size of one element
        super().__init__(element * elements, size * elements, map_name, "value")
        self.element = element
        self.elements = elements
        self.stride = (size + 7) // 8 * 8
        self.whole = self.unpack if self.stride == size else self._unpack_padded
        self.unpack = self.whole
        self.reducer: Callable[[Any, Any], Any] | None = None

    def reduce_with(self, reducer: Callable[[Any, Any], Any]) -> None:
        """Unpack what `reducer` makes of the elements, two by two; `whole` gives them all."""
        self.reducer = reducer
        self.unpack = lambda data, offset=0: reduced(reducer, self.whole(data, offset))

    def pack(self, value: Any) -> bytes:
        if hasattr(value, "__array_interface__"):
            value = value.tolist()
        given = 1 if isinstance(value, int) else len(value) if isinstance(value, (list, tuple)) else self.elements
        if given != self.elements or isinstance(value, int):
            raise MapError(
                f"{self._place()} has one element for each of {self.elements} CPUs: give a list of that many, not {given}",
                map_name=self.map_name,
            )
        if type(value) is bytes and len(value) == self.stride * self.elements:
            return value
        packed = super().pack(value)
        if self.stride * self.elements == self.size:
            return packed
        one = self.size // self.elements
        return b"".join(packed[i : i + one].ljust(self.stride, b"\0") for i in range(0, self.size, one))

    def unpack_all(self, data: Data, count: int) -> list[Any]:
        whole = self.stride * self.elements
        if whole == self.size and self.reducer is None:
            return super().unpack_all(data, count)
        return [self.unpack(data, offset) for offset in range(0, whole * count, whole)]

    def _unpack_padded(self, data: Data, offset: int = 0) -> Any:
        one = self.size // self.elements
        end = offset + self.stride * self.elements
        return self.ctype.from_buffer_copy(b"".join(data[i : i + one] for i in range(offset, end, self.stride)))


def reduced(reducer: Callable[[Any, Any], Any], elements: Iterable[Any]) -> Any:
    """One value from many, taken two by two."""
    rest = iter(elements)
    result = next(rest)
    for element in rest:
        result = reducer(result, element)
    return result


def _per_cpu_codec(table: View, leaf_type: Any) -> Codec:
    return PerCpuCodec(leaf_type, table.handle.spec.value_size, table.bpf.engine.possible_cpus, table.name)


class PerCpuHash(Table):
    """A hash with one value per possible CPU. With a `reducer(a, b)`, given to `get_table`, all that reads gives one value made
    of them, but for `getvalue` and arrays.
    """

    _leaves: PerCpuCodec
    _leaf_codec = _per_cpu_codec

    @property
    def sLeaf(self) -> Any:
        """The ctypes type of one element; `Leaf` is the array of all CPUs'."""
        return self.Leaf._type_

    @property
    def reducer(self) -> Callable[[Any, Any], Any] | None:
        return self._leaves.reducer

    @reducer.setter
    def reducer(self, function: Callable[[Any, Any], Any]) -> None:
        self._leaves.reduce_with(self._checked(function))

    def getvalue(self, key: Any) -> Any:
        """The array of elements, whatever `reducer` says."""
        value = self.handle.lookup(self._pack_key(key), self.lock)
        if value is None:
            raise self._missing(key)
        return self._leaves.whole(value)

    def reduce(self, function: Callable[[Any, Any], Any], key: Any) -> Any:
        """One value from the elements of all CPUs, taken two by two."""
        return reduced(self._checked(function), self.getvalue(key))

    def _checked(self, function: Any) -> Callable[[Any, Any], Any]:
        if not callable(function):
            raise MapError(
                f"map {self.name!r}: what reduces two values to one is a function, not {function!r}", map_name=self.name
            )
        return function  # type: ignore[no-any-return]

    def sum(self, key: Any) -> Any:
        """The elements' sum, as a 64-bit ctypes integer."""
        return self._wide(sum(self._integers(key)))

    def max(self, key: Any) -> Any:
        return self._wide(max(self._integers(key)))

    def min(self, key: Any) -> Any:
        return self._wide(min(self._integers(key)))

    def average(self, key: Any) -> float:
        elements = self._integers(key)
        return sum(elements) / len(elements)

    def _wide(self, value: int) -> Any:
        signed = self.Leaf._type_(-1).value == -1
        return ctypes.c_int64(value) if signed else ctypes.c_uint64(value)

    def _integers(self, key: Any) -> list[int]:
        if not issubclass(self.Leaf._type_, ctypes._SimpleCData):
            raise MapError(
                f"the values of map {self.name!r} are no integers: use getvalue(key) or reduce(function, key)", map_name=self.name
            )
        return list(self.getvalue(key))


class PerCpuArray(Array, PerCpuHash):
    """An array with one value per possible CPU."""

    _leaf_codec = _per_cpu_codec

    def _mapped_values(self) -> None:
        return None  # the kernel maps no per-CPU array
