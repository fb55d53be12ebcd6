"""What a hook hands to its program: registers of pt_regs, arguments and results, as the context model of the program has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skep.compiler import dialect, programs, tree
from skep.compiler import types as ct
from skep.compiler.abi import llvm_type
from skep.compiler.places import Place
from skep.compiler.types import Type

if TYPE_CHECKING:
    from skep.compiler.function_emitter import FunctionEmitter

_CONTEXT = "%arg0"
_CARRIED = {
    "syscall_enter": ("the system call's tracepoint", "its first argument"),
    "syscall_exit": ("the system call's tracepoint", "its result"),
    "fentry": ("fentry", "the function's arguments"),
    "fexit": ("fexit", "the function's result"),
}


class HookContext:
    """`parameters` reads what BCC's extra parameters stand for; `replace_register` a register that this hook does not have."""

    def __init__(self, function: FunctionEmitter) -> None:
        self.f = function
        self.m = function.m
        self.caller = ""  # the address of the caller's registers, which a system call's function is given

    def parameters(self) -> None:
        """BCC's extra parameters of a program: arguments of the probed function, from registers or the syscall's record."""
        f = self.f
        for i, var in enumerate(f.function.params[1:]):
            f.token = var.token
            slot = f.slots[var] = f.alloca(var.type.size, var.type.align, var.name)
            if isinstance(var.type, ct.RecordType):
                self.m.error(
                    "a program's parameters are numbers and pointers; a struct is not passed in registers", var.token, "type"
                )
            else:
                self.store_raw(slot, var.type, self._parameter(var, i))

    def _parameter(self, var: tree.Variable, index: int) -> str:
        """The register or word that the extra parameter `index` is."""
        function, model = self.f.function, self.f.model
        registers = programs.pointer_to(var.type, "pt_regs")
        source = programs.arguments_from(function)
        if source == "context":
            return self.word(_CONTEXT, 8 * index)
        if source == "result":
            return self.result(_CONTEXT)
        if model == "syscall_enter":
            return self.task_registers() if registers else self.word(_CONTEXT, 16 + 8 * index)
        if model in ("syscall_exit", "fexit"):
            self.m.error(
                f"'{var.name}': a return probe has no arguments left; keep them in a map at entry",
                var.token,
                "program-parameters",
            )
            return "0"
        if programs.is_syscall_function(function) and not registers:
            self.caller = self.caller or self.argument(_CONTEXT, 0)
            return self.read_register(self.caller, "SYSCALL", index)
        return self.argument(_CONTEXT, index)

    def result(self, context: str) -> str:
        """The result of the probed function, as the hook has it."""
        if self.f.model == "syscall_exit":
            return self.word(context, 16)
        if self.f.model == "fexit":
            slot = self.f.alloca(8, 8)
            self.f.helper(184, [f"ptr {context}", f"ptr {slot}"])  # bpf_get_func_ret (Linux 5.17)
            return self.f.value(f"load i64, ptr {slot}, align 8")
        return self.register(context, "RC", 0)

    def argument(self, context: str, index: int) -> str:
        """An argument of the probed function: a register of a kprobe's context, an element of fentry's."""
        if self.f.model == "fentry":
            return self.word(context, 8 * index)
        return self.register(context, "PARM", index)

    def replace_register(self, place: Place, node: tree.MemberRef) -> None:
        """A register of a hook that has none: a system call's tracepoint and fentry carry arguments and result instead."""
        registers: dict[str, Any] = dialect.REGISTERS[self.m.machine]
        name, model = node.member.name, self.f.model
        arguments = [register.split("[")[0] for register in registers["PARM"]]
        value = "0"
        if model == "syscall_enter" and name == arguments[0]:
            value = self.task_registers()
        elif model in ("syscall_exit", "fexit") and name == registers["RC"].split("[")[0]:
            value = self.result(place.base)
        elif model == "fentry" and name in arguments:
            value = self.argument(place.base, arguments.index(name))
        else:
            what, carries = _CARRIED[model]
            self.m.error(
                f"register '{name}' is not known here: this kernel has no kprobes, and {what}, taken instead, "
                f"carries only {carries}",
                node, "register",
            )  # fmt: skip
        slot = self.f.alloca(8, 8)
        self.store_raw(slot, ct.ULONG, value)
        place.base, place.space, place.offset, place.align = slot, "direct", 0, 8

    def word(self, context: str, offset: int) -> str:
        """8 bytes of a context."""
        place = Place(context, "direct", ct.ULONG, 8, context=True)
        place.offset = offset
        return self.f.value(f"load i64, ptr {self.f.places.address(place)}, align 8")

    def _register_offset(self, name: str, index: int) -> int:
        entry: Any = dialect.REGISTERS[self.m.machine][name]
        register = entry[index] if isinstance(entry, tuple) else entry
        base, _, element = register.partition("[")
        layout = dialect.PT_REGS[self.m.machine]
        offset = 0
        for field in layout:
            field_name, _, count = field.partition("[")
            if field_name == base:
                return offset + (int(element[:-1]) * 8 if element else 0)
            offset += 8 * (int(count[:-1]) if count else 1)
        raise AssertionError(register)

    def register(self, context: str, name: str, index: int) -> str:
        """A register of a pt_regs context."""
        return self.word(context, self._register_offset(name, index))

    def read_register(self, registers: str, name: str, index: int) -> str:
        """A register in the pt_regs that a pointer (an integer here) leads to."""
        pointer = self.f.value(f"inttoptr i64 {registers} to ptr")
        place = Place(pointer, "kernel", ct.ULONG, 8)
        place.offset = self._register_offset(name, index)
        return self.f.places.probed(place, "i64", 8, 8)

    def task_registers(self) -> str:
        """The address of the caller's saved registers: what a system call's function has as its argument.

        bpf_get_current_task_btf is helper 158 (Linux 5.11), bpf_task_pt_regs 175 (5.15).
        """
        task = self.f.helper(158, [], "ptr")
        return self.f.helper(175, [f"ptr {task}"])

    def store_raw(self, slot: str, type: Type, value: str) -> None:
        """Store a 64-bit register value into a scalar variable."""
        if isinstance(type, ct.PointerType):
            value = self.f.value(f"inttoptr i64 {value} to ptr")
        elif isinstance(type, ct.IntType) and type.rank == ct.BOOL_RANK:
            value = self.f.value(f"zext i1 {self.f.value(f'icmp ne i64 {value}, 0')} to i8")
        else:
            value = self.f.resize(value, 64, ct.integer(type).bits, False)
        self.f.emit(f"store {llvm_type(type)} {value}, ptr {slot}, align {type.align}")
