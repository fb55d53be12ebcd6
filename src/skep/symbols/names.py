"""The part of class BPF that says which function an address is in: in the kernel, or in a process."""

from __future__ import annotations

import os

from skep.arguments import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.symbols.kallsyms import KernelSymbols
    from skep.symbols.process import ProcessSymbols

    Text = str | bytes

KERNEL = -1


class SymbolNames:
    """Base of class BPF. BCC has these as functions of the class, so what was read is kept there, by process."""

    _symbols: dict[int, KernelSymbols | ProcessSymbols] = {}  # noqa: RUF012 - a cache

    @staticmethod
    def sym(addr: int, pid: int, show_module: bool = False, show_offset: bool = False, demangle: bool = True) -> bytes:
        """The function of process `pid` (-1: of the kernel) that has an address: b"name+0x1f [libc.so.6]", b"[unknown]"."""
        found = SymbolNames._cache(pid).resolve(addr)
        name, offset, module = found if found is not None else (None, 0, None)
        if name is None:
            text = b"[unknown]"
        else:
            text = (_demangled(name) if demangle and name.startswith("_Z") else name).encode("utf-8", "surrogateescape")
            if show_offset:
                text += b"+%#x" % offset
        if show_module and module is not None:
            text += b" [%s]" % os.fsencode(os.path.basename(module))
        return text

    @staticmethod
    def ksym(addr: int, show_module: bool = False, show_offset: bool = False) -> bytes:
        """The kernel's function that has an address; needs CAP_SYSLOG."""
        return SymbolNames.sym(addr, KERNEL, show_module, show_offset, False)

    @staticmethod
    def ksymname(name: Text) -> int:
        """The address of a symbol of the kernel's, or -1."""
        from skep.symbols.kallsyms import address_of

        address = address_of(as_text(name))
        return -1 if address is None else address

    @staticmethod
    def _cache(pid: int) -> KernelSymbols | ProcessSymbols:
        found = SymbolNames._symbols.get(pid)
        if found is None:
            if pid < 0:
                from skep.symbols.kallsyms import KernelSymbols

                found = KernelSymbols()
            else:
                from skep.symbols.process import ProcessSymbols

                found = ProcessSymbols(pid)
            SymbolNames._symbols[pid] = found
        return found


def _demangled(name: str) -> str:
    """A C++ name as its source has it, where the machine has the C++ runtime."""
    import ctypes

    try:
        demangle = ctypes.CDLL("libstdc++.so.6").__cxa_demangle
    except (OSError, AttributeError):
        return name
    demangle.restype = ctypes.c_void_p
    status = ctypes.c_int()
    text = demangle(name.encode(), None, None, ctypes.byref(status))
    if not text:
        return name
    found = ctypes.string_at(text).decode("utf-8", "replace")
    free = ctypes.CDLL(None).free
    free.argtypes = (ctypes.c_void_p,)
    free(text)
    return found
