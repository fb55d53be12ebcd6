"""Follows a function's values along all its paths: which accesses are within bounds, and how often loops run.

Abstract interpretation: states at block begins, joined where paths meet, loops by counting (`induction`) or else by widening.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import gcd

from skep.bytecode import instruction as isa
from skep.engine.user import helpers as tables
from skep.engine.user.flow import Flow
from skep.engine.user.induction import Induction
from skep.engine.user.state import FRAME, State, merge, start_state, widened
from skep.engine.user.validate import CALL, CALLX, EXIT, GOTO, GOTOL, MAP_VALUES, MAY_GOTO, call_target, jump_target
from skep.engine.user.values import (
    CTX,
    FAR,
    FUNCTION,
    KEY,
    M32,
    M64,
    MAP,
    MEMORY,
    NOWHERE,
    OF_KERNEL,
    PACKET,
    PACKET_END,
    RECORD,
    SCALAR,
    STACK,
    UNKNOWN,
    VALUE,
    WORD,
    ZERO,
    Value,
    arithmetic,
    bounded,
    constant,
    extended,
    join,
    limits,
    moved,
    opposite,
    pointer,
    scalar,
    swapped,
    truncated,
)  # fmt: skip
from skep.errors import InvalidInstruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from skep.bytecode.instruction import Instruction
    from skep.engine.user.facts import Context, MapFacts
    from skep.engine.user.validate import Code, Function

SIZES = {isa.W: 4, isa.H: 2, isa.B: 1, isa.DW: 8}
_EXACT_ROUNDS = 6  # visits of a loop's head before bounds are widened
_MAX_LOOPS = 1 << 23  # BPF_MAX_LOOPS, include/linux/bpf.h
_PACKET_SPAN = 1 << 29
_EFFORT = 2_000_000  # instructions that are followed in one function, each time counted; some 10 s
_CALLBACKS = tables.CALLING
_ARRAY, _BLOOM = 2, 30  # BPF_MAP_TYPE_*
_PASSING = frozenset((RECORD, PACKET, PACKET_END))  # pointers that a call may end without changing their register


class Unit:
    """What the analysis of a program knows besides its code: the context, the maps, and where they are referred to.

    `maps` are MapFacts by index; `references` is the map's index by instruction. `ranges` False: bounds of numbers prove nothing
    (what every program costs when only constant offsets are believed).
    """

    __slots__ = ("code", "context", "ending", "maps", "moving", "ranges", "references", "releasing")

    def __init__(self, code: Code, context: Context, maps: list[MapFacts], references: dict[int, int], ranges: bool) -> None:
        self.code = code
        self.context = context
        self.maps = maps
        self.references = references
        self.ranges = ranges
        moves = {number for number, helper in tables.of_context(context.name) if helper.moves} | {tables.TAIL_CALL}
        # functions after which the packet may lie elsewhere, arguments may be no records any more, no record or slice is one
        self.moving = _functions_that_call(code, moves) if context.packet is not None else frozenset()
        self.releasing = _functions_that_call(code, tables.RELEASING)
        self.ending = _functions_that_call(code, tables.ENDING)


def _functions_that_call(code: Code, helpers: Collection[int]) -> frozenset[int]:
    """Functions that call one of these helpers, or call one that does."""
    found: set[int] = set()
    for start in reversed(code.order):  # callees first
        function = code.functions[start]
        insns = code.insns[start : function.end]
        if function.calls & found or any(i is not None and i.code == CALL and i.src == 0 and i.imm in helpers for i in insns):
            found.add(start)
    return frozenset(found)


class Analysis:
    """One function: `states` at the begin of each block that is reached, `trips` in its loops, `arguments` that callees get."""

    __slots__ = (
        "arguments", "bytes", "edges", "flow", "foreign", "function", "inductions", "lowest", "marks", "states", "unit",
        "unwritten", "visits", "writes_context",
    )  # fmt: skip

    def __init__(self, unit: Unit, function: Function, given: list[Value] | None) -> None:
        self.unit = unit
        self.function = function
        self.flow = Flow(unit.code, function)
        self.states: dict[int, State] = {}
        self.edges: dict[tuple[int, int], State] = {}
        self.visits: dict[int, int] = {}
        self.arguments: dict[int, list[Value]] = {}
        self.bytes: dict[int, int] = {}  # that helpers go through, by instruction
        self.writes_context = False
        self.foreign = False  # the same of other functions' frames
        self.unwritten = False  # stack bytes may be read that were never written
        # an empty context may be at address 0, and what lies before it at the end of all addresses
        self.lowest = -FAR if unit.context.size else 0
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
        return self._branch(last, insn, state, target)

    def _collect(self) -> None:
        """A last walk: what callees are given, and whether unwritten stack is read."""
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
        elif insn.code == CALL and insn.imm in _CALLBACKS:
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
            self.unwritten |= not state.is_written(base.lo + offset, base.hi + offset, size)
        elif base.kind in (STACK, SCALAR):
            self.foreign = True

    def _reads_of_helper(self, insn: Instruction, state: State) -> None:
        helper = self.helper(insn.imm)
        if helper is None:
            return
        if helper.looks:
            self.unwritten = self.foreign = True
        of = state.registers[1]
        for number, kind in enumerate(helper.arguments, 1):
            value = state.registers[number]
            if is_written(kind):
                self.writes_context |= value.kind in (CTX, SCALAR)
            if value.kind in (STACK, SCALAR):
                size = self.argument_size(helper, number, state)
                if kind in (tables.KEY, tables.MAP_VALUE, tables.READ) or (isinstance(kind, tuple) and kind[0] == tables.READ):
                    if size is None:
                        self.unwritten = self.foreign = True
                    elif size:
                        self.reads_stack(value, 0, size, state)
                elif kind == tables.SOURCE or (kind == tables.ANY and value.kind == STACK and insn.imm not in _CALLBACKS):
                    self.unwritten = self.foreign = True
                elif kind == tables.MAP_VALUE_OUT and of.kind == MAP and self.facts(of).type == _BLOOM:
                    self.reads_stack(value, 0, self.facts(of).value_size, state)
                elif kind == tables.WRITE and (size is None or value.lo != value.hi or insn.imm in tables.LEAVING):
                    self.unwritten = True  # a part of it may stay as it is

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

    # -- one instruction

    def facts(self, value: Value) -> MapFacts:
        """The map that a value is, or is in; -1 - index stands for the maps in a map of maps."""
        if value.ref >= 0:
            return self.unit.maps[value.ref]
        inner = self.unit.maps[-1 - value.ref].inner
        assert inner is not None
        return inner

    def proved(self, base: Value, offset: int, size: int, state: State) -> bool:
        """Whether an access of `size` bytes is within what the pointer points to."""
        if base.null or (not self.unit.ranges and base.lo != base.hi):
            return False
        lo, end = base.lo + offset, base.hi + offset + size
        if base.kind == CTX:
            return lo >= 0 and end <= self.unit.context.size
        if base.kind == STACK:
            return lo >= -FRAME and end <= 0
        if base.kind == VALUE:
            return lo >= 0 and end <= self.facts(base).value_size
        if base.kind in (RECORD, KEY):
            return lo >= 0 and end <= base.ref
        return base.kind == PACKET and lo >= 0 and end <= state.proven.get(base.ref, 0)

    def step(self, position: int, state: State) -> None:
        """What one instruction (no jump) changes."""
        insn = self.unit.code.insns[position]
        assert insn is not None
        group = insn.code & 7
        if group in (isa.ALU, isa.ALU64):
            self._arithmetic(position, insn, state)
        elif group == isa.LDX:
            state.set(insn.dst, self.loaded(insn, state))
        elif group in (isa.ST, isa.STX):
            if insn.code & 0xE0 == isa.ATOMIC:
                self._atomic(insn, state)
            else:
                self._store(position, insn, state)
        elif insn.code == isa.LOAD_64:
            state.set(insn.dst, self._constant(position, insn))
        elif insn.code in (CALL, CALLX):
            self._call(position, insn, state)

    def _constant(self, position: int, insn: Instruction) -> Value:
        if insn.src == isa.PSEUDO_FUNC:
            target = call_target(position, insn)
            assert target is not None
            return pointer(FUNCTION, 0, target)
        if insn.src:
            index = self._map_of(position, insn)
            return pointer(VALUE, insn.imm >> 32, index) if insn.src in MAP_VALUES else pointer(MAP, 0, index)
        return constant(insn.imm)

    def _map_of(self, position: int, insn: Instruction) -> int:
        """The index of the map that a 64-bit load refers to."""
        index = self.unit.references.get(position, -1)
        if not 0 <= index < len(self.unit.maps):
            raise InvalidInstruction(f"instruction {position}: it refers to map {insn.imm & M32}: there is none", insn=position)
        if insn.src in MAP_VALUES and (self.unit.maps[index].type != _ARRAY or not self.unit.maps[index].max_entries):
            raise InvalidInstruction(f"instruction {position}: only arrays have values at a fixed address", insn=position)
        return index

    def _arithmetic(self, position: int, insn: Instruction, state: State) -> None:
        operation, by_register, wide = insn.code & 0xF0, insn.code & isa.X, insn.code & 7 == isa.ALU64
        mask = M64 if wide else M32
        target = state.registers[insn.dst]
        if operation == isa.END:
            swaps_low = insn.imm < 64
            state.set(insn.dst, scalar(0, (1 << insn.imm) - 1) if swaps_low else UNKNOWN)
            return
        source = state.registers[insn.src] if by_register else constant(insn.imm & mask)
        if operation == isa.MOV:
            if insn.off:
                state.set(insn.dst, extended(source, insn.off, mask))
            elif wide or (source.kind == SCALAR and source.hi <= M32):
                if by_register and not source.id and source.kind == SCALAR and source.lo != source.hi:
                    state.renew(position + 1)
                    source = state.registers[insn.src]._replace(id=position + 1)
                    state.set(insn.src, source)
                state.set(insn.dst, source)
            else:
                state.set(insn.dst, truncated(source, M32))
            return
        if target.kind == SCALAR and (source.kind == SCALAR or operation == isa.NEG):
            number = arithmetic(operation, target, source, mask, signed=bool(insn.off))
            of_kernel = target.ref if wide and operation in (isa.ADD, isa.SUB) and source.lo == source.hi else 0
            state.set(insn.dst, number._replace(ref=of_kernel))
            return
        result = UNKNOWN if wide else WORD
        if wide and operation in (isa.ADD, isa.SUB):
            result = self._pointer_arithmetic(position, operation, target, source, state)
        state.set(insn.dst, result)

    def _pointer_arithmetic(self, position: int, operation: int, target: Value, source: Value, state: State) -> Value:
        if operation == isa.ADD and target.kind == SCALAR:
            target, source = source, target
        if source.kind != SCALAR or target.kind not in MEMORY or target.null:
            return UNKNOWN
        lo, hi = source.lo, source.hi
        if lo > M64 >> 1:
            lo, hi = lo - M64 - 1, hi - M64 - 1
        if hi > M64 >> 1:
            lo, hi = -NOWHERE, NOWHERE
        if operation == isa.SUB:
            lo, hi = -hi, -lo
        if target.kind == PACKET and lo != hi:
            if lo < 0 or hi > _PACKET_SPAN or target.ref < 0:
                return moved(target, -NOWHERE, NOWHERE, 1)._replace(ref=-1)
            state.renew(position + 1)
            return target._replace(ref=position + 1)
        return moved(target, target.lo + lo, target.hi + hi, gcd(target.step, source.step))

    def loaded(self, insn: Instruction, state: State) -> Value:
        """What a load gives."""
        base, size = state.registers[insn.src], SIZES[insn.code & 0x18]
        if insn.code & 0xE0 == isa.MEMSX:
            return UNKNOWN
        at = base.lo + insn.off
        if base.lo == base.hi and not base.null:
            if base.kind == STACK and base.ref == self.function.start and size == 8:
                return state.slots.get(at, UNKNOWN)
            if base.kind == CTX and (at, size) in self.unit.context.fields:
                kind = self.unit.context.fields[at, size][1]
                return UNKNOWN if kind == SCALAR else pointer(kind)
            if base.kind == CTX and size == 8 and self.unit.context.structs:
                return UNKNOWN._replace(ref=OF_KERNEL)
            if base.kind == VALUE and self.proved(base, insn.off, size, state):
                content = self.facts(base).content
                if content is not None:
                    return constant(int.from_bytes(content[at : at + size], "little"))
        return UNKNOWN if size == 8 else scalar(0, (1 << 8 * size) - 1)

    def _wrote(self, base: Value, offset: int, size: int, state: State, value: Value | None = None) -> None:
        if base.kind == SCALAR:
            state.slots.clear()  # it may be the stack's address all the same
        elif base.kind == STACK and base.ref == self.function.start:
            state.write(base.lo + offset, base.hi + offset, size, value)
        elif base.kind == STACK and not self.proved(base, offset, size, state):
            state.slots.clear()  # from another function's frame into this one

    def _store(self, position: int, insn: Instruction, state: State) -> None:
        size = SIZES[insn.code & 0x18]
        value = state.registers[insn.src] if insn.code & 7 == isa.STX else constant(insn.imm)
        if value.kind in MEMORY and value.kind != STACK and value.lo != value.hi:
            value = UNKNOWN
        self._wrote(state.registers[insn.dst], insn.off, size, state, value)

    def _atomic(self, insn: Instruction, state: State) -> None:
        size = SIZES[insn.code & 0x18]
        result = UNKNOWN if size == 8 else scalar(0, (1 << 8 * size) - 1)
        if insn.imm == isa.LOAD_ACQUIRE:
            state.set(insn.dst, result)
            return
        self._wrote(state.registers[insn.dst], insn.off, size, state, UNKNOWN)
        if insn.imm == isa.CMPXCHG:
            state.set(0, result)
        elif insn.imm & isa.FETCH and insn.imm != isa.STORE_RELEASE:
            state.set(insn.src, result)

    # -- calls

    def helper(self, number: int) -> tables.Helper | None:
        """The helper that a number means to this program."""
        return tables.find(number, self.unit.context.name)

    def argument_size(self, helper: tables.Helper, number: int, state: State) -> int | None:
        """How many bytes of memory an argument of a helper's stands for, at most; None: not known."""
        kind = helper.arguments[number - 1]
        if isinstance(kind, tuple):
            return int(kind[1])
        if kind in (tables.KEY, tables.MAP_VALUE, tables.MAP_VALUE_OUT):
            of = state.registers[1]
            if of.kind != MAP:
                return None
            facts = self.facts(of)
            return facts.key_size if kind == tables.KEY else facts.value_size
        size = state.registers[number + 1]
        return int(size.hi) if size.kind == SCALAR and size.hi <= FAR else None

    def _call(self, position: int, insn: Instruction, state: State) -> None:
        result = UNKNOWN
        if insn.code == CALLX or insn.src == isa.PSEUDO_CALL or insn.imm in _CALLBACKS:
            state.slots.clear()  # what is called may have been given this frame's address
            if self.unit.moving & self.function.calls:
                state.forget_packet()
            target = self._called(position, insn, state)
            if target in self.unit.ending:
                state.forget(lambda value: True)
            elif target in self.unit.releasing:
                for value in state.registers[1:6]:
                    if value.kind == RECORD:
                        state.forget_record(value.id)
        else:
            helper = self.helper(insn.imm)
            if helper is not None:
                result = self._helper(position, helper, state)
        for register in range(1, 6):
            state.set(register, ZERO)
        state.set(0, result)

    def _called(self, position: int, insn: Instruction, state: State) -> int | None:
        """The function of the program's own that a call goes to."""
        if insn.code == CALL and insn.src == isa.PSEUDO_CALL:
            return call_target(position, insn)
        value = state.registers[insn.dst if insn.code == CALLX else 2]
        return value.ref if value.kind == FUNCTION else None

    def is_slice(self, value: Value) -> bool:
        """Whether a record is a dynptr's, which alone can give it back."""
        insn = self.unit.code.insns[value.id - 1] if value.id > 0 else None
        return insn is not None and insn.code == CALL and insn.imm == tables.SLICE

    def _helper(self, position: int, helper: tables.Helper, state: State) -> Value:
        for number, kind in enumerate(helper.arguments, 1):
            value = state.registers[number]
            writes = is_written(kind)
            if writes or (kind == tables.ANY and value.kind == STACK):
                size = self.argument_size(helper, number, state) if writes else None
                if size is None:
                    state.slots.clear()
                else:
                    exact = isinstance(kind, tuple) or kind == tables.MAP_VALUE_OUT or state.registers[number + 1].lo == size
                    self._wrote(value if exact else value._replace(hi=value.hi + 1), 0, size, state)
            if kind == tables.RECORD:
                state.forget_record(value.id)
        if helper.ends:
            state.forget(lambda value: not value.id or self.is_slice(value))
        if helper.moves:
            state.forget_packet()
        if helper.result in (tables.NUMBER, tables.TIME_IS_OVER):
            return UNKNOWN
        state.renew(position + 1)
        of = state.registers[1]
        if helper.result in (tables.RECORD_OR_NULL, tables.SLICE_OR_NULL):
            length = state.registers[2 if helper.result == tables.RECORD_OR_NULL else 3]
            if length.kind != SCALAR or length.lo != length.hi or length.lo > FAR:
                return UNKNOWN
            return pointer(RECORD, 0, length.lo, null=True, id=position + 1)
        if of.kind != MAP or of.null:
            return UNKNOWN
        if helper.result == tables.MAP_OR_VALUE and of.ref >= 0 and self.facts(of).inner is not None:
            return pointer(MAP, 0, -1 - of.ref, null=True, id=position + 1)
        return pointer(VALUE, 0, of.ref, null=True, id=position + 1)

    # -- branches

    def _branch(self, position: int, insn: Instruction, state: State, target: int) -> list[tuple[int, State]]:
        operation, mask = insn.code & 0xF0, M64 if insn.code & 7 == isa.JMP else M32
        other = state.copy()
        ways = []
        if self._assume(insn, operation, state, mask):
            ways.append((target, state))
        negated = opposite(operation)
        if negated is None or self._assume(insn, negated, other, mask):
            ways.append((position + 1, other))
        return ways

    def _assume(self, insn: Instruction, operation: int, state: State, mask: int) -> bool:
        """Note that a condition holds; False when it cannot."""
        a = state.registers[insn.dst]
        b = state.registers[insn.src] if insn.code & isa.X else constant(insn.imm & mask)
        if a.kind == SCALAR and b.kind == SCALAR:
            if operation == isa.JSET or a.hi > mask or b.hi > mask:
                return True
            new_a, new_b = bounded(a, *limits(operation, a, b, mask)), bounded(b, *limits(swapped(operation), b, a, mask))
            if new_a is None or new_b is None:
                return False
            state.refine(insn.dst, new_a)
            if insn.code & isa.X:
                state.refine(insn.src, new_b)
            return True
        if mask != M64:
            return True
        if b.kind == SCALAR and b.lo == b.hi == 0 and operation in (isa.JEQ, isa.JNE):
            if a.null:
                state.settle_null(insn.dst, is_null=operation == isa.JEQ)
            elif a.kind in (STACK, VALUE, RECORD, KEY, MAP) and a.lo == a.hi:
                return operation == isa.JNE
            return True
        if {a.kind, b.kind} == {PACKET, PACKET_END}:
            if a.kind == PACKET_END:
                a, b, operation = b, a, swapped(operation)
            past = {isa.JLE: 0, isa.JLT: 1}.get(operation)
            if past is not None and a.ref >= 0:
                state.proven[a.ref] = max(state.proven.get(a.ref, 0), a.lo + past)
            return True
        return self._assume_offsets(insn, operation, state, a, b)

    def _assume_offsets(self, insn: Instruction, operation: int, state: State, a: Value, b: Value) -> bool:
        """A comparison of two pointers into the same object."""
        same = (
            a.kind == b.kind
            and a.ref == b.ref
            and (a.kind in (CTX, STACK) or (a.kind == PACKET and a.ref >= 0) or (a.id and a.id == b.id))
        )
        if not same or a.null or b.null or not insn.code & isa.X or operation not in _OFFSET_TESTS:
            return True
        if min(a.lo, b.lo) < (self.lowest if a.kind == CTX else -FAR) or max(a.hi, b.hi) > FAR:
            return True
        new_a = bounded(a, *limits(operation, a, b, FAR, -FAR))
        new_b = bounded(b, *limits(swapped(operation), b, a, FAR, -FAR))
        if new_a is None or new_b is None:
            return False
        state.set(insn.dst, new_a)
        state.set(insn.src, new_b)
        return True


_OFFSET_TESTS = frozenset((isa.JEQ, isa.JNE, isa.JLT, isa.JLE, isa.JGT, isa.JGE))


def is_written(kind: object) -> bool:
    """Whether a helper writes to the memory that an argument points to."""
    return kind in (tables.WRITE, tables.MAP_VALUE_OUT) or (isinstance(kind, tuple) and kind[0] == tables.WRITE)
