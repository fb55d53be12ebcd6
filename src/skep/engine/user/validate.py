"""Bytecode to instructions by position, after every field was looked at; what is malformed is refused before it runs.

The rules are RFC 9669's ("reserved fields are zero"), and the kernel's where it knows more (jumps stay in their function).
"""

from __future__ import annotations

from skep.bytecode import instruction as isa
from skep.bytecode.instruction import Instruction
from skep.errors import InvalidInstruction

_LIMIT = 1_000_000  # instructions; the kernel's BPF_COMPLEXITY_LIMIT_INSNS
_DEPTH = 8  # functions that call each other; the kernel's MAX_CALL_FRAMES

_WIDTHS = (16, 32, 64)
_MOVE_EXTENSIONS = {isa.ALU: (0, 8, 16), isa.ALU64: (0, 8, 16, 32)}
_SIGNED_LOADS = (isa.B, isa.H, isa.W)
_ATOMIC_SIZES = (isa.W, isa.DW)
_FETCHES = frozenset(op | isa.FETCH for op in (isa.ADD, isa.OR, isa.AND, isa.XOR)) | {isa.XCHG}
_ATOMICS = frozenset((isa.ADD, isa.OR, isa.AND, isa.XOR, isa.CMPXCHG)) | _FETCHES
_ORDERED = frozenset((isa.LOAD_ACQUIRE, isa.STORE_RELEASE))
_CONDITIONS = frozenset(range(isa.JEQ, isa.JCOND, 0x10)) - {isa.CALL, isa.EXIT}
EXIT = isa.JMP | isa.EXIT
CALL, CALLX = isa.JMP | isa.CALL, isa.JMP | isa.CALL | isa.X
GOTO, GOTOL = isa.JMP | isa.JA, isa.JMP32 | isa.JA
MAY_GOTO = isa.JMP | isa.JCOND
_MAPS = (isa.PSEUDO_MAP_FD, isa.PSEUDO_MAP_VALUE, isa.PSEUDO_MAP_INDEX, isa.PSEUDO_MAP_INDEX_VALUE)
MAP_VALUES = (isa.PSEUDO_MAP_VALUE, isa.PSEUDO_MAP_INDEX_VALUE)


class Function:
    """One function: instructions from `start` up to `end`, and the functions that it calls or takes the address of."""

    __slots__ = ("calls", "end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.calls: set[int] = set()


class Code:
    """A valid program: `insns` by position (None: the second half of a 64-bit load), functions by their start."""

    __slots__ = ("depth", "functions", "insns", "order")

    def __init__(self, insns: list[Instruction | None], functions: dict[int, Function]) -> None:
        self.insns = insns
        self.functions = functions
        self.order, self.depth = _call_order(functions)


def validate(data: bytes) -> Code:
    """Look at every instruction; raises InvalidInstruction."""
    if not data or len(data) % 8:
        raise InvalidInstruction(f"a program of {len(data)} bytes: it is a whole number of 8-byte instructions, at least one")
    if len(data) > _LIMIT * 8:
        raise InvalidInstruction(f"a program of {len(data) // 8} instructions: at most {_LIMIT} are taken")
    insns = _decode(data)
    starts = {0}
    for at, insn in enumerate(insns):
        if insn is not None:
            _check(at, insn)
            target = call_target(at, insn)
            if target is not None:
                if not 0 <= target < len(insns) or insns[target] is None:
                    raise _refused(at, f"it calls instruction {target}, which is not there")
                starts.add(target)
    functions = _split(insns, sorted(starts))
    return Code(insns, functions)


def jump_target(at: int, insn: Instruction) -> int | None:
    """Where a jump goes when it is taken; None for other instructions."""
    if insn.code == GOTOL:
        return at + 1 + insn.imm
    if insn.code & 7 in (isa.JMP, isa.JMP32) and insn.code not in (CALL, CALLX, EXIT):
        return at + 1 + insn.off
    return None


def call_target(at: int, insn: Instruction) -> int | None:
    """The function of the program's own that an instruction calls or takes the address of."""
    if insn.code == CALL and insn.src == isa.PSEUDO_CALL:
        return at + 1 + insn.imm
    if insn.code == isa.LOAD_64 and insn.src == isa.PSEUDO_FUNC:
        low = insn.imm & 0xFFFFFFFF
        return at + 1 + (low - (1 << 32) if low >> 31 else low)
    return None


def successors(at: int, insn: Instruction) -> tuple[int, ...]:
    """The instructions that may come next."""
    if insn.code == EXIT:
        return ()
    target = jump_target(at, insn)
    following = at + (2 if insn.code == isa.LOAD_64 else 1)
    if target is None:
        return (following,)
    return (target,) if insn.code in (GOTO, GOTOL) else (following, target)


def _refused(at: int, what: str) -> InvalidInstruction:
    return InvalidInstruction(f"instruction {at}: {what}", insn=at)


def _decode(data: bytes) -> list[Instruction | None]:
    insns: list[Instruction | None] = []
    units = isa.FORMAT.iter_unpack(data)
    for code, registers, off, imm in units:
        dst, src = registers & 15, registers >> 4
        if dst > 10 or src > 10:
            raise _refused(len(insns), f"there is no register r{max(dst, src)}")
        insn = Instruction(code, dst, src, off, imm)
        insns.append(insn)
        if code == isa.LOAD_64:
            second = next(units, None)
            if second is None:
                raise _refused(len(insns) - 1, "the second half of the 64-bit load is missing")
            if second[0] or second[1] or second[2]:
                raise _refused(len(insns), "reserved fields of the second half of a 64-bit load are not zero")
            insn.imm = imm & 0xFFFFFFFF | (second[3] & 0xFFFFFFFF) << 32
            insns.append(None)
    return insns


def _check(at: int, insn: Instruction) -> None:
    problem = _CHECKS[insn.code & 7](insn)
    if problem:
        raise _refused(at, problem)


_RESERVED = "a reserved field is not zero"
_UNKNOWN = "no such instruction"
_FRAME = "r10 is the frame pointer, it cannot be written"


def _check_arithmetic(insn: Instruction) -> str:
    operation, by_register, group = insn.code & 0xF0, insn.code & isa.X, insn.code & 7
    if operation > isa.END:
        return f"{_UNKNOWN}: {insn.code:#04x}"
    if insn.dst == 10:
        return _FRAME
    if operation == isa.NEG:
        return _RESERVED if by_register or insn.src or insn.off or insn.imm else ""
    if operation == isa.END:
        if insn.src or insn.off or (group == isa.ALU64 and by_register):
            return _RESERVED
        return "" if insn.imm in _WIDTHS else f"a byte swap of {insn.imm} bits: 16, 32 and 64 exist"
    if insn.imm if by_register else insn.src:
        return _RESERVED
    if operation == isa.MOV and by_register:
        return "" if insn.off in _MOVE_EXTENSIONS[group] else f"a sign-extending move of {insn.off} bits does not exist"
    if operation in (isa.DIV, isa.MOD):
        return "" if insn.off in (0, 1) else _RESERVED
    return _RESERVED if insn.off else ""


def _check_jump(insn: Instruction) -> str:
    operation, by_register, group = insn.code & 0xF0, insn.code & isa.X, insn.code & 7
    if operation in _CONDITIONS:
        return _RESERVED if (insn.imm if by_register else insn.src) else ""
    if operation == isa.JA and not by_register:
        return _RESERVED if insn.dst or insn.src or (insn.imm if group == isa.JMP else insn.off) else ""
    if insn.code == CALL:
        if insn.dst or insn.off:
            return _RESERVED
        if insn.src == isa.PSEUDO_KFUNC_CALL:
            return "it calls a function of the kernel's; those do not exist in user space: use the kernel engine"
        return "" if insn.src in (0, isa.PSEUDO_CALL) else f"no such kind of call: {insn.src}"
    if insn.code == CALLX:
        return _RESERVED if insn.src or insn.off or insn.imm else ""
    if insn.code == EXIT:
        return _RESERVED if insn.dst or insn.src or insn.off or insn.imm else ""
    if insn.code == MAY_GOTO:
        return _RESERVED if insn.dst or insn.src or insn.imm else ""
    return f"{_UNKNOWN}: {insn.code:#04x}"


def _check_wide(insn: Instruction) -> str:
    if insn.code != isa.LOAD_64:
        return f"{_UNKNOWN}: {insn.code:#04x} (packet loads of classic BPF are not supported)"
    if insn.off:
        return _RESERVED
    if insn.dst == 10:
        return _FRAME
    if insn.src == 0 or insn.src in MAP_VALUES:
        return ""
    if insn.src in _MAPS or insn.src == isa.PSEUDO_FUNC:
        return _RESERVED if insn.imm >> 32 else ""
    if insn.src == isa.PSEUDO_BTF_ID:
        return "it takes the address of a variable of the kernel's; those do not exist in user space: use the kernel engine"
    return f"no such kind of 64-bit load: {insn.src}"


def _check_load(insn: Instruction) -> str:
    mode, size = insn.code & 0xE0, insn.code & 0x18
    if mode != isa.MEM and not (mode == isa.MEMSX and size in _SIGNED_LOADS):
        return f"{_UNKNOWN}: {insn.code:#04x}"
    if insn.imm:
        return _RESERVED
    return _FRAME if insn.dst == 10 else ""


def _check_store(insn: Instruction) -> str:
    if insn.code & 0xE0 != isa.MEM:
        return f"{_UNKNOWN}: {insn.code:#04x}"
    return _RESERVED if insn.src else ""


def _check_store_register(insn: Instruction) -> str:
    mode, size = insn.code & 0xE0, insn.code & 0x18
    if mode == isa.MEM:
        return _RESERVED if insn.imm else ""
    if mode != isa.ATOMIC:
        return f"{_UNKNOWN}: {insn.code:#04x}"
    if insn.imm in _ORDERED:
        return _FRAME if insn.imm == isa.LOAD_ACQUIRE and insn.dst == 10 else ""
    if insn.imm not in _ATOMICS:
        return f"no such atomic operation: {insn.imm:#x}"
    if size not in _ATOMIC_SIZES:
        return "atomic operations are of 4 or 8 bytes"
    return _FRAME if insn.imm in _FETCHES and insn.src == 10 else ""


_CHECKS = (
    _check_wide, _check_load, _check_store, _check_store_register,
    _check_arithmetic, _check_jump, _check_jump, _check_arithmetic,
)  # fmt: skip


def _split(insns: list[Instruction | None], starts: list[int]) -> dict[int, Function]:
    functions = {}
    for start, end in zip(starts, [*starts[1:], len(insns)], strict=True):
        function = functions[start] = Function(start, end)
        for at in range(start, end):
            insn = insns[at]
            if insn is None:
                continue
            target = call_target(at, insn)
            if target is not None:
                function.calls.add(target)
            for following in successors(at, insn):
                if not start <= following < end:
                    raise _refused(at, f"control goes on at {following}, outside of its function ({start} to {end - 1})")
                if insns[following] is None:
                    raise _refused(at, f"it jumps to {following}, into a 64-bit load")
    return functions


def _call_order(functions: dict[int, Function]) -> tuple[list[int], int]:
    """The functions that are reached from the first, callers before callees, and how deep calls go at most."""
    depth: dict[int, int] = {}
    active: set[int] = set()
    finished: list[int] = []
    work: list[tuple[int, bool]] = [(0, False)]
    while work:
        start, done = work.pop()
        if done:
            active.discard(start)
            depth[start] = 1 + max((depth[callee] for callee in functions[start].calls), default=0)
            finished.append(start)
        elif start in active:
            raise InvalidInstruction(f"the function at instruction {start} calls itself: recursion has no bound", insn=start)
        elif start not in depth:
            active.add(start)
            work.append((start, True))
            work += [(callee, False) for callee in functions[start].calls]
    if depth[0] > _DEPTH:
        raise InvalidInstruction(f"functions call each other {depth[0]} deep: at most {_DEPTH}", insn=0)
    return finished[::-1], depth[0]
