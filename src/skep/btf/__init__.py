"""The kernel's type information (BTF): read lazily, look up by name, make ctypes types of it."""

from __future__ import annotations

from skep.btf.reader import Btf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["Btf", "ctypes_type", "kernel_btf", "module_btfs"]


def kernel_btf() -> Btf:
    """The running kernel's type information; the same object at every call.

    SKEP_BTF=FILE names another (raw BTF, or an ELF file with a .BTF section). Requires Linux 5.4 with
    CONFIG_DEBUG_INFO_BTF=y; raises UnsupportedError without it.
    """
    from skep.btf.kernel import load  # only a compile needs it: a warm start takes its object from the cache

    return load()


def module_btfs(name: str, *, only: str = "") -> Iterator[Btf]:
    """The type information of loaded modules (`only`: of one) that may know a name, split from the kernel's; Linux 5.11."""
    from skep.btf.kernel import load_modules

    return load_modules(name, only)


def ctypes_type(btf: Btf, type_id: int, *, bcc_layout: bool = True) -> type[Any]:
    """The ctypes type for a BTF type; see skep.btf.ctypes_types."""
    from skep.btf.ctypes_types import ctypes_type as make  # ctypes costs 2 ms that the compiler does not need

    return make(btf, type_id, bcc_layout=bcc_layout)
