"""What one instruction changes of what is known, and what its conditions say on each way out. A base of `analysis.Analysis`."""

from __future__ import annotations

from math import gcd

from skep.bytecode import instruction as isa
from skep.engine.user import helpers as tables
from skep.engine.user.state import FRAME
from skep.engine.user.validate import CALL, CALLX, MAP_VALUES, call_target
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
    from skep.bytecode.instruction import Instruction
    from skep.engine.user.facts import MapFacts
    from skep.engine.user.state import State
    from skep.engine.user.unit import Unit
    from skep.engine.user.validate import Function

SIZES = {isa.W: 4, isa.H: 2, isa.B: 1, isa.DW: 8}
CALLBACKS = tables.CALLING
_PACKET_SPAN = 1 << 29
_ARRAY = 2  # BPF_MAP_TYPE_ARRAY
_OFFSET_TESTS = frozenset((isa.JEQ, isa.JNE, isa.JLT, isa.JLE, isa.JGT, isa.JGE))


class Steps:
    """Follows instructions of one function: `state` in, `state` changed."""

    __slots__ = ("function", "lowest", "unit")

    def __init__(self, unit: Unit, function: Function) -> None:
        self.unit = unit
        self.function = function
        # an empty context may be at address 0, and what lies before it at the end of all addresses
        self.lowest = -FAR if unit.context.size else 0

    def facts(self, value: Value) -> MapFacts:
        """The map that a value is, or is in; -1 - index stands for the maps in a map of maps."""
        if value.ref >= 0:
            return self.unit.maps[value.ref]
        inner = self.unit.maps[-1 - value.ref].inner
        assert inner is not None
        return inner

    def proved(self, base: Value, offset: int, size: int, state: State) -> bool:
        """Whether an access of `size` bytes needs no check."""
        return (self.unit.ranges or base.lo == base.hi) and self.inside(base, offset, size, state)

    def inside(self, base: Value, offset: int, size: int, state: State) -> bool:
        """Whether an access of `size` bytes is within what the pointer points to."""
        if base.null:
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
            if base.kind == VALUE and self.inside(base, insn.off, size, state):
                content = self.facts(base).content
                if content is not None:
                    return constant(int.from_bytes(content[at : at + size], "little"))
        return UNKNOWN if size == 8 else scalar(0, (1 << 8 * size) - 1)

    def _wrote(self, base: Value, offset: int, size: int, state: State, value: Value | None = None) -> None:
        if base.kind == SCALAR:
            state.slots.clear()  # it may be the stack's address all the same
        elif base.kind == STACK and base.ref == self.function.start:
            state.write(base.lo + offset, base.hi + offset, size, value)
        elif base.kind == STACK and not self.inside(base, offset, size, state):
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
        if insn.code == CALLX or insn.src == isa.PSEUDO_CALL or insn.imm in CALLBACKS:
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

    def branch(self, position: int, insn: Instruction, state: State, target: int) -> list[tuple[int, State]]:
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


def is_written(kind: object) -> bool:
    """Whether a helper writes to the memory that an argument points to."""
    return kind in (tables.WRITE, tables.MAP_VALUE_OUT) or (isinstance(kind, tuple) and kind[0] == tables.WRITE)
