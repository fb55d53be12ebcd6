"""The view of plain arrays. Keys are indexes; negative ones count from the end."""

from __future__ import annotations

import struct

from skep.errors import MapError, MapIndexError
from skep.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Literal

    from numpy.typing import NDArray

_LETTERS: dict[int, Literal["B", "H", "I"]] = {1: "B", 2: "H", 4: "I"}


class Array(Table):
    """Every index exists from the start; `del` and `clear` write zeros.

    Where the kernel lets its memory be mapped (BPF_ARRAY without flags, Linux 5.5), all entries are read without a system call.
    """

    key_error: type[MapError] = MapIndexError

    def __len__(self) -> int:
        return self.max_entries

    def __delitem__(self, key: Any) -> None:
        self.handle.update(self._pack_key(key), self._leaves.pack(self.Leaf()), self.lock)

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

    def zero(self) -> None:
        count = self.max_entries
        self.handle.update_batch(self._indexes(), bytes(self.handle.value_size * count), count, self.lock)

    def values(self) -> Any:
        packed = self._mapped_values()
        return self._leaves.unpack_all(packed, self.max_entries) if packed is not None else Table.values(self)

    def items(self) -> Any:
        packed = self._mapped_values()
        if packed is None:
            return Table.items(self)
        return self._pairs([(self._indexes(), packed, self.max_entries)])

    def to_numpy(self) -> NDArray[Any]:
        memory = self.handle.memory()
        if memory is None:
            return Table.to_numpy(self)
        from skep.maps.bulk import entries_array

        with memoryview(memory) as view:
            return entries_array(self, [(None, view, self.max_entries)], (self.handle.value_size + 7) // 8 * 8)

    def live(self) -> NDArray[Any]:
        """The values as a numpy array in memory shared with the programs: reads and writes need no system call (Linux 5.5).

        The array has no BPF map's lifetime: it stays valid when the map is closed. Read-only where the map is frozen.
        """
        from skep.maps.bulk import live_array

        return live_array(self)

    def _mapped_values(self) -> bytes | None:
        """The packed values, copied from the map's memory; None when it cannot be mapped, or not unpacked quickly."""
        size = self.handle.value_size
        if size % 8 and size not in _LETTERS:
            return None
        memory = self.handle.memory()
        if memory is None:
            return None
        with memoryview(memory) as view:
            if not size % 8:
                return bytes(view[: size * self.max_entries])
            with view[: 8 * self.max_entries].cast(_LETTERS[size]) as words:  # each value has 8 bytes
                values: bytes = words[:: 8 // size].tobytes()
                return values

    def _all_keys(self) -> list[Any]:
        return self._keys.unpack_all(self._indexes(), self.max_entries)

    def _indexes(self) -> bytes:
        """All keys, packed."""
        return struct.pack(f"={self.max_entries}I", *range(self.max_entries))

    def _walk(self) -> Iterator[bytes]:
        return map(self._keys.pack, range(self.max_entries))

    def _pack_key(self, key: Any) -> bytes:
        index = getattr(key, "value", key)
        if isinstance(index, int):
            if not -self.max_entries <= index < self.max_entries:
                raise MapIndexError(
                    f"index {index} is outside map {self.name!r}: it has {self.max_entries} entries", map_name=self.name
                )
            return self._keys.pack(index + self.max_entries if index < 0 else index)
        return self._keys.pack(key)
