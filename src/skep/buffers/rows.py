"""Rows that records are copied into, one after another: what arrays of events are made of.

In: a cursor. Out: its records' bytes in rows, the cursor moved on. drain.c does the same in machine code.
"""

from __future__ import annotations

import ctypes

from skep.buffers.cursor import TIMED_PREFIX, time_of, too_long
from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.buffers.cursor import AnyCursor


class Rows:
    """Rows that records are copied into: `row` bytes each, the record's `size` bytes from `start` on.

    What is before `start` (0 or 16) takes the time of a perf sample, u64 ns, and the CPU, u64. `array` is whose memory it is.
    """

    __slots__ = ("address", "array", "name", "row", "size", "start")

    def __init__(self, name: str, array: Any, address: int, row: int, start: int, size: int) -> None:
        self.name = name
        self.array = array
        self.address = address
        self.row = row
        self.start = start
        self.size = size


def copy(cursor: AnyCursor, rows: Rows, first: int, room: int) -> int:
    """Copy up to `room` records into rows from number `first` on, and commit them; how many.

    Shorter records are filled up with zeros. A longer one is a MapError, when it comes first; it counts as read.
    """
    count = 0
    end = cursor.head.value
    try:
        while count < room:
            try:
                run = cursor.next_run(end)
            except MapError:
                if count:
                    break
                cursor.position = end
                raise
            if run is None:
                break
            address, stride, size, number = run
            if size > cursor.longest(rows.size):
                if count:
                    break
                cursor.position += cursor.length(size)
                raise too_long(rows.name, size, rows.size)
            number = min(number, room - count)
            for source in range(address, address + number * stride, stride):
                row = rows.address + (first + count) * rows.row
                if rows.start:
                    stamps = (ctypes.c_uint64 * 2).from_address(row)
                    stamps[0] = time_of(source) if cursor.prefix == TIMED_PREFIX else 0
                    stamps[1] = cursor.cpu
                row += rows.start
                taken = min(size, rows.size)
                ctypes.memmove(row, source, taken)
                ctypes.memset(row + taken, 0, rows.size - taken)
                count += 1
            cursor.position += number * cursor.length(size)
    finally:
        cursor.commit(cursor.position)
    return count
