"""A map in the kernel, read and written as bytes: elements, all of them at once, shared memory, pins, info.

Comes from `skep.engine.kernel.map_create`; every refusal of the kernel is a MapError that says what it means.
"""

from __future__ import annotations

import errno
import os
import struct
from ctypes import addressof, c_char, c_void_p, create_string_buffer, memmove

from skep.engine.errnos import ENOTSUPP, errno_text
from skep.engine.kernel import batch, syscall
from skep.engine.kernel.syscall import last_errno
from skep.errors import MapError, SkepError
from skep.interrupts import Uninterrupted
from skep.object.kinds import MAP_TYPES, PER_CPU, map_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

    from skep.engine import Data, Part
    from skep.engine.kernel.hash_walk import HashWalk
    from skep.engine.kernel.syscall import Buffer
    from skep.object.model import MapSpec

ARENA = MAP_TYPES["arena"]
_WALKED = map_types("hash lru_hash percpu_hash lru_percpu_hash")
_LEAST_WALKED = 1 << 16  # entries; below, making the program costs more than it saves
# buckets for an element: the batch call takes a sixth of the time for an empty one, five times as long for an element
_SPARSE = 64
_LPM_TRIE = MAP_TYPES["lpm_trie"]
# an update may wait for an RCU grace period (maybe_wait_bpf_programs) or take other locks: not with the GIL held
_SLEEPING = map_types(
    "prog_array perf_event_array cgroup_array array_of_maps hash_of_maps devmap devmap_hash cpumap xskmap sockmap sockhash "
    "reuseport_sockarray sk_storage inode_storage task_storage cgrp_storage struct_ops"
)

F_MMAPABLE = 1 << 10
_ELEM_SIZE = 32
_BPF, _SIZE, _COMMANDS = syscall.BPF, syscall.ELEMENT_SIZE, syscall.ELEMENT_COMMANDS
_LOOKUP, _UPDATE, _DELETE, _NEXT_KEY = (
    _COMMANDS[command]
    for command in (syscall.MAP_LOOKUP_ELEM, syscall.MAP_UPDATE_ELEM, syscall.MAP_DELETE_ELEM, syscall.MAP_GET_NEXT_KEY)
)
_PAGE = os.sysconf("SC_PAGESIZE")
_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")


def kernel_name(name: str) -> bytes:
    """The name as the kernel takes it: 15 bytes of letters, digits, '_' and '.' (anything else is EINVAL)."""
    return "".join(c if c in _NAME_CHARACTERS else "_" for c in name)[:15].encode()


def ring_size(size: int) -> int:
    """A ring buffer's size: at least `size`, a page times a power of two (the kernel refuses others)."""
    rounded = _PAGE
    while rounded < size:
        rounded *= 2
    return rounded


class _Scratch:
    """Buffers and packed attribute of one element call; pooled, because a call from another thread may come in between."""

    __slots__ = ("attr", "key", "key_address", "pointer", "value", "value_address")

    def __init__(self, fd: int, key_size: int, value_size: int) -> None:
        self.key: Buffer = (c_char * max(key_size, 1))()
        self.value: Buffer = (c_char * max(value_size, key_size, 1))()  # also the next key of next_key()
        self.key_address = addressof(self.key)
        self.value_address = addressof(self.value)
        self.attr: Buffer = create_string_buffer(
            struct.pack("=IIQQQ", fd, 0, self.key_address if key_size else 0, self.value_address, 0), _ELEM_SIZE
        )
        self.pointer = c_void_p(addressof(self.attr))


def _close_all(walks: list[HashWalk]) -> None:
    try:
        while True:
            walks.pop().close()
    except IndexError:  # not by asking whether there is one: another thread may do the same
        pass


class KernelMap:
    """One live map. Per-CPU values are align8(value_size) bytes for each possible CPU."""

    __slots__ = (
        "_call", "_no_batch", "_pool", "_walks", "fd", "key_size", "mappable", "max_entries", "name", "spec", "type",
        "value_size",
    )  # fmt: skip

    def __init__(self, spec: MapSpec, fd: int, max_entries: int, possible_cpus: int, *, mappable: bool = False) -> None:
        self.spec = spec
        self.fd = fd
        self.mappable = mappable or spec.type == ARENA or bool(spec.flags & F_MMAPABLE)
        self.name = spec.name
        self.type = spec.type
        self.max_entries = max_entries
        self.key_size = spec.key_size
        self.value_size = spec.value_size
        if spec.type in PER_CPU:
            self.value_size = (spec.value_size + 7) // 8 * 8 * possible_cpus
        self._pool: list[_Scratch] = []
        self._call = syscall.element_call_releasing if spec.type in _SLEEPING else syscall.element_call
        self._no_batch: set[int] = set()
        # a list as the pool is one; None where the elements are never read by a program
        self._walks: list[HashWalk] | None = [] if spec.type in _WALKED and max_entries >= _LEAST_WALKED else None

    # element operations: a pool instead of a lock, list.pop and list.append are atomic
    def _scratch(self) -> _Scratch:
        if self.fd < 0:  # also when another thread's scratch came back after close(): the fd may be another map's by now
            raise MapError(f"map {self.name!r} is closed", errno=errno.EBADF, map_name=self.name)
        try:
            return self._pool.pop()
        except IndexError:
            return _Scratch(self.fd, self.key_size, self.value_size)

    def _check_size(self, what: str, data: Data, size: int) -> None:
        if len(data) != size:
            raise MapError(
                f"map {self.name!r}: the {what} has {len(data)} bytes, this map's {what}s have {size}",
                errno=errno.EINVAL,
                map_name=self.name,
            )

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        """The value, or None when the key is not there (queue and stack: the next value, with key b"").

        `flags`: BPF_F_LOCK (4) copies a value that has a bpf_spin_lock under its lock (5.1).
        """
        return self._get(syscall.MAP_LOOKUP_ELEM, key, flags)

    def lookup_and_delete(self, key: bytes, flags: int = 0) -> bytes | None:
        """The value, taken out of the map in one step; None when not there. Hash maps since 5.14, queues since 4.20."""
        return self._get(syscall.MAP_LOOKUP_AND_DELETE_ELEM, key, flags)

    def contains(self, value: bytes) -> bool:
        """Whether a bloom filter may hold the value: a lookup whose value goes in (5.16)."""
        self._check_size("value", value, self.value_size)
        scratch = self._scratch()
        memmove(scratch.value_address, value, len(value))
        number = last_errno() if self._call(_BPF, _LOOKUP, scratch.pointer, _SIZE) < 0 else 0
        self._pool.append(scratch)
        if number and number != errno.ENOENT:
            raise self._error(syscall.MAP_LOOKUP_ELEM, -number, b"")
        return not number

    def _get(self, command: int, key: bytes, flags: int) -> bytes | None:
        if len(key) != self.key_size:
            self._check_size("key", key, self.key_size)
        scratch = self._scratch()
        if key:
            scratch.key.raw = key
        if flags:
            struct.pack_into("=Q", scratch.attr, 24, flags)
        number = last_errno() if self._call(_BPF, _COMMANDS[command], scratch.pointer, _SIZE) < 0 else 0
        if flags:
            struct.pack_into("=Q", scratch.attr, 24, 0)
        if number:
            self._pool.append(scratch)
            if number != errno.ENOENT:
                raise self._error(command, -number, key)
            return None
        value: bytes = scratch.value.raw[: self.value_size]
        self._pool.append(scratch)
        return value

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """Write one element; flags: 0 any, 1 only a new key, 2 only an existing one."""
        if len(key) != self.key_size:
            self._check_size("key", key, self.key_size)
        if len(value) != self.value_size:
            self._check_size("value", value, self.value_size)
        scratch = self._scratch()
        if key:
            scratch.key.raw = key
        memmove(scratch.value_address, value, len(value))
        if flags:
            struct.pack_into("=Q", scratch.attr, 24, flags)
        number = last_errno() if self._call(_BPF, _UPDATE, scratch.pointer, _SIZE) < 0 else 0
        if flags:
            struct.pack_into("=Q", scratch.attr, 24, 0)
        self._pool.append(scratch)
        if number:
            raise self._error(syscall.MAP_UPDATE_ELEM, -number, key)

    def delete(self, key: bytes) -> bool:
        """Remove one element; False when it was not there."""
        if len(key) != self.key_size:
            self._check_size("key", key, self.key_size)
        scratch = self._scratch()
        if key:
            scratch.key.raw = key
        # the attribute of a delete must be zero where the value's address is in the others
        struct.pack_into("=Q", scratch.attr, 16, 0)
        number = last_errno() if self._call(_BPF, _DELETE, scratch.pointer, _SIZE) < 0 else 0
        struct.pack_into("=Q", scratch.attr, 16, scratch.value_address)
        self._pool.append(scratch)
        if number and number != errno.ENOENT:
            raise self._error(syscall.MAP_DELETE_ELEM, -number, key)
        return not number

    def next_key(self, key: bytes | None) -> bytes | None:
        """The key after `key` (None: the first); None at the end. A key that is gone starts again at the first."""
        scratch = self._scratch()
        if key is None:
            struct.pack_into("=Q", scratch.attr, 8, 0)
        else:
            self._check_size("key", key, self.key_size)
            scratch.key.raw = key
        number = last_errno() if self._call(_BPF, _NEXT_KEY, scratch.pointer, _SIZE) < 0 else 0
        following: bytes | None = None if number else scratch.value.raw[: self.key_size]
        if key is None and self.key_size:
            struct.pack_into("=Q", scratch.attr, 8, scratch.key_address)
        self._pool.append(scratch)
        if number and number != errno.ENOENT:
            raise self._error(syscall.MAP_GET_NEXT_KEY, -number, key or b"")
        return following

    def parts(self, *, delete: bool = False, flags: int = 0) -> Iterator[Part] | None:
        """All elements as (keys, values, count), packed, some at a time; None where the kernel has no batch call for it (5.6).

        The next part is in the same memory. `delete` takes them out of the map (hash kinds). `flags`: 0, or BPF_F_LOCK (4). Hash
        maps of 65,536 entries and more are read by a program where the kernel has what it takes (6.9):
        `skep.engine.kernel.hash_walk`.
        """
        self._open_fd()
        walks = self._walks
        if walks is not None and not delete and not flags and (walks or self._add_walk(walks)):
            return self._walked(walks)
        return self._batches(syscall.MAP_LOOKUP_AND_DELETE_BATCH if delete else syscall.MAP_LOOKUP_BATCH, flags)

    def _batches(self, command: int, flags: int = 0, bucket: int = 0) -> Iterator[Part] | None:
        if command in self._no_batch or not self.key_size or self.max_entries == 0:
            return None
        reading = batch.Reading(command, self.key_size, self.value_size, self.max_entries, flags, bucket)
        result = reading.step(self._open_fd())
        if result in batch.NO_BATCH:
            self._no_batch.add(command)
            return None
        parts = self._read(reading, result)
        return batch.once(parts, self.key_size, self.value_size) if self.type == _LPM_TRIE else parts

    def _read(self, reading: batch.Reading, result: int) -> Iterator[Part]:
        while not result:
            yield reading.part()
            if reading.ended:
                return
            result = reading.step(self._open_fd())
        raise self._error(reading.command, result, b"")

    def _walked(self, walks: list[HashWalk]) -> Iterator[Part]:
        """By a program; what it cannot read, or not as quickly, by batch calls, whose cursor is a bucket as well."""
        bucket, walk = 0, self._take_walk(walks)
        try:
            while walk is not None and bucket >= 0:
                before = bucket
                bucket, part = walk.read(before)
                if part[2]:
                    yield part
                if bucket - before > _SPARSE * part[2] or bucket == before:
                    break
        finally:
            if walk is not None:
                self._keep_walk(walks, walk)
        if bucket >= 0:
            batches = self._batches(syscall.MAP_LOOKUP_BATCH, 0, bucket)
            assert batches is not None, "a kernel that has walks has batch calls"
            yield from batches

    def _take_walk(self, walks: list[HashWalk]) -> HashWalk | None:
        """A program that nobody uses now; None where there can be none."""
        while True:
            try:
                walk = walks.pop()
            except IndexError:
                if not self._add_walk(walks):
                    return None
                continue
            if walk.pid == os.getpid():
                return walk
            walk.close()  # the memory that it fills is shared with the parent that forked

    def _add_walk(self, walks: list[HashWalk]) -> bool:
        """Make one more program; False where there can be none."""
        from skep.engine.kernel.hash_walk import HashWalk

        with Uninterrupted():  # until close() finds it; what a signal's handler raises at the end is no refusal
            try:
                self._keep_walk(walks, HashWalk(self))
            except (SkepError, OSError):  # an older kernel, no fd left, ...: batch calls give the same, or say why
                self._open_fd()  # another thread's close() is no such refusal
                self._walks = None
                _close_all(walks)
        return self._walks is not None

    def _keep_walk(self, walks: list[HashWalk], walk: HashWalk) -> None:
        """For the next reader, if there can be one."""
        walks.append(walk)
        if self.fd < 0 or self._walks is None:  # closed, or refused, by another thread meanwhile
            _close_all(walks)

    def update_batch(self, keys: Data, values: Data, count: int, flags: int = 0) -> None:
        """Write `count` elements, in one call where the kernel has it for this kind (5.6); `flags`: 0, or BPF_F_LOCK (4)."""
        self._check_size("keys together", keys, count * self.key_size)
        self._check_size("values together", values, count * self.value_size)
        done = 0
        if count and self.key_size and syscall.MAP_UPDATE_BATCH not in self._no_batch:
            done, result = batch.write(self._open_fd(), keys, values, count, flags)
            if not result:
                return
            if result in batch.NO_BATCH and not done:
                self._no_batch.add(syscall.MAP_UPDATE_BATCH)
            else:
                key = bytes(keys[done * self.key_size : (done + 1) * self.key_size])
                error = self._error(syscall.MAP_UPDATE_ELEM, result, key)
                error.args = (f"{error.args[0]}; {done} of {count} were written",)
                raise error
        for index in range(done, count):
            key = bytes(keys[index * self.key_size : (index + 1) * self.key_size])
            self.update(key, bytes(values[index * self.value_size : (index + 1) * self.value_size]), flags)

    def delete_batch(self, keys: Data, count: int) -> int:
        """Remove `count` elements and say how many were there; one call where the kernel has it for this kind (5.6)."""
        self._check_size("keys together", keys, count * self.key_size)
        at = removed = 0
        while at < count and syscall.MAP_DELETE_BATCH not in self._no_batch:
            done, result = batch.remove(self._open_fd(), keys, at * self.key_size, count - at)
            if result in batch.NO_BATCH and not done:
                self._no_batch.add(syscall.MAP_DELETE_BATCH)
                break
            removed += done
            at += done + 1  # the next one was not there
            if result and result != -errno.ENOENT:
                raise self._error(syscall.MAP_DELETE_ELEM, result, b"")
        for index in range(at, count):
            removed += self.delete(bytes(keys[index * self.key_size : (index + 1) * self.key_size]))
        return removed

    def memory(self, *, writable: bool = False) -> mmap | None:
        """The elements of an array in memory shared with the programs, each at a multiple of 8 bytes (5.5); an arena's pages.

        None for a map that is not made for it: only arrays with BPFF_MMAPABLE are. PermissionError when it may not be written.
        """
        from mmap import ACCESS_READ, ACCESS_WRITE, mmap

        if not self.mappable:
            return None
        size = self.max_entries * _PAGE if self.type == ARENA else (self.value_size + 7) // 8 * 8 * self.max_entries
        try:
            return mmap(self._open_fd(), (size + _PAGE - 1) // _PAGE * _PAGE, access=ACCESS_WRITE if writable else ACCESS_READ)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                from skep.engine.kernel.map_errors import memory_error

                refused = memory_error(self, error.errno)
                raise PermissionError(error.errno, str(refused)) if writable else refused from None
            if error.errno in (ENOTSUPP, errno.EOPNOTSUPP, errno.EINVAL):  # values with a lock, a timer or a kptr
                return None
            raise MapError(
                f"cannot map the memory of {self.name!r}: {errno_text(error.errno or 0)}",
                errno=error.errno or 0,
                map_name=self.name,
            ) from error

    def freeze(self) -> None:
        """No more writes from user space (5.2)."""
        attr = create_string_buffer(struct.pack("=I", self._open_fd()), 4)
        result = syscall.bpf(syscall.MAP_FREEZE, attr)
        if result < 0:
            raise self._error(syscall.MAP_FREEZE, result, b"")

    def pin(self, path: str) -> None:
        """Give the map a name in a bpffs: it lives until the file is removed."""
        name = create_string_buffer(os.fsencode(path))
        attr = create_string_buffer(struct.pack("=QII", addressof(name), self._open_fd(), 0), 16)
        result = syscall.bpf(syscall.OBJ_PIN, attr)
        if result < 0:
            hint = {
                -errno.EPERM: "; is this folder in a bpffs? (mount -t bpf bpf /sys/fs/bpf)",
                -errno.EEXIST: "; another object has this name",
                -errno.ENOENT: "; the folder does not exist",
            }.get(result, "")
            raise MapError(
                f"cannot pin map {self.name!r} at {path}: {errno_text(result)}{hint}", errno=-result, map_name=self.name
            )

    def info(self) -> dict[str, int | str]:
        """What the kernel says of the map: id, type, sizes, max_entries, flags, name, memlock in bytes, frozen, ... (4.13)."""
        from skep.engine.kernel.map_info import map_info

        return map_info(self._open_fd())

    def close(self) -> None:
        """Close the fd; the kernel keeps the map while programs use it."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1  # first, so that no other thread uses a number that may be another file's by then
            os.close(fd)
            self._pool.clear()
            _close_all(self._walks or [])

    def __enter__(self) -> KernelMap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_fd(self) -> int:
        if self.fd < 0:
            raise MapError(f"map {self.name!r} is closed", errno=errno.EBADF, map_name=self.name)
        return self.fd

    def _error(self, command: int, result: int, key: bytes) -> MapError:
        from skep.engine.kernel.map_errors import element_error

        return element_error(self, command, -result, key)
