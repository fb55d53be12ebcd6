"""The dialect's map declarations: BPF_HASH(...) and its kin to what the object says of a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skep.compiler import ast, dialect, tree
from skep.compiler import types as ct
from skep.compiler.diagnostics import closest
from skep.compiler.literals import string
from skep.compiler.source import Token
from skep.compiler.types import Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker


class MapDeclarations:
    """`declaration` is the entry."""

    def __init__(self, checker: Checker) -> None:
        self.c = checker

    def declaration(self, item: ast.MapDeclaration) -> None:
        kind, _, fixed_key, fixed_value, flags = dialect.MAP_MACROS[item.macro]
        args = item.args
        token: Token = args["name"]
        key = self._map_type(args, "key", fixed_key, ct.BUILTIN_TYPEDEFS.get(dialect.DEFAULT_KEY.get(item.macro, "u64"), ct.INT))
        value = self._map_type(args, "leaf", fixed_value, ct.BUILTIN_TYPEDEFS["u64"])
        size_at = args.get("size") or args.get("pages")
        size = dialect.DEFAULT_SIZE.get(kind, 10240) if size_at is None else self.c.constant(size_at, "the size of a map")
        inner = self._text(args["inner"]) if "inner" in args else ""
        if not kind:
            text, _, inner = self._text(args["type"]).partition("$")  # BCC's way to name the inner map
            kind = self._table_kind(text, args["type"])
        if kind == "histogram":
            plain = isinstance(key, ct.IntType) and key.name == "int" and (args.get("key") is None or not key.alias)
            if "key" not in args:
                key, plain = ct.INT, True
            kind = "array" if plain else "hash"
        if kind in ("ringbuf", "user_ringbuf"):
            size *= 4096
        elif kind == "perf_event_array" and "size" not in args:
            size = 0  # one slot per possible CPU, known when the map is made
        elif kind in dialect.STORAGES:
            size = 0
        elif kind == "stack_trace" and size > 0:
            size = 1 << (size - 1).bit_length()
        if kind in dialect.KEYLESS:
            key = None
        if kind in dialect.VALUELESS:
            value = None
        if "flags" in args:
            flags |= self.c.constant(args["flags"], "the flags of a map")
        for what, type in (("key", key), ("value", value)):
            if type is not None and (not type.complete or not type.size):
                self.c.types.incomplete(
                    type, f"the {what} of map '{token.text}'", args.get("leaf" if what == "value" else "key") or token
                )
                return
        if size < 0 or (size == 0 and kind not in ("perf_event_array", dialect.EXTERN, *dialect.STORAGES)):
            self.c.error(f"map '{token.text}' needs room for at least one entry", size_at, code="map-size")
            return
        for what, asked, at in (("size", size, size_at), ("flags", flags, args.get("flags"))):
            if asked >> 32:
                self.c.error(f"map '{token.text}': the kernel has 32 bits for its {what}, not {asked}", at, code="map-size")
                return
        info = tree.MapInfo(token.text, kind, key, value, size, token, flags)
        if item.macro in dialect.PUBLIC:
            info.sharing = "public"
        if kind == dialect.EXTERN:
            if info.sharing:
                self.c.error("a table of another BPF object cannot be made public here", args["type"], code="map-type")
            info.sharing = "extern"
        if "path" in args:
            info.pin_path = self._text(args["path"])
        if kind.endswith("_of_maps"):
            info.inner = self._inner_map(inner, args.get("inner") or args["type"])
        self.c.declare(token.text, info, token)
        self.c.unit.maps[token.text] = info

    def _text(self, node: ast.String) -> str:
        return string(self.c, node).data[:-1].decode("utf-8", "replace")

    def _inner_map(self, name: str, node: ast.String) -> tree.MapInfo | None:
        """The map of this text that says what a map of maps holds."""
        found = self.c.unit.maps.get(name)
        if not name:
            self.c.error(
                'a map of maps names the map that its entries are like: BPF_TABLE("hash_of_maps$inner", ...) or BPF_HASH_OF_MAPS',
                node, code="map-inner",
            )  # fmt: skip
        elif found is None:
            near = closest(name, self.c.unit.maps)
            self.c.error(
                f"no map is named '{name}'{f'; did you mean {near!r}?' if near else ''}; "
                "a map of maps names one that is declared before it and that its entries are like", node, code="map-inner",
            )  # fmt: skip
        elif found.inner is not None:
            self.c.error(f"'{name}' is a map of maps itself; the kernel nests them only once", node, code="map-inner")
        return found

    def _map_type(self, args: dict[str, Any], name: str, fixed: str, default: Type) -> Type | None:
        if fixed == "-":
            return None
        if fixed:
            return self.c.parse_type(fixed)
        if name not in args:
            return default
        return self.c.types.type_name(args[name]).unqualified()

    def _table_kind(self, text: str, node: ast.String) -> str:
        if text == dialect.EXTERN:
            return text
        kind = dialect.TABLE_TYPES.get(text, text)
        if kind not in dialect.MAP_TYPES and kind != "histogram":
            names = [*dialect.TABLE_TYPES, *dialect.MAP_TYPES]
            near = closest(text, names)
            self.c.error(f"no map type is named '{text}'" + (f"; did you mean '{near}'?" if near else ""), node, code="map-type")
            return "hash"
        return kind
