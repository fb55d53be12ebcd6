"""A map in the kernel: made from a MapSpec (or taken from its pin), read and written as bytes.

Comes from `KernelEngine.create_map`; every refusal of the kernel is a MapError that says what it means.
"""

from __future__ import annotations

import errno
import os
import struct
from ctypes import addressof, c_char, c_void_p, create_string_buffer, memmove

from skep.engine.kernel import syscall
from skep.engine.kernel.syscall import errno_text, last_errno
from skep.errors import MapError, MapIndexError, MapKeyError, PrivilegeError
from skep.object.kinds import map_type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.engine.kernel.syscall import Buffer
    from skep.object.model import MapSpec

(
    HASH, ARRAY, PROG_ARRAY, PERF_EVENT_ARRAY, PERCPU_HASH, PERCPU_ARRAY, STACK_TRACE, CGROUP_ARRAY, LRU_HASH, LRU_PERCPU_HASH,
    LPM_TRIE, ARRAY_OF_MAPS, HASH_OF_MAPS,
) = range(1, 14)  # fmt: skip
PERCPU_CGROUP_STORAGE, QUEUE, STACK, RINGBUF, BLOOM_FILTER, USER_RINGBUF = 21, 22, 23, 27, 30, 31
_PER_CPU = frozenset((PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH, PERCPU_CGROUP_STORAGE))
_INDEXED = frozenset((ARRAY, PROG_ARRAY, PERF_EVENT_ARRAY, PERCPU_ARRAY, CGROUP_ARRAY, ARRAY_OF_MAPS))
_KEYLESS = frozenset((QUEUE, STACK, BLOOM_FILTER))
# an update may wait for an RCU grace period (maybe_wait_bpf_programs) or take other locks: not with the GIL held
_SLEEPING = frozenset((PROG_ARRAY, PERF_EVENT_ARRAY, CGROUP_ARRAY, ARRAY_OF_MAPS, HASH_OF_MAPS))

_F_NUMA_NODE = 1 << 2
F_MMAPABLE = 1 << 10
_ELEM_SIZE = 32
_BPF, _SIZE, _COMMANDS = syscall.BPF, syscall.ELEMENT_SIZE, syscall.ELEMENT_COMMANDS
_UPDATE, _DELETE, _NEXT_KEY = (
    _COMMANDS[command] for command in (syscall.MAP_UPDATE_ELEM, syscall.MAP_DELETE_ELEM, syscall.MAP_GET_NEXT_KEY)
)
_BATCH_BYTES = 1 << 20  # one batch's keys and values; hash buckets are far smaller, and a bigger one doubles it
_NO_BATCH = (-syscall.ENOTSUPP, -errno.EOPNOTSUPP, -errno.EINVAL)
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


class KernelMap:
    """One live map. Per-CPU values are align8(value_size) bytes for each possible CPU."""

    __slots__ = ("_batch_kind", "_call", "_pool", "fd", "key_size", "max_entries", "name", "spec", "type", "value_size")

    def __init__(self, spec: MapSpec, fd: int, max_entries: int, possible_cpus: int) -> None:
        self.spec = spec
        self.fd = fd
        self.name = spec.name
        self.type = spec.type
        self.max_entries = max_entries
        self.key_size = spec.key_size
        self.value_size = spec.value_size
        if spec.type in _PER_CPU:
            self.value_size = (spec.value_size + 7) // 8 * 8 * possible_cpus
        self._pool: list[_Scratch] = []
        self._call = syscall.element_call_releasing if spec.type in _SLEEPING else syscall.element_call
        self._batch_kind = True

    # element operations: a pool instead of a lock, list.pop and list.append are atomic
    def _scratch(self) -> _Scratch:
        try:
            return self._pool.pop()
        except IndexError:
            if self.fd < 0:
                raise MapError(f"map {self.name!r} is closed", errno=errno.EBADF, map_name=self.name) from None
            return _Scratch(self.fd, self.key_size, self.value_size)

    def _check_size(self, what: str, data: bytes, size: int) -> None:
        if len(data) != size:
            raise MapError(
                f"map {self.name!r}: the {what} has {len(data)} bytes, this map's {what}s have {size}",
                errno=errno.EINVAL,
                map_name=self.name,
            )

    def lookup(self, key: bytes) -> bytes | None:
        """The value, or None when the key is not there (queue and stack: the next value, with key b"")."""
        return self._get(syscall.MAP_LOOKUP_ELEM, key)

    def lookup_and_delete(self, key: bytes) -> bytes | None:
        """The value, taken out of the map in one step; None when not there. Hash maps since 5.14, queues since 4.20."""
        return self._get(syscall.MAP_LOOKUP_AND_DELETE_ELEM, key)

    def _get(self, command: int, key: bytes) -> bytes | None:
        if len(key) != self.key_size:
            self._check_size("key", key, self.key_size)
        scratch = self._scratch()
        if key:
            scratch.key.raw = key
        if self._call(_BPF, _COMMANDS[command], scratch.pointer, _SIZE) < 0:
            number = last_errno()
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

    def batch(self, *, delete: bool = False) -> tuple[bytes, bytes, int] | None:
        """All elements as (keys, values, count), packed; None where the kernel has no batch call for this kind (5.6)."""
        if not self._batch_kind or not self.key_size or self.max_entries == 0:
            return None
        command = syscall.MAP_LOOKUP_AND_DELETE_BATCH if delete else syscall.MAP_LOOKUP_BATCH
        room = min(self.max_entries, max(64, _BATCH_BYTES // (self.key_size + self.value_size)))
        # the cursor is opaque: a u32 for hashes whatever the key, a key for arrays and LPM tries
        cursor_size = max(self.key_size, 4)
        cursor, following = (c_char * cursor_size)(), (c_char * cursor_size)()
        started = False
        keys: list[bytes] = []
        values: list[bytes] = []
        total = 0
        key_buffer, value_buffer = (c_char * (room * self.key_size))(), (c_char * (room * self.value_size))()
        while True:
            attr = create_string_buffer(
                struct.pack(
                    "=QQQQIIQQ",
                    addressof(cursor) if started else 0,
                    addressof(following),
                    addressof(key_buffer),
                    addressof(value_buffer),
                    room,
                    self._open_fd(),
                    0,
                    0,
                ),
                56,
            )
            result = syscall.bpf(command, attr)
            if result == -errno.ENOSPC:  # a bucket bigger than the room: the cursor stays where it was
                room *= 2
                key_buffer, value_buffer = (c_char * (room * self.key_size))(), (c_char * (room * self.value_size))()
                continue
            if result < 0 and result != -errno.ENOENT:
                if result in _NO_BATCH and not started:
                    self._batch_kind = (
                        delete  # a kind may have lookup but no lookup-and-delete (arrays): remember the former only
                    )
                    return None
                raise self._error(command, result, b"")
            (count,) = struct.unpack_from("=I", attr, 32)
            if count:
                keys.append(memoryview(key_buffer)[: count * self.key_size].tobytes())
                values.append(memoryview(value_buffer)[: count * self.value_size].tobytes())
                total += count
            if result == -errno.ENOENT:  # the last batch, with its data
                return b"".join(keys), b"".join(values), total
            cursor, following = following, cursor
            started = True

    def freeze(self) -> None:
        """No more writes from user space (5.2)."""
        attr = create_string_buffer(struct.pack("=I", self._open_fd()), 4)
        result = syscall.bpf(syscall.MAP_FREEZE, attr)
        if result < 0:
            raise self._error(syscall.MAP_FREEZE, result, b"")

    def pin(self, path: str) -> None:
        """Give the map a name in a bpffs: it lives until the file is removed."""
        attr, _keep = _path_attr(path, self._open_fd())
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
        """What the kernel says of the map: id, type, sizes, max_entries, flags, name, btf_id."""
        return map_info(self._open_fd())

    def close(self) -> None:
        """Close the fd; the kernel keeps the map while programs use it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self._pool.clear()

    def __enter__(self) -> KernelMap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_fd(self) -> int:
        if self.fd < 0:
            raise MapError(f"map {self.name!r} is closed", errno=errno.EBADF, map_name=self.name)
        return self.fd

    def _error(self, command: int, result: int, key: bytes) -> MapError:
        number = -result
        what = f"{syscall.COMMAND_NAMES[command]} in map {self.name!r} ({map_type_name(self.type)})"
        index = int.from_bytes(key, "little") if self.type in _INDEXED and len(key) == 4 else None
        if number == errno.E2BIG and command == syscall.MAP_UPDATE_ELEM:
            if index is not None:
                return MapIndexError(
                    f"{what}: index {index} is out of range, max_entries is {self.max_entries}", errno=number, map_name=self.name
                )
            return MapError(
                f"{what}: the map is full, max_entries is {self.max_entries} (E2BIG); make it larger or use an LRU hash",
                errno=number,
                map_name=self.name,
            )
        if number == errno.ENOENT and command == syscall.MAP_UPDATE_ELEM:
            reason = "no such CPU event or key"
            if index is not None and index >= self.max_entries:
                return MapIndexError(f"{what}: index {index}, max_entries {self.max_entries}", errno=number, map_name=self.name)
            return MapKeyError(f"{what}: {reason} (key {key.hex()})", errno=number, map_name=self.name)
        if number == errno.EEXIST:
            if index is not None:
                return MapKeyError(
                    f"{what}: an array's elements always exist, so 'only a new key' never holds", errno=number, map_name=self.name
                )
            return MapKeyError(f"{what}: the key {key.hex()} exists already", errno=number, map_name=self.name)
        reasons = {
            (syscall.MAP_DELETE_ELEM, errno.EINVAL): "elements of an array cannot be deleted, only overwritten",
            (syscall.MAP_UPDATE_ELEM, errno.EPERM): "the map is frozen or read-only",
            (syscall.MAP_UPDATE_ELEM, errno.EBADF): "the value is not an fd of the object that this map holds",
            (syscall.MAP_UPDATE_ELEM, errno.EINVAL): "the value or the flags do not fit this kind of map"
            + (
                "; a program must have the type of the programs that are in use with this array"
                if self.type == PROG_ARRAY
                else ""
            ),
            (syscall.MAP_UPDATE_ELEM, errno.ENOMEM): "the kernel has no memory for it now",
            (syscall.MAP_UPDATE_ELEM, errno.EBUSY): "the map is in use by another CPU; try again",
        }
        reason = reasons.get((command, number), "")
        text = f"{what}: {reason + ': ' if reason else ''}{errno_text(number)}"
        return MapError(text, errno=number, map_name=self.name)


def create_map(spec: MapSpec, possible_cpus: int, btf_fd: int) -> KernelMap:
    """The live map for a spec: taken from its pin, or created, filled and pinned as the spec says. Who loads programs freezes."""
    if spec.pin_path:
        pinned = _open_pin(spec, possible_cpus)
        if pinned is not None:
            return pinned
    max_entries = _max_entries(spec, possible_cpus)
    handle = KernelMap(spec, _create_fd(spec, max_entries, btf_fd, possible_cpus), max_entries, possible_cpus)
    try:
        if spec.initial is not None:
            handle.update(b"\0\0\0\0", spec.initial.ljust(spec.value_size, b"\0"))
        if spec.pin_path:
            handle.pin(spec.pin_path)
    except BaseException:
        handle.close()
        raise
    return handle


def _max_entries(spec: MapSpec, possible_cpus: int) -> int:
    if spec.type == PERF_EVENT_ARRAY and (spec.max_entries == 0 or spec.max_entries > possible_cpus):
        return possible_cpus
    if spec.type in (RINGBUF, USER_RINGBUF):
        return ring_size(spec.max_entries)
    return spec.max_entries


def _create_fd(spec: MapSpec, max_entries: int, btf_fd: int, possible_cpus: int) -> int:
    inner_fd = 0
    if spec.inner is not None:
        inner_fd = _create_fd(spec.inner, _max_entries(spec.inner, possible_cpus), btf_fd, possible_cpus)
    try:
        flags = spec.flags | (_F_NUMA_NODE if spec.numa_node is not None else 0)
        typed = bool(btf_fd and (spec.key_type or spec.value_type))
        attempts = [(flags, typed), (flags, False), (flags & ~F_MMAPABLE, False)]  # BPF_F_MMAPABLE is of Linux 5.5
        for flags, with_btf in dict.fromkeys(attempts):
            attr = create_string_buffer(
                struct.pack(
                    "=7I16s5IQ",
                    spec.type,
                    spec.key_size,
                    spec.value_size,
                    max_entries,
                    flags,
                    inner_fd,
                    spec.numa_node or 0,
                    kernel_name(spec.name),
                    0,
                    btf_fd if with_btf else 0,
                    spec.key_type if with_btf else 0,
                    spec.value_type if with_btf else 0,
                    0,
                    spec.map_extra,
                ),
                72,
            )
            fd = syscall.bpf(syscall.MAP_CREATE, attr)
            if fd >= 0:
                return fd
            if fd not in (-errno.EINVAL, -syscall.ENOTSUPP):
                break
        raise _create_error(spec, max_entries, fd)
    finally:
        if inner_fd:
            os.close(inner_fd)


def _create_error(spec: MapSpec, max_entries: int, result: int) -> MapError | PrivilegeError:
    what = (
        f"cannot create map {spec.name!r} ({map_type_name(spec.type)}, key {spec.key_size}, value {spec.value_size}, "
        f"max_entries {max_entries}, flags {spec.flags:#x}): {errno_text(result)}"
    )
    if result == -errno.EPERM:
        from skep.engine.kernel.privileges import missing_for_bpf

        missing = missing_for_bpf()
        if missing:
            return PrivilegeError(f"{what}; this process lacks {', '.join(missing)}: run as root", missing=missing)
        return MapError(what, errno=errno.EPERM, map_name=spec.name)
    why = ""
    if result == -errno.EINVAL:
        if max_entries == 0:
            why = "; max_entries must not be 0"
        elif spec.type == LPM_TRIE and not spec.flags & 1:
            why = "; an LPM trie needs the flag BPF_F_NO_PREALLOC (1)"
        elif spec.type in _INDEXED and spec.key_size != 4:
            why = "; an array's key has 4 bytes"
        elif spec.type in (ARRAY_OF_MAPS, HASH_OF_MAPS) and spec.inner is None:
            why = "; a map of maps needs the description of its inner map"
        elif spec.type in _KEYLESS and spec.key_size:
            why = f"; a {map_type_name(spec.type)} has no key"
        else:
            why = "; a size or flag does not fit this type, or this kernel does not know it"
    elif result in (-errno.E2BIG, -errno.ENOMEM):
        why = "; it is too large"
    return MapError(what + why, errno=-result, map_name=spec.name)


def _path_attr(path: str, fd: int) -> tuple[Buffer, Buffer]:
    name = create_string_buffer(os.fsencode(path))
    return create_string_buffer(struct.pack("=QII", addressof(name), fd, 0), 16), name


def _open_pin(spec: MapSpec, possible_cpus: int) -> KernelMap | None:
    attr, _keep = _path_attr(spec.pin_path, 0)
    fd = syscall.bpf(syscall.OBJ_GET, attr)
    if fd == -errno.ENOENT:
        return None
    if fd < 0:
        raise MapError(
            f"cannot open the pinned map {spec.name!r} at {spec.pin_path}: {errno_text(fd)}", errno=-fd, map_name=spec.name
        )
    try:
        info = map_info(fd)
        wanted = {
            "type": spec.type,
            "key_size": spec.key_size,
            "value_size": spec.value_size,
            "max_entries": _max_entries(spec, possible_cpus),
        }
        differing = [f"{name} is {info[name]}, wanted {value}" for name, value in wanted.items() if info[name] != value]
        if differing:
            raise MapError(
                f"the map pinned at {spec.pin_path} is not {spec.name!r}: {', '.join(differing)}; remove the pin, or fit the map",
                errno=errno.EINVAL,
                map_name=spec.name,
            )
        return KernelMap(spec, fd, wanted["max_entries"], possible_cpus)
    except BaseException:
        os.close(fd)
        raise


def map_info(fd: int) -> dict[str, int | str]:
    """BPF_OBJ_GET_INFO_BY_FD of a map's fd (4.13)."""
    data = syscall.object_info(fd, 88)
    if isinstance(data, int):
        raise MapError(f"cannot ask for the info of map fd {fd}: {errno_text(data)}", errno=-data)
    type, id, key_size, value_size, max_entries, flags, name = struct.unpack_from("=6I16s", data)
    (btf_id,) = struct.unpack_from("=I", data, 64)
    return {
        "type": type,
        "id": id,
        "key_size": key_size,
        "value_size": value_size,
        "max_entries": max_entries,
        "flags": flags,
        "name": name.rstrip(b"\0").decode(),
        "btf_id": btf_id,
    }
