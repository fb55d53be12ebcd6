"""struct_ops maps as Python sees them: what the kernel was given, and whether it uses it (Linux 5.6)."""

from __future__ import annotations

import sys

from skep.maps.view import View

# include/linux/bpf.h, enum bpf_struct_ops_state
_STATES = ("init", "inuse", "tobefree", "ready")


class StructOps(View):
    """A struct of the kernel's whose functions are programs; `attach_struct_ops` of its BPF object registers it."""

    @property
    def state(self) -> str:
        """The kernel's word: "init" (nothing given yet), "ready" (given; links register it), "inuse", "tobefree"."""
        value = self.handle.lookup(bytes(4)) or bytes(8)
        return _STATES[int.from_bytes(value[4:8], sys.byteorder)]

    @property
    def registered(self) -> bool:
        """Whether the kernel has it now by this BPF object."""
        return ("struct_ops", self.name) in {(a.hook.family, a.hook.target) for a in getattr(self.bpf, "links", ())}

    @property
    def functions(self) -> dict[str, str]:
        """The programs by the member that they stand for."""
        operations = self.handle.spec.operations
        return dict(operations.functions) if operations is not None else {}
