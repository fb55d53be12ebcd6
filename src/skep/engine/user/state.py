"""What is known at one point of a function: registers, stack slots, which bytes of the stack were written, packet lengths."""

from __future__ import annotations

from skep.engine.user.values import MEMORY, PACKET, PACKET_END, RECORD, SCALAR, STACK, UNKNOWN, ZERO, Value, join, pointer, widen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FRAME = 512  # bytes of a function's stack
_ALL_WRITTEN = (1 << FRAME) - 1


class State:
    """Changed in place along a block; `slots` are 8-byte values by their offset from r10, `written` has a bit for each byte.

    `proven` has, for the base of a packet pointer, how many bytes from it on are known to be in the packet.
    """

    __slots__ = ("proven", "registers", "slots", "written")

    def __init__(self, registers: list[Value], slots: dict[int, Value], written: int, proven: dict[int, int]) -> None:
        self.registers = registers
        self.slots = slots
        self.written = written
        self.proven = proven

    def copy(self) -> State:
        return State(self.registers[:], self.slots.copy(), self.written, self.proven.copy())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, State)
            and self.registers == other.registers
            and self.written == other.written
            and self.slots == other.slots
            and self.proven == other.proven
        )

    __hash__ = None  # type: ignore[assignment]

    def set(self, register: int, value: Value) -> None:
        self.registers[register] = value

    def renew(self, id: int) -> None:
        """An instruction runs again: what was named after its last result is not equal to the new one."""
        for number, value in enumerate(self.registers):
            if value.id == id or (value.kind == PACKET and value.ref == id):
                self.registers[number] = _unnamed(value, id)
        for offset, value in self.slots.items():
            if value.id == id or (value.kind == PACKET and value.ref == id):
                self.slots[offset] = _unnamed(value, id)
        self.proven.pop(id, None)

    def refine(self, register: int, value: Value) -> None:
        """More is known of a register, and of everything that equals it."""
        old = self.registers[register]
        self.registers[register] = value
        if not old.id or old.kind != SCALAR:
            return
        for number, other in enumerate(self.registers):
            if other.id == old.id and other.kind == SCALAR:
                self.registers[number] = value
        for offset, other in self.slots.items():
            if other.id == old.id and other.kind == SCALAR:
                self.slots[offset] = value

    def settle_null(self, register: int, *, is_null: bool) -> None:
        """A pointer that might be null was tested."""
        tested = self.registers[register]

        def settled(value: Value) -> Value:
            if value != tested and not (tested.id and value.id == tested.id and value.null):
                return value
            return ZERO if is_null else value._replace(null=False)

        if tested.id:
            self.registers = [settled(value) for value in self.registers]
            self.slots = {offset: settled(value) for offset, value in self.slots.items()}
        else:
            self.registers[register] = ZERO if is_null else tested._replace(null=False)

    def forget(self, is_gone: Callable[[Value], bool]) -> None:
        """Records are gone (submitted): pointers to them are plain numbers from now on."""
        self.registers = [UNKNOWN if value.kind == RECORD and is_gone(value) else value for value in self.registers]
        self.slots = {o: UNKNOWN if value.kind == RECORD and is_gone(value) else value for o, value in self.slots.items()}

    def forget_record(self, id: int) -> None:
        """A record is gone. Without a name (id 0) it may be any; names below 0 are arguments, which may be one another."""
        self.forget(lambda value: not id or not value.id or (value.id == id if id > 0 else value.id < 0))

    def forget_packet(self) -> None:
        """The packet may lie elsewhere: pointers into it are plain numbers from now on."""
        self.registers = [UNKNOWN if value.kind in (PACKET, PACKET_END) else value for value in self.registers]
        self.slots = {o: UNKNOWN if value.kind in (PACKET, PACKET_END) else value for o, value in self.slots.items()}
        self.proven.clear()

    def write(self, lo: int, hi: int, size: int, value: Value | None = None) -> None:
        """Bytes of this frame are written, at an offset from lo to hi; `value` fills the slot at lo."""
        if self.slots:
            for offset in [offset for offset in self.slots if lo - 8 < offset < hi + size]:
                del self.slots[offset]
        if lo == hi:
            if lo >= -FRAME and lo + size <= 0:
                self.written |= ((1 << size) - 1) << lo + FRAME
            if value is not None and size == 8 and lo % 8 == 0:
                self.slots[lo] = value

    def is_written(self, lo: int, hi: int, size: int) -> bool:
        """Whether all bytes of this frame that an access may touch hold something."""
        lo, end = max(lo, -FRAME), min(hi + size, 0)
        if lo >= end:
            return False
        bits = ((1 << end - lo) - 1) << lo + FRAME
        return self.written & bits == bits


def _unnamed(value: Value, id: int) -> Value:
    if value.kind == PACKET and value.ref == id:
        return pointer(PACKET)._replace(ref=-1, lo=-(1 << 62), hi=1 << 62, step=1)
    return value._replace(id=0)


def start_state(registers: Iterable[Value]) -> State:
    """The state at the begin of a function."""
    return State(list(registers), {}, 0, {})


def merge(states: list[State], live: int) -> State:
    """What is known when control comes from any of these; dead registers are not followed."""
    first = states[0]
    registers = [value if live >> number & 1 or number == 10 else UNKNOWN for number, value in enumerate(first.registers)]
    if len(states) == 1:
        return State(registers, first.slots.copy(), first.written, first.proven.copy())
    slots, written, proven = first.slots, first.written, first.proven
    for other in states[1:]:
        for number in range(10):
            if live >> number & 1:
                registers[number] = join(registers[number], other.registers[number])
        slots = {offset: join(value, other.slots[offset]) for offset, value in slots.items() if offset in other.slots}
        written &= other.written
        proven = {id: min(size, other.proven[id]) for id, size in proven.items() if id in other.proven}
    slots = {offset: value for offset, value in slots.items() if not _loses_base(value)}
    return State(registers, dict(slots), written, dict(proven))


def widened(old: State, new: State, marks: list[int]) -> State:
    """`new` with `old` in it, its bounds pushed outwards."""
    both = merge([old, new], 0x7FF)
    registers = [widen(before, after, marks) for before, after in zip(old.registers, both.registers, strict=True)]
    slots = {offset: widen(old.slots[offset], value, marks) for offset, value in both.slots.items()}
    slots = {offset: value for offset, value in slots.items() if not _loses_base(value)}
    return State(registers, slots, both.written, both.proven)


def _loses_base(value: Value) -> bool:
    """Whether a pointer in a slot cannot be checked when it is read back: where its object begins is not kept there."""
    return value.kind in MEMORY and value.kind != STACK and value.lo != value.hi
