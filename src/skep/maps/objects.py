"""Views of the kinds whose values are kernel objects: programs, cgroups, maps, devices, CPUs, sockets.

A value goes in as an fd, or as a Python object that stands for one; what comes out is the kernel's id of it, where it tells.
"""

from __future__ import annotations

import errno
import os
import struct
from _collections_abc import MutableMapping

from skep.arguments import as_number
from skep.errors import MapError, MapKeyError
from skep.maps.array import Array
from skep.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Slots(Array):
    """An array whose slots may be empty: what all kinds of this module with an index share."""

    key_error = MapKeyError  # of an empty slot; an index outside is a MapIndexError

    def __delitem__(self, key: Any) -> None:
        if not self.handle.delete(self._pack_key(key)):
            raise self._missing(key)

    clearitem = __delitem__

    def __contains__(self, key: Any) -> bool:
        return Array.__contains__(self, key) and self.handle.lookup(self._pack_key(key)) is not None

    def pop(self, key: Any, *default: Any) -> Any:
        return Table.pop(self, key, *default)

    def popitem(self) -> tuple[Any, Any]:
        for key in self._walk():
            value = self._take(key)
            if value is not None:
                return self._keys.unpack(key), self._leaves.unpack(value)
        raise MapKeyError(f"map {self.name!r} is empty", map_name=self.name)

    def _walk(self) -> Iterator[bytes]:
        for key in Array._walk(self):
            if self.handle.lookup(key) is not None:
                yield key

    def _read(self, flags: int = 0) -> None:
        return None  # batch calls of these kinds, where there are any, stop at the first empty slot

    def _mapped_values(self) -> None:
        return None

    def _all_keys(self) -> list[Any]:
        return [self._keys.unpack(key) for key in self._walk()]

    def clear(self) -> None:
        for key in Array._walk(self):
            try:
                self.handle.delete(key)
            except MapError as error:
                if error.errno != errno.EINVAL:  # an empty slot of a sockmap
                    raise

    zero = clear


class ProgArray(Slots):
    """Programs by index, for tail calls. One goes in by name, as what `load_func` returns, or as its fd; its id comes out."""

    def _pack_leaf(self, leaf: Any) -> bytes:
        if isinstance(leaf, (str, bytes)) and hasattr(self.bpf, "tail_target"):
            leaf = self.bpf.tail_target(self.name, leaf)
        fd = getattr(leaf, "fd", leaf)
        if isinstance(fd, (str, bytes)) or fd is None:
            raise MapError(
                f"{self.name!r} holds programs: give a program's name, what load_func() returns, or its fd, not {fd!r}",
                map_name=self.name,
            )
        return self._leaves.pack(fd)


class CgroupArray(Slots):
    """Cgroups by index, for `check_current_task`. A cgroup goes in as its directory's path, or as an fd of it (Linux 4.8).

    The kernel does not give them back: slots can be set and deleted, not read.
    """

    update: Any = MutableMapping.update  # one by one: a path is open only while its slot is set

    def __setitem__(self, key: Any, cgroup: Any) -> None:
        if not isinstance(cgroup, (str, bytes, os.PathLike)):
            super().__setitem__(key, getattr(cgroup, "fileno", lambda: cgroup)())
            return
        try:
            fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise MapError(f"map {self.name!r}: cannot open cgroup {cgroup!r}: {error.strerror}", map_name=self.name) from error
        try:
            super().__setitem__(key, fd)
        finally:
            os.close(fd)


def _pack_map(table: Table, leaf: Any) -> bytes:
    return table._leaves.pack(getattr(leaf, "map_fd", leaf))


def _pack_device(table: Table, leaf: Any) -> bytes:
    """A device's index, and behind it, where the map has room (5.8), the fd of an XDP program: `(device, program)`."""
    device, program = _pair(table, leaf, "(device, XDP program)")
    if isinstance(device, (str, bytes)):
        import socket  # it imports enum

        try:
            device = socket.if_nametoindex(os.fsdecode(device))
        except (OSError, ValueError):  # a zero byte, or what no name can have
            raise MapError(f"map {table.name!r}: there is no network device {device!r}", map_name=table.name) from None
    return _with_program(table, device, program)


def _pair(table: Table, leaf: Any, what: str) -> tuple[Any, Any]:
    if not isinstance(leaf, tuple):
        return leaf, 0
    if len(leaf) != 2:
        raise MapError(f"a value of map {table.name!r} is {what}, not {leaf!r}", map_name=table.name)
    return leaf


def _with_program(table: Table, number: Any, program: Any) -> bytes:
    if isinstance(number, int) and table.handle.value_size == 8:
        fd = as_number(getattr(program, "fd", program), "an XDP program's fd", most=(1 << 31) - 1)
        return struct.pack("=Ii", as_number(number, f"a value of map {table.name!r}"), fd)
    if program:
        raise MapError(
            f"map {table.name!r} has no room for a program beside its values: declare it with values of 8 bytes, "
            f'BPF_TABLE("{table.map_type_name}", u32, struct bpf_{"cpu" if isinstance(table, CpuMap) else "dev"}map_val, ...)',
            map_name=table.name,
        )
    return table._leaves.pack(number)


def _pack_socket(table: Table, leaf: Any) -> bytes:
    fileno = getattr(leaf, "fileno", None)
    return table._leaves.pack(leaf if fileno is None else fileno())


class ArrayOfMaps(Slots):
    """Maps by index. A map goes in as a view or as its fd; its id comes out, which `skep.maps.from_id` opens. Linux 4.12."""

    _pack_leaf = _pack_map


class HashOfMaps(Table):
    """Maps by key. A map goes in as a view or as its fd; its id comes out, which `skep.maps.from_id` opens. Linux 4.12."""

    _pack_leaf = _pack_map


class DevMap(Slots):
    """Network devices by index, for `redirect_map` (Linux 4.14). A device goes in by name or number; its number comes out."""

    _pack_leaf = _pack_device


class DevMapHash(Table):
    """Network devices by key (Linux 5.4)."""

    _pack_leaf = _pack_device


class CpuMap(Slots):
    """CPUs by number, for `redirect_map` (Linux 4.15). The value is the size of the CPU's queue, or (size, XDP program) (5.9)."""

    def _pack_leaf(self, leaf: Any) -> bytes:
        size, program = _pair(self, leaf, "(queue size, XDP program)")
        return _with_program(self, size, program)


class XskMap(Slots):
    """AF_XDP sockets by queue, for `redirect_map` (Linux 4.18); a socket or its fd goes in, none comes out."""

    _pack_leaf = _pack_socket


class SockMap(Slots):
    """Sockets by index (Linux 4.14); a socket or its fd goes in, its cookie comes out where values have 8 bytes."""

    _pack_leaf = _pack_socket


class SockHash(Table):
    """Sockets by key (Linux 4.18); a socket or its fd goes in, its cookie comes out where values have 8 bytes."""

    _pack_leaf = _pack_socket
