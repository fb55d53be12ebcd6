"""Traces commands and processes: the process that runs the tracing loop (runtime/tracer.c), and methods to tell it what.

In: commands, pids, programs with their events. Out: what happened. Linux 5.3 (PTRACE_GET_SYSCALL_INFO), x86-64.
"""

from __future__ import annotations

import _thread
import ctypes
import mmap
import os
import select
import time

# `signal` imports `enum`, which costs 5 ms at start-up
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIGKILL,
    SIGTERM,
    pidfd_send_signal,
    pthread_sigmask,
    valid_signals,
)

from skep.commands import find_command
from skep.engine.errnos import errno_text
from skep.engine.user import tracer_layout as layout
from skep.engine.user.events import END, ENTER, EXEC, EXIT, FORK, TIMER
from skep.engine.user.tracer_errors import attach_error, exec_error, own_thread, require_proc, start_error
from skep.engine.user.tracer_filter import WATCHED, make_filter
from skep.errors import AttachError, SkepError, UnsupportedError
from skep.interrupts import Uninterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from skep.engine.user.events import Event
    from skep.engine.user.layout import Env

    Code = tuple[Callable[[], int], Callable[[int], int]]

# PTRACE_O_*: TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC; TRACEEXIT when programs want it
_OPTIONS, _TRACE_EXIT = 0x01 | 0x02 | 0x04 | 0x08 | 0x10, 0x40
_OLDEST = (5, 3)
_KICK = 0.002  # seconds between two signals to the keeper
_STACK = 1 << 20
_SIGSET = 128  # bytes of glibc's and musl's sigset_t
_EVENTFD = os.EFD_CLOEXEC | os.EFD_NONBLOCK
_LOOK = 0.05  # seconds
_PATIENCE = 2.0  # seconds from SIGTERM to SIGKILL
_RESTORED = 1 << 13 - 1 | 1 << 25 - 1  # Python ignores SIGPIPE and SIGXFSZ; a command shall not


class Happening:
    """`what` is "ended" (a command or a process that was attached to: `pid`, `status` as by waitpid), "fault" (`program` runs no
    more; `detail`: enum skep_fault, instruction, address, size), "compat" (`pid` runs a 32-bit program, whose system calls are
    not seen) or "lost" (`status` happenings that found no room)."""

    __slots__ = ("detail", "pid", "program", "status", "what")

    def __init__(
        self, what: str, pid: int, status: int = 0, program: Program | None = None, detail: tuple[int, ...] = ()
    ) -> None:
        self.what = what
        self.pid = pid
        self.status = status
        self.program = program
        self.detail = detail

    def __repr__(self) -> str:
        return f"Happening({self.what!r}, {self.pid}, {self.status})"


class Program:
    """A program attached to an event: machine code at `entry`."""

    __slots__ = ("_past", "entry", "event", "id", "needs_cpu", "row")

    def __init__(self, event: Event, entry: int, needs_cpu: bool, id: int) -> None:
        self.event = event
        self.entry = entry
        self.needs_cpu = needs_cpu
        self.id = id
        self.row: layout.HookRow | None = None
        self._past = 0

    @property
    def runs(self) -> int:
        """How often it ran."""
        return self._past + (self.row.runs if self.row is not None else 0)

    def settle(self) -> None:
        """Keep the count: the row belongs to tables that are used no more."""
        self._past, self.row = self.runs, None


class Tracer:
    """Runs programs at the events of processes that it starts or attaches to; `fd` is readable when something happened.

    The loop is a process of its own that shares this one's memory. What was started ends with the tracer, since a filtered system
    call fails without one; what was attached to goes on, also when this process is killed. Methods may be called from any thread.
    """

    def __init__(self, env: Env, code: Code | None = None) -> None:
        release = os.uname().release
        digits = "".join(c if c.isdigit() else " " for c in release).split()
        if tuple(map(int, digits[:2])) < _OLDEST:
            raise UnsupportedError(f"processes cannot be traced on Linux {release}", needs="Linux 5.3 (PTRACE_GET_SYSCALL_INFO)")
        self._process = os.getpid()
        size, self._serve = code or load_code()
        self._memory = ctypes.create_string_buffer(size())
        # private: a child that is forked on it must have a copy
        self._stack = mmap.mmap(-1, _STACK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._state = state = layout.State.from_buffer(self._memory)
        self._env = env
        env.owner = ctypes.addressof(self._memory)
        state.env = ctypes.addressof(env)
        state.cpus = os.sysconf("SC_NPROCESSORS_CONF")
        state.stack_end = ctypes.addressof(ctypes.c_char.from_buffer(self._stack)) + _STACK
        self._programs: list[Program] = []
        self._ids = 0
        self._filters: list[frozenset[int] | None] = []
        self._tables = self._make_tables([])
        state.tables = ctypes.addressof(self._tables.head)
        self._starting: dict[int, int | None] = {}  # commands whose execve has been seen: None, or how they ended instead
        self._owned: dict[int, bool] = {}  # commands that have not ended: whether they lead a process group
        self._happened: list[Happening] = []
        self._lock = _thread.allocate_lock()  # of requests
        self._news = _thread.allocate_lock()  # of what happened
        self._closing = _thread.allocate_lock()
        self._ended: int | None = None  # the keeper's wait status, or a negated errno
        self._closed = False
        self._joined = _thread.allocate_lock()  # held until the keeper has ended
        self._joined.acquire()
        self.fd = self._answer = self._idle = self._keeper = -1
        try:
            with Uninterrupted():
                self._open_keeper()
        except BaseException:
            self._close_fds()
            raise

    @property
    def tracees(self) -> int:
        """Threads that are traced now."""
        return int(self._state.tracees)

    @property
    def stops(self) -> int:
        """How often a tracee stopped."""
        return int(self._state.stops)

    def start(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: str | None = None,
        group: bool = False,
        files: Sequence[int] = (-1, -1, -1),
        user: int | None = None,
        filter: bool = True,
    ) -> int:
        """Start a command (a path, or a name in PATH), traced with all of its children; its pid once execve succeeded.

        `group`: in a process group of its own. `files`: its standard files (-1: those of this process).
        `user`: user and group id (as root). Without `filter` (or seccomp) every system call stops it: slower, the same events.
        """
        require_proc()
        calls = _wanted(self._programs)
        begin = _Start(find_command(argv[0]), argv, os.environ if environment is None else environment, directory, group)
        begin.set_files(files, user)
        if filter:
            begin.set_filter(make_filter(calls))
            self._filters.append(calls)
        with self._news:  # another thread's wait() shall not hear of its end before it is known here
            pid = self._request(layout.START, ctypes.addressof(begin.head))
            if pid >= 0:
                self._owned[pid] = group
        if pid < 0:
            raise start_error(argv[0], -pid)
        while pid not in self._starting:
            self._collect()
            if pid not in self._starting:
                self._poll(self.fd, _LOOK)  # another thread's wait() may take the news
        status = self._starting.pop(pid)
        if status is None:
            return pid
        del self._owned[pid]
        code = status >> 8 & 0xFF if not status & 0x7F else layout.EXIT_NO_TRACER
        if code == layout.EXIT_NO_FILTER and filter:
            self._filters.pop()
            return self.start(
                argv, environment=environment, directory=directory, group=group, files=files, user=user, filter=False
            )
        if code == layout.EXIT_NO_USER:
            raise SkepError(f"cannot start {argv[0]!r}: it cannot run as user {user} (setgroups, setgid, setuid: root may)")
        if code == layout.EXIT_NO_DIRECTORY:
            raise SkepError(f"cannot start {argv[0]!r}: its folder {directory!r} cannot be entered")
        if code == layout.EXIT_NO_TRACER:
            raise SkepError(f"cannot start {argv[0]!r}: it was killed (wait status {status:#x})")
        raise exec_error(argv[0], code)

    def attach(self, pid: int, *, follow: bool = True) -> None:
        """Attach to a process: all of its threads, and with `follow` the processes below it, those of now and of later."""
        require_proc()
        if own_thread(pid):
            raise AttachError(f"cannot trace process {pid}: it is this one, and a process cannot trace itself: start a command")
        # this process may be below the other one (a shell that it was started from)
        below = descendants(pid, without=(os.getpid(), self._state.keeper)) if follow else []
        is_traced = False
        for process in [pid, *below]:
            flags = (layout.FOLLOW if follow else 0) | (layout.ROOT if process == pid else 0)
            found = True
            while found:  # threads may begin meanwhile; those of traced threads are traced already
                found = False
                for thread in _threads(process):
                    result = self._request(layout.ATTACH, thread, flags if thread == process else flags & ~layout.ROOT)
                    if result < 0 and thread == pid and not is_traced:
                        raise attach_error(pid, -result, self._state.keeper)
                    is_traced |= thread == pid  # it may end before the second look at its threads
                    found |= result == 0

    def attach_program(self, event: Event, entry: int, *, needs_cpu: bool = False) -> Program:
        """Run the machine code at `entry` at each `event` from now on; it is u64 entry(void *ctx, struct skep_env *env)."""
        self._ids += 1
        program = Program(event, entry, needs_cpu, self._ids)
        self._change([*self._programs, program])
        return program

    def detach_program(self, program: Program) -> None:
        """Run it no more: when this returns, it is not running."""
        if program in self._programs:
            try:
                self._change([other for other in self._programs if other is not program])
            except SkepError:
                if self._ended is None:
                    raise  # without the keeper nothing runs

    def settle(self) -> None:
        """When this returns, no run goes on that began before."""
        self._change(self._programs)

    def wait(self, timeout: float | None = None) -> list[Happening]:
        """What happened since the last call; waits for the first of it at most `timeout` seconds (None: for ever)."""
        self._collect()
        if not self._happened:
            self._poll(self.fd, timeout)
            self._collect()
        return self.rest()

    def close(self) -> None:
        """End what was started (SIGTERM, SIGKILL after 2 s), detach from all else, end the keeper."""
        with self._closing:
            if self._closed:
                return
            if os.getpid() != self._process:  # a fork: a lock may be held for ever here, and no other thread runs
                self._closed = True
                self._close_fds()
                return
            if self._ended is None:
                try:
                    self._end_owned()
                except SkepError:
                    if self._ended is None:
                        raise
                self._request(layout.CLOSE)
                with self._joined:
                    pass
            with self._news, self._lock:  # no other thread is using an fd
                self._closed = True
                self._close_fds()

    def abandoned(self) -> list[int]:
        """Commands that had not ended when the keeper ended by itself: they were killed with it."""
        with self._news:
            found, self._owned = list(self._owned), {}
        return found

    def rest(self) -> list[Happening]:
        """What happened and nobody has heard of, also after the end."""
        with self._news:
            found, self._happened = self._happened, []
        return found

    def __enter__(self) -> Tracer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_keeper(self) -> None:
        state = self._state
        self.fd = state.happened_fd = os.eventfd(0, _EVENTFD)
        self._answer = state.answer_fd = os.eventfd(0)
        self._idle = state.idle_fd = os.eventfd(0)
        _thread.start_new_thread(self._lend, ())
        while not state.keeper and self._ended is None:
            time.sleep(_KICK / 20)
        if self._ended is not None:
            raise UnsupportedError(f"no process for the tracer: {errno_text(-self._ended)}", needs="clone(2)")
        self._keeper = os.pidfd_open(state.keeper)

    def _lend(self) -> None:
        """The thread whose local storage the keeper uses: it waits for the keeper's end, as vfork(2)'s parent would."""
        try:
            pthread_sigmask(SIG_BLOCK, valid_signals())
            self._ended = self._serve(ctypes.addressof(self._memory))
        finally:
            self._joined.release()

    def _request(self, kind: int, *arguments: int) -> int:
        """Have the keeper do something: its result."""
        state = self._state
        with self._lock:
            self._require_open()
            state.arguments[:] = (*arguments, 0, 0)[:2]
            state.request = kind
            os.eventfd_write(self._idle, 1)
            while True:
                try:
                    # a signal that comes just before the keeper waits is lost, so it is sent until there is an answer
                    pidfd_send_signal(self._keeper, layout.KICK)
                except ProcessLookupError:
                    pass
                if kind == layout.CLOSE:
                    if self._joined.acquire(True, _KICK):
                        self._joined.release()
                        return 0
                elif self._poll(self._answer, _KICK):
                    os.eventfd_read(self._answer)
                    return int(state.result)

    def _require_open(self) -> None:
        if self._closed or os.getpid() != self._process:
            raise SkepError("this tracer is closed, or belongs to the process that this one was forked from")

    def _poll(self, fd: int, timeout: float | None) -> bool:
        """Whether an eventfd became readable in time; SkepError when the keeper has ended."""
        keeper = self._keeper
        if fd < 0 or keeper < 0:  # another thread closed it just now
            self._require_open()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(keeper, select.POLLIN)
        ready = {number for number, _ in poll.poll(None if timeout is None else timeout * 1000)}
        if ready == {keeper}:
            with self._joined:
                pass
            raise SkepError(f"the tracer's process ended: {_ending(self._ended or 0)}; what it traced goes on or ended with it")
        return fd in ready

    def _collect(self) -> None:
        """Take over what the keeper has written down."""
        state = self._state
        with self._news:
            self._require_open()
            try:
                os.eventfd_read(self.fd)
            except BlockingIOError:
                return
            while state.happened_tail != state.happened_head:
                self._take(state.happened[state.happened_tail % layout.HAPPENED])
                state.happened_tail += 1
            if state.happened_lost:
                self._happened.append(Happening("lost", 0, state.happened_lost))
                state.happened_lost = 0

    def _take(self, item: layout.HappeningRow) -> None:
        if item.kind == layout.BEGAN:
            self._starting[item.pid] = None
        elif item.kind == layout.NOT_STARTED:
            self._starting[item.pid] = item.a
        elif item.kind == layout.ENDED:
            self._owned.pop(item.pid, None)
            self._happened.append(Happening("ended", item.pid, item.a))
        elif item.kind == layout.FAULT:
            program = next((program for program in self._programs if program.id == item.pid), None)
            self._happened.append(Happening("fault", 0, program=program, detail=(item.a, item.b, item.c, item.d)))
        else:
            self._happened.append(Happening("compat", item.pid))

    def _change(self, programs: list[Program]) -> None:
        tables = self._make_tables(programs)
        result = self._request(layout.TABLES, ctypes.addressof(tables.head))
        for program in self._programs:  # the old rows are not written any more
            program.settle()
        for row, program in zip(tables.rows[1:], programs, strict=True):
            program.row = row
        self._programs, self._tables = programs, tables
        if result < 0:
            raise UnsupportedError(f"no timer for samples: {errno_text(-result)}", needs="timer_create(2)")

    def _make_tables(self, programs: list[Program]) -> _Tables:
        wanted = _wanted(programs)
        covers = all(calls is None or (wanted is not None and wanted <= calls) for calls in self._filters)
        return _Tables(programs, covers)

    def _end_owned(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        for pid, leads in list(self._owned.items()):
            try:
                if leads:
                    os.killpg(pid, SIGTERM)
                else:
                    os.kill(pid, SIGTERM)
            except ProcessLookupError:
                pass
        while self._owned and time.monotonic() < deadline:
            self._poll(self.fd, _LOOK)  # another thread's wait() may take the news
            self._collect()
        self._request(layout.SIGNAL, SIGKILL)
        while self._owned:
            self._poll(self.fd, _LOOK)
            self._collect()

    def _close_fds(self) -> None:
        fds = self.fd, self._answer, self._idle, self._keeper
        self.fd = self._answer = self._idle = self._keeper = -1  # first: another thread would meet another's file
        for fd in fds:
            if fd >= 0:
                os.close(fd)


class _Tables:
    """Programs by event, as the loop reads them (struct tables)."""

    __slots__ = ("_kept", "head", "rows")

    def __init__(self, programs: list[Program], covers: bool) -> None:
        self.rows = (layout.HookRow * (len(programs) + 1))()
        for row, program in zip(self.rows[1:], programs, strict=True):
            event = program.event
            row.entry, row.context, row.flags = program.entry, event.context, layout.NEEDS_CPU * program.needs_cpu
            row.period, row.id = event.period, program.id
        numbered = [(number, program.event) for number, program in enumerate(programs, 1)]
        lists: list[int] = [0]
        places: dict[tuple[int, ...], int] = {(): 0}

        def place(numbers: list[int]) -> int:
            key = tuple(numbers)
            if key not in places:
                places[key] = len(lists)
                lists.extend((*key, 0))
            return places[key]

        tables = []
        for point in (ENTER, EXIT):
            mine = [(number, event.calls) for number, event in numbered if event.point == point]
            everywhere = place([number for number, calls in mine if calls is None])
            table = (ctypes.c_uint16 * layout.CALLS)(*(everywhere,) * layout.CALLS)
            for call in {call for _, calls in mine if calls is not None for call in calls}:
                table[call] = place([number for number, calls in mine if calls is None or call in calls])
            tables.append(table)
        single = [place([number for number, event in numbered if event.point == point]) for point in (EXEC, FORK, END, TIMER)]
        array = (ctypes.c_uint16 * len(lists))(*lists)
        self._kept = (array, *tables)
        self.head = layout.Tables(
            ctypes.addressof(self.rows),
            *(ctypes.addressof(kept) for kept in self._kept),
            *single,
            _OPTIONS | (_TRACE_EXIT if single[2] else 0),
            covers,
            min((event.period for _, event in numbered if event.point == TIMER), default=0),
        )


def _wanted(programs: list[Program]) -> frozenset[int] | None:
    """Numbers of the system calls that programs are attached to; None: all."""
    events = [program.event for program in programs if program.event.point in (ENTER, EXIT)]
    if any(event.calls is None for event in events):
        return None
    return WATCHED.union(*(event.calls for event in events if event.calls is not None))


class _Start:
    """What a command starts with (struct start), and the memory that it points to."""

    __slots__ = ("_kept", "head")

    def __init__(
        self, path: str, argv: Sequence[str], environment: Mapping[str, str], directory: str | None, group: bool
    ) -> None:
        words = [os.fsencode(word) for word in argv]
        pairs = [os.fsencode(f"{name}={value}") for name, value in environment.items()]
        arrays = [(ctypes.c_char_p * (len(texts) + 1))(*texts, None) for texts in (words, pairs)]
        mask = sum(1 << number - 1 for number in pthread_sigmask(SIG_BLOCK, ()))
        kept = ctypes.create_string_buffer(mask.to_bytes(_SIGSET, "little"), _SIGSET)
        self._kept: list[Any] = [*arrays, kept]
        self.head = layout.Start(
            os.fsencode(path),
            *(ctypes.cast(array, ctypes.POINTER(ctypes.c_char_p)) for array in arrays),
            None if directory is None else os.fsencode(directory),
            None,
            ctypes.addressof(kept),
            _RESTORED,
            group,
        )

    def set_files(self, files: Sequence[int], user: int | None) -> None:
        self.head.files[:] = files
        self.head.user = -1 if user is None else user

    def set_filter(self, program: bytes) -> None:
        code = ctypes.create_string_buffer(program, len(program))
        filter = _SockFilterProgram(len(program) // 8, ctypes.addressof(code))
        self._kept += (code, filter)
        self.head.filter = ctypes.addressof(filter)


class _SockFilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("code", ctypes.c_void_p)]


def descendants(pid: int, without: Sequence[int] = ()) -> list[int]:
    """The processes below a process, nearest first; `without` some and what is below them."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in without:
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    children.setdefault(int(file.read().rpartition(b")")[2].split()[1]), []).append(int(name))
            except OSError:
                continue
    found = children.get(pid, [])
    for process in found:  # grows while it is gone through
        found.extend(children.get(process, ()))
    return found


def _threads(pid: int) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return [pid]


def _ending(status: int) -> str:
    if status & 0x7F:
        return f"signal {status & 0x7F}"
    code = status >> 8
    return f"signal {code - layout.EXIT_CRASH} in machine code" if code > layout.EXIT_CRASH else f"exit status {code}"


def load_code() -> Code:
    """The functions of the tracing loop; compiles them when they are not in the cache."""
    from skep.native import load

    code = load(os.path.join(os.path.dirname(__file__), "runtime", "tracer.c"))
    return (
        code.function("skep_tracer_size", ctypes.c_int64),
        code.function("skep_tracer_serve", ctypes.c_int64, ctypes.c_uint64),
    )
