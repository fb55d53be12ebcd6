"""Copies and fills of bytes in LLVM IR: what LLVM expands goes to it as an intrinsic, larger ones become loops on BPF.

BPF has no memcpy to call: LLVM expands up to 128 loads and stores, and a memmove into as many registers as it has bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skep.compiler.function_emitter import FunctionEmitter

_EXPANDED = 64  # stores of a copy or fill that LLVM gets to expand
_MOVED = 8  # the same of a memmove, which loads everything before it stores


class Blocks:
    """`copy`, `move`, `fill`: addresses and sizes are LLVM operands (a size is a number on BPF), with the known alignments."""

    def __init__(self, function: FunctionEmitter) -> None:
        self.f = function
        self.m = function.m

    def copy(self, to: str, source: str, size: str, to_align: int, source_align: int) -> None:
        """Between objects that do not overlap."""
        if to == source:
            return
        to_align, source_align = self._known(to, to_align), self._known(source, source_align)
        unit = self._unit(to_align, source_align)
        if self._expands(size, unit, _EXPANDED):
            self._intrinsic("memcpy", to, source, size, to_align, source_align)
        else:
            self._loop(to, source, int(size), unit)

    def move(self, to: str, source: str, size: str, to_align: int, source_align: int) -> None:
        """Between places that may overlap."""
        f = self.f
        to_align, source_align = self._known(to, to_align), self._known(source, source_align)
        unit = self._unit(to_align, source_align)
        if self._expands(size, unit, _MOVED):
            self._intrinsic("memmove", to, source, size, to_align, source_align)
            return
        down, up, end = f.fresh("movedown"), f.fresh("moveup"), f.fresh("moved")
        f.branch(f.value(f"icmp ult ptr {source}, {to}"), down, up)
        f.label(down)
        self._loop(to, source, int(size), unit, backward=True)
        f.jump(end)
        f.label(up)
        self._loop(to, source, int(size), unit)
        f.label(end)

    def fill(self, to: str, byte: str, size: str, align: int) -> None:
        """`byte` is an i8."""
        align = self._known(to, align)
        unit = self._unit(align, align)
        if self._expands(size, unit, _EXPANDED):
            name = self.m.intrinsic("llvm.memset.p0.i64", "void {}(ptr, i8, i64, i1)")
            self.f.emit(f"call void {name}(ptr align {max(align, 1)} {to}, i8 {byte}, i64 {size}, i1 false)")
        else:
            self._loop(to, "", int(size), unit, byte=byte)

    def _intrinsic(self, name: str, to: str, source: str, size: str, to_align: int, source_align: int) -> None:
        symbol = self.m.intrinsic(f"llvm.{name}.p0.p0.i64", "void {}(ptr, ptr, i64, i1)")
        target, origin = f"ptr align {max(to_align, 1)} {to}", f"ptr align {max(source_align, 1)} {source}"
        self.f.emit(f"call void {symbol}({target}, {origin}, i64 {size}, i1 false)")

    def _known(self, address: str, align: int) -> int:
        """A slot may be aligned better than its type."""
        return max(align, self.f.alignments.get(address, 1))

    @staticmethod
    def _unit(a: int, b: int) -> int:
        return max(min(a, b, 8), 1)

    def _expands(self, size: str, unit: int, limit: int) -> bool:
        return not self.m.bpf or int(size) <= unit * limit

    def _loop(self, to: str, source: str, size: int, unit: int, *, backward: bool = False, byte: str = "") -> None:
        """Words of `unit` bytes, then the bytes that remain (before them when it goes backward)."""
        whole = size - size % unit
        rest = range(whole, size)
        if backward:
            for at in reversed(rest):
                self._word(to, source, str(at), 1, byte)
        f = self.f
        index = f.alloca(8, 8)
        top, body, end = f.fresh("block"), f.fresh("blockbody"), f.fresh("blockend")
        f.emit(f"store i64 {whole if backward else 0}, ptr {index}, align 8")
        f.label(top)
        at_now = f.value(f"load i64, ptr {index}, align 8")
        f.branch(f.value(f"icmp {'ne' if backward else 'ult'} i64 {at_now}, {0 if backward else whole}"), body, end)
        f.label(body)
        following = f.value(f"{'sub' if backward else 'add'} i64 {at_now}, {unit}")
        self._word(to, source, following if backward else at_now, unit, byte)
        f.emit(f"store i64 {following}, ptr {index}, align 8")
        f.jump(top)
        f.label(end)
        if not backward:
            for at in rest:
                self._word(to, source, str(at), 1, byte)

    def _word(self, to: str, source: str, at: str, unit: int, byte: str) -> None:
        f = self.f
        type = f"i{unit * 8}"
        if source:
            word = f.value(f"load {type}, ptr {f.value(f'getelementptr inbounds i8, ptr {source}, i64 {at}')}, align {unit}")
        else:
            word = byte
            if unit > 1:
                wide = f.value(f"zext i8 {byte} to {type}")
                word = f.value(f"mul {type} {wide}, {int.from_bytes(bytes([1] * unit), 'little')}")
        f.emit(f"store {type} {word}, ptr {f.value(f'getelementptr inbounds i8, ptr {to}, i64 {at}')}, align {unit}")
