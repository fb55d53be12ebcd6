"""BCC's `bcc.SymbolCache`: functions of a process by address, addresses by name."""

from __future__ import annotations

from skep.arguments import as_address, as_text
from skep.symbols.names import demangled, symbols_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    Text = str | bytes


class SymbolCache:
    """The symbols of process `pid`; -1 means the kernel's."""

    def __init__(self, pid: int) -> None:
        self._symbols = symbols_of(pid)

    def resolve(self, addr: int, demangle: bool) -> tuple[bytes | None, int, bytes | None]:
        """(function, bytes from its start, file); (None, bytes from the file's start, file), or (None, addr, None)."""
        found = self._symbols.resolve(as_address(addr))
        if found is None:
            return None, addr, None
        name, offset, module = found
        if name is not None and demangle:
            name = demangled(name)
        return (
            None if name is None else name.encode("utf-8", "surrogateescape"),
            offset,
            module.encode("utf-8", "surrogateescape"),
        )

    def resolve_name(self, module: Text, name: Text) -> int:
        """The address of a function of a file that the process has mapped, or -1."""
        address = self._symbols.address(as_text(name), as_text(module, "module"))
        return -1 if address is None else address
