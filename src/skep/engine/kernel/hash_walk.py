"""The elements of a large hash map read by a program that walks its buckets: several times faster than the batch call (6.9).

In: a live hash map. Out: its elements run by run, with the promises of the batch call; UnsupportedError where that cannot be had.
"""

from __future__ import annotations

import os

from skep.engine.kernel.hash_walk_program import START, STATE, aligned, load, program_text
from skep.engine.kernel.map_create import create_map
from skep.engine.privileges import lockdown
from skep.errors import UnsupportedError
from skep.object.kinds import MAP_TYPES
from skep.object.model import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.engine import Part
    from skep.engine.kernel.maps import KernelMap

_BUCKETS = 1 << 14  # of one run, and one CPU's values: about 1 ms, in which the CPU does nothing else
_ELEMENTS = 1 << 15  # of one run at most
_ROOM = 1 << 21  # bytes that one run fills at most
_RETRIES = 64  # of one run
_CHECKS = 2  # of a bucket's links: with one, 4 of a million reads under attack missed an entry, with two none of two million
_MMAPABLE = 1 << 10


class HashWalk:
    """The program for one map, and the memory that it fills; one run at a time. UnsupportedError where this cannot be had."""

    __slots__ = ("_buckets", "_key_size", "_memory", "_output", "_program", "_value_size", "_values_at", "pid")

    def __init__(self, map: KernelMap) -> None:
        if os.uname().machine != "x86_64":  # where loads are not made in order, the program would need barriers
            raise UnsupportedError("hash maps are walked on x86-64 alone", needs="the batch call")
        if lockdown() == "confidentiality":
            raise UnsupportedError("the kernel is locked down: programs may not read its memory", needs="the batch call")
        map.next_key(None)  # an fd that may only write is refused here, and a program would not be
        self.pid = os.getpid()
        self._key_size, self._value_size = map.key_size, map.value_size
        self._buckets = max(_BUCKETS * aligned(map.spec.value_size) // aligned(map.value_size), 1)
        room = min(map.max_entries, _ELEMENTS, _ROOM // (map.key_size + map.value_size))
        self._values_at = START + aligned(room * map.key_size)
        size = self._values_at + room * map.value_size
        self._output = create_map(MapSpec("skep_walk", MAP_TYPES["array"], 4, size, 1, flags=_MMAPABLE), 1, 0)
        try:
            memory = self._output.memory(writable=True)
            assert memory is not None
            self._memory = memoryview(memory)
            self._program = load("skep_walk", program_text(map, self._output.fd, room, self._values_at))
        except BaseException:
            self._output.close()
            raise

    def read(self, bucket: int) -> tuple[int, Part]:
        """The elements of some buckets from this one on, in memory that the next run fills again, and the bucket after them.

        -1 after the last; the same bucket when it never held still, or has more than there is room for.
        """
        memory = self._memory
        STATE.pack_into(memory, 0, bucket, bucket + self._buckets, 0, _RETRIES, _CHECKS)
        self._program.test_run()
        reached, buckets, count, *_ = STATE.unpack_from(memory)
        keys = memory[START : START + count * self._key_size]
        values = memory[self._values_at : self._values_at + count * self._value_size]
        return -1 if reached == buckets else reached, (keys, values, count)

    def close(self) -> None:
        """Unload the program and free the memory."""
        self._program.close()
        self._memory.release()  # it has an fd of its own
        self._output.close()
