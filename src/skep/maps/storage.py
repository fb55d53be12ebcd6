"""Views of local storage: values that belong to a socket, a task, an inode or a cgroup, and go away with it.

The key is the object: an fd, or a Python object that has one; for tasks also a process id, for inodes and cgroups a path.
"""

from __future__ import annotations

import os
from _collections_abc import MutableMapping

from skep.errors import MapError
from skep.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Storage(Table):
    """Values by object. Nothing lists the objects that have one; `get`, `[]`, `in`, `del` and `pop` take one object."""

    def __getitem__(self, key: Any) -> Any:
        with _Opened(self, key) as fd:
            return Table.__getitem__(self, fd)

    def get(self, key: Any, default: Any = None) -> Any:
        with _Opened(self, key) as fd:
            return Table.get(self, fd, default)

    def __setitem__(self, key: Any, leaf: Any) -> None:
        with _Opened(self, key) as fd:
            Table.__setitem__(self, fd, leaf)

    def __delitem__(self, key: Any) -> None:
        with _Opened(self, key) as fd:
            Table.__delitem__(self, fd)

    def __contains__(self, key: Any) -> bool:
        with _Opened(self, key) as fd:
            return Table.__contains__(self, fd)

    def pop(self, key: Any, *default: Any) -> Any:
        with _Opened(self, key) as fd:
            return Table.pop(self, fd, *default)

    update: Any = MutableMapping.update  # one by one: the keys of a batch are fds

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise MapError(
            f"{self.map_type_name} {self.name!r} cannot be listed: ask for the value of one object, a {_WHAT[self.ttype]}",
            map_name=self.name,
        )

    _read = _walk = next = popitem = _refuse
    clear = items_delete_batch = items_lookup_and_delete_batch = _refuse

    def _open(self, key: Any) -> tuple[int, bool]:
        """The fd of the object, and whether it is ours to close."""
        if hasattr(key, "fileno"):
            return key.fileno(), False
        key = getattr(key, "value", key)
        try:
            if isinstance(key, (str, bytes, os.PathLike)):
                return os.open(key, os.O_RDONLY), True
            if self.ttype == _TASK and isinstance(key, int):
                return os.pidfd_open(key), True
        except (OSError, ValueError, OverflowError) as error:  # a path with a zero byte, a number that is no process id
            raise MapError(
                f"{self.map_type_name} {self.name!r}: {key!r} is not there, or no {_WHAT[self.ttype]}: "
                f"{getattr(error, 'strerror', error)}",
                errno=getattr(error, "errno", 0) or 0,
                map_name=self.name,
            ) from error
        return key, False


class _Opened:
    """The fd of a storage's key for the length of a block."""

    __slots__ = ("_fd", "_key", "_own", "_table")

    def __init__(self, table: Storage, key: Any) -> None:
        self._table = table
        self._key = key

    def __enter__(self) -> int:
        self._fd, self._own = self._table._open(self._key)
        return self._fd

    def __exit__(self, *_: object) -> None:
        if self._own:
            os.close(self._fd)


# include/uapi/linux/bpf.h, enum bpf_map_type; since 5.2, 5.10, 5.11, 6.2
_SK, _INODE, _TASK, _CGRP = 24, 28, 29, 32
_WHAT = {
    _SK: "socket or its fd",
    _INODE: "file, its fd or its path",
    _TASK: "process id",
    _CGRP: "cgroup directory's fd or path",
}
