"""Views of the array kinds: plain arrays and program arrays. Keys are indexes; negative ones count from the end."""

from __future__ import annotations

from skep.errors import MapError, MapIndexError
from skep.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Array(Table):
    """Every index exists from the start; `del` and `clear` write zeros."""

    key_error = MapIndexError

    def __len__(self) -> int:
        return self.max_entries

    def __delitem__(self, key: Any) -> None:
        self.handle.update(self._pack_key(key), self._leaves.pack(self.Leaf()))

    clearitem = __delitem__

    def __contains__(self, key: Any) -> bool:
        try:
            self._pack_key(key)
        except MapIndexError:
            return False
        return True

    def get(self, key: Any, default: Any = None) -> Any:
        try:
            return self[key]
        except MapIndexError:
            return default

    def pop(self, key: Any, default: Any = None) -> Any:
        raise MapError(f"map {self.name!r} is an array: its entries cannot be removed; `del` writes zero", map_name=self.name)

    def popitem(self) -> tuple[Any, Any]:
        return self.pop(None)  # type: ignore[no-any-return]

    def clear(self) -> None:
        self.zero()

    def _walk(self) -> Iterator[bytes]:
        return map(self._keys.pack, range(self.max_entries))

    def _pack_key(self, key: Any) -> bytes:
        index = getattr(key, "value", key)
        if isinstance(index, int):
            if not -self.max_entries <= index < self.max_entries:
                raise MapIndexError(f"index {index} is outside map {self.name!r}: it has {self.max_entries}", map_name=self.name)
            return self._keys.pack(index + self.max_entries if index < 0 else index)
        return self._keys.pack(key)


class ProgArray(Array):
    """Programs by index, for tail calls. A program goes in as what `load_func` returns, or as its fd; its id comes out."""

    def __setitem__(self, key: Any, program: Any) -> None:
        fd = getattr(program, "fd", program)
        if isinstance(fd, (str, bytes)) or fd is None:
            raise MapError(
                f"{self.name!r} holds programs: give what load_func() returns, or its fd, not {fd!r}", map_name=self.name
            )
        self.handle.update(self._pack_key(key), self._leaves.pack(fd))

    def __delitem__(self, key: Any) -> None:
        if not self.handle.delete(self._pack_key(key)):
            raise self._missing(key)

    clearitem = __delitem__

    def __contains__(self, key: Any) -> bool:
        return Array.__contains__(self, key) and self.handle.lookup(self._pack_key(key)) is not None

    def _walk(self) -> Iterator[bytes]:
        for key in Array._walk(self):
            if self.handle.lookup(key) is not None:
                yield key

    def clear(self) -> None:
        for key in list(self._walk()):
            self.handle.delete(key)

    def zero(self) -> None:
        self.clear()
