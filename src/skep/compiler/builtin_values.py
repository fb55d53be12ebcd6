"""Compiler builtins of one function to LLVM IR: bytes, bits, atomics, hints, va_list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skep.compiler import tree
from skep.compiler import types as ct
from skep.compiler.abi import llvm_type, register_parts, registers_needed
from skep.compiler.builtins import BITS
from skep.compiler.places import lvalue_alignment

if TYPE_CHECKING:
    from skep.compiler.values import Values


class BuiltinValues:
    """`scalar` is the entry, `va_argument` that for records."""

    def __init__(self, values: Values) -> None:
        self.v = values
        self.f = values.f
        self.m = values.m

    def scalar(self, node: tree.CallBuiltin) -> str:
        result: str = self._methods[node.name](self, node)
        return result

    # --- bytes

    def _bytes(self, node: tree.CallBuiltin) -> str:
        """memcpy, memmove, memset."""
        f, blocks = self.f, self.v.blocks
        if not f.places.may_write(node.args[0], node):
            return "null"
        space = f.places.space(node.args[1]) if node.name != "memset" else "direct"
        to, value, size = (self.v.typed(a) for a in node.args)
        if space != "direct":
            f.places.read(space, to, f"i32 {tree.const_int(node.args[2])}", value)
            return to.split(" ", 1)[1]
        target, value, length = (text.split(" ", 1)[1] for text in (to, value, size))
        align = self._alignment(node.args[0])
        if node.name == "memset":
            blocks.fill(target, f.resize(value, 32, 8, False), length, align)
        else:
            do = blocks.move if node.name == "memmove" else blocks.copy
            do(target, value, length, align, self._alignment(node.args[1]))
        return target

    @staticmethod
    def _alignment(node: tree.Node) -> int:
        """What the type of a pointer, before a cast to void *, promises."""
        while isinstance(node, tree.Convert):
            node = node.operand
        if isinstance(node, tree.AddressOf):
            return lvalue_alignment(node.operand)
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

    # --- hints and others

    def _expect(self, node: tree.CallBuiltin) -> str:
        value, wanted = (self.v.typed(a) for a in node.args)
        symbol = self.m.intrinsic("llvm.expect.i64", "i64 {}(i64, i64)")
        return self.f.value(f"call i64 {symbol}({value}, {wanted})")

    def _constant_p(self, node: tree.CallBuiltin) -> str:
        value = self.v.typed(node.args[0])
        t = value.split(" ", 1)[0]
        symbol = self.m.intrinsic(f"llvm.is.constant.{t}", f"i1 {{}}({t})")
        return self.f.value(f"zext i1 {self.f.value(f'call i1 {symbol}({value})')} to i32")

    def _stop(self, node: tree.CallBuiltin) -> str:
        if node.name == "trap" and not self.m.bpf:
            self.f.emit(f"call void {self.m.intrinsic('llvm.trap', 'void {}()')}()")
        self.f.emit("unreachable")
        self.f.terminated = True
        return ""

    def _alloca(self, node: tree.CallBuiltin) -> str:
        return self.f.value(f"alloca i8, i64 {self.v.scalar(node.args[0])}, align 16")

    def _packet_load(self, node: tree.CallBuiltin) -> str:
        width, buffer, offset = node.args
        return self.f.places.packets.load_width(self.v.scalar(buffer), self.v.scalar(offset), width)

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

    # --- atomics

    def _fence(self, node: tree.CallBuiltin) -> str:
        """A barrier of the order given, for LLVM alone without one; BPF has none but its atomic instructions with a result."""
        f = self.f
        order, *evaluated = node.args
        for argument in evaluated:
            self.v.scalar(argument)
        if not order:
            f.emit('call void asm sideeffect "", "~{memory}"() nounwind')
        elif self.m.bpf:  # Documentation/bpf/standardization/instruction-set.rst; the x86 and arm64 JITs make it a full barrier
            slot = f.alloca(8, 8)
            f.emit(f"store volatile i64 0, ptr {slot}, align 8")
            f.value(f"atomicrmw volatile xchg ptr {slot}, i64 0 seq_cst, align 8")
        else:
            f.emit(f"fence {order}")
        return ""

    def _update(self, node: tree.CallBuiltin) -> str:
        """Read, modify, write: the old value or the new one."""
        op, pointer, value = node.args
        address, operand = self.v.scalar(pointer), self.v.scalar(value)
        t = llvm_type(node.type)
        old = self.f.value(f"atomicrmw {op} ptr {address}, {t} {operand} seq_cst, align {node.type.size}")
        if node.name == "atomic_old":
            return old
        if op == "nand":
            return self.f.value(f"xor {t} {self.f.value(f'and {t} {old}, {operand}')}, -1")
        return self.f.value(f"{op} {t} {old}, {operand}")

    def _atomic_load(self, node: tree.CallBuiltin) -> str:
        address = self.v.scalar(node.args[0])
        how, order = self._plain_or_atomic(node.type, node.args[1])
        return self.f.value(f"load {how} {llvm_type(node.type)}, ptr {address}{order}, align {node.type.size}")

    def _atomic_store(self, node: tree.CallBuiltin) -> str:
        address, typed = self.v.scalar(node.args[0]), self.v.typed(node.args[1])
        how, order = self._plain_or_atomic(node.args[1].type, node.args[2])
        self.f.emit(f"store {how} {typed}, ptr {address}{order}, align {node.args[1].type.size}")
        return ""

    def _plain_or_atomic(self, type: ct.Type, order: str) -> tuple[str, str]:
        """How LLVM writes an atomic access: BPF v3 has plain ones only, and 16 bytes would be a call into a library."""
        return ("volatile", "") if self.m.bpf or type.size > 8 else ("atomic volatile", f" {order}")

    def _compare_exchange(self, node: tree.CallBuiltin) -> str:
        f, v = self.f, self.v
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
        pointers = [f"ptr {self.v.scalar(a)}" for a in node.args[: 2 if node.name == "va_copy" else 1]]
        symbol = self.m.intrinsic(f"llvm.{node.name}.p0", f"void {{}}({', '.join(['ptr'] * len(pointers))})")
        self.f.emit(f"call void {symbol}({', '.join(pointers)})")
        return ""

    def _va_arg(self, node: tree.CallBuiltin) -> str:
        place = self.va_argument(node)
        return self.f.value(f"load {llvm_type(node.type)}, ptr {place}, align {min(node.type.align, 8)}")

    def va_argument(self, node: tree.CallBuiltin) -> str:
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

    def _type_id(self, node: tree.CallBuiltin) -> str:
        """LLVM's back end writes the number of the type in the place of the load."""
        m, f = self.m, self.f
        symbol = m.type_id(node.args[0].type.to)
        hide = m.intrinsic("llvm.bpf.passthrough.i64.i64", "i64 {}(i32, i64)")
        loaded = f.value(f"load i64, ptr {symbol}, align 8")
        return f.value(f"trunc i64 {f.value(f'call i64 {hide}(i32 0, i64 {loaded})')} to i32")

    _methods: dict[str, Any] = {  # noqa: RUF012
        "memcpy": _bytes, "memmove": _bytes, "memset": _bytes, "memcmp": _memcmp, "expect": _expect, "constant_p": _constant_p,
        "unreachable": _stop, "trap": _stop, "alloca": _alloca, "packet_load": _packet_load, "fence": _fence,
        "atomic_old": _update, "atomic_new": _update, "atomic_load": _atomic_load, "atomic_store": _atomic_store,
        "cmpxchg": _compare_exchange, "compare_exchange": _compare_exchange,
        "va_start": _variadic, "va_end": _variadic, "va_copy": _variadic, "va_arg": _va_arg,
        "btf_type_id": _type_id, **dict.fromkeys(BITS, _bits),
    }  # fmt: skip
