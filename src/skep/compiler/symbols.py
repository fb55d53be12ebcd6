"""What a name can mean to the checker, and the scopes that hold names."""

from __future__ import annotations

from skep.compiler import tree
from skep.compiler import types as ct
from skep.compiler.source import Token
from skep.compiler.types import Record, Type


class Typedef:
    __slots__ = ("token", "type")

    def __init__(self, type: Type, token: Token | None) -> None:
        self.type = type
        self.token = token


class Enumerator:
    __slots__ = ("token", "type", "value")

    def __init__(self, value: int, type: Type, token: Token | None) -> None:
        self.value = value
        self.type = type
        self.token = token


class Helper:
    """A kernel helper; its prototype is parsed when a program first calls it."""

    __slots__ = ("name", "number", "type")

    def __init__(self, name: str, number: int, type: ct.FunctionType) -> None:
        self.name = name
        self.number = number
        self.type = type


Symbol = tree.Variable | tree.Function | tree.MapInfo | Typedef | Enumerator | Helper


class Scope:
    __slots__ = ("names", "tags")

    def __init__(self) -> None:
        self.names: dict[str, Symbol] = {}
        self.tags: dict[str, Record | ct.EnumDefinition] = {}
