"""Maps of the user-space engine that hold programs and maps: an fd's number goes in, as in the kernel, and comes out again."""

from __future__ import annotations

import ctypes
import errno

from skep.engine.user import running
from skep.engine.user.facts import MapFacts
from skep.engine.user.layout import MapHeader
from skep.engine.user.maps import Memory, TableMap, UserMap, handle_of, values_size
from skep.errors import MapError
from skep.object.kinds import MAP_TYPES
from skep.object.model import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Slots(UserMap):
    """What is kept: `_kept` by key, its address in memory that programs read."""

    __slots__ = ("_held", "_kept")

    def __init__(self, spec: MapSpec, cpus: int) -> None:
        super().__init__(spec, cpus)
        self._kept: dict[bytes, Any] = {}
        self._held: dict[bytes, object] = {}  # their code or memory: another thread may close them just now

    def lookup(self, key: bytes, flags: int = 0) -> bytes | None:
        """The number of what is kept for a key."""
        self._check(key)
        kept = self._kept.get(key)
        return None if kept is None else int(kept.fd).to_bytes(4, "little")

    def next_key(self, key: bytes | None) -> bytes | None:
        if self.type != MAP_TYPES["hash_of_maps"]:
            return self._next_index(key)
        keys = list(self._kept)
        if key is None or key not in self._kept:
            return keys[0] if keys else None
        following = keys.index(key) + 1
        return keys[following] if following < len(keys) else None

    def _forget(self, key: bytes) -> bool:
        """It is not in the memory any more."""
        running.keep(self._held.pop(key, None))
        return self._kept.pop(key, None) is not None

    def _given(self, key: bytes, value: bytes, kind: type | None) -> Any:
        """The object that a number stands for."""
        self._check(key, value, "update")
        number = int.from_bytes(value, "little")
        given = handle_of(number)
        if given is None or (kind is None) == isinstance(given, UserMap) or (kind is not None and not isinstance(given, kind)):
            raise MapError(
                f"map {self.name!r}: {number} is no {'map' if kind else 'program'} of the user engine's: give what "
                f"{'b[name]' if kind else 'load_func()'} returns",
                errno=errno.EBADF,
                map_name=self.name,
            )
        return given


class ProgramArray(_Slots):
    """Programs by index, for tail calls; all have the context that the first one had."""

    __slots__ = ("_context",)

    def __init__(self, spec: MapSpec, cpus: int) -> None:
        super().__init__(spec, cpus)
        self._context: list[str] = []  # one list of all handles
        self._allocate(values=8 * self.max_entries)

    def bind(self, context: str) -> None:
        """A program with this context uses the array or is put into it; MapError when others have another."""
        if not self._context:
            self._context.append(context)
        elif self._context[0] != context:
            raise MapError(
                f"map {self.name!r} is for {self._context[0]} programs: a tail call keeps the context, so a {context} program "
                "cannot use it",
                errno=errno.EINVAL,
                map_name=self.name,
            )

    def regions(self) -> list[tuple[int, int, int, int]]:
        return []

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        program = self._given(key, value, None)
        self.bind(program.machine.context.name)
        self._held[key] = program.machine.hold()
        self._slot(self.keep(), key, "update").value = program.entry
        self._kept[key] = program
        if (self, key) not in program.arrays:
            program.arrays.append((self, key))

    def delete(self, key: bytes) -> bool:
        self._slot(self._check(key, operation="delete"), key, "delete").value = 0
        return self._forget(key)

    def remove(self, key: bytes, program: Any) -> None:
        """A program is closed: it is not called any more."""
        memory = self._memory
        if memory is not None and self._kept.get(key) is program:
            self._slot(memory, key, "delete").value = 0
            self._forget(key)

    def _slot(self, memory: Memory, key: bytes, operation: str) -> ctypes.c_uint64:
        index = int.from_bytes(key, "little")
        if index >= self.max_entries:
            raise self._error(operation, errno.E2BIG, key)
        return ctypes.c_uint64.from_buffer(memory.parts[0], 8 * index)


class MapOfMaps(_Slots):
    """Arrays and hashes of maps; each holds maps of the size that its declaration says."""

    __slots__ = ("_cpus", "_table")

    def __init__(self, spec: MapSpec, cpus: int) -> None:
        super().__init__(spec, cpus)
        self._cpus = cpus
        if spec.inner is None:
            raise MapError(
                f"cannot create map {spec.name!r}: a map of maps needs the description of its inner map",
                errno=errno.EINVAL,
                map_name=spec.name,
            )
        self._table: TableMap | None = None
        if spec.type == MAP_TYPES["array_of_maps"]:
            self._allocate(storage=8 * self.max_entries)
        else:
            self._table = TableMap(MapSpec(spec.name, MAP_TYPES["hash"], spec.key_size, 8, spec.max_entries), cpus)
            self._allocate(storage=8)
            self.keep().parts.append(self._table)
            self.header.spare[0] = self._table.address

    def _inner_facts(self) -> MapFacts:
        inner = self.spec.inner
        assert inner is not None
        stride = values_size(inner, self._cpus)
        return MapFacts(inner.type, inner.key_size, inner.value_size, inner.max_entries, flags=inner.flags, stride=stride)

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        map = self._given(key, value, UserMap)
        inner, facts = self._inner_facts(), map.facts
        for what in ("type", "key_size", "value_size"):
            if getattr(inner, what) != getattr(facts, what):
                raise MapError(
                    f"map {self.name!r} holds maps with {what} {getattr(inner, what)}; {map.name!r} has {getattr(facts, what)}",
                    errno=errno.EINVAL,
                    map_name=self.name,
                )
        if flags and (key in self._kept) == (flags == 1):
            raise self._error("update", errno.EEXIST if flags == 1 else errno.ENOENT, key)
        held = map.keep()
        self._set(key, held.address, "update")
        self._held[key] = held
        self._kept[key] = map
        if (self, key) not in map.holders:
            map.holders.append((self, key))

    def delete(self, key: bytes) -> bool:
        self._check(key, operation="delete")
        if key not in self._kept:
            return False
        self._set(key, 0, "delete")
        return self._forget(key)

    def remove(self, key: bytes, header: MapHeader) -> None:
        """A map's memory goes: it is not found any more."""
        found = self._kept.get(key)
        if self._memory is not None and found is not None and found.header is header:
            self._set(key, 0, "delete")
            self._forget(key)

    def _set(self, key: bytes, address: int, operation: str) -> None:
        if self._table is None:
            index = int.from_bytes(key, "little")
            if index >= self.max_entries:
                raise self._error(operation, errno.E2BIG, key)
            ctypes.c_uint64.from_buffer(self.keep().parts[0], 8 * index).value = address
        elif address:
            self._table.update(key, address.to_bytes(8, "little"))
        else:
            self._table.delete(key)
