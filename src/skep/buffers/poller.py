"""Waits for many rings at once with one epoll, and has them drained.

In: rings (an fd and a drain function). Out: calls of their callbacks, and how many records that were.
"""

from __future__ import annotations

import os
import select
from _thread import allocate_lock, get_ident

from skep.errors import MapError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Ring(Protocol):
        """What a poller drains: `drain` hands every waiting record to the callback and says how many that were."""

        fd: int

        def drain(self) -> int: ...


_SLICE = 1.0  # seconds: how soon a wait without end sees that another thread has closed the rings
_LONGEST = 1e6  # seconds: epoll takes 31 bits of milliseconds


class Poller:
    """One epoll over the rings of all maps of a BPF object; it opens with the first ring.

    Threads may poll at the same time: one drains, the others wait for it, so records keep their order.
    """

    def __init__(self, what: str, open_call: str) -> None:
        self._what = what
        self._open_call = open_call
        self._epoll: select.epoll | None = None
        self._rings: list[Ring] = []
        self._process = 0
        self._lock = allocate_lock()
        self._draining = 0  # the thread that drains

    def __len__(self) -> int:
        return len(self._rings)

    def add(self, ring: Ring) -> None:
        if self._epoll is None:
            self._epoll = select.epoll()
            self._process = os.getpid()
        try:
            self._epoll.register(ring.fd, select.EPOLLIN)
            self._rings.append(ring)
        finally:
            self._close_unused()

    def remove(self, ring: Ring) -> None:
        """Forget a ring; its fd must still be open. The epoll closes with the last one."""
        if self._epoll is not None and ring in self._rings:
            self._rings.remove(ring)
            if self._process == os.getpid():  # a forked child shares the epoll with its parent
                self._epoll.unregister(ring.fd)
            self._close_unused()

    def _close_unused(self) -> None:
        if self._epoll is not None and not self._rings:
            self._epoll.close()
            self._epoll = None

    def consume(self) -> int:
        """Drain every ring now, without waiting; the number of records."""
        self._require()
        return self._drain()

    def _drain(self) -> int:
        me = get_ident()
        if self._draining == me:
            raise SkepError(
                f"a callback of the {self._what} polls it again: records come one after another, return from the callback"
            )
        with self._lock:
            self._draining = me
            try:
                return sum([ring.drain() for ring in tuple(self._rings)])  # a callback may close rings
            finally:
                self._draining = 0

    def poll(self, timeout: float = -1) -> int:
        """Drain every ring; when there was nothing, wait up to `timeout` milliseconds (negative: for ever) and drain again.

        All rings are drained each time, because epoll consumes the readiness of perf fds: a ring that was ready and
        not read would not be reported again. And before waiting, because epoll does not report what came without a
        wake-up (BPF_RB_NO_WAKEUP, `wakeup_events`).
        """
        epoll = self._require()
        try:
            endless = timeout < 0
            seconds = _SLICE if endless else min(timeout / 1000, _LONGEST)
        except (TypeError, OverflowError):
            seconds = float("nan")
        if seconds != seconds:
            raise SkepError(f"a {self._what} is polled for a number of milliseconds (negative: for ever), not {timeout!r}")
        records = self._drain()
        if records:
            return records
        try:
            while epoll is self._epoll and not epoll.poll(seconds) and endless:
                pass
        except (ValueError, OSError):  # another thread closed it just now
            if not epoll.closed:
                raise
        return self._drain()

    def _require(self) -> select.epoll:
        if self._epoll is None:
            raise MapError(f"no {self._what} is open to poll: call {self._open_call} first")
        if self._process != os.getpid():  # the kernel does not copy perf rings into a child (VM_DONTCOPY)
            raise SkepError(
                f"this {self._what} is the parent process's: after a fork the child must open its own, with its own BPF object"
            )
        return self._epoll
