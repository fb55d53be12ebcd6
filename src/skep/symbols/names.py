"""The part of class BPF that says which function an address is in: in the kernel, or in a process."""

from __future__ import annotations

import os

from skep.arguments import as_address, as_number, as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.maps.stacks import bpf_stack_build_id
    from skep.symbols.kallsyms import KernelSymbols
    from skep.symbols.process import ProcessSymbols

    Text = str | bytes

KERNEL = -1


class SymbolNames:
    """Base of class BPF. BCC has these as functions of the class, so what was read is kept for all objects, by process."""

    @staticmethod
    def sym(
        addr: int | bpf_stack_build_id, pid: int, show_module: bool = False, show_offset: bool = False, demangle: bool = True
    ) -> bytes:
        """The function of process `pid` (-1: of the kernel) that has an address: b"name+0x1f [libc.so.6]", b"[unknown]".

        A frame of a stack with build ids is looked for in the files that `add_module` was given.
        """
        if hasattr(addr, "build_id"):
            from skep.symbols.build_ids import resolve

            found = resolve(addr)  # type: ignore[arg-type]
        else:
            found = symbols_of(pid).resolve(as_address(addr))
        name, offset, module = found if found is not None else (None, 0, None)
        if name is None:
            text = b"[unknown]"
        else:
            text = (demangled(name) if demangle else name).encode("utf-8", "surrogateescape")
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

        address = address_of(as_text(name, "a symbol's name"))
        return -1 if address is None else address


_known: dict[int, KernelSymbols | ProcessSymbols] = {}


def symbols_of(pid: int) -> KernelSymbols | ProcessSymbols:
    """The symbols of a process, or of the kernel for a negative pid; read once."""
    found = _known.get(pid) if type(pid) is int else None
    if found is None:
        pid = as_number(pid, "pid", -(1 << 31), (1 << 31) - 1)
        if pid < 0:
            from skep.symbols.kallsyms import KernelSymbols

            found = KernelSymbols()
        else:
            from skep.symbols.process import ProcessSymbols

            found = ProcessSymbols(pid)
        _known[pid] = found
    return found


def demangled(name: str) -> str:
    """A C++ name as its source has it, where the machine has the C++ runtime; any other name as it is."""
    if not name.startswith("_Z"):
        return name
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
