"""A kept process for programs that compile often: LLVM stays loaded in it, and it forks for each compilation.

`start_worker` gives what compiles one module: a process of its own at first (`skep.llvm`), from the third on a fork of
the kept one. Loading LLVM takes 50 ms, a fork one; LLVM's crashes and its memory stay with the fork.
"""

from __future__ import annotations

import os
import sys

from skep.interrupts import Uninterrupted
from skep.llvm import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import subprocess

SHUT_WR = 1  # socket.SHUT_WR, of a module that is imported late
IDLE = 2.0  # seconds that a kept process waits for work
FEW = 2  # compilations without a kept process: most programs make no more, and nothing shall stay behind them


class Server:
    """The kept process. It ends when its socket is closed, so with this process, and after some seconds without work.

    It is the child of a process that has ended: process 1 takes it away, since no one here may look for long.
    """

    def __init__(self) -> None:
        import socket
        import subprocess

        self.owner = os.getpid()
        self.pid = 0  # of the kept process, after its first answer
        self.socket: socket.socket
        self.socket, theirs = socket.socketpair()
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "llvm.py")
        with theirs:
            try:
                self._starter: subprocess.Popen[bytes] = subprocess.Popen(
                    [sys.executable, "-P", script, "serve", str(theirs.fileno()), str(IDLE)],
                    pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
            except OSError:
                self.socket.close()
                raise

    def start(self, target: str, what: str, level: int, fds: tuple[int, int, int]) -> bool:
        """Fork a worker with these fds (its text, result and messages); False if the server has ended."""
        import socket

        try:
            socket.send_fds(self.socket, [f"{target} {what} {level}".encode()], fds)
        except OSError:
            return False
        return True

    def status(self) -> int | None:
        """How the worker ended, as `subprocess` puts it; None if the server has ended too."""
        if not self.pid:
            self.pid = self._number() or 0
            self._starter.wait()
        return self._number()

    def _number(self) -> int | None:
        try:
            answer = self.socket.recv(4)
        except OSError:
            return None
        return int.from_bytes(answer, "little", signed=True) if answer else None

    def close(self) -> None:
        """End the kept process, and wait for that where it is this process's own."""
        if self.owner == os.getpid():
            try:
                self.socket.shutdown(SHUT_WR)  # it kills its worker then, and ends
            except OSError:
                pass  # it has ended already
            while self._number() is not None:
                pass
            self._starter.wait()
        else:  # after a fork: it is the parent's
            self._starter.returncode = 0
        self.socket.close()


class _Kept:
    """What waits for the next compilation of this process, and how many there were."""

    server: Server | None = None
    compilations = 0


def release() -> None:
    """End the kept process, if there is one."""
    server, _Kept.server = _Kept.server, None
    if server is not None:
        server.close()


def start_worker(target: str, what: str, level: int) -> Worker | ForkedWorker:
    """What compiles one module; a context manager with `finish`."""
    _Kept.compilations += 1
    return Worker(target, what, level) if _Kept.compilations <= FEW else ForkedWorker(target, what, level)


class ForkedWorker:
    """A fork of the kept process, with the interface of `skep.llvm.Worker`."""

    def __init__(self, target: str, what: str, level: int) -> None:
        self.asked = False
        self._fds: list[int] = []
        with Uninterrupted():
            server, _Kept.server = _Kept.server, None
            if server is not None and server.owner != os.getpid():
                server.close()
                server = None
            ours, theirs = [], []
            for writes in (True, False, False):
                ends = os.pipe()
                ours.append(ends[writes])
                theirs.append(ends[not writes])
            self._fds = ours
            try:
                if server is not None and not server.start(target, what, level, (theirs[0], theirs[1], theirs[2])):
                    server.close()
                    server = None
                if server is None:
                    server = Server()
                    server.start(target, what, level, (theirs[0], theirs[1], theirs[2]))
            except OSError:
                self._close()
                raise
            finally:
                for fd in theirs:
                    os.close(fd)
            self.server: Server | None = server

    def _close(self) -> None:
        with Uninterrupted():  # an fd that is closed and not forgotten would be closed again, and be another's by then
            while self._fds:
                fd = self._fds.pop()
                if fd >= 0:
                    os.close(fd)

    def finish(self, text: str) -> tuple[bytes, str, int]:
        """Compile; gives (result, LLVM's messages, exit status)."""
        assert self.server is not None
        self.asked = True
        data = memoryview(text.encode())
        try:
            while data:
                data = data[os.write(self._fds[0], data) :]
        except BrokenPipeError:
            pass  # the worker is gone; its messages say why
        with Uninterrupted():
            os.close(self._fds[0])
            self._fds[0] = -1
        result, messages = _all(self._fds[1]), _all(self._fds[2])
        status = self.server.status()
        self._finished(status)
        self.asked = False  # not before: an interrupt in between would have close() wait for another answer
        return result, messages.decode("utf-8", "replace"), -1 if status is None else status

    def _finished(self, status: int | None) -> None:
        """Keep the server, unless it has ended or there is another one already."""
        server, self.server = self.server, None
        assert server is not None
        if status is None or _Kept.server is not None:
            server.close()
        else:
            _Kept.server = server

    def close(self) -> None:
        """End the worker, also when it was never given its text."""
        self._close()
        if self.server is None:
            return
        if self.asked:  # interrupted: the answer would be taken for the next one's
            self.server.close()
            self.server = None
        else:
            self._finished(self.server.status())  # a worker without a text ends by itself

    def __enter__(self) -> ForkedWorker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fds", None):  # an interrupt may have come before there were any
            self.close()


def _all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)
