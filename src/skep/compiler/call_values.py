"""Calls, builtins and inline assembly of one function to LLVM IR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import tree
from skep.compiler import types as ct
from skep.compiler.abi import Signature, llvm_type, register_parts, registers_needed
from skep.compiler.origins import kind, points_into_packet
from skep.compiler.programs import KSYMS

if TYPE_CHECKING:
    from skep.compiler.values import Values


# helpers that call back: (which argument is the function, which its context, origins of what the function is given)
_CALLBACKS = {
    "loop": (1, 2, ("", "context")),
    "for_each_map_elem": (1, 2, ("memory", "memory", "memory", "context")),
    "timer_set_callback": (1, 0, ("memory", "memory", "memory")),
    "find_vma": (2, 3, ("btf", "btf", "context")),
    "user_ringbuf_drain": (1, 2, ("memory", "context")),
}


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
        """A call whose result is a record: gives the address of its copy."""
        slot = self.f.temporary(node.type.size, node.type.align)
        if isinstance(node, tree.CallFunction):
            self._function(node, slot)
        elif isinstance(node, tree.CallPointer):
            self._pointer(node, slot)
        else:
            assert isinstance(node, tree.CallBuiltin)
            place = self._va_place(node)
            self.v.copy(slot, place, node.type)
        return slot

    def _arguments(self, args: list[tree.Node], signature: Signature, result: str) -> list[str]:
        """The arguments as LLVM values with their types; records are copied, or taken apart as the ABI says."""
        found = [f"{signature.result.text} {result}"] if signature.hidden else []
        for arg, passed in zip(args, signature.params, strict=True):
            if not passed.record:
                found.append(f"{passed.text} {self.v.scalar(arg)}")
                continue
            address = self.v.aggregate(arg)
            if passed.parts is None:
                copy = self.f.temporary(arg.type.size, arg.type.align)
                self.v.copy(copy, address, arg.type)
                found.append(f"{passed.text} {copy}")
            else:
                found += [f"{text} {self.v.load_part(address, text, offset, arg.type)}" for text, offset in passed.parts]
        return found

    def _emit_call(self, target: str, type: ct.FunctionType, signature: Signature, args: list[str], result: str) -> str:
        """The call, with the value of a scalar result; a record that comes back in registers is stored to `result`."""
        returns = signature.returns if signature.result.record else signature.result.text
        shape = returns
        if type.variadic:
            fixed = [
                t.split(" ", 1)[0] for t in self.m.parameter_texts(self.m.signature(type.returns, [p for _, p in type.params]))
            ]
            shape = f"{returns} ({', '.join([*fixed, '...'])})"
        call = f"call {shape} {target}({', '.join(args)})"
        if signature.returns == "void":
            self.f.emit(call)
            return ""
        value = self.f.value(call)
        if not signature.result.record:
            return value
        parts = signature.result.parts or []
        for i, (text, offset) in enumerate(parts):
            piece = value if len(parts) == 1 else self.f.value(f"extractvalue {returns} {value}, {i}")
            self.v.store_part(result, text, offset, piece, type.returns)
        return ""

    def _function(self, node: tree.CallFunction, result: str) -> str:
        function = node.function
        signature = self.m.signature(function.type.returns, [a.type for a in node.args])
        args = self._arguments(node.args, signature, result)
        self.f.token = node.token
        if function.body is None:
            if self.m.bpf and function.section != KSYMS:
                self.m.error(f"function '{function.name}' is declared but has no body here", node, "undefined")
                return "0"
            target = self.m.kernel_function(function) if self.m.bpf else self.m.outside_function(function)
        else:
            if self.m.bpf:
                if len(args) > 5 and function.inlining == "never":
                    self.m.error("a BPF subprogram takes at most 5 arguments", node, "arguments")
                if self._recursive(function, node):
                    return "0"
            origins = tuple(self.f.origins.of(a) for a in node.args) if self.m.bpf else ("",) * len(function.params)
            if self.m.bpf:
                self._check_global(function, node, origins)
            target = "@" + self.m.instance(function, origins, self.f.model)
        return self._emit_call(target, function.type, signature, args, result)

    def _check_global(self, function: tree.Function, node: tree.CallFunction, origins: tuple[str, ...]) -> None:
        from skep.compiler.emitter import is_global_subprogram

        if not is_global_subprogram(function):
            return
        for arg, origin in zip(node.args, origins, strict=True):
            if not isinstance(arg.type, ct.PointerType) or points_into_packet(arg.type):
                continue
            if origin and kind(origin) not in ("context", "stack", "memory", "packet"):
                self.m.error(
                    f"'{function.name}' is a global subprogram: the verifier checks it by itself and takes only "
                    "pointers to the stack "
                    "and to maps for its parameters; make it static", arg, "global-subprogram",
                )  # fmt: skip

    def _recursive(self, function: tree.Function, node: tree.CallFunction) -> bool:
        if not calls_itself(function):
            return False
        self.m.error(
            f"'{function.name}' calls itself, and BPF has no recursion; use a loop with a bound, or a tail call",
            node,
            "recursion",
        )
        return True

    def _pointer(self, node: tree.CallPointer, result: str) -> str:
        assert isinstance(node.pointer.type, ct.PointerType)
        assert isinstance(node.pointer.type.to, ct.FunctionType)
        type = node.pointer.type.to
        signature = self.m.signature(type.returns, [a.type for a in node.args])
        args = self._arguments(node.args, signature, result)
        return self._emit_call(self.v.scalar(node.pointer), type, signature, args, result)

    def _helper(self, node: tree.CallHelper) -> str:
        args = [self.v.typed(a) for a in node.args] if node.name not in _CALLBACKS else self._with_callback(node)
        self.f.token = node.token
        return self.f.helper(node.number, args, llvm_type(node.type))

    def _with_callback(self, node: tree.CallHelper) -> list[str]:
        """Arguments of a helper that calls a function of the program's, which is made for the origins that it will be given."""
        place, context, origins = _CALLBACKS[node.name]
        args = []
        for i, arg in enumerate(node.args):
            plain = arg
            while isinstance(plain, tree.Convert | tree.AddressOf):
                plain = plain.operand
            if i == place and isinstance(plain, tree.FunctionRef) and plain.function.body is not None:
                given = tuple(self.f.origins.of(node.args[context]) if o == "context" else o for o in origins)
                params = len(plain.function.params)
                if params != len(origins):
                    self.m.error(
                        f"bpf_{node.name}() calls its function with {len(origins)} arguments; "
                        f"'{plain.function.name}' takes {params}", arg, "callback",
                    )  # fmt: skip
                args.append(f"ptr @{self.m.instance(plain.function, given)}")
            else:
                args.append(self.v.typed(arg))
        return args

    # --- builtins

    def _builtin(self, node: tree.CallBuiltin) -> str:
        name = node.name
        f, v, m = self.f, self.v, self.m
        if name in ("memcpy", "memmove", "memset"):
            if not f.places.may_write(node.args[0], node):
                return "null"
            space = f.places.space(node.args[1]) if name != "memset" else "direct"
            to, value, size = (v.typed(a) for a in node.args)
            if space != "direct":
                f.places.read(space, to, f"i32 {tree.const_int(node.args[2])}", value)
                return to.split(" ", 1)[1]
            target, value, length = (text.split(" ", 1)[1] for text in (to, value, size))
            align = self._alignment(node.args[0])
            if name == "memset":
                v.blocks.fill(target, f.resize(value, 32, 8, False), length, align)
            else:
                do = v.blocks.move if name == "memmove" else v.blocks.copy
                do(target, value, length, align, self._alignment(node.args[1]))
            return target
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
        if name == "alloca":
            return f.value(f"alloca i8, i64 {v.scalar(node.args[0])}, align 16")
        if name == "fence":
            f.emit(f"fence {'seq_cst' if m.bpf else node.args[0]}")
            return ""
        if name == "packet_load":
            width, buffer, offset = node.args
            return f.places.packets.load_width(v.scalar(buffer), v.scalar(offset), width)
        if name.startswith("va_"):
            return self._variadic(node)
        if name.startswith(("atomic", "cmpxchg", "compare")):
            return self._atomic(node)
        return self._bits(node)

    @staticmethod
    def _alignment(node: tree.Node) -> int:
        """What the type of a pointer, before a cast to void *, promises."""
        while isinstance(node, tree.Convert):
            node = node.operand
        if isinstance(node, tree.AddressOf):
            return _lvalue_alignment(node.operand)
        if isinstance(node.type, ct.PointerType) and node.type.to.complete:
            return max(node.type.to.align, 1)
        return 1

    def _memcmp(self, node: tree.CallBuiltin) -> str:
        """A loop over bytes that LLVM unrolls where the size is small."""
        f, v = self.f, self.v
        left, right = (self._readable(a, node.args[2]) for a in node.args[:2])
        size = v.scalar(node.args[2])
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

    def _readable(self, pointer: tree.Node, size: tree.Node) -> str:
        """A pointer to bytes that plain loads can read: what lies elsewhere is copied first."""
        f = self.f
        space, value = f.places.space(pointer), self.v.typed(pointer)
        if space == "direct":
            return value.split(" ", 1)[1]
        length = tree.const_int(size) or 0
        slot = f.temporary(length, 8)
        f.places.read(space, f"ptr {slot}", f"i32 {length}", value)
        return slot

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
            return self.f.resize(count, bits, 32, False)
        kind = "ctlz" if base == "clz" else "cttz"
        symbol = self.m.intrinsic(f"llvm.{kind}.{t}", f"{t} {{}}({t}, i1)")
        count = f.value(f"call {t} {symbol}({t} {value}, i1 {'true' if base != 'ffs' else 'false'})")
        if base == "ffs":
            one_up = f.value(f"add {t} {count}, 1")
            count = f.value(f"select i1 {f.value(f'icmp eq {t} {value}, 0')}, {t} 0, {t} {one_up}")
        return self.f.resize(count, bits, 32, False)

    def _atomic(self, node: tree.CallBuiltin) -> str:
        f, v = self.f, self.v
        if node.name in ("atomic_old", "atomic_new"):
            op, pointer, value = node.args
            address, operand = v.scalar(pointer), v.scalar(value)
            t = llvm_type(node.type)
            old = f.value(f"atomicrmw {op} ptr {address}, {t} {operand} seq_cst, align {node.type.size}")
            if node.name == "atomic_old" or op == "nand":
                return old
            return f.value(f"{op} {t} {old}, {operand}")
        if node.name == "atomic_load":
            align = node.type.size
            return f.value(f"load volatile {llvm_type(node.type)}, ptr {v.scalar(node.args[0])}, align {align}")
        if node.name == "atomic_store":
            address, typed = v.scalar(node.args[0]), v.typed(node.args[1])
            f.emit(f"store volatile {typed}, ptr {address}, align {node.args[1].type.size}")
            return ""
        pointer, expected, wanted = node.args
        address = v.scalar(pointer)
        type = wanted.type
        t = llvm_type(type)
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
            return self.f.value(f"load {llvm_type(node.type)}, ptr {place}, align {min(node.type.align, 8)}")
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
        needed = registers_needed(node.type)
        if needed is None:
            return self._va_memory(tag, node.type)
        result = f.alloca(8, 8)
        registers, memory, end = f.fresh("vareg"), f.fresh("vamem"), f.fresh("vaend")
        slots, offsets = [], []
        fits = "true"
        for at, count, step, limit in ((0, needed[0], 8, 48), (4, needed[1], 16, 176)):
            slots.append(f.value(f"getelementptr inbounds i8, ptr {tag}, i64 {at}"))
            offsets.append(f.value(f"load i32, ptr {slots[-1]}, align 4"))
            if count:
                enough = f.value(f"icmp ule i32 {offsets[-1]}, {limit - count * step}")
                fits = f.value(f"and i1 {fits}, {enough}")
        f.branch(fits, registers, memory)
        f.label(registers)
        area = f.value(f"load ptr, ptr {f.value(f'getelementptr inbounds i8, ptr {tag}, i64 16')}, align 8")
        here = [f.value(f"getelementptr inbounds i8, ptr {area}, i64 {f.value(f'zext i32 {o} to i64')}") for o in offsets]
        f.emit(f"store ptr {self._va_registers(node.type, here)}, ptr {result}, align 8")
        for slot, offset, count, step in zip(slots, offsets, needed, (8, 16), strict=True):
            if count:
                f.emit(f"store i32 {f.value(f'add i32 {offset}, {count * step}')}, ptr {slot}, align 4")
        f.jump(end)
        f.label(memory)
        f.emit(f"store ptr {self._va_memory(tag, node.type)}, ptr {result}, align 8")
        f.label(end)
        return f.value(f"load ptr, ptr {result}, align 8")

    def _va_registers(self, type: ct.Type, here: list[str]) -> str:
        """An argument in the register save area; a record is put together from its pieces."""
        f = self.f
        if not isinstance(type, ct.RecordType):
            return here[isinstance(type, ct.FloatType)]
        slot = f.alloca(max(type.size, 1), max(type.align, 1))
        taken = [0, 0]
        for text, offset in register_parts(type) or ():
            sse = text in ("float", "double", "<2 x float>")
            step = taken[sse] * (16 if sse else 8)
            taken[sse] += 1
            source = f.value(f"getelementptr inbounds i8, ptr {here[sse]}, i64 {step}")
            self.v.store_part(slot, text, offset, f.value(f"load {text}, ptr {source}, align 8"), type)
        return slot

    def _va_memory(self, tag: str, type: ct.Type) -> str:
        """The next argument on the stack."""
        f = self.f
        overflow = f.value(f"getelementptr inbounds i8, ptr {tag}, i64 8")
        place = f.value(f"load ptr, ptr {overflow}, align 8")
        if type.align > 8:
            number = f.value(f"add i64 {f.value(f'ptrtoint ptr {place} to i64')}, {type.align - 1}")
            place = f.value(f"inttoptr i64 {f.value(f'and i64 {number}, {-type.align}')} to ptr")
        size = -(-type.size // 8) * 8
        f.emit(f"store ptr {f.value(f'getelementptr inbounds i8, ptr {place}, i64 {size}')}, ptr {overflow}, align 8")
        return place


def _lvalue_alignment(node: tree.Node) -> int:
    """What is known of an lvalue's address: a member is as aligned as its record and its offset are."""
    if isinstance(node, tree.MemberRef):
        offset = node.member.offset
        return min(_lvalue_alignment(node.base), offset & -offset or 16)
    return max(node.type.align, 1) if node.type.complete else 1


def calls_itself(function: tree.Function) -> bool:
    """Is there a way from the function's body back to it?"""
    cached = function.attributes.get("#recursive")
    if cached is None:
        seen: set[str] = set()
        todo = [function]
        cached = False
        while todo and not cached:
            for call in tree.walk(todo.pop().body):
                if not isinstance(call, tree.CallFunction):
                    continue
                callee = call.function
                cached |= callee is function
                if callee.name not in seen and callee.body is not None:
                    seen.add(callee.name)
                    todo.append(callee)
        function.attributes["#recursive"] = cached
    return bool(cached)
