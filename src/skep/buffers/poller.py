"""Waits for many rings at once with one epoll, and has them drained.

In: rings (an fd and a drain function). Out: calls of their callbacks, and how many records that were.
"""

from __future__ import annotations

import select

from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Ring(Protocol):
        """What a poller drains: `drain` hands every waiting record to the callback and says how many that were."""

        fd: int

        def drain(self) -> int: ...


class Poller:
    """One epoll over the rings of all maps of a BPF object; it opens with the first ring."""

    def __init__(self, what: str, open_call: str) -> None:
        self._what = what
        self._open_call = open_call
        self._epoll: select.epoll | None = None
        self._rings: list[Ring] = []

    def __len__(self) -> int:
        return len(self._rings)

    def add(self, ring: Ring) -> None:
        if self._epoll is None:
            self._epoll = select.epoll()
        self._epoll.register(ring.fd, select.EPOLLIN)
        self._rings.append(ring)

    def remove(self, ring: Ring) -> None:
        """Forget a ring; its fd must still be open. The epoll closes with the last one."""
        if self._epoll is not None and ring in self._rings:
            self._rings.remove(ring)
            self._epoll.unregister(ring.fd)
            if not self._rings:
                self._epoll.close()
                self._epoll = None

    def consume(self) -> int:
        """Drain every ring now, without waiting; the number of records."""
        self._require()
        return sum([ring.drain() for ring in tuple(self._rings)])  # a callback may close rings

    def poll(self, timeout: float = -1) -> int:
        """Drain every ring; when there was nothing, wait up to `timeout` milliseconds (negative: for ever) and drain again.

        All rings are drained each time, because epoll consumes the readiness of perf fds: a ring that was ready and
        not read would not be reported again. And before waiting, because epoll does not report what came without a
        wake-up (BPF_RB_NO_WAKEUP, `wakeup_events`).
        """
        epoll = self._require()
        records = self.consume()
        if not records and epoll is self._epoll:
            epoll.poll(timeout / 1000 if timeout > 0 else timeout)
            records = self.consume() if self._rings else 0
        return records

    def _require(self) -> select.epoll:
        if self._epoll is None:
            raise MapError(f"no {self._what} is open to poll: call {self._open_call} first")
        return self._epoll
