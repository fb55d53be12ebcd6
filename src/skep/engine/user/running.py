"""Runs of programs outside of the interpreter's lock, and what they may still use: it is kept until they have ended.

Python's own operations are enough: a lock could be held for ever in a process that is forked meanwhile.
"""

from __future__ import annotations

from _collections import deque  # type: ignore[import-not-found]  # `collections` costs 1 ms at start-up
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque as Deque

_NUMBERS = count(1)  # of runs and of what is kept, as they come
_ACTIVE: dict[int, object] = {}
_KEPT: Deque[tuple[int, object]] = deque()


def begin(held: object) -> int:
    """A run begins that holds its code and memory: the number that ends it."""
    number = next(_NUMBERS)
    _ACTIVE[number] = held
    return number


def end(number: int) -> None:
    """A run has ended."""
    del _ACTIVE[number]
    oldest = min(list(_ACTIVE), default=None)
    while _KEPT:
        entry = _KEPT.popleft()
        if oldest is not None and entry[0] > oldest:
            _KEPT.appendleft(entry)
            return


def keep(thing: object) -> None:
    """What runs cannot come to any more stays until those that began before have ended."""
    if _ACTIVE:
        _KEPT.append((next(_NUMBERS), thing))
