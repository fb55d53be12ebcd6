"""The kernel's symbols from /proc/kallsyms: addresses by name, names by address. Read when first asked."""

from __future__ import annotations

from bisect import bisect_right

from skep.errors import PrivilegeError

PATH = "/proc/kallsyms"
_ERRORS = (1 << 64) - 4095  # from here on a pointer is an errno (MAX_ERRNO, include/linux/err.h)


def address_of(name: str) -> int | None:
    """The address of the first symbol of this name (in the kernel itself, then its modules); None when there is none."""
    with open(PATH, "rb") as file:
        data = file.read()
    wanted = b" " + name.encode("utf-8", "surrogatepass")
    found = [at for end in (b"\n", b"\t") if (at := data.find(wanted + end)) >= 0]
    if not found:
        return None
    at = min(found)
    address = int(data[data.rfind(b"\n", 0, at) + 1 : at].split()[0], 16)
    if not address:
        raise _hidden()
    return address


class KernelSymbols:
    """All symbols by address: `resolve` gives (name, offset in bytes, module or "kernel"), or None."""

    __slots__ = ("_addresses", "_lines")

    def __init__(self, path: str = PATH) -> None:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
        # the order is almost that of the addresses, which sort() likes; a symbol's line is cut apart when it is asked for
        pairs = sorted([(int(line.split(b" ", 1)[0], 16), line) for line in lines], key=_address)
        self._addresses = [address for address, _ in pairs]
        self._lines = [line for _, line in pairs]
        if self._addresses and not self._addresses[-1]:
            raise _hidden()

    def resolve(self, address: int) -> tuple[str, int, str] | None:
        index = bisect_right(self._addresses, address) - 1
        if index < 0 or not self._addresses[index] or address >= _ERRORS:
            return None
        fields = self._lines[index].split()
        module = fields[3][1:-1].decode() if len(fields) > 3 else "kernel"
        return fields[2].decode("utf-8", "replace"), address - self._addresses[index], module

    def address(self, name: str, _file: str = "") -> int | None:
        """The address of a symbol, or None."""
        wanted = name.encode("utf-8", "surrogatepass")
        ending = b" " + wanted
        for address, line in zip(self._addresses, self._lines, strict=True):
            if line.endswith(ending) or (b"\t" in line and line.split()[2] == wanted):
                return address
        return None


def _address(pair: tuple[int, bytes]) -> int:
    return pair[0]


def _hidden() -> PrivilegeError:
    return PrivilegeError(
        f"{PATH} hides the addresses of the kernel's symbols: it needs CAP_SYSLOG, and kernel.kptr_restrict below 2",
        missing=["CAP_SYSLOG"],
    )
