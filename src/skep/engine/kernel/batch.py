"""Many elements of a map in one system call (Linux 5.6): read all, write many, remove many.

In: a map's fd and sizes, packed keys and values. Out: packed buffers and counts, or the negated errno.
"""

from __future__ import annotations

import errno
import struct
from ctypes import addressof, c_char, create_string_buffer

from skep.engine.errnos import ENOTSUPP
from skep.engine.kernel import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.engine import Data, Part

NO_BATCH = (-ENOTSUPP, -errno.EOPNOTSUPP, -errno.EINVAL)
_ELEMENTS = 1 << 17  # of one call at most: a signal's handler runs between two
_ROOM = 1 << 21  # bytes of one call, unless a hash's bucket has more: as much as the processor's caches hold
_ATTR = struct.Struct("=QQQQIIQQ")


class Reading:
    """All elements by one call after another into the same memory; the map's fd is given to each.

    An element that stays during the calls is read once; one that comes or goes meanwhile may or may not be. `command` is a batch
    lookup, with or without delete; `bucket`: where a hash begins to be read.
    """

    __slots__ = (
        "_count", "_cursor", "_flags", "_following", "_key_size", "_keys", "_room", "_value_size", "_values", "command", "ended",
    )  # fmt: skip

    def __init__(self, command: int, key_size: int, value_size: int, max_entries: int, flags: int = 0, bucket: int = 0) -> None:
        self.command = command
        self.ended = False
        self._key_size, self._value_size, self._flags = key_size, value_size, flags
        # the cursor is opaque: a u32 for hashes whatever the key, their next bucket; a key for arrays and LPM tries
        self._following = (c_char * max(key_size, 4))()
        self._cursor = type(self._following).from_buffer_copy(bucket.to_bytes(len(self._following), "little")) if bucket else None
        # with room for one more than there are, the call that reads the last one also finds the end
        self._allocate(max(min(max_entries + 1, _ELEMENTS, _ROOM // (key_size + value_size)), 1))

    def _allocate(self, room: int) -> None:
        self._room = room
        self._keys, self._values = bytearray(room * self._key_size), bytearray(room * self._value_size)

    def step(self, fd: int) -> int:
        """Read more elements: 0, or -errno. `ended` says whether these are the last."""
        while True:
            key_place = (c_char * 1).from_buffer(self._keys)
            value_place = (c_char * 1).from_buffer(self._values) if self._value_size else key_place
            attr = create_string_buffer(
                _ATTR.pack(
                    0 if self._cursor is None else addressof(self._cursor),
                    addressof(self._following),
                    addressof(key_place),
                    addressof(value_place),
                    self._room,
                    fd,
                    self._flags,
                    0,
                ),
                _ATTR.size,
            )
            result = syscall.bpf(self.command, attr)
            if result != -errno.ENOSPC:
                break
            self._allocate(2 * self._room)  # a hash bucket has more elements: the cursor stays where it was
        self.ended = result == -errno.ENOENT  # the last batch, with its data
        if result < 0 and not self.ended:
            return result
        (self._count,) = struct.unpack_from("=I", attr, 32)
        self._following, self._cursor = self._cursor or type(self._following)(), self._following
        return 0

    def part(self) -> Part:
        """What the last step read, valid until the next one."""
        count = self._count
        return memoryview(self._keys)[: count * self._key_size], memoryview(self._values)[: count * self._value_size], count


def once(parts: Iterator[Part], key_size: int, value_size: int) -> Iterator[Part]:
    """The parts without the keys that were given before: a trie is read from its start again where the key in hand is deleted.

    (trie_get_next_key, kernel/bpf/lpm_trie.c, from which generic_map_lookup_batch goes from key to key.)
    """
    seen: set[bytes] = set()
    for keys, values, count in parts:
        packed = bytes(keys)
        places = dict(zip([packed[at : at + key_size] for at in range(0, len(packed), key_size)], range(count), strict=True))
        for key in seen.intersection(places):
            del places[key]
        seen.update(places)
        if len(places) == count:
            yield keys, values, count
        else:
            kept = [values[at * value_size : (at + 1) * value_size] for at in places.values()]
            yield b"".join(places), b"".join(kept), len(kept)


def write(fd: int, keys: Data, values: Data, count: int, flags: int) -> tuple[int, int]:
    """Write `count` elements: how many were written, and 0 or the -errno that stopped it. `flags`: BPF_F_LOCK (4) or 0."""
    return _run(syscall.MAP_UPDATE_BATCH, fd, keys, values, 0, count, flags)


def remove(fd: int, keys: Data, first: int, count: int) -> tuple[int, int]:
    """Remove `count` elements whose keys begin at byte `first`: how many were removed, and 0 or the -errno that stopped it."""
    return _run(syscall.MAP_DELETE_BATCH, fd, keys, b"", first, count, 0)


def _run(command: int, fd: int, keys: Data, values: Data, first: int, count: int, flags: int) -> tuple[int, int]:
    key_place, value_place = _readable(keys), _readable(values)
    attr = create_string_buffer(
        _ATTR.pack(0, 0, addressof(key_place) + first, addressof(value_place) if len(values) else 0, count, fd, flags, 0),
        _ATTR.size,
    )
    result = syscall.bpf(command, attr)
    done = int.from_bytes(attr.raw[32:36], "little")
    # a call that the kernel refuses before it looks at an element leaves the count as it was
    return (0 if result < 0 and done == count else done), min(result, 0)


def _readable(data: Data) -> syscall.Buffer:
    """Something with an address: the memory itself where it may be shared, else a copy."""
    if not len(data):
        return (c_char * 1)()
    if isinstance(data, bytes) or (isinstance(data, memoryview) and data.readonly):
        return (c_char * len(data)).from_buffer_copy(data)
    return (c_char * len(data)).from_buffer(data)
