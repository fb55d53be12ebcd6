"""BPF_PROG_ATTACH (4.10): programs on cgroups and on socket maps, by the fd of the folder or the map and the attach type."""

from __future__ import annotations

import errno
import os
import struct
from ctypes import create_string_buffer

from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.engine.kernel.ladder import KernelLink, Refused, Rung, climb
from skep.object.kinds import ATTACH_TYPES, kind_for_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.engine import Hook, ProgramHandle
    from skep.engine.kernel import KernelEngine
    from skep.object.model import ProgramKind


def attach(engine: KernelEngine, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
    """Attach to `hook.target`, "TYPE:FD" with a number of enum bpf_attach_type; option `flags`: BPF_F_ALLOW_MULTI and others.

    What `load` gives is loaded already, for this attach type.
    """
    type, fd = (int(number) for number in hook.target.split(":"))
    kind = kind_for_section("cgroup/skb")
    assert kind is not None
    rung = Rung("BPF_PROG_ATTACH", kind, lambda: None, lambda program: _attach(program, fd, type, hook.options.get("flags", 0)))
    return climb(hook, (rung,), load, lambda: [])


def _attach(program: ProgramHandle, target: int, type: int, flags: int) -> KernelLink:
    try:
        target = syscall.safe_fd(os.dup(target))  # the caller may close its own before the program is detached
    except OSError as error:
        raise Refused(f"fd {target}: {errno_text(error.errno or errno.EBADF)}") from None
    result = syscall.bpf(syscall.PROG_ATTACH, _attributes(target, program.fd, type, flags))
    name = next((name for name, number in ATTACH_TYPES.items() if number == type), f"attach type {type}")
    if result < 0:
        os.close(target)
        reason = {
            -errno.EPERM: "not permitted: another program is there without BPF_F_ALLOW_MULTI, or CAP_NET_ADMIN is missing",
            -errno.EINVAL: "the program was not loaded for this attach type, or the fd is no cgroup and no socket map",
            -errno.EBADF: "the fd is no cgroup and no socket map",
        }.get(result)
        text = errno_text(result)
        raise Refused(f"{reason}: {text}" if reason else text)
    own = os.dup(program.fd)  # detaching names the program, which may be closed by then

    def detach() -> None:
        syscall.bpf(syscall.PROG_DETACH, _attributes(target, own, type, 0))
        os.close(own)
        os.close(target)

    return KernelLink(f"{name} (BPF_PROG_ATTACH)", (), detach)


def _attributes(target: int, program: int, type: int, flags: int) -> syscall.Buffer:
    return create_string_buffer(struct.pack("=IIII", target, program, type, flags), 24)
