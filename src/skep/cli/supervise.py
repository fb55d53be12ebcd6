"""A small process beside a script: starts a command once the script waits for events, and ends the script like Ctrl-C.

Comes in: `-c` and `-d` of `skep run`. A process, not a thread: the script's own threads, forks and signals stay as they are.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import sys
import time

from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOK = 0.01  # seconds between two looks at the script
WAITS = 3  # looks in a row that must find the script waiting
ROUNDS = 2  # of such looks with one for the compiler behind them: what the first waited for may have ended before that one
UNATTACHED_WAIT = 1.0  # a script that waits this long without a program is ready as well
QUIET = 2.0  # a script that never waits is ready when it has opened nothing while it computed for this long
DRAIN = 0.5  # from the command's end to the script's: it still reads the last events (trace_pipe: four looks a second)
TERM_TO_KILL = 2.0  # what the command's processes have to end in

_TICKS = os.sysconf("SC_CLK_TCK")

# What the supervisor writes to the script's process, one byte each.
STARTED = b"s"  # the command runs
FAILED = b"f"  # the command could not be started; the errno follows in decimal
DONE = b"d"  # the command ended, or the time is over: SIGINT comes next


class Supervisor:
    """The process beside the script, seen from the script: `close()` ends the command and all of its process group."""

    def __init__(self, command: Sequence[str], seconds: float | None) -> None:
        self._command = list(command)
        path = ""
        if command:
            # posix_spawnp(3) would try each folder of PATH, and each try is an execve call that the script's programs see.
            path = shutil.which(command[0]) or ""
            if not path:
                raise SkepError(f"-c: there is no command {command[0]!r} (PATH is {os.environ.get('PATH', '')})")
        sys.stdout.flush()
        stop, self._stop = os.pipe()
        self._news, news = os.pipe()
        os.set_blocking(self._news, False)
        self._script = os.getpid()
        script = os.pidfd_open(self._script)  # its number may be another process's when it is signalled
        self._pid = os.fork()
        if self._pid == 0:
            try:
                for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)  # these are for the script; its end is what ends this process
                os.close(self._stop)
                os.close(self._news)
                _supervise(self._script, script, path, self._command, seconds, stop, news)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(0)
        os.close(stop)
        os.close(news)
        os.close(script)
        self._heard = b""

    def ended_script(self) -> bool:
        """Whether the script was asked to end by this, and not by the user's Ctrl-C."""
        return DONE in self._listen()

    def close(self) -> None:
        """End the command, if it still runs, and wait for the supervisor. A child that the script forked ends nothing here."""
        if self._stop < 0 or os.getpid() != self._script:
            return
        self._listen()
        try:
            os.write(self._stop, b"x")
        except BrokenPipeError:
            pass  # someone killed it
        os.close(self._stop)
        self._stop = -1
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass  # a script that calls os.wait() may have taken the status
        os.close(self._news)

    def check(self) -> None:
        """Raise when the command was never run."""
        if not self._command or STARTED in self._heard or os.getpid() != self._script:
            return
        _, failed, code = self._heard.partition(FAILED)
        if failed:
            number = int(code.rstrip(DONE))
            raise SkepError(f"-c: cannot start {self._command[0]!r}: {errno.errorcode.get(number)} ({os.strerror(number)})")
        raise SkepError(f"-c: {self._command[0]!r} was not started: the script ended before it waited for events")

    def _listen(self) -> bytes:
        try:
            self._heard += os.read(self._news, 64)
        except BlockingIOError:
            pass
        return self._heard


def _supervise(pid: int, script: int, path: str, command: list[str], seconds: float | None, stop: int, news: int) -> None:
    """`pid` and `script` are the script's number and pidfd; `stop` is written to, or closed, when the script is at its end."""
    deadline = None if seconds is None else time.monotonic() + seconds
    child = None
    if path and _wait_until_ready(pid, (stop, script), deadline):
        try:
            child = _Command(path, command)
            os.write(news, STARTED)
        except OSError as error:
            os.write(news, FAILED + str(error.errno).encode())
            deadline = 0.0
    poll = select.poll()
    poll.register(stop, select.POLLIN)
    poll.register(script, select.POLLIN)  # what the script forked may hold the other end of `stop` open
    if child is not None:
        poll.register(child.pidfd, select.POLLIN)
    left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
    ready = {fd for fd, _ in poll.poll(left)}
    over = [stop, script]
    if not ready & {*over} and not (ready and reads_the_rest(pid, lambda seconds: bool(select.select(over, [], [], seconds)[0]))):
        try:
            os.write(news, DONE)
            signal.pidfd_send_signal(script, signal.SIGINT)
        except (BrokenPipeError, ProcessLookupError):
            pass  # it ended just now
        select.select(over, [], [])
    if child is not None:
        child.end()


class _Command:
    """The command, in a process group of its own."""

    def __init__(self, path: str, words: list[str]) -> None:
        actions = []
        if os.isatty(0):
            # A process group in the background stops when it reads from the terminal.
            actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
        restored = [signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE]
        self.pid = os.posix_spawn(path, words, os.environ, file_actions=actions, setpgroup=0, setsigdef=restored)
        self.pidfd = os.pidfd_open(self.pid)

    def end(self) -> None:
        """End the whole group. The first process is not waited for before, so its number cannot mean another group."""
        deadline = time.monotonic() + TERM_TO_KILL
        self._signal(signal.SIGTERM)
        while time.monotonic() < deadline and _group_alive(self.pid):
            time.sleep(LOOK)
        self._signal(signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def _group_alive(group: int) -> bool:
    """Whether a process of the group still runs; a zombie does not."""
    for pid in _processes():
        fields = stat_fields(pid)
        if fields and fields[0] not in "ZX" and int(fields[2]) == group:
            return True
    return False


def stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat from the state on; [] when there is no such process (proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def reads_the_rest(script: int, over: Callable[[float], bool]) -> bool:
    """Let the script read the last events: for DRAIN, on a busy machine until it waits again or has computed for as long.

    `over` waits some seconds for another end of the script; True when that came.
    """
    begin, waits = _computed(stat_fields(script)), 0
    ended = over(DRAIN)
    while not ended and waits < WAITS:
        fields = stat_fields(script)
        if _computed(fields) - begin >= DRAIN:
            break
        waits = waits + 1 if fields[:1] == ["S"] else 0
        ended = over(LOOK)
    return ended


def _computed(fields: list[str]) -> float:
    """Seconds of processor time, of /proc/PID/stat (proc(5): utime and stime, here from the state on)."""
    return sum(map(int, fields[11:13])) / _TICKS


def _wait_until_ready(script: int, ends: tuple[int, int], deadline: float | None) -> bool:
    """Wait until the script has attached its programs and waits (in sleep, poll, read, ...), so that it misses nothing.

    Waiting shows as state S of its first thread. Loading and attaching never do: they compute (R) or wait for the
    kernel uninterruptibly (D); waiting for the compiler's process does not count. False: the script or the time is over.
    """
    waits = rounds = 0
    opened: frozenset[str] = frozenset()
    quiet_since = 0.0
    while deadline is None or time.monotonic() < deadline:
        if select.select(ends, [], [], LOOK)[0]:
            return False
        fields = stat_fields(script)
        waits, rounds = (waits + 1, rounds) if fields[:1] == ["S"] else (0, 0)
        computed = _computed(fields)
        now = frozenset(_open_files(script))
        if now != opened:
            opened, quiet_since = now, computed
        has_program = any("bpf-prog" in name for name in opened)
        never_waits = has_program and computed - quiet_since > QUIET
        if not never_waits and waits < (WAITS if has_program or rounds else UNATTACHED_WAIT / LOOK):
            continue
        if _compiles(script):
            waits, rounds, quiet_since = 0, 0, computed
            continue
        waits, rounds = 0, rounds + 1
        if never_waits or rounds == ROUNDS:
            return True
    return False


def _compiles(script: int) -> bool:
    """Whether the script waits for the compiler (skep.llvm), and not for events.

    That is a child of the script, or of the compiler that is kept after some compilations; both are in the script's group.
    The kept one sleeps when it has nothing to do; it may have been asked and not have run yet.
    """
    group = stat_fields(script)[2:3]
    parents: dict[int, int] = {}
    awake = False
    for pid in _processes():
        fields = stat_fields(pid)
        if fields[2:3] == group:
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    line = file.read()
                # a process that gives its memory back has no command line any more
                if b"/skep/llvm.py\0" in line or (not line and fields[0] != "Z"):
                    parents[pid] = int(fields[1])
                    awake = awake or fields[0] not in "SZ"
            except OSError:
                continue
    return awake or any(parent == script or parent in parents for parent in parents.values())


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _open_files(pid: int) -> list[str]:
    """`fd:target` of each file that a process has open; [] where the kernel does not let us look."""
    found = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            found.append(f"{fd}:{os.readlink(f'/proc/{pid}/fd/{fd}')}")
    except OSError:
        pass
    return found
