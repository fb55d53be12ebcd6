"""The Python view of a map: BCC's table over a MapHandle, keys and values as ctypes objects.

Table is what every kind shares and the view of the hash kinds; the other kinds say only what differs.
"""

from __future__ import annotations

import errno

# `collections.abc` pulls in `collections` (1.8 ms); the same class is already loaded from here by `os`
from _collections_abc import MutableMapping

from skep.errors import MapError, MapKeyError
from skep.maps.codec import Codec, type_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    from skep.buffers.poller import Poller
    from skep.engine import Engine, MapHandle
    from skep.object.model import Object

    class Owner(Protocol):
        """What a view knows of the BPF object that it belongs to."""

        engine: Engine
        object: Object
        perf_buffers: Poller
        ring_buffers: Poller

    _Mapping = MutableMapping[Any, Any]
else:
    _Mapping = MutableMapping

_MISSING = object()
# hash kinds have the call since 5.14; before that, and for other kinds, the kernel says one of these (524: its ENOTSUPP)
_NO_LOOKUP_AND_DELETE = (errno.EINVAL, errno.EOPNOTSUPP, 524)


class Table(_Mapping):
    """A mapping view of one map; `Key` and `Leaf` are its ctypes types, `bpf` the object that it belongs to.

    Keys and values may be given as ctypes instances, integers, bytes, or tuples for structs; they come back as ctypes instances.
    """

    key_error: type[MapError] = MapKeyError

    def __init__(self, handle: MapHandle, bpf: Owner, *, key_type: Any = None, leaf_type: Any = None) -> None:
        spec = handle.spec
        btf = bpf.object.btf
        self.handle = handle
        self.bpf = bpf
        self.name = spec.name
        self.ttype = spec.type
        self.flags = spec.flags
        self.max_entries = spec.max_entries
        self._keys = Codec(key_type or type_of(btf, spec.key_type, spec.key_size), spec.key_size, spec.name, "key")
        self._leaves = self._leaf_codec(leaf_type or type_of(btf, spec.value_type, spec.value_size))
        self.Key = self._keys.ctype
        self.Leaf = self._leaves.ctype

    def _leaf_codec(self, leaf_type: Any) -> Codec:
        return Codec(leaf_type, self.handle.spec.value_size, self.name, "value")

    @property
    def map_fd(self) -> int:
        return self.handle.fd

    @property
    def map_id(self) -> int:
        """The kernel's number of this map, as `bpftool map` shows it (Linux 4.13)."""
        return self._kernel_fact("map_id")

    def get_fd(self) -> int:
        return self.handle.fd

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.Key.__name__} -> {self.Leaf.__name__}, {self.max_entries} entries>"

    # One entry

    def __getitem__(self, key: Any) -> Any:
        value = self.handle.lookup(self._pack_key(key))
        if value is None:
            raise self._missing(key)
        return self._leaves.unpack(value)

    def get(self, key: Any, default: Any = None) -> Any:
        value = self.handle.lookup(self._pack_key(key))
        return default if value is None else self._leaves.unpack(value)

    def __setitem__(self, key: Any, leaf: Any) -> None:
        self.handle.update(self._pack_key(key), self._leaves.pack(leaf))

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
        entries = self.handle.batch()
        return entries[2] if entries is not None else sum(1 for _ in self._walk())

    # BCC's items() and the like are lists, except keys(): it is an iterator
    def keys(self) -> Any:
        return iter(self._all_keys())

    def values(self) -> Any:
        entries = self.handle.batch()
        if entries is not None:
            return self._leaves.unpack_all(entries[1], entries[2])
        return [leaf for _, leaf in self._walk_items()]

    def items(self) -> Any:
        """All (key, value) pairs, read with batch calls where the kernel has them (Linux 5.6)."""
        entries = self.handle.batch()
        if entries is not None:
            keys, leaves, count = entries
            return list(zip(self._keys.unpack_all(keys, count), self._leaves.unpack_all(leaves, count), strict=True))
        return list(self._walk_items())

    def iterkeys(self) -> Iterator[Any]:
        return iter(self._all_keys())

    def itervalues(self) -> Iterator[Any]:
        return iter(self.values())

    def iteritems(self) -> Iterator[tuple[Any, Any]]:
        return iter(self.items())

    def clear(self) -> None:
        """Remove all entries."""
        if self.handle.batch(delete=True) is None:
            for key in list(self._walk()):
                self.handle.delete(key)

    def zero(self) -> None:
        """Set every value to zero and keep the keys."""
        zero = self._leaves.pack(self.Leaf())
        for key in list(self._walk()):
            self.handle.update(key, zero)

    def _all_keys(self) -> list[Any]:
        entries = self.handle.batch()
        if entries is not None:
            return self._keys.unpack_all(entries[0], entries[2])
        return [self._keys.unpack(key) for key in self._walk()]

    def _walk(self) -> Iterator[bytes]:
        """Keys one by one. Bounded: when the current key is deleted under us, the kernel starts again from the first."""
        key = self.handle.next_key(None)
        seen = set()
        while key is not None and key not in seen:
            seen.add(key)
            yield key
            key = self.handle.next_key(key)

    def _walk_items(self) -> Iterator[tuple[Any, Any]]:
        for key in self._walk():
            value = self.handle.lookup(key)
            if value is not None:  # deleted since the walk saw it
                yield self._keys.unpack(key), self._leaves.unpack(value)

    def _take(self, key: bytes) -> bytes | None:
        try:
            return self.handle.lookup_and_delete(key)
        except MapError as error:
            if error.errno not in _NO_LOOKUP_AND_DELETE:
                raise
        value = self.handle.lookup(key)
        return value if value is not None and self.handle.delete(key) else None

    def _pack_key(self, key: Any) -> bytes:
        return self._keys.pack(key)

    def _missing(self, key: Any) -> MapError:
        shown = getattr(key, "value", key)
        return self.key_error(f"map {self.name!r} has no entry for key {shown!r}", map_name=self.name)

    # A map is itself, whatever it holds: Mapping would compare all entries, and never find two ctypes objects equal
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce_ex__(self, _protocol: object) -> Any:
        raise MapError(f"map {self.name!r} cannot be copied or pickled: dict(table.items()) is a copy", map_name=self.name)

    def _kernel_fact(self, name: str) -> int:
        """A number from the map's fdinfo (Linux 4.10)."""
        if self.handle.fd < 0:
            raise MapError(f"map {self.name!r} is closed", map_name=self.name)
        with open(f"/proc/self/fdinfo/{self.handle.fd}") as info:
            for line in info:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
        raise MapError(f"map {self.name!r} has no {name}: fd {self.handle.fd} is no map of the kernel", map_name=self.name)
