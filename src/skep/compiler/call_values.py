"""Calls, builtins and inline assembly of one function to LLVM IR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skep.compiler import tree
from skep.compiler import types as ct

if TYPE_CHECKING:
    from skep.compiler.values import Values




class CallValues:
    """`scalar` and `record` are the entries, by what a call gives."""

    def __init__(self, values: Values) -> None:
        self.v = values
        self.f = values.f
        self.m = values.m

    def scalar(self, node: tree.Node) -> str:
        match node:
            case tree.CallFunction():
                return self._function(node, "")
            case tree.CallPointer():
                return self._pointer(node, "")
            case tree.CallHelper():
                return self._helper(node)
            case tree.CallBuiltin():
                return self._builtin(node)
        raise AssertionError(node)

    def record(self, node: tree.Node) -> str:
        """A call whose result is a record: through a hidden pointer to its place."""
        slot = self.f.alloca(node.type.size, node.type.align)
        if isinstance(node, tree.CallFunction):
            self._function(node, slot)
        elif isinstance(node, tree.CallPointer):
            self._pointer(node, slot)
        else:
            assert isinstance(node, tree.CallBuiltin)
            place = self._va_place(node)
            self.v.copy(slot, place, node.type)
        return slot

    def _arguments(self, args: list[tree.Node], result: str) -> list[str]:
        found = [f"ptr {result}"] if result else []
        for arg in args:
            if isinstance(arg.type, ct.RecordType):
                copy = self.f.alloca(arg.type.size, arg.type.align)
                self.v.copy(copy, self.v.aggregate(arg), arg.type)
                found.append(f"ptr {copy}")
            else:
                found.append(self.v.typed(arg))
        return found

    def _emit_call(self, target: str, type: ct.FunctionType, returns: str, args: list[str]) -> str:
        signature = returns
        if type.variadic or not type.prototyped:
            params = [self.v.ltype(p) for _, p in type.params]
            signature = f"{returns} ({', '.join([*params, '...'])})"
        call = f"call {signature} {target}({', '.join(args)})"
        if returns == "void":
            self.f.emit(call)
            return ""
        return self.f.value(call)

    def _function(self, node: tree.CallFunction, result: str) -> str:
        function = node.function
        args = self._arguments(node.args, result)
        self.f.token = node.token
        if function.body is None:
            if self.m.bpf:
                self.m.error(f"function '{function.name}' is declared but has no body here", node, "undefined")
                return "0"
            target = self.m.outside_function(function)
        else:
            if self.m.bpf:
                if len(args) > 5 and function.inlining == "never":
                    self.m.error("a BPF subprogram takes at most 5 arguments", node, "arguments")
                if self._recursive(function, node):
                    return "0"
            origins = tuple(self.f.origins.of(a) for a in node.args) if self.m.bpf else ("",) * len(function.params)
            target = "@" + self.m.instance(function, origins)
        returns = "void" if result else self.v.ltype(node.type)
        return self._emit_call(target, function.type, returns, args)

    def _recursive(self, function: tree.Function, node: tree.CallFunction) -> bool:
        if not calls_itself(function):
            return False
        self.m.error(
            f"'{function.name}' calls itself, and BPF has no recursion; use a loop with a bound, or a tail call", node, "recursion"
        )
        return True

    def _pointer(self, node: tree.CallPointer, result: str) -> str:
        args = self._arguments(node.args, result)
        target = self.v.scalar(node.pointer)
        assert isinstance(node.pointer.type, ct.PointerType) and isinstance(node.pointer.type.to, ct.FunctionType)
        return self._emit_call(target, node.pointer.type.to, "void" if result else self.v.ltype(node.type), args)

    def _helper(self, node: tree.CallHelper) -> str:
        args = [self.v.typed(a) for a in node.args]
        self.f.token = node.token
        if node.name == "trace_printk":  # values travel in 64-bit registers
            args = args[:2] + [self._widen(a, n) for a, n in zip(args[2:], node.args[2:], strict=True)]
        return self.v.helper(node.number, args, self.v.ltype(node.type))

    def _widen(self, typed: str, node: tree.Node) -> str:
        if not ct.is_integer(node.type):
            return typed
        it = ct.integer(node.type)
        return f"i64 {self.v.resize(typed.split(' ', 1)[1], it.bits, 64, it.signed)}"

    # --- builtins

    def _builtin(self, node: tree.CallBuiltin) -> str:
        name = node.name
        f, v, m = self.f, self.v, self.m
        if name in ("memcpy", "memmove", "memset"):
            to, value, size = (v.typed(a) for a in node.args)
            kind = "llvm.memset.p0.i64" if name == "memset" else f"llvm.{name}.p0.p0.i64"
            first = self._aligned(to, node.args[0])
            if name == "memset":
                value = f"i8 {v.resize(value.split(' ', 1)[1], 32, 8, False)}"
            else:
                value = self._aligned(value, node.args[1])
            symbol = m.intrinsic(kind, f"void {{}}(ptr, {'i8' if name == 'memset' else 'ptr'}, i64, i1)")
            f.emit(f"call void {symbol}({first}, {value}, {size}, i1 false)")
            return to.split(" ", 1)[1]
        if name == "memcmp":
            return self._memcmp(node)
        if name == "expect":
            value, wanted = (v.typed(a) for a in node.args)
            symbol = m.intrinsic("llvm.expect.i64", "i64 {}(i64, i64)")
            return f.value(f"call i64 {symbol}({value}, {wanted})")
        if name == "constant_p":
            value = v.typed(node.args[0])
            t = value.split(" ", 1)[0]
            symbol = m.intrinsic(f"llvm.is.constant.{t}", f"i1 {{}}({t})")
            return f.value(f"zext i1 {f.value(f'call i1 {symbol}({value})')} to i32")
        if name in ("unreachable", "trap"):
            if name == "trap" and not m.bpf:
                f.emit(f"call void {m.intrinsic('llvm.trap', 'void {}()')}()")
            f.emit("unreachable")
            f.terminated = True
            return ""
        if name == "fence":
            f.emit("fence seq_cst")
            return ""
        if name.startswith("va_"):
            return self._variadic(node)
        if name.startswith(("atomic", "cmpxchg", "compare")):
            return self._atomic(node)
        return self._bits(node)

    def _aligned(self, typed: str, node: tree.Node) -> str:
        """A pointer argument with the alignment that its type (before the cast to void *) promises."""
        while isinstance(node, tree.Convert):
            node = node.operand
        align = 1
        if isinstance(node.type, ct.PointerType) and node.type.to.complete:
            align = max(node.type.to.align, 1)
        return f"ptr align {align} {typed.split(' ', 1)[1]}"

    def _memcmp(self, node: tree.CallBuiltin) -> str:
        """A loop over bytes that LLVM unrolls where the size is small."""
        f, v = self.f, self.v
        left, right, size = (v.scalar(a) for a in node.args)
        index, result = f.alloca(8, 8), f.alloca(4, 4)
        top, body, step, end = (f.fresh(n) for n in ("cmp", "cmpbody", "cmpstep", "cmpend"))
        f.emit(f"store i64 0, ptr {index}, align 8")
        f.emit(f"store i32 0, ptr {result}, align 4")
        f.label(top)
        i = f.value(f"load i64, ptr {index}, align 8")
        f.branch(f.value(f"icmp ult i64 {i}, {size}"), body, end)
        f.label(body)
        values = []
        for pointer in (left, right):
            byte = f.value(f"load i8, ptr {f.value(f'getelementptr inbounds i8, ptr {pointer}, i64 {i}')}, align 1")
            values.append(f.value(f"zext i8 {byte} to i32"))
        difference = f.value(f"sub i32 {values[0]}, {values[1]}")
        f.emit(f"store i32 {difference}, ptr {result}, align 4")
        f.branch(f.value(f"icmp eq i32 {difference}, 0"), step, end)
        f.label(step)
        f.emit(f"store i64 {f.value(f'add i64 {i}, 1')}, ptr {index}, align 8")
        f.jump(top)
        f.label(end)
        return f.value(f"load i32, ptr {result}, align 4")

    def _bits(self, node: tree.CallBuiltin) -> str:
        f = self.f
        arg = node.args[0]
        value = self.v.scalar(arg)
        bits = ct.integer(arg.type).bits
        t = f"i{bits}"
        base = node.name.rstrip("l0123456789")
        if base == "bswap":
            return f.value(f"call {t} {self.m.intrinsic(f'llvm.bswap.{t}', f'{t} {{}}({t})')}({t} {value})")
        if base == "abs" or node.name in ("labs",):
            return f.value(f"call {t} {self.m.intrinsic(f'llvm.abs.{t}', f'{t} {{}}({t}, i1)')}({t} {value}, i1 false)")
        if base in ("popcount", "parity"):
            count = f.value(f"call {t} {self.m.intrinsic(f'llvm.ctpop.{t}', f'{t} {{}}({t})')}({t} {value})")
            if base == "parity":
                count = f.value(f"and {t} {count}, 1")
            return self.v.resize(count, bits, 32, False)
        kind = "ctlz" if base == "clz" else "cttz"
        symbol = self.m.intrinsic(f"llvm.{kind}.{t}", f"{t} {{}}({t}, i1)")
        count = f.value(f"call {t} {symbol}({t} {value}, i1 {'true' if base != 'ffs' else 'false'})")
        if base == "ffs":
            one_up = f.value(f"add {t} {count}, 1")
            count = f.value(f"select i1 {f.value(f'icmp eq {t} {value}, 0')}, {t} 0, {t} {one_up}")
        return self.v.resize(count, bits, 32, False)

    def _atomic(self, node: tree.CallBuiltin) -> str:
        f, v = self.f, self.v
        if node.name in ("atomic_old", "atomic_new"):
            op, pointer, value = node.args
            address, operand = v.scalar(pointer), v.scalar(value)
            t = v.ltype(node.type)
            old = f.value(f"atomicrmw {op} ptr {address}, {t} {operand} seq_cst, align {node.type.size}")
            if node.name == "atomic_old" or op == "nand":
                return old
            return f.value(f"{op} {t} {old}, {operand}")
        if node.name == "atomic_load":
            align = node.type.size
            return f.value(f"load volatile {v.ltype(node.type)}, ptr {v.scalar(node.args[0])}, align {align}")
        if node.name == "atomic_store":
            address, typed = v.scalar(node.args[0]), v.typed(node.args[1])
            f.emit(f"store volatile {typed}, ptr {address}, align {node.args[1].type.size}")
            return ""
        pointer, expected, wanted = node.args
        address = v.scalar(pointer)
        type = wanted.type
        t = v.ltype(type)
        if node.name == "compare_exchange":
            slot = v.scalar(expected)
            old_value = f.value(f"load {t}, ptr {slot}, align {type.size}")
        else:
            slot = ""
            old_value = v.scalar(expected)
        pair = f.value(f"cmpxchg ptr {address}, {t} {old_value}, {t} {v.scalar(wanted)} seq_cst seq_cst, align {type.size}")
        found = f.value(f"extractvalue {{{t}, i1}} {pair}, 0")
        same = f.value(f"icmp eq {t} {found}, {old_value}")
        if slot:
            f.emit(f"store {t} {found}, ptr {slot}, align {type.size}")
        if node.type.size == 1 and isinstance(node.type, ct.IntType) and node.type.rank == ct.BOOL_RANK:
            return f.value(f"zext i1 {same} to i8")
        return found

    # --- variadic functions (hosts only)

    def _variadic(self, node: tree.CallBuiltin) -> str:
        if node.name == "va_arg":
            place = self._va_place(node)
            return self.f.value(f"load {self.v.ltype(node.type)}, ptr {place}, align {node.type.align}")
        pointers = [self.v.scalar(a) for a in node.args[:2]]
        name = {"va_start": "llvm.va_start.p0", "va_end": "llvm.va_end.p0", "va_copy": "llvm.va_copy.p0"}[node.name]
        count = 2 if node.name == "va_copy" else 1
        symbol = self.m.intrinsic(name, f"void {{}}({', '.join(['ptr'] * count)})")
        self.f.emit(f"call void {symbol}({', '.join('ptr ' + p for p in pointers[:count])})")
        return ""

    def _va_place(self, node: tree.CallBuiltin) -> str:
        """The address of the next variadic argument (x86-64 SysV ABI, 3.5.7): register save area, then the stack."""
        f = self.f
        tag = self.v.scalar(node.args[0])
        floating = isinstance(node.type, ct.FloatType) and node.type.width <= 8
        offset_at, step, limit = (4, 16, 176) if floating else (0, 8, 48)
        in_memory = isinstance(node.type, ct.RecordType) or node.type.size > 8
        result = f.alloca(8, 8)
        registers, memory, end = f.fresh("vareg"), f.fresh("vamem"), f.fresh("vaend")
        offset_slot = f.value(f"getelementptr inbounds i8, ptr {tag}, i64 {offset_at}")
        offset = f.value(f"load i32, ptr {offset_slot}, align 4")
        fits = "false" if in_memory else f.value(f"icmp ult i32 {offset}, {limit}")
        f.branch(fits, registers, memory)
        f.label(registers)
        area = f.value(f"load ptr, ptr {f.value(f'getelementptr inbounds i8, ptr {tag}, i64 16')}, align 8")
        here = f.value(f"getelementptr inbounds i8, ptr {area}, i64 {f.value(f'zext i32 {offset} to i64')}")
        f.emit(f"store i32 {f.value(f'add i32 {offset}, {step}')}, ptr {offset_slot}, align 4")
        f.emit(f"store ptr {here}, ptr {result}, align 8")
        f.jump(end)
        f.label(memory)
        overflow = f.value(f"getelementptr inbounds i8, ptr {tag}, i64 8")
        place = f.value(f"load ptr, ptr {overflow}, align 8")
        size = -(-node.type.size // 8) * 8
        f.emit(f"store ptr {f.value(f'getelementptr inbounds i8, ptr {place}, i64 {size}')}, ptr {overflow}, align 8")
        f.emit(f"store ptr {place}, ptr {result}, align 8")
        f.label(end)
        found = f.value(f"load ptr, ptr {result}, align 8")
        if isinstance(node.type, ct.RecordType):  # our own calls pass records by address
            return f.value(f"load ptr, ptr {found}, align 8")
        return found

    # --- inline assembly

    def asm(self, node: tree.Asm) -> None:
        """GNU asm with operands in registers or memory; BPF assembly goes to LLVM as it is."""
        f, v = self.f, self.v
        constraints: list[str] = []
        args: list[str] = []
        results: list[tuple[Any, str]] = []
        names: dict[str, int] = {}
        tied: list[tuple[int, tree.Node]] = []
        for i, (name, constraint, value) in enumerate(node.outputs):
            names[name or f"#{i}"] = i
            letters = constraint.lstrip("=+&")
            early = "&" if "&" in constraint else ""
            if letters == "m":
                constraints.append("=*m")
                args.append(f"ptr elementtype({v.ltype(value.type)}) {v.lvalue_address(value)}")
                continue
            constraints.append(f"={early}{letters}")
            results.append((value, v.ltype(value.type)))
            if "+" in constraint:
                tied.append((i, value))
        for i, (name, constraint, value) in enumerate(node.inputs):
            names[name or f"#{len(node.outputs) + i}"] = len(node.outputs) + i
            if constraint == "m":
                constraints.append("*m")
                args.append(f"ptr elementtype({v.ltype(value.type)}) {v.lvalue_address(value)}")
                continue
            constraints.append(constraint)
            args.append(v.typed(value))
        for i, value in tied:
            constraints.append(str(i))
            args.append(v.typed(value))
        constraints += [f"~{{{c}}}" for c in node.clobbers]
        returns = "void"
        if len(results) == 1:
            returns = results[0][1]
        elif results:
            returns = "{" + ", ".join(t for _, t in results) + "}"
        text = _template(node.template, names)
        call = f'call {returns} asm {"sideeffect " if node.volatile else ""}"{text}", "{",".join(constraints)}"({", ".join(args)})'
        if returns == "void":
            f.emit(call)
            return
        result = f.value(call)
        for i, (target, t) in enumerate(results):
            value_text = result if len(results) == 1 else f.value(f"extractvalue {returns} {result}, {i}")
            v.store(v.place(target), value_text, target)
            del t


def _template(text: str, names: dict[str, int]) -> str:
    """GNU's %0 and %[name] as LLVM's $0, and the characters that LLVM's strings escape."""
    out: list[str] = []
    at = 0
    while at < len(text):
        c = text[at]
        if c == "%" and at + 1 < len(text):
            following = text[at + 1]
            if following == "%":
                out.append("%")
                at += 2
                continue
            modifier = ""
            if following.isalpha() and at + 2 < len(text) and (text[at + 2].isdigit() or text[at + 2] == "["):
                modifier = following
                at += 1
                following = text[at + 1]
            if following == "[":
                end = text.index("]", at)
                number = str(names.get(text[at + 2 : end], 0))
                at = end + 1
            else:
                end = at + 1
                while end < len(text) and text[end].isdigit():
                    end += 1
                number = text[at + 1 : end]
                at = end
            out.append(f"${{{number}:{modifier}}}" if modifier else f"${number}")
            continue
        if c == "$":
            out.append("$$")
        elif ord(c) < 32 or c in '"\\' or ord(c) > 126:
            out.extend(f"\\{b:02X}" for b in c.encode())
        else:
            out.append(c)
        at += 1
    return "".join(out)


def calls_itself(function: tree.Function) -> bool:
    """Is there a way from the function's body back to it?"""
    cached = function.attributes.get("#recursive")
    if cached is None:
        seen: set[str] = set()
        todo = [function]
        cached = False
        while todo and not cached:
            for callee in _callees(todo.pop().body):
                cached |= callee is function
                if callee.name not in seen and callee.body is not None:
                    seen.add(callee.name)
                    todo.append(callee)
        function.attributes["#recursive"] = cached
    return bool(cached)


def _callees(node: Any) -> list[tree.Function]:
    found: list[tree.Function] = []
    todo = [node]
    while todo:
        item = todo.pop()
        if isinstance(item, list | tuple):
            todo.extend(item)
        elif isinstance(item, tree.Init):
            todo.extend(value for _, _, _, value in item.items)
        elif isinstance(item, tree.Node | tree.Statement):
            if isinstance(item, tree.CallFunction):
                found.append(item.function)
            for cls in type(item).__mro__:
                for slot in getattr(cls, "__slots__", ()):
                    if slot not in ("token", "last", "type", "var", "function", "member", "map"):
                        todo.append(getattr(item, slot, None))
    return found
