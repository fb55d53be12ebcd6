"""USDT probes of an ELF file: the notes of `.note.stapsdt` (SystemTap's sys/sdt.h) and where their arguments are on x86-64."""

from __future__ import annotations

import re
from struct import unpack_from

from skep.errors import SkepError
from skep.symbols.binary import Binary

_REGISTERS = {
    "a": "ax", "b": "bx", "c": "cx", "d": "dx",
    "si": "si", "di": "di", "bp": "bp", "sp": "sp",
}  # fmt: skip
_ARGUMENT = re.compile(r"(?:(-?)(\d+)(f?)@)?(.+)", re.DOTALL)
_MEMORY = re.compile(r"([^()]*)\(%(\w+)(?:,%(\w+)(?:,(\d))?)?\)")
_SYMBOL = re.compile(r"(?:(-?\w+)\+)?([A-Za-z_.$][\w.$@]*)((?:[+-]\w+)*)")


class Argument:
    """One argument at one place of a probe: `size` in bytes, `signed`; `expression` is C over `ctx`, of its value or address.

    `memory` says that it is an address; both may be None: what is in a floating-point register cannot be read.
    """

    __slots__ = ("expression", "memory", "signed", "size", "text")

    def __init__(self, text: str, binary: Binary, address: int) -> None:
        self.text = text
        found = _ARGUMENT.fullmatch(text)
        assert found is not None  # the expression matches any text
        self.signed = found[1] == "-"
        self.size = int(found[2] or 8)
        self.memory = False
        self.expression: str | None = None
        if not found[3] and self.size in (1, 2, 4, 8):
            self._parse(found[4], binary, address)

    def _parse(self, text: str, binary: Binary, address: int) -> None:
        memory = _MEMORY.fullmatch(text)
        if text.startswith("$"):
            self.expression = f"{int(text[1:], 0)}LL"
        elif text.startswith("%"):
            self.expression = _register(text[1:])
        elif memory is not None:
            self.memory = True
            self.expression = self._address(memory, binary, address)

    @staticmethod
    def _address(found: re.Match[str], binary: Binary, address: int) -> str | None:
        offset, base, index, scale = found.groups()
        if base == "rip":
            symbol = _SYMBOL.fullmatch(offset)
            there = binary.address(symbol[2]) if symbol is not None else None
            if symbol is None or there is None:
                return None
            more = sum(int(part, 0) for part in re.findall(r"[+-]\w+", symbol[3])) + int(symbol[1] or "0", 0)
            return f"(ctx->ip + {there + more - address}LL)"
        register = _register(base)
        if register is None:
            return None
        text = f"{register} + {int(offset or '0', 0)}LL"
        if index:
            indexed = _register(index)
            if indexed is None:
                return None
            text += f" + {indexed} * {scale or 1}"
        return f"({text})"

    @property
    def c_type(self) -> str:
        return f"{'signed' if self.signed else 'unsigned'} {({1: 'char', 2: 'short', 4: 'int', 8: 'long'})[self.size]}"

    def __str__(self) -> str:
        return self.text


def _register(name: str) -> str | None:
    """The member of pt_regs that has a register, as C: "rax", "eax", "ax", "al" and "ah" are all in `ax`."""
    extended = re.fullmatch(r"(r\d+)[dwb]?", name)
    if extended is not None:
        return f"ctx->{extended[1]}"
    plain = re.fullmatch(r"[er]?([abcd])x|([abcd])[lh]|[er]?(si|di|bp|sp)l?", name)
    if plain is None:
        return None
    member = f"ctx->{_REGISTERS[plain[1] or plain[2] or plain[3]]}"
    return f"({member} >> 8)" if plain[2] and name.endswith("h") else member


class Place:
    """One place of a probe: `address` as the file's symbols have it."""

    __slots__ = ("address", "arguments")

    def __init__(self, address: int, arguments: list[Argument]) -> None:
        self.address = address
        self.arguments = arguments


class Probe:
    """A probe of a file: all places of one provider and name; `semaphore` is its address, 0 for none."""

    __slots__ = ("binary", "name", "places", "provider", "semaphore")

    def __init__(self, binary: Binary, provider: str, name: str, semaphore: int) -> None:
        self.binary = binary
        self.provider = provider
        self.name = name
        self.semaphore = semaphore
        self.places: list[Place] = []

    def __str__(self) -> str:
        return f"{self.provider}:{self.name}"


def probes(path: str) -> list[Probe]:
    """The probes of a file in the order of its notes; none for a file without."""
    binary = Binary(path)
    notes = binary.section(".note.stapsdt")
    if notes is None:
        return []
    base_section = binary.section(".stapsdt.base")
    data = notes[1]
    found: dict[tuple[str, str], Probe] = {}
    at = 0
    while at + 12 <= len(data):
        name_size, size, type = unpack_from("<III", data, at)
        start = at + 12 + (name_size + 3 & ~3)
        at = start + (size + 3 & ~3)
        if type != 3 or data[start - (name_size + 3 & ~3) :][:8] != b"stapsdt\0" or size < 24 or start + size > len(data):
            continue
        address, base, semaphore = unpack_from("<QQQ", data, start)
        texts = data[start + 24 : start + size].split(b"\0")
        if len(texts) < 3:
            raise SkepError(f"{path}: a USDT note is damaged")
        moved = base_section[0] - base if base_section is not None else 0  # prelink(8) may have moved the program since
        provider, name, arguments = (text.decode("utf-8", "replace") for text in texts[:3])
        probe = found.get((provider, name))
        if probe is None:
            probe = found[provider, name] = Probe(binary, provider, name, semaphore + moved if semaphore else 0)
        address += moved
        probe.places.append(Place(address, [Argument(text, binary, address) for text in arguments.split()]))
    return list(found.values())
