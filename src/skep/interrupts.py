"""Keeps signals away while something is opened and written down: a KeyboardInterrupt in between would lose an fd or a process."""

from __future__ import annotations

# `signal` imports `enum`, which costs 5 ms at start-up; this is the same function without the names of the signals
from _signal import SIG_BLOCK, SIG_SETMASK, pthread_sigmask, valid_signals  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Uninterrupted:
    """`with Uninterrupted():` signals of this thread wait until the end of the block, and are raised there.

    Python runs handlers in the main thread only; a signal that another thread takes meanwhile is not held back.
    """

    __slots__ = ("_mask",)

    def __enter__(self) -> None:
        self._mask: Iterable[int] = pthread_sigmask(SIG_BLOCK, ())
        try:
            pthread_sigmask(SIG_BLOCK, valid_signals())
        except BaseException:  # a handler that was due already ran in there, with the signals blocked
            pthread_sigmask(SIG_SETMASK, self._mask)
            raise

    def __exit__(self, *_: object) -> None:
        pthread_sigmask(SIG_SETMASK, self._mask)
