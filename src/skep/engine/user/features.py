"""What the user engine can do for this process, found out by trying: plain data for `skep doctor`. Not on the warm path.

The probes start `true`, and trace or read a child of their own.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from skep.engine.errnos import errno_text
from skep.engine.privileges import CAPABILITIES, effective_capabilities
from skep.engine.probing import Feature, No, Unknown, answer
from skep.engine.user import tracer_errors
from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ACTIONS = "/proc/sys/kernel/seccomp/actions_avail"
_KERNEL = "the kernel engine (as root)"
COMMAND = "trace a command (-c)"  # without this, the user engine sees nothing


def _machine() -> str:
    machine = os.uname().machine
    if machine != "x86_64":
        raise No(f"this is {machine}", "a machine with x86-64, or " + _KERNEL)
    return machine


def _code() -> str:
    try:
        import llvmlite
    except ImportError as error:
        raise No(f"llvmlite cannot be imported: {error}", "pip install llvmlite") from error
    return f"llvmlite {llvmlite.__version__}"


def _command() -> str:
    release = os.uname().release
    if tuple(int(part) for part in release.replace("-", ".").split(".")[:2]) < (5, 3):
        raise No(f"this is Linux {release}", "Linux 5.3 (PTRACE_GET_SYSCALL_INFO)")
    from skep.commands import find_command
    from skep.engine.user.layout import Env
    from skep.engine.user.tracer import Tracer

    _machine()
    true = find_command("true")
    try:
        with Tracer(Env()) as tracer:
            tracer.start([true])
            while not any(happening.what == "ended" for happening in tracer.wait(10)):
                pass
    except (SkepError, OSError) as error:
        reason, _, fix = str(error).partition(": start it with ")
        raise No(
            reason.replace("(a container's", "(such as a container's") + ")" * bool(fix),
            f"start the container with {fix.rstrip(')')}" if fix else getattr(error, "needs", "") or _KERNEL,
        ) from error
    scope = tracer_errors.yama_scope()
    return f"kernel.yama.ptrace_scope is {scope}" if scope else ""


def _process() -> None:
    from skep.engine.user.layout import Env
    from skep.engine.user.tracer import Tracer

    _command()
    with _child() as pid:
        try:
            with Tracer(Env()) as tracer:
                tracer.attach(pid)
        except SkepError as error:
            scope = tracer_errors.yama_scope()
            fix = "-c, or as root: sysctl kernel.yama.ptrace_scope=0" if scope in (1, 2) else _KERNEL
            raise No(str(error).partition(": ")[2].partition("; ")[2] or str(error), fix) from error


def _memory() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    text = ctypes.create_string_buffer(b"in the child")
    copy = ctypes.create_string_buffer(len(text))
    local, remote = ((ctypes.c_void_p * 2)(ctypes.addressof(buffer), len(text)) for buffer in (copy, text))
    with _child() as pid:
        got = libc.process_vm_readv(pid, local, 1, remote, 1, 0)
    if got != len(text):
        reason = f"process_vm_readv(2) gives {errno_text(ctypes.get_errno())}"
        raise No(f"{reason}: bpf_probe_read_user cannot read", "a container with --cap-add=SYS_PTRACE")


def _filter() -> None:
    try:
        with open(_ACTIONS) as file:
            actions = file.read().split()
    except OSError as error:
        raise Unknown(
            f"{_ACTIONS}: {error.strerror}; without seccomp filters every system call stops a traced command"
        ) from error
    if "trace" not in actions:
        raise No("seccomp has no SECCOMP_RET_TRACE: every system call stops a traced command, which is slow", "another kernel")


def _set_user_id() -> None:
    if not effective_capabilities() >> CAPABILITIES["CAP_SYS_ADMIN"] & 1:  # seccomp(2)
        raise No(
            "a traced command cannot gain privilege (no_new_privs): sudo, su and ping in it fail or do less",
            "run as root, or trace it with -p once it runs",
        )


def _whole_kernel() -> None:
    raise No(
        "programs run outside of the kernel: they see system calls, exec, fork and exit of traced processes, and samples; "
        "no kernel functions and structures, no network, no other process",
        _KERNEL,
    )


# name, first kernel, probe
_FEATURES: tuple[tuple[str, str, Callable[[], str | None]], ...] = (
    ("x86-64", "", _machine),
    ("machine code", "", _code),
    (COMMAND, "", _command),
    ("trace a process that runs (-p)", "", _process),
    ("read the memory of processes", "", _memory),
    ("stop only at wanted system calls (seccomp)", "", _filter),
    ("commands that gain privilege", "", _set_user_id),
    ("all of the kernel", "", _whole_kernel),
)


def probe_user_engine() -> list[Feature]:
    """What the user engine can do here, in the order in which it matters."""
    return [answer(name, since, probe) for name, since, probe in _FEATURES]


@contextmanager
def _child() -> Iterator[int]:
    """A process that waits until it is not needed any more."""
    end, start = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(start)
            os.read(end, 1)
        finally:
            os._exit(0)
    os.close(end)
    try:
        yield pid
    finally:
        os.close(start)
        os.waitpid(pid, 0)
