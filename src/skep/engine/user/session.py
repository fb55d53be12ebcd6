"""The process's one tracer, which all engines of the process share: a process can be traced by one tracer only.

In: commands, pids, programs with their events. Out: exit statuses; faults of programs, as warnings and on the program.
"""

from __future__ import annotations

import _thread
import os
import sys
from _signal import SIGKILL  # type: ignore[import-not-found]
from ctypes import pointer
from fcntl import F_DUPFD_CLOEXEC, fcntl

from skep.engine.user.layout import Env, Output, Task
from skep.engine.user.tracer import Tracer, load_code
from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skep.engine.user.events import Event
    from skep.engine.user.tracer import Code, Happening
    from skep.engine.user.tracer import Program as Attached

    Report = Callable[[tuple[int, ...]], SkepError]

_LINES = 1 << 20  # bytes of lines that programs have printed and nobody has read: what a user without privilege may have
_NOWHERE = (1 << 64) - 1  # no fd
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, fcntl(2)
TIME_LIMIT = 1_000_000_000  # ns that one run of a program may take


class Session:
    """A tracer with the environment of the programs that it runs, and a thread that hears what happened."""

    def __init__(self, code: Code | None = None) -> None:
        self.task = Task()
        self.lines, fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl(fd, _SET_PIPE_SIZE, _LINES)
        self.output = Output(fd=fd)
        self.env = Env(
            task=pointer(self.task),
            output=pointer(self.output),
            time_limit=TIME_LIMIT,
            random=int.from_bytes(os.urandom(8), "little") | 1,
        )
        self.users: list[bool] = []  # one for each: threads may come and go at once
        self.programs = 0  # attached now
        self._reports: dict[Attached, Report] = {}
        self._statuses: dict[int, int] = {}
        self._waiting: dict[int, list[_thread.LockType]] = {}
        self._lock = _thread.allocate_lock()
        self._closed = False
        self.ended = False  # the tracer, before it was closed
        try:
            self.tracer = Tracer(self.env, code)
        except BaseException:
            os.close(fd)
            os.close(self.lines)
            raise
        self._heard = _thread.allocate_lock()
        self._heard.acquire()
        _thread.start_new_thread(self._listen, ())

    def start(self, argv: Sequence[str], files: Sequence[int] = (-1, -1, -1), user: int | None = None) -> int:
        """Start a command, traced with its children; its pid. `files` are its standard files (-1: this process's)."""
        kept = [fcntl(fd, F_DUPFD_CLOEXEC, 3) if fd >= 0 else -1 for fd in files]  # none is in the way of another's new number
        try:
            return self.tracer.start(argv, files=kept, user=user)
        finally:
            for fd in kept:
                if fd >= 0:
                    os.close(fd)

    def attach(self, pid: int) -> None:
        """Trace a process that runs, its threads and the processes below it."""
        self.tracer.attach(pid)

    def wait(self, pid: int, timeout: float = -1) -> int | None:
        """The wait status of a command or process that ended; None when `timeout` seconds (negative: for ever) passed before.

        SkepError when the tracer has ended before.
        """
        with self._lock:
            if pid in self._statuses:
                return self._statuses[pid]
            if self._closed or self.ended:
                raise _unknown(pid)
            ended = _thread.allocate_lock()
            ended.acquire()
            self._waiting.setdefault(pid, []).append(ended)
        while True:  # in slices: an interrupt is seen by Python between two
            if ended.acquire(timeout=min(timeout, 1.0) if timeout >= 0 else 1.0):
                if pid not in self._statuses:
                    raise _unknown(pid)
                return self._statuses[pid]
            if timeout >= 0:
                timeout -= 1.0
                if timeout <= 0:
                    with self._lock:
                        if ended in self._waiting.get(pid, ()):
                            self._waiting[pid].remove(ended)
                        return self._statuses.get(pid)

    def attach_program(self, event: Event, entry: int, report: Report, *, needs_cpu: bool = False) -> Attached:
        """Run machine code at an event; `report` makes the error of a fault's details."""
        attached = self.tracer.attach_program(event, entry, needs_cpu=needs_cpu)
        self._reports[attached] = report
        self.programs += 1
        return attached

    def detach_program(self, attached: Attached) -> None:
        """Run it no more; it is not running when this returns."""
        self.tracer.detach_program(attached)
        if self._reports.pop(attached, None) is not None:
            self.programs -= 1

    def close(self) -> None:
        """End what was started, let go of all else."""
        with self._lock:
            closed, self._closed = self._closed, True
        if closed:
            return
        try:
            self.tracer.close()
        finally:
            for happening in self.tracer.rest():
                self._hear(happening)
            self._release()
            fd, lines = self.output.fd, self.lines
            self.output.fd, self.lines = _NOWHERE, -1  # first: a program or reader that lives on would meet another's file
            os.close(fd)
            os.close(lines)

    def _listen(self) -> None:
        try:
            while not self._closed:
                for happening in self.tracer.wait(0.25):
                    self._hear(happening)
        except (OSError, ValueError, SkepError) as error:
            if not self._closed:
                _warn(f"{error}; there are no more events")
                self.ended = True
                for pid in self.tracer.abandoned():
                    self._statuses.setdefault(pid, SIGKILL)
                self._release()

    def _release(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            for locks in self._waiting.values():
                for lock in locks:
                    lock.release()
            self._waiting = {}

    def _hear(self, happening: Happening) -> None:
        if happening.what == "ended":
            with self._lock:
                self._statuses[happening.pid] = happening.status
                for lock in self._waiting.pop(happening.pid, ()):
                    lock.release()
        elif happening.what == "fault":
            report = self._reports.get(happening.program) if happening.program is not None else None
            if report is not None:
                _warn(f"{report(happening.detail)}; the program runs no more")
        elif happening.what == "compat":
            _warn(f"process {happening.pid} runs a 32-bit program: its system calls are not seen")
        else:
            _warn(f"{happening.status} messages of the tracer were lost")


def _unknown(pid: int) -> SkepError:
    return SkepError(f"how process {pid} ends is not known: what traced it is closed")


def _warn(text: str) -> None:
    print(f"skep: warning: {text}", file=sys.stderr)


_CURRENT: list[Session] = []


def current() -> Session | None:
    """The session of this process, if an engine has one open whose tracer lives."""
    return _CURRENT[0] if _CURRENT and not _CURRENT[0].ended else None


def settle() -> None:
    """When this returns, no run of a program at an event goes on that began before."""
    if _CURRENT:
        try:
            _CURRENT[0].tracer.settle()
        except SkepError:  # it has ended, or belongs to the process that this one was forked from
            pass


def prepare() -> Code | None:
    """What `acquire` needs and may take seconds, the first time: a KeyboardInterrupt loses nothing here."""
    return None if current() else load_code()


def acquire(code: Code | None = None) -> Session:
    """The session of this process, for one more engine."""
    if current() is None:
        _CURRENT.clear()
        _CURRENT.append(Session(code))
    _CURRENT[0].users.append(True)
    return _CURRENT[0]


def release(session: Session) -> None:
    """An engine needs it no more; the last one closes it."""
    session.users.pop()
    if not session.users:
        if _CURRENT and _CURRENT[0] is session:
            _CURRENT.clear()
        session.close()
