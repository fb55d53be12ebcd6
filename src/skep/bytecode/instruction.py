"""Instructions as records: 8 bytes each, the 64-bit load 16. The encoding is RFC 9669, "BPF Instruction Set Architecture"."""

from __future__ import annotations

from struct import Struct, error

from skep.errors import ObjectError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Classes (low three bits of the code).
LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 = range(8)
# Source of the second operand (bit 3 of arithmetic and jumps): the immediate, or a register.
K, X = 0x00, 0x08
# Operations of ALU and ALU64.
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR, MOV, ARSH, END = range(0x00, 0xE0, 0x10)
# Operations of JMP and JMP32.
JA, JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, CALL, EXIT, JLT, JLE, JSLT, JSLE, JCOND = range(0x00, 0xF0, 0x10)
# Sizes and modes of loads and stores.
W, H, B, DW = 0x00, 0x08, 0x10, 0x18
IMM, ABS, IND, MEM, MEMSX, ATOMIC = 0x00, 0x20, 0x40, 0x60, 0x80, 0xC0
# Atomic operations (in `imm`), besides ADD, OR, AND and XOR.
FETCH, XCHG, CMPXCHG, LOAD_ACQUIRE, STORE_RELEASE = 0x01, 0xE1, 0xF1, 0x100, 0x110
# What `src` says about a 64-bit load, and about a call.
PSEUDO_MAP_FD, PSEUDO_MAP_VALUE, PSEUDO_BTF_ID, PSEUDO_FUNC, PSEUDO_MAP_INDEX, PSEUDO_MAP_INDEX_VALUE = range(1, 7)
PSEUDO_CALL, PSEUDO_KFUNC_CALL = 1, 2

LOAD_64 = LD | IMM | DW
FORMAT = Struct("<BBhi")


class Instruction:
    """One instruction; `imm` of a `wide` one (the 64-bit load) is the whole 64 bits, unsigned."""

    __slots__ = ("code", "dst", "imm", "off", "src")

    def __init__(self, code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> None:
        self.code = code
        self.dst = dst
        self.src = src
        self.off = off
        self.imm = imm

    @property
    def wide(self) -> bool:
        """Whether it takes two units of 8 bytes."""
        return self.code == LOAD_64

    def _key(self) -> tuple[int, ...]:
        return (self.code, self.dst, self.src, self.off, self.imm)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instruction) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Instruction({self.code:#04x}, dst={self.dst}, src={self.src}, off={self.off}, imm={self.imm})"


def decode(code: bytes) -> list[Instruction]:
    """The instructions of a program; raises ObjectError where one is cut off."""
    if len(code) % 8:
        raise ObjectError(f"bytecode of {len(code)} bytes is not a whole number of 8-byte instructions")
    decoded: list[Instruction] = []
    units = FORMAT.iter_unpack(code)
    for opcode, registers, off, low in units:
        imm = low
        if opcode == LOAD_64:
            second = next(units, None)
            if second is None or second[0]:
                raise ObjectError(f"bytecode: the 64-bit load after {len(decoded)} instructions has no second half")
            imm = (low & 0xFFFFFFFF) | (second[3] & 0xFFFFFFFF) << 32
        decoded.append(Instruction(opcode, registers & 15, registers >> 4, off, imm))
    return decoded


def encode(instructions: Iterable[Instruction]) -> bytes:
    """The bytes of a program; raises ObjectError for a field that does not fit."""
    parts = []
    for position, insn in enumerate(instructions):
        try:
            imm, registers = insn.imm, insn.dst | insn.src << 4
            if insn.code == LOAD_64:
                imm &= (1 << 64) - 1
                low, high = _signed(imm & 0xFFFFFFFF), _signed(imm >> 32)
                parts.append(FORMAT.pack(insn.code, registers, insn.off, low) + FORMAT.pack(0, 0, 0, high))
            else:
                parts.append(FORMAT.pack(insn.code, registers, insn.off, imm))
        except error as problem:
            raise ObjectError(f"instruction {position}: {insn!r} has a field that does not fit: {problem}") from problem
    return b"".join(parts)


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word
