"""Methods of the dialect's maps: a row of `dialect.METHODS` is a body in C, checked at the call as if it stood there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import ast, dialect, tree
from skep.compiler import types as ct
from skep.compiler.conversions import assignable, convert, number, poison, promoted
from skep.compiler.diagnostics import closest
from skep.compiler.source import Token
from skep.compiler.symbols import Scope, Typedef
from skep.compiler.types import PointerType, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker

_VOID_POINTER = PointerType(ct.VOID)
_KEYED_KINDS = {
    "hash", "array", "percpu_hash", "percpu_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps",
    "devmap", "devmap_hash", "cpumap", "xskmap", "sockmap", "sockhash", "stack_trace", dialect.EXTERN,
}  # fmt: skip


class MapMethods:
    """`call` is `map.method(...)`, `member` is `map.name` without a call."""

    def __init__(self, checker: Checker) -> None:
        self.c = checker
        self._lost: dict[str, tree.Variable] = {}

    def member(self, node: ast.MemberAccess, base: tree.MapRef) -> tree.Node:
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

    def call(self, node: ast.Call, access: ast.MemberAccess, info: tree.MapInfo) -> tree.Node:
        name = access.name.text
        known = self.methods_of(info)
        args = [self.c.expr.value(a) for a in node.args]
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
        if "LOST" in text:
            scope.names["LOST"] = self._lost_counter(info)
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
        result = self.c.expr.value(self.c.template(text, call[:-2], at))
        self.c.scopes.pop()
        block = tree.Block(at, items, at)
        return tree.StatementExpr(node.first, node.last, result.type, block, result)

    def _lost_counter(self, info: tree.MapInfo) -> tree.Variable:
        """A variable beside the program's own, made when the first call is seen that may find a ring buffer full."""
        found = self._lost.get(info.name)
        if found is None:
            found = tree.Variable(dialect.LOST_PREFIX + info.name, ct.BUILTIN_TYPEDEFS["u64"], "global", info.token)
            found.section = dialect.LOST_SECTION
            self._lost[info.name] = found
            self.c.unit.globals.append(found)
        return found

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


def _without_ampersand(source: ast.Node) -> str:
    if isinstance(source, ast.Unary) and source.op == "&" and isinstance(source.operand, ast.Name):
        return f"; write '{source.operand.name}'"
    return ""
