"""Warnings that need the order of things in a function: values that are not used, variables that are read before they
are set, results of lookups that are followed without a test.

Reads the checked tree of one function. A warning is given only for what is so on every path: no false alarms.
"""

from __future__ import annotations

from collections.abc import Iterable

from skep.compiler import tree
from skep.compiler import types as ct
from skep.compiler.diagnostics import Diagnostics
from skep.compiler.dialect import MAP_TYPES
from skep.compiler.tree import Node, Variable

# newer verifiers (seen on 6.18) know that a constant index such as 0 is inside an array: its lookup needs no test
_ARRAYS = ("array", "percpu_array")
_PURE_BUILTINS = ("bswap", "ctz", "clz", "ffs", "popcount", "parity", "abs", "labs", "memcmp")


class State:
    """What is so on every path to here: scalar locals never set, and locals that hold an untested lookup."""

    __slots__ = ("unset", "untested")

    def __init__(self, unset: Iterable[Variable] = (), untested: Iterable[Variable] = ()) -> None:
        self.unset = set(unset)
        self.untested = set(untested)

    def copy(self) -> State:
        return State(self.unset, self.untested)


def _join(states: Iterable[State | None]) -> State | None:
    found: State | None = None
    for state in states:
        if state is None:  # no way leads here
            continue
        if found is None:
            found = state.copy()
        else:
            found.unset &= state.unset
            found.untested &= state.untested
    return found


class Flow:
    """Follows one function's statements in their order; `state` is None where no way leads."""

    def __init__(self, function: tree.Function, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics
        self.state: State | None = State()
        self.breaks: list[list[State | None]] = []
        self.cases: list[State | None] = []
        if function.body is not None:
            self.statement(function.body)

    # --- statements

    def statement(self, node: tree.Statement | None) -> None:
        match node:
            case tree.Block():
                for item in node.items:
                    self.statement(item)
            case tree.Evaluate():
                self._dropped(node.expr)
            case tree.Declare():
                self._declare(node)
            case tree.If():
                yes, no = self.condition(node.condition)
                self.state = yes
                self.statement(node.then)
                yes, self.state = self.state, no
                self.statement(node.otherwise)
                self.state = _join((yes, self.state))
            case tree.Loop():
                self._loop(node)
            case tree.Switch():
                self._switch(node)
            case tree.CaseLabel():
                self.state = _join((self.state, self.cases[-1]))
                self.statement(node.body)
            case tree.Label():  # a goto may come from anywhere
                self.state = State()
                self.statement(node.body)
            case tree.Goto():
                self.state = None
            case tree.Jump():
                if node.kind == "break":
                    self.breaks[-1].append(self.state)
                self.state = None
            case tree.Return():
                if node.value is not None:
                    self.value(node.value)
                self.state = None
            case tree.Asm():
                for _, _, value in node.inputs:
                    self.value(value)
                for _, constraint, value in node.outputs:
                    if "+" in constraint:
                        self.value(value)
                    self._set(value)

    def _declare(self, node: tree.Declare) -> None:
        var = node.var
        if node.init is None:
            if self.state is not None and ct.is_scalar(var.type) and not var.type.quals & ct.VOLATILE:
                self.state.unset.add(var)
                self.state.untested.discard(var)
            return
        for _, _, _, value in node.init.items:
            self.value(value)
        if self.state is not None:
            self.state.unset.discard(var)
            values = node.init.items
            self._holds(var, values[0][3] if len(values) == 1 else None)

    def _loop(self, node: tree.Loop) -> None:
        self.statement(node.init)
        parts = [node.condition, node.step, node.body]
        if self.state is not None:
            named = {n.var for n in tree.walk(parts) if isinstance(n, tree.VarRef)}
            changed = {t.var for n in tree.walk(parts) if (t := _target(n)) is not None}
            self.state = State(self.state.unset - changed, self.state.untested - named)
        self.breaks.append([])
        out: State | None = None
        if node.kind == "do":
            self.statement(node.body)
            self.state = State()  # a continue may have come here
            if node.condition is not None:
                out = self.condition(node.condition)[1]
        else:
            if node.condition is not None:
                self.state, out = self.condition(node.condition)
            self.statement(node.body)
            if node.step is not None:
                self.state = State()
                self._dropped(node.step)
        self.state = _join([out, *self.breaks.pop()])

    def _switch(self, node: tree.Switch) -> None:
        self.value(node.value)
        self.cases.append(self.state)
        self.breaks.append([])
        before, self.state = self.state, None
        self.statement(node.body)
        self.cases.pop()
        self.state = _join([self.state, None if node.default is not None else before, *self.breaks.pop()])

    # --- expressions

    def condition(self, node: Node) -> tuple[State | None, State | None]:
        """The states after a condition that is true, and one that is false."""
        if isinstance(node, tree.Logical):
            yes, no = self.condition(node.left)
            self.state = yes if node.op == "&&" else no
            right_yes, right_no = self.condition(node.right)
            return (right_yes, _join((no, right_no))) if node.op == "&&" else (_join((yes, right_yes)), right_no)
        self.value(node)
        state = self.state
        if isinstance(node, tree.Const) and not isinstance(node.type, ct.PointerType):
            return (state, None) if node.value else (None, state)
        return state, state.copy() if state is not None else None

    def value(self, node: Node) -> None:
        """An expression whose value is taken."""
        match node:
            case tree.VarRef():
                self._read(node)
            case tree.AddressOf():
                self._address(node.operand)
            case tree.Deref() | tree.MemberRef():
                self._access(node)
            case tree.Assign():
                self._assign(node)
                if self.state is not None and isinstance(node.target, tree.VarRef):
                    self.state.untested.discard(node.target.var)  # as in `if ((v = lookup()))`
            case tree.CompoundAssign():
                self.value(node.value)
                self.value(node.target)
                self._set(node.target)
            case tree.Logical():
                self.state = _join(self.condition(node))
            case tree.Conditional():
                yes, no = self.condition(node.condition)
                self.state = yes
                if node.then is not None:
                    self.value(node.then)
                yes, self.state = self.state, no
                self.value(node.otherwise)
                self.state = _join((yes, self.state))
            case tree.Comma():
                self._dropped(node.left)
                self.value(node.right)
            case tree.StatementExpr():
                self.statement(node.block)
                if node.value is not None:
                    self.value(node.value)
            case tree.CompoundLiteral():
                for _, _, _, value in node.init.items:
                    self.value(value)
            case _:
                for slot in type(node).__slots__:
                    part = getattr(node, slot)
                    for one in part if isinstance(part, list) else (part,):
                        if isinstance(one, Node):
                            self.value(one)
                if isinstance(node, tree.CallBuiltin) and node.name in ("unreachable", "trap"):
                    self.state = None

    def _assign(self, node: tree.Assign) -> None:
        self.value(node.value)
        self._set(node.target, node.value)

    def _dropped(self, node: Node) -> None:
        """An expression for its effect only."""
        self._unused(node)
        if isinstance(node, tree.Assign):
            self._assign(node)
        else:
            self.value(node)

    def _read(self, node: tree.VarRef) -> None:
        if self.state is None:
            return
        self.state.untested.discard(node.var)  # tested, or given to who knows whom
        if node.var in self.state.unset:
            self.state.unset.discard(node.var)
            note = self.diagnostics.note("declared here without a value", node.var.token)
            self.diagnostics.warning(
                f"'{node.var.name}' is read before it is given a value", node.token, node.last, notes=[note], code="uninitialized"
            )

    def _address(self, place: Node) -> None:
        """`&place`: whoever gets the address may set what is there."""
        while isinstance(place, tree.MemberRef):
            place = place.base
        if isinstance(place, tree.VarRef):
            if self.state is not None:
                self.state.unset.discard(place.var)
                self.state.untested.discard(place.var)
        elif isinstance(place, tree.Deref):
            self.value(place.pointer)
        elif isinstance(place, tree.CompoundLiteral):
            self.value(place)

    def _access(self, node: Node) -> None:
        """A load from or a store to what a pointer points to, or a member of a local."""
        while isinstance(node, tree.MemberRef):
            node = node.base
        if isinstance(node, tree.Deref):
            pointer = _base(node.pointer)
            if isinstance(pointer, tree.VarRef) and self.state is not None and pointer.var in self.state.untested:
                self._untested(pointer, f"'{pointer.var.name}'")
            elif _looked_up(pointer):
                self._untested(pointer, "the result of the lookup")
            self.value(node.pointer)
        elif isinstance(node, tree.VarRef):
            if not isinstance(node.var.type, ct.RecordType | ct.ArrayType):
                self._read(node)
        else:
            self.value(node)

    def _untested(self, pointer: Node, what: str) -> None:
        self.diagnostics.warning(
            f"{what} may be null; without a test before this the verifier refuses the program",
            pointer.token, pointer.last, code="null-lookup",
        )  # fmt: skip

    def _set(self, target: Node, value: Node | None = None) -> None:
        if isinstance(target, tree.VarRef):
            if self.state is not None:
                self.state.unset.discard(target.var)
                self._holds(target.var, value)
        else:
            self._access(target)

    def _holds(self, var: Variable, value: Node | None) -> None:
        assert self.state is not None
        if value is not None and isinstance(var.type, ct.PointerType) and _looked_up(_base(value)):
            self.state.untested.add(var)
        else:
            self.state.untested.discard(var)

    # --- values that nobody takes

    def _unused(self, node: Node) -> None:
        """An expression whose value is dropped: clang's -Wunused-value and -Wunused-comparison, on by default."""
        if isinstance(node, tree.Comma):
            self._unused(node.right)
            return
        call = _lookup_call(node)
        if call is not None:
            if not _map_kind(call).startswith("lru"):  # there a lookup makes the entry a used one
                self.diagnostics.warning("the result of this lookup is not used", node.token, node.last, code="unused-result")
            return
        if node.token.expansion is not None:
            return  # a macro may be for both, values and effects
        if isinstance(node, tree.Compare):
            hint = "; write '=' to assign" if node.op == "==" else ""
            self.diagnostics.warning(
                f"the result of '{node.op}' is not used{hint}" if node.token.text != "!" else "the result of '!' is not used",
                node.token, node.last, code="unused-comparison",
            )  # fmt: skip
        elif _without_effect(node):
            self.diagnostics.warning("the value of this expression is not used", node.token, node.last, code="unused-value")


def _without_effect(node: Node) -> bool:
    match node:
        case tree.Poison():
            return False
        case tree.VarRef() | tree.Deref() | tree.MemberRef():
            return not node.type.quals & ct.VOLATILE
        case tree.Convert():
            return node.explicit and not isinstance(node.type, ct.VoidType)
        case tree.Logical():
            return _without_effect(node.right) or isinstance(node.right, tree.Compare)
        case tree.Conditional():
            return node.then is not None and _without_effect(node.then) and _without_effect(node.otherwise)
        case tree.CallBuiltin():
            return node.name.startswith(_PURE_BUILTINS)
    return isinstance(
        node,
        tree.Const | tree.StringData | tree.AddressOf | tree.Unary | tree.Binary | tree.PointerAdd | tree.PointerDiff
        | tree.FunctionRef | tree.MapRef,
    )  # fmt: skip


def _target(node: Node | tree.Statement) -> tree.VarRef | None:
    """The local that a node may set."""
    place: Node | None = None
    if isinstance(node, tree.Assign | tree.CompoundAssign):
        place = node.target
    elif isinstance(node, tree.AddressOf):
        place = node.operand
    elif isinstance(node, tree.Asm):
        return next((v for _, _, v in node.outputs if isinstance(v, tree.VarRef)), None)
    while isinstance(place, tree.MemberRef):
        place = place.base
    return place if isinstance(place, tree.VarRef) else None


def _base(node: Node) -> Node:
    """The pointer below casts to other pointers and additions."""
    while True:
        if isinstance(node, tree.Convert) and isinstance(node.type, ct.PointerType):
            node = node.operand
        elif isinstance(node, tree.PointerAdd):
            node = node.pointer
        elif isinstance(node, tree.AddressOf) and isinstance(node.operand, tree.MemberRef):
            node = node.operand
            while isinstance(node, tree.MemberRef):
                node = node.base
            if not isinstance(node, tree.Deref):
                return node
            node = node.pointer
        else:
            return node


def _method(node: Node) -> str:
    """The map method that an expression came out of."""
    expansion = node.token.expansion if node.token is not None else None
    return expansion.macro_name.rpartition(".")[2] if expansion is not None else ""


def _lookup_call(node: Node) -> tree.CallHelper | None:
    """The helper's call, if a node is `map.lookup()` or bpf_map_lookup_elem() and nothing else."""
    if isinstance(node, tree.StatementExpr) and node.value is not None and _method(node.value) == "lookup":
        node = node.value
    while isinstance(node, tree.Convert) and isinstance(node.type, ct.PointerType):
        node = node.operand
    return node if isinstance(node, tree.CallHelper) and node.name == "map_lookup_elem" else None


def _looked_up(node: Node) -> bool:
    """Is it what a lookup gave, which the verifier wants to see tested?"""
    call = _lookup_call(node)
    given = node.value if isinstance(node, tree.StatementExpr) else None
    if call is None and given is not None and _method(given) == "lookup_or_try_init":
        call = next((n for n in tree.walk(node) if isinstance(n, tree.CallHelper) and n.name == "map_lookup_elem"), None)
    return call is not None and _map_kind(call) not in ("", *_ARRAYS)


def _map_kind(call: tree.CallHelper) -> str:
    """The kind of the map that is looked into, or "" where it is not plain."""
    where = _base(call.args[0])
    if isinstance(where, tree.MapRef):
        return where.map.kind
    if isinstance(where, tree.AddressOf) and isinstance(where.operand, tree.VarRef):
        type = where.operand.type
        path = type.record.find("type") if isinstance(type, ct.RecordType) and where.operand.var.section == ".maps" else None
        if path and isinstance(path[-1].type, ct.PointerType) and isinstance(path[-1].type.to, ct.ArrayType):
            number = path[-1].type.to.count
            return next((name for name, value in MAP_TYPES.items() if value == number), "")
    return ""


def warn_of_flow(function: tree.Function, diagnostics: Diagnostics) -> None:
    """Give the warnings of one function."""
    Flow(function, diagnostics)
