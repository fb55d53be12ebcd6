"""Fields of BCC's packet structs (`struct ip_t *`): reads by LD_ABS, writes by bpf_skb_store_bytes.

A pointer to one is an offset into the packet of the function's `struct __sk_buff *`. Fields are numbers in host order; bit-fields
count from the most significant bit, in the order of their declaration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import programs, tree
from skep.compiler import types as ct

if TYPE_CHECKING:
    from skep.compiler.function_emitter import FunctionEmitter
    from skep.compiler.places import Place

_SKB_STORE_BYTES, _SKB_LOAD_BYTES = 9, 26
# what a pointer into a packet is made of: null and what is added to it, or an integer
OFFSETS = frozenset({"", "any", "wire"})
_LOADS = ((4, "word"), (2, "half"), (1, "byte"))


class Packets:
    """`load`, `store` and `copy` work on places in space "wire"."""

    def __init__(self, function: FunctionEmitter) -> None:
        self.f = function
        self.m = function.m

    def buffer(self) -> str:
        """The socket buffer; "" (and a message) where the function has none."""
        var = programs.packet_of(self.f.function)
        if var is None:
            self.m.error(
                f"'{self.f.function.name}' reads or writes a packet's field: give it the program's 'struct __sk_buff *'",
                self.f.token, "packet",
            )  # fmt: skip
            return ""
        return self.f.value(f"load ptr, ptr {self.f.slots[var]}, align 8")

    def load_width(self, buffer: str, offset: str, width: str) -> str:
        symbol = self.m.intrinsic(f"llvm.bpf.load.{width}", "i64 {}(ptr, i64)")
        return self.f.value(f"call i64 {symbol}(ptr {buffer}, i64 {offset})")

    def load(self, place: Place, node: tree.Node) -> str:
        found = self._span(place, node)
        if found is None:
            return "0"
        buffer, offset, size, low, bits = found
        return self._value(self._bytes(buffer, offset, size), low, bits, place)

    def store(self, place: Place, value: str, node: tree.Node) -> str:
        """Store a field; gives its value afterwards. The bits beside it in its bytes stay."""
        found = self._span(place, node)
        if found is None:
            return value
        buffer, offset, size, low, bits = found
        f = self.f
        mask = (1 << bits) - 1
        new = self._shift("shl", f.value(f"and i64 {self._wide(value, place)}, {mask}"), low)
        if low or bits != 8 * size:
            kept = f.value(f"and i64 {self._bytes(buffer, offset, size)}, {((1 << 8 * size) - 1) & ~(mask << low)}")
            new = f.value(f"or i64 {kept}, {new}")
        swap = self.m.intrinsic("llvm.bswap.i64", "i64 {}(i64)")
        ordered = f.value(f"call i64 {swap}(i64 {self._shift('shl', new, 64 - 8 * size)})")
        slot = f.temporary(8, 8)
        f.emit(f"store i64 {ordered}, ptr {slot}, align 8")
        at = self.f.resize(offset, 64, 32, False)
        self.f.helper(_SKB_STORE_BYTES, [f"ptr {buffer}", f"i32 {at}", f"ptr {slot}", f"i32 {size}", "i64 0"])
        return self._value(new, low, bits, place)

    def copy(self, to: str, size: str, source: str) -> None:
        """Bytes as they are in the packet (typed operands)."""
        buffer = self.buffer()
        if buffer:
            offset = self.f.value(f"ptrtoint {source} to i32")
            self.f.helper(_SKB_LOAD_BYTES, [f"ptr {buffer}", f"i32 {offset}", to, size])

    def _span(self, place: Place, node: tree.Node) -> tuple[str, str, int, int, int] | None:
        """(buffer, offset of the first byte, bytes, bits below the field in them, bits of the field)."""
        member = place.member
        bits = 8 * place.type.size if member is None or member.bits is None else member.bits
        start = 0 if member is None else member.bit_offset
        first = place.offset + start // 8
        size = -(-(start % 8 + bits) // 8)
        if size > 8:
            self.m.error("a packet's field has at most 8 bytes", node, "packet")
            return None
        buffer = self.buffer()
        if not buffer:
            return None
        base = self.f.value(f"ptrtoint ptr {place.base} to i64")
        offset = self.f.value(f"add i64 {base}, {first}") if first else base
        return buffer, offset, size, 8 * size - start % 8 - bits, bits

    def _bytes(self, buffer: str, offset: str, size: int) -> str:
        """A big-endian number of 1 to 8 bytes."""
        value, at = "", 0
        while at < size:
            width, name = next((w, n) for w, n in _LOADS if w <= size - at)
            where = self.f.value(f"add i64 {offset}, {at}") if at else offset
            part = self.load_width(buffer, where, name)
            value = self.f.value(f"or i64 {self._shift('shl', value, 8 * width)}, {part}") if value else part
            at += width
        return value

    def _shift(self, op: str, value: str, count: int) -> str:
        return self.f.value(f"{op} i64 {value}, {count}") if count else value

    def _value(self, raw: str, low: int, bits: int, place: Place) -> str:
        """The field out of the bytes around it, as its type."""
        signed = ct.is_integer(place.type) and ct.integer(place.type).signed
        value = self._shift("shl", raw, 64 - low - bits)
        value = self._shift("ashr" if signed else "lshr", value, 64 - bits)
        if isinstance(place.type, ct.PointerType):
            return self.f.value(f"inttoptr i64 {value} to ptr")
        return self.f.resize(value, 64, ct.integer(place.type).bits, False)

    def _wide(self, value: str, place: Place) -> str:
        if isinstance(place.type, ct.PointerType):
            return self.f.value(f"ptrtoint ptr {value} to i64")
        return self.f.resize(value, ct.integer(place.type).bits, 64, False)
