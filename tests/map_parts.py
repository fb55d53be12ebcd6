"""All elements of a map at once, for tests that look at a map's handle."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skep.engine import MapHandle, Part

    Whole = tuple[bytes, bytes, int]


def joined(parts: Iterable[Part]) -> Whole:
    """The parts as one: (keys, values, count)."""
    keys, values, total = b"", b"", 0
    for part_keys, part_values, count in parts:
        keys, values, total = keys + bytes(part_keys), values + bytes(part_values), total + count
    return keys, values, total


def whole(handle: MapHandle, *, delete: bool = False) -> Whole:
    """All elements of a map that can be read in parts."""
    parts = handle.parts(delete=delete)
    assert parts is not None, "this map can only be walked key by key"
    return joined(parts)
