"""Loops with a bound: registers that change by the same amount each round, and how often the loop's head can run.

A round is one way from the head to a jump back. What is found holds exactly, so the analysis need not guess and widen.
"""

from __future__ import annotations

from math import gcd

from skep.bytecode import instruction as isa
from skep.engine.user.flow import defines_of
from skep.engine.user.validate import jump_target
from skep.engine.user.values import CTX, FAR, M32, M64, PACKET, SCALAR, STACK, Value, constant, moved, opposite, scalar, swapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.bytecode.instruction import Instruction
    from skep.engine.user.flow import Flow, Loop
    from skep.engine.user.validate import Code

    Symbol = tuple[int, int]  # a register as it was at the loop's head, and what was added since
    Symbols = list[Symbol | None]

_MANY = 1 << 40
_SIGNED = (isa.JSGT, isa.JSGE, isa.JSLT, isa.JSLE)


class Test:
    """A condition that every round passes and that may leave the loop: `left operation right` goes on."""

    __slots__ = ("left", "mask", "operation", "right")

    def __init__(self, left: Symbol, operation: int, right: Symbol | int, mask: int) -> None:
        self.left = left
        self.operation = operation
        self.right = right
        self.mask = mask


class Induction:
    """What a loop does to registers: `steps` a round (0: nothing), `narrow` those touched by 32-bit arithmetic.

    `lowest`: the offset from which on pointers into the context compare as their offsets do.
    """

    __slots__ = ("lowest", "narrow", "steps", "tests")

    def __init__(self, code: Code, flow: Flow, loop: Loop, lowest: int) -> None:
        self.lowest = lowest
        self.narrow: set[int] = set()
        self.steps: dict[int, int] = {}
        self.tests: list[Test] = []
        ends = self._walk(code, flow, loop)
        latches = [ends[at] for at in loop.latches]
        for register in range(11):
            found = {symbols[register] for symbols in latches}
            symbol = found.pop()
            if not found and symbol is not None and symbol[0] == register:
                self.steps[register] = symbol[1]
        for at in loop.body:
            if all(flow.dominates(at, latch) for latch in loop.latches):
                self._test(code, flow, loop, at, ends[at])

    def _walk(self, code: Code, flow: Flow, loop: Loop) -> dict[int, Symbols]:
        ends: dict[int, Symbols] = {}
        lost = {inner.head: inner.defined for inner in _inside(loop)}
        for at in sorted(loop.body, key=flow.rank.__getitem__):
            if at == loop.head:
                symbols: Symbols = [(register, 0) for register in range(11)]
            else:
                before = [ends[other] for other in flow.blocks[at].before if other in ends]
                symbols = [found[0] if len(set(found)) == 1 else None for found in zip(*before, strict=True)]
                for register in range(11):
                    if lost.get(at, 0) >> register & 1:
                        symbols[register] = None
            for position in flow.blocks[at].positions:
                insn = code.insns[position]
                assert insn is not None
                self._step(insn, symbols)
            ends[at] = symbols
        return ends

    def _step(self, insn: Instruction, symbols: Symbols) -> None:
        group, operation, by_register = insn.code & 7, insn.code & 0xF0, insn.code & isa.X
        if group in (isa.ALU, isa.ALU64):
            symbol = symbols[insn.dst]
            if operation == isa.MOV and by_register and not insn.off:
                symbol = symbols[insn.src]
            elif operation == isa.ADD and not by_register and symbol is not None:
                symbol = (symbol[0], symbol[1] + insn.imm)
            else:
                symbol = None
            if group == isa.ALU and symbol is not None:
                self.narrow.add(symbol[0])
            symbols[insn.dst] = symbol
            return
        defined = defines_of(insn)
        for register in range(11):
            if defined >> register & 1:
                symbols[register] = None

    def _test(self, code: Code, flow: Flow, loop: Loop, at: int, symbols: Symbols) -> None:
        block = flow.blocks[at]
        inside = [following in loop.body for following in block.next]
        if len(block.next) != 2 or all(inside):
            return
        position = block.positions[-1]
        insn = code.insns[position]
        assert insn is not None
        operation: int | None = insn.code & 0xF0
        left = symbols[insn.dst]
        right = symbols[insn.src] if insn.code & isa.X else insn.imm
        if operation in (isa.JSET, isa.JCOND) or left is None or right is None:
            return
        target = jump_target(position, insn)
        if target not in loop.body:
            operation = opposite(insn.code & 0xF0)
        assert operation is not None
        mask = M64 if insn.code & 7 == isa.JMP else M32
        self.tests.append(Test(left, operation, right, mask))
        if not isinstance(right, int):
            self.tests.append(Test(right, swapped(operation), left, mask))

    def trips(self, registers: list[Value]) -> int | None:
        """How often the head runs at most, when it is entered with these values; None: no bound was found."""
        found = [rounds for test in self.tests if (rounds := self._rounds(test, registers)) is not None]
        return min(found) + 1 if found and min(found) < _MANY else None

    def _rounds(self, test: Test, registers: list[Value]) -> int | None:
        """How many rounds at most come to the head again, as far as one test says."""
        register, added = test.left
        step, start = self.steps.get(register), registers[register]
        if not step:
            return None
        if isinstance(test.right, int):
            bound = constant(test.right & test.mask)
        else:
            if self.steps.get(test.right[0]) != 0:
                return None
            bound = registers[test.right[0]]
            if test.right[0] in self.narrow and not (bound.kind == SCALAR and bound.hi <= M32):
                return None
            bound = bound._replace(lo=bound.lo + test.right[1], hi=bound.hi + test.right[1])
        top = self._top(test, start, bound)
        if top is None:
            return None
        lo, hi = start.lo + added, start.hi + added
        mirrored = step < 0
        if mirrored:  # mirror it: the same loop counts up to the same bound
            lo, hi, step = -hi, -lo, -step
            bound = bound._replace(lo=-bound.hi, hi=-bound.lo)
            operation = swapped(test.operation)
            floor, top = -top, 0
        else:
            operation, floor = test.operation, 0
        if start.kind != SCALAR:
            lowest = self.lowest if start.kind == CTX else -FAR
            floor, top = (lowest, FAR) if not mirrored else (-FAR, -lowest)
        if operation == isa.JNE:
            even = (bound.lo - lo) % step == 0 and start.step % step == 0 and bound.step % step == 0
            return (bound.hi - lo) // step if even and bound.lo >= hi else None
        last = {isa.JLT: 0, isa.JLE: 1, isa.JSLT: 0, isa.JSLE: 1}.get(operation)
        if last is None or lo < floor or bound.hi + last + step - 1 > top:
            return None
        return max(0, -(-(bound.hi + last - lo) // step))

    def _top(self, test: Test, start: Value, bound: Value) -> int | None:
        """The largest number that the comparison takes for what it is; None where the operands do not compare as numbers."""
        if start.kind == SCALAR:
            top = test.mask >> 1 if test.operation in _SIGNED else test.mask
            if test.left[0] in self.narrow:
                top = min(top, M32)
            fits = bound.kind == SCALAR and bound.lo >= 0 and bound.hi <= top and start.hi + max(test.left[1], 0) <= top
            return top if fits and start.lo + test.left[1] >= 0 else None
        same = start.kind == bound.kind and start.ref == bound.ref
        if not same or test.mask != M64 or test.left[0] in self.narrow:
            return None
        if start.kind not in (CTX, STACK, PACKET) and not (start.id and start.id == bound.id):
            return None
        near = start.lo >= -FAR and start.hi <= FAR and bound.lo >= -FAR and bound.hi <= FAR
        return FAR if near and test.operation not in _SIGNED else None

    def at_head(self, register: int, entered: Value, trips: int | None) -> Value | None:
        """A register's value whenever the head runs; None where it is not known by counting."""
        step = self.steps.get(register)
        if step is None:
            return None
        if step == 0:
            if register in self.narrow and not (entered.kind == SCALAR and entered.hi <= M32):
                return None
            return entered
        if trips is None:
            return None
        lo, hi = entered.lo + min(0, step * (trips - 1)), entered.hi + max(0, step * (trips - 1))
        stride = gcd(entered.step, abs(step))
        if entered.kind != SCALAR:
            known = entered.lo >= -FAR and entered.hi <= FAR and not entered.null and register not in self.narrow
            return moved(entered, lo, hi, stride) if known else None
        if lo < 0 or hi > (M32 if register in self.narrow else M64):
            return None
        return scalar(lo, hi, stride)


def _inside(loop: Loop) -> list[Loop]:
    found = []
    for inner in loop.inner:
        found += [inner, *_inside(inner)]
    return found
