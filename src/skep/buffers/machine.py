"""The machine code that copies records into rows: drain.c, compiled once by Skep's own compiler and then cached.

In: a cursor and rows. Out: the records' bytes in the rows, the cursor moved on; exactly what `rows.copy` does.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

from skep.buffers.cursor import damaged, too_long
from skep.buffers.rows import copy
from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.buffers.cursor import AnyCursor
    from skep.buffers.rows import Rows

_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drain.c")
_KINDS = ("perf_copy", "ring_copy")
_TOO_LONG, _DAMAGED = 1, 2


class _Ring(ctypes.Structure):
    """struct ring of drain.c."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "head", "tail", "data", "mask", "position", "lost", "row", "start", "size", "longest", "prefix", "cpu", "status"
        )
    ]  # fmt: skip


class MachineCode:
    """The functions of drain.c. The interpreter's lock is free while they run."""

    __slots__ = ("_functions",)

    def __init__(self) -> None:
        from skep.native import load

        code = load(_FILE)
        self._functions: dict[str, Any] = {
            kind: code.function(kind, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long) for kind in _KINDS
        }

    def copy(self, cursor: AnyCursor, rows: Rows, first: int, room: int) -> int:
        """`rows.copy`, in machine code."""
        ring = cursor.machine
        if ring is None:
            ring = cursor.machine = _Ring(
                head=ctypes.addressof(cursor.head), tail=ctypes.addressof(cursor.tail), data=cursor.data, mask=cursor.mask,
                prefix=cursor.prefix, cpu=cursor.cpu,
            )  # fmt: skip
        ring.position, ring.lost = cursor.position, 0
        if ring.row != rows.row or ring.size != rows.size:
            ring.row, ring.start, ring.size, ring.longest = rows.row, rows.start, rows.size, cursor.longest(rows.size)
        count: int = self._functions[cursor.kind](ctypes.addressof(ring), rows.address + first * rows.row, room)
        cursor.position = ring.position
        cursor.lost += ring.lost
        if ring.status == _TOO_LONG and not count:
            run = cursor.next_run(cursor.head.value)
            assert run is not None
            cursor.commit(cursor.position + cursor.length(run[2]))
            raise too_long(rows.name, run[2], rows.size)
        if ring.status == _DAMAGED and not count:
            cursor.commit(cursor.head.value)
            raise damaged(cursor.cpu)
        return count


@cache
def copier() -> Callable[[AnyCursor, Rows, int, int], int]:
    """The fastest way to copy here: machine code, or Python where memory may not run or nothing can compile it."""
    try:
        return MachineCode().copy
    except (SkepError, ImportError, OSError):
        return copy
