"""tracefs: where it is mounted, or a private mount that nobody else sees; tracepoints, format files, trace_pipe.

Everything goes through one fd of its root, so nothing depends on a path and nothing on the machine changes.
"""

from __future__ import annotations

import errno
import os
import select
import time

from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.engine.privileges import fix_for
from skep.errors import PrivilegeError, UnsupportedError


class Tracefs:
    """An open tracefs; `how` says whether it was mounted already or opened privately."""

    __slots__ = ("how", "root")

    def __init__(self) -> None:
        mounted = find_mount()
        reason, missing = "it is not mounted", "CAP_SYS_ADMIN"
        if mounted:
            try:
                self.root = os.open(mounted, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                os.close(self.open("events", os.O_PATH))
                self.how = f"mounted at {mounted}"
                return
            except OSError as error:
                reason = f"it is mounted at {mounted}, but: {errno_text(error.errno or 0)}"
                if error.errno == errno.EACCES:  # its folders are root's alone
                    missing = "CAP_DAC_READ_SEARCH"
        fd = syscall.open_filesystem(b"tracefs")
        if fd < 0:
            text = f"tracefs cannot be used: {reason}, and a private mount gives {errno_text(fd)}"
            if fd in (-errno.EPERM, -errno.EACCES):
                raise PrivilegeError(f"{text}; it needs {missing}; {fix_for([missing])}", missing=[missing])
            raise UnsupportedError(text, needs="a kernel with CONFIG_TRACING (tracefs)")
        self.root = fd
        self.how = "private mount"
        try:
            os.close(self.open("events", os.O_PATH))
        except OSError as error:
            self.close()
            missing = "CAP_DAC_READ_SEARCH"
            raise PrivilegeError(
                f"tracefs cannot be used: its folders are root's alone ({errno_text(error.errno or 0)}); "
                f"it needs {missing}; {fix_for([missing])}",
                missing=[missing],
            ) from error

    def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        """An fd of a file below the root."""
        return os.open(path, flags | os.O_CLOEXEC, dir_fd=self.root)

    def read(self, path: str) -> bytes:
        """The whole content of a file; OSError when it is not there."""
        fd = self.open(path)
        try:
            parts = []
            while part := os.read(fd, 65536):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(fd)

    def append(self, path: str, text: str) -> None:
        """Write one line to a control file without truncating it."""
        fd = self.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        try:
            os.stat(path, dir_fd=self.root)
        except OSError:
            return False
        return True

    def folders(self, path: str) -> list[str]:
        """Names of the folders in a folder, sorted."""
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(fd) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        finally:
            os.close(fd)

    def tracepoint_id(self, category: str, event: str) -> int | None:
        """What perf_event_open takes as config; None when there is no such tracepoint."""
        try:
            return int(self.read(f"events/{category}/{event}/id"))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def format(self, category: str, event: str) -> str:
        """The text of the tracepoint's format file; FileNotFoundError when there is no such tracepoint."""
        return self.read(f"events/{category}/{event}/format").decode()

    def categories(self) -> list[str]:
        """Names of the tracepoint categories."""
        return self.folders("events")

    def tracepoints(self, category: str | None = None) -> list[str]:
        """All tracepoints as "category:event"."""
        if category is None:  # one file holds them all, a hundred folders would be read otherwise
            return self.read("available_events").decode().split()
        return [f"{category}:{event}" for event in self.folders(f"events/{category}")]

    def close(self) -> None:
        """Close the root; a private mount goes with it."""
        if self.root >= 0:
            os.close(self.root)
            self.root = -1


def find_mount() -> str:
    """Where tracefs is mounted whole, or an empty string."""
    try:
        with open("/proc/self/mountinfo") as mounts:
            for line in mounts:
                left, _, right = line.partition(" - ")
                if right.startswith("tracefs "):
                    fields = left.split(" ")
                    if fields[3] == "/":  # a bind mount of a part has another root
                        return fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
    except OSError:  # no /proc: a private mount does not need it
        pass
    return ""


_PAUSE = 0.0002  # seconds; a kernel that never had an event enabled keeps some 200 lines of each CPU only (7 KiB)
_FULL = 2048  # bytes: a read of this much may have left more behind (the kernel gives 4 or 8 KiB at a time)


class TracePipe:
    """Lines of trace_pipe, where bpf_trace_printk writes. Reading takes them away from every other reader of the machine.

    A program that traces system calls sees every read here, and answers it with a line for the next: without a pause the two
    would drive each other, at 200 000 lines a second.
    """

    __slots__ = ("_buffer", "_drained", "_fd", "_pause")

    def __init__(self, tracefs: Tracefs) -> None:
        try:
            self._fd = tracefs.open("trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise UnsupportedError(
                f"trace_pipe cannot be opened ({tracefs.how}): {errno_text(error.errno or 0)}"
                + ("; another process reads it" if error.errno == errno.EBUSY else ""),
                needs="read access to tracefs' trace_pipe, and no other reader",
            ) from error
        self._buffer = b""
        self._drained = False  # the last read took all there was
        self._pause = False  # before the next read

    def fileno(self) -> int:
        """For select and poll."""
        return self._fd

    def readline(self, nonblocking: bool = False) -> bytes | None:
        """The next line without its newline; None when nonblocking and there is no whole line yet.

        Blank lines are passed over: newer kernels add a newline to a text that ends in one.
        """
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                if line:
                    return line
                continue
            if nonblocking:
                if self._drained:
                    self._drained = False
                    return None
            elif self._pause:
                time.sleep(_PAUSE)
            try:
                data = os.read(self._fd, 65536)
                self._buffer += data
                self._drained = self._pause = len(data) < _FULL
                continue
            except BlockingIOError:
                self._drained = self._pause = False
            if nonblocking:
                return None
            # poll on trace_pipe wakes at once for a full page only on some kernels: look again four times a second
            poller = select.poll()
            poller.register(self._fd, select.POLLIN)
            poller.poll(250)

    def close(self) -> None:
        """Close the pipe."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
