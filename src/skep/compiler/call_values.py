"""Calls of one function to LLVM IR: functions, pointers to functions, helpers. Builtins are in `builtin_values`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import tree
from skep.compiler import types as ct
from skep.compiler.abi import Signature, llvm_type
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
                return self.v.builtins.scalar(node)
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
            place = self.v.builtins.va_argument(node)
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
        for arg, origin, param in zip(node.args, origins, function.params, strict=True):
            if not isinstance(arg.type, ct.PointerType) or points_into_packet(arg.type) or "btf_decl_tag" in param.attributes:
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
