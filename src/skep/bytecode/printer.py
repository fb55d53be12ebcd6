"""Prints bytecode as the kernel's verifier log and bpftool do: `12: (bf) r6 = r1`."""

from __future__ import annotations

from skep.bytecode import instruction as isa
from skep.bytecode.instruction import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.bytecode.instruction import Instruction

_ALU = {
    isa.ADD: "+=", isa.SUB: "-=", isa.MUL: "*=", isa.DIV: "/=", isa.OR: "|=", isa.AND: "&=", isa.LSH: "<<=", isa.RSH: ">>=",
    isa.MOD: "%=", isa.XOR: "^=", isa.MOV: "=", isa.ARSH: "s>>=",
}  # fmt: skip
_JUMPS = {
    isa.JEQ: "==", isa.JGT: ">", isa.JGE: ">=", isa.JSET: "&", isa.JNE: "!=", isa.JSGT: "s>", isa.JSGE: "s>=", isa.JLT: "<",
    isa.JLE: "<=", isa.JSLT: "s<", isa.JSLE: "s<=",
}  # fmt: skip
_SIZES = {isa.W: "u32", isa.H: "u16", isa.B: "u8", isa.DW: "u64"}
_SIGNED_SIZES = {isa.W: "s32", isa.H: "s16", isa.B: "s8", isa.DW: "s64"}
_ATOMICS = {isa.ADD: ("add", "+="), isa.AND: ("and", "&="), isa.OR: ("or", "|="), isa.XOR: ("xor", "^=")}
_SIGNED_DIVISIONS = (isa.DIV, isa.MOD)
_SIGN_EXTENSIONS = (8, 16, 32)


def disassemble(code: bytes, symbols: Mapping[int, str] | None = None, helpers: Mapping[int, str] | None = None) -> list[str]:
    """One line per instruction, numbered in 8-byte units.

    `symbols` has the text for a 64-bit load or a call, by instruction number ("map[counts]", "pc+4#leaf"); `helpers`
    the names of helper functions by number.
    """
    lines = []
    position = 0
    for insn in decode(code):
        text = _text(insn, (symbols or {}).get(position), helpers or {})
        lines.append(f"{position:4}: ({insn.code:02x}) {text}")
        position += 2 if insn.wide else 1
    return lines


def _text(insn: Instruction, symbol: str | None, helpers: Mapping[int, str]) -> str:
    group = insn.code & 7
    if group in (isa.ALU, isa.ALU64):
        return _arithmetic(insn, "r" if group == isa.ALU64 else "w")
    if group in (isa.JMP, isa.JMP32):
        return _jump(insn, "r" if group == isa.JMP else "w", symbol, helpers)
    return _PRINTERS[group](insn, symbol)


def _unknown(insn: Instruction) -> str:
    return f"unknown instruction (dst={insn.dst} src={insn.src} off={insn.off} imm={insn.imm})"


def _arithmetic(insn: Instruction, letter: str) -> str:
    operation, is_register = insn.code & 0xF0, insn.code & isa.X
    target, source = f"{letter}{insn.dst}", f"{letter}{insn.src}"
    if operation == isa.NEG:
        return f"{target} = -{target}"
    if operation == isa.END:
        swap = "bswap" if letter == "r" else "be" if is_register else "le"
        return f"r{insn.dst} = {swap}{insn.imm} r{insn.dst}"
    sign = _ALU.get(operation)
    if sign is None:
        return _unknown(insn)
    if operation in _SIGNED_DIVISIONS and insn.off == 1:
        sign = "s" + sign
    if not is_register:
        return f"{target} {sign} {insn.imm}"
    if operation == isa.MOV and insn.off == 1 and letter == "r":
        return f"{target} = addr_space_cast({source}, {insn.imm >> 16}, {insn.imm & 0xFFFF})"
    cast = f"(s{insn.off})" if operation == isa.MOV and insn.off in _SIGN_EXTENSIONS else ""
    return f"{target} {sign} {cast}{source}"


def _jump(insn: Instruction, letter: str, symbol: str | None, helpers: Mapping[int, str]) -> str:
    operation = insn.code & 0xF0
    if operation == isa.CALL:
        return "call " + (symbol or _callee(insn, helpers))
    if operation == isa.EXIT:
        return "exit"
    if operation == isa.JA:
        if insn.code & isa.X:
            return f"gotox r{insn.dst}"
        return f"goto pc{insn.off:+}" if letter == "r" else f"gotol pc{insn.imm:+}"
    if operation == isa.JCOND:
        return f"may_goto pc{insn.off:+}"
    sign = _JUMPS.get(operation)
    if sign is None:
        return _unknown(insn)
    operand = f"{letter}{insn.src}" if insn.code & isa.X else f"{insn.imm & 0xFFFFFFFF:#x}"
    return f"if {letter}{insn.dst} {sign} {operand} goto pc{insn.off:+}"


def _callee(insn: Instruction, helpers: Mapping[int, str]) -> str:
    if insn.src == isa.PSEUDO_CALL:
        return f"pc{insn.imm:+}"
    if insn.src == isa.PSEUDO_KFUNC_CALL:
        return f"kernel-function#{insn.imm}"
    return f"{helpers.get(insn.imm, 'unknown')}#{insn.imm}"


def _load_immediate(insn: Instruction, symbol: str | None) -> str:
    mode, size = insn.code & 0xE0, _SIZES[insn.code & 0x18]
    if insn.wide:
        return f"r{insn.dst} = {symbol or hex(insn.imm)}"
    if mode == isa.ABS:
        return f"r0 = *({size} *)skb[{insn.imm}]"
    if mode == isa.IND:
        return f"r0 = *({size} *)skb[r{insn.src} + {insn.imm}]"
    return _unknown(insn)


def _load(insn: Instruction, _: str | None) -> str:
    sizes = {isa.MEM: _SIZES, isa.MEMSX: _SIGNED_SIZES}.get(insn.code & 0xE0)
    if sizes is None:
        return _unknown(insn)
    return f"r{insn.dst} = *({sizes[insn.code & 0x18]} *)(r{insn.src} {insn.off:+})"


def _store(insn: Instruction, _: str | None) -> str:
    if insn.code & 0xE0 != isa.MEM:
        return "nospec" if insn.code & 0xE0 == isa.ATOMIC else _unknown(insn)
    return f"*({_SIZES[insn.code & 0x18]} *)(r{insn.dst} {insn.off:+}) = {insn.imm}"


def _store_register(insn: Instruction, _: str | None) -> str:
    mode, size = insn.code & 0xE0, _SIZES[insn.code & 0x18]
    place, source = f"({size} *)(r{insn.dst} {insn.off:+})", f"r{insn.src}"
    if mode == isa.MEM:
        return f"*{place} = {source}"
    if mode != isa.ATOMIC:
        return _unknown(insn)
    width = "64" if size == "u64" else ""
    if insn.imm == isa.XCHG:
        return f"{source} = atomic{width}_xchg({place}, {source})"
    if insn.imm == isa.CMPXCHG:
        return f"r0 = atomic{width}_cmpxchg({place}, r0, {source})"
    if insn.imm == isa.LOAD_ACQUIRE:
        return f"r{insn.dst} = load_acquire(({size} *)({source} {insn.off:+}))"
    if insn.imm == isa.STORE_RELEASE:
        return f"store_release({place}, {source})"
    name, sign = _ATOMICS.get(insn.imm & ~isa.FETCH, ("", ""))
    if not name:
        return _unknown(insn)
    if insn.imm & isa.FETCH:
        return f"{source} = atomic{width}_fetch_{name}({place}, {source})"
    return f"lock *{place} {sign} {source}"


_PRINTERS = {isa.LD: _load_immediate, isa.LDX: _load, isa.ST: _store, isa.STX: _store_register}
