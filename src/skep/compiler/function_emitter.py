"""One function's checked tree to LLVM IR: statements, and what expressions share. Expressions are in `values`.

Locals live in allocas; LLVM's mem2reg makes registers of them. Every instruction carries its source line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import tree
from skep.compiler import types as ct
from skep.compiler.abi import Signature, llvm_type
from skep.compiler.hook_context import HookContext
from skep.compiler.origins import Origins, points_into_packet
from skep.compiler.places import Places
from skep.compiler.source import Token
from skep.compiler.types import Type
from skep.compiler.values import Values

if TYPE_CHECKING:
    from skep.compiler.emitter import Emitter

# "no-builtins": LLVM must not make memset and memcpy of the program's loops, BPF has none to call
BPF_ATTRIBUTES = (
    'nounwind "no-builtins" "frame-pointer"="all" "no-jump-tables"="true" "no-trapping-math"="true" "target-cpu"="v3"'
)
_UNROLL = {1: "disable", -1: "enable", -2: "full"}
_RANGE_AS_SWITCH = 64  # a case range up to this size becomes single cases


class FunctionEmitter:
    """`define` is the entry. `model` is the context model of a program, "" for other functions."""

    def __init__(self, module: Emitter, function: tree.Function, args: tuple[str, ...], origins: Origins, *, model: str) -> None:
        self.m = module
        self.function = function
        self.args = args
        self.origins = origins
        self.model = model
        self.lines: list[str] = []
        self.allocas: list[str] = []
        self.alignments: dict[str, int] = {}  # of slots
        self.count = 0
        self.block = "entry"  # the label of the block at hand
        self.terminated = False
        self.returned = False
        self.scope = ""
        self.token: Token = function.token
        self.slots: dict[tree.Variable, str] = {}
        self.breaks: list[tuple[str, int]] = []  # (label, number of scopes around the statement that it leaves)
        self.continues: list[tuple[str, int]] = []
        # slots that live to the end of a block or statement, and calls to make there (attribute cleanup)
        self.scopes: list[list[str | tree.Node]] = []
        self.scoped: list[str] = []  # every slot that was in a scope
        self.blocks: list[tuple[int, bool]] = []  # which scopes are blocks, and whether control enters them at their start only
        self.cases: dict[int, str] = {}
        self.symbol = ""
        self.entry = False
        self.signature: Signature
        self.places = Places(self)
        self.values = Values(self)
        self.hook = HookContext(self)

    # --- building blocks

    def temp(self) -> str:
        self.count += 1
        return f"%t{self.count}"

    def fresh(self, name: str) -> str:
        self.count += 1
        return f"{name}{self.count}"

    def emit(self, text: str) -> None:
        """One instruction at the current token's line."""
        if self.terminated:  # unreachable code still needs a block to stand in
            self.label(self.fresh("dead"))
        self.lines.append(f"  {text}, !dbg {self.m.debug.location(self.token, self.scope)}")

    def value(self, text: str) -> str:
        """An instruction with a result."""
        name = self.temp()
        self.emit(f"{name} = {text}")
        return name

    def label(self, name: str) -> None:
        if not self.terminated:
            self.jump(name)
        self.lines.append(f"{name}:")
        self.block = name
        self.terminated = False

    def jump(self, name: str, extra: str = "") -> None:
        if not self.terminated:
            self.emit(f"br label %{name}{extra}")
            self.terminated = True

    def branch(self, condition: str, yes: str, no: str) -> None:
        self.emit(f"br i1 {condition}, label %{yes}, label %{no}")
        self.terminated = True

    def alloca(self, size: int, align: int, name: str = "") -> str:
        slot = f"%{self.fresh((name or 'tmp') + '.')}"
        align = max(align, 8) if size >= 8 and self.m.bpf else align  # lets LLVM store 8 bytes at a time
        self.alignments[slot] = align
        self.allocas.append(f"  {slot} = alloca [{max(size, 1)} x i8], align {max(align, 1)}")
        return slot

    def helper(self, number: int, args: list[str], returns: str = "i64") -> str:
        call = f"call {returns} inttoptr (i64 {number} to ptr)({', '.join(args)})"
        if returns == "void":
            self.emit(call)
            return ""
        return self.value(call)

    def resize(self, value: str, have: int, want: int, signed: bool) -> str:
        if have == want:
            return value
        if have > want:
            return self.value(f"trunc i{have} {value} to i{want}")
        return self.value(f"{'sext' if signed else 'zext'} i{have} {value} to i{want}")

    # --- lifetimes of slots: BPF's stack has 512 bytes, and what is never alive at once can share them

    def lifetime(self, slot: str, what: str) -> None:
        """`what` is "start" or "end"."""
        if self.m.bpf and not self.terminated:
            self.emit(f"call void {self.m.intrinsic(f'llvm.lifetime.{what}.p0', 'void {}(ptr)')}(ptr {slot})")

    def open_scope(self, block: tree.Statement | None = None) -> None:
        if block is not None:
            self.blocks.append((len(self.scopes), self.m.bpf and not _is_entered_inside(block)))
        self.scopes.append([])

    def close_scope(self, block: tree.Statement | None = None) -> None:
        self.leave(len(self.scopes) - 1)
        self.scopes.pop()
        if block is not None:
            self.blocks.pop()

    def leave(self, depth: int) -> None:
        """Control goes out of all scopes but the first `depth`."""
        for scope in reversed(self.scopes[depth:]):
            for item in list(reversed(scope)):
                if isinstance(item, str):
                    self.lifetime(item, "end")
                elif not self.terminated:
                    self.values.discard(item)

    def clean_up(self, count: int | None = None) -> None:
        """The cleanup calls of the innermost `count` variables that have one; of all when control leaves the function."""
        calls = [item for scope in self.scopes for item in scope if isinstance(item, tree.Node)]
        for call in calls[::-1][:count]:
            self.values.discard(call)

    def temporary(self, size: int, align: int) -> str:
        """A slot that lives to the end of the statement."""
        slot = self.alloca(size, align)
        if self.scopes:
            self.scopes[-1].append(slot)
            self.scoped.append(slot)
            self.lifetime(slot, "start")
        return slot

    def begin_variable(self, slot: str) -> None:
        """A variable's slot, from its declaration to the end of its block."""
        depth, regular = self.blocks[-1] if self.blocks else (0, False)
        if regular:
            if slot not in self.scopes[depth]:
                self.scopes[depth].append(slot)
            self.scoped.append(slot)
            self.lifetime(slot, "start")

    # --- the function

    def define(self, symbol: str, *, section: str) -> str:
        f = self.function
        entry = bool(section)
        m = self.m
        self.symbol = symbol
        m.frames[symbol] = [(0, "", f.token)]
        self.entry = entry
        # what LLVM sees: a program has its context only; a record result goes through a hidden first pointer
        declared = list(zip(f.params, (p for _, p in f.type.params), strict=True))
        if entry:
            declared = declared[:1]
        if m.bpf and (entry or f.inlining == "never") and ct.is_integer(f.type.returns) and f.type.returns.size > 8:
            m.error(f"'{f.name}' returns in one register of 64 bits, and '{f.type.returns}' is wider", f.token, "type")
        signature = self.signature = m.signature(f.type.returns, [self._incoming(t) for _, t in declared])
        # an offset into a packet is a number to the verifier, whatever C calls it
        shown = [
            (v.name or f"arg{i}", ct.ULONG if points_into_packet(t) else t, tuple(v.attributes.get("btf_decl_tag", "").split()))
            for i, (v, t) in enumerate(declared)
        ]
        if entry and not shown:
            shown = [("ctx", ct.PointerType(ct.VOID), ())]
        self.scope = m.debug.reserve()
        params = self._parameters(declared)
        if entry:
            self.hook.parameters()
        assert f.body is not None
        self.statement(f.body)
        self._end(f.body.last)
        # the loader must know of a program for a pt_regs context (ProgramSpec.uses_registers)
        uses = entry and (len(f.params) > 1 or m.reads_registers(f, self.args))
        tags = ("skep:uses_registers",) if uses else ()
        m.debug.subprogram(self.scope, symbol, f.type, f.token, shown, local=f.linkage == "static", tags=tags)
        returns = signature.returns if signature.result.record else signature.result.text
        vararg = ", ..." if f.type.variadic else ""
        return "\n".join(
            [
                f"define {self._linkage(entry)}{returns} @{symbol}({', '.join(params)}{vararg}) {self._attributes(entry)}"
                + (f' section "{section}"' if section and m.bpf else "")
                + f" !dbg {self.scope} {{",
                "entry:",
                *self.allocas,
                *self.lines,
                "}",
            ]
        )

    def _parameters(self, declared: list[tuple[tree.Variable, Type]]) -> list[str]:
        """The parameters as LLVM sees them; their values go to the variables' slots."""
        signature, f = self.signature, self.function
        params = [f"{signature.result.text} %result"] if signature.hidden else []
        if self.entry and not f.params:
            params.append("ptr %ctx")
        for i, ((var, type), passed) in enumerate(zip(declared, signature.params, strict=True)):
            if passed.parts is None:
                params.append(f"{passed.text} %arg{i}")
                self.slots[var] = f"%arg{i}"  # the caller made a copy for us
                continue
            slot = self.alloca(type.size, type.align, var.name)
            self.slots[var] = slot
            if passed.record:
                for n, (text, offset) in enumerate(passed.parts):
                    params.append(f"{text} %arg{i}.{n}")
                    self.values.store_part(slot, text, offset, f"%arg{i}.{n}", type)
                continue
            params.append(f"{passed.text} %arg{i}")
            value = self.values.convert_value(f"%arg{i}", self._incoming(type), type)
            self.emit(f"store {llvm_type(type)} {value}, ptr {slot}, align {type.align}")
        return params

    def _end(self, last: Token) -> None:
        """What stands behind the body: the value of a function that falls off its end, and the one place that returns."""
        f, m, signature = self.function, self.m, self.signature
        if not self.terminated:
            self.token = last
            if signature.returns == "void":
                self._give("")
            elif m.bpf or f.name == "main":
                # falling off the end of a program returns 0: the verifier wants a value in R0
                self._give("null" if isinstance(f.type.returns, ct.PointerType) else "0")
            else:
                self.emit("unreachable")
                self.terminated = True
        if self.returned:
            self.label("return")
            if not self.entry:  # an end here, once: at each return statement it would keep LLVM from merging their ways
                for slot in dict.fromkeys(self.scoped):
                    self.lifetime(slot, "end")
            value = "" if signature.returns == "void" else self.value(f"load {self._result_type()}, ptr %returned")
            if f.inlining == "never" and ct.is_integer(f.type.returns) and m.bpf and _may_jump_away(f, set()):
                # the other program's result may come in its place: callers must not be told what it is
                width = self._result_type()
                hide = m.intrinsic(f"llvm.bpf.passthrough.{width}.{width}", f"{width} {{}}(i32, {width})")
                value = self.value(f"call {width} {hide}(i32 0, {width} {value})")
            self.emit(f"ret {self._result_type()} {value}")

    def _incoming(self, type: Type) -> Type:
        """The type that callers pass for a parameter: a definition without a prototype gets promoted arguments."""
        if self.function.type.prototyped:
            return type
        if isinstance(type, ct.FloatType) and type.width == 4:
            return ct.DOUBLE
        return ct.promote(type) if ct.is_integer(type) else type

    def _linkage(self, entry: bool) -> str:
        f = self.function
        if entry or (not self.m.bpf and f.linkage != "static"):
            return "weak " if f.attributes.get("weak") else "dso_local "
        if self.m.bpf and f.inlining == "never" and f.linkage != "static":
            return "dso_local "
        return "internal "

    def _attributes(self, entry: bool) -> str:
        f = self.function
        if f.inlining == "never":
            inline = "noinline "
        elif f.inlining == "always" or (self.m.bpf and not entry):
            inline = "alwaysinline "
        else:
            inline = ""
        return inline + (BPF_ATTRIBUTES if self.m.bpf else 'nounwind "frame-pointer"="none"')

    # --- what assembly sees of the function

    def register_argument(self, number: int) -> str:
        """LLVM's type and name of what the caller passed in r1 to r5; "" where it passed nothing or a record."""
        if self.entry and not self.function.params:
            return "ptr %ctx" if number == 1 else ""
        params = self.signature.params
        if self.signature.hidden or not 1 <= number <= len(params) or params[number - 1].record:
            return ""
        return f"{params[number - 1].text} %arg{number - 1}"

    def leave_function(self, value: str) -> None:
        """`exit` in assembly: no cleanup is called."""
        self._give(value)

    # --- statements

    def statement(self, node: tree.Statement) -> None:
        self.token = node.token
        match node:
            case tree.Block():
                self.open_scope(node)
                for item in node.items:
                    self.statement(item)
                self.close_scope(node)
            case tree.Evaluate():
                self.open_scope()
                self.values.discard(node.expr)
                self.close_scope()
            case tree.Declare():
                self.open_scope()
                self.declare(node.var, node.init)
                self.close_scope()
            case tree.If():
                self._if(node)
            case tree.Loop():
                self._loop(node)
            case tree.Switch():
                self._switch(node)
            case tree.CaseLabel():
                self.label(self.cases.get(id(node)) or self.fresh("case"))  # an empty range has no case
                self.statement(node.body)
            case tree.Label():
                self.label(f"user.{node.name}")
                self.statement(node.body)
            case tree.Goto():
                self.clean_up(node.cleanups)
                self.jump(f"user.{node.name}")
            case tree.Jump():
                label, depth = (self.breaks if node.kind == "break" else self.continues)[-1]
                self.leave(depth)
                self.jump(label)
            case tree.Return():
                self._return(node)
            case tree.Asm():
                self.values.asm(node)

    def declare(self, var: tree.Variable, init: tree.Init | None) -> None:
        place = self.slots.get(var)
        if place is None:
            align = max(self.m.alignment(var.type), var.attributes.get("aligned", 0))
            place = self.slots[var] = self.alloca(var.type.size, align, var.name.strip("()"))
            self.m.frames[self.symbol].append((var.type.size, var.name, var.token))
        self.begin_variable(place)
        if init is not None:
            self.values.initialise(place, var.type, init)
        cleanup = var.attributes.get("cleanup")
        if isinstance(cleanup, tree.Node):
            self.scopes[self.blocks[-1][0]].append(cleanup)

    def _if(self, node: tree.If) -> None:
        constant = node.condition.value if isinstance(node.condition, tree.Const) else None
        if constant is not None and not _has_label(node.otherwise if constant else node.then):
            # the branch that cannot be taken is not emitted: it may hold what BPF cannot do
            taken = node.then if constant else node.otherwise
            if taken is not None:
                self.statement(taken)
            return
        then, otherwise, end = self.fresh("then"), self.fresh("else"), self.fresh("endif")
        self.values.condition(node.condition, then, otherwise if node.otherwise is not None else end)
        self.label(then)
        self.statement(node.then)
        self.jump(end)
        if node.otherwise is not None:
            self.label(otherwise)
            self.statement(node.otherwise)
            self.jump(end)
        self.label(end)

    def _loop(self, node: tree.Loop) -> None:
        top, body, step, end = (self.fresh(n) for n in ("loop", "body", "step", "endloop"))
        self.open_scope(node)  # of the variables that the loop declares
        for item in node.init.items if isinstance(node.init, tree.Block) else [node.init] if node.init is not None else []:
            self.statement(item)
        self.breaks.append((end, len(self.scopes)))
        self.continues.append((step, len(self.scopes)))
        if node.kind == "do":
            self.label(body)
            self.statement(node.body)
            self.label(step)
            self.token = node.token
            assert node.condition is not None
            self.label(top)
            self.values.condition(node.condition, body, end, self._loop_metadata(node))
        else:
            self.label(top)
            if node.condition is not None:
                self.token = node.condition.token
                self.values.condition(node.condition, body, end)
            self.label(body)
            self.statement(node.body)
            self.label(step)
            if node.step is not None:
                self.token = node.step.token
                self.values.discard(node.step)
            self.jump(top, self._loop_metadata(node))
        self.breaks.pop()
        self.continues.pop()
        self.label(end)
        self.close_scope(node)

    def _loop_metadata(self, node: tree.Loop) -> str:
        if not node.unroll:
            return ""
        word = _UNROLL.get(node.unroll, "count")
        count = f", i32 {node.unroll}" if node.unroll > 1 else ""
        d = self.m.debug
        hint = d.node(f'!{{!"llvm.loop.unroll.{word}"{count}}}')
        loop = d.reserve()
        d.set(loop, f"distinct !{{{loop}, {hint}}}")
        return f", !llvm.loop {loop}"

    def _switch(self, node: tree.Switch) -> None:
        end = self.fresh("endswitch")
        value = self.values.scalar(node.value)
        type = llvm_type(node.value.type)
        signed = ct.integer(node.value.type).signed
        for _, _, label in node.cases:
            self.cases[id(label)] = self.fresh("case")
        default = end
        if node.default is not None:
            default = self.cases[id(node.default)] = self.fresh("default")
        single: list[str] = []
        wide: list[tuple[int, int, str]] = []
        for low, high, label in node.cases:
            name = self.cases[id(label)]
            if high - low < _RANGE_AS_SWITCH:
                single += [f"{type} {v}, label %{name}" for v in range(low, high + 1)]
            else:
                wide.append((low, high, name))
        for low, high, name in wide:
            above = self.value(f"icmp {'sge' if signed else 'uge'} {type} {value}, {low}")
            below = self.value(f"icmp {'sle' if signed else 'ule'} {type} {value}, {high}")
            inside = self.value(f"and i1 {above}, {below}")
            following = self.fresh("range")
            self.branch(inside, name, following)
            self.label(following)
        self.emit(f"switch {type} {value}, label %{default} [{' '.join(single)}]")
        self.terminated = True
        self.breaks.append((end, len(self.scopes)))
        self.statement(node.body)
        self.breaks.pop()
        self.jump(end)
        self.label(end)

    def _return(self, node: tree.Return) -> None:
        returns = self.function.type.returns
        value = ""
        if node.value is None or isinstance(returns, ct.VoidType):
            if node.value is not None:
                self.values.discard(node.value)
        elif isinstance(returns, ct.RecordType):
            value = self._record_result(self.values.aggregate(node.value), returns)
        else:
            value = self.values.scalar(node.value)
        self.clean_up()
        self._give(value)

    def _record_result(self, address: str, type: ct.RecordType) -> str:
        """A record as the value that the call gives; "" where it is copied to the caller's memory."""
        if self.signature.hidden:
            self.values.copy("%result", address, type)
        parts = self.signature.result.parts
        if not parts:
            return ""
        pieces = [self.values.load_part(address, text, offset, type) for text, offset in parts]
        if len(pieces) == 1:
            return pieces[0]
        whole = "poison"
        for i, ((text, _), piece) in enumerate(zip(parts, pieces, strict=True)):
            whole = self.value(f"insertvalue {self.signature.returns} {whole}, {text} {piece}, {i}")
        return whole

    def _result_type(self) -> str:
        return self.signature.returns if self.signature.result.record else llvm_type(self.function.type.returns)

    def _give(self, value: str) -> None:
        """Return a value through the one exit: LLVM then shares the tails of the ways that lead there, as for clang."""
        if not self.returned and self.signature.returns != "void":
            self.allocas.append(f"  %returned = alloca {self._result_type()}")
        self.returned = True
        if self.signature.returns != "void":
            self.emit(f"store {self._result_type()} {value}, ptr %returned")
        self.jump("return")


def _may_jump_away(function: tree.Function, seen: set[tree.Function]) -> bool:
    """Is there a tail call in it, or in what becomes a part of it?"""
    seen.add(function)
    for node in tree.walk(function.body):
        if isinstance(node, tree.CallHelper) and node.name == "tail_call":
            return True
        if (
            isinstance(node, tree.CallFunction)
            and node.function.inlining != "never"
            and node.function not in seen
            and _may_jump_away(node.function, seen)
        ):
            return True
    return False


def _is_entered_inside(block: tree.Statement) -> bool:
    """Can a jump go past the declarations at the block's start?"""
    return any(isinstance(node, tree.Label) for node in tree.walk(block)) or _has_case(block)


def _has_case(node: tree.Statement | None) -> bool:
    """Is there a case label of a switch around the statement?"""
    match node:
        case tree.CaseLabel():
            return True
        case tree.Block():
            return any(_has_case(item) for item in node.items)
        case tree.If():
            return _has_case(node.then) or _has_case(node.otherwise)
        case tree.Loop():
            return _has_case(node.body)
    return False


def _has_label(node: tree.Statement | None) -> bool:
    """Can control jump into the statement from outside?"""
    match node:
        case None:
            return False
        case tree.Label() | tree.CaseLabel():
            return True
        case tree.Block():
            return any(_has_label(item) for item in node.items)
        case tree.If():
            return _has_label(node.then) or _has_label(node.otherwise)
        case tree.Loop() | tree.Switch():
            return _has_label(node.body)
    return False
