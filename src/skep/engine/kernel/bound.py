"""Programs that are bound to their place at load: fentry, fexit, fmod_ret (5.5), LSM (5.7), tp_btf (5.5), iter (5.8)."""

from __future__ import annotations

import struct
from ctypes import create_string_buffer

from skep.engine.errnos import errno_text
from skep.engine.kernel import raw_tracepoint, syscall
from skep.engine.kernel.ladder import KernelLink, Refused, Rung, climb, near_names
from skep.engine.kernel.relocations import find_kernel_type
from skep.errors import AttachError, UnsupportedError
from skep.object.kinds import ATTACH_TYPES, kind_for_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.engine import Hook, ProgramHandle
    from skep.engine.kernel import KernelEngine
    from skep.object.model import ProgramKind

_KINDS = {"btf_trace_": "typedef", "": "func"}


def attach(engine: KernelEngine, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
    """Attach to `hook.target`: a function of the kernel's (or "MODULE:function"), an LSM hook, a tracepoint's name."""
    kind = kind_for_section(f"{hook.family}/{hook.target}")
    assert kind is not None
    bind = _attach_iterator if hook.family == "iter" else raw_tracepoint.attach_bound
    rung = Rung(f"{hook.family} link", kind, lambda: _require(kind.target), bind)
    return climb(hook, (rung,), load, lambda: _near(kind.target))


class IteratorLink(KernelLink):
    """The link of an iterator program."""

    __slots__ = ()

    def read(self) -> bytes:
        """What the program writes for all objects; it runs now."""
        fd = syscall.bpf(syscall.ITER_CREATE, create_string_buffer(struct.pack("=II", self.fd, 0), 8))
        if fd < 0:
            raise AttachError(f"{self.how} cannot be read: {errno_text(fd)}")
        with open(fd, "rb", buffering=0) as file:
            return file.read()


def _attach_iterator(program: ProgramHandle) -> KernelLink:
    attr = create_string_buffer(struct.pack("=IIII", program.fd, 0, ATTACH_TYPES["trace_iter"], 0), 64)
    fd = syscall.bpf(syscall.LINK_CREATE, attr)
    if fd < 0:
        raise Refused(errno_text(fd))
    return IteratorLink(f"iter {program.kind.target} (bpf link)", (fd,))


def _btf_kind(target: str) -> str:
    return next(kind for prefix, kind in _KINDS.items() if target.startswith(prefix))


def _require(target: str) -> None:
    try:
        found = find_kernel_type(target, _btf_kind(target))
    except UnsupportedError as error:
        raise Refused(str(error)) from None
    if found is None:
        raise Refused(f"neither the kernel's BTF nor a loaded module's has {target!r}")


def _near(target: str) -> list[str]:
    from skep.btf import kernel_btf

    return near_names(target.rpartition(":")[2], kernel_btf().name_candidates(_btf_kind(target)))
