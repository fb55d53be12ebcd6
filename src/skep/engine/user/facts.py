"""What a program is translated for: the shape of its context and of its maps. Plain data, also on a warm start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Context:
    """What a program's first argument is: `size` bytes are always there; `length`: r2 has its size (as `execute` gives it).

    `fields`: (offset, size) as the program reads it -> (offset where the engine keeps the 8-byte pointer, its kind: "P" for
    the packet's first byte, "E" for its end, "S" for a number). Without them a program sees the memory as it is.
    `packet`: where the engine keeps the first byte that may be touched, and the end. `structs`: the words of the context are in
    the kernel the addresses of structs.
    """

    __slots__ = ("fields", "length", "name", "packet", "size", "structs")

    def __init__(
        self,
        name: str,
        size: int = 0,
        *,
        length: bool = False,
        fields: Mapping[tuple[int, int], tuple[int, str]] | None = None,
        packet: tuple[int, int] | None = None,
        structs: bool = False,
    ) -> None:
        self.structs = structs
        self.name = name
        self.size = size
        self.length = length
        self.fields = dict(fields or {})
        kept = {kind: offset for offset, kind in self.fields.values()}
        self.packet = packet or ((kept["P"], kept["E"]) if {"P", "E"} <= kept.keys() else None)

    def key(self) -> str:
        """All of it as text, for the key of the cache."""
        return f"{self.name} {self.size} {self.length} {sorted(self.fields.items())} {self.packet} {self.structs}"


MEMORY = Context("memory", length=True)
# struct xdp_md and struct __sk_buff (include/uapi/linux/bpf.h); behind them what runtime/xdp.c and skb.c call struct packet:
# the packet's first byte, its end, its metadata or mac header, the network header, and the limits of the memory that it is in.
# Only `size` bytes are the program's.
XDP = Context("xdp", 24, fields={(0, 4): (24, "P"), (4, 4): (32, "E"), (8, 4): (40, "S")}, packet=(40, 32))
SKB = Context("skb", 192, fields={(76, 4): (192, "P"), (80, 4): (200, "E"), (140, 4): (192, "P")})


class MapFacts:
    """A map as a program sees it; `content` is the frozen content of .rodata, `inner` what maps in it look like."""

    __slots__ = ("content", "flags", "inner", "key_size", "max_entries", "stride", "type", "value_size")

    def __init__(
        self,
        type: int,
        key_size: int,
        value_size: int,
        max_entries: int,
        *,
        flags: int = 0,
        stride: int = 0,
        content: bytes | None = None,
        inner: MapFacts | None = None,
    ) -> None:
        self.type = type
        self.key_size = key_size
        self.value_size = value_size
        self.max_entries = max_entries
        self.flags = flags
        self.stride = stride or -(-value_size // 8) * 8
        self.content = content
        self.inner = inner

    def key(self) -> str:
        """All of it as text, for the key of the cache."""
        inner = self.inner.key() if self.inner else ""
        content = self.content.hex() if self.content is not None else "-"
        return f"{self.type} {self.key_size} {self.value_size} {self.max_entries} {self.flags} {self.stride} {content} ({inner})"
