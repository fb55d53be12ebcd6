"""Keeps signals away while something is opened and written down: a KeyboardInterrupt in between would lose an fd or a process."""

from __future__ import annotations

# `signal` imports `enum`, which costs 5 ms at start-up; these are the same functions without the names of the signals
from _signal import NSIG, getsignal, signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[int, object], object]


class Uninterrupted:
    """`with Uninterrupted():` Python's handlers of signals wait until the end of the block, and run there.

    Blocking the signals in this thread would not do: any other thread takes them then (numpy starts some), and Python runs the
    handlers in the main thread all the same. In other threads, where Python runs no handler, this does nothing.
    """

    __slots__ = ("_came", "_handlers")

    def __enter__(self) -> None:
        self._came: list[int] = []
        self._handlers: dict[int, Handler] = {}
        try:
            for number in range(1, NSIG):
                handler = getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal(number, self._note)
        except ValueError:  # not the main thread
            self._handlers = {}
        except BaseException:  # of a handler that was due already
            self._restore()
            raise

    def _note(self, number: int, _frame: object) -> None:
        self._came.append(number)

    def _restore(self) -> None:
        failure = None
        for number, handler in self._handlers.items():
            while getsignal(number) is not handler:
                try:
                    signal(number, handler)
                except BaseException as error:  # of a handler that is back already: the others must come back too
                    failure = error
        if failure is not None:
            raise failure

    def __exit__(self, *_: object) -> None:
        self._restore()
        for number in dict.fromkeys(self._came):
            self._handlers[number](number, None)
