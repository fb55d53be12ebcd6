"""Random programs that look like programs, and damaged ones of the conformance corpus: bytecode for the fuzzer."""

from __future__ import annotations

import random
from pathlib import Path

from skep.bytecode import Instruction, encode
from skep.bytecode import instruction as isa
from skep.bytecode.assembler import assemble
from skep.errors import ObjectError

HERE = Path(__file__).resolve().parent
ALU = [isa.ADD, isa.SUB, isa.MUL, isa.DIV, isa.OR, isa.AND, isa.LSH, isa.RSH, isa.MOD, isa.XOR, isa.MOV, isa.ARSH]
JUMPS = [isa.JEQ, isa.JGT, isa.JGE, isa.JSET, isa.JNE, isa.JSGT, isa.JSGE, isa.JLT, isa.JLE, isa.JSLT, isa.JSLE]
SIZES = [isa.B, isa.H, isa.W, isa.DW]
NUMBERS = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 100, 127, 255, 256, 511, 512, -1, -2, -8, 0x7FFFFFFF, -0x80000000, 65535]


class Generator:
    """Programs that look like programs: pointers made and moved, bounds tested, loops counted, values spilled."""

    def __init__(self, source: random.Random) -> None:
        self.r = source

    def program(self) -> list[Instruction]:
        r = self.r
        code = [Instruction(isa.ALU64 | isa.MOV | isa.X, 6, 1), Instruction(isa.ALU64 | isa.MOV | isa.X, 7, 2)]
        for _ in range(r.randint(2, 7)):
            code += self.piece(2)
        calls = r.random() < 0.25
        if calls:
            code += self.call()
        code += [Instruction(isa.ALU64 | isa.MOV | isa.X, 0, r.randint(0, 9))] if r.random() < 0.8 else []
        code.append(Instruction(isa.JMP | isa.EXIT))
        if calls:
            start = len(code)
            for _ in range(r.randint(1, 3)):
                code += self.piece(1)
            code.append(Instruction(isa.JMP | isa.EXIT))
            for at, insn in enumerate(code):
                if insn.code == isa.JMP | isa.CALL and insn.src == 1:
                    insn.imm = start - at - 1
        return code

    def piece(self, depth: int) -> list[Instruction]:
        if self.r.random() < 0.12:
            return self.lookup()
        makers = (
            [self.arithmetic] * 4 + [self.pointer] * 3 + [self.access] * 6 + [self.spill] * 2 + [self.indexed] * 3 + [self.atomic]
        )
        if depth:
            makers += [lambda: self.branch(depth - 1)] * 3 + [lambda: self.loop(depth - 1)] * 2
        return self.r.choice(makers)()

    def number(self) -> int:
        return self.r.choice(NUMBERS) if self.r.random() < 0.8 else self.r.randint(-0x80000000, 0x7FFFFFFF)

    def register(self) -> int:
        return self.r.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9))

    def arithmetic(self) -> list[Instruction]:
        r, group = self.r, self.r.choice((isa.ALU64, isa.ALU64, isa.ALU))
        operation = r.choice(ALU)
        off = r.choice((0, 1)) if operation in (isa.DIV, isa.MOD) else 0
        if r.random() < 0.5:
            return [Instruction(group | operation | isa.X, self.register(), self.register(), off)]
        return [Instruction(group | operation, self.register(), 0, off, self.number())]

    def pointer(self) -> list[Instruction]:
        r, register = self.r, self.r.randint(1, 5)
        if r.random() < 0.5:
            offset = r.choice((-8, -16, -24, -64, -512, -r.randint(1, 520)))
            return [
                Instruction(isa.ALU64 | isa.MOV | isa.X, register, 10),
                Instruction(isa.ALU64 | isa.ADD, register, imm=offset),
            ]
        return [
            Instruction(isa.ALU64 | isa.MOV | isa.X, register, 6),
            Instruction(isa.ALU64 | isa.ADD, register, imm=r.randint(0, 70)),
        ]

    def access(self) -> list[Instruction]:
        r, size, base = self.r, self.r.choice(SIZES), self.r.choice((1, 2, 3, 4, 5, 6, 6, 10, 10, 10))
        offset = r.choice((0, 0, 1, 4, 8, 16, -8, 56, 60, 63, -1))
        if base == 10 and r.random() < 0.98:  # what misses the frame is refused at once
            offset = r.choice((-8 * r.randint(1, 6), -8 * r.randint(1, 6), -8 * r.randint(1, 6), -r.randint(8, 512)))
        kind = r.random()
        if kind < 0.5:
            mode = isa.MEMSX if size != isa.DW and r.random() < 0.2 else isa.MEM
            return [Instruction(isa.LDX | mode | size, self.register(), base, offset)]
        if kind < 0.8:
            return [Instruction(isa.STX | isa.MEM | size, base, self.register(), offset)]
        return [Instruction(isa.ST | isa.MEM | size, base, 0, offset, self.number())]

    def spill(self) -> list[Instruction]:
        slot = -8 * self.r.randint(1, 4)
        store = Instruction(isa.STX | isa.MEM | isa.DW, 10, self.register(), slot)
        load = Instruction(isa.LDX | isa.MEM | isa.DW, self.register(), 10, slot)
        return self.r.choice(([store, load], [store], [load], [store, *self.access(), load]))

    def indexed(self) -> list[Instruction]:
        """A number with a bound, added to a pointer."""
        r = self.r
        index, base = r.randint(1, 5), r.randint(1, 5)
        code = [Instruction(isa.LDX | isa.MEM | r.choice(SIZES), index, 6, r.randint(0, 40))] if r.random() < 0.7 else []
        code += self.pointer()
        bound = r.choice((7, 15, 31, 63, 55, 64))
        if r.random() < 0.6:
            code.append(Instruction(r.choice((isa.ALU64, isa.ALU)) | isa.AND, index, imm=bound))
        else:
            group, jump = r.choice((isa.JMP, isa.JMP32)), r.choice((isa.JGT, isa.JGE, isa.JSGT))
            code.append(Instruction(group | jump, index, 0, 2, bound))
        code.append(Instruction(isa.ALU64 | isa.ADD | isa.X, base, index))
        code += [Instruction(isa.LDX | isa.MEM | r.choice(SIZES), 0, base, r.choice((0, 0, 1, -8)))]
        return code

    def lookup(self) -> list[Instruction]:
        """An element of the map, mostly tested, and accesses to it."""
        r, kept = self.r, self.r.choice((0, 6, 7, 8))
        code = [
            Instruction(isa.ST | isa.MEM | isa.W, 10, 0, -4, r.choice((0, 1, 2, 3, 3, 4, -1))),
            Instruction(isa.ALU64 | isa.MOV | isa.X, 2, 10),
            Instruction(isa.ALU64 | isa.ADD, 2, imm=-4),
            Instruction(isa.LOAD_64, 1, isa.PSEUDO_MAP_FD),
            Instruction(isa.JMP | isa.CALL, imm=1),
            Instruction(isa.ALU64 | isa.MOV | isa.X, kept, 0),
        ]
        inside = []
        for _ in range(r.randint(1, 3)):
            offset = r.choice((0, 8, 16, 20, 23, 24, -1))
            mode = r.choice((isa.LDX, isa.STX)) | isa.MEM | r.choice(SIZES)
            kind = r.random()
            if kind < 0.3:
                inside += [Instruction(isa.ALU64 | isa.ADD, kept, imm=r.choice((1, 4, 8, -8)))]
            elif kind < 0.5:
                inside += [
                    Instruction(isa.LDX | isa.MEM | isa.B, 3, kept, r.choice((0, 16))),
                    Instruction(isa.ALU64 | isa.AND, 3, imm=r.choice((7, 15, 16, 31))),
                    Instruction(isa.ALU64 | isa.ADD | isa.X, 3, kept),
                    Instruction(isa.LDX | isa.MEM | r.choice(SIZES), 4, 3, r.choice((0, 8, 9, 16))),
                ]
            else:
                inside += [Instruction(mode, kept if mode & 7 == isa.STX else 4, kept if mode & 7 == isa.LDX else 4, offset)]
        if r.random() < 0.85:
            tested = r.choice((kept, kept, kept, 0))
            code.append(Instruction(isa.JMP | r.choice((isa.JEQ, isa.JEQ, isa.JEQ, isa.JNE)), tested, 0, len(inside)))
        return code + inside

    def atomic(self) -> list[Instruction]:
        r = self.r
        operation = r.choice(
            (isa.ADD, isa.OR | isa.FETCH, isa.XCHG, isa.CMPXCHG, isa.AND, isa.XOR | isa.FETCH, isa.ADD | isa.FETCH)
        )
        size, base = r.choice((isa.W, isa.DW)), r.choice((10, 10, 6, 3))
        offset = r.choice((-8, -16, -8, -24) if base == 10 and r.random() < 0.95 else (-8, -16, -4, 0, 8))
        return [Instruction(isa.STX | isa.ATOMIC | size, base, self.register(), offset, operation)]

    def body(self, depth: int) -> list[Instruction]:
        code = []
        for _ in range(self.r.randint(1, 3)):
            code += self.piece(depth)
        return code

    def branch(self, depth: int) -> list[Instruction]:
        r, inside = self.r, self.body(depth)
        group, jump = r.choice((isa.JMP, isa.JMP, isa.JMP32)), r.choice(JUMPS)
        if r.random() < 0.3:
            return [Instruction(group | jump | isa.X, self.register(), self.register(), len(inside)), *inside]
        return [Instruction(group | jump, self.register(), 0, len(inside), self.number()), *inside]

    def loop(self, depth: int) -> list[Instruction]:
        """A counter (in r8 or r9) that goes up or down, by odd and even steps, tested before or after the body."""
        r, counter = self.r, self.r.choice((8, 9))
        inside = [insn for insn in self.body(depth) if insn.dst != counter or r.random() < 0.1]
        group, wide = (isa.ALU64, isa.JMP) if r.random() < 0.6 else (isa.ALU, isa.JMP32)
        step, rounds = r.choice((1, 1, 2, 3, 4, 8)), r.randint(1, 70)
        first, last = (0, rounds * step) if r.random() < 0.6 else (rounds * step, 0)
        up = first < last
        if r.random() < 0.4:  # an index into memory moves along
            mode, offset = r.choice((isa.LDX, isa.STX)) | isa.MEM | r.choice(SIZES), r.choice((0, 0, -64, -512))
            inside += [
                Instruction(isa.ALU64 | isa.MOV | isa.X, 3, r.choice((6, 10))),
                Instruction(isa.ALU64 | isa.ADD | isa.X, 3, counter),
                Instruction(mode, 3, 3, offset),
            ]
        if r.random() < 0.3:  # a pointer does
            inside += [Instruction(isa.ALU64 | isa.ADD, 5, imm=r.choice((1, 4, 8, -1)))]
        jump = r.choice((isa.JNE, isa.JLT if up else isa.JGT, isa.JLE if up else isa.JGE, isa.JSLT if up else isa.JSGT))
        code = [Instruction(group | isa.MOV, counter, imm=first), *inside]
        code.append(Instruction(group | isa.ADD, counter, imm=step if up else -step))
        back = -len(inside) - 2
        if r.random() < 0.2:
            return [Instruction(isa.ALU64 | isa.MOV, 4, imm=last), *code, Instruction(wide | jump | isa.X, counter, 4, back)]
        return [*code, Instruction(wide | jump, counter, 0, back, last)]

    def call(self) -> list[Instruction]:
        return [Instruction(isa.JMP | isa.CALL, 0, 1)]


def corpus() -> list[bytes]:
    found = []
    for path in sorted((HERE.parents[1] / "conformance" / "cases").glob("*.data")):
        text = path.read_text().partition("-- asm\n")[2].partition("\n-- ")[0]
        try:
            found.append(assemble(text))
        except ObjectError:
            continue
    return found


def mutated(data: bytes, r: random.Random) -> bytes:
    """A few fields changed, instructions dropped, doubled or moved."""
    units = [data[at : at + 8] for at in range(0, len(data), 8)]
    for _ in range(r.randint(1, 3)):
        at = r.randrange(len(units))
        kind = r.random()
        if kind < 0.2:
            units.insert(at, r.choice(units))
        elif kind < 0.3 and len(units) > 1:
            del units[at]
        else:
            unit = bytearray(units[at])
            place = r.choice((0, 1, 2, 3, 4, 4, 5, 7))
            unit[place] = r.choice((unit[place] ^ 1 << r.randrange(8), unit[place] + 1 & 255, r.randrange(256)))
            if place == 1 and unit[1] & 15 > 10:
                unit[1] &= 0x77
            units[at] = bytes(unit)
    return b"".join(units)


def make(r: random.Random, known: list[bytes]) -> tuple[bytes, bytes]:
    """(bytecode, memory)."""
    memory = r.randbytes(r.choice((64, 64, 64, 72, 8, 0, 100)))
    kind = r.random()
    if kind < 0.02:
        return r.randbytes(8 * r.randint(1, 8)), memory
    if kind < 0.2:
        return mutated(r.choice(known), r), memory
    try:
        data = encode(Generator(r).program())
    except ObjectError:
        return b"", memory
    return (mutated(data, r) if kind < 0.45 else data), memory
