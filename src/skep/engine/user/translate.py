"""One function of bytecode to LLVM IR: arithmetic, jumps and memory; calls are in `calls`.

What the analysis has proved is accessed as it is; everything else is checked first. LLVM's undefined behaviour is closed off:
shifts are cut to their width, division is guarded, nothing is `inbounds`, loads are `align 1`, null is an address.
"""

from __future__ import annotations

from skep.bytecode import instruction as isa
from skep.engine.user import checks
from skep.engine.user.calls import Calls
from skep.engine.user.layout import MISALIGNED
from skep.engine.user.metering import FIRST_ALLOWANCE, Meter
from skep.engine.user.state import FRAME
from skep.engine.user.steps import SIZES
from skep.engine.user.validate import CALL, CALLX, EXIT, GOTO, GOTOL, MAP_VALUES, MAY_GOTO, jump_target
from skep.engine.user.values import CTX, MAP, OF_KERNEL, SCALAR, VALUE, Value
from skep.engine.user.writer import BASED, POINTERS, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.bytecode.instruction import Instruction
    from skep.engine.user.analysis import Analysis
    from skep.engine.user.module import Module

_BINARY = {isa.ADD: "add", isa.SUB: "sub", isa.MUL: "mul", isa.OR: "or", isa.AND: "and", isa.XOR: "xor"}
_SHIFTS = {isa.LSH: "shl", isa.RSH: "lshr", isa.ARSH: "ashr"}
_CONDITIONS = {
    isa.JEQ: "eq", isa.JGT: "ugt", isa.JGE: "uge", isa.JNE: "ne", isa.JSGT: "sgt", isa.JSGE: "sge", isa.JLT: "ult",
    isa.JLE: "ule", isa.JSLT: "slt", isa.JSLE: "sle",
}  # fmt: skip
_ATOMICS = {isa.ADD: "add", isa.OR: "or", isa.AND: "and", isa.XOR: "xor", isa.XCHG: "xchg"}
_ROUNDS = 8 << 20  # of may_goto; BPF_MAX_LOOPS
_VALUES = 24  # offset of `values` in struct skep_map


class FunctionWriter(Calls):
    """Writes one function; `text` is all of it."""

    __slots__ = ("_backs", "_insn")

    def __init__(self, module: Module, analysis: Analysis, meter: Meter, given: list[Value] | None) -> None:
        super().__init__(module, analysis, meter, given)
        self._backs: list[tuple[str, int, int]] = []

    def text(self) -> str:
        """The function, as a definition."""
        flow = self.analysis.flow
        for at in flow.order:
            state = self.analysis.states.get(at)
            if state is None:
                self.label(f"b{at}")
                self.emit("br label %never")
                continue
            self.begin(f"b{at}", state.copy())
            for position in flow.blocks[at].positions:
                self._instruction(position, at)
        for label, at, target in self._backs:
            self.label(label)
            self.pay(self.meter.weights.get(target, 1000), at)
            self.emit(f"br label %b{target}")
        self.write_traps(self.failed)
        return "\n".join([*self._opening(), *self.lines, *self._closing()])

    def _opening(self) -> list[str]:
        depth = self.module.depth
        is_cleared = self.analysis.function.start in self.module.cleared
        if is_cleared:
            checks.stack_bounds(self)
        lines = [self.signature(), "entry:"]
        if self.is_main:
            lines += [
                f"  %stack = alloca [{FRAME * depth} x i8], align 16",
                f"  %fp = getelementptr i8, ptr %stack, i64 {FRAME * depth}",
            ]
        lines += self.heads
        lines += [f"  %r{register} = alloca i64" for register in range(10)]
        lines += [f"  %p{register} = alloca ptr" for register in range(10)]
        lines += [f"  %begin{register} = alloca ptr" for register in range(10)]
        lines += [f"  store i64 0, ptr %r{register}" for register in range(10)]
        lines += self.entry_stores()
        lines += ["  %fuel = alloca i64", "  %rounds = alloca i64", f"  store i64 {_ROUNDS}, ptr %rounds"]
        if self.meter.metered:
            if self.is_main:
                lines.append(f"  store i64 {FIRST_ALLOWANCE}, ptr %fuel")
            else:
                lines += [
                    f"  %left.at = getelementptr i8, ptr %env, i64 {field('fuel')}",
                    "  %left = load i64, ptr %left.at",
                    "  store i64 %left, ptr %fuel",
                ]
        if is_cleared:
            lines.append(f"  call void @llvm.memset.p0.i64(ptr align 16 %frame.begin, i8 0, i64 {FRAME}, i1 false)")
        lines.append(f"  br label %b{self.analysis.flow.start}")
        return lines

    def _closing(self) -> list[str]:
        return ["never:", "  " + self.failed, "}"]

    # -- one instruction

    def _instruction(self, position: int, block: int) -> None:
        insn = self.module.unit.code.insns[position]
        assert insn is not None
        group = insn.code & 7
        if group in (isa.ALU, isa.ALU64):
            self._arithmetic(position, insn)
        elif group == isa.LDX:
            self._load(position, insn)
        elif group in (isa.ST, isa.STX):
            (self._atomic if insn.code & 0xE0 == isa.ATOMIC else self._store)(position, insn)
        elif insn.code == isa.LOAD_64:
            self._constant(position, insn)
        elif insn.code in (CALL, CALLX):
            self.call(position, insn)
        elif insn.code == EXIT:
            self.leave(self.number(0))
            return
        else:
            self._jump(position, insn, block)
            return
        following = self.analysis.flow.blocks[block]
        if position == following.positions[-1]:
            self._go_on(block, following.next)
            self.emit(f"br label %{self._way(position, block, following.next[0])}")

    def _go_on(self, block: int, targets: list[int]) -> None:
        found = []
        for target in targets:
            state = self.analysis.states.get(target)
            if state is not None:
                found.append((state, self.analysis.flow.blocks[target].live))
        self.store(found)

    def _way(self, position: int, block: int, target: int) -> str:
        """The label to go to; ways back pay for the round first."""
        flow = self.analysis.flow
        loop = flow.loops.get(target)
        metered = loop is not None and block in loop.latches and target in self.meter.weights
        if not metered and (block, target) not in flow.stray:
            return f"b{target}"
        label = self.name("back")
        self._backs.append((label, position, target))
        return label

    # -- arithmetic

    def _arithmetic(self, position: int, insn: Instruction) -> None:
        before = self.known(insn.dst)
        source = self.known(insn.src)
        operation, by_register, wide = insn.code & 0xF0, insn.code & isa.X, insn.code & 7 == isa.ALU64
        if wide and by_register and operation == isa.MOV and not insn.off and source.kind in POINTERS:
            pointer, base = self.pointer(insn.src), self.base(insn.src) if source.kind in BASED else ""
            self.set_pointer(insn.dst, pointer, self.advance(position), base)
            return
        pointers = before.kind in POINTERS or (by_register and source.kind in POINTERS)
        if pointers and self._pointer_arithmetic(position, insn, before):
            return
        name = self._wide(insn, operation) if wide else self._narrow(insn, operation)
        self.advance(position)
        self.set_int(insn.dst, name)

    def _pointer_arithmetic(self, position: int, insn: Instruction, before: Value) -> bool:
        """Add to or subtract from a pointer that stays one; False where the result is a number."""
        operation, by_register = insn.code & 0xF0, insn.code & isa.X
        if operation not in (isa.ADD, isa.SUB) or insn.code & 7 != isa.ALU64:
            return False
        register, other = (insn.dst, insn.src) if before.kind in POINTERS else (insn.src, insn.dst)
        after = self.after(position, insn.dst)
        if after.kind not in POINTERS:
            return False
        pointer = self.pointer(register)
        base = self.base(register) if after.kind in BASED else ""
        if not by_register:
            moved = self.offset(pointer, insn.imm if operation == isa.ADD else -insn.imm)
        else:
            amount = self.number(other)
            if operation == isa.SUB:
                amount = self.value(f"sub i64 0, {amount}")
            moved = self.value(f"getelementptr i8, ptr {pointer}, i64 {amount}")
        self.set_pointer(insn.dst, moved, self.advance(position), base)
        return True

    def _operand(self, insn: Instruction, width: int) -> str:
        if not insn.code & isa.X:
            return str(insn.imm)
        return self.number(insn.src) if width == 64 else self.low(insn.src)

    def _wide(self, insn: Instruction, operation: int) -> str:
        if operation == isa.MOV:
            if insn.off:
                cut = self.value(f"trunc i64 {self.number(insn.src)} to i{insn.off}")
                return self.value(f"sext i{insn.off} {cut} to i64")
            return self.number(insn.src) if insn.code & isa.X else str(insn.imm)
        if operation == isa.END:
            return self._swapped(insn, True)
        a = self.number(insn.dst)
        return self._operate(insn, operation, a, 64)

    def _narrow(self, insn: Instruction, operation: int) -> str:
        if operation == isa.END:
            return self._swapped(insn, bool(insn.code & isa.X))
        if operation == isa.MOV:
            if not insn.code & isa.X:
                return str(insn.imm & 0xFFFFFFFF)
            result = self.low(insn.src)
            if insn.off:
                cut = self.value(f"trunc i32 {result} to i{insn.off}")
                result = self.value(f"sext i{insn.off} {cut} to i32")
        else:
            result = self._operate(insn, operation, self.low(insn.dst), 32)
        return self.value(f"zext i32 {result} to i64")

    def _operate(self, insn: Instruction, operation: int, a: str, width: int) -> str:
        if operation == isa.NEG:
            return self.value(f"sub i{width} 0, {a}")
        b = self._operand(insn, width)
        if operation in _BINARY:
            return self.value(f"{_BINARY[operation]} i{width} {a}, {b}")
        if operation in _SHIFTS:
            shift = str(insn.imm & width - 1) if not insn.code & isa.X else self.value(f"and i{width} {b}, {width - 1}")
            return self.value(f"{_SHIFTS[operation]} i{width} {a}, {shift}")
        return self._divide(insn, operation, a, b, width)

    def _divide(self, insn: Instruction, operation: int, a: str, b: str, width: int) -> str:
        """By zero: the quotient is 0, the remainder the dividend; the smallest number by -1 is itself, remainder 0."""
        kind = f"i{width}"
        if not insn.code & isa.X:
            if insn.imm == 0:
                return "0" if operation == isa.DIV else a
            if insn.off and insn.imm == -1:
                return self.value(f"sub {kind} 0, {a}") if operation == isa.DIV else "0"
            name = ("s" if insn.off else "u") + ("div" if operation == isa.DIV else "rem")
            return self.value(f"{name} {kind} {a}, {b}")
        zero = self.value(f"icmp eq {kind} {b}, 0")
        if not insn.off:
            divisor = self.value(f"select i1 {zero}, {kind} 1, {kind} {b}")
            result = self.value(f"{'udiv' if operation == isa.DIV else 'urem'} {kind} {a}, {divisor}")
        else:
            negative = self.value(f"icmp eq {kind} {b}, -1")
            odd = self.value(f"or i1 {zero}, {negative}")
            divisor = self.value(f"select i1 {odd}, {kind} 1, {kind} {b}")
            result = self.value(f"{'sdiv' if operation == isa.DIV else 'srem'} {kind} {a}, {divisor}")
            if operation == isa.DIV:
                negated = self.value(f"sub {kind} 0, {a}")
                result = self.value(f"select i1 {negative}, {kind} {negated}, {kind} {result}")
        return self.value(f"select i1 {zero}, {kind} {'0' if operation == isa.DIV else a}, {kind} {result}")

    def _swapped(self, insn: Instruction, swap: bool) -> str:
        """Byte order: "le" cuts to the width on a little-endian machine, "be" and bswap reverse the bytes."""
        value, width = self.number(insn.dst), insn.imm
        if width < 64:
            value = self.value(f"trunc i64 {value} to i{width}")
        if swap:
            value = self.value(f"call i{width} @llvm.bswap.i{width}(i{width} {value})")
        return self.value(f"zext i{width} {value} to i64") if width < 64 else value

    def _constant(self, position: int, insn: Instruction) -> None:
        after = self.advance(position)
        if after.kind == MAP:
            self.set_pointer(insn.dst, self.module.map(after.ref), after)
        elif after.kind == VALUE and insn.src in MAP_VALUES:
            values = self.once(f"values{after.ref}", self.module.values(after.ref))
            self.set_pointer(insn.dst, self.offset(values, after.lo), after)
        else:
            number = after.ref if insn.src == isa.PSEUDO_FUNC else insn.imm
            self.set_int(insn.dst, str(number if number < 1 << 63 else number - (1 << 64)))

    # -- jumps

    def _jump(self, position: int, insn: Instruction, block: int) -> None:
        target = jump_target(position, insn)
        assert target is not None
        if insn.code in (GOTO, GOTOL):
            self._go_on(block, [target])
            self.emit(f"br label %{self._way(position, block, target)}")
            return
        following = position + 1
        if insn.code == MAY_GOTO:
            rounds = self.value("load i64, ptr %rounds")
            left = self.value(f"sub i64 {rounds}, 1")
            self.emit(f"store i64 {left}, ptr %rounds")
            condition = self.value(f"icmp eq i64 {rounds}, 0")
            again = self.value(f"select i1 {condition}, i64 0, i64 {left}")
            self.emit(f"store i64 {again}, ptr %rounds")
        else:
            condition = self._condition(insn)
        self._go_on(block, [target, following])
        taken, other = self._way(position, block, target), self._way(position, block, following)
        self.emit(f"br i1 {condition}, label %{taken}, label %{other}")

    def _condition(self, insn: Instruction) -> str:
        operation = insn.code & 0xF0
        if insn.code & 7 == isa.JMP32:
            kind, a = "i32", self.low(insn.dst)
            b = self.low(insn.src) if insn.code & isa.X else str(insn.imm)
        elif (
            self.known(insn.dst).kind in POINTERS and not insn.code & isa.X and insn.imm == 0 and operation in (isa.JEQ, isa.JNE)
        ):
            kind, a, b = "ptr", self.pointer(insn.dst), "null"
        else:
            kind, a = "i64", self.number(insn.dst)
            b = self.number(insn.src) if insn.code & isa.X else str(insn.imm)
        if operation == isa.JSET:
            both = self.value(f"and {kind} {a}, {b}")
            return self.value(f"icmp ne {kind} {both}, 0")
        return self.value(f"icmp {_CONDITIONS[operation]} {kind} {a}, {b}")

    # -- memory

    def address(self, position: int, register: int, offset: int, size: int) -> str:
        """Where an access goes to, after what is not proved of it was checked."""
        known = self.known(register)
        if known.kind == SCALAR and known.ref == OF_KERNEL:
            raise self._refused(position, "it looks into a struct of the kernel's, and there is none in user space")
        if known.kind not in checks.CHECKED:
            return self._anywhere(position, register, offset, size)
        if self.analysis.proved(known, offset, size, self.state):
            return self.offset(self.pointer(register), offset)
        return checks.check_access(self, position, register, offset, size, least=size)

    def _anywhere(self, position: int, register: int, offset: int, size: int) -> str:
        """A number used as an address: it may lie in the context, the stack, or what the program's maps hold."""
        number = self.number(register)
        if offset:
            number = self.value(f"add i64 {number}, {offset}")
        found = checks.in_context(self, number, size), checks.in_stack(self, number, size)
        near = self.value(f"or i1 {found[0]}, {found[1]}")
        far, fine = self.name("far"), self.name("near")
        self.emit(f"br i1 {near}, label %{fine}, label %{far}")
        self.label(far)
        self.check(self.allowed(number, str(size)), position, number, size)
        self.emit(f"br label %{fine}")
        self.label(fine)
        return self.value(f"inttoptr i64 {number} to ptr")

    def _load(self, position: int, insn: Instruction) -> None:
        size = SIZES[insn.code & 0x18]
        base = self.known(insn.src)
        kept = self.module.unit.context.fields.get((base.lo + insn.off, size))
        if base.kind == CTX and base.lo == base.hi and kept:
            place = self.offset("%ctx", kept[0])
            after = self.advance(position)
            if after.kind in POINTERS:
                self.set_pointer(insn.dst, self.value(f"load ptr, ptr {place}, align 8"), after)
            else:
                self.set_int(insn.dst, self.value(f"load i64, ptr {place}, align 8"))
            return
        after = self.after(position, insn.dst)
        if after.kind == "S" and after.lo == after.hi and base.kind == VALUE:  # frozen content
            self.advance(position)
            self.set_int(insn.dst, str(after.lo if after.lo < 1 << 63 else after.lo - (1 << 64)))
            return
        address = self.address(position, insn.src, insn.off, size)
        after = self.advance(position)
        if after.kind in POINTERS:
            self.set_pointer(insn.dst, self.value(f"load ptr, ptr {address}, align 1"), after)
            return
        value = self.value(f"load i{size * 8}, ptr {address}, align 1")
        if size < 8:
            extend = "sext" if insn.code & 0xE0 == isa.MEMSX else "zext"
            value = self.value(f"{extend} i{size * 8} {value} to i64")
        self.set_int(insn.dst, value)

    def _store(self, position: int, insn: Instruction) -> None:
        self._refuse_constants(position, insn.dst)
        size = SIZES[insn.code & 0x18]
        address = self.address(position, insn.dst, insn.off, size)
        if insn.code & 7 == isa.ST:
            bits = size * 8
            number = insn.imm & (1 << bits) - 1
            self.emit(f"store i{bits} {number - (1 << bits) if number >> bits - 1 else number}, ptr {address}, align 1")
        elif size == 8 and self.known(insn.src).kind in POINTERS:
            self.emit(f"store ptr {self.pointer(insn.src)}, ptr {address}, align 1")
        else:
            self.emit(f"store i{size * 8} {self._cut(insn.src, size)}, ptr {address}, align 1")
        self.advance(position)

    def _cut(self, register: int, size: int) -> str:
        value = self.number(register)
        return value if size == 8 else self.value(f"trunc i64 {value} to i{size * 8}")

    def _atomic(self, position: int, insn: Instruction) -> None:
        size = SIZES[insn.code & 0x18]
        kind = f"i{size * 8}"
        loads = insn.imm == isa.LOAD_ACQUIRE
        if not loads:
            self._refuse_constants(position, insn.dst)
        address = self.address(position, insn.src if loads else insn.dst, insn.off, size)
        if size > 1:
            number = self.value(f"ptrtoint ptr {address} to i64")
            odd = self.value(f"and i64 {number}, {size - 1}")
            self.check(self.value(f"icmp eq i64 {odd}, 0"), position, number, size, MISALIGNED)
        if loads:
            result = self.value(f"load atomic {kind}, ptr {address} acquire, align {size}")
            self.advance(position)
            self._set_wide(insn.dst, result, size)
            return
        source = self._cut(insn.src, size)
        if insn.imm == isa.STORE_RELEASE:
            self.emit(f"store atomic {kind} {source}, ptr {address} release, align {size}")
            self.advance(position)
        elif insn.imm == isa.CMPXCHG:
            expected = self._cut(0, size)
            pair = self.value(f"cmpxchg ptr {address}, {kind} {expected}, {kind} {source} seq_cst seq_cst, align {size}")
            self.advance(position)
            self._set_wide(0, self.value(f"extractvalue {{ {kind}, i1 }} {pair}, 0"), size)
        else:
            fetches = insn.imm & isa.FETCH
            name = _ATOMICS[insn.imm if insn.imm == isa.XCHG else insn.imm & ~isa.FETCH]
            order = "seq_cst" if fetches else "monotonic"
            old = self.value(f"atomicrmw {name} ptr {address}, {kind} {source} {order}, align {size}")
            self.advance(position)
            if fetches:
                self._set_wide(insn.src, old, size)

    def _set_wide(self, register: int, value: str, size: int) -> None:
        self.set_int(register, value if size == 8 else self.value(f"zext i{size * 8} {value} to i64"))


def write_function(module: Module, analysis: Analysis, meter: Meter, given: list[Value] | None) -> str:
    """The LLVM IR of one function."""
    return FunctionWriter(module, analysis, meter, given).text()
