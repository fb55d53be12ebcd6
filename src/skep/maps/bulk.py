"""Maps as numpy arrays: all keys and values in one structured array, arrays written in one call, shared memory seen live.

numpy is imported when one of these is called.
"""

from __future__ import annotations

import ctypes

from skep.errors import MapError
from skep.maps.dtypes import dtype_of, without_gaps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    import numpy
    from numpy.typing import NDArray

    from skep.engine import Data
    from skep.maps.codec import Codec
    from skep.maps.table import Table


def entries_array(table: Table, parts: Iterable[tuple[Data | None, Data, int]], stride: int) -> NDArray[Any]:
    """(key, value) records of parts: packed keys (None: 0, 1, 2, ...), values that are `stride` bytes apart, how many."""
    import numpy

    leaves = table._leaves
    key_type, element = dtype_of(table.Key), _strided(leaves, stride)
    record = numpy.dtype([("key", key_type), ("value", _leaf_dtype(leaves))])
    rows: NDArray[Any] | None = None
    total = 0
    for keys, values, count in parts:
        if rows is None:  # after a good part of what may be there, the rest is likely to follow
            rows = numpy.empty(max(count, table.max_entries) if 4 * count > table.max_entries else count, record)
        elif total + count > len(rows):
            rows = _grown(rows[:total], count, table.max_entries)
        part = rows[total : total + count]
        part["key"] = numpy.arange(count, dtype=key_type) if keys is None else numpy.frombuffer(keys, key_type, count)
        source = numpy.frombuffer(values, element, count)["element"]
        part["value"] = source["element"] if _is_padded(leaves) else source
        total += count
    if rows is None:
        return numpy.empty(0, record)
    if total == len(rows):
        return rows
    return rows[:total] if 2 * total > len(rows) else rows[:total].copy()


def _grown(rows: NDArray[Any], count: int, max_entries: int) -> NDArray[Any]:
    """The rows with room for `count` more, and for some that may follow."""
    import numpy

    needed = len(rows) + count
    grown = numpy.empty(max(needed, min(max_entries, 16 * needed)), rows.dtype)  # memory that is not written to costs nothing
    grown[: len(rows)] = rows
    return grown


def _leaf_dtype(codec: Codec) -> numpy.dtype[Any]:
    import numpy

    elements = getattr(codec, "elements", 0)
    if not elements:
        return dtype_of(codec.ctype)
    element = dtype_of(codec.element)  # type: ignore[attr-defined]
    return numpy.dtype((element.base, (elements, *element.shape)))


def _strided(codec: Codec, stride: int) -> numpy.dtype[Any]:
    """One field "element", in records of `stride` bytes; for per-CPU values an array of them."""
    import numpy

    elements = getattr(codec, "elements", 0)
    if not elements:
        return numpy.dtype({"names": ["element"], "formats": [dtype_of(codec.ctype)], "offsets": [0], "itemsize": stride})
    return numpy.dtype([("element", _padded(codec), (elements,))])


def _is_padded(codec: Any) -> bool:
    return bool(getattr(codec, "elements", 0)) and codec.stride * codec.elements != codec.size


def _padded(codec: Any) -> numpy.dtype[Any]:
    """One CPU's element in a multiple of 8 bytes: a record with the field "element" where that is more than it needs."""
    import numpy

    element = dtype_of(codec.element)
    if not _is_padded(codec):
        return element
    return numpy.dtype({"names": ["element"], "formats": [element], "offsets": [0], "itemsize": codec.stride})


def pack_array(codec: Codec, data: Any) -> tuple[Data, int]:
    """The packed bytes of a numpy array of keys or values, and how many there are; numbers that do not fit are refused."""
    import numpy

    array = numpy.atleast_1d(data)
    elements = getattr(codec, "elements", 0)
    if elements:
        if array.ndim < 2 or array.shape[1] != elements:
            raise MapError(
                f"values of map {codec.map_name!r} are an array of shape (n, {elements}), one column for each possible CPU, "
                f"not {array.shape}",
                map_name=codec.map_name,
            )
        packed = numpy.zeros((len(array), elements), _padded(codec))
        target = packed["element"] if _is_padded(codec) else packed
        target[...] = _converted(array, dtype_of(codec.element), codec)  # type: ignore[attr-defined]
        return packed.view(numpy.uint8).reshape(-1).data, len(array)
    wanted = dtype_of(codec.ctype)
    converted = numpy.ascontiguousarray(_converted(array, wanted, codec))
    count = len(array)
    if converted.nbytes != count * codec.size:
        raise MapError(
            f"{codec.side}s of map {codec.map_name!r} have {codec.size} bytes; an array of shape {array.shape} and "
            f"{array.dtype} has {converted.nbytes // max(count, 1)} for each",
            map_name=codec.map_name,
        )
    return without_gaps(converted).data, count


def _converted(array: NDArray[Any], wanted: numpy.dtype[Any], codec: Codec) -> NDArray[Any]:
    base = wanted.base
    if array.dtype == base:
        return array
    if array.dtype.names is None and array.dtype.kind in "iub" and base.kind in "iub":
        converted = array.astype(base)
        # as in C, numbers of the same size keep their bits: -1 is the largest unsigned
        if array.dtype.itemsize != base.itemsize and not (converted.astype(array.dtype) == array).all():
            raise MapError(f"numbers of {array.dtype} do not fit into the {codec.side} of map {codec.map_name!r}, {base}")
        return converted
    if array.dtype.kind == base.kind == "S" or (array.dtype.names is not None and array.dtype.names == base.names):
        return array.astype(base)
    if array.dtype.itemsize == base.itemsize and (array.dtype.kind == "V" or base.names is not None):
        return array.view(base)
    raise MapError(
        f"the {codec.side} of map {codec.map_name!r} is {base}; an array of {array.dtype} is no such thing: use astype()"
    )


def live_array(table: Table) -> NDArray[Any]:
    """The values of an array map in memory shared with its programs, one for each index; no system call reads or writes them."""
    import numpy

    writable = True
    try:
        memory = table.handle.memory(writable=True)
    except PermissionError:
        memory, writable = table.handle.memory(), False
    if memory is None:
        raise MapError(
            f"map {table.name!r} has no memory to share: it takes an array (not per-CPU, without locks or timers in its values) "
            "with the flag BPF_F_MMAPABLE, as BPF_ARRAY has on Linux 5.5 and newer",
            map_name=table.name,
        )
    stride = (ctypes.sizeof(table.Leaf) + 7) // 8 * 8
    found: NDArray[Any] = numpy.frombuffer(memory, _strided(table._leaves, stride), table.max_entries)["element"]
    if not writable:  # the user engine's memory is that of its programs, who may write
        found.flags.writeable = False
    return found
