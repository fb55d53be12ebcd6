"""Why ptrace was refused, in words: what was tried, on which process, what the kernel said, what to do."""

from __future__ import annotations

import errno
import os

from skep.engine.errnos import errno_text
from skep.errors import AttachError, PrivilegeError, SkepError, UnsupportedError

_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
_CAP_SYS_PTRACE = 19
# what kernel.yama.ptrace_scope leaves to a process without CAP_SYS_PTRACE (Documentation/admin-guide/LSM/Yama.rst)
_SCOPES = {
    1: "Skep may trace what it starts itself (-c, trace_command), and nothing else; root may attach, or set it to 0 (sysctl)",
    2: "only root may trace; root may set it to 0 (sysctl)",
    3: "nobody may trace until the next boot",
}


def require_proc() -> None:
    """Names, users and threads of processes are read in /proc, and by the numbers of this pid namespace."""
    try:
        number = os.readlink("/proc/self")
    except OSError:
        raise UnsupportedError("processes cannot be traced without /proc", needs="/proc (mount -t proc proc /proc)") from None
    if number != str(os.getpid()):
        raise UnsupportedError(
            "processes cannot be traced: /proc is that of another pid namespace", needs="its own /proc (mount -t proc proc /proc)"
        )


def own_thread(pid: int) -> bool:
    """Whether this is the number of a thread of this process."""
    return os.path.exists(f"/proc/self/task/{pid}")


def attach_error(pid: int, number: int, keeper: int) -> SkepError:
    """What to raise when PTRACE_SEIZE of a process, by the keeper, failed with this errno."""
    said = f"cannot trace process {pid}: {errno_text(number)}"
    if number == errno.ESRCH:
        return AttachError(f"{said}; there is no such process")
    if number not in (errno.EPERM, errno.EACCES):
        return AttachError(said)
    status = _status(pid)
    if not status:
        return AttachError(f"{said}; it has just ended, or /proc hides it (hidepid)")
    if status.get("State", "?")[0] in "ZX":
        return AttachError(f"cannot trace process {pid}: it has ended, and its parent has not asked how (a zombie)")
    tracer = status.get("TracerPid", "0")
    if tracer not in ("0", str(keeper)):
        return AttachError(f"{said}; process {tracer} traces it already, and a process has one tracer")
    if not _command_line(pid) and status.get("PPid") in ("0", "2"):
        return AttachError(f"{said}; it is a thread of the kernel")
    if _has_ptrace_capability():
        return AttachError(f"{said}; a security module, or the seccomp policy of this container, forbids ptrace")
    own = str(os.geteuid())
    owner = status.get("Uid", "").split()
    if any(uid != own for uid in owner[:3]):
        reason = f"it runs as user {owner[0]}, this is user {own}"
        return PrivilegeError(f"{said}; {reason}: run as that user or as root", missing=["CAP_SYS_PTRACE"])
    if (scope := yama_scope()) > 0:
        return PrivilegeError(f"{said}; kernel.yama.ptrace_scope is {scope}: {_SCOPES[scope]}", missing=["CAP_SYS_PTRACE"])
    return PrivilegeError(
        f"{said}; its memory is protected: it is not dumpable (a set-user-ID program, or PR_SET_DUMPABLE 0), or it is in another "
        "user namespace: run as root",
        missing=["CAP_SYS_PTRACE"],
    )


def start_error(command: str, number: int) -> SkepError:
    """What to raise when a command of our own could not be traced (PTRACE_SEIZE, fork, pipe)."""
    said = f"cannot trace the command {command!r}: {errno_text(number)}"
    if number not in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        return SkepError(said)
    tracer = _status(os.getpid()).get("TracerPid", "0")
    if tracer != "0":
        return UnsupportedError(
            f"{said}; process {tracer} traces this one and all that it starts", needs="a run without a tracer"
        )
    scope = yama_scope()
    if scope == 3 or (scope == 2 and not _has_ptrace_capability()):
        return PrivilegeError(f"{said}; kernel.yama.ptrace_scope is {scope}: {_SCOPES[scope]}", missing=["CAP_SYS_PTRACE"])
    return UnsupportedError(
        f"{said}; this system does not let processes trace others (a container's seccomp policy: start it with "
        "--cap-add=SYS_PTRACE)",
        needs="ptrace(2)",
    )


def exec_error(command: str, number: int) -> SkepError:
    """What to raise when execve of a command failed."""
    return SkepError(f"cannot start {command!r}: {errno_text(number)}")


def _status(pid: int) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    except OSError:
        return {}


def _command_line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b"?"


def _has_ptrace_capability() -> bool:
    return bool(int(_status(os.getpid()).get("CapEff", "0"), 16) >> _CAP_SYS_PTRACE & 1)


def yama_scope() -> int:
    try:
        with open(_YAMA) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0
