"""Text to bytecode, in the notation of BPF conformance suites: `add32 %r1, 4`, `ldxw %r0, [%r1+8]`, `jeq %r0, 0, out`.

One instruction a line; `#` begins a comment; `name:` is a label. A jump goes to a label or over a count of units (`+3`).
"""

from __future__ import annotations

from skep.bytecode import instruction as isa
from skep.bytecode.instruction import Instruction, encode
from skep.errors import ObjectError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[["_Assembler", int, list[str]], Instruction]

_BINARY = {
    "add": isa.ADD, "sub": isa.SUB, "mul": isa.MUL, "div": isa.DIV, "or": isa.OR, "and": isa.AND, "lsh": isa.LSH, "rsh": isa.RSH,
    "mod": isa.MOD, "xor": isa.XOR, "mov": isa.MOV, "arsh": isa.ARSH,
}  # fmt: skip
_JUMPS = {
    "jeq": isa.JEQ, "jgt": isa.JGT, "jge": isa.JGE, "jset": isa.JSET, "jne": isa.JNE, "jsgt": isa.JSGT, "jsge": isa.JSGE,
    "jlt": isa.JLT, "jle": isa.JLE, "jslt": isa.JSLT, "jsle": isa.JSLE,
}  # fmt: skip
_SIZES = {"b": isa.B, "h": isa.H, "w": isa.W, "dw": isa.DW}
_ATOMICS = {"add": isa.ADD, "or": isa.OR, "and": isa.AND, "xor": isa.XOR}
_OPERANDS = {"xchg": isa.XCHG, "cmpxchg": isa.CMPXCHG, **_ATOMICS, **{f"fetch_{n}": op | isa.FETCH for n, op in _ATOMICS.items()}}


def assemble(text: str) -> bytes:
    """Bytecode of a text; raises ObjectError with the line that is wrong. `exit` as a target is the first exit instruction."""
    assembler = _Assembler()
    for number, line in enumerate(text.splitlines(), 1):
        assembler.line(number, line)
    return assembler.finish()


class _Assembler:
    __slots__ = ("_at", "_insns", "_labels", "_lines", "_targets")

    def __init__(self) -> None:
        self._insns: list[Instruction] = []
        self._lines: list[int] = []
        self._labels: dict[str, int] = {}
        self._targets: list[tuple[int, int, str, str]] = []  # (instruction, its position, field, label)
        self._at = 0

    def line(self, number: int, line: str) -> None:
        words = line.partition("#")[0].strip()
        while ":" in words:
            label, _, words = words.partition(":")
            self._labels[label.strip()] = self._at
            words = words.strip()
        if not words:
            return
        name, _, rest = words.partition(" ")
        operands = [part.strip() for part in rest.split(",")] if rest.strip() else []
        if name == "lock":
            name, _, rest = rest.strip().partition(" ")
            name, operands = f"lock {name}", [part.strip() for part in rest.split(",")]
        handler = _HANDLERS.get(name)
        if handler is None:
            raise ObjectError(f"line {number}: there is no instruction {name!r}")
        try:
            insn = handler(self, len(self._insns), operands)
        except (ValueError, IndexError) as error:
            raise ObjectError(f"line {number}: {words!r} cannot be read: {error}") from error
        if name == "exit":
            self._labels.setdefault("exit", self._at)
        self._insns.append(insn)
        self._at += 2 if insn.wide else 1

    def finish(self) -> bytes:
        for index, position, field, label in self._targets:
            if label not in self._labels:
                raise ObjectError(f"there is no label {label!r}")
            setattr(self._insns[index], field, self._labels[label] - position - 1)
        return encode(self._insns)

    def target(self, index: int, field: str, word: str) -> int:
        """The distance of a jump; that of a label is filled in at the end."""
        if word[0] in "+-":
            return int(word, 0)
        self._targets.append((index, self._at, field, word))
        return 0


def _register(word: str) -> int:
    if not word.startswith("%r") or not 0 <= int(word[2:]) <= 15:
        raise ValueError(f"{word!r} is no register")
    return int(word[2:])


def _number(word: str) -> int:
    """An immediate of 32 bits: 0xffffffff is -1."""
    value = int(word, 0)
    if not -(1 << 31) <= value < 1 << 32:
        raise ValueError(f"{word} does not fit into 32 bits")
    return value - (1 << 32) if value >> 31 == 1 else value


def _memory(word: str) -> tuple[int, int]:
    """`[%r1+8]` as (register, offset)."""
    if word[0] != "[" or word[-1] != "]":
        raise ValueError(f"{word!r} is no memory operand")
    inner = word[1:-1].replace(" ", "")
    at = max(inner.find("+"), inner.find("-"))
    return (_register(inner), 0) if at < 0 else (_register(inner[:at]), int(inner[at:], 0))


def _arithmetic(code: int, off: int = 0) -> Handler:
    def build(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
        target, source = operands
        if source.startswith("%"):
            return Instruction(code | isa.X, _register(target), _register(source), off)
        return Instruction(code, _register(target), 0, off, _number(source))

    return build


def _one_register(code: int, imm: int = 0) -> Handler:
    def build(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
        (target,) = operands
        return Instruction(code, _register(target), imm=imm)

    return build


def _extend(code: int, bits: int) -> Handler:
    def build(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
        target, source = operands
        return Instruction(code | isa.X, _register(target), _register(source), bits)

    return build


def _load(code: int) -> Handler:
    def build(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
        target, place = operands
        base, off = _memory(place)
        return Instruction(code, _register(target), base, off)

    return build


def _store(code: int) -> Handler:
    def build(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
        place, source = operands
        base, off = _memory(place)
        if code & 7 == isa.ST:
            return Instruction(code, base, 0, off, _number(source))
        return Instruction(code, base, _register(source), off)

    return build


def _atomic(code: int, operation: int) -> Handler:
    def build(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
        place, source = operands
        base, off = _memory(place)
        return Instruction(code, base, _register(source), off, operation)

    return build


def _jump(code: int) -> Handler:
    def build(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
        left, right, target = operands
        off = assembler.target(index, "off", target)
        if right.startswith("%"):
            return Instruction(code | isa.X, _register(left), _register(right), off)
        return Instruction(code, _register(left), 0, off, _number(right))

    return build


def _goto(code: int, field: str) -> Handler:
    def build(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
        (target,) = operands
        distance = assembler.target(index, field, target)
        return Instruction(code, off=distance) if field == "off" else Instruction(code, imm=distance)

    return build


def _call(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
    (target,) = operands
    kind, _, label = target.partition(" ")
    if kind == "local":
        return Instruction(isa.JMP | isa.CALL, 0, isa.PSEUDO_CALL, 0, assembler.target(index, "imm", label.strip()))
    if kind == "kernel":
        return Instruction(isa.JMP | isa.CALL, 0, isa.PSEUDO_KFUNC_CALL, imm=int(label, 0))
    return Instruction(isa.JMP | isa.CALL, imm=int(target, 0))


def _wide(source: int) -> Handler:
    def build(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
        target, value = operands
        return Instruction(isa.LOAD_64, _register(target), source, 0, int(value, 0) & (1 << 64) - 1)

    return build


def _function(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
    target, label = operands
    return Instruction(isa.LOAD_64, _register(target), isa.PSEUDO_FUNC, 0, assembler.target(index, "imm", label))


def _exit(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
    return Instruction(isa.JMP | isa.EXIT)


def _handlers() -> dict[str, Handler]:
    table: dict[str, Handler] = {
        "exit": _exit, "call": _call, "callx": _one_register(isa.JMP | isa.CALL | isa.X), "ja": _goto(isa.JMP | isa.JA, "off"),
        "ja32": _goto(isa.JMP32 | isa.JA, "imm"), "may_goto": _goto(isa.JMP | isa.JCOND, "off"), "lddw": _wide(0),
        "ldmap": _wide(isa.PSEUDO_MAP_FD), "ldmapvalue": _wide(isa.PSEUDO_MAP_VALUE), "ldfunc": _function,
        "neg": _one_register(isa.ALU64 | isa.NEG), "neg32": _one_register(isa.ALU | isa.NEG),
    }  # fmt: skip
    for suffix, group in (("", isa.ALU64), ("64", isa.ALU64), ("32", isa.ALU)):
        table.update({name + suffix: _arithmetic(group | op) for name, op in _BINARY.items()})
        table.update({f"s{name}{suffix}": _arithmetic(group | _BINARY[name], 1) for name in ("div", "mod")})
    for suffix, group in (("", isa.JMP), ("32", isa.JMP32)):
        table.update({name + suffix: _jump(group | op) for name, op in _JUMPS.items()})
    for bits in (16, 32, 64):
        table[f"le{bits}"] = _one_register(isa.ALU | isa.END, bits)
        table[f"be{bits}"] = _one_register(isa.ALU | isa.END | isa.X, bits)
        table[f"swap{bits}"] = _one_register(isa.ALU64 | isa.END, bits)
    for bits in (8, 16, 32):
        table[f"movsx{bits}64"] = _extend(isa.ALU64 | isa.MOV, bits)
    for bits in (8, 16):
        table[f"movsx{bits}32"] = _extend(isa.ALU | isa.MOV, bits)
    for name, size in _SIZES.items():
        table[f"ldx{name}"] = _load(isa.LDX | isa.MEM | size)
        table[f"ldxs{name}"] = _load(isa.LDX | isa.MEMSX | size)
        table[f"st{name}"] = _store(isa.ST | isa.MEM | size)
        table[f"stx{name}"] = _store(isa.STX | isa.MEM | size)
        table[f"ldacq{name}"] = _acquire(isa.STX | isa.ATOMIC | size)
        table[f"strel{name}"] = _atomic(isa.STX | isa.ATOMIC | size, isa.STORE_RELEASE)
    for suffix, size in (("", isa.DW), ("32", isa.W)):
        table.update({f"lock {name}{suffix}": _atomic(isa.STX | isa.ATOMIC | size, op) for name, op in _OPERANDS.items()})
    return table


def _acquire(code: int) -> Handler:
    def build(assembler: _Assembler, index: int, operands: list[str]) -> Instruction:
        target, place = operands
        base, off = _memory(place)
        return Instruction(code, _register(target), base, off, isa.LOAD_ACQUIRE)

    return build


_HANDLERS = _handlers()
