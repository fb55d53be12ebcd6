"""Histograms of maps as text: BCC's layout, byte for byte, and its JSON-like dictionaries.

In: a view whose keys are slots, or structs of a bucket and a slot. Out: printed lines.
"""

from __future__ import annotations

import ctypes

from skep.errors import MapError, MapIndexError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from skep.maps.table import Table

STARS = 40
LOG2_SLOTS, LINEAR_SLOTS = 65, 1025  # as many as BCC takes: 64 bits and zero; 0 to 1024
_NARROW_SLOTS = 32  # up to here the limits of the slots have ten digits


class Histogram:
    """The slots of one section: `bucket` is None when the map has no sections."""

    __slots__ = ("bucket", "counts")

    def __init__(self, bucket: Any, counts: list[int]) -> None:
        self.bucket = bucket
        self.counts = counts


class Sections:
    """What becomes of the buckets of a map whose keys are structs: BCC's arguments of that name."""

    __slots__ = ("bucket_fn", "header", "print_fn", "sort_fn")

    def __init__(
        self,
        header: str,
        print_fn: Callable[[Any], Any] | None,
        bucket_fn: Callable[[Any], Any] | None,
        sort_fn: Callable[[list[Any]], Iterable[Any]] | None,
    ) -> None:
        for name, function in (("section_print_fn", print_fn), ("bucket_fn", bucket_fn), ("bucket_sort_fn", sort_fn)):
            if function is not None and not callable(function):
                raise MapError(f"{name} of a histogram is a function of the bucket, not {type(function).__name__} {function!r}")
        self.header = header
        self.print_fn = print_fn
        self.bucket_fn = bucket_fn
        self.sort_fn = sort_fn


def read(table: Table, slots: int, sections: Sections) -> list[Histogram]:
    """The map's histograms, in the order in which their buckets are met, or in that of `sort_fn(buckets)`."""
    if not issubclass(table.Key, ctypes.Structure):
        counts = [0] * slots
        for key, leaf in table.items():
            counts[_slot(table, key.value, slots)] = _count(table, leaf)
        return [Histogram(None, counts)]
    fields = [field[0] for field in table.Key._fields_ if not field[0].startswith("__pad_")]
    if len(fields) < 2:
        raise MapIndexError(f"map {table.name!r}: a key with one member has no room for a bucket and a slot", map_name=table.name)
    found: dict[Any, list[int]] = {}
    for key, leaf in table.items():
        bucket = getattr(key, fields[0])
        if sections.bucket_fn is not None:
            bucket = sections.bucket_fn(bucket)
        try:
            counts = found.setdefault(bucket, [0] * slots)
        except TypeError:
            raise MapError(
                f"map {table.name!r}: bucket_fn gave {bucket!r}, which cannot be told apart: give bytes, a number or a tuple",
                map_name=table.name,
            ) from None
        counts[_slot(table, getattr(key, fields[1]), slots)] = _count(table, leaf)
    buckets: Any = found if sections.sort_fn is None else sections.sort_fn(list(found))
    try:
        return [Histogram(bucket, found[bucket]) for bucket in buckets]
    except (TypeError, KeyError):
        raise MapError(
            f"map {table.name!r}: bucket_sort_fn gives the list of buckets in another order, not {buckets!r}", map_name=table.name
        ) from None


def _count(table: Table, leaf: Any) -> int:
    try:
        if isinstance(leaf, ctypes.Array):
            return sum(leaf)  # of all CPUs
        value: int = getattr(leaf, "value", leaf)  # what a reducer makes of them may be a number
        return value + 0
    except TypeError:
        raise MapError(
            f"the values of map {table.name!r} are {type(leaf).__name__}: a histogram counts in integers", map_name=table.name
        ) from None


def _slot(table: Table, slot: int, slots: int) -> int:
    if not 0 <= slot < slots:
        kind = "print_linear_hist" if slots == LINEAR_SLOTS else "print_log2_hist"
        raise MapIndexError(f"Index in {kind}() of {slot} exceeds max of {slots}.", map_name=table.name)
    return slot


def log2_lines(counts: list[int], val_type: str, strip_leading_zero: object) -> list[str]:
    """A table of powers of two; slot 0 is not shown."""
    last = max((slot for slot, count in enumerate(counts) if count > 0), default=-1)
    if last < 1:
        return []
    narrow = last <= _NARROW_SLOTS
    number, stars = (10, STARS) if narrow else (20, STARS // 2)
    indent, title = (5, 19) if narrow else (15, 29)
    lines = [f"{'':{indent}}{val_type!s:<{title}} : count     distribution"]
    highest = max(counts)
    for slot in range(_first(counts, strip_leading_zero, 1), last + 1):
        low, high = (1 << slot) >> 1, (1 << slot) - 1
        low -= low == high
        bar = _bar(counts[slot], highest, stars)
        lines.append(f"{low:>{number}} -> {high:<{number}} : {counts[slot]:<8} |{bar}|")
    return lines


def linear_lines(counts: list[int], val_type: str, strip_leading_zero: object) -> list[str]:
    """A table of numbers from 0 on."""
    last = max((slot for slot, count in enumerate(counts) if count > 0), default=-1)
    if last < 0:
        return []
    lines = [f"     {val_type!s:<13} : count     distribution"]
    highest = max(counts)
    for slot in range(_first(counts, strip_leading_zero, 0), last + 1):
        lines.append(f"        {slot:<10} : {counts[slot]:<8} |{_bar(counts[slot], highest, STARS)}|")
    return lines


def _first(counts: list[int], strip_leading_zero: object, first: int) -> int:
    if not strip_leading_zero:
        return first
    return next(slot for slot, count in enumerate(counts) if slot >= first and count)


def _bar(count: int, highest: int, width: int) -> str:
    return ("*" * min(int(width * count / highest), width)).ljust(width)


def print_sections(
    table: Table,
    lines: Callable[[list[int], str, object], list[str]],
    val_type: str,
    sections: Sections,
    strip_leading_zero: object,
) -> None:
    """Print each histogram of the map, with the section's name before it where the map has sections."""
    slots = LINEAR_SLOTS if lines is linear_lines else LOG2_SLOTS
    for histogram in read(table, slots, sections):
        if issubclass(table.Key, ctypes.Structure):
            name = repr(histogram.bucket) if sections.print_fn is None else sections.print_fn(histogram.bucket)
            print(f"\n{sections.header} = {name}")
        for line in lines(histogram.counts, val_type, strip_leading_zero):
            print(line)


def dictionaries(table: Table, val_type: str, sections: Sections) -> list[dict[str, Any]]:
    """The histograms as BCC's print_json_hist shows them."""
    found = []
    for histogram in read(table, LOG2_SLOTS, sections):
        entry = dictionary(histogram.counts, val_type)
        if issubclass(table.Key, ctypes.Structure):
            entry[sections.header] = histogram.bucket if sections.print_fn is None else sections.print_fn(histogram.bucket)
        found.append(entry)
    return found


def dictionary(counts: Sequence[int], val_type: str) -> dict[str, Any]:
    """Slots as intervals, up to the last that is not empty."""
    from time import strftime

    last = max((slot for slot, count in enumerate(counts) if count), default=0)
    data = [
        {"interval-start": 1 << slot - 1 if slot > 1 else 0, "interval-end": (1 << slot) - 1, "count": int(counts[slot])}
        for slot in range(1, last + 1)
    ]
    return {"ts": strftime("%Y-%m-%d %H:%M:%S"), "val_type": val_type, "data": data}
