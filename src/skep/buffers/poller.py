"""Waits for many rings at once with one epoll, and has their readers drain them.

In: readers and the fds of their rings. Out: calls of their callbacks, and how many records that were.
"""

from __future__ import annotations

import os
import select
from _thread import allocate_lock, get_ident
from time import monotonic

from skep.errors import MapError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from skep.buffers.reader import Reader

    Found = TypeVar("Found")

# Seconds. epoll does not report what came without a wake-up (BPF_RB_NO_WAKEUP, wakeup_events): every so often the rings are
# read without being asked to. As soon as that a wait without end sees that another thread has closed the rings.
SLICE = 1.0


class Poller:
    """One epoll over rings; it opens with the first ring and closes with the last.

    Threads may poll at the same time: one drains, the others wait for it, so records keep their order.
    """

    def __init__(self, what: str, open_call: str) -> None:
        self.readers: dict[str, Reader] = {}  # by map
        self.what = what
        self._open_call = open_call
        self._epoll: select.epoll | None = None
        self._fds: list[int] = []
        self._acknowledge: dict[int, Callable[[], None]] = {}
        self._process = 0
        self._lock = allocate_lock()
        self._draining = 0  # the thread that drains

    def __len__(self) -> int:
        return len(self._fds)

    @property
    def inherited(self) -> bool:
        """Whether the rings are those of the process that this one was forked from."""
        return self._process != os.getpid()

    @property
    def fd(self) -> int:
        """The epoll's fd, -1 when nothing is watched."""
        epoll = self._epoll
        return -1 if epoll is None else epoll.fileno()

    def watch(self, fd: int, acknowledge: Callable[[], None] | None = None) -> None:
        """Wait for this ring as well; `acknowledge` is called before each look at it, so that what comes later wakes again."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self._process = os.getpid()
        try:
            self._epoll.register(fd, select.EPOLLIN)
            self._fds.append(fd)
            if acknowledge is not None:
                self._acknowledge[fd] = acknowledge
        finally:
            self._close_unused()

    def forget(self, fd: int) -> None:
        """Wait for this ring no more; its fd must still be open."""
        epoll = self._epoll
        try:
            self._fds.remove(fd)
        except ValueError:  # not here, or another thread forgets it just now
            return
        self._acknowledge.pop(fd, None)
        if epoll is not None and not self.inherited:  # a forked child shares the epoll with its parent
            try:
                epoll.unregister(fd)
            except (ValueError, OSError):  # another thread has forgotten the others, and closed it
                if not epoll.closed:
                    raise
        self._close_unused()

    def _close_unused(self) -> None:
        epoll = self._epoll
        if epoll is not None and not self._fds:
            epoll.close()
            self._epoll = None

    def close(self) -> None:
        """Close all readers, whatever happens to one; the first failure is raised at the end."""
        failure: Exception | None = None
        for reader in tuple(self.readers.values()):
            try:
                reader.close()
            except (SkepError, OSError) as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def consume(self) -> int:
        """Drain every ring now, without waiting; the number of records."""
        self.require()
        return self.take(self._drain)

    def _drain(self) -> int:
        return sum([reader.drain() for reader in tuple(self.readers.values())])  # a callback may close readers, and open others

    def poll(self, timeout: float = -1) -> int:
        """Drain every ring; when there was nothing, wait up to `timeout` milliseconds (negative: for ever) and drain again.

        A wake-up ends the wait also when it brought nothing to hand on: a record that was discarded, a count of lost ones.
        """
        return self.until(self._drain, timeout, woken=True) or 0

    def until(self, take: Callable[[], Found], timeout: float, *, woken: bool = False) -> Found:
        """Call `take` until it gives something, the time (ms; negative: for ever) is over, or the rings are closed.

        `woken`: a wake-up ends it, too.

        All rings are read each time, because epoll consumes the readiness of perf fds: a ring that was ready and not read
        would not be reported again.
        """
        epoll = self.require()
        end = self.deadline(timeout)
        while True:
            found = self.take(take)
            if found or epoll is not self._epoll:
                return found
            left = end - monotonic()
            if left <= 0:
                return found
            try:
                if epoll.poll(min(left, SLICE)) and woken:
                    return self.take(take)
            except (ValueError, OSError):  # another thread closed it just now
                if not epoll.closed:
                    raise

    def deadline(self, timeout: float) -> float:
        """When a wait of that many milliseconds is over, by the monotonic clock."""
        try:
            seconds = float("inf") if timeout < 0 else timeout / 1000
        except (TypeError, OverflowError):
            seconds = float("nan")
        if seconds != seconds:
            raise SkepError(f"a {self.what} is polled for a number of milliseconds (negative: for ever), not {timeout!r}")
        return monotonic() + seconds

    def take(self, take: Callable[[], Found]) -> Found:
        """Call `take` while no other thread reads."""
        me = get_ident()
        if self._draining == me:
            raise SkepError(
                f"a callback of the {self.what} polls it again: records come one after another, return from the callback"
            )
        with self._lock:
            self._draining = me
            try:
                for acknowledge in tuple(self._acknowledge.values()):  # another thread may close some
                    acknowledge()
                return take()
            finally:
                self._draining = 0

    def require(self) -> select.epoll:
        """The epoll, if rings are open in this process."""
        epoll = self._epoll  # once: another thread may close it just now
        if epoll is None:
            raise MapError(f"no {self.what} is open to poll: call {self._open_call} first")
        if self.inherited:  # the kernel does not copy perf rings into a child (VM_DONTCOPY)
            raise SkepError(
                f"this {self.what} is the parent process's: after a fork the child must open its own, with its own BPF object"
            )
        return epoll
