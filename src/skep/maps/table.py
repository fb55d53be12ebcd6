"""The Python view of a map with keys: BCC's table over a MapHandle, keys and values as ctypes objects.

Table is what every kind with keys shares and the view of the hash kinds; the other kinds say only what differs.
"""

from __future__ import annotations

import ctypes
import errno
import gc

# `collections.abc` pulls in `collections` (1.8 ms); the same class is already loaded from here by `os`
from _collections_abc import MutableMapping

from skep.engine.errnos import ENOTSUPP
from skep.errors import MapError, MapKeyError
from skep.maps.codec import Codec, type_of
from skep.maps.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from numpy.typing import NDArray

    from skep.engine import Data, MapHandle, Part
    from skep.maps.view import Owner as Owner

    _Mapping = MutableMapping[Any, Any]
    Section = Callable[[Any], Any] | None
    Sorting = Callable[[list[Any]], Iterable[Any]] | None
else:
    _Mapping = MutableMapping

_MISSING = object()
# hash kinds have the call since 5.14; before that, and for other kinds, the kernel says one of these
_NO_LOOKUP_AND_DELETE = (errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP)


class Table(View, _Mapping):
    """A mapping view of one map; `Key` and `Leaf` are its ctypes types, `bpf` the object that it belongs to.

    Keys and values may be given as ctypes instances, integers, bytes, or tuples for structs; they come back as ctypes instances.
    """

    key_error: type[MapError] = MapKeyError

    def __init__(self, handle: MapHandle, bpf: Owner, *, key_type: Any = None, leaf_type: Any = None) -> None:
        super().__init__(handle, bpf, leaf_type=leaf_type)
        spec = handle.spec
        btf = bpf.object.btf
        self._keys = Codec(
            type_of(btf, spec.key_type, spec.key_size) if key_type is None else key_type, spec.key_size, spec.name, "key"
        )
        self.Key = self._keys.ctype

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.Key.__name__} -> {self.Leaf.__name__}, {self.max_entries} entries>"

    # One entry

    def __getitem__(self, key: Any) -> Any:
        value = self.handle.lookup(self._pack_key(key), self.lock)
        if value is None:
            raise self._missing(key)
        return self._leaves.unpack(value)

    def get(self, key: Any, default: Any = None) -> Any:
        value = self.handle.lookup(self._pack_key(key), self.lock)
        return default if value is None else self._leaves.unpack(value)

    def __setitem__(self, key: Any, leaf: Any) -> None:
        self.handle.update(self._pack_key(key), self._pack_leaf(leaf), self.lock)

    def __delitem__(self, key: Any) -> None:
        if not self.handle.delete(self._pack_key(key)):
            raise self._missing(key)

    def __contains__(self, key: Any) -> bool:
        return self.handle.lookup(self._pack_key(key)) is not None

    def pop(self, key: Any, default: Any = _MISSING) -> Any:
        """Remove a key and return its value, in one step of the kernel where it can (hash kinds, Linux 5.14)."""
        value = self._take(self._pack_key(key))
        if value is not None:
            return self._leaves.unpack(value)
        if default is _MISSING:
            raise self._missing(key)
        return default

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return some (key, value); MapKeyError when the map is empty."""
        while (key := self.handle.next_key(None)) is not None:
            value = self._take(key)
            if value is not None:
                return self._keys.unpack(key), self._leaves.unpack(value)
        raise MapKeyError(f"map {self.name!r} is empty", map_name=self.name)

    # All entries

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all_keys())

    def __len__(self) -> int:
        parts = self._read()
        return sum([1 for _ in self._walk()] if parts is None else [count for _, _, count in parts])

    # BCC's items() and the like are lists, except keys(): it is an iterator
    def keys(self) -> Any:
        return iter(self._all_keys())

    iterkeys = iter = keys

    def next(self, key: Any) -> Any:
        """The key after this one (None: the first); StopIteration at the end. A key that is gone starts again at the first."""
        following = self.handle.next_key(None if key is None else self._pack_key(key))
        if following is None:
            raise StopIteration
        return self._keys.unpack(following)

    def values(self) -> Any:
        found: list[Any] = []
        for _, leaves, count in self._parts():
            found += self._leaves.unpack_all(leaves, count)
        return found

    def items(self) -> Any:
        """All (key, value) pairs, read with batch calls where the kernel has them (Linux 5.6).

        An entry that stays meanwhile is there once; one that comes or goes may or may not be.
        """
        return self._pairs(self._parts())

    def itervalues(self) -> Iterator[Any]:
        return iter(self.values())

    def iteritems(self) -> Iterator[tuple[Any, Any]]:
        return iter(self.items())

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Write many entries, a mapping's or (key, value) pairs, in one call where the kernel has it (Linux 5.6)."""
        given = other.items() if hasattr(other, "items") else other
        entries = [*self._many(given, "update() takes a mapping, or an iterable of (key, value)"), *more.items()]
        try:
            pairs = [(key, leaf) for key, leaf in entries]
        except (TypeError, ValueError):
            raise MapError(
                f"map {self.name!r}: update() takes (key, value) pairs, not {_shown(entries)}", map_name=self.name
            ) from None
        keys = b"".join([self._pack_key(key) for key, _ in pairs])
        leaves = b"".join([self._pack_leaf(leaf) for _, leaf in pairs])
        self.handle.update_batch(keys, leaves, len(pairs), self.lock)

    def clear(self) -> None:
        """Remove all entries."""
        self.items_delete_batch()

    def zero(self) -> None:
        """Set every value to zero and keep the keys."""
        for keys, count in self._key_parts():
            self.handle.update_batch(keys, bytes(self.handle.value_size * count), count, self.lock)

    # BCC's batch calls (Linux 5.6)

    def items_lookup_batch(self) -> Iterator[tuple[Any, Any]]:
        """The (key, value) pairs of `items()`, one after the other."""
        return iter(self.items())

    def items_lookup_and_delete_batch(self) -> Iterator[tuple[Any, Any]]:
        """Take all entries out of the map and give their (key, value) pairs; what comes meanwhile may stay."""
        parts = self.handle.parts(delete=True, flags=self.lock)
        return iter(self._pairs(_joined(list(self._walk()), self._take) if parts is None else parts))

    def items_update_batch(self, keys: Any, leaves: Any) -> None:
        """Write `keys[i]: leaves[i]` for all i; ctypes arrays, numpy arrays, or any sequences."""
        packed, count = self._pack_all(self._keys, keys, self._pack_key)
        values, leaf_count = self._pack_all(self._leaves, leaves, self._pack_leaf)
        if count != leaf_count:
            raise MapError(f"map {self.name!r}: {count} keys and {leaf_count} values; there must be as many", map_name=self.name)
        self.handle.update_batch(packed, values, count, self.lock)

    def items_delete_batch(self, keys: Any = None) -> int:
        """Remove these keys (None: all), and say how many were there."""
        if keys is None:
            parts = self.handle.parts(delete=True)
            if parts is not None:
                return sum([count for _, _, count in parts])
            found = list(self._walk())
            return self.handle.delete_batch(b"".join(found), len(found))
        return self.handle.delete_batch(*self._pack_all(self._keys, keys, self._pack_key))

    # numpy

    def to_numpy(self) -> NDArray[Any]:
        """All entries as a structured array with the fields "key" and "value", read as `items()` reads them.

        Per-CPU values have one more dimension: `array["value"]` is of shape (entries, possible CPUs).
        """
        from skep.maps.bulk import entries_array

        return entries_array(self, self._parts(), self.handle.value_size)

    def update_from(self, keys: Any, values: Any = None) -> None:
        """Write many entries from arrays: keys and values, or one structured array such as `to_numpy()` gives.

        Per-CPU values are of shape (entries, possible CPUs). When the map is full, MapError says how many were written.
        """
        if values is None:
            if set(getattr(getattr(keys, "dtype", None), "names", None) or ()) != {"key", "value"}:
                raise MapError(
                    f"map {self.name!r}: give keys and values, or one structured array with the fields key and value, "
                    f"not {type(keys).__name__} alone",
                    map_name=self.name,
                )
            keys, values = keys["key"], keys["value"]
        self.items_update_batch(keys, values)

    # Text

    def key_sprintf(self, key: Any) -> bytes:
        """A key as BCC writes it: `0x2a`, `{ 0x1 [ 0x2 0x3 ] "text" }`."""
        from skep.maps.text import print_value

        return print_value(self._keys.ctype, self._pack_key(key))

    def key_scanf(self, text: str | bytes) -> Any:
        """The key that a text in the form of `key_sprintf` stands for; numbers may be decimal, 0x... or octal."""
        return self._scan(self._keys, text)

    def print_log2_hist(
        self,
        val_type: str = "value",
        section_header: str = "Bucket ptr",
        section_print_fn: Section = None,
        bucket_fn: Section = None,
        strip_leading_zero: object = None,
        bucket_sort_fn: Sorting = None,
    ) -> None:
        """Print the values as a histogram whose slots are powers of two, 0 to 64 (`bpf_log2l`).

        A struct key is a bucket and a slot: each bucket gets a table of its own, headed by `section_header = bucket`. `bucket_fn`
        makes the bucket of the key's first member, `section_print_fn` its text, `bucket_sort_fn` the order of a list of them.
        """
        from skep.maps.histogram import Sections, log2_lines, print_sections

        sections = Sections(section_header, section_print_fn, bucket_fn, bucket_sort_fn)
        print_sections(self, log2_lines, val_type, sections, strip_leading_zero)

    def print_linear_hist(
        self,
        val_type: str = "value",
        section_header: str = "Bucket ptr",
        section_print_fn: Section = None,
        bucket_fn: Section = None,
        strip_leading_zero: object = None,
        bucket_sort_fn: Sorting = None,
    ) -> None:
        """Print the values as a histogram whose slots are the numbers 0 to 1024; else as `print_log2_hist`."""
        from skep.maps.histogram import Sections, linear_lines, print_sections

        sections = Sections(section_header, section_print_fn, bucket_fn, bucket_sort_fn)
        print_sections(self, linear_lines, val_type, sections, strip_leading_zero)

    def print_json_hist(
        self,
        val_type: str = "value",
        section_header: str = "Bucket ptr",
        section_print_fn: Section = None,
        bucket_fn: Section = None,
        bucket_sort_fn: Sorting = None,
    ) -> None:
        """Print a histogram of powers of two as a Python dictionary with ts, val_type, data, and the section's name."""
        from skep.maps.histogram import Sections, dictionaries

        for entry in dictionaries(self, val_type, Sections(section_header, section_print_fn, bucket_fn, bucket_sort_fn)):
            print(entry)

    # How the above reads and writes

    def _read(self, flags: int = 0) -> Iterator[Part] | None:
        """All entries, packed, some at a time: (keys, values, count), valid until the next; None when keys must be followed."""
        return self.handle.parts(flags=flags)

    def _parts(self) -> Iterator[Part]:
        """What `_read` gives, or one part that was read key by key."""
        parts = self._read(self.lock)
        return parts if parts is not None else _joined(self._walk(), lambda key: self.handle.lookup(key, self.lock))

    def _key_parts(self) -> Iterator[tuple[Data, int]]:
        """All keys, packed, some at a time, and how many they are."""
        parts = self._read()
        if parts is not None:
            return ((keys, count) for keys, _, count in parts)
        found = list(self._walk())
        return iter([(b"".join(found), len(found))])

    def _pairs(self, parts: Iterable[Part]) -> list[tuple[Any, Any]]:
        # three new objects an entry: the collector would look at all of them again and again, for more than half of the time
        collecting = gc.isenabled()
        gc.disable()
        try:
            pairs: list[tuple[Any, Any]] = []
            for keys, leaves, count in parts:
                pairs += zip(self._keys.unpack_all(keys, count), self._leaves.unpack_all(leaves, count), strict=True)
            return pairs
        finally:
            if collecting:
                gc.enable()

    def _all_keys(self) -> list[Any]:
        found: list[Any] = []
        for keys, count in self._key_parts():
            found += self._keys.unpack_all(keys, count)
        return found

    def _walk(self) -> Iterator[bytes]:
        """Keys one by one. Bounded: when the current key is deleted under us, the kernel starts again from the first."""
        key = self.handle.next_key(None)
        seen = set()
        while key is not None and key not in seen:
            seen.add(key)
            yield key
            key = self.handle.next_key(key)

    def _take(self, key: bytes) -> bytes | None:
        try:
            return self.handle.lookup_and_delete(key, self.lock)
        except MapError as error:
            if error.errno not in _NO_LOOKUP_AND_DELETE:
                raise
        value = self.handle.lookup(key, self.lock)
        return value if value is not None and self.handle.delete(key) else None

    def _pack_key(self, key: Any) -> bytes:
        return self._keys.pack(key)

    def _pack_leaf(self, leaf: Any) -> bytes:
        return self._leaves.pack(leaf)

    def _pack_all(self, codec: Codec, data: Any, pack: Callable[[Any], bytes]) -> tuple[Data, int]:
        """Packed bytes of many keys or values, and their number."""
        if isinstance(data, ctypes.Array) and ctypes.sizeof(data._type_) == codec.size == self._stride(codec):
            return bytes(data), len(data)
        if hasattr(data, "__array_interface__"):
            from skep.maps.bulk import pack_array

            return pack_array(codec, data)
        packed = [pack(item) for item in self._many(data, f"many {codec.side}s are a ctypes array, a numpy array or a sequence")]
        return b"".join(packed), len(packed)

    def _many(self, data: Any, what: str) -> Iterator[Any]:
        try:
            return iter(data)
        except TypeError:
            raise MapError(f"map {self.name!r}: {what}, not {_shown(data)}", map_name=self.name) from None

    def _stride(self, codec: Codec) -> int:
        return self.handle.key_size if codec is self._keys else self.handle.value_size

    def _missing(self, key: Any) -> MapError:
        shown = getattr(key, "value", key)
        return self.key_error(f"map {self.name!r} has no entry for key {shown!r}", map_name=self.name)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) < 80 else text[:77] + '...'}"


def _joined(keys: Iterable[bytes], value_of: Callable[[bytes], bytes | None]) -> Iterator[Part]:
    """The keys that still have a value, and these, as one part."""
    pairs = [(key, value) for key in keys if (value := value_of(key)) is not None]
    return iter([(b"".join([key for key, _ in pairs]), b"".join([value for _, value in pairs]), len(pairs))])
