"""`asm` statements to LLVM IR. BPF instructions become IR whose every result goes through an empty `asm`.

LLVM has no BPF assembler here, but it cannot see through an empty `asm` either: it keeps each instruction, and what it may
assume is what it may assume around opaque assembly. r0 to r9 are pinned, so results stand in the registers that were named.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from skep.compiler import tree
from skep.compiler import types as ct
from skep.compiler.abi import llvm_type
from skep.compiler.asm_operands import Checked, check_operands
from skep.compiler.helpers import HELPERS
from skep.compiler.inline_asm import AsmError, Immediate, Instruction, Memory, Reader, Register, place_in

if TYPE_CHECKING:
    from skep.compiler.values import Values

_WORDS = {
    "+": "add", "-": "sub", "*": "mul", "/": "udiv", "%": "urem", "&": "and", "|": "or", "^": "xor", "<<": "shl",
    ">>": "lshr", "s>>": "ashr",
}  # fmt: skip
# CmpInst::Predicate of llvm/IR/InstrTypes.h
_CONDITIONS = {"==": 32, "!=": 33, ">": 34, ">=": 35, "<": 36, "<=": 37, "s>": 38, "s>=": 39, "s<": 40, "s<=": 41}
_COMMUTATIVE = {"+", "*", "&", "|", "^"}
_DIVISIONS = {"/", "%", "s/", "s%"}
_FRAME = 512  # bytes of stack that a program has


class AsmLowering:
    """The registers of one function's assembly; `emit` is the entry. Registers are slots that LLVM turns into values."""

    def __init__(self, values: Values) -> None:
        self.v = values
        self.f = values.f
        self.m = values.f.m
        self.registers: dict[int, str] = {}
        self.top = ""  # the address that r10 holds
        self.depth = 0  # bytes below it that are used
        self.frame_line = 0
        self.node: tree.Asm
        self.operands: list[Checked] = []
        self.cells: dict[int, str] = {}  # of operands in registers
        self.effects = ""
        self.count = 0  # LLVM takes two that have one number for the same
        self.labels: dict[int, str] = {}  # of instructions, and of the ways to labels of C
        self.here = 0  # the instruction at hand

    def emit(self, node: tree.Asm) -> None:
        """A BPF statement whose template has instructions, or labels to jump to."""
        operands = check_operands(self.m, self.v, node)
        if operands is None:
            return
        shown = [operand.shown() for operand in operands]
        try:
            instructions = Reader(node.template, shown, [name for name, _ in node.labels], basic=node.basic).read()
        except AsmError as error:
            self.m.error(error.message, place_in(node.strings, error.start, error.end), "asm")
            return
        self.node, self.operands = node, operands
        simple = all(i.kind in ("alu", "move", "wide", "neg", "swap", "extend") for i in instructions)
        # LLVM may drop what has outputs only and is not volatile
        self.effects = "sideeffect " if node.volatile or not simple else ""
        self._deepen(instructions)
        memory = "memory" in node.clobbers
        compared = [r for i in instructions if i.kind == "if" for r in (i.left, i.value) if isinstance(r, Register) and r.operand]
        places = self._load_operands({register.number for register in compared})
        if memory:
            self._fence()
        self._run(instructions)
        after = self.f.fresh("asmdone")
        self._store_operands(places, memory)
        self.f.jump(after)
        for target in sorted({i.target for i in instructions if i.target < 0}, reverse=True):
            self.f.label(self.labels[target])
            self._store_operands(places, memory)
            self.f.statement(node.labels[-1 - target][1])
        self.f.label(after)

    # --- operands

    def _load_operands(self, compared: set[int]) -> list[Any]:
        """Fill the operands' slots; gives the place of each output, and of each variable that the assembly compares."""
        places: list[Any] = []
        self.cells = {}
        for i, operand in enumerate(self.operands):
            place = None
            if operand.kind == "m":
                self.cells[i] = self.f.places.lvalue_address(operand.value)
            elif operand.output:
                place = self.f.places.place(operand.value)
                self.cells[i] = self.f.alloca(8, 8)
                if operand.tied is not None:
                    self._fill(i, self.v.scalar(operand.tied), operand.tied.type, constant=False)
                elif operand.reads:
                    self._fill(i, self.f.places.load(place, operand.value), operand.value.type, constant=False)
                else:
                    self.f.emit(f"store i64 {self._anything()}, ptr {self.cells[i]}, align 8")
            elif operand.kind == "i" and operand.number is None and operand.function is None:
                self.cells[i] = self._widened(self.v.scalar(operand.value), operand.value.type, signed=True)
            elif operand.kind in "rw" and not operand.is_tied:
                self.cells[i] = self.f.alloca(8, 8)
                if operand.is_place and i in compared:
                    place = self.f.places.place(operand.value)
                self._fill(i, self.v.scalar(operand.value), operand.value.type, constant=operand.maybe_constant)
            places.append(place)
        return places

    def _fill(self, index: int, value: str, type: ct.Type, *, constant: bool) -> None:
        if self.operands[index].kind == "w":  # only its lower half is looked at: no instruction extends it
            value = self.f.resize(value, ct.integer(type).bits, 32, ct.integer(type).signed)
            value = self.f.value(f'call i64 asm {self.effects}"", "=r,0"(i32 {value}) nomerge nounwind memory(none)')
            self.f.emit(f"store i64 {value}, ptr {self.cells[index]}, align 8")
            return
        value = self._widened(value, type, signed=False)
        if not constant:
            value = self._opaque(value)
            self.f.emit(f"store i64 {value}, ptr {self.cells[index]}, align 8")
            return
        # "ri": clang takes the constant where the value is one after inlining
        f = self.f
        symbol = self.m.intrinsic("llvm.is.constant.i64", "i1 {}(i64)")
        hidden, end = f.fresh("asmhidden"), f.fresh("asmvalue")
        f.emit(f"store i64 {value}, ptr {self.cells[index]}, align 8")
        f.branch(f.value(f"call i1 {symbol}(i64 {value})"), end, hidden)
        f.label(hidden)
        f.emit(f"store i64 {self._opaque(value)}, ptr {self.cells[index]}, align 8")
        f.label(end)

    def _widened(self, value: str, type: ct.Type, *, signed: bool) -> str:
        """A scalar in 64 bits; a constant keeps its sign, in a register an int has zeros above it."""
        text = llvm_type(type)
        if text == "ptr":
            return self.f.value(f"ptrtoint ptr {value} to i64")
        it = ct.integer(type)
        if it.bits < 32:
            value = self.f.resize(value, it.bits, 32, it.signed)
        return self.f.resize(value, max(it.bits, 32), 64, signed and it.signed)

    def _store_operands(self, places: list[Any], memory: bool) -> None:
        """What the statement leaves in its outputs; an input that is a variable is hidden once more.

        So LLVM connects no later test of that variable with a test in the assembly, and both use one register.
        """
        for i in sorted(range(len(places)), key=lambda i: self.operands[i].output):  # a variable may be an input and an output
            operand, place = self.operands[i], places[i]
            if place is None:
                continue
            value = self._hidden(self._read_cell(self.cells[i]))
            text = llvm_type(operand.value.type)
            if text == "ptr":
                value = self.f.value(f"inttoptr i64 {value} to ptr")
            else:
                value = self.f.resize(value, 64, int(text[1:]), False)
            self.f.places.store(place, value, operand.value)
        if memory:
            self._fence()

    # --- registers

    def _opaque(self, value: str, register: Register | None = None) -> str:
        """The value, as LLVM cannot know it, in a register of its choice or in the one named."""
        where = f"{{r{register.number}}}" if register is not None and not register.operand else "r"
        return self.f.value(f'call i64 asm {self.effects}"", "={where},0"(i64 {value}) nomerge nounwind memory(none)')

    def _opaque_right(self, value: str, bits: int) -> str:
        """The same for a second operand. (Not for results: LLVM takes it for granted that what writes w1 clears the rest.)"""
        name = "w" if bits == 32 else "r"
        return self.f.value(f'call i{bits} asm {self.effects}"", "={name},0"(i{bits} {value}) nomerge nounwind memory(none)')

    def _hidden(self, value: str, bits: int = 64) -> str:
        """The value, as LLVM cannot know it until its back end begins: this costs no instruction and pins nothing."""
        symbol = self.m.intrinsic(f"llvm.bpf.passthrough.i{bits}.i{bits}", f"i{bits} {{}}(i32, i{bits})")
        self.count += 1
        return self.f.value(f"call i{bits} {symbol}(i32 {self.count}, i{bits} {value})")

    def _anything(self, name: str = "r") -> str:
        """What a register holds before anything was written to it: the verifier refuses to read it."""
        return self.f.value(f'call i64 asm "", "={name}"() nounwind memory(none)')

    def _fence(self) -> None:
        self.f.emit('call void asm sideeffect "", "~{memory}"() nomerge nounwind')

    def _cell(self, register: Register) -> str:
        if register.operand:
            operand = self.operands[register.number]
            return self.cells[operand.tied_to if operand.is_tied else register.number]
        if not self.registers:
            self._incoming()
        return self.registers[register.number]

    def _incoming(self) -> None:
        """The registers at the function's start: what it was called with, and what the verifier refuses to read."""
        f = self.f
        passed = [f.register_argument(number) for number in range(10)]
        # a naked function takes more than its parameters, if the assembly that calls it sets more
        unnamed = [n for n in range(1, 6) if not passed[n]] if f.function.attributes.get("naked") and not f.entry else []
        values: dict[int, str] = {}
        if unnamed:
            whole = f.temp()
            type = "{" + ", ".join("i64" for _ in unnamed) + "}" if len(unnamed) > 1 else "i64"
            names = ",".join(f"={{r{n}}}" for n in unnamed)
            f.allocas.insert(0, f'  {whole} = call {type} asm sideeffect "", "{names}"() nounwind memory(none)')
            for i, n in enumerate(unnamed):
                values[n] = f.temp() if len(unnamed) > 1 else whole
                if len(unnamed) > 1:
                    f.allocas.append(f"  {values[n]} = extractvalue {type} {whole}, {i}")
        for number, given in enumerate(passed):
            slot = self.registers[number] = f.alloca(8, 8, f"asm.r{number}")
            name = values.get(number) or f.temp()
            text, _, value = given.partition(" ")
            if text == "i64":
                name = value
            elif text:
                f.allocas.append(f"  {name} = {'ptrtoint' if text == 'ptr' else 'zext'} {text} {value} to i64")
            elif number not in values:
                f.allocas.append(f'  {name} = call i64 asm "", "={{r{number}}}"() nounwind memory(none)')
            f.allocas.append(f"  store i64 {name}, ptr {slot}, align 8")

    def _read_cell(self, cell: str) -> str:
        return self.f.value(f"load i64, ptr {cell}, align 8")

    def _read(self, register: Register, bits: int = 64) -> str:
        if register.number == 10 and not register.operand:
            return self.f.value(f"ptrtoint ptr {self.top} to i64")
        value = self._read_cell(self._cell(register))
        return value if bits == 64 else self.f.value(f"trunc i64 {value} to i{bits}")

    def _value(self, value: Register | Immediate | None, bits: int) -> str:
        if isinstance(value, Register):
            return self._read(value, bits)
        assert value is not None
        if value.operand < 0:
            number = value.value & (1 << bits) - 1
            return str(number - (1 << bits) if number >> bits - 1 else number)
        given = self.operands[value.operand]
        base = f"ptrtoint (ptr {self.m.function_symbol(given.function)} to i64)" if given.function else self.cells[value.operand]
        if value.value:
            base = self.f.value(f"add i64 {base}, {value.value}")
        return base if bits == 64 else self.f.value(f"trunc i64 {base} to i{bits}")

    def _write(self, register: Register, value: str, bits: int = 64) -> None:
        if bits < 64:
            value = self.f.value(f"zext i{bits} {value} to i64")
        self.f.emit(f"store i64 {self._opaque(value, register)}, ptr {self._cell(register)}, align 8")

    # --- the stack of the assembly: r10 and below

    def _deepen(self, instructions: list[Instruction]) -> None:
        """How far below r10 the instructions reach, from their offsets."""
        depth = 0
        uses = False
        for item in instructions:
            registers = [item.value, item.left, item.memory.base if item.memory else None]
            uses |= any(isinstance(r, Register) and r.number == 10 and not r.operand for r in registers)
            if item.memory is not None and registers[2] == Register(10, 64):
                depth = max(depth, -item.memory.offset.value)
            if item.kind == "alu" and item.op in "+-" and isinstance(item.value, Immediate):
                down = item.value.value if item.op == "-" else -item.value.value
                depth = max(depth, down if down <= _FRAME else 0)
        if not uses:
            return
        if not self.top:
            self.top = "%asm.top"
            self.frame_line = len(self.f.allocas)
            self.f.allocas += ["", ""]
        self.depth = max(self.depth, -(-depth // 8) * 8, 8)
        self.f.allocas[self.frame_line] = f"  %asm.frame = alloca [{self.depth} x i8], align 8"
        self.f.allocas[self.frame_line + 1] = f"  %asm.top = getelementptr i8, ptr %asm.frame, i64 {self.depth}"

    def _frame_address(self, first: Instruction, second: Instruction | None) -> bool:
        """`r2 = r10; r2 += -8` at once: LLVM writes it so by itself."""
        if first.kind != "move" or first.value != Register(10, 64) or second is None or first.to is None:
            return False
        if second.kind != "alu" or second.op not in "+-" or second.to != first.to or not isinstance(second.value, Immediate):
            return False
        offset = second.value.value if second.op == "+" else -second.value.value
        if second.value.operand >= 0 or abs(offset) > _FRAME:
            return False
        place = self.f.value(f"getelementptr i8, ptr {self.top}, i64 {offset}")
        self._write(first.to, self.f.value(f"ptrtoint ptr {place} to i64"))
        return True

    # --- instructions

    def _run(self, instructions: list[Instruction]) -> None:
        f = self.f
        self.labels = {i.target: f.fresh("asm") for i in instructions if i.kind in ("if", "goto")}
        at = 0
        while at < len(instructions):
            if at in self.labels:
                f.label(self.labels[at])
            item = instructions[at]
            following = instructions[at + 1] if at + 1 < len(instructions) and at + 1 not in self.labels else None
            self.here = at
            if self._frame_address(item, following):
                at += 1
            else:
                self._instructions[item.kind](self, item)
            at += 1
        if at in self.labels:
            f.label(self.labels[at])

    def _alu(self, item: Instruction) -> None:
        assert item.to is not None
        type = f"i{item.bits}"
        left, right = self._read(item.to, item.bits), self._value(item.value, item.bits)
        if item.op in _COMMUTATIVE and isinstance(item.value, Register):
            left = self._hidden(left, item.bits)  # the younger of two values is the one that LLVM adds to
        elif item.op not in _COMMUTATIVE and item.value == item.to:
            right = self._opaque_right(right, item.bits)  # LLVM would know that x / x is 1, also for 0, and x s>> x not negative
        elif item.op in _DIVISIONS and isinstance(item.value, Register):
            right = self._hidden(right, item.bits)  # BPF divides by zero; LLVM would conclude that it never does
        elif item.op in _DIVISIONS and item.bits == 32:
            right = self._opaque_right(right, 32)  # no multiplication instead
        if item.op in ("s/", "s%"):
            result = self.v.signed_division(item.op[1], left, right, type)
        else:
            result = self.f.value(f"{_WORDS[item.op]} {type} {left}, {right}")
        self._write(item.to, result, item.bits)

    def _move(self, item: Instruction) -> None:
        assert item.to is not None
        self._write(item.to, self._value(item.value, item.bits), item.bits)

    def _wide(self, item: Instruction) -> None:
        assert item.to is not None
        self._write(item.to, self._value(item.value, 64))

    def _neg(self, item: Instruction) -> None:
        assert item.to is not None
        self._write(item.to, self.f.value(f"sub i{item.bits} 0, {self._value(item.value, item.bits)}"), item.bits)

    def _swap(self, item: Instruction) -> None:
        assert item.to is not None
        bits = int(item.name)
        value = self._value(item.value, bits)
        if item.op == "bswap" or (item.op == "be") == (sys.byteorder == "little"):
            symbol = self.m.intrinsic(f"llvm.bswap.i{bits}", f"i{bits} {{}}(i{bits})")
            value = self.f.value(f"call i{bits} {symbol}(i{bits} {value})")
        self._write(item.to, value, bits)

    def _extend(self, item: Instruction) -> None:
        assert item.to is not None
        bits = int(item.name)
        value = self._value(item.value, bits)
        if bits < item.bits:
            value = self.f.value(f"sext i{bits} {value} to i{item.bits}")
        self._write(item.to, value, item.bits)

    def _address(self, memory: Memory) -> str:
        if memory.base is None:
            return self.cells[memory.offset.operand]
        if memory.base == Register(10, 64):
            base = self.top
        else:
            base = self.f.value(f"inttoptr i64 {self._read(memory.base)} to ptr")
        if memory.offset == Immediate(0):
            return base
        return self.f.value(f"getelementptr i8, ptr {base}, i64 {self._value(memory.offset, 64)}")

    def _load(self, item: Instruction) -> None:
        assert item.memory is not None
        assert item.to is not None
        bits = item.memory.bits
        value = self.f.value(f"load volatile i{bits}, ptr {self._address(item.memory)}, align {bits // 8}")
        if bits < 64:
            value = self.f.value(f"{'sext' if item.memory.signed else 'zext'} i{bits} {value} to i64")
        self._write(item.to, value)

    def _store(self, item: Instruction) -> None:
        assert item.memory is not None
        bits = item.memory.bits
        address = self._address(item.memory)
        self.f.emit(f"store volatile i{bits} {self._value(item.value, bits)}, ptr {address}, align {bits // 8}")

    def _lock(self, item: Instruction) -> None:
        self._exchange(item, "monotonic")

    def _exchange(self, item: Instruction, order: str = "seq_cst") -> None:
        assert item.memory is not None
        type = f"i{item.bits}"
        address, word = self._address(item.memory), _WORDS.get(item.op, "xchg")
        value = self._value(item.value, item.bits)
        old = self.f.value(f"atomicrmw volatile {word} ptr {address}, {type} {value} {order}, align {item.bits // 8}")
        if item.to is not None:
            self._write(item.to, old, item.bits)

    def _compare_exchange(self, item: Instruction) -> None:
        assert item.memory is not None
        assert item.to is not None
        type = f"i{item.bits}"
        address = self._address(item.memory)
        pair = self.f.value(
            f"cmpxchg volatile ptr {address}, {type} {self._value(item.left, item.bits)}, "
            f"{type} {self._value(item.value, item.bits)} seq_cst seq_cst, align {item.bits // 8}"
        )
        self._write(item.to, self.f.value(f"extractvalue {{ {type}, i1 }} {pair}, 0"), item.bits)

    def _packet(self, item: Instruction) -> None:
        """The loads of classic BPF: the context is in r6, the result in r0."""
        assert item.to is not None
        width = {8: "byte", 16: "half", 32: "word"}.get(item.bits)
        if width is None or item.to != Register(0, 64):
            self._error(item, "a load from skb has 8, 16 or 32 bits and goes to r0")
            return
        symbol = self.m.intrinsic(f"llvm.bpf.load.{width}", "i64 {}(ptr, i64)")
        skb = self.f.value(f"inttoptr i64 {self._read(Register(6, 64))} to ptr")
        result = self.f.value(f"call i64 {symbol}(ptr {skb}, i64 {self._value(item.value, 64)})")
        self._clobber()
        self._write(item.to, result)

    # --- control flow

    def _if(self, item: Instruction) -> None:
        assert isinstance(item.left, Register)
        type = f"i{item.bits}"
        left, right = self._read(item.left, item.bits), self._value(item.value, item.bits)
        op = item.op
        if op == "&":
            left, right, op = self.f.value(f"and {type} {left}, {right}"), "0", "!="
        # LLVM's BPF back end makes an icmp of this when all optimisations are done: they conclude nothing from the way taken
        symbol = self.m.intrinsic(f"llvm.bpf.compare.{type}.{type}", f"i1 {{}}(i32, {type}, {type})")
        condition = self.f.value(f"call i1 {symbol}(i32 {_CONDITIONS[op]}, {type} {left}, {type} {right})")
        following = self.f.fresh("asm")
        self.f.emit(f"br i1 {condition}, label %{self.labels[item.target]}, label %{following}{self._once(item)}")
        self.f.terminated = True
        self.f.label(following)

    def _goto(self, item: Instruction) -> None:
        self.f.jump(self.labels[item.target], self._once(item))

    def _once(self, item: Instruction) -> str:
        """A loop in assembly is not unrolled."""
        if not 0 <= item.target <= self.here:
            return ""
        d = self.m.debug
        hint = d.node('!{!"llvm.loop.unroll.disable"}')
        loop = d.reserve()
        d.set(loop, f"distinct !{{{loop}, {hint}}}")
        return f", !llvm.loop {loop}"

    def _clobber(self) -> None:
        """A call leaves nothing in r1 to r5."""
        for number in range(1, 6):
            if number in self.registers:
                self.f.emit(f"store i64 {self._anything(f'{{r{number}}}')}, ptr {self.registers[number]}, align 8")

    def _call(self, item: Instruction) -> None:
        function = None
        if item.name:
            function = self.m.unit.functions.get(item.name)
        elif isinstance(item.value, Immediate) and item.value.operand >= 0:
            function = self.operands[item.value.operand].function
            if function is None:
                self._error(item, "a call needs a number or a function that is known when it is compiled")
                return
        if function is not None:
            self._call_function(item, function)
            return
        if item.name:
            name = item.name.removeprefix("bpf_")
            why = f'; a helper is an operand: call %[{item.name}] with [{item.name}]"i"({item.name})' if name in HELPERS else ""
            self._error(item, f"no function '{item.name}' in this text{why}")
            return
        assert isinstance(item.value, Immediate)
        count = _parameters(item.value.value)
        self._call_address(self.f.value(f"inttoptr i64 {item.value.value} to ptr"), count)

    def _call_address(self, target: str, count: int) -> None:
        args = ", ".join(f"i64 {self._read(Register(n, 64))}" for n in range(1, count + 1))
        result = self.f.value(f"call i64 {target}({args}) nomerge")
        self._clobber()
        self._write(Register(0, 64), result)

    def _call_function(self, item: Instruction, function: tree.Function) -> None:
        """A function of the text: its parameters have the types that it declares, a naked one's are all registers."""
        type = function.type
        if function.attributes.get("naked"):
            symbol = self.m.intrinsic("llvm.bpf.passthrough.p0.p0", "ptr {}(i32, ptr)")
            self.count += 1
            target = self.f.value(f"call ptr {symbol}(i32 {self.count}, ptr {self.m.function_symbol(function)})")
            self._call_address(target, 5)
            return
        scalars = [t for _, t in type.params] + ([] if isinstance(type.returns, ct.VoidType) else [type.returns])
        if not all(ct.is_scalar(t) and t.size <= 8 for t in scalars) or len(type.params) > 5:
            self._error(item, f"'{function.name}' cannot be called from assembly: it takes or gives more than registers hold")
            return
        args = []
        for n, (_, t) in enumerate(type.params, 1):
            args.append(f"{llvm_type(t)} {self._narrowed(self._read(Register(n, 64)), llvm_type(t))}")
        returns = "void" if isinstance(type.returns, ct.VoidType) else llvm_type(type.returns)
        call = f"call {returns} {self.m.function_symbol(function)}({', '.join(args)}) nomerge"
        result = self._anything("{r0}") if returns == "void" else self.f.value(call)
        if returns == "void":
            self.f.emit(call)
        else:
            result = self._widened(result, type.returns, signed=False)
        self._clobber()
        self._write(Register(0, 64), result)

    def _narrowed(self, value: str, text: str) -> str:
        if text == "ptr":
            return self.f.value(f"inttoptr i64 {value} to ptr")
        return self.f.resize(value, 64, int(text[1:]), False)

    def _return(self, item: Instruction) -> None:
        f = self.f
        if not (f.entry or f.function.inlining == "never"):
            self._error(item, f"'exit' would end the function that '{f.function.name}' is inlined into; make it noinline")
            return
        returns = f.function.type.returns
        if isinstance(returns, ct.VoidType):
            value = self._read(Register(0, 64))
            f.emit(f'call void asm sideeffect "", "{{r0}}"(i64 {value}) nomerge nounwind memory(none)')
            f.leave_function("")
        elif not ct.is_scalar(returns):
            self._error(item, f"'exit' cannot return '{returns}', which does not fit into r0")
        else:
            f.leave_function(self._narrowed(self._read(Register(0, 64)), llvm_type(returns)))

    def _error(self, item: Instruction, message: str) -> None:
        self.m.error(message, place_in(self.node.strings, item.start, item.end), "asm")

    _instructions: dict[str, Any] = {  # noqa: RUF012
        "alu": _alu, "move": _move, "wide": _wide, "neg": _neg, "swap": _swap, "extend": _extend, "load": _load, "store": _store,
        "lock": _lock, "fetch": _exchange, "xchg": _exchange, "cmpxchg": _compare_exchange, "packet": _packet, "if": _if,
        "goto": _goto, "call": _call, "exit": _return,
    }  # fmt: skip


def _parameters(number: int) -> int:
    """How many registers a helper reads."""
    for helper, _, params in HELPERS.values():
        if helper == number:
            return 0 if params == "void" else 5 if "..." in params else params.count(",") + 1
    return 5
