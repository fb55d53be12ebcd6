"""BCC's `bcc.libbcc`: the one function of its C library that scripts call on their own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.bpf import BPF


class lib:
    """What is not here is a method of class BPF."""

    @staticmethod
    def bpf_table_fd(module: BPF, name: bytes) -> int:
        """The fd of a map of `bpf.module`."""
        fd: int = module[name].get_fd()
        return fd
