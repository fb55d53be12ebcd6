"""The kernel's type information (BTF): read lazily, look up by name, make ctypes types of it."""

from __future__ import annotations

from skep.btf.kernel import kernel_btf
from skep.btf.reader import Btf

__all__ = ["Btf", "kernel_btf"]
