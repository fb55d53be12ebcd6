"""BCC's `bcc.libbcc`: the functions of its C library that scripts call on their own."""

from __future__ import annotations

from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.bpf import BPF


class lib:
    """What is not here is a method of class BPF."""

    @staticmethod
    def bpf_table_fd(module: BPF, name: bytes) -> int:
        """The fd of a map of `bpf.module`."""
        if not hasattr(module, "get_table"):
            raise SkepError(f"bpf_table_fd() takes the module of a BPF object, not {module!r}")
        fd: int = module[name].get_fd()
        return fd

    @staticmethod
    def bpf_module_rw_engine_enabled() -> bool:
        """Whether tables have `key_sprintf` and its kin: always."""
        return True
