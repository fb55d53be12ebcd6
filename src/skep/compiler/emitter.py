"""Checked tree to LLVM IR: the module. Entry: `Emitter(...).module()`. One function's body is in `function_emitter`.

A function is emitted once per origins of its pointer arguments (DESIGN.md, D3): the same C text reads a stack
buffer with loads and a kernel struct with bpf_probe_read_kernel.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence

from skep.compiler import constants, dialect, programs, tree
from skep.compiler import types as ct
from skep.compiler.abi import Signature
from skep.compiler.addresses import constant_address
from skep.compiler.debuginfo import DebugInfo, quote, quote_bytes
from skep.compiler.diagnostics import Diagnostics
from skep.compiler.function_emitter import FunctionEmitter
from skep.compiler.origins import Origins, kind, points_into_packet
from skep.compiler.source import SourceFile, Token
from skep.compiler.types import Type

_FOREIGN_NAME = re.compile(r"([@%]|^)([\w.$]*[^\x00-\x7f][\w.$]*)", re.MULTILINE)  # LLVM wants quotes around it
_MAX_IMAGE = 1 << 26  # bytes of an object that are written out
_MANY_ZEROS = 1 << 12  # at an object's end: worth a word of their own


def bytes_literal(data: bytes) -> str:
    return "c" + quote_bytes(data)


# what parameters of global subprograms are besides memory, by btf_decl_tag (Linux 6.8)
_TAGGED = {"arg:ctx": "context", "arg:trusted": "btf", "arg:untrusted": "btf"}


def is_global_subprogram(function: tree.Function) -> bool:
    """A function that the verifier checks by itself, by what BTF says of its parameters (Linux 5.6)."""
    return function.inlining == "never" and function.linkage != "static" and function.body is not None


def _thread(var: tree.Variable) -> str:
    return "thread_local " if var.attributes.get("thread") else ""


class Emitter:
    """One module; `contexts` overrides the context model of programs by name."""

    def __init__(
        self,
        unit: tree.Unit,
        diagnostics: Diagnostics,
        main: SourceFile,
        *,
        target: str,
        machine: str,
        contexts: Mapping[str, str],
    ) -> None:
        self.unit = unit
        self.diagnostics = diagnostics
        self.bpf = target == "bpf"
        self.machine = machine
        self.sysv = not self.bpf and machine == "x86_64"
        self.contexts = contexts
        self.debug = DebugInfo(main)
        self.asm_places: list[tuple[Token, str]] = []  # what LLVM says of asm has the number of its statement
        self.head: list[str] = []
        self.bodies: list[str] = []
        self.declared: dict[str, str] = {}
        self.strings: dict[tuple[bytes, int], str] = {}
        self.instances: dict[tuple[str, tuple[str, ...], str], str] = {}
        self.analyses: dict[tuple[str, tuple[str, ...]], Origins | None] = {}
        self.queue: list[tuple[tree.Function, tuple[str, ...], str, str]] = []
        self.registers: dict[tuple[str, tuple[str, ...]], bool] = {}
        self.used: list[str] = []
        self.names: set[str] = set()
        self.emitted_globals: set[str] = set()
        self.tracing = True  # no program is of a kind that the kernel keeps from user memory
        self.frames: dict[str, list[tuple[int, str, Token]]] = {}  # per function: (bytes, local, where); "" is the function

    def error(self, message: str, node: tree.Node | Token, code: str) -> None:
        if isinstance(node, tree.Node):
            self.diagnostics.error(message, node.token, node.last, code=code)
        else:
            self.diagnostics.error(message, node, code=code)

    # --- origins

    def origins(self, function: tree.Function, args: tuple[str, ...]) -> Origins | None:
        """The solved origins of a function for its arguments' origins; None while it is being solved (recursion)."""
        key = (function.name, args)
        if key not in self.analyses:
            self.analyses[key] = None
            params = args[: len(function.params)] + ("",) * (len(function.params) - len(args))
            self.analyses[key] = Origins(function, params, self.result_origin, solve=self.bpf)
        return self.analyses[key]

    def result_origin(self, function: tree.Function, args: tuple[str, ...]) -> str:
        if function.body is None:
            to = function.type.returns.to if isinstance(function.type.returns, ct.PointerType) else None
            return "" if to is None else "btf" if isinstance(to, ct.RecordType) and to.record.from_kernel else "memory"
        found = self.origins(function, self._pointer_origins(function, args))
        return found.result if found is not None else ""

    @staticmethod
    def _pointer_origins(function: tree.Function, args: tuple[str, ...]) -> tuple[str, ...]:
        if is_global_subprogram(function):
            # the verifier checks a global function by itself: its pointers are what its BTF says
            given = [
                "wire" if points_into_packet(p.type)
                else _TAGGED.get(p.attributes.get("btf_decl_tag", ""), "memory") if isinstance(p.type, ct.PointerType) else ""
                for p in function.params
            ]  # fmt: skip
            return ("context", *given[1:]) if programs.has_context(function) else tuple(given)
        return tuple(args[: len(function.params)])

    # --- module

    def module(self) -> str:
        entries = [f for f in self.unit.functions.values() if (programs.is_program(f) if self.bpf else self._is_host_root(f))]
        self.tracing = all(self._model(f) in programs.TRACING_MODELS for f in entries)
        # the kernel tells a global function's context by its struct, and does not take a forward declaration for it
        contexts = (
            programs.context_tag(f) for f in self.unit.functions.values() if is_global_subprogram(f) and programs.has_context(f)
        )
        self.debug.whole = frozenset(contexts)
        for function in entries:
            self.program(function) if self.bpf else self.instance(function, ("",) * len(function.params))
        for function in self.unit.functions.values():
            if self.bpf and is_global_subprogram(function) and not programs.is_program(function):
                self.instance(function, self._pointer_origins(function, ()))
        while self.queue:
            function, args, symbol, model = self.queue.pop()
            emitter = FunctionEmitter(self, function, args, self._analysis(function, args), model=model)
            self.bodies.append(emitter.define(symbol, section=""))
        for var in self.unit.globals:
            if not self.bpf or var.linkage != "static" or var.attributes.get("used") or var.section:
                self.global_symbol(var)
        for info in self.unit.maps.values():
            self.map_global(info)
        if self.bpf:
            self.records_global()
            if not any(v.section == "license" for v in self.unit.globals):
                text = self.unit.license.encode() + b"\0"
                self.head.append(f'@_license = global [{len(text)} x i8] {bytes_literal(text)}, section "license", align 1')
                self.used.append("@_license")
        self.diagnostics.raise_if_errors()
        kept = ", ".join("ptr " + u for u in self.used)
        used = f'@llvm.compiler.used = appending global [{len(self.used)} x ptr] [{kept}], section "llvm.metadata"'
        parts = [*self.head, *([used] if self.used else []), *self.bodies, *self.declared.values(), self.debug.finish()]
        ir = "\n".join(parts) + "\n"
        return ir if ir.isascii() else _FOREIGN_NAME.sub(lambda found: found[1] + quote(found[2]), ir)

    @staticmethod
    def _is_host_root(function: tree.Function) -> bool:
        return function.body is not None and function.linkage != "static"

    def intrinsic(self, name: str, signature: str) -> str:
        """Declare an LLVM intrinsic or outside function once; gives its symbol."""
        self.declared.setdefault(name, f"declare {signature.format('@' + name)}")
        return "@" + name

    def type_id(self, type: ct.Type) -> str:
        """The symbol whose value is a type's number in the object's BTF: 6 is BPF_CORE_TYPE_ID_LOCAL."""
        node = self.debug.type(type)
        name = f'@"llvm.btf_type_id.{node[1:]}$6"'
        line = f'{name} = external global i64, !llvm.preserve.access.index {node} "btf_type_id"'
        if line not in self.head:
            self.head.append(line)
        return name

    def wide(self, operation: str) -> str:
        """The symbol of a function that works on 128-bit numbers."""
        from skep.compiler.function_emitter import BPF_ATTRIBUTES
        from skep.compiler.wide import wide_function

        name = f"skep.{operation}.i128"
        self.declared.setdefault(name, wide_function(operation, BPF_ATTRIBUTES))
        return "@" + name

    # --- functions

    def program(self, function: tree.Function) -> None:
        section = programs.section_of(function)
        model = self._model(function)
        other = programs.other_context(function)
        if other:
            self.diagnostics.warning(
                f"a program in section '{section}' gets a 'struct {other} *', and this is a '{function.params[0].type}'",
                function.params[0].token, code="context",
            )  # fmt: skip
        params = []
        for i, param in enumerate(function.params):
            syscall = programs.is_syscall_function(function) or model in programs.SYSCALL_MODELS
            pointer = isinstance(param.type, ct.PointerType)
            if i == 0:
                registers = programs.context_tag(function) == "pt_regs"
                params.append("context:btf" if model in programs.BTF_MODELS and not registers else "context")
            elif programs.arguments_from(function) == "context" and isinstance(param.type, ct.PointerType):
                to = param.type.to
                known = model in programs.BTF_MODELS and isinstance(to, ct.RecordType)  # btf_ctx_access: others are numbers
                unknown = "kernel" if programs.pointer_to(param.type, "pt_regs") else "any"
                sock = model == "struct_ops" and programs.pointer_to(param.type, "sock")
                params.append("btf:sock" if sock else "user" if to.quals & ct.USER else "btf" if known else unknown)
            elif programs.pointer_to(param.type, "pt_regs"):
                params.append("kernel")
            else:
                params.append(("user" if syscall else "any") if pointer else "")
        takes = programs.REGISTER_MODELS | programs.ARGUMENT_MODELS
        if len(function.params) > 1 and model not in takes and programs.arguments_from(function) != "context":
            self.error(
                f"program '{function.name}' has {len(function.params)} parameters; a {model} program gets one, its context",
                function.params[1].token, "program-parameters",
            )  # fmt: skip
            return
        if len(function.params) > 7 and programs.arguments_from(function) != "context":
            self.error("only 6 arguments are in registers", function.params[7].token, "program-parameters")
            return
        self.names.add(function.name)
        args = tuple(params)
        emitter = FunctionEmitter(self, function, args, self._analysis(function, args), model=model)
        self.bodies.append(emitter.define(function.name, section=section))
        self.used.append("@" + function.name)

    def _model(self, function: tree.Function) -> str:
        return self.contexts.get(function.name) or programs.context_model(programs.section_of(function))

    def _analysis(self, function: tree.Function, args: tuple[str, ...]) -> Origins:
        found = self.origins(function, args)
        assert found is not None
        return found

    def instance(self, function: tree.Function, args: tuple[str, ...], model: str = "") -> str:
        """The symbol of a function for its arguments' origins, emitted later if it is new.

        `model` is the caller's context model: it matters to functions that are given the context.
        """
        args = self._pointer_origins(function, args) if self.bpf else ("",) * len(function.params)
        if not any(kind(a) == "context" for a in args):
            model = ""
        key = (function.name, args, model)
        symbol = self.instances.get(key)
        if symbol is None:
            symbol = function.name
            number = 1
            while symbol in self.names:
                symbol = f"{function.name}.{number}"
                number += 1
            self.names.add(symbol)
            self.instances[key] = symbol
            self.queue.append((function, args, symbol, model))
        return symbol

    def reads_registers(self, function: tree.Function, args: tuple[str, ...]) -> bool:
        """Does the function, or one that it gives its context to, read the registers of a pt_regs context?"""
        key = (function.name, args)
        found = self.registers.get(key)
        if found is None:
            self.registers[key] = False  # a recursion adds nothing
            origins = self._analysis(function, args)
            found = self.registers[key] = any(self._reads_registers(node, origins) for node in tree.walk(function.body))
        return found

    def _reads_registers(self, node: tree.Node | tree.Statement, origins: Origins) -> bool:
        if isinstance(node, tree.Deref):
            record = node.type
            return (
                isinstance(record, ct.RecordType)
                and record.record.tag == "pt_regs"
                and kind(origins.of(node.pointer)) == "context"
            )
        if isinstance(node, tree.CallFunction) and node.function.body is not None:
            args = tuple(origins.of(a) for a in node.args)
            given = any(kind(a) == "context" for a in args)
            return given and self.reads_registers(node.function, self._pointer_origins(node.function, args))
        return False

    def outside_function(self, function: tree.Function) -> str:
        """A function without a body: the C library's, on a host."""
        t = function.type
        signature = self.signature(t.returns, [p for _, p in t.params])
        params = self.parameter_texts(signature) + (["..."] if t.variadic or not t.prototyped else [])
        returns = signature.result.text if not signature.result.record else signature.returns
        self.declared.setdefault(function.name, f"declare {returns} @{function.name}({', '.join(params)})")
        return "@" + function.name

    def kernel_function(self, function: tree.Function) -> str:
        """A function of the kernel's (kfunc): the loader finds it by its name in the section's BTF."""
        if function.name not in self.declared:
            t = function.type
            signature = self.signature(t.returns, [p for _, p in t.params])
            node = self.debug.declared_function(function.name, t, function.token)
            params = ", ".join(self.parameter_texts(signature))
            weak = "extern_weak " if function.attributes.get("weak") else ""
            self.declared[function.name] = (
                f'declare !dbg {node} {weak}{signature.result.text} @{function.name}({params}) section "{programs.KSYMS}"'
            )
        return "@" + function.name

    def signature(self, returns: Type, params: Sequence[Type]) -> Signature:
        return Signature(returns, params, sysv=self.sysv)

    @staticmethod
    def parameter_texts(signature: Signature) -> list[str]:
        """The LLVM types of a function's parameters, with their attributes."""
        texts = [signature.result.text or "ptr"] if signature.hidden else []
        for passed in signature.params:
            texts += [passed.text] if passed.text else [text for text, _ in passed.parts or ()]
        return texts

    # --- data

    def string(self, data: bytes, align: int) -> str:
        found = self.strings.get((data, align))
        if found is None:
            found = self.strings[data, align] = f"@.str.{len(self.strings)}"
            self.head.append(f"{found} = private unnamed_addr constant [{len(data)} x i8] {bytes_literal(data)}, align {align}")
        return found

    def global_symbol(self, var: tree.Variable) -> str:
        """The symbol of a static object, emitted when it is first used."""
        symbol = f"@{var.symbol}"
        if var.symbol in self.emitted_globals:
            return symbol
        self.emitted_globals.add(var.symbol)
        align = max(var.attributes.get("aligned", 0), self.alignment(var.type) if var.type.complete else 1)
        if var.linkage == "extern" and var.init is None and not var.tentative:
            self.head.append(self._outside_variable(symbol, var))
            return symbol
        local = var.linkage == "static"
        const = bool(var.type.quals & ct.CONST) or (isinstance(var.type, ct.ArrayType) and bool(var.type.of.quals & ct.CONST))
        kind = "constant" if const and var.section != ".maps" else "global"
        if var.init is not None and var.type.size > _MAX_IMAGE:
            self.diagnostics.error(
                f"'{var.name}' has {var.type.size} bytes; an object with an initialiser can have {_MAX_IMAGE}; "
                "without one it is zeros and can be larger", var.token, code="too-large",
            )  # fmt: skip
            return symbol
        type, value = self.data(var.type, var.init)
        if self.bpf and "ptr " in type and var.section not in (".maps", *programs.STRUCT_OPS):
            self.frames.setdefault("", []).append((0, var.symbol, var.token))
        section = f', section "{var.section}"' if var.section else ""
        volatile = var.type.quals & ct.VOLATILE
        linkage = "internal " if local else ("weak " if var.attributes.get("weak") else "")
        debug = ""
        if self.bpf:
            if var.section == ".maps" and isinstance(var.type, ct.RecordType):
                node = self.debug.map_definition(var.type)
            else:
                node = self.debug.type(var.type)
            di = self.debug.global_variable(var.symbol, node, var.token, local=local)
            debug = f", !dbg {di}"
        where = ("dso_local " if not local else "") + _thread(var)
        self.head.append(f"{symbol} = {linkage}{where}{kind} {type} {value}{section}, align {align}{debug}")
        # Python writes the static variables of programs too: LLVM would take them apart, or their values into the code.
        # What holds addresses no loader can write, so only what LLVM can take into the code works at all.
        written = self.bpf and kind == "global" and local and "ptr " not in type
        if var.section or var.attributes.get("used") or (volatile and not local) or written:
            self.used.append(symbol)
        return symbol

    def _outside_variable(self, symbol: str, var: tree.Variable) -> str:
        """A variable that is elsewhere: the kernel's, which the loader finds by its name and type in the section's BTF."""
        size = self.storage(var.type) if var.type.complete else "i8"
        if not self.bpf or var.section != programs.KSYMS:
            return f"{symbol} = external {_thread(var)}global {size}"
        linkage = "extern_weak" if var.attributes.get("weak") else "external"
        di = self.debug.global_variable(var.symbol, self.debug.type(var.type), var.token, local=False, defined=False)
        return f'{symbol} = {linkage} global {size}, section "{programs.KSYMS}", !dbg {di}'

    def alignment(self, t: Type) -> int:
        """Of a variable: the x86-64 ABI aligns arrays of 16 bytes and more to 16 (System V psABI, 3.1.2)."""
        return max(t.align, 16) if not self.bpf and isinstance(t, ct.ArrayType) and t.size >= 16 else t.align

    @staticmethod
    def storage(t: Type) -> str:
        return f"[{t.size} x i8]"

    def data(self, t: Type, init: tree.Init | None) -> tuple[str, str]:
        """(LLVM type, constant) of a static object: its bytes, with addresses where there are any."""
        if init is None:
            return self.storage(t), "zeroinitializer"
        image = bytearray(max(t.size, 0))
        addresses: dict[int, str] = {}
        self._fill(image, addresses, 0, init)
        image.extend(bytes(max(max(addresses, default=-8) + 8 - len(image), 0)))  # a flexible array goes past the size
        if not addresses:
            start = image.rstrip(b"\0")
            if not start:
                return self.storage(t), "zeroinitializer"
            zeros = len(image) - len(start)
            if zeros < _MANY_ZEROS:
                return f"[{len(image)} x i8]", bytes_literal(bytes(image))
            types = [f"[{len(start)} x i8]", f"[{zeros} x i8]"]
            return f"<{{ {', '.join(types)} }}>", f"<{{ {types[0]} {bytes_literal(bytes(start))}, {types[1]} zeroinitializer }}>"
        types = []
        values: list[str] = []
        at = 0
        for offset in [*sorted(addresses), len(image)]:
            if offset > at:
                types.append(f"[{offset - at} x i8]")
                values.append(f"[{offset - at} x i8] {bytes_literal(bytes(image[at:offset]))}")
            if offset in addresses:
                types.append("ptr")
                values.append(f"ptr {addresses[offset]}")
                at = offset + 8
        return f"<{{ {', '.join(types)} }}>", f"<{{ {', '.join(values)} }}>"

    def _fill(self, image: bytearray, addresses: dict[int, str], base: int, init: tree.Init | None) -> None:
        for offset, member, type, node in init.items if init is not None else ():
            at = base + offset
            for other in range(at - 7, at + type.size):
                addresses.pop(other, None)  # an earlier value of the same place
            plain = node
            while isinstance(plain, tree.Convert) and isinstance(plain.type, ct.PointerType | ct.IntType):
                plain = plain.operand
            if isinstance(node, tree.StringData):
                image[at : at + len(node.data)] = node.data
            elif isinstance(node, tree.CompoundLiteral):
                self._fill(image, addresses, at, node.init)
            elif isinstance(node, tree.Const) or (isinstance(plain, tree.Const) and isinstance(plain.value, int)):
                constant = node if isinstance(node, tree.Const) else plain
                assert isinstance(constant, tree.Const)
                self._number(image, at, member, type, constant.value)
            else:
                addresses[at] = self.address(node)

    @staticmethod
    def _number(image: bytearray, at: int, member: ct.Member | None, type: Type, value: constants.Number) -> None:

        if isinstance(type, ct.FloatType):
            if type.width == 16:
                data = constants.long_double_bits(value).to_bytes(10, "little")
            else:
                data = struct.pack("<f" if type.width == 4 else "<d", value)
            image[at : at + len(data)] = data
            return
        size = type.size
        number = int(value)
        if member is not None and member.bits is not None:
            old = int.from_bytes(image[at : at + size], "little")
            mask = ((1 << member.bits) - 1) << member.bit_offset
            number = old & ~mask | number << member.bit_offset & mask
            size = max(size, (member.bit_offset + member.bits + 7) // 8)
            size = min(size, len(image) - at)
        image[at : at + size] = (number & ((1 << size * 8) - 1)).to_bytes(size, "little")

    def address(self, node: tree.Node) -> str:
        """A constant address as an LLVM constant expression."""
        found = constant_address(node)
        assert found is not None, node
        base, offset = found
        match base:
            case tree.Variable():
                symbol = self.global_symbol(base)
            case tree.StringData():
                symbol = self.string(base.data, max(base.type.align, 1))
            case tree.Function():
                symbol = self.function_symbol(base)
            case tree.MapInfo():
                symbol = f"@{base.name}"
            case _:
                return f"inttoptr (i64 {offset} to ptr)" if offset else "null"
        return f"getelementptr (i8, ptr {symbol}, i64 {offset})" if offset else symbol

    def function_symbol(self, function: tree.Function) -> str:
        """A function whose address is taken."""
        if function.body is None:
            kernel = self.bpf and function.section == programs.KSYMS
            return self.kernel_function(function) if kernel else self.outside_function(function)
        if self.bpf and programs.is_program(function):
            return "@" + function.name
        return "@" + self.instance(function, ("",) * len(function.params))

    # --- maps and records

    def map_global(self, info: tree.MapInfo) -> None:
        """A map as libbpf's BTF-defined maps: a struct of pointers whose types hold the numbers."""
        d = self.debug
        node, size = self._map_definition(info)
        # BTF-defined maps are pinned by name only: a path goes along as a tag (MapSpec.pin_path), as sharing does
        said = (info.pin_path and f"pin:{info.pin_path}", info.sharing)
        tags = tuple(f"skep:{word}" for word in said if word)
        di = d.global_variable(info.name, node, info.token, local=False, tags=tags)
        self.head.append(f'@{info.name} = dso_local global [{size} x i8] zeroinitializer, section ".maps", align 8, !dbg {di}')
        self.used.append("@" + info.name)

    def _map_definition(self, info: tree.MapInfo) -> tuple[str, int]:
        """(debug type, size) of a map's definition."""
        d = self.debug
        integer = d.type(ct.INT)
        fields: list[tuple[str, str]] = []

        def number(name: str, value: int) -> None:
            fields.append((name, d.pointer(d.array(integer, value, value * 4))))

        number("type", dialect.MAP_TYPES["unspec" if info.kind == dialect.EXTERN else info.kind])
        number("max_entries", info.max_entries)
        if info.flags:
            number("map_flags", info.flags)
        plain_sizes = info.kind in ("perf_event_array", "prog_array", "cgroup_array", "stack_trace")
        for name, type in (("key", info.key), ("value", info.value)):
            if type is None:
                continue
            if plain_sizes:  # the kernel takes no BTF for these
                number(f"{name}_size", type.size)
            else:
                fields.append((name, d.pointer(d.type(type))))
        if info.pin_path:
            number("pinning", 1)
        size = len(fields) * 8
        members = [(n, t, i * 64, 64) for i, (n, t) in enumerate(fields)]
        if info.inner is not None:
            inner, _ = self._map_definition(info.inner)
            members.append(("values", d.array(d.pointer(inner), 0, 0), size * 8, 0))
        return d.record("struct", "", size, members), size

    def records_global(self) -> None:
        """`__skep_records` in `.skep`: which struct each buffer carries, for decoding events in Python."""
        d = self.debug
        found = [(info.name, info.record) for info in self.unit.maps.values() if info.record is not None]
        if not found:
            return
        members = [("version", d.type(ct.INT), 0, 32)]
        members += [(name, d.array(d.type(record), 0, 0), 64, 0) for name, record in found]
        token = next(iter(self.unit.maps.values())).token
        di = d.global_variable("__skep_records", d.record("struct", "__skep_records", 8, members), token, local=False)
        self.head.append(
            '@__skep_records = dso_local constant [8 x i8] c"\\01\\00\\00\\00\\00\\00\\00\\00", section ".skep", '
            f"align 8, !dbg {di}"
        )
        self.used.append("@__skep_records")
