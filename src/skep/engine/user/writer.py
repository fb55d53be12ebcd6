"""Writes one function's LLVM IR: values with names, blocks, registers in memory between blocks, checks that lead to a fault.

Each of r0 to r10 lives in an i64 or, while it is known to be a pointer, in a ptr (with the begin of what it points into);
LLVM makes values of them. What is proved is for `translate` to say.
"""

from __future__ import annotations

from skep.engine.user.layout import BAD_MEMORY, Env
from skep.engine.user.values import KEY, MAP, MEMORY, RECORD, VALUE, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.engine.user.state import State

POINTERS = MEMORY | {MAP}
BASED = frozenset((VALUE, RECORD, KEY))  # a check needs to know where their object begins
_LIKELY = "!prof !0"


class Writer:
    """The text of one function, and which name each register has in the current block."""

    __slots__ = ("_bases", "_dirty", "_ints", "_names", "_pointers", "heads", "lines", "state", "traps")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.heads: list[str] = []  # of the entry block: what is computed once
        self.traps: list[tuple[str, int, str, int, int]] = []
        self._names = 0
        self._ints: dict[int, str] = {}
        self._pointers: dict[int, str] = {}
        self._bases: dict[int, str] = {}
        self._dirty: set[int] = set()
        self.state: State

    # -- text

    def name(self, prefix: str) -> str:
        """A new name."""
        self._names += 1
        return f"{prefix}{self._names}"

    def emit(self, text: str) -> None:
        """One instruction without a result."""
        self.lines.append("  " + text)

    def value(self, text: str) -> str:
        """One instruction; the name of its result."""
        name = self.name("%t")
        self.lines.append(f"  {name} = {text}")
        return name

    def once(self, name: str, text: str) -> str:
        """A value of the entry block, computed once."""
        line = f"  %{name} = {text}"
        if line not in self.heads:
            self.heads.append(line)
        return f"%{name}"

    def label(self, name: str) -> None:
        """Go on in a block; what is known of registers stays (use `begin` where other ways lead here)."""
        self.lines.append(name + ":")

    def begin(self, name: str, state: State) -> None:
        """Go on in a block that may be reached from elsewhere."""
        self.label(name)
        self.state = state
        self._ints.clear()
        self._pointers.clear()
        self._bases.clear()
        self._dirty.clear()

    # -- registers

    def known(self, register: int) -> Value:
        """What is known of a register here."""
        return self.state.registers[register]

    def number(self, register: int) -> str:
        """A register as a number."""
        known = self.known(register)
        if known.kind in POINTERS:
            return self.value(f"ptrtoint ptr {self.pointer(register)} to i64")
        if known.lo == known.hi and known.kind == "S":
            return str(known.lo if known.lo < 1 << 63 else known.lo - (1 << 64))
        if register not in self._ints:
            self._ints[register] = self.value(f"load i64, ptr %r{register}")
        return self._ints[register]

    def low(self, register: int) -> str:
        """The low 32 bits of a register."""
        known = self.known(register)
        if known.kind == "S" and known.lo == known.hi:
            low = known.lo & 0xFFFFFFFF
            return str(low if low < 1 << 31 else low - (1 << 32))
        return self.value(f"trunc i64 {self.number(register)} to i32")

    def pointer(self, register: int) -> str:
        """A register that is a pointer."""
        if register == 10:
            return "%fp"
        if register not in self._pointers:
            self._pointers[register] = self.value(f"load ptr, ptr %p{register}")
        return self._pointers[register]

    def base(self, register: int) -> str:
        """Where the object begins that a pointer points into."""
        known = self.known(register)
        if known.lo == known.hi:
            return self.offset(self.pointer(register), -known.lo)
        if register not in self._bases:
            self._bases[register] = self.value(f"load ptr, ptr %begin{register}")
        return self._bases[register]

    def offset(self, pointer: str, offset: int) -> str:
        """A pointer moved by a constant."""
        return self.value(f"getelementptr i8, ptr {pointer}, i64 {offset}") if offset else pointer

    def set_int(self, register: int, name: str) -> None:
        """A register becomes a number."""
        self._ints[register] = name
        self._pointers.pop(register, None)
        self._dirty.add(register)

    def set_pointer(self, register: int, name: str, known: Value, base: str = "") -> None:
        """A register becomes a pointer; `base` where that is not at its known offset before it."""
        self._pointers[register] = name
        self._ints.pop(register, None)
        self._bases.pop(register, None)
        self._dirty.add(register)
        if known.kind in BASED:
            self._bases[register] = base or self.offset(name, -known.lo)

    def store(self, targets: list[tuple[State, int]]) -> None:
        """Put registers where the next blocks find them; `targets` are their states and which registers they read."""
        for register in range(10):
            known = self.known(register)
            wanted = [state.registers[register] for state, live in targets if live >> register & 1]
            if not wanted:
                continue
            if known.kind not in POINTERS:
                if register in self._dirty:
                    self.emit(f"store i64 {self.number(register)}, ptr %r{register}")
                continue
            if register in self._dirty:
                self.emit(f"store ptr {self.pointer(register)}, ptr %p{register}")
                if known.kind in BASED:
                    self.emit(f"store ptr {self._bases[register]}, ptr %begin{register}")
            if any(value.kind not in POINTERS for value in wanted):
                self.emit(f"store i64 {self.number(register)}, ptr %r{register}")
        self._dirty.clear()

    # -- checks

    def check(self, condition: str, position: int, address: str, size: int, fault: int = BAD_MEMORY) -> None:
        """Go on only if a condition holds, else the run ends with a fault at `address` (an i64)."""
        fine = self.name("fine")
        trap = self.name("trap")
        self.emit(f"br i1 {condition}, label %{fine}, label %{trap}, {_LIKELY}")
        self.label(fine)
        self.traps.append((trap, position, address, size, fault))

    def write_traps(self, failed: str) -> None:
        """The blocks that faults lead to; `failed` leaves the function."""
        for label, position, address, size, fault in self.traps:
            self.label(label)
            self.emit(f"call void @skep_fault(ptr %env, i64 {position}, i64 {address}, i64 {size}, i64 {fault}) cold")
            self.emit(failed)


def field(name: str) -> int:
    """The offset of a field of struct skep_env."""
    offset: int = getattr(Env, name).offset
    return offset
