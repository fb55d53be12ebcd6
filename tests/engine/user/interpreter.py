"""A second opinion on what bytecode does: a plain interpreter that knows the context and the stack, and nothing else.

Slow and simple on purpose; the fuzzer compares the engine with it. Addresses are made up, so programs whose result depends on
one are not compared.
"""

from __future__ import annotations

import operator
import random
from typing import TYPE_CHECKING

from skep.bytecode import instruction as isa
from skep.engine.user.validate import CALL, CALLX, EXIT, MAY_GOTO, Code, jump_target

if TYPE_CHECKING:
    from collections.abc import Callable

M32, M64 = (1 << 32) - 1, (1 << 64) - 1
ENTRIES, VALUE_SIZE = 4, 24  # of the one map, an array
SIZES = {isa.W: 4, isa.H: 2, isa.B: 1, isa.DW: 8}


class Fault(Exception):
    """A bad access, at an instruction."""


class Unsure(Exception):
    """The result depends on an address, on the clock, or takes too long to find."""


def outcome(code: Code, memory: bytes, tries: int = 2) -> tuple[object, bytes] | None:
    """(result or the instruction of the fault, memory afterwards), where it does not depend on addresses; else None."""
    found = []
    source = random.Random(1)
    for number in range(tries):
        bits = 43 if number % 2 else 45  # the map lies before the context, or after it
        machine = Machine(
            code,
            memory,
            (source.getrandbits(bits - 1) | 1 << bits) & ~7,
            ((source.getrandbits(44) | (1 << 44, 3 << 45)[number % 2]) & ~63, (source.getrandbits(45) | 1 << 46) & ~15),
        )
        try:
            result: object = machine.run()
        except Fault as fault:
            result = f"fault at {fault}"
        except Unsure:
            return None
        found.append((result, bytes(machine.memory + machine.values)))
    return found[0] if all(other == found[0] for other in found) else None


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def divide(a: int, b: int) -> int:
    return -(abs(a) // abs(b)) if (a < 0) != (b < 0) else abs(a) // abs(b)


def arithmetic(operation: int, a: int, b: int, bits: int, is_signed: bool) -> int:
    mask = (1 << bits) - 1
    a, b = a & mask, b & mask
    if operation in (isa.DIV, isa.MOD):
        if b == 0:
            return 0 if operation == isa.DIV else a
        if is_signed:
            a, b = signed(a, bits), signed(b, bits)
        return (divide(a, b) if operation == isa.DIV else a - b * divide(a, b)) & mask
    if operation in (isa.LSH, isa.RSH, isa.ARSH):
        shift = b & bits - 1
        value = a << shift if operation == isa.LSH else (a if operation == isa.RSH else signed(a, bits)) >> shift
        return value & mask
    return _ARITHMETIC[operation](a, b) & mask


_ARITHMETIC: dict[int, Callable[[int, int], int]] = {
    isa.ADD: operator.add, isa.SUB: operator.sub, isa.MUL: operator.mul, isa.OR: operator.or_, isa.AND: operator.and_,
    isa.XOR: operator.xor, isa.MOV: lambda a, b: b, isa.NEG: lambda a, b: -a,
}  # fmt: skip
_TESTS: dict[int, Callable[[int, int], bool]] = {
    isa.JEQ: operator.eq, isa.JNE: operator.ne, isa.JGT: operator.gt, isa.JGE: operator.ge, isa.JLT: operator.lt,
    isa.JLE: operator.le, isa.JSGT: operator.gt, isa.JSGE: operator.ge, isa.JSLT: operator.lt, isa.JSLE: operator.le,
    isa.JSET: lambda a, b: bool(a & b),
}  # fmt: skip


def holds(operation: int, a: int, b: int, bits: int) -> bool:
    a, b = a & (1 << bits) - 1, b & (1 << bits) - 1
    if operation in (isa.JSGT, isa.JSGE, isa.JSLT, isa.JSLE):
        a, b = signed(a, bits), signed(b, bits)
    return _TESTS[operation](a, b)


class Machine:
    """One run."""

    def __init__(self, code: Code, memory: bytes, map: int, bases: tuple[int, int], steps: int = 4_000) -> None:
        self.map = map  # what a program has for the map; its values lie behind
        self.values = bytearray(range(ENTRIES * VALUE_SIZE))
        self.insns = code.insns
        self.context, self.top = bases[0], bases[1] + 512 * code.depth
        self.base = bases[1]
        self.low = self.top - 512  # of the frame of the function that runs
        self.stack = bytearray(512 * code.depth)
        self.memory = bytearray(memory)
        self.steps = steps

    def place(self, at: int, address: int, size: int) -> tuple[bytearray, int]:
        if self.context <= address and address + size <= self.context + len(self.memory):
            return self.memory, address - self.context
        if self.low <= address and address + size <= self.top:
            return self.stack, address - self.base
        distance = address - self.map - 64
        if distance >= 0 and distance + size <= len(self.values) and distance % VALUE_SIZE + size <= VALUE_SIZE:
            return self.values, distance
        raise Fault(at)

    def load(self, at: int, address: int, size: int) -> int:
        data, offset = self.place(at, address, size)
        return int.from_bytes(data[offset : offset + size], "little")

    def store(self, at: int, address: int, size: int, value: int) -> None:
        data, offset = self.place(at, address, size)
        data[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def run(self) -> int:
        r = [0, self.context if self.memory else 0, len(self.memory), 0, 0, 0, 0, 0, 0, 0, self.top]
        frames: list[tuple[int, list[int]]] = []
        at = 0
        rounds = [8 << 20]
        while True:
            self.steps -= 1
            if self.steps < 0:
                raise Unsure
            insn = self.insns[at]
            assert insn is not None
            group, operation = insn.code & 7, insn.code & 0xF0
            source = r[insn.src] if insn.code & isa.X else insn.imm
            following = at + (2 if insn.code == isa.LOAD_64 else 1)
            if group in (isa.ALU, isa.ALU64):
                self.alu(insn, r, operation, source, 64 if group == isa.ALU64 else 32)
            elif group == isa.LDX:
                size = SIZES[insn.code & 0x18]
                value = self.load(at, r[insn.src] + insn.off & M64, size)
                r[insn.dst] = (signed(value, size * 8) if insn.code & 0xE0 == isa.MEMSX else value) & M64
            elif group in (isa.ST, isa.STX) and insn.code & 0xE0 == isa.MEM:
                value = r[insn.src] if group == isa.STX else insn.imm
                self.store(at, r[insn.dst] + insn.off & M64, SIZES[insn.code & 0x18], value)
            elif group == isa.STX:
                self.atomic(at, insn, r)
            elif insn.code == isa.LOAD_64:
                r[insn.dst] = self.map if insn.src else insn.imm
            elif insn.code == EXIT:
                if not frames:
                    return r[0]
                at, kept = frames.pop()
                rounds.pop()
                r[6:11] = kept
                self.low = r[10] - 512
                r[1:6] = [0] * 5
                continue
            elif insn.code == CALL and insn.src == 1:
                frames.append((at + 1, r[6:11]))
                rounds.append(8 << 20)
                r = [0, *r[1:6], 0, 0, 0, 0, r[10] - 512]
                self.low = r[10] - 512
                base = self.low - self.base
                self.stack[base : base + 512] = bytes(512)
                following = at + 1 + insn.imm
            elif insn.code == CALL and insn.imm == 1 and r[1] == self.map:
                key = self.load(at, r[2], 4)
                r[:6] = [self.map + 64 + key * VALUE_SIZE if key < ENTRIES else 0, 0, 0, 0, 0, 0]
            elif insn.code in (CALL, CALLX):
                raise Unsure
            else:
                following = self.jump(at, insn, r, source, rounds)
            at = following

    def alu(self, insn: isa.Instruction, r: list[int], operation: int, source: int, bits: int) -> None:
        value = r[insn.dst]
        if operation == isa.END:
            swap = bits == 64 or insn.code & isa.X
            value &= (1 << insn.imm) - 1
            r[insn.dst] = int.from_bytes(value.to_bytes(insn.imm // 8, "little"), "big") if swap else value
        elif operation == isa.MOV and insn.off:
            r[insn.dst] = signed(source, insn.off) & (1 << bits) - 1
        else:
            r[insn.dst] = arithmetic(operation, value, source, bits, bool(insn.off))

    def atomic(self, at: int, insn: isa.Instruction, r: list[int]) -> None:
        size = SIZES[insn.code & 0x18]
        base = r[insn.src] if insn.imm == isa.LOAD_ACQUIRE else r[insn.dst]
        address = base + insn.off & M64
        old = self.load(at, address, size)
        if address % size:
            raise Fault(at)
        if insn.imm == isa.LOAD_ACQUIRE:
            r[insn.dst] = old
        elif insn.imm == isa.STORE_RELEASE:
            self.store(at, address, size, r[insn.src])
        elif insn.imm == isa.CMPXCHG:
            if old == r[0] & (1 << 8 * size) - 1:
                self.store(at, address, size, r[insn.src])
            r[0] = old
        else:
            new = r[insn.src] if insn.imm == isa.XCHG else arithmetic(insn.imm & ~isa.FETCH, old, r[insn.src], 8 * size, False)
            self.store(at, address, size, new)
            if insn.imm & isa.FETCH:
                r[insn.src] = old

    def jump(self, at: int, insn: isa.Instruction, r: list[int], source: int, rounds: list[int]) -> int:
        target = jump_target(at, insn)
        assert target is not None
        if insn.code == MAY_GOTO:
            rounds[-1] -= 1
            return target if rounds[-1] < 0 else at + 1
        if insn.code & 0xF0 == isa.JA:
            return target
        return target if holds(insn.code & 0xF0, r[insn.dst], source, 64 if insn.code & 7 == isa.JMP else 32) else at + 1
