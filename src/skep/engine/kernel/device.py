"""Network devices: XDP (bpf link, 5.9) and tc (TCX link, 6.6)."""

from __future__ import annotations

import errno
import socket
import struct
from ctypes import create_string_buffer

from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.engine.kernel.ladder import KernelLink, Refused, Rung, climb, near_names
from skep.object.kinds import ATTACH_TYPES, kind_for_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.engine import Hook, ProgramHandle
    from skep.engine.kernel import KernelEngine
    from skep.object.model import ProgramKind

# family: (section of its programs, enum bpf_attach_type, first kernel)
_FAMILIES = {
    "xdp": ("xdp", ATTACH_TYPES["xdp"], "5.9"),
    "tc_ingress": ("tcx/ingress", ATTACH_TYPES["tcx_ingress"], "6.6"),
    "tc_egress": ("tcx/egress", ATTACH_TYPES["tcx_egress"], "6.6"),
}
_MODES = {0: "", 2: "generic", 4: "driver", 8: "hardware"}  # XDP_FLAGS_*_MODE


def attach(engine: KernelEngine, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
    """Attach to the device `hook.target`; option `flags`: XDP_FLAGS_SKB_MODE and the other modes (one of them)."""
    section, attach_type, kernel = _FAMILIES[hook.family]
    kind = kind_for_section(section)
    assert kind is not None
    rung = Rung(
        f"{hook.family} link", kind, lambda: None, lambda program: _attach(program, hook, attach_type, kernel)
    )  # fmt: skip
    return climb(hook, (rung,), load, lambda: near_names(hook.target, [name for _, name in socket.if_nameindex()]))


def _attach(program: ProgramHandle, hook: Hook, attach_type: int, kernel: str) -> KernelLink:
    flags = hook.options.get("flags", 0)
    try:
        index = socket.if_nametoindex(hook.target)
    except (OSError, ValueError):  # a zero byte, or what no name can have
        raise Refused(f"there is no network device {hook.target!r}") from None
    attr = create_string_buffer(struct.pack("=IIII", program.fd, index, attach_type, flags), 64)
    fd = syscall.bpf(syscall.LINK_CREATE, attr)
    if fd < 0:
        reason = {
            -errno.EBUSY: "another program is attached to it",
            -errno.EEXIST: "another program is attached to it, in another mode",
            -errno.EOPNOTSUPP: "the device's driver does not do this; for XDP, generic mode (flags=BPF.XDP_FLAGS_SKB_MODE) works",
            -errno.EINVAL: f"the kernel does not know this link (Linux {kernel}), or not these flags",
            -errno.EPERM: "not permitted; it needs CAP_NET_ADMIN",
        }.get(fd)
        text = errno_text(fd)
        raise Refused(f"{reason}: {text}" if reason else text)
    mode = f", {_MODES[flags]} mode" if _MODES.get(flags) else ""
    return KernelLink(f"{hook.family} {hook.target} (bpf link{mode})", (fd,))
