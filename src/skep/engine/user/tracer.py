"""Traces commands and processes: a thread that runs the tracing loop (runtime/tracer.c), and methods to tell it what.

In: commands, pids, programs with their events. Out: what happened. Linux 5.3 (PTRACE_GET_SYSCALL_INFO), x86-64.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import select
import time

# `signal` imports `enum`, which costs 5 ms at start-up
from _signal import (  # type: ignore[import-not-found]
    SIG_BLOCK,
    SIG_SETMASK,
    SIGCHLD,
    SIGKILL,
    SIGTERM,
    pthread_kill,
    pthread_sigmask,
    valid_signals,
)

from skep.engine.user import tracer_layout as layout
from skep.engine.user.events import END, ENTER, EXEC, EXIT, FORK, TIMER
from skep.engine.user.tracer_errors import attach_error, errno_text, exec_error, start_error
from skep.engine.user.tracer_filter import WATCHED, make_filter
from skep.errors import SkepError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from skep.engine.user.events import Event
    from skep.engine.user.layout import Env

# PTRACE_O_*: TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, TRACESECCOMP; TRACEEXIT when programs want it
_OPTIONS, _TRACE_EXIT = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x80, 0x40
_KICK = 0.002  # seconds: a signal that comes just before the loop waits is lost, so it is sent again
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

    __slots__ = ("_past", "_row", "entry", "event", "needs_cpu")

    def __init__(self, event: Event, entry: int, needs_cpu: bool) -> None:
        self.event = event
        self.entry = entry
        self.needs_cpu = needs_cpu
        self._row: Any = None
        self._past = 0

    @property
    def runs(self) -> int:
        """How often it ran."""
        return self._past + (self._row.runs if self._row is not None else 0)


class Tracer:
    """Runs programs at the events of processes that it starts or attaches to; `fd` is readable when something happened.

    One thread of its own does it all, as ptrace wants it; methods may be called from any thread. What was started ends with the
    tracer, since a filtered system call fails without one; what was attached to goes on, also when this process is killed.
    """

    def __init__(self, env: Env) -> None:
        self._process = os.getpid()
        self._functions = _functions()
        self._memory = ctypes.create_string_buffer(self._functions["size"]())
        self._state = layout.State.from_buffer(self._memory)
        self._address = ctypes.addressof(self._memory)
        self._env = env
        self._state.env = ctypes.addressof(env)
        self._state.cpus = os.cpu_count() or 1
        env.owner = self._address
        self._programs: list[Program] = []
        self._tables: tuple[Any, ...] = ()  # what the loop reads
        self._filters: list[frozenset[int] | None] = []
        self._period = 0
        self._beginnings: dict[int, tuple[_Answer, str]] = {}  # commands whose execve has not come
        self._owned: dict[int, bool] = {}  # commands that have not ended: whether they lead a process group
        self._happened: list[Happening] = []
        self._work: list[Callable[[], None]] = []
        self._lock = _thread.allocate_lock()
        self._closing = False
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._idle = os.eventfd(0, os.EFD_CLOEXEC)
        self._ended = _Answer()
        self._set_tables()
        opened = _Answer()
        _thread.start_new_thread(self._main, (opened,))
        try:
            opened.wait()
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

    # ---- what may be asked for, in any thread

    def start(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: str | None = None,
        group: bool = False,
        filter: bool = True,
    ) -> int:
        """Start a command (a path, or a name in PATH), traced with all of its children; its pid once execve succeeded.

        `group`: in a process group of its own. Without `filter` (or seccomp) every system call stops it: slower, the same events.
        """
        path = find_command(argv[0])
        start, kept = _start(path, argv, os.environ if environment is None else environment, directory, group)
        pid, answer = self._do(lambda: self._fork(start, kept, argv[0], filter))
        status = answer.wait_for_result()
        if status is None:
            return int(pid)
        code = status >> 8 & 0xFF if not status & 0x7F else layout.EXIT_NO_TRACER
        if code == layout.EXIT_NO_FILTER and filter:
            return self.start(argv, environment=environment, directory=directory, group=group, filter=False)
        if code == layout.EXIT_NO_DIRECTORY:
            raise SkepError(f"cannot start {argv[0]!r}: its folder {directory!r} cannot be entered")
        if code == layout.EXIT_NO_TRACER:
            raise SkepError(f"cannot start {argv[0]!r}: it was killed (wait status {status:#x})")
        raise exec_error(argv[0], code)

    def attach(self, pid: int, *, follow: bool = True) -> None:
        """Attach to a process: all of its threads, and with `follow` the processes below it, those of now and of later."""
        self._do(lambda: self._seize(pid, follow))

    def attach_program(self, event: Event, entry: int, *, needs_cpu: bool = False) -> Program:
        """Run the machine code at `entry` at each `event` from now on; it is u64 entry(void *ctx, struct skep_env *env)."""
        program = Program(event, entry, needs_cpu)
        self._do(lambda: self._change([*self._programs, program]))
        return program

    def detach_program(self, program: Program) -> None:
        """Run it no more: when this returns, it is not running."""
        if program in self._programs:
            self._do(lambda: self._change([other for other in self._programs if other is not program]))

    def wait(self, timeout: float | None = None) -> list[Happening]:
        """What happened since the last call; waits for the first of it at most `timeout` seconds (None: for ever)."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if poll.poll(None if timeout is None else timeout * 1000):
            try:
                os.eventfd_read(self.fd)
            except BlockingIOError:
                pass
        with self._lock:
            found, self._happened = self._happened, []
        return found

    def close(self) -> None:
        """End what was started (SIGTERM, SIGKILL after 2 s), detach from all else, wait for the thread."""
        if self.fd < 0:
            return
        if os.getpid() == self._process and not self._ended.is_given():
            self._end_owned()
            self._closing = True
            self._wake(self._ended)
            # the kernel detaches when the thread is gone, not when Python is done with it
            while os.path.exists(f"/proc/self/task/{self._state.thread}"):
                time.sleep(_KICK / 10)
            for pid in self._owned:
                try:
                    os.waitpid(pid, 0)
                except ChildProcessError:
                    pass
        self._close_fds()

    def __enter__(self) -> Tracer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- the thread, and how others speak to it

    def _main(self, opened: _Answer) -> None:
        try:
            # SIGCHLD stays open: blocked here, each stop of a tracee would wake another thread for nothing (kernel/signal.c)
            blocked = valid_signals() - {SIGCHLD}
            self._mask = _sigset(pthread_sigmask(SIG_BLOCK, blocked))
            kick = self._functions["open"](self._address)
            if kick < 0:
                raise SkepError(f"the tracer finds no signal for itself: {errno_text(-kick)}")
            pthread_sigmask(SIG_SETMASK, blocked - {kick})
            self._ident = _thread.get_ident()
        except BaseException as error:
            opened.give(error)
            self._ended.give()
            return
        opened.give()
        try:
            self._serve()
        except BaseException as error:
            self._ended.give(error)
        else:
            self._ended.give()

    def _serve(self) -> None:
        state = self._state
        while not self._closing:
            with self._lock:
                work, self._work = self._work, []
                state.stop = 0
            for piece in work:
                piece()
            if work:
                continue
            if not state.tracees:
                os.eventfd_read(self._idle)
                continue
            result = self._functions["run"](self._address)
            if result < 0:
                raise SkepError(f"the tracer cannot wait for its processes: {errno_text(-result)}")
            self._collect()

    def _do(self, function: Callable[[], Any]) -> Any:
        """Have the thread call a function; its result."""
        if self._closing or os.getpid() != self._process:
            raise SkepError("this tracer is closed, or belongs to the process that this one was forked from")
        answer = _Answer()

        def piece() -> None:
            try:
                answer.give(result=function())
            except BaseException as error:
                answer.give(error)

        with self._lock:
            self._work.append(piece)
            self._state.stop = 1
        self._wake(answer)
        if not answer.is_given():
            raise SkepError("this tracer was closed meanwhile")
        return answer.wait_for_result()

    def _wake(self, answer: _Answer) -> None:
        os.eventfd_write(self._idle, 1)
        while not answer.is_given() and not self._ended.is_given():
            self._state.stop = 1
            pthread_kill(self._ident, self._state.kick_signal)
            answer.wait_at_most(_KICK)
        if not answer.is_given():
            self._ended.wait()

    def _collect(self) -> None:
        state = self._state
        found = []
        for item in state.happened[: state.happened_count]:
            if item.kind in (layout.BEGAN, layout.NOT_STARTED):
                answer, _ = self._beginnings.pop(item.pid)
                if item.kind == layout.NOT_STARTED:
                    del self._owned[item.pid]
                answer.give(result=item.a if item.kind == layout.NOT_STARTED else None)
            elif item.kind == layout.ENDED:
                self._owned.pop(item.pid, None)
                found.append(Happening("ended", item.pid, item.a))
            elif item.kind == layout.FAULT:
                program = self._programs[item.pid - 1]
                found.append(Happening("fault", 0, program=program, detail=(item.a, item.b, item.c, item.d)))
            else:
                found.append(Happening("compat", item.pid))
        if state.happened_lost:
            found.append(Happening("lost", 0, state.happened_lost))
        state.happened_count = state.happened_lost = 0
        if found:
            with self._lock:
                self._happened += found
            os.eventfd_write(self.fd, 1)

    # ---- what the thread does

    def _fork(self, start: layout.Start, kept: tuple[Any, ...], command: str, filter: bool) -> tuple[int, _Answer]:
        calls = self._wanted()
        program = make_filter(calls)
        code = ctypes.create_string_buffer(program, len(program))
        header = _SockFilterProgram(len(program) // 8, ctypes.addressof(code))
        start.filter = ctypes.addressof(header) if filter else None
        start.mask = ctypes.addressof(self._mask)
        pid = self._functions["start"](self._address, ctypes.byref(start))
        if pid < 0:
            raise start_error(command, -pid)
        if filter:
            self._filters.append(calls)
        self._set_covers()
        answer = _Answer()
        self._beginnings[pid] = (answer, command)
        self._owned[pid] = bool(start.group)
        return pid, answer

    def _seize(self, pid: int, follow: bool) -> None:
        for process in [pid, *(descendants(pid) if follow else ())]:
            flags = (layout.FOLLOW if follow else 0) | (layout.ROOT if process == pid else 0)
            found = True
            while found:  # threads may begin meanwhile; those of traced threads are traced already
                found = False
                try:
                    threads = sorted(int(name) for name in os.listdir(f"/proc/{process}/task"))
                except FileNotFoundError:
                    threads = [process]
                for thread in threads:
                    result = self._functions["attach"](
                        self._address, thread, flags if thread == process else flags & ~layout.ROOT
                    )
                    if result < 0 and process == pid and thread == pid:
                        raise attach_error(pid, -result)
                    found |= result == 0

    def _change(self, programs: list[Program]) -> None:
        covered, options = self._state.filter_covers, self._state.options
        self._programs = programs
        self._set_tables()
        self._set_covers()
        if self._state.tracees and (covered, options) != (self._state.filter_covers, self._state.options):
            self._functions["interrupt"](self._address)

    def _set_tables(self) -> None:
        rows = (layout.HookRow * (len(self._programs) + 1))()
        lists: list[int] = [0]
        places: dict[tuple[int, ...], int] = {(): 0}

        def place(numbers: list[int]) -> int:
            key = tuple(numbers)
            if key not in places:
                places[key] = len(lists)
                lists.extend((*key, 0))
            return places[key]

        for number, program in enumerate(self._programs, 1):
            row = rows[number]
            row.entry, row.context, row.flags = program.entry, program.event.context, layout.NEEDS_CPU * program.needs_cpu
            row.period = program.event.period
        numbered = [(number, program.event) for number, program in enumerate(self._programs, 1)]
        tables = []
        for point in (ENTER, EXIT):
            table = (ctypes.c_uint16 * layout.CALLS)()
            mine = [(number, event.calls) for number, event in numbered if event.point == point]
            everywhere = place([number for number, calls in mine if calls is None])
            special = {call for _, calls in mine if calls is not None for call in calls}
            for call in range(layout.CALLS):
                table[call] = everywhere
            for call in special:
                table[call] = place([number for number, calls in mine if calls is None or call in calls])
            tables.append(table)
        single = [place([number for number, event in numbered if event.point == point]) for point in (EXEC, FORK, END, TIMER)]
        places_of_lists = (ctypes.c_uint16 * len(lists))(*lists)
        state = self._state
        for number, program in enumerate(self._programs, 1):
            program._past = program.runs
            program._row = rows[number]
        state.hooks, state.lists = ctypes.addressof(rows), ctypes.addressof(places_of_lists)
        state.enter, state.exit = (ctypes.addressof(table) for table in tables)
        state.on_exec, state.on_fork, state.on_end, state.on_timer = single
        state.options = _OPTIONS | (_TRACE_EXIT if state.on_end else 0)
        self._tables = (rows, places_of_lists, *tables)
        period = min((event.period for _, event in numbered if event.point == TIMER), default=0)
        if period != self._period:
            result = self._functions["timer"](self._address, period)
            if result < 0:
                raise UnsupportedError(f"no timer for samples: {errno_text(-result)}", needs="timer_create(2)")
            self._period = period

    def _wanted(self) -> frozenset[int] | None:
        """Numbers of the system calls that programs are attached to; None: all."""
        events = [program.event for program in self._programs if program.event.point in (ENTER, EXIT)]
        if any(event.calls is None for event in events):
            return None
        return WATCHED.union(*(event.calls for event in events if event.calls is not None))

    def _set_covers(self) -> None:
        wanted = self._wanted()
        self._state.filter_covers = all(calls is None or (wanted is not None and wanted <= calls) for calls in self._filters)

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
        while self._owned and time.monotonic() < deadline and not self._ended.is_given():
            time.sleep(_KICK)
        if self._owned and not self._ended.is_given():
            self._do(lambda: self._functions["signal"](self._address, SIGKILL))

    def _close_fds(self) -> None:
        os.close(self.fd)
        os.close(self._idle)
        self.fd = self._idle = -1


class _Answer:
    """A result that one thread waits for and another gives, or an exception."""

    __slots__ = ("_error", "_lock", "_result")

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self._error: BaseException | None = None
        self._result: Any = None

    def give(self, error: BaseException | None = None, result: Any = None) -> None:
        self._error, self._result = error, result
        self._lock.release()

    def is_given(self) -> bool:
        return not self._lock.locked()

    def wait_at_most(self, seconds: float) -> None:
        if self._lock.acquire(True, seconds):
            self._lock.release()

    def wait(self) -> None:
        with self._lock:
            if self._error is not None:
                raise self._error

    def wait_for_result(self) -> Any:
        self.wait()
        return self._result


class _SockFilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("code", ctypes.c_void_p)]


def find_command(name: str) -> str:
    """The path of a command, as execvp would find it; SkepError when there is none."""
    if "/" in name:
        return name
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder or ".", name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise SkepError(f"there is no command {name!r} (PATH is {os.environ.get('PATH', '')})")


def descendants(pid: int) -> list[int]:
    """The processes below a process, nearest first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    children.setdefault(int(file.read().rpartition(b")")[2].split()[1]), []).append(int(name))
            except OSError:
                continue
    found = children.get(pid, [])
    for process in found:  # grows while it is gone through
        found.extend(children.get(process, ()))
    return found


def _start(
    path: str, argv: Sequence[str], environment: Mapping[str, str], directory: str | None, group: bool
) -> tuple[layout.Start, tuple[Any, ...]]:
    words = [os.fsencode(word) for word in argv]
    pairs = [os.fsencode(f"{name}={value}") for name, value in environment.items()]
    arrays = [(ctypes.c_char_p * (len(texts) + 1))(*texts, None) for texts in (words, pairs)]
    start = layout.Start(
        os.fsencode(path),
        *(ctypes.cast(array, ctypes.POINTER(ctypes.c_char_p)) for array in arrays),
        None if directory is None else os.fsencode(directory),
        None,
        None,
        _RESTORED,
        group,
    )
    return start, tuple(arrays)


def _sigset(numbers: set[int]) -> Any:
    mask = sum(1 << number - 1 for number in numbers)
    return ctypes.create_string_buffer(mask.to_bytes(128, "little"), 128)


def _functions() -> dict[str, Callable[..., int]]:
    from skep.native import load

    code = load(os.path.join(os.path.dirname(__file__), "runtime", "tracer.c"))
    address, number = ctypes.c_uint64, ctypes.c_int32
    arguments: dict[str, tuple[Any, ...]] = {
        "size": (),
        "open": (address,),
        "start": (address, ctypes.c_void_p),
        "attach": (address, number, ctypes.c_uint32),
        "signal": (address, number),
        "interrupt": (address,),
        "timer": (address, ctypes.c_uint64),
        "run": (address,),
    }
    return {name: code.function(f"skep_tracer_{name}", ctypes.c_int64, *types) for name, types in arguments.items()}
