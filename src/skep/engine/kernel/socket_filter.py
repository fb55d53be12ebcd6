"""Socket filters: SO_ATTACH_BPF (3.19) on a packet socket of a network device's; what the program keeps is read from it."""

from __future__ import annotations

import errno
import os
import socket

from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.engine.kernel.ladder import KernelLink, Refused, Rung, climb, near_names
from skep.object.kinds import kind_for_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.engine import Hook, ProgramHandle
    from skep.engine.kernel import KernelEngine
    from skep.object.model import ProgramKind

_SO_ATTACH_BPF = 50  # include/uapi/asm-generic/socket.h
_ETH_P_ALL = 3


def attach(engine: KernelEngine, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
    """A raw packet socket on the device `hook.target` ("" is all), without blocking, with the program; its fd is the link's."""
    kind = kind_for_section("socket")
    assert kind is not None
    rung = Rung(f"packet socket on {hook.target}", kind, lambda: None, lambda program: _attach(program, hook.target))
    return climb(hook, (rung,), load, lambda: near_names(hook.target, [name for _, name in socket.if_nameindex()]))


def _attach(program: ProgramHandle, device: str) -> KernelLink:
    try:
        # no protocol yet: a packet that comes before the filter would be in the queue
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    except PermissionError as error:
        raise Refused(f"packet sockets need CAP_NET_RAW: {errno_text(error.errno or errno.EPERM)}") from None
    except OSError as error:
        raise Refused(f"socket: {errno_text(error.errno or errno.EIO)}") from None
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, program.fd)
        opened.bind((device, _ETH_P_ALL))
    except OSError as error:
        opened.close()
        raise Refused(f"no packet socket on {device!r}: {errno_text(error.errno or errno.EIO)}") from None
    except BaseException:
        opened.close()
        raise
    fd = syscall.safe_fd(opened.detach())
    os.set_inheritable(fd, False)
    return KernelLink(f"packet socket on {device} (SO_ATTACH_BPF)", (fd,))
