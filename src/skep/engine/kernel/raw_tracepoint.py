"""Raw tracepoints: BPF_RAW_TRACEPOINT_OPEN by name (4.17); the context is the tracepoint's own arguments."""

from __future__ import annotations

import errno
import struct
from ctypes import addressof, create_string_buffer

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


def attach(engine: KernelEngine, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
    """Attach to the raw tracepoint `hook.target`, such as "sys_enter"."""
    kind = kind_for_section("raw_tracepoint")
    assert kind is not None
    rung = Rung(f"raw tracepoint {hook.target}", kind, lambda: None, lambda program: open_link(program, hook.target))

    def near() -> list[str]:
        return near_names(hook.target, {event.partition(":")[2] for event in engine.tracefs.tracepoints()})

    return climb(hook, (rung,), load, near)


def attach_bound(program: ProgramHandle) -> KernelLink:
    """The link of a program that was bound to its place at load (fentry, fexit, 5.5): opened without a name."""
    fd = syscall.bpf(syscall.RAW_TRACEPOINT_OPEN, create_string_buffer(struct.pack("=QII", 0, program.fd, 0), 24))
    if fd < 0:
        raise Refused(errno_text(fd))
    return KernelLink(f"{program.kind.context} {program.kind.target} (bpf link)", (fd,))


def open_link(program: ProgramHandle, name: str) -> KernelLink:
    """The link of a program and a raw tracepoint; Refused with the reason."""
    buffer = create_string_buffer(name.encode())
    attr = create_string_buffer(struct.pack("=QII", addressof(buffer), program.fd, 0), 24)
    fd = syscall.bpf(syscall.RAW_TRACEPOINT_OPEN, attr)
    if fd < 0:
        reason = {-errno.ENOENT: "this kernel has no tracepoint of that name: "}.get(fd, "")
        raise Refused(f"{reason}{errno_text(fd)}")
    return KernelLink(f"raw tracepoint {name} (bpf link)", (fd,))
