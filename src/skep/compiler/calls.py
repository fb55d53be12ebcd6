"""Calls, as the checker sees them: functions, kernel helpers, compiler builtins and the dialect's map methods."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from skep.compiler import ast, dialect, host, tree
from skep.compiler import types as ct
from skep.compiler.builtins import builtin
from skep.compiler.conversions import assignable, convert, decay, number, poison, promoted
from skep.compiler.diagnostics import closest
from skep.compiler.dialect_calls import DialectCalls
from skep.compiler.literals import string
from skep.compiler.printk import FORMATS, check_format, format_of
from skep.compiler.source import Token
from skep.compiler.symbols import Scope, Typedef
from skep.compiler.types import FunctionType, PointerType, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker
    from skep.compiler.expressions import Expressions

_VOID_POINTER = PointerType(ct.VOID)
_MEMORY = {"memcpy": 3, "memmove": 3, "memset": 3, "memcmp": 3}
_BITS = {
    "bswap16": (ct.USHORT, ct.USHORT), "bswap32": (ct.UINT, ct.UINT), "bswap64": (ct.ULONG, ct.ULONG),
    "ctz": (ct.UINT, ct.INT), "ctzl": (ct.ULONG, ct.INT), "ctzll": (ct.ULLONG, ct.INT),
    "clz": (ct.UINT, ct.INT), "clzl": (ct.ULONG, ct.INT), "clzll": (ct.ULLONG, ct.INT),
    "ffs": (ct.INT, ct.INT), "ffsl": (ct.LONG, ct.INT), "ffsll": (ct.LLONG, ct.INT),
    "popcount": (ct.UINT, ct.INT), "popcountl": (ct.ULONG, ct.INT), "popcountll": (ct.ULLONG, ct.INT),
    "parity": (ct.UINT, ct.INT), "abs": (ct.INT, ct.INT), "labs": (ct.LONG, ct.LONG),
}  # fmt: skip
# name after __sync_ / __atomic_: (LLVM operation, result is the new value, has a memory order argument)
_ATOMIC_OPS = {"add": "add", "sub": "sub", "and": "and", "or": "or", "xor": "xor", "nand": "nand"}


class Calls:
    """`call` is the entry; it needs the expression checker for the arguments."""

    def __init__(self, checker: Checker, expressions: Expressions) -> None:
        self.c = checker
        self.e = expressions
        self.dialect = DialectCalls(self)

    def call(self, node: ast.Call) -> tree.Node:
        function = node.function
        if isinstance(function, ast.MemberAccess) and not function.arrow and isinstance(function.base, ast.Name):
            symbol = self.c.lookup(function.base.name)
            if isinstance(symbol, tree.MapInfo):
                return self.method(node, function, symbol)
        if isinstance(function, ast.Name):
            name = function.name
            if name.startswith(("__builtin_", "__sync_", "__atomic_")):
                return self.builtin(node, name)
            symbol = self.c.lookup(name)
            if self.c.bpf and (symbol is None or (isinstance(symbol, tree.Function) and symbol.body is None)):
                found = self.dialect.call(node, name)
                if found is not None:
                    return found
            if symbol is None:
                return self.unknown(node, function)
            if self.c.bpf and name == "bpf_trace_printk" and node.args and isinstance(node.args[0], ast.String):
                return self.trace_printk(node)
        called = self.e.value(function)
        if isinstance(called, tree.Poison):
            return called
        if not isinstance(called.type, PointerType) or not isinstance(called.type.to, FunctionType):
            self.c.error(f"'{called.type}' is not a function", node, code="call")
            return poison(node)
        type = called.type.to
        name = function.name if isinstance(function, ast.Name) else "the function"
        args = self.arguments(node, type, f"{name}()")
        result = type.returns.unqualified()
        if isinstance(called, tree.Const):
            helper = function.name[4:] if isinstance(function, ast.Name) else ""
            if len(args) > 5:
                self.c.error(f"{name}() takes at most 5 arguments in all", node, code="arguments")
            self._check_printed(helper, args, node)
            return tree.CallHelper(node.first, node.last, result, helper, int(called.value), args)
        if isinstance(called, tree.AddressOf) and isinstance(called.operand, tree.FunctionRef):
            return tree.CallFunction(node.first, node.last, result, called.operand.function, args)
        return tree.CallPointer(node.first, node.last, result, called, args)

    def unknown(self, node: ast.Call, function: ast.Name) -> tree.Node:
        for arg in node.args:
            self.e.value(arg)
        if function.name in self.c.broken:
            return poison(node)
        near = self.c.suggestion(function.name)
        if self.c.bpf and function.name.startswith("bpf_"):
            self.c.error(f"the kernel has no helper '{function.name}'{near}", function, code="unknown-helper")
        elif self.c.bpf and function.name in dialect.MAP_MACROS:
            self.c.error(f"{function.name} declares a map: write it outside functions", function, code="map")
        else:
            why = "; a BPF program can call only helpers and functions in this text" if self.c.bpf and not near else ""
            self.c.error(f"function '{function.name}' is not declared{near}{why}", function, code="undeclared")
        return poison(node)

    def arguments(self, node: ast.Call, type: FunctionType, name: str) -> list[tree.Node]:
        args = [self.e.value(a) for a in node.args]
        wanted = len(type.params)
        if type.prototyped and (len(args) < wanted or (len(args) > wanted and not type.variadic)):
            few = "few" if len(args) < wanted else "many"
            params = ", ".join(_parameter(n, t) for n, t in type.params) or "no arguments"
            least = "at least " if type.variadic else ""
            self.c.error(
                f"too {few} arguments for {name}: {len(args)} given, {least}{wanted} needed: ({params})", node, code="arguments"
            )
            return [poison(node)] * wanted
        converted = []
        for i, arg in enumerate(args):
            if i < wanted and type.prototyped:
                converted.append(assignable(self.c, arg, type.params[i][1], f"argument {i + 1} of {name}", node.args[i]))
            else:
                converted.append(self.default_promotion(arg))
        return converted

    def default_promotion(self, arg: tree.Node) -> tree.Node:
        """C11 6.5.2.2p6: what an argument without a parameter type becomes."""
        if isinstance(arg.type, ct.FloatType) and arg.type.width == 4:
            return convert(arg, ct.DOUBLE)
        return promoted(arg) if ct.is_integer(arg.type) else arg

    # --- map methods

    def map_member(self, node: ast.MemberAccess, base: tree.MapRef) -> tree.Node:
        """`map.x` that is not a call: the key and leaf members that BCC's typeof tricks use."""
        type = {"key": base.map.key, "leaf": base.map.value}.get(node.name.text)
        if type is not None:
            null = convert(number(node, 0), PointerType(type))
            return tree.Deref(node.first, node.last, type, null)
        self.c.error(
            f"'{node.name.text}' of map '{base.map.name}' is not a value; a method is called: "
            f"{base.map.name}.{node.name.text}(...)", node.name, code="map-method",
        )  # fmt: skip
        return poison(node)

    def methods_of(self, info: tree.MapInfo) -> list[str]:
        found = []
        for name in dialect.METHODS:
            kinds = dialect.METHOD_KINDS.get(name)
            if kinds and info.kind == dialect.EXTERN:
                kinds = (dialect.EXTERN,)
            if info.kind in (kinds or _KEYED_KINDS) and (kinds or info.key is not None):
                found.append(name)
        return found

    def method(self, node: ast.Call, access: ast.MemberAccess, info: tree.MapInfo) -> tree.Node:
        name = access.name.text
        known = self.methods_of(info)
        args = [self.e.value(a) for a in node.args]
        if name not in known:
            near = closest(name, known)
            hint = f"; did you mean '{near}'?" if near else f"; it has: {', '.join(known) or 'none'}"
            self.c.error(f"{info.kind} map '{info.name}' has no method '{name}'{hint}", access.name, code="map-method")
            return poison(node)
        params, text = dialect.METHODS[name]
        if info.kind in dialect.ARRAYS:
            text = dialect.ARRAY_METHODS.get(name, text)
        call = f"{info.name}.{name}()"
        least = sum("=" not in kind for _, kind in params)
        if not least <= len(args) <= len(params):
            few = "few" if len(args) < least else "many"
            usage = ", ".join(f"[{n}]" if "=" in kind else n for n, kind in params)
            self.c.error(f"too {few} arguments: {info.name}.{name}({usage})", node, code="arguments")
            return poison(node)
        if name in ("increment", "atomic_increment") and (info.value is None or not ct.is_integer(info.value)):
            self.c.error(f"{call} needs a map of integers; '{info.name}' holds '{info.value}'", access.name, code="map-method")
            return poison(node)
        return self._expand(node, access.name, info, text, params, args, call)

    def _expand(
        self, node: ast.Call, at: Token, info: tree.MapInfo, text: str, params: tuple[tuple[str, str], ...],
        args: list[tree.Node], call: str,
    ) -> tree.Node:  # fmt: skip
        scope = Scope()
        scope.names["MAP"] = info
        if info.key is not None:
            scope.names["KEY"] = Typedef(info.key, None)
        if info.value is not None:
            scope.names["VALUE"] = Typedef(info.value, None)
        items: list[tree.Statement] = []
        for i, (param, kind) in enumerate(params):
            kind, _, default = kind.partition("=")
            arg = args[i] if i < len(args) else number(node, int(default))
            source = node.args[i] if i < len(args) else node
            value = self._argument(arg, kind, info, call, param, source)
            var = tree.Variable(param, value.type, "local", at)
            init = tree.Init(at, value.type, False)
            init.items.append((0, None, value.type, value))
            items.append(tree.Declare(at, var, init))
            scope.names[param] = var
        self.c.scopes.append(scope)
        result = self.e.value(self.c.template(text, call[:-2], at))
        self.c.scopes.pop()
        block = tree.Block(at, items, at)
        return tree.StatementExpr(node.first, node.last, result.type, block, result)

    def _argument(self, arg: tree.Node, kind: str, info: tree.MapInfo, call: str, param: str, source: ast.Node) -> tree.Node:
        if isinstance(arg, tree.Poison):
            return arg
        if kind in ("key*", "value*"):
            what, type = ("key", info.key) if kind == "key*" else ("value", info.value)
            assert type is not None
            return self._pointer_argument(arg, type, what, call, source)
        if kind in ("ctx", "data", "value"):
            if not isinstance(arg.type, PointerType):
                hint = f"; write '&{source.name}'" if isinstance(source, ast.Name) else ""
                self.c.error(f"{call} wants a pointer for its {param}, not '{arg.type}'{hint}", source, code="map-argument")
                return convert(number(arg, 0), _VOID_POINTER)
            if kind == "data" and info.record is None and isinstance(arg.type.to, RecordType | ct.IntType | ct.ArrayType):
                info.record = arg.type.to.unqualified()
            return convert(arg, _VOID_POINTER)
        if kind == "key":
            assert info.key is not None
            if isinstance(arg.type, PointerType) and not isinstance(info.key, PointerType):
                self.c.error(
                    f"{call} wants the key itself, '{info.key}', not a pointer '{arg.type}'" + _without_ampersand(source),
                    source, code="map-argument",
                )  # fmt: skip
                return convert(number(arg, 0), info.key) if ct.is_scalar(info.key) else arg
            return assignable(self.c, arg, info.key, f"the key of {call}", source)
        if not ct.is_integer(arg.type):
            self.c.error(f"{call} wants an integer for its {param}, not '{arg.type}'", source, code="map-argument")
            return number(arg, 0)
        return promoted(arg)

    def _pointer_argument(self, arg: tree.Node, type: Type, what: str, call: str, source: ast.Node) -> tree.Node:
        pointer = PointerType(type.with_quals(ct.CONST))
        if not isinstance(arg.type, PointerType) and tree.const_int(arg) != 0:
            hint = (
                f"; write '&{source.name}'" if isinstance(source, ast.Name) else "; put it into a variable and write '&variable'"
            )
            self.c.error(
                f"{call} wants a pointer to the {what}, '{PointerType(type)}', not '{arg.type}' itself{hint}", source,
                code="map-argument",
            )  # fmt: skip
            return convert(number(arg, 0), pointer)
        to = arg.type.to if isinstance(arg.type, PointerType) else ct.VOID
        if to.complete and not isinstance(to, ct.VoidType) and to.size < type.size:
            self.c.error(
                f"{call}: the {what} has {type.size} bytes ('{type}'), but this points to {to.size} ('{to}')", source,
                code="map-argument",
            )  # fmt: skip
        return convert(arg, pointer)

    # --- bpf_trace_printk and its kin

    def _check_printed(self, helper: str, args: list[tree.Node], node: ast.Call) -> None:
        place = FORMATS.get(helper)
        text = format_of(args[place]) if place is not None and place < len(args) else None
        if text is not None:
            check_format(self.c, helper, text, args[2:] if helper == "trace_printk" else None, node)

    def trace_printk(self, node: ast.Call) -> tree.Node:
        """`bpf_trace_printk("text", ...)`: the literal's size is filled in, as BCC does."""
        first = node.args[0]
        assert isinstance(first, ast.String)
        text = string(self.c, first)
        args = [self.default_promotion(self.e.value(a)) for a in node.args[1:]]
        if len(args) > 3:
            self.c.error(f"bpf_trace_printk() prints at most 3 values, and here are {len(args)}", node.args[4], code="printk")
            args = args[:3]
        check_format(self.c, "trace_printk", text, args, node)
        size = number(first, len(text.data), ct.UINT)
        return tree.CallHelper(node.first, node.last, ct.INT, "trace_printk", 6, [decay(text), size, *args])

    # --- builtins

    def builtin(self, node: ast.Call, name: str) -> tree.Node:
        if name.startswith("__builtin_"):
            short = name[10:]
            if short in _MEMORY:
                return self._memory(node, short)
            if short in _BITS:
                return self._bits(node, short)
            method = self._special.get(short)
            if method is not None:
                return method(self, node)
            other = builtin(self, node, short)
            if other is not None:
                return other
            if not self.c.bpf:
                found = self._library(node, short)
                if found is not None:
                    return found
        else:
            found = self._atomic(node, name)
            if found is not None:
                return found
        self.c.error(f"'{name}' is not a builtin that Skep knows", node.function, code="builtin")
        return poison(node)

    def _library(self, node: ast.Call, name: str) -> tree.Node | None:
        """A builtin of hosts: a number, a function of the C library's, or an expression in C over its arguments."""
        bare = name.rstrip("fl") if name[:3] in ("inf", "nan", "hug") else ""
        if name in ("inf", "inff", "infl") or bare in ("inf", "huge_va", "nan"):
            type = {"f": ct.FLOAT, "l": ct.LDOUBLE}.get(name[len("huge_val" if name[0] == "h" else "inf") :], ct.DOUBLE)
            value = math.nan if bare == "nan" else math.inf
            for arg in node.args:
                self.e.value(arg)
            return number(node, value, type)
        row = host.LIBRARY.get(name)
        if row is not None:
            prototype = self.c.parse_type(f"{row[0]} (*)({row[1]})")
            assert isinstance(prototype, PointerType)
            assert isinstance(prototype.to, FunctionType)
            function = self.c.unit.functions.get(name)
            if function is None:
                function = self.c.unit.functions[name] = tree.Function(name, prototype.to, node.first)
            args = self.arguments(node, prototype.to, f"__builtin_{name}()")
            return tree.CallFunction(node.first, node.last, prototype.to.returns, function, args)
        params, text = host.TEXTS.get(name, ((), ""))
        if not text:
            return None
        args_found = self.take(node, len(params))
        if args_found is None or not all(isinstance(a.type, ct.FloatType) for a in args_found):
            if args_found is not None:
                self.c.error(f"__builtin_{name}() takes floating-point numbers", node, code="type")
            return poison(node)
        return self.with_arguments(node, node.first, text, name, list(zip(params, args_found, strict=True)))

    def with_arguments(self, node: ast.Call, at: Token, text: str, name: str, values: list[tuple[str, tree.Node]]) -> tree.Node:
        """A C expression over variables that hold the values."""
        scope = Scope()
        items: list[tree.Statement] = []
        for param, value in values:
            var = tree.Variable(param, value.type.unqualified(), "local", at)
            init = tree.Init(at, var.type, False)
            init.items.append((0, None, var.type, value))
            items.append(tree.Declare(at, var, init))
            scope.names[param] = var
        self.c.scopes.append(scope)
        result = self.e.value(self.c.template(text, name, at))
        self.c.scopes.pop()
        return tree.StatementExpr(node.first, node.last, result.type, tree.Block(at, items, at), result)

    def take(self, node: ast.Call, count: int) -> list[tree.Node] | None:
        args = [self.e.value(a) for a in node.args]
        if len(args) != count:
            name = node.function.name if isinstance(node.function, ast.Name) else ""
            self.c.error(
                f"{name}() takes {count} argument{'s' * (count != 1)}, and {len(args)} are given", node, code="arguments"
            )
            return None
        return args

    def _memory(self, node: ast.Call, name: str) -> tree.Node:
        args = self.take(node, 3)
        if args is None:
            return poison(node)
        for i in (0, 1) if name != "memset" else (0,):
            if not isinstance(args[i].type, PointerType):
                hint = f"; write '&{s.name}'" if isinstance(s := node.args[i], ast.Name) else ""
                self.c.error(f"{name}() wants a pointer, not '{args[i].type}'{hint}", node.args[i], code="type")
                return poison(node)
        if name == "memset":
            args[1] = assignable(self.c, args[1], ct.INT, "argument 2 of memset()", node.args[1])
        args[2] = assignable(self.c, args[2], ct.ULONG, f"argument 3 of {name}()", node.args[2])
        if self.c.bpf and tree.const_int(args[2]) is None:
            self.c.error(
                f"{name}() in BPF needs a constant size: it becomes loads and stores; for a changing size use "
                "bpf_probe_read_kernel() or a loop with a bound", node.args[2], code="constant",
            )  # fmt: skip
            return poison(node)
        result = ct.INT if name == "memcmp" else _VOID_POINTER
        return tree.CallBuiltin(node.first, node.last, result, name, args)

    def _bits(self, node: ast.Call, name: str) -> tree.Node:
        args = self.take(node, 1)
        if args is None:
            return poison(node)
        takes, gives = _BITS[name]
        arg = assignable(self.c, args[0], takes, f"argument 1 of __builtin_{name}()", node.args[0])
        value = tree.const_int(arg)
        if value is not None and name.startswith("bswap"):
            return number(node, int.from_bytes(value.to_bytes(takes.size, "little"), "big"), gives)
        if value is not None and (value or not name.startswith(("ctz", "clz"))):
            return number(node, gives.wrap(_fold_bits(name, value & takes.maximum if not takes.signed else value, takes)), gives)
        return tree.CallBuiltin(node.first, node.last, gives, name, [arg])

    def _expect(self, node: ast.Call) -> tree.Node:
        args = self.take(node, 2)
        if args is None or not all(ct.is_scalar(a.type) for a in args):
            return poison(node)
        args = [convert(a, ct.LONG) for a in args]
        if isinstance(args[0], tree.Const):
            return args[0]
        return tree.CallBuiltin(node.first, node.last, ct.LONG, "expect", args)

    def _constant_p(self, node: ast.Call) -> tree.Node:
        args = self.take(node, 1)
        if args is None or isinstance(args[0], tree.Const):
            return number(node, int(args is not None))
        if isinstance(args[0], tree.AddressOf) and isinstance(args[0].operand, tree.StringData):
            return number(node, 1)
        if not ct.is_integer(args[0].type):
            return poison(node)
        return tree.CallBuiltin(node.first, node.last, ct.INT, "constant_p", args)

    def _choose(self, node: ast.Call) -> tree.Node:
        if len(node.args) != 3:
            self.take(node, 3)
            return poison(node)
        return self.e.check(node.args[1 if self.c.constant(node.args[0], "the choice") else 2])

    def _same(self, node: ast.Call) -> tree.Node:
        """Field accesses use the running kernel's own layout here, so there is nothing to preserve."""
        if len(node.args) != 1:
            self.take(node, 1)
            return poison(node)
        return self.e.value(node.args[0])

    def _stop(self, node: ast.Call) -> tree.Node:
        self.take(node, 0)
        assert isinstance(node.function, ast.Name)
        return tree.CallBuiltin(node.first, node.last, ct.VOID, node.function.name[10:], [])

    def _alloca(self, node: ast.Call) -> tree.Node:
        if self.c.bpf:
            self.c.error("BPF's stack is fixed at load: give a variable a constant size", node, code="alloca")
            return poison(node)
        args = self.take(node, 1)
        if args is None:
            return poison(node)
        size = assignable(self.c, args[0], ct.ULONG, "the size", node)
        return tree.CallBuiltin(node.first, node.last, PointerType(ct.VOID), "alloca", [size])

    def _packet_load(self, node: ast.Call) -> tree.Node:
        """LD_ABS and LD_IND: a number of the packet's in host order; outside of the packet the program ends with 0."""
        assert isinstance(node.function, ast.Name)
        args = self.take(node, 2)
        if args is None or not isinstance(args[0].type, PointerType) or not ct.is_integer(args[1].type):
            if args is not None:
                self.c.error(f"{node.function.name}() takes the packet's struct __sk_buff * and an offset", node, code="type")
            return poison(node)
        width = node.function.name.rsplit("_", 1)[1]
        offset = convert(args[1], ct.ULLONG)
        return tree.CallBuiltin(node.first, node.last, ct.ULLONG, "packet_load", [width, args[0], offset])

    def _va(self, node: ast.Call) -> tree.Node:
        assert isinstance(node.function, ast.Name)
        if self.c.bpf:
            self.c.error("BPF functions take a fixed number of arguments", node, code="variadic")
        args = [self.e.value(a) for a in node.args]
        return tree.CallBuiltin(node.first, node.last, ct.VOID, node.function.name[10:], args)

    _special = {  # noqa: RUF012
        "expect": _expect, "constant_p": _constant_p, "choose_expr": _choose, "preserve_access_index": _same,
        "unreachable": _stop, "bpf_load_byte": _packet_load, "bpf_load_half": _packet_load, "bpf_load_word": _packet_load,
        "trap": _stop, "alloca": _alloca, "va_start": _va, "va_end": _va, "va_copy": _va,
    }  # fmt: skip

    def _atomic(self, node: ast.Call, name: str) -> tree.Node | None:
        args = [self.e.value(a) for a in node.args]
        _family, _, what = name.strip("_").partition("_")
        if what in ("test_and_set", "clear") and args and isinstance(args[0].type, PointerType):  # of a byte, whatever its type
            byte = convert(args[0], PointerType(ct.UCHAR))
            if what == "clear":
                zero = tree.Const(node.first, node.last, ct.UCHAR, 0)
                return tree.CallBuiltin(node.first, node.last, ct.VOID, "atomic_store", [byte, zero])
            one = tree.Const(node.first, node.last, ct.UCHAR, 1)
            return convert(self._rmw(node, ct.UCHAR, "xchg", [byte, one], new=False), ct.BOOL)
        if what == "synchronize" or what in ("thread_fence", "signal_fence"):
            order = args[0].value if what == "thread_fence" and args and isinstance(args[0], tree.Const) else None
            return tree.CallBuiltin(node.first, node.last, ct.VOID, "fence", [_FENCES.get(order, "seq_cst")])
        if not args or not isinstance(args[0].type, PointerType) or not ct.is_scalar(args[0].type.to):
            self.c.error(
                f"{name}() works on a pointer to an integer, not '{args[0].type if args else 'nothing'}'", node, code="type"
            )
            return poison(node)
        type = args[0].type.to.unqualified()

        def value(i: int) -> tree.Node:
            if i >= len(args):
                self.c.error(f"{name}() needs more arguments", node, code="arguments")
                return convert(number(node, 0), type)
            return assignable(self.c, args[i], type, f"argument {i + 1} of {name}()", node.args[i])

        words = what.removesuffix("_n").split("_")
        if words[0] == "fetch" and words[-1] in _ATOMIC_OPS:
            return self._rmw(node, type, _ATOMIC_OPS[words[-1]], [args[0], value(1)], new=False)
        if words[-1] == "fetch" and words[0] in _ATOMIC_OPS:
            return self._rmw(node, type, _ATOMIC_OPS[words[0]], [args[0], value(1)], new=True)
        if what in ("lock_test_and_set", "exchange_n"):
            return self._rmw(node, type, "xchg", [args[0], value(1)], new=False)
        if what in ("val_compare_and_swap", "bool_compare_and_swap"):
            result = ct.BOOL if what.startswith("bool") else type
            return tree.CallBuiltin(node.first, node.last, result, "cmpxchg", [args[0], value(1), value(2)])
        if what == "compare_exchange_n" and len(args) >= 3:
            return tree.CallBuiltin(node.first, node.last, ct.BOOL, "compare_exchange", [args[0], args[1], value(2)])
        if what == "compare_exchange" and len(args) >= 3:
            wanted = args[2]
            if not isinstance(wanted.type, PointerType) or wanted.type.to.size != type.size:
                self.c.error(f"argument 3 of {name}() is a pointer to the new value", node, code="arguments")
                return poison(node)
            place = tree.Deref(wanted.token, wanted.last, type, wanted)
            return tree.CallBuiltin(node.first, node.last, ct.BOOL, "compare_exchange", [args[0], args[1], place])
        if what in ("load_n",):
            return tree.CallBuiltin(node.first, node.last, type, "atomic_load", [args[0]])
        if what in ("load", "exchange", "store"):
            return self._through_pointers(node, type, args, what)
        if what in ("store_n", "lock_release"):
            stored = value(1) if what == "store_n" else convert(number(node, 0), type)
            return tree.CallBuiltin(node.first, node.last, ct.VOID, "atomic_store", [args[0], stored])
        return None

    def _through_pointers(self, node: ast.Call, type: Type, args: list[tree.Node], what: str) -> tree.Node:
        """__atomic_load, store and exchange without _n: values are behind pointers."""
        count = 4 if what == "exchange" else 3
        pointers = args[1 : count - 1]
        if len(args) != count or not all(isinstance(p.type, PointerType) and p.type.to.size == type.size for p in pointers):
            self.c.error(
                f"__atomic_{what}() takes {count} arguments, pointers to one type and a memory order", node, code="arguments"
            )
            return poison(node)
        places = [tree.Deref(p.token, p.last, type, p) for p in pointers]
        if what == "store":
            return tree.CallBuiltin(node.first, node.last, ct.VOID, "atomic_store", [args[0], places[0]])
        value: tree.Node = tree.CallBuiltin(node.first, node.last, type, "atomic_load", [args[0]])
        if what == "exchange":
            value = self._rmw(node, type, "xchg", [args[0], places[0]], new=False)
        assigned = tree.Assign(node.first, node.last, type, places[-1], value)
        return tree.Convert(node.first, node.last, ct.VOID, assigned, True)

    @staticmethod
    def _rmw(node: ast.Call, type: Type, op: str, args: list[Any], *, new: bool) -> tree.Node:
        return tree.CallBuiltin(node.first, node.last, type, "atomic_new" if new else "atomic_old", [op, *args])


_FENCES = {1: "acquire", 2: "acquire", 3: "release", 4: "acq_rel"}  # by __ATOMIC_CONSUME and so on

_KEYED_KINDS = {
    "hash", "array", "percpu_hash", "percpu_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps",
    "devmap", "devmap_hash", "cpumap", "xskmap", "sockmap", "sockhash", "stack_trace", dialect.EXTERN,
}  # fmt: skip


def _parameter(name: str, type: Type) -> str:
    return type.spell(name) if not type.alias else f"{type} {name}".strip()


def _without_ampersand(source: ast.Node) -> str:
    if isinstance(source, ast.Unary) and source.op == "&" and isinstance(source.operand, ast.Name):
        return f"; write '{source.operand.name}'"
    return ""


def _fold_bits(name: str, value: int, type: ct.IntType) -> int:
    base = name.rstrip("l")
    if base == "ctz":
        return (value & -value).bit_length() - 1
    if base == "clz":
        return type.bits - value.bit_length()
    if base == "ffs":
        return (value & -value).bit_length()
    if base in ("popcount", "parity"):
        count = value.bit_count()
        return count if base == "popcount" else count & 1
    return abs(value)
