"""Maps of the user-space engine: memory of this process that programs and Python share, behind the same methods as the kernel's.

What programs do with a map is in runtime/*.c; `hash_get`, `queue_set` and the like, called here, are Python's side of that.
"""

from __future__ import annotations

import ctypes
import errno
import os
from _weakref import ref
from ctypes import c_char_p, c_uint64, c_void_p
from mmap import PAGESIZE, mmap

from skep.engine.errnos import ENOTSUPP
from skep.engine.user import running
from skep.engine.user.facts import MapFacts
from skep.engine.user.layout import MapHeader, Shape
from skep.engine.user.session import settle
from skep.errors import MapError, UnsupportedError
from skep.object.kinds import BPF_F_RDONLY, BPF_F_WRONLY, LPM_KEY_SIZES, MAP_TYPES, PER_CPU, map_type_name, map_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.engine import Data, Part
    from skep.engine.user.nested import MapOfMaps
    from skep.native import NativeCode
    from skep.object.model import MapSpec

_VALUES_ARE_COPIED = map_types("queue stack")
_END = (1 << 64) - 1
# What the kernel answers to an operation on elements that a kind does not have; ENOTSUPP else.
_NO_ELEMENTS = {
    MAP_TYPES["queue"]: errno.EINVAL, MAP_TYPES["stack"]: errno.EINVAL, MAP_TYPES["bloom_filter"]: errno.EOPNOTSUPP,
}  # fmt: skip
_READS, _WRITES = frozenset(("lookup", "next key", "lookup and delete")), frozenset(("update", "delete", "lookup and delete"))
_CHUNK = 4096  # elements that are copied while the map's lock is held
_RUNTIME = os.path.join(os.path.dirname(__file__), "runtime")
_LOADED: dict[str, NativeCode] = {}
_IDS = iter(range(1, 1 << 62))


def runtime(file: str) -> NativeCode:
    """The machine code of a C file in runtime/, linked once in a process."""
    code = _LOADED.get(file)
    if code is None:
        from skep.native import load

        code = _LOADED[file] = load(os.path.join(_RUNTIME, file))
    return code


_FIRST_NUMBER = 1 << 20  # above what a process has as fds
_HANDLES: dict[int, Any] = {}


def new_number(handle: Any) -> int:
    """A number that stands for a live map or program where BCC's interface has an fd."""
    number = _FIRST_NUMBER + next(_IDS)
    _HANDLES[number] = ref(handle, lambda _: drop_number(number))
    return number


def drop_number(number: int) -> bool:
    """The map or program is closed; False when it was before, also by another thread at the same time."""
    return _HANDLES.pop(number, None) is not None


def handle_of(number: int) -> Any:
    """The live map or program that a number stands for; None when there is none."""
    found = _HANDLES.get(number)
    return None if found is None else found()


def values_size(spec: MapSpec, cpus: int) -> int:
    """Bytes from one element's value to the next: per-CPU kinds have one for each CPU."""
    return (spec.value_size + 7) // 8 * 8 * (cpus if spec.type in PER_CPU else 1)


class Memory:
    """A map's header and the memory behind it, which lasts as long as anyone has this object: handles, programs, runs."""

    __slots__ = ("address", "header", "parts")

    def __init__(self, header: MapHeader) -> None:
        self.header = header
        self.address = ctypes.addressof(header)
        self.parts: list[Any] = []


class UserMap:
    """What all kinds share: the header that programs see, and the memory behind it. `fd` is a number of this process's own."""

    __slots__ = (
        "__weakref__", "_denied", "_frozen", "_handles", "_memory", "fd", "header", "holders", "key_size", "max_entries", "name",
        "spec", "type", "value_size",
    )  # fmt: skip

    def __init__(self, spec: MapSpec, cpus: int) -> None:
        self.spec = spec
        self.fd = new_number(self)
        self.name = spec.name
        self.type = spec.type
        self.key_size = spec.key_size
        self.max_entries = spec.max_entries
        self._frozen = False
        self._denied = (_WRITES if spec.flags & BPF_F_RDONLY else frozenset()) | (
            _READS if spec.flags & BPF_F_WRONLY else frozenset()
        )
        stride = values_size(spec, cpus)
        self.value_size = stride if spec.type in PER_CPU else spec.value_size
        self.header = MapHeader(
            shape=Shape(spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags, stride), id=self.fd
        )
        self._memory: Memory | None = Memory(self.header)
        self._handles = [True]  # one for each of this memory
        self.holders: list[tuple[MapOfMaps, bytes]] = []  # maps of maps that it was put into, for all handles

    @property
    def address(self) -> int:
        """Of the header: what a program has for the map."""
        return ctypes.addressof(self.header)

    def keep(self) -> Memory:
        """What keeps the map's memory where it is, also when its handles are closed; MapError when they are."""
        memory = self._memory
        if memory is None:
            raise MapError(f"map {self.name!r} is closed", errno=errno.EBADF, map_name=self.name)
        return memory

    @property
    def facts(self) -> MapFacts:
        """What programs are translated for; the content of a frozen array is constant."""
        spec = self.spec
        content = None
        if self._frozen and spec.type == MAP_TYPES["array"] and spec.initial is not None:
            content = self.keep().parts[0][: self.value_size]
        return MapFacts(
            spec.type, spec.key_size, spec.value_size, self.max_entries,
            flags=spec.flags, stride=int(self.header.shape.stride), content=content, inner=self._inner_facts(),
        )  # fmt: skip

    def _inner_facts(self) -> MapFacts | None:
        return None

    def regions(self) -> list[tuple[int, int, int, int]]:
        """Memory that programs may touch: (address, bytes, stride, bytes of each stride)."""
        header, piece = self.header, (self.spec.value_size + 7) // 8 * 8
        if not header.values or self.type in _VALUES_ARE_COPIED:
            return []
        return [(header.values, header.values_size, piece, self.spec.value_size)]

    def _allocate(self, *, values: int = 0, storage: int = 0) -> None:
        header = self.header
        try:
            if values:
                header.values, header.values_size = self._new_memory(values), values
            if storage:
                header.storage, header.storage_size = self._new_memory(storage), storage
        except (OSError, ValueError, OverflowError) as error:
            self.close()
            raise MapError(
                f"cannot create map {self.name!r} ({map_type_name(self.type)}, key {self.key_size}, value {self.value_size}, "
                f"max_entries {self.max_entries}): {values + storage} bytes of memory: {error}",
                errno=errno.ENOMEM,
                map_name=self.name,
            ) from error

    def _new_memory(self, size: int) -> int:
        memory = mmap(-1, (size + PAGESIZE - 1) // PAGESIZE * PAGESIZE)
        self.keep().parts.append(memory)
        return ctypes.addressof(ctypes.c_char.from_buffer(memory))

    # what a kind may do without

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        raise self._cannot("read")

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        raise self._cannot("write")

    def delete(self, key: bytes) -> bool:
        raise self._cannot("delete")

    def lookup_and_delete(self, key: bytes, flags: int = 0) -> bytes | None:
        self._check(key, operation="lookup and delete")
        raise self._error("lookup and delete", ENOTSUPP, key)

    def contains(self, value: bytes) -> bool:
        raise self._cannot("test")

    def next_key(self, key: bytes | None) -> bytes | None:
        raise self._cannot("walk through")

    def parts(self, *, delete: bool = False, flags: int = 0) -> Iterator[Part] | None:
        return None

    def update_batch(self, keys: Data, values: Data, count: int, flags: int = 0) -> None:
        """Write `count` elements, packed one after another."""
        self._check_size("keys together", keys, count * self.key_size)
        self._check_size("values together", values, count * self.value_size)
        for index in range(count):
            key = bytes(keys[index * self.key_size : (index + 1) * self.key_size])
            self.update(key, bytes(values[index * self.value_size : (index + 1) * self.value_size]), flags)

    def delete_batch(self, keys: Data, count: int) -> int:
        """Remove `count` elements and say how many were there."""
        self._check_size("keys together", keys, count * self.key_size)
        return sum(self.delete(bytes(keys[index * self.key_size : (index + 1) * self.key_size])) for index in range(count))

    def memory(self, *, writable: bool = False) -> mmap | None:
        return None

    def freeze(self) -> None:
        """No more writes from Python."""
        self._frozen = True
        self._denied |= _WRITES

    def pin(self, path: str) -> None:
        raise UnsupportedError(
            f"map {self.name!r} is the user engine's: it lives in this process and has no name in a bpffs",
            needs="engine='kernel'",
        )

    def info(self) -> dict[str, int | str]:
        """id, type, sizes, max_entries, flags, name, bytes of memory, frozen."""
        return {
            "type": self.type, "id": self.fd, "key_size": self.key_size, "value_size": self.spec.value_size,
            "max_entries": self.max_entries, "map_flags": self.spec.flags, "name": self.name,
            "memlock": sum(len(part) for part in self.keep().parts if isinstance(part, mmap)), "frozen": int(self._frozen),
        }  # fmt: skip

    def share(self, spec: MapSpec) -> UserMap:
        """One more handle of the same memory, seen as `spec` says."""
        self.keep()
        other = type(self).__new__(type(self))
        for kind in type(self).__mro__:
            for name in getattr(kind, "__slots__", ()):
                if hasattr(self, name) and name != "__weakref__":
                    setattr(other, name, getattr(self, name))
        other.spec, other.fd = spec, new_number(other)
        self._handles.append(True)
        return other

    def close(self) -> None:
        """Forget the memory: programs that use the map go on with it, maps of maps lose it with its last handle."""
        memory = self._memory
        if memory is None or not drop_number(self.fd):
            return
        self.fd, self._memory = -1, None
        self._handles.pop()
        if not self._handles and self.holders:
            for holder, key in self.holders:
                holder.remove(key, self.header)
            self.holders.clear()
            settle()
            running.keep(memory)

    def __enter__(self) -> UserMap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # helpers of the kinds

    def _check(self, key: bytes, value: bytes | None = None, operation: str = "lookup") -> Memory:
        """The memory, which another thread may close meanwhile: it is there as long as the caller has it."""
        memory = self.keep()
        self._check_size("key", key, self.key_size)
        if value is not None:
            self._check_size("value", value, self.value_size)
        if operation in self._denied:
            raise self._error(operation, errno.EPERM, key)
        return memory

    def _check_size(self, what: str, data: Data, size: int) -> None:
        if len(data) != size:
            raise MapError(
                f"map {self.name!r}: the {what} has {len(data)} bytes, this map's {what}s have {size}",
                errno=errno.EINVAL,
                map_name=self.name,
            )

    def _next_index(self, key: bytes | None) -> bytes | None:
        """The key after `key` in an array; an index that is not there starts again at 0."""
        index = 0 if key is None else int.from_bytes(key, "little") + 1
        if index > self.max_entries:
            index = 0
        return index.to_bytes(4, "little") if index < self.max_entries else None

    def _cannot(self, what: str) -> MapError:
        return MapError(
            f"map {self.name!r} is a {map_type_name(self.type)}: there are no elements to {what}",
            errno=_NO_ELEMENTS.get(self.type, ENOTSUPP),
            map_name=self.name,
        )

    def _error(self, operation: str, number: int, key: bytes) -> MapError:
        from skep.engine.element_errors import element_error

        denied = ""
        if number == errno.EPERM:
            frozen = "frozen" if self._frozen and operation in _WRITES else "write-only"
            denied = "read-only" if self.spec.flags & BPF_F_RDONLY else frozen
        return element_error(self.name, self.type, self.max_entries, operation, number, key, denied)


class ArrayMap(UserMap):
    """Arrays, plain and per CPU: element n lies at n * stride."""

    __slots__ = ()

    def __init__(self, spec: MapSpec, cpus: int) -> None:
        super().__init__(spec, cpus)
        self._allocate(values=self.max_entries * self.header.shape.stride, storage=8)  # storage: the index of an iteration

    def _place(self, key: bytes, operation: str) -> int:
        index = int.from_bytes(key, "little")
        if index >= self.max_entries:
            raise self._error(operation, errno.E2BIG, key)
        return index * int(self.header.shape.stride)

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        memory = self._check(key)
        if int.from_bytes(key, "little") >= self.max_entries:
            return None
        place = self._place(key, "lookup")
        return bytes(memory.parts[0][place : place + self.value_size])

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        memory = self._check(key, value, "update")
        if flags & 3 == 3:
            raise self._error("update", errno.EINVAL, key)
        place = self._place(key, "update")
        if flags & 3 == 1:
            raise self._error("update", errno.EEXIST, key)
        memory.parts[0][place : place + self.value_size] = value

    def delete(self, key: bytes) -> bool:
        self._check(key, operation="delete")
        raise self._error("delete", errno.EINVAL, key)

    def next_key(self, key: bytes | None) -> bytes | None:
        return self._next_index(key)

    def parts(self, *, delete: bool = False, flags: int = 0) -> Iterator[Part] | None:
        memory = self._check(bytes(4))
        if delete:
            return None
        from array import array

        keys = memoryview(array("I", range(self.max_entries))).cast("B")
        stride, size = int(self.header.shape.stride), self.value_size
        values = memory.parts[0][: self.max_entries * stride]
        if stride != size:
            values = b"".join([values[at : at + size] for at in range(0, len(values), stride)])
        return iter([(keys, memoryview(values), self.max_entries)])

    def memory(self, *, writable: bool = False) -> mmap | None:
        """The array's memory, shared with the programs."""
        if self.spec.type != MAP_TYPES["array"]:
            return None
        for operation in ("lookup", "update") if writable else ("lookup",):
            if operation in self._denied:
                refused = self._error(operation, errno.EPERM, b"")
                raise PermissionError(errno.EPERM, str(refused)) if writable else refused
        found: mmap = self.keep().parts[0]
        return found


class TableMap(UserMap):
    """Hash and LRU maps, plain and per CPU, and longest-prefix maps."""

    __slots__ = ("_dump", "_get", "_next", "_remove", "_set")

    def __init__(self, spec: MapSpec, cpus: int) -> None:
        super().__init__(spec, cpus)
        least, most = LPM_KEY_SIZES if spec.type == MAP_TYPES["lpm_trie"] else (1, (1 << 31) - 1)
        if not 0 < spec.max_entries < 1 << 31 or not least <= spec.key_size <= most or not spec.value_size:
            raise MapError(
                f"cannot create map {spec.name!r}: a {map_type_name(spec.type)} has keys of {least} to {most} bytes, values of 1 "
                f"or more, 1 to {(1 << 31) - 1} entries, not {spec.key_size} and {spec.value_size} bytes and {spec.max_entries}",
                errno=errno.EINVAL,
                map_name=spec.name,
            )
        table = runtime("hash.c")
        size = table.function("hash_storage", c_uint64, c_void_p, gil=True)(ctypes.addressof(self.header.shape))
        self._allocate(values=self.max_entries * self.header.shape.stride, storage=size)
        table.function("hash_start", None, c_void_p, gil=True)(self.address)
        access, prefix = (runtime("lpm.c"), "lpm") if spec.type == MAP_TYPES["lpm_trie"] else (table, "hash")
        self._get = access.function(f"{prefix}_get", c_uint64, c_void_p, c_char_p, c_void_p, gil=True)
        self._set = access.function(f"{prefix}_set", c_uint64, c_void_p, c_char_p, c_char_p, c_uint64, gil=True)
        self._remove = access.function(f"{prefix}_remove", c_uint64, c_void_p, c_char_p, c_void_p, gil=True)
        self._next = table.function("hash_next", c_uint64, c_void_p, c_char_p, c_void_p, gil=True)
        self._dump = table.function("hash_dump", c_uint64, c_void_p, c_void_p, c_void_p, c_void_p, c_uint64, c_uint64)

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        return self._value(self._get, key, "lookup")

    def _value(self, function: Any, key: bytes, operation: str) -> bytes | None:
        memory = self._check(key, operation=operation)
        value = bytearray(int(self.header.shape.stride))
        if function(memory.address, key, ctypes.addressof(ctypes.c_char.from_buffer(value))):
            return None
        return bytes(value[: self.value_size])

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        memory = self._check(key, value, "update")
        number = self._set(memory.address, key, value.ljust(int(self.header.shape.stride), b"\0"), flags)
        if number:
            raise self._error("update", number, key)

    def delete(self, key: bytes) -> bool:
        memory = self._check(key, operation="delete")
        number = self._remove(memory.address, key, None)
        if number == errno.EINVAL:
            raise self._error("delete", number, key)
        return not number

    def lookup_and_delete(self, key: bytes, flags: int = 0) -> bytes | None:
        if self.type == MAP_TYPES["lpm_trie"]:
            return super().lookup_and_delete(key, flags)
        return self._value(self._remove, key, "lookup and delete")

    def next_key(self, key: bytes | None) -> bytes | None:
        memory = self._check(bytes(self.key_size) if key is None else key, operation="next key")
        following = bytearray(self.key_size)
        address = ctypes.addressof(ctypes.c_char.from_buffer(following))
        return None if self._next(memory.address, key, address) else bytes(following)

    def parts(self, *, delete: bool = False, flags: int = 0) -> Iterator[Part] | None:
        """All elements; each that stays meanwhile is in it once."""
        if delete and self.type == MAP_TYPES["lpm_trie"]:
            return None
        return self._dumped(self._check(bytes(self.key_size), operation="lookup and delete" if delete else "lookup"), delete)

    def _dumped(self, memory: Memory, delete: bool) -> Iterator[Part]:
        stride, size = int(self.header.shape.stride), self.value_size
        room = min(_CHUNK, self.max_entries)
        keys, values = (bytearray(room * width) for width in (self.key_size, stride))
        key_place, value_place = (ctypes.addressof(ctypes.c_char.from_buffer(part)) for part in (keys, values))
        position = c_uint64(0)
        while position.value != _END:
            count = int(self._dump(memory.address, ctypes.addressof(position), key_place, value_place, room, delete))
            packed = memoryview(values)[: count * stride]
            if stride != size:
                packed = memoryview(b"".join([packed[at : at + size] for at in range(0, count * stride, stride)]))
            yield memoryview(keys)[: count * self.key_size], packed, count


class QueueMap(UserMap):
    """Queues, stacks and bloom filters: values without keys."""

    __slots__ = ("_get", "_remove", "_set")

    def __init__(self, spec: MapSpec, cpus: int) -> None:
        super().__init__(spec, cpus)
        name = "bloom" if spec.type == MAP_TYPES["bloom_filter"] else "queue"
        code = runtime(f"{name}.c")
        size = code.function(f"{name}_storage", c_uint64, c_void_p, gil=True)(ctypes.addressof(self.header.shape))
        self._allocate(values=self.max_entries * self.header.shape.stride if name == "queue" else 0, storage=size)
        self.header.spare[0] = spec.map_extra & 15  # a bloom filter's number of hash functions
        code.function(f"{name}_start", None, c_void_p, gil=True)(self.address)
        self._get = code.function(f"{name}_get", c_uint64, c_void_p, c_void_p, c_void_p, gil=True)
        self._set = code.function(f"{name}_set", c_uint64, c_void_p, c_void_p, c_char_p, c_uint64, gil=True)
        self._remove = (
            code.function("queue_remove", c_uint64, c_void_p, c_void_p, c_void_p, gil=True) if name == "queue" else None
        )

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        """The value that comes out next."""
        return self._value(self._get, key, "lookup")

    def lookup_and_delete(self, key: bytes, flags: int = 0) -> bytes | None:
        """The next value, taken out."""
        if self._remove is None:
            return super().lookup_and_delete(key, flags)
        return self._value(self._remove, key, "lookup and delete")

    def _value(self, function: Any, key: bytes, operation: str) -> bytes | None:
        memory = self._check(key, operation=operation)
        if self._remove is None:
            raise self._cannot("read")
        value = bytearray(self.value_size)
        missing = function(memory.address, None, ctypes.addressof(ctypes.c_char.from_buffer(value)))
        return None if missing else bytes(value)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        memory = self._check(key, value, "update")
        number = self._set(memory.address, None, value, flags)
        if number:
            raise self._error("update", number, key)

    def contains(self, value: bytes) -> bool:
        """Whether a bloom filter may hold the value."""
        if self._remove is not None:
            raise self._cannot("test")
        memory = self._check(b"", value)
        asked = bytearray(value)
        return not self._get(memory.address, None, ctypes.addressof(ctypes.c_char.from_buffer(asked)))
