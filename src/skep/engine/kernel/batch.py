"""Many elements of a map in one system call (Linux 5.6): read all, write many, remove many.

In: a map's fd and sizes, packed keys and values. Out: packed buffers and counts, or the negated errno.
"""

from __future__ import annotations

import errno
import struct
from ctypes import addressof, c_char, create_string_buffer

from skep.engine.kernel import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    Data = bytes | bytearray | memoryview

NO_BATCH = (-syscall.ENOTSUPP, -errno.EOPNOTSUPP, -errno.EINVAL)
_CHUNK = 1 << 17  # elements of one call: a signal's handler runs between two
_FIRST_ROOM = 1 << 26  # bytes of the first buffers at most; pages that are not written to cost nothing
_SLACK = 64  # room behind the last element: the call that finds the end needs some
_ATTR = struct.Struct("=QQQQIIQQ")


def read_all(
    fd: int, command: int, key_size: int, value_size: int, max_entries: int, flags: int = 0
) -> tuple[memoryview, memoryview, int] | int:
    """All elements as (keys, values, count), or -errno. `command` is a batch lookup, with or without delete.

    An element that stays during the calls is in it once; one that comes or goes meanwhile may or may not be.
    """
    room = min(max_entries + _SLACK, _FIRST_ROOM // (key_size + value_size) + _SLACK)
    keys, values = bytearray(room * key_size), bytearray(room * value_size)
    # the cursor is opaque: a u32 for hashes whatever the key, a key for arrays and LPM tries
    cursor, following = ((c_char * max(key_size, 4))() for _ in range(2))
    total, chunk, started = 0, min(room, _CHUNK), False
    while True:
        if total == room:
            room *= 2
            keys, values = _grown(keys, room * key_size), _grown(values, room * value_size)
        chunk = min(chunk, room - total)
        key_place = (c_char * 1).from_buffer(keys, total * key_size)
        value_place = (c_char * 1).from_buffer(values, total * value_size) if value_size else key_place
        attr = create_string_buffer(
            _ATTR.pack(
                addressof(cursor) if started else 0,
                addressof(following),
                addressof(key_place),
                addressof(value_place),
                chunk,
                fd,
                flags,
                0,
            ),
            _ATTR.size,
        )
        result = syscall.bpf(command, attr)
        del key_place, value_place  # a bytearray with exports cannot grow
        if result == -errno.ENOSPC:  # a hash bucket with more than `chunk` elements: the cursor stays where it was
            chunk *= 2
            if chunk > room - total:
                room += chunk
                keys, values = _grown(keys, room * key_size), _grown(values, room * value_size)
            continue
        if result < 0 and result != -errno.ENOENT:
            return result
        (count,) = struct.unpack_from("=I", attr, 32)
        total += count
        if result == -errno.ENOENT:  # the last batch, with its data
            return memoryview(keys)[: total * key_size], memoryview(values)[: total * value_size], total
        cursor, following = following, cursor
        started = True


def _grown(buffer: bytearray, size: int) -> bytearray:
    grown = bytearray(size)  # calloc: a realloc would write to all of it
    grown[: len(buffer)] = buffer
    return grown


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
