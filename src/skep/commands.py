"""Commands that are started for programs to see, the same whichever engine sees them.

In: words, files, a user id. Out: `Command`. Not on the warm path.
"""

from __future__ import annotations

import errno
import os

from skep.errors import AttachError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    Wait = Callable[[float | None], int | None]

    class HasFileno(Protocol):
        def fileno(self) -> int: ...

    File = int | HasFileno | None

_PATIENCE = 2.0  # seconds from SIGTERM to SIGKILL


class Command:
    """A command that runs, as `BPF.trace_command` returns it: a context manager that ends it."""

    __slots__ = ("_owner", "_wait", "pid", "status")

    def __init__(self, pid: int, wait: Wait) -> None:
        self.pid = pid
        self.status: int | None = None
        self._wait = wait
        self._owner = os.getpid()

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status (a signal's number as a negative one), also in `.status`; None when `timeout` seconds passed before."""
        if self.status is None:
            self.status = self._wait(timeout)
        return self.status

    def close(self) -> None:
        """End it if it runs: SIGTERM, and SIGKILL after 2 s. A child that was forked ends nothing here."""
        from _signal import SIGKILL, SIGTERM  # type: ignore[import-not-found]

        if os.getpid() != self._owner:
            return
        for number, patience in ((SIGTERM, _PATIENCE), (SIGKILL, None)):
            if self.wait(0) is not None:
                return
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass  # it ended just now
            self.wait(patience)

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Command(pid={self.pid}, status={self.status})"


def find_command(name: str) -> str:
    """The path of a command, as execvp would find it; SkepError when there is none."""
    if "/" in name:
        return name
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder or ".", name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise SkepError(f"there is no command {name!r} (PATH is {os.environ.get('PATH', '')})")


def words_of(argv: Sequence[str], caller: str = "trace_command") -> list[str]:
    """The words of a command; SkepError when they are none."""
    try:
        words = [] if isinstance(argv, (str, bytes)) else [os.fsdecode(word) for word in argv]
    except TypeError:
        words = []
    if not words:
        raise SkepError(f"{caller}({argv!r}): a command is a list of words, such as ['sh', '-c', 'true']")
    return words


def file_numbers(*files: File) -> tuple[int, ...]:
    """fds of open files; -1 for None."""
    found = []
    for file in files:
        if file is not None and not isinstance(file, int) and not hasattr(file, "fileno"):
            raise SkepError(
                f"trace_command(): stdin, stdout and stderr are open files or fds, not {type(file).__name__} {file!r}"
            )
        found.append(-1 if file is None else file if isinstance(file, int) else file.fileno())
    return tuple(found)


def spawn(argv: Sequence[str], files: Sequence[int], user: int | None) -> Command:
    """Start a command that nobody traces. Its path is looked up first: each try along PATH would be an execve more."""
    import subprocess

    stdin, stdout, stderr = (None if fd < 0 else fd for fd in files)
    path = find_command(argv[0])
    try:
        if user is None:
            process = subprocess.Popen(argv, executable=path, stdin=stdin, stdout=stdout, stderr=stderr)
        else:
            process = subprocess.Popen(
                argv, executable=path, stdin=stdin, stdout=stdout, stderr=stderr, user=user, group=user, extra_groups=[]
            )
    except OSError as error:
        number = error.errno or 0
        raise SkepError(f"cannot start {argv[0]!r}: {errno.errorcode.get(number, number)} ({os.strerror(number)})") from None

    def wait(timeout: float | None) -> int | None:
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    return Command(process.pid, wait)


def require_process(pid: int) -> None:
    """AttachError when there is no such process."""
    if pid < 1 or not os.path.exists(f"/proc/{pid}"):
        raise AttachError(f"cannot trace process {pid}: there is no such process")
