"""Follows a function's values along all its paths: which accesses are within bounds, and how often loops run.

Abstract interpretation: states at block begins, joined where paths meet, loops by counting (`induction`) or else by widening.
"""

from __future__ import annotations

from heapq import heappop, heappush

from skep.bytecode import instruction as isa
from skep.engine.user import helpers as tables
from skep.engine.user.flow import Flow
from skep.engine.user.induction import Induction
from skep.engine.user.state import State, merge, start_state, widened
from skep.engine.user.steps import CALLBACKS, SIZES, Steps, is_written
from skep.engine.user.validate import CALL, CALLX, EXIT, GOTO, GOTOL, MAY_GOTO, call_target, jump_target
from skep.engine.user.values import (
    CTX,
    FAR,
    FUNCTION,
    KEY,
    M32,
    M64,
    MAP,
    PACKET,
    PACKET_END,
    RECORD,
    SCALAR,
    STACK,
    UNKNOWN,
    VALUE,
    ZERO,
    Value,
    join,
    pointer,
    scalar,
)  # fmt: skip
from skep.errors import InvalidInstruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.bytecode.instruction import Instruction
    from skep.engine.user.unit import Unit
    from skep.engine.user.validate import Function

_EXACT_ROUNDS = 6  # visits of a loop's head before bounds are widened
_MAX_LOOPS = 1 << 23  # BPF_MAX_LOOPS, include/linux/bpf.h
_EFFORT = 2_000_000  # instructions that are followed in one function, each time counted; some 10 s
_BLOOM = 30  # BPF_MAP_TYPE_BLOOM_FILTER
_PASSING = frozenset((RECORD, PACKET, PACKET_END))  # pointers that a call may end without changing their register


class Analysis(Steps):
    """One function: `states` at the begin of each block that is reached, `trips` in its loops, `arguments` that callees get."""

    __slots__ = (
        "arguments", "bytes", "edges", "flow", "frames", "inductions", "marks", "states", "visits", "writes_context",
    )  # fmt: skip

    def __init__(self, unit: Unit, function: Function, given: list[Value] | None) -> None:
        super().__init__(unit, function)
        self.flow = Flow(unit.code, function)
        self.states: dict[int, State] = {}
        self.edges: dict[tuple[int, int], State] = {}
        self.visits: dict[int, int] = {}
        self.arguments: dict[int, list[Value]] = {}
        self.bytes: dict[int, int] = {}  # that helpers go through, by instruction
        self.writes_context = False
        self.frames: set[int] = set()  # functions of whose frames bytes may be read that were never written
        self.inductions = {
            head: Induction(unit.code, self.flow, loop, self.lowest)
            for head, loop in self.flow.loops.items()
            if not self.flow.stray
        }
        self.marks = self._marks()
        registers = [ZERO] * 11
        if given is None:
            registers[1] = pointer(CTX)
            registers[2] = UNKNOWN if unit.context.length else ZERO
        else:
            registers[1:6] = [v._replace(id=-r) if v.kind == RECORD else v for r, v in enumerate(given, 1)]
        registers[10] = pointer(STACK, 0, function.start)
        self._solve(start_state(registers))
        self._collect()

    def _marks(self) -> list[int]:
        """Numbers that the function compares with, and what lies beside them: where widening stops for a moment."""
        marks = {0, 1, FAR, M32 >> 1, M32, M64 >> 1, M64}
        for block in self.flow.blocks.values():
            insn = self.unit.code.insns[block.positions[-1]]
            if insn is not None and insn.code & 7 in (isa.JMP, isa.JMP32) and not insn.code & isa.X:
                marks |= {(insn.imm + delta) & M64 for delta in (-1, 0, 1)}
        return sorted(marks)

    # -- the fixed point

    def _solve(self, start: State) -> None:
        rank = self.flow.rank
        self.states[self.flow.start] = start
        pending = [0]
        effort = 0
        waiting = {0}
        while pending:
            number = heappop(pending)
            waiting.discard(number)
            at = self.flow.order[number]
            state = self._enter(at, start)
            if state is None:
                continue
            effort += len(self.flow.blocks[at].positions)
            if effort > _EFFORT:
                text = f"instruction {self.flow.start}: this function is too complex: its values were followed for {effort} steps"
                raise InvalidInstruction(text, insn=self.flow.start)
            for target, after in self.leave(at, state.copy()):
                if self.edges.get((at, target)) != after:
                    self.edges[at, target] = after
                    if rank[target] not in waiting:
                        waiting.add(rank[target])
                        heappush(pending, rank[target])

    def _enter(self, at: int, start: State) -> State | None:
        """The state at a block's begin from what its predecessors say; None when nothing has changed."""
        block = self.flow.blocks[at]
        loop = self.flow.loops.get(at)
        latches = loop.latches if loop else ()
        outside = [self.edges[before, at] for before in block.before if before not in latches and (before, at) in self.edges]
        if at == self.flow.start:
            outside.append(start)
        back = [self.edges[before, at] for before in latches if (before, at) in self.edges]
        if not outside:
            return None
        entered = merge(outside, block.live)
        state = merge([entered, *back], block.live) if back else entered
        if loop and at in self.inductions:
            induction = self.inductions[at]
            loop.trips = induction.trips(entered.registers)
            for register in range(10):
                if block.live >> register & 1:
                    value = induction.at_head(register, entered.registers[register], loop.trips)
                    if value is not None and (value.kind not in _PASSING or state.registers[register].kind == value.kind):
                        state.registers[register] = value
        old = self.states.get(at)
        visits = self.visits[at] = self.visits.get(at, 0) + 1
        if old is not None and visits > _EXACT_ROUNDS and (loop or self.flow.stray):
            state = widened(old, state, self.marks if visits < 40 else [])
        if old == state and visits > 1:
            return None
        self.states[at] = state
        return state

    def leave(self, at: int, state: State) -> list[tuple[int, State]]:
        """Run a block; what is known on each way out of it."""
        positions = self.flow.blocks[at].positions
        for position in positions[:-1]:
            self.step(position, state)
        last = positions[-1]
        insn = self.unit.code.insns[last]
        assert insn is not None
        if insn.code == EXIT:
            return []
        target = jump_target(last, insn)
        if target is None:
            self.step(last, state)
            return [(self.flow.blocks[at].next[0], state)]
        if insn.code in (GOTO, GOTOL) or target == last + 1:  # a condition with one way says nothing
            return [(target, state)]
        if insn.code == MAY_GOTO:
            return [(last + 1, state), (target, state.copy())]
        return self.branch(last, insn, state, target)

    def _collect(self) -> None:
        """A last walk: what callees are given, and where unwritten stack is read."""
        self.arguments = {}
        for at, state in self.states.items():
            state = state.copy()
            for position in self.flow.blocks[at].positions:
                insn = self.unit.code.insns[position]
                assert insn is not None
                self._look(insn, position, state)
                self.step(position, state)

    def _look(self, insn: Instruction, position: int, state: State) -> None:
        target = call_target(position, insn)
        if insn.code == CALL and target is not None:
            self._give(target, state.registers[1:6])
        elif insn.code == CALLX and state.registers[insn.dst].kind == FUNCTION:
            self._give(state.registers[insn.dst].ref, state.registers[1:6])
        elif insn.code == CALL and insn.imm in CALLBACKS:
            r = state.registers
            kept = r[3]  # the same in each round: what a round may end is none in the next
            ends = r[2].ref in self.unit.releasing | self.unit.ending
            if (kept.kind == RECORD and ends) or (kept.kind in (PACKET, PACKET_END) and r[2].ref in self.unit.moving):
                kept = UNKNOWN
            if r[2].kind == FUNCTION and insn.imm == tables.LOOP:
                self._give(r[2].ref, [scalar(0, _MAX_LOOPS), kept, ZERO, ZERO, ZERO])
            elif r[2].kind == FUNCTION and insn.imm == tables.DRAIN:
                self._give(r[2].ref, [pointer(KEY, 0, tables.DYNPTR_SIZE), kept, ZERO, ZERO, ZERO])
            elif r[2].kind == FUNCTION and r[1].kind == MAP and not r[1].null:
                facts = self.facts(r[1])
                key = pointer(KEY, 0, facts.key_size)
                self._give(r[2].ref, [r[1], key, pointer(VALUE, 0, r[1].ref), kept, ZERO])
        group = insn.code & 7
        if group == isa.LDX or (group == isa.STX and insn.code & 0xE0 == isa.ATOMIC):
            reads = group == isa.LDX or insn.imm == isa.LOAD_ACQUIRE
            base = state.registers[insn.src if reads else insn.dst]
            self.reads_stack(base, insn.off, SIZES[insn.code & 0x18], state)
        elif insn.code == CALL and insn.src == 0:
            self._reads_of_helper(insn, state)
            self.bytes[position] = self._bytes_of_helper(insn, state)
        if group in (isa.ST, isa.STX) and insn.imm != isa.LOAD_ACQUIRE:
            self.writes_context |= state.registers[insn.dst].kind in (CTX, SCALAR)

    def reads_stack(self, base: Value, offset: int, size: int, state: State) -> None:
        """Note a read that may see stack bytes that nobody has written."""
        if base.kind == STACK and base.ref == self.function.start:
            if not state.is_written(base.lo + offset, base.hi + offset, size):
                self.frames.add(base.ref)
        elif base.kind == STACK and self.inside(base, offset, size, state):
            self.frames.add(base.ref)
        elif base.kind in (STACK, SCALAR):
            self.reads_any_frame()

    def reads_any_frame(self) -> None:
        """Note a read that may see anything in the frames of this function and its callers."""
        self.frames |= self.unit.callers(self.function.start)

    def _reads_of_helper(self, insn: Instruction, state: State) -> None:
        helper = self.helper(insn.imm)
        if helper is None:
            return
        if helper.looks:
            self.reads_any_frame()
        of = state.registers[1]
        for number, kind in enumerate(helper.arguments, 1):
            value = state.registers[number]
            if is_written(kind):
                self.writes_context |= value.kind in (CTX, SCALAR)
            if value.kind in (STACK, SCALAR):
                size = self.argument_size(helper, number, state)
                if kind in (tables.KEY, tables.MAP_VALUE, tables.READ) or (isinstance(kind, tuple) and kind[0] == tables.READ):
                    if size is None:
                        self.reads_any_frame()
                    elif size:
                        self.reads_stack(value, 0, size, state)
                elif kind == tables.SOURCE or (kind == tables.ANY and value.kind == STACK and insn.imm not in CALLBACKS):
                    self.reads_any_frame()
                elif kind == tables.MAP_VALUE_OUT and of.kind == MAP and self.facts(of).type == _BLOOM:
                    self.reads_stack(value, 0, self.facts(of).value_size, state)
                elif kind == tables.WRITE and (size is None or value.lo != value.hi or insn.imm in tables.LEAVING):
                    self.frames.add(self.function.start)  # a part of it may stay as it is

    def _bytes_of_helper(self, insn: Instruction, state: State) -> int:
        """How many bytes the memory that a helper is given has together, at most."""
        helper = self.helper(insn.imm)
        if helper is None:
            return 0
        sized = (tables.READ, tables.WRITE, tables.KEY, tables.MAP_VALUE, tables.MAP_VALUE_OUT)
        found = [self.argument_size(helper, n, state) for n, kind in enumerate(helper.arguments, 1) if kind in sized]
        return sum(FAR if size is None else size for size in found)

    def _give(self, target: int, values: list[Value]) -> None:
        # a function that is given away would be called by who is not known to call it
        lost = [value.kind == FUNCTION or (value.kind == PACKET and value.ref != 0) for value in values]
        values = [UNKNOWN if is_lost else value._replace(id=0) for value, is_lost in zip(values, lost, strict=True)]
        known = self.arguments.get(target)
        self.arguments[target] = values if known is None else [join(a, b) for a, b in zip(known, values, strict=True)]
