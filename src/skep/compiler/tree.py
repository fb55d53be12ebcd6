"""The checked tree: every expression typed, every conversion explicit, names resolved. Made by the checker, read by
the origin pass and the emitter.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from skep.compiler.source import Token
from skep.compiler.types import FunctionType, IntType, Member, Type


class Variable:
    """storage: "local", "param", "global" (linkage in `linkage`: "extern", "static", "")."""

    __slots__ = ("attributes", "init", "linkage", "name", "section", "storage", "symbol", "tentative", "token", "type")

    def __init__(self, name: str, type: Type, storage: str, token: Token) -> None:
        self.name = name
        self.type = type
        self.storage = storage
        self.token = token
        self.linkage = ""
        self.symbol = name
        self.section = ""
        self.init: Init | None = None
        self.tentative = False
        self.attributes: dict[str, Any] = {}


class Function:
    """inlining: "" (static: inlined), "always", "never"; `entry` functions are programs; `section` as SEC() gave it."""

    __slots__ = (
        "attributes", "body", "defined_at", "entry", "inlining", "labels", "linkage", "name", "params", "section", "token",
        "type",
        "used",
    )  # fmt: skip

    def __init__(self, name: str, type: FunctionType, token: Token) -> None:
        self.name = name
        self.type = type
        self.token = token
        self.linkage = "extern"
        self.inlining = ""
        self.section = ""
        self.entry = False
        self.used = False
        self.body: Block | None = None
        self.params: list[Variable] = []
        self.labels: dict[str, Any] = {}
        self.attributes: dict[str, Any] = {}
        self.defined_at: Token | None = None


class MapInfo:
    """A map as declared; `kind` is the kernel's map type name in lower case, `record` the type of buffered records.

    `sharing`: "public" for other objects of the process too, "extern" another object's (then `kind` is so too), or "".
    """

    __slots__ = ("flags", "inner", "key", "kind", "max_entries", "name", "pin_path", "record", "sharing", "token", "value")

    def __init__(
        self, name: str, kind: str, key: Type | None, value: Type | None, max_entries: int, token: Token, flags: int = 0
    ) -> None:
        self.name = name
        self.kind = kind
        self.key = key
        self.value = value
        self.max_entries = max_entries
        self.token = token
        self.flags = flags
        self.inner: MapInfo | None = None
        self.pin_path = ""
        self.sharing = ""
        self.record: Type | None = None


class Node:
    """Made as Node(token, last, type, *fields) for expressions; `token` and `last` bound the text for messages."""

    __slots__ = ("last", "token", "type")
    token: Token
    last: Token
    type: Type

    def __init__(self, token: Token, last: Token, type: Type, *fields: Any) -> None:
        self.token = token
        self.last = last
        self.type = type
        for slot, value in zip(self.__slots__, fields, strict=True):
            setattr(self, slot, value)


class Const(Node):
    """A number; that of a long double may be a fraction (see `constants`)."""

    __slots__ = ("value",)
    value: int | float | Fraction


class Poison(Const):
    """An expression that was found wrong: checks let it pass, and nothing is emitted after an error."""

    __slots__ = ()

    def __init__(self, *fields: Any) -> None:
        self.token, self.last, self.type, self.value = fields


class StringData(Node):
    """A string literal: an lvalue of array type; `data` includes the final zero."""

    __slots__ = ("data",)
    data: bytes


class VarRef(Node):
    __slots__ = ("var",)
    var: Variable


class FunctionRef(Node):
    __slots__ = ("function",)
    function: Function


class MapRef(Node):
    """The map itself: its address as a `void *`."""

    __slots__ = ("map",)
    map: MapInfo


class Deref(Node):
    __slots__ = ("pointer",)
    pointer: Node


class MemberRef(Node):
    __slots__ = ("base", "member")
    base: Node
    member: Member


class AddressOf(Node):
    """The address of an lvalue; for an array lvalue also its decay."""

    __slots__ = ("operand",)
    operand: Node


class Convert(Node):
    """`explicit` casts were written by the user."""

    __slots__ = ("operand", "explicit")
    operand: Node
    explicit: bool


class Unary(Node):
    """op: - ~ !"""

    __slots__ = ("op", "operand")
    op: str
    operand: Node


class Binary(Node):
    """Arithmetic, bit and shift operators on operands of the result's type (shift counts may differ)."""

    __slots__ = ("op", "left", "right")
    op: str
    left: Node
    right: Node


class Compare(Node):
    __slots__ = ("op", "left", "right")
    op: str
    left: Node
    right: Node


class Logical(Node):
    """&& and ||."""

    __slots__ = ("op", "left", "right")
    op: str
    left: Node
    right: Node


class PointerAdd(Node):
    """pointer + index (a 64-bit integer); `negative` subtracts."""

    __slots__ = ("pointer", "index", "negative")
    pointer: Node
    index: Node
    negative: bool


class PointerDiff(Node):
    __slots__ = ("left", "right")
    left: Node
    right: Node


class Conditional(Node):
    """`then` None: the GNU form, the condition's own value (already converted by `condition_value`)."""

    __slots__ = ("condition", "then", "otherwise")
    condition: Node
    then: Node | None
    otherwise: Node


class Comma(Node):
    __slots__ = ("left", "right")
    left: Node
    right: Node


class Assign(Node):
    __slots__ = ("target", "value")
    target: Node
    value: Node


class CompoundAssign(Node):
    """target = (type)((compute)target op value); pointer targets have compute None and value scaled by the emitter."""

    __slots__ = ("op", "target", "value", "compute", "post")
    op: str
    target: Node
    value: Node
    compute: Type | None
    post: bool


class CallFunction(Node):
    __slots__ = ("function", "args")
    function: Function
    args: list[Node]


class CallPointer(Node):
    __slots__ = ("pointer", "args")
    pointer: Node
    args: list[Node]


class CallHelper(Node):
    """A kernel helper by number; `name` without bpf_."""

    __slots__ = ("name", "number", "args")
    name: str
    number: int
    args: list[Node]


class CallBuiltin(Node):
    __slots__ = ("name", "args")
    name: str
    args: list[Any]


class StatementExpr(Node):
    """The value is that of the last item if it is an expression statement."""

    __slots__ = ("block", "value")
    block: Block
    value: Node | None


class CompoundLiteral(Node):
    __slots__ = ("var", "init")
    var: Variable
    init: Init


class Init:
    """A flat initialiser: stores at byte offsets over an object that is zero otherwise (if `zero`)."""

    __slots__ = ("items", "token", "type", "zero")

    def __init__(self, token: Token, type: Type, zero: bool) -> None:
        self.token = token
        self.type = type
        self.zero = zero
        self.items: list[tuple[int, Member | None, Type, Node]] = []


# --- statements


class Statement:
    __slots__ = ("token",)
    token: Token

    def __init__(self, token: Token, *fields: Any) -> None:
        self.token = token
        for slot, value in zip(self.__slots__, fields, strict=True):
            setattr(self, slot, value)


class Block(Statement):
    __slots__ = ("items", "last")
    items: list[Statement]
    last: Token


class Evaluate(Statement):
    __slots__ = ("expr",)
    expr: Node


class Declare(Statement):
    __slots__ = ("var", "init")
    var: Variable
    init: Init | None


class If(Statement):
    __slots__ = ("condition", "then", "otherwise")
    condition: Node
    then: Statement
    otherwise: Statement | None


class Loop(Statement):
    __slots__ = ("kind", "init", "condition", "step", "body", "unroll")
    kind: str
    init: Statement | None
    condition: Node | None
    step: Node | None
    body: Statement
    unroll: int


class Switch(Statement):
    """cases: (low, high, CaseLabel); default is a CaseLabel or None."""

    __slots__ = ("value", "body", "cases", "default")
    value: Node
    body: Statement
    cases: list[tuple[int, int, CaseLabel]]
    default: CaseLabel | None


class CaseLabel(Statement):
    __slots__ = ("body",)
    body: Statement


class Label(Statement):
    __slots__ = ("name", "body")
    name: str
    body: Statement


class Goto(Statement):
    """`cleanups`: how many variables with a cleanup the jump leaves."""

    __slots__ = ("name", "cleanups")
    name: str
    cleanups: int


class Jump(Statement):
    __slots__ = ("kind",)
    kind: str


class Return(Statement):
    __slots__ = ("value",)
    value: Node | None


class Asm(Statement):
    """`strings` are the literals of the template; a label is its name there and the jump; `basic` asm has no operands."""

    __slots__ = ("template", "outputs", "inputs", "clobbers", "volatile", "strings", "labels", "basic")
    template: str
    outputs: list[tuple[str, str, Node]]
    inputs: list[tuple[str, str, Node]]
    clobbers: list[str]
    volatile: bool
    strings: list[Token]
    labels: list[tuple[str, Goto]]
    basic: bool


class Unit:
    """One checked text: what the emitter turns into an object."""

    __slots__ = ("functions", "globals", "license", "maps")

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self.globals: list[Variable] = []
        self.maps: dict[str, MapInfo] = {}
        self.license = "GPL"


def walk(root: Any) -> Iterator[Node | Statement]:
    """Every expression and statement below a node, initialisers included."""
    todo = [root]
    while todo:
        item = todo.pop()
        if isinstance(item, list | tuple):
            todo.extend(item)
        elif isinstance(item, Init):
            todo.extend(value for _, _, _, value in item.items)
        elif isinstance(item, Node | Statement):
            yield item
            for cls in type(item).__mro__:
                for slot in getattr(cls, "__slots__", ()):
                    if slot not in ("token", "last", "type", "var", "function", "member", "map"):
                        todo.append(getattr(item, slot, None))


def const_int(node: Node) -> int | None:
    """The value of an integer constant expression after checking, or None."""
    if type(node) is Const and isinstance(node.value, int) and isinstance(node.type, IntType):
        return node.value
    return None
