"""Lvalues of one function in LLVM IR: where they are, loads and stores by origin, bit-fields, registers of contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import programs, tree
from skep.compiler import types as ct
from skep.compiler.abi import llvm_type
from skep.compiler.origins import DIRECT, in_packet, kind
from skep.compiler.packets import OFFSETS, Packets
from skep.compiler.types import Type

if TYPE_CHECKING:
    from skep.compiler.function_emitter import FunctionEmitter

# helpers by where the memory is; bpf_probe_read tells a user address from a kernel's by itself (x86-64 and arm64, 5.5)
_PROBE = {"kernel": 113, "user": 112, "any": 4}


class Place:
    """Where an lvalue is: `space` "direct" (plain loads), "kernel", "user" or "any" (read by a helper), "wire" (an offset into a
    packet), or "registers" (a pt_regs context that this hook does not really have)."""

    __slots__ = ("align", "base", "context", "member", "offset", "space", "type", "volatile")

    def __init__(self, base: str, space: str, type: Type, align: int, *, context: bool = False) -> None:
        self.base = base
        self.space = space
        self.offset = 0
        self.type = type
        self.align = align
        self.member: ct.Member | None = None  # a bit-field
        self.context = context
        self.volatile = bool(type.quals & ct.VOLATILE)


class Places:
    """`place` gives where an lvalue is; `load` and `store` work on it."""

    def __init__(self, function: FunctionEmitter) -> None:
        self.f = function
        self.m = function.m
        self.packets = Packets(function)

    # --- places

    def place(self, node: tree.Node) -> Place:
        f = self.f
        match node:
            case tree.VarRef():
                var = node.var
                if var.storage == "global":
                    base = self.m.global_symbol(var)
                else:
                    if var not in f.slots:
                        f.declare(var, None)
                    base = f.slots[var]
                return Place(base, "direct", node.type, max(node.type.align, 1) if node.type.complete else 1)
            case tree.MemberRef():
                return self._member(node)
            case tree.Deref():
                return self._deref(node)
            case tree.StringData():
                return Place(self.m.string(node.data, node.type.align), "direct", node.type, node.type.align)
            case tree.CompoundLiteral():
                f.declare(node.var, None)
                self.f.values.initialise(f.slots[node.var], node.var.type, node.init)
                return Place(f.slots[node.var], "direct", node.type, node.type.align)
        return Place(self.f.values.aggregate(node), "direct", node.type, node.type.align)

    def _member(self, node: tree.MemberRef) -> Place:
        place = self.place(node.base)
        place.offset += node.member.offset
        record = node.base.type
        packed = isinstance(record, ct.RecordType) and (record.record.packed or node.member.packed)
        natural = 1 if packed else (node.member.type.align if node.member.type.complete else 1)
        if record.align < natural or place.align < natural:
            natural = max(min(place.align, natural), 1)
        low_bit = place.offset & -place.offset
        place.align = natural if not low_bit else max(min(natural, low_bit), 1)
        place.type = node.type
        place.volatile |= bool(node.type.quals & ct.VOLATILE)
        place.member = node.member if node.member.bits is not None else None
        if place.space == "registers":
            self.f.hook.replace_register(place, node)
        return place

    def _deref(self, node: tree.Deref) -> Place:
        origin = kind(self.f.origins.of(node.pointer)) if self.m.bpf else "memory"
        align = lvalue_alignment(node)
        if origin == "context" and (self.f.entry or self.f.model):
            record = node.type
            if isinstance(record, ct.RecordType) and record.record.tag == "pt_regs" and self.f.model in programs.ARGUMENT_MODELS:
                return Place(self.f.values.scalar(node.pointer), "registers", node.type, align)
            return Place(self.f.values.scalar(node.pointer), "direct", node.type, align, context=True)
        if in_packet(node.type) and self.m.bpf:
            return self._in_packet(node, origin)
        space = "direct" if isinstance(node.type, ct.FunctionType) else self.space(node.pointer)
        base = self.f.values.scalar(node.pointer)
        return Place(base, space, node.type, align, context=origin == "context")

    def _in_packet(self, node: tree.Deref, origin: str) -> Place:
        if origin not in OFFSETS:
            hint = "for memory use the kernel's struct (struct iphdr, struct tcphdr, ...)"
            if self.f.function.inlining == "never" and self.f.function.linkage != "static":
                hint = (
                    f"'{self.f.function.name}' is a global subprogram, to which the verifier gives nothing else; "
                    "pass the offset as a number or as a pointer to the packet's struct, or make the function static"
                )
            self.m.error(
                f"a pointer to '{node.type}' is an offset into the packet, made by cursor_advance(); this one is an address: "
                + hint, node, "packet",
            )  # fmt: skip
        return Place(self.f.values.scalar(node.pointer), "wire", node.type, 1)

    def address(self, place: Place) -> str:
        base = place.base
        if place.context and place.space == "direct" and self.m.bpf:
            # the verifier refuses a context pointer that was moved: keep offsets in the load itself
            name = self.m.intrinsic("llvm.preserve.static.offset", "ptr {}(ptr readnone)")
            base = self.f.value(f"call ptr {name}(ptr {base})")
        if not place.offset:
            return base
        return self.f.value(f"getelementptr inbounds i8, ptr {base}, i64 {place.offset}")

    def lvalue_address(self, node: tree.Node) -> str:
        if isinstance(node, tree.FunctionRef):
            return self.m.function_symbol(node.function)
        place = self.place(node)
        if place.context and place.space == "direct":
            place.context = False
        return self.address(place)

    # --- loads and stores

    def load(self, place: Place, node: tree.Node) -> str:
        """The value at a scalar place."""
        if place.space == "wire":
            return self.packets.load(place, node)
        if place.member is not None:
            return self._load_bits(place, node)
        t = llvm_type(place.type)
        if place.space != "direct":
            return self.probed(place, t, place.type.size, place.type.align)
        volatile = "volatile " if place.volatile else ""
        return self.f.value(f"load {volatile}{t}, ptr {self.address(place)}, align {place.align}")

    def probe(self, place: Place, size: int, align: int) -> str:
        """Read kernel or user memory through a helper; gives the slot. A failed read leaves zeros, as the helper does."""
        address = self.address(place)
        slot = self.f.temporary(size, align)
        self.read(place.space, f"ptr {slot}", f"i32 {size}", f"ptr {address}")
        return slot

    def probed(self, place: Place, type: str, size: int, align: int) -> str:
        """A number read through a helper: its slot lives no longer than this."""
        address = self.address(place)
        slot = self.f.alloca(size, align)
        self.f.lifetime(slot, "start")
        self.read(place.space, f"ptr {slot}", f"i32 {size}", f"ptr {address}")
        value = self.f.value(f"load {type}, ptr {slot}, align {align}")
        self.f.lifetime(slot, "end")
        return value

    def read(self, space: str, to: str, size: str, source: str) -> None:
        if space == "wire":
            self.packets.copy(to, size, source)
            return
        if space == "any" and not self.m.tracing:
            space = "kernel"
        self.f.helper(_PROBE[space], [to, size, source])

    def space(self, pointer: tree.Node) -> str:
        """Where a pointer leads: "direct", or the kind of read that it needs."""
        origin = kind(self.f.origins.of(pointer)) if self.m.bpf else "memory"
        return "direct" if origin in DIRECT else (origin or "kernel")

    def may_write(self, pointer: tree.Node, node: tree.Node) -> bool:
        """Report a pointer that BPF cannot write through."""
        space = self.space(pointer)
        if space != "direct":
            self._no_write(space, node)
        return space == "direct"

    def _no_write(self, space: str, node: tree.Node) -> None:
        where, instead = {
            "user": ("user memory", "bpf_probe_write_user()"), "wire": ("a packet by an offset", "bpf_skb_store_bytes()")
        }.get(space, ("kernel memory", "a map or a copy on the stack"))  # fmt: skip
        self.m.error(f"BPF cannot write through this pointer: it points to {where}; use {instead}", node, "write")

    def _unit(self, place: Place) -> tuple[int, int]:
        """(bits of the storage unit that a bit-field access uses, its alignment)."""
        m = place.member
        assert m is not None
        assert m.bits is not None
        unit = place.type.size * 8
        if m.packed or m.bit_offset + m.bits > unit or place.align < place.type.align:
            return -(-(m.bit_offset + m.bits) // 8) * 8, 1
        return unit, place.align

    def _load_bits(self, place: Place, node: tree.Node) -> str:
        m = place.member
        assert m is not None
        assert m.bits is not None
        unit, align = self._unit(place)
        if place.space != "direct":
            raw = self.probed(place, f"i{unit}", unit // 8, align)
        else:
            raw = self.f.value(f"load i{unit}, ptr {self.address(place)}, align {align}")
        return self._extract(raw, unit, m, place.type)

    def _extract(self, raw: str, unit: int, m: ct.Member, type: Type) -> str:
        assert m.bits is not None
        it = ct.integer(type)
        left = unit - m.bit_offset - m.bits
        if left:
            raw = self.f.value(f"shl i{unit} {raw}, {left}")
        if unit - m.bits:
            raw = self.f.value(f"{'ashr' if it.signed else 'lshr'} i{unit} {raw}, {unit - m.bits}")
        return self.f.resize(raw, unit, it.bits, it.signed)

    def store(self, place: Place, value: str, node: tree.Node) -> str:
        """Store a scalar; gives the value that the place has afterwards."""
        if place.space == "wire":
            return self.packets.store(place, value, node)
        if place.space != "direct":
            self._no_write(place.space, node)
            return value
        if place.member is not None:
            return self._store_bits(place, value)
        volatile = "volatile " if place.volatile else ""
        self.f.emit(f"store {volatile}{llvm_type(place.type)} {value}, ptr {self.address(place)}, align {place.align}")
        return value

    def _store_bits(self, place: Place, value: str) -> str:
        m = place.member
        assert m is not None
        assert m.bits is not None
        unit, align = self._unit(place)
        it = ct.integer(place.type)
        address = self.address(place)
        mask = ((1 << m.bits) - 1) << m.bit_offset
        new = self.f.resize(value, it.bits, unit, False)
        if m.bit_offset:
            new = self.f.value(f"shl i{unit} {new}, {m.bit_offset}")
        new = self.f.value(f"and i{unit} {new}, {mask}")
        old = self.f.value(f"load i{unit}, ptr {address}, align {align}")
        kept = self.f.value(f"and i{unit} {old}, {~mask & ((1 << unit) - 1)}")
        both = self.f.value(f"or i{unit} {kept}, {new}")
        self.f.emit(f"store i{unit} {both}, ptr {address}, align {align}")
        return self._extract(both, unit, m, place.type)


def lvalue_alignment(node: tree.Node) -> int:
    """What is known of an lvalue's address: a member is as aligned as its record and its offset are, an element as its array."""
    natural = max(node.type.align, 1) if node.type.complete else 1
    if isinstance(node, tree.MemberRef):
        offset = node.member.offset
        return min(lvalue_alignment(node.base), offset & -offset or 16)
    if isinstance(node, tree.Deref):
        pointer = node.pointer
        while isinstance(pointer, tree.PointerAdd):
            pointer = pointer.pointer
        if isinstance(pointer, tree.AddressOf) and isinstance(pointer.operand.type, ct.ArrayType):
            return min(natural, lvalue_alignment(pointer.operand))
    return natural
