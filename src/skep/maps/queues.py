"""Views of the kinds without keys: queues and stacks (Linux 4.20), bloom filters (5.16)."""

from __future__ import annotations

from skep.arguments import as_number
from skep.errors import MapError, MapKeyError
from skep.maps.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class QueueStack(View):
    """A queue (first in, first out) or a stack (last in, first out) of values; Linux 4.20."""

    BPF_EXIST = 2  # for push: when full, drop the oldest

    def push(self, leaf: Any, flags: int = 0) -> None:
        """Put a value in; MapError when it is full, unless `flags` is BPF_EXIST."""
        self.handle.update(b"", self._leaves.pack(leaf), as_number(flags, "flags", most=self.BPF_EXIST))

    def pop(self) -> Any:
        """Take the next value out; MapKeyError when there is none."""
        return self._leaf(self.handle.lookup_and_delete(b""))

    def peek(self) -> Any:
        """The next value, which stays; MapKeyError when there is none."""
        return self._leaf(self.handle.lookup(b""))

    def itervalues(self) -> Iterator[Any]:
        """Take values out until it is empty, `max_entries` of them at most: programs may go on filling it."""
        for _ in range(self.max_entries):
            value = self.handle.lookup_and_delete(b"")
            if value is None:
                return
            yield self._leaves.unpack(value)

    def values(self) -> list[Any]:
        """Take all values out."""
        return list(self.itervalues())

    def clear(self) -> None:
        for _ in self.itervalues():
            pass

    def _leaf(self, value: bytes | None) -> Any:
        if value is None:
            raise MapKeyError(f"{self.map_type_name} {self.name!r} is empty", map_name=self.name)
        return self._leaves.unpack(value)


class BloomFilter(View):
    """A set that may say yes for a value that was never added, and never no for one that was; Linux 5.16."""

    def add(self, leaf: Any) -> None:
        """Put a value in; nothing comes out again."""
        self.handle.update(b"", self._leaves.pack(leaf))

    push = add

    def __contains__(self, leaf: Any) -> bool:
        return self.handle.contains(self._leaves.pack(leaf))

    def __iter__(self) -> Iterator[Any]:
        raise MapError(f"bloom filter {self.name!r} can be asked for a value (`in`), not listed", map_name=self.name)
