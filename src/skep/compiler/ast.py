"""The syntax tree: what the parser reads, before types are known. Every node knows its first and last token."""

from __future__ import annotations

from typing import Any

from skep.compiler.source import Token


class Node:
    """A node is made as Node(first, last, *fields), the fields in the order of `__slots__`."""

    __slots__ = ("first", "last")
    first: Token
    last: Token

    def __init__(self, first: Token, last: Token, *fields: Any) -> None:
        self.first = first
        self.last = last
        for slot, value in zip(self.__slots__, fields, strict=True):
            setattr(self, slot, value)


class Expr(Node):
    __slots__ = ()


class Stmt(Node):
    __slots__ = ()


# --- expressions


class Name(Expr):
    __slots__ = ("name",)
    name: str


class Number(Expr):
    __slots__ = ()


class Character(Expr):
    __slots__ = ()


class String(Expr):
    __slots__ = ("tokens",)
    tokens: list[Token]


class MemberAccess(Expr):
    __slots__ = ("base", "name", "arrow")
    base: Expr
    name: Token
    arrow: bool


class Index(Expr):
    __slots__ = ("base", "index")
    base: Expr
    index: Expr


class Call(Expr):
    __slots__ = ("function", "args")
    function: Expr
    args: list[Expr]


class Unary(Expr):
    """op: + - ! ~ * & ++ -- p++ p--"""

    __slots__ = ("op", "operand")
    op: str
    operand: Expr


class Binary(Expr):
    __slots__ = ("op", "left", "right", "token")
    op: str
    left: Expr
    right: Expr
    token: Token


class Assign(Expr):
    """op is "" for plain assignment, else the binary operator; is it `in_parentheses`?"""

    __slots__ = ("op", "left", "right", "token", "in_parentheses")
    op: str
    left: Expr
    right: Expr
    token: Token
    in_parentheses: bool


class Conditional(Expr):
    __slots__ = ("condition", "then", "otherwise")
    condition: Expr
    then: Expr | None
    otherwise: Expr


class Comma(Expr):
    __slots__ = ("left", "right")
    left: Expr
    right: Expr


class Cast(Expr):
    __slots__ = ("type", "operand")
    type: TypeName
    operand: Expr


class SizeOf(Expr):
    """`what` is "sizeof" or "alignof"; the argument a type name or an expression."""

    __slots__ = ("what", "argument")
    what: str
    argument: TypeName | Expr


class CompoundLiteral(Expr):
    __slots__ = ("type", "init")
    type: TypeName
    init: InitList


class StatementExpr(Expr):
    __slots__ = ("block",)
    block: Block


class Generic(Expr):
    """`cases` are (type name or None for default, expression)."""

    __slots__ = ("control", "cases")
    control: Expr
    cases: list[tuple[TypeName | None, Expr]]


class OffsetOf(Expr):
    __slots__ = ("type", "path")
    type: TypeName
    path: list[Designator]


class VaArg(Expr):
    __slots__ = ("list", "type")
    list: Expr
    type: TypeName


class TypesCompatible(Expr):
    __slots__ = ("left", "right")
    left: TypeName
    right: TypeName


class Designator(Node):
    """`.name` (name set) or `[low]` or `[low ... high]`."""

    __slots__ = ("name", "low", "high")
    name: str
    low: Expr | None
    high: Expr | None


class InitList(Expr):
    __slots__ = ("items",)
    items: list[tuple[list[Designator], Expr]]


# --- types and declarations


class Attribute(Node):
    __slots__ = ("name", "args")
    name: str
    args: list[Any]


class TypeSpec(Node):
    __slots__ = ()


class WordsSpec(TypeSpec):
    """int, unsigned long, _Bool, ..."""

    __slots__ = ("words",)
    words: list[str]


class TypedefSpec(TypeSpec):
    __slots__ = ("name",)
    name: str


class RecordSpec(TypeSpec):
    """`pack`: what `#pragma pack` says of the members' alignment, 0 without one."""

    __slots__ = ("kind", "tag", "members", "attributes", "pack")
    kind: str
    tag: str
    members: list[FieldDeclaration] | None
    attributes: list[Attribute]
    pack: int


class EnumSpec(TypeSpec):
    __slots__ = ("tag", "enumerators", "attributes")
    tag: str
    enumerators: list[tuple[Token, Expr | None]] | None
    attributes: list[Attribute]


class TypeofSpec(TypeSpec):
    __slots__ = ("argument",)
    argument: TypeName | Expr


class Specifiers(Node):
    """Declaration specifiers: storage ("", static, extern, typedef, ...), flags (inline, noreturn), type, qualifiers."""

    __slots__ = ("storage", "flags", "type", "quals", "attributes", "align")
    storage: str
    flags: set[str]
    type: TypeSpec
    quals: int
    attributes: list[Attribute]
    align: list[TypeName | Expr]


class PointerPart(Node):
    __slots__ = ("quals", "attributes")
    quals: int
    attributes: list[Attribute]


class ArrayPart(Node):
    __slots__ = ("count",)
    count: Expr | None


class FunctionPart(Node):
    """`names` are set instead of `params` in a K&R definition; both empty and not variadic with `()`."""

    __slots__ = ("params", "variadic", "names", "void")
    params: list[Parameter]
    variadic: bool
    names: list[Token]
    void: bool


class Declarator(Node):
    """`parts` in the order in which they apply to the base type; `name` is None when abstract."""

    __slots__ = ("name", "parts", "attributes")
    name: Token | None
    parts: list[PointerPart | ArrayPart | FunctionPart]
    attributes: list[Attribute]


class TypeName(Node):
    __slots__ = ("specifiers", "declarator")
    specifiers: Specifiers
    declarator: Declarator


class Parameter(Node):
    __slots__ = ("specifiers", "declarator")
    specifiers: Specifiers
    declarator: Declarator


class FieldDeclaration(Node):
    """Declarators with their bit-field widths; a static assertion has none and sets `check`."""

    __slots__ = ("specifiers", "declarators", "check")
    specifiers: Specifiers
    declarators: list[tuple[Declarator, Expr | None]]
    check: StaticAssert | None


class InitDeclarator(Node):
    __slots__ = ("declarator", "init")
    declarator: Declarator
    init: Expr | None


class Declaration(Stmt):
    __slots__ = ("specifiers", "declarators")
    specifiers: Specifiers
    declarators: list[InitDeclarator]


class FunctionDefinition(Node):
    __slots__ = ("specifiers", "declarator", "old_style", "body")
    specifiers: Specifiers
    declarator: Declarator
    old_style: list[Declaration]
    body: Block


class StaticAssert(Stmt):
    __slots__ = ("condition", "message")
    condition: Expr
    message: str


class MapDeclaration(Node):
    """The dialect's BPF_HASH(...) and its kin; args by the macro's own parameter table."""

    __slots__ = ("macro", "args")
    macro: str
    args: dict[str, Any]


class FileAsm(Node):
    __slots__ = ("text",)
    text: str


# --- statements


class Block(Stmt):
    __slots__ = ("items",)
    items: list[Stmt]


class ExprStmt(Stmt):
    __slots__ = ("expr",)
    expr: Expr | None


class If(Stmt):
    __slots__ = ("condition", "then", "otherwise")
    condition: Expr
    then: Stmt
    otherwise: Stmt | None


class Loop(Stmt):
    """kind: while, do, for; `unroll` is from a pragma: 0 not said, 1 disable, -1 enable, -2 full, n times."""

    __slots__ = ("kind", "init", "condition", "step", "body", "unroll")
    kind: str
    init: Stmt | None
    condition: Expr | None
    step: Expr | None
    body: Stmt
    unroll: int


class Switch(Stmt):
    __slots__ = ("value", "body")
    value: Expr
    body: Stmt


class Case(Stmt):
    """`low` None: default."""

    __slots__ = ("low", "high", "body")
    low: Expr | None
    high: Expr | None
    body: Stmt


class Label(Stmt):
    __slots__ = ("name", "body")
    name: str
    body: Stmt


class Goto(Stmt):
    __slots__ = ("name",)
    name: Token


class Jump(Stmt):
    """break or continue."""

    __slots__ = ("kind",)
    kind: str


class Return(Stmt):
    __slots__ = ("value",)
    value: Expr | None


class Asm(Stmt):
    """GNU asm: operands are (symbolic name, constraint, expression), labels (name, jump); `basic` has not even a colon."""

    __slots__ = ("template", "outputs", "inputs", "clobbers", "volatile", "strings", "labels", "basic")
    template: str
    outputs: list[tuple[str, str, Expr]]
    inputs: list[tuple[str, str, Expr]]
    clobbers: list[str]
    volatile: bool
    strings: list[Token]
    labels: list[tuple[str, Goto]]
    basic: bool
