"""Calls in LLVM IR: functions of the program's own, helpers with their pointer arguments checked, callbacks, tail calls.

A base of `translate.FunctionWriter`, which adds the other instructions.
"""

from __future__ import annotations

from collections import namedtuple

from skep.bytecode import instruction as isa
from skep.engine.user import checks
from skep.engine.user import helpers as tables
from skep.engine.user.layout import BAD_CALL, TIME_OVER
from skep.engine.user.mapkinds import KINDS
from skep.engine.user.metering import MOST
from skep.engine.user.state import FRAME
from skep.engine.user.steps import is_written
from skep.engine.user.validate import CALLX
from skep.engine.user.values import CTX, FAR, FUNCTION, KEY, MAP, OF_KERNEL, PACKET, RECORD, SCALAR, VALUE, Value
from skep.engine.user.writer import BASED, POINTERS, Writer, field
from skep.errors import InvalidInstruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.bytecode.instruction import Instruction
    from skep.engine.user.analysis import Analysis
    from skep.engine.user.metering import Meter
    from skep.engine.user.module import Module

_TAIL_CALLS = 33  # MAX_TAIL_CALL_CNT, include/linux/bpf.h
_MAX_LOOPS = 1 << 23  # BPF_MAX_LOOPS
_E2BIG, _EINVAL, _ENOENT = -7, -22, -2
_RESULT = "{ i64, i1 }"  # of a function: its result, and whether the run has ended with a fault


Item = namedtuple("Item", ("kind", "name", "base"), defaults=("",))  # an "i64", or a "ptr" and where its object begins
_NOTHING = Item("i64", "0")


class Calls(Writer):
    """A function's begin and end, and its calls."""

    __slots__ = ("analysis", "failed", "given", "is_main", "meter", "module")

    def __init__(self, module: Module, analysis: Analysis, meter: Meter, given: list[Value] | None) -> None:
        super().__init__()
        self.module = module
        self.analysis = analysis
        self.meter = meter
        self.given = given
        self.is_main = given is None
        self.failed = "ret i64 0" if self.is_main else f"ret {_RESULT} {{ i64 0, i1 true }}"

    def signature(self) -> str:
        """How the definition begins."""
        if self.given is None:
            name = "internal i64 @main" if self.module.holds else "i64 @entry"
            return f"define {name}(ptr %ctx, ptr %env) nounwind null_pointer_is_valid {{"
        parameters = []
        for register, value in enumerate(self.given, 1):
            parameters += [f"ptr %a{register}"] if value.kind in POINTERS else [f"i64 %a{register}"]
            parameters += [f"ptr %o{register}"] if value.kind in BASED else []
        return (
            f"define internal {_RESULT} @f{self.analysis.function.start}({', '.join(parameters)}, ptr %ctx, ptr %env, "
            "ptr %stack, ptr %fp) nounwind null_pointer_is_valid {"
        )

    def entry_stores(self) -> list[str]:
        """The arguments into their registers."""
        begin = self.analysis.states[self.analysis.flow.start].registers
        if self.given is None:
            lines = self._store_pointer("%ctx", 1, begin[1])
            if self.module.unit.context.length:
                lines += [
                    f"  %given.at = getelementptr i8, ptr %env, i64 {field('ctx_size')}",
                    "  %given = load i64, ptr %given.at",
                    "  store i64 %given, ptr %r2",
                ]
            return lines
        lines = []
        for register, value in enumerate(self.given, 1):
            if value.kind in POINTERS:
                lines += self._store_pointer(f"%a{register}", register, begin[register])
                if value.kind in BASED:
                    lines.append(f"  store ptr %o{register}, ptr %begin{register}")
            else:
                lines.append(f"  store i64 %a{register}, ptr %r{register}")
        return lines

    def _store_pointer(self, name: str, register: int, known: Value) -> list[str]:
        """A pointer that is given; as a number where a loop comes back to the begin with something else."""
        if known.kind in POINTERS:
            return [f"  store ptr {name}, ptr %p{register}"]
        return [f"  %as.number{register} = ptrtoint ptr {name} to i64", f"  store i64 %as.number{register}, ptr %r{register}"]

    def leave(self, value: str) -> None:
        """Return a value."""
        if self.is_main:
            self.emit(f"ret i64 {value}")
            return
        if self.meter.metered:
            self._put_fuel()
        result = self.value(f"insertvalue {_RESULT} {{ i64 0, i1 false }}, i64 {value}, 0")
        self.emit(f"ret {_RESULT} {result}")

    # -- the analysis, alongside

    def advance(self, position: int) -> Value:
        """Follow one instruction; what is known of the register that it defines (or of r0)."""
        insn = self.module.unit.code.insns[position]
        assert insn is not None
        names = {}
        if insn.code & 7 == isa.JMP:
            names = {
                register: self.pointer(register) for register, value in enumerate(self.state.registers) if self._may_end(value)
            }
        self.analysis.step(position, self.state)
        for register, name in names.items():
            if self.state.registers[register].kind not in POINTERS:
                self.set_int(register, self.value(f"ptrtoint ptr {name} to i64"))
        return self.state.registers[insn.dst if insn.code & 7 not in (isa.JMP, isa.JMP32) else 0]

    def _may_end(self, value: Value) -> bool:
        """Whether a call may take away that a register is a pointer: a submitted record's, a moved packet's."""
        return value.kind == RECORD or (value.kind == PACKET and bool(self.module.unit.moving))

    def after(self, position: int, register: int) -> Value:
        """What will be known of a register after an instruction."""
        state = self.state.copy()
        self.analysis.step(position, state)
        return state.registers[register]

    def local(self, kind: str) -> str:
        """Memory of the function's own: in the entry block, so that it is there once."""
        name = self.name("%local")
        self.heads.append(f"  {name} = alloca {kind}")
        return name

    # -- what checks need

    def context_length(self) -> str:
        self.once("length.at", f"getelementptr i8, ptr %env, i64 {field('ctx_size')}")
        return self.once("length", "load i64, ptr %length.at")

    def packet_bounds(self) -> tuple[str, str]:
        """The packet's first byte that may be touched and its end, as numbers; zeros in programs without packets."""
        place = self.module.unit.context.packet
        if place is None:
            return "0", "0"
        if self.module.unit.moving:
            return tuple(self.value(f"load i64, ptr {self.offset('%ctx', offset)}") for offset in place)  # type: ignore[return-value]
        for name, offset in zip(("packet", "packet.end"), place, strict=True):
            self.once(f"{name}.at", f"getelementptr i8, ptr %ctx, i64 {offset}")
            self.once(name, f"load i64, ptr %{name}.at")
        return "%packet", "%packet.end"

    def allowed(self, number: str, size: str) -> str:
        """Whether memory lies in anything that the program may touch (an i1)."""
        begin, end = self.packet_bounds()
        _, room = checks.stack_bounds(self)
        answer = self.value(
            f"call i64 @skep_allowed(ptr %env, ptr %ctx, ptr %frame.begin, i64 {room}, ptr @regions, "
            f"i64 {begin}, i64 {end}, i64 {number}, i64 {size}) cold"
        )
        return self.value(f"icmp ne i64 {answer}, 0")

    # -- calls

    def pay(self, weight: int, position: int) -> None:
        """Take a round's cost out of the allowance; when it is used up, look at the clock."""
        enough, empty = self.name("enough"), self.name("empty")
        fuel = self.value("load i64, ptr %fuel")
        left = self.value(f"sub i64 {fuel}, {weight}")
        self.emit(f"store i64 {left}, ptr %fuel")
        positive = self.value(f"icmp sgt i64 {left}, 0")
        self.emit(f"br i1 {positive}, label %{enough}, label %{empty}, !prof !0")
        self.label(empty)
        more = self.value("call i64 @skep_refuel(ptr %env) cold")
        self.emit(f"store i64 {more}, ptr %fuel")
        goes_on = self.value(f"icmp ne i64 {more}, 0")
        self.check(goes_on, position, "0", 0, TIME_OVER)
        self.emit(f"br label %{enough}")
        self.label(enough)

    def call(self, position: int, insn: Instruction) -> None:
        if insn.code == CALLX:
            result = self._call_register(position, insn)
        elif insn.src == isa.PSEUDO_CALL:
            result = self._call_own(position, position + 1 + insn.imm, [1, 2, 3, 4, 5])
        elif insn.imm == tables.TAIL_CALL:
            result = self._tail_call(position)
        elif insn.imm == tables.LOOP:
            result = self._loop(position)
        elif insn.imm == tables.FOR_EACH:
            result = self._for_each(position)
        elif insn.imm == tables.DRAIN:
            result = self._drain(position)
        else:
            helper = self.analysis.helper(insn.imm)
            if helper is None:
                raise self._refused(position, tables.refusal(insn.imm, self.module.unit.context.name))
            result = self._helper(position, helper)
        known = self.advance(position)
        for register in range(1, 6):
            self.set_int(register, "0")
        if known.kind in POINTERS:
            self.set_pointer(0, self.value(f"inttoptr i64 {result} to ptr"), known)
        else:
            self.set_int(0, result)

    def _refuse_constants(self, position: int, register: int) -> None:
        """Loads of constants were replaced by what they hold, and tables are found by their keys: nothing may write there."""
        known = self.known(register)
        if known.kind == VALUE and self.analysis.facts(known).content is not None:
            raise self._refused(position, "it writes to a constant (a frozen map)")
        if known.kind == KEY:
            raise self._refused(position, "it writes to what a callback may only read (an element's key, a dynptr)")

    def _refused(self, position: int, what: str) -> InvalidInstruction:
        return InvalidInstruction(f"instruction {position}: {what}", insn=position)

    def _own_arguments(self, target: int, items: list[int | Item]) -> list[str]:
        """Registers, or values that were made here, as the parameters of a function of the program's own."""
        arguments = []
        for item, value in zip(items, self.module.given(target), strict=True):
            pointer = self._is_pointer(item)
            if value.kind in POINTERS:
                name, base = (self.pointer(item), "") if isinstance(item, int) else (item.name, item.base)
                arguments.append(f"ptr {name}")
                if value.kind in BASED:
                    arguments.append(f"ptr {self.base(item) if isinstance(item, int) else base}")
            elif isinstance(item, int):
                arguments.append(f"i64 {self.number(item)}")
            else:
                arguments.append(f"i64 {self.value(f'ptrtoint ptr {item.name} to i64') if pointer else item.name}")
        return arguments

    def _is_pointer(self, item: int | Item) -> bool:
        return self.known(item).kind in POINTERS if isinstance(item, int) else item.kind == "ptr"

    def _put_fuel(self) -> None:
        place = self.value(f"getelementptr i8, ptr %env, i64 {field('fuel')}")
        self.emit(f"store i64 {self.value('load i64, ptr %fuel')}, ptr {place}")

    def _call_own(self, position: int, target: int, items: list[int | Item]) -> str:
        arguments = self._own_arguments(target, items)
        metered = self.module.meters[target].metered
        if self.meter.pays:
            self.pay(min(self.module.meters[target].cost, MOST), position)
        if metered:
            self._put_fuel()
        frame = self.value(f"getelementptr i8, ptr %fp, i64 {-FRAME}")
        given = ", ".join([*arguments, "ptr %ctx", "ptr %env", "ptr %stack", f"ptr {frame}"])
        pair = self.value(f"call {_RESULT} @f{target}({given})")
        failed = self.value(f"extractvalue {_RESULT} {pair}, 1")
        fine = self.name("fine")
        self.emit(f"br i1 {failed}, label %never, label %{fine}")
        self.label(fine)
        if metered:
            place = self.value(f"getelementptr i8, ptr %env, i64 {field('fuel')}")
            self.emit(f"store i64 {self.value(f'load i64, ptr {place}')}, ptr %fuel")
        return self.value(f"extractvalue {_RESULT} {pair}, 0")

    def _call_register(self, position: int, insn: Instruction) -> str:
        """callx: a function whose address was taken, or a helper by its number, of those that take no pointers."""
        known = self.known(insn.dst)
        if known.kind == FUNCTION:
            return self._call_own(position, known.ref, [1, 2, 3, 4, 5])
        plain = {number: tables.HELPERS[number] for number in tables.BY_NUMBER}
        number = self.number(insn.dst)
        registers = [self.number(register) for register in range(1, 6)]
        wrong, done = self.name("wrong"), self.name("done")
        ways = {id: self.name("way") for id in plain}
        self.emit(f"switch i64 {number}, label %{wrong} [ " + " ".join(f"i64 {i}, label %{n}" for i, n in ways.items()) + " ]")
        self.traps.append((wrong, position, number, 0, BAD_CALL))
        results = []
        for id, label in ways.items():
            self.label(label)
            results.append((self._call_helper(plain[id], registers[: len(plain[id].arguments)]), label))
            self.emit(f"br label %{done}")
        self.label(done)
        return self.value("phi i64 " + ", ".join(f"[ {value}, %{label} ]" for value, label in results))

    def _call_helper(self, helper: tables.Helper, arguments: list[str]) -> str:
        self.module.uses(f"helper_{helper.name}", helper.file)
        given = [*arguments, *["0"] * (5 - len(arguments))]
        return self.value(f"call i64 @helper_{helper.name}(ptr %env, {', '.join(f'i64 {value}' for value in given)})")

    def _helper(self, position: int, helper: tables.Helper) -> str:
        arguments = [self._argument(position, helper, number) for number in range(1, len(helper.arguments) + 1)]
        if tables.SOURCE in helper.arguments:
            arguments += ["0"] * (4 - len(arguments)) + [self._is_known(helper.arguments.index(tables.SOURCE) + 1)]
        if helper.looks:
            self._show_memory()
        if not helper.operation:
            result = self._call_helper(helper, arguments)
            if helper.result == tables.TIME_IS_OVER:
                self.check(self.value(f"icmp eq i64 {result}, 0"), position, "0", 0, TIME_OVER)
            return result
        map, shape = self._map(position, 1)
        return self._operation(position, helper.operation, map, shape, arguments[1:])

    def _map(self, position: int, register: int) -> tuple[str, str]:
        """A map as a pointer, and its constant shape."""
        known = self.known(register)
        if known.kind != MAP or known.null:
            raise self._refused(
                position, f"r{register} must be a map" + (" (it may be null: test it first)" if known.null else "")
            )
        return self.pointer(register), self.module.shape(known.ref)

    def _operation(self, position: int, operation: str, map: str, shape: str, arguments: list[str]) -> str:
        facts = self.module.facts_of_shape(shape)
        kind = KINDS.get(facts.type)
        if kind is None or operation not in kind.operations:
            raise self._refused(position, f"maps of type {facts.type} have no operation {operation!r} in the user engine")
        name = f"{kind.name}_{operation}"
        self.module.uses(name, kind.file)
        given = ", ".join(f"i64 {value}" for value in [*arguments, *["0"] * (3 - len(arguments))])
        return self.value(f"call i64 @{name}(ptr %env, ptr {map}, ptr {shape}, {given})")

    def _argument(self, position: int, helper: tables.Helper, number: int) -> str:
        """One argument of a helper, checked as its kind asks."""
        kind, known = helper.arguments[number - 1], self.known(number)
        if kind == tables.MAP or kind in tables.MAP_TYPES:
            map, shape = self._map(position, number)
            if self.module.facts_of_shape(shape).type != tables.MAP_TYPES.get(kind, self.module.facts_of_shape(shape).type):
                raise self._refused(position, f"r{number} must be a {kind}, for bpf_{helper.name}()")
            return self.value(f"ptrtoint ptr {map} to i64")
        if kind == tables.CTX:
            if known.kind != CTX or known.lo or known.hi:
                raise self._refused(position, f"r{number} must be the context, for bpf_{helper.name}()")
        elif kind == tables.RECORD:
            if known.kind != RECORD or known.null or known.lo or known.hi or self.analysis.is_slice(known):
                raise self._refused(position, f"r{number} must be a reserved record that is not null, for bpf_{helper.name}()")
        elif kind == tables.SOURCE and known.kind == SCALAR and known.ref == OF_KERNEL:
            raise self._refused(position, f"bpf_{helper.name}() reads a struct of the kernel's, and there is none in user space")
        elif kind == tables.KEPT:
            if known.kind != VALUE or self.analysis.facts(known).content is not None:
                raise self._refused(position, f"r{number} must be memory of a map that may be written, for bpf_{helper.name}()")
            self._check_argument(position, helper, number)
        elif kind == tables.CALLBACK:
            raise self._refused(position, f"callbacks of bpf_{helper.name}() are not supported")
        elif kind not in (tables.ANY, tables.SIZE, tables.SOURCE):
            self._check_argument(position, helper, number)
        return self.number(number)

    def _show_memory(self) -> None:
        """Tell the environment what the program may touch."""
        _, room = checks.stack_bounds(self)
        shown = {"ctx": "ptr %ctx", "stack": "ptr %frame.begin", "stack_size": f"i64 {room}", "regions": "ptr @regions"}
        for name, value in shown.items():
            self.emit(f"store {value}, ptr {self.value(f'getelementptr i8, ptr %env, i64 {field(name)}')}")

    def _is_known(self, number: int) -> str:
        """Whether as many bytes as the argument before says lie in memory of the program's (an i64)."""
        size = self.known(number - 1)
        known = self.known(number)
        if known.kind in POINTERS and size.hi <= FAR and self.analysis.proved(known, 0, size.hi, self.state):
            return "1"
        return self.value(f"zext i1 {self.allowed(self.number(number), self.number(number - 1))} to i64")

    def _check_argument(self, position: int, helper: tables.Helper, number: int) -> None:
        if is_written(helper.arguments[number - 1]):
            self._refuse_constants(position, number)
        known = self.known(number)
        most = self.analysis.argument_size(helper, number, self.state)
        follows = helper.arguments[number - 1] in (tables.READ, tables.WRITE, tables.KEPT)
        size = self.known(number + 1) if follows else None
        exact = size is None or size.lo == size.hi
        if most == 0:
            return
        if most is not None and most <= FAR and self.analysis.proved(known, 0, most, self.state):
            return
        if most is None and size is None:
            raise self._refused(position, f"r1 must be a map, for bpf_{helper.name}()")
        asked = most if exact and most is not None else self.number(number + 1)
        if known.kind in checks.CHECKED:
            least = asked if isinstance(asked, int) else size.lo if size is not None and size.kind == SCALAR else 0
            checks.check_access(self, position, number, 0, asked, least=least)
            return
        address = self.number(number)
        self.check(self.allowed(address, str(asked)), position, address, asked if isinstance(asked, int) else 0)

    def _tail_call(self, position: int) -> str:
        """Go on in another program, if there is one at that index; the frame is reused where this is the first function."""
        if self.known(1).kind != CTX or self.known(1).lo or self.known(1).hi:
            raise self._refused(position, "r1 must be the context, for bpf_tail_call()")
        known = self.known(2)
        map, _ = self._map(position, 2)
        facts = self.analysis.facts(known)
        if KINDS.get(facts.type) is None or KINDS[facts.type].holds != "program":
            raise self._refused(position, "r2 must be a map of programs, for bpf_tail_call()")
        index = self.value(f"zext i32 {self.low(3)} to i64")
        stay = self.name("stay")

        def only_if(condition: str) -> None:
            going = self.name("going")
            self.emit(f"br i1 {condition}, label %{going}, label %{stay}")
            self.label(going)

        only_if(self.value(f"icmp ult i64 {index}, {facts.max_entries}"))
        count_at = self.value(f"getelementptr i8, ptr %env, i64 {field('tail_calls')}")
        count = self.value(f"load i64, ptr {count_at}")
        only_if(self.value(f"icmp ult i64 {count}, {_TAIL_CALLS}"))
        values_at = self.value(f"getelementptr i8, ptr {map}, i64 24")
        values = self.value(f"load ptr, ptr {values_at}")
        place = self.value(f"getelementptr ptr, ptr {values}, i64 {index}")
        target = self.value(f"load ptr, ptr {place}")
        only_if(self.value(f"icmp ne ptr {target}, null"))
        self.emit(f"store i64 {self.value(f'add i64 {count}, 1')}, ptr {count_at}")
        if self.is_main:
            result = self.value(f"musttail call i64 {target}(ptr %ctx, ptr %env)")
            self.emit(f"ret i64 {result}")
        else:
            result = self.value(f"call i64 {target}(ptr %ctx, ptr %env)")
            fault_at = self.value(f"getelementptr i8, ptr %env, i64 {field('fault')}")
            fine, fault = self.name("fine"), self.value(f"load i64, ptr {fault_at}")
            self.emit(f"br i1 {self.value(f'icmp eq i64 {fault}, 0')}, label %{fine}, label %never")
            self.label(fine)
            self.leave(result)
        self.label(stay)
        return str(_ENOENT)

    def _callback(self, position: int, register: int) -> int:
        known = self.known(register)
        if known.kind != FUNCTION:
            raise self._refused(position, f"r{register} must be a function of the program's, as a callback")
        return int(known.ref)

    def _loop(self, position: int) -> str:
        """bpf_loop(rounds, callback, context, flags): how many rounds were made, or a negative error."""
        target = self._callback(position, 2)
        rounds = self.value(f"zext i32 {self.low(1)} to i64")
        flags = self.number(4)
        made, result = self.local("i64"), self.local("i64")
        head, body, again, done = (self.name(prefix) for prefix in ("head", "body", "again", "done"))
        flagged, many = self.name("flagged"), self.name("many")
        self.emit(f"store i64 {_EINVAL}, ptr {result}")
        self.emit(f"br i1 {self.value(f'icmp ne i64 {flags}, 0')}, label %{done}, label %{flagged}")
        self.label(flagged)
        self.emit(f"store i64 {_E2BIG}, ptr {result}")
        self.emit(f"br i1 {self.value(f'icmp ugt i64 {rounds}, {_MAX_LOOPS}')}, label %{done}, label %{many}")
        self.label(many)
        self.emit(f"store i64 0, ptr {made}")
        self.emit(f"store i64 0, ptr {result}")
        self.emit(f"br label %{head}")
        self.label(head)
        count = self.value(f"load i64, ptr {made}")
        self.emit(f"store i64 {count}, ptr {result}")
        self.emit(f"br i1 {self.value(f'icmp ult i64 {count}, {rounds}')}, label %{body}, label %{done}")
        self.label(body)
        self.pay(min(self.module.meters[target].cost, MOST), position)
        following = self.value(f"add i64 {count}, 1")
        self.emit(f"store i64 {following}, ptr {made}")
        answer = self._call_own(position, target, [Item("i64", count), 3, _NOTHING, _NOTHING, _NOTHING])
        self.emit(f"store i64 {following}, ptr {result}")
        self.emit(f"br i1 {self.value(f'icmp eq i64 {answer}, 0')}, label %{again}, label %{done}")
        self.label(again)
        self.emit(f"br label %{head}")
        self.label(done)
        return self.value(f"load i64, ptr {result}")

    def _for_each(self, position: int) -> str:
        """bpf_for_each_map_elem(map, callback, context, flags): how many elements were visited, or a negative error."""
        target = self._callback(position, 2)
        map, shape = self._map(position, 1)
        flags = self.number(4)
        at, result, element = self.local("i64"), self.local("i64"), self.local("[2 x ptr]")
        head, body, done, allowed = (self.name(prefix) for prefix in ("head", "body", "done", "allowed"))
        self.emit(f"store i64 {_EINVAL}, ptr {result}")
        self.emit(f"br i1 {self.value(f'icmp ne i64 {flags}, 0')}, label %{done}, label %{allowed}")
        self.label(allowed)
        for place in (at, result):
            self.emit(f"store i64 0, ptr {place}")
        self.emit(f"br label %{head}")
        self.label(head)
        place = self.value(f"load i64, ptr {at}")
        number = self.value(f"ptrtoint ptr {element} to i64")
        following = self._operation(position, "iterate", map, shape, [place, number])
        self.emit(f"store i64 {following}, ptr {at}")
        self.emit(f"br i1 {self.value(f'icmp eq i64 {following}, -1')}, label %{done}, label %{body}")
        self.label(body)
        self.pay(min(self.module.meters[target].cost + 20, MOST), position)
        count = self.value(f"add i64 {self.value(f'load i64, ptr {result}')}, 1")
        self.emit(f"store i64 {count}, ptr {result}")
        key = self.value(f"load ptr, ptr {element}")
        value_at = self.value(f"getelementptr ptr, ptr {element}, i64 1")
        value = self.value(f"load ptr, ptr {value_at}")
        answer = self._call_own(position, target, [1, Item("ptr", key, key), Item("ptr", value, value), 3, _NOTHING])
        self.emit(f"br i1 {self.value(f'icmp eq i64 {answer}, 0')}, label %{head}, label %{done}")
        self.label(done)
        return self.value(f"load i64, ptr {result}")

    def _drain(self, position: int) -> str:
        """bpf_user_ringbuf_drain(map, callback, context, flags): how many records were taken, or a negative error."""
        target = self._callback(position, 2)
        map, shape = self._map(position, 1)
        flags = self.number(4)
        taken, place = self.local("i64"), self.local(f"[{tables.DYNPTR_SIZE} x i8]")
        head, body, again, done = (self.name(prefix) for prefix in ("head", "body", "again", "done"))
        result = self.local("i64")
        self.emit(f"store i64 0, ptr {taken}")
        self.emit(f"call void @llvm.memset.p0.i64(ptr {place}, i8 0, i64 {tables.DYNPTR_SIZE}, i1 false)")
        number = self.value(f"ptrtoint ptr {place} to i64")
        self.emit(f"br label %{head}")
        self.label(head)
        count = self.value(f"load i64, ptr {taken}")
        found = self._operation(position, "next", map, shape, [number, count, flags])
        ended = self.value(f"icmp eq i64 {found}, 0")
        self.emit(f"store i64 {self.value(f'select i1 {ended}, i64 {count}, i64 {found}')}, ptr {result}")
        self.emit(f"br i1 {self.value(f'icmp eq i64 {found}, 1')}, label %{body}, label %{done}")
        self.label(body)
        self.pay(min(self.module.meters[target].cost + 20, MOST), position)
        following = self.value(f"add i64 {count}, 1")
        self.emit(f"store i64 {following}, ptr {taken}")
        self.emit(f"store i64 {following}, ptr {result}")
        answer = self._call_own(position, target, [Item("ptr", place, place), 3, _NOTHING, _NOTHING, _NOTHING])
        self._operation(position, "done", map, shape, [number])
        self.emit(f"br i1 {self.value(f'icmp eq i64 {answer}, 0')}, label %{again}, label %{done}")
        self.label(again)
        self.emit(f"br label %{head}")
        self.label(done)
        return self.value(f"load i64, ptr {result}")
