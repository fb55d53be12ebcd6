"""Where pointers come from (DESIGN.md, D3): which dereferences are plain loads and which must read through a helper.

An origin is a word: "" nothing known (null, a number), "context" ("context:btf": the verifier knows the types of what is
loaded), "stack" ("stack:X": what is stored there has origin X), "memory" (map value, record, global), "packet", "btf",
"kernel", "user", "any" (kernel or user, known at run time only), "wire" (a place in a packet by its offset). Solved per function
and origins of its arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skep.compiler import tree
from skep.compiler import types as ct
from skep.compiler.programs import KSYMS
from skep.compiler.tree import Function, Node, Variable
from skep.compiler.types import PointerType

DIRECT = frozenset({"context", "stack", "memory", "packet", "btf"})  # the verifier follows these
_PACKET_FIELDS = {
    "xdp_md": ("data", "data_end", "data_meta"), "__sk_buff": ("data", "data_end", "data_meta"),
    "sk_msg_md": ("data", "data_end"),
    "bpf_sockopt": ("optval", "optval_end"), "sk_reuseport_md": ("data", "data_end"),
    "bpf_sock_ops": ("skb_data", "skb_data_end"),
}  # fmt: skip
_MAX_NESTING = 6  # of pointers to variables that hold pointers to variables
_BTF_HELPERS = ("get_current_task_btf", "per_cpu_ptr", "this_cpu_ptr", "sock_from_file")
# what lies in memory that a helper fills
_FILLED_BY = {"probe_read_user": "user", "probe_read_user_str": "user", "probe_read_kernel": "kernel", "probe_read": "any",
              "probe_read_kernel_str": "kernel", "probe_read_str": "any"}  # fmt: skip


def kind(origin: str) -> str:
    return origin.split(":", 1)[0]


def join(a: str, b: str) -> str:
    """The origin that covers both: a kernel read works on anything in the kernel, its stack and maps too."""
    if a == b or not b:
        return a
    if not a:
        return b
    ka, kb = kind(a), kind(b)
    if ka == kb == "stack":
        inner = join(a[6:], b[6:])
        return "stack:" + inner if inner else "stack"
    if {ka, kb} & {"user", "any"}:
        return "any"
    # the verifier rewrites loads from a context or a BTF pointer: one instruction cannot serve them and others
    if {ka, kb} <= DIRECT and not {ka, kb} & {"context", "btf"}:
        return "memory"
    return "kernel"


def loaded(origin: str, type: ct.Type) -> str:
    """The origin of a pointer (or number) that is read from memory of an origin."""
    if isinstance(type, PointerType) and type.to.quals & ct.USER:
        return "user"
    where = kind(origin)
    if where == "wire":
        return ""
    if where == "stack":
        return origin[6:]
    if where in ("user", "any"):
        return where
    if origin == "context:btf":
        return "btf"
    if not isinstance(type, PointerType):
        return ""
    if where == "btf":  # btf_struct_walk follows pointers to structs; any other is a number to the verifier
        return "btf" if isinstance(type.to, ct.RecordType) else "kernel"
    if where == "context":  # sockets are the verifier's own types; a tracepoint's record holds what it was given
        return "memory" if isinstance(type.to, ct.RecordType) and type.to.record.tag.startswith("bpf_") else "any"
    return "any" if where == "memory" else "kernel"


class Origins:
    """The origins in one function; `call` gives the origin of a callee's result for the origins of its arguments."""

    def __init__(self, function: Function, params: tuple[str, ...], call: Any, *, solve: bool = True) -> None:
        self.function = function
        self.slots: dict[Variable, str] = dict(zip(function.params, params, strict=True))
        self.call = call
        self.result = ""
        flows = list(_flows(function.body)) if solve else []
        changed = True
        while changed:
            changed = False
            for target, node in flows:
                origin = node if isinstance(node, str) else self.of(node)
                if target is None:
                    if join(self.result, origin) != self.result:
                        self.result = join(self.result, origin)
                        changed = True
                elif origin:
                    old = self.slots.get(target, "")
                    new = join(old, origin)
                    if new != old:
                        self.slots[target] = new
                        changed = True

    def of(self, node: Node) -> str:
        """The origin of an expression's value."""
        if isinstance(node.type, PointerType) and node.type.to.quals & ct.USER:
            return "user"
        match node:
            case tree.VarRef():
                return self._load(node)
            case tree.Deref() | tree.MemberRef():
                return self._load(node)
            case tree.AddressOf():
                return self.of_place(node.operand)
            case tree.Convert():
                origin = self.of(node.operand)
                if isinstance(node.type, PointerType) and not origin and not isinstance(node.operand.type, PointerType):
                    return "" if tree.const_int(node.operand) == 0 else "any"
                # beyond the type that the verifier knows lies what only a helper may read
                return "kernel" if origin == "btf" and _other_record(node.operand.type, node.type) else origin
            case tree.PointerAdd():
                origin = self.of(node.pointer)
                return "kernel" if origin == "btf" and tree.const_int(node.index) is None else origin
            case tree.Binary():
                return join(self.of(node.left), self.of(node.right)) if node.op in "+-&|" else ""
            case tree.Conditional():
                return join(self.of(node.then if node.then is not None else node.condition), self.of(node.otherwise))
            case tree.Comma():
                return self.of(node.right)
            case tree.Assign():
                return self.of(node.value)
            case tree.CompoundAssign():
                return self._load(node.target)
            case tree.StatementExpr():
                return self.of(node.value) if node.value is not None else ""
            case tree.CallFunction():
                result: str = self.call(node.function, tuple(self.of(a) for a in node.args))
                return result
            case tree.CallHelper():
                if node.name == "get_current_task":
                    return "kernel"
                if not isinstance(node.type, PointerType):
                    return "kernel" if node.name == "task_pt_regs" else ""
                return "btf" if node.name in _BTF_HELPERS or node.name.startswith("skc_to_") else "memory"
            case tree.CallPointer():
                return "memory" if isinstance(node.type, PointerType) else ""
            case tree.MapRef():
                return "memory"
            case tree.CompoundLiteral():
                return self.slots.get(node.var, "")
        return ""

    def _load(self, node: Node) -> str:
        """The origin of what is read from an lvalue."""
        if isinstance(node, tree.MemberRef) and _context_field(node) and kind(self.of_place(node)) == "context":
            return "packet"
        root = node
        while isinstance(root, tree.MemberRef):
            root = root.base
        if isinstance(root, tree.VarRef):
            if root.var.storage == "global":
                return loaded("memory", node.type)
            return self.slots.get(root.var, "")
        if isinstance(root, tree.CompoundLiteral):
            return self.slots.get(root.var, "")
        return loaded(self.of_place(root), node.type)

    def _in_slot(self, var: Variable) -> str:
        """The origin of a local variable's address."""
        inner = self.slots.get(var, "")
        if inner.count("stack") > _MAX_NESTING:
            inner = "kernel"  # a variable that holds its own address would have no end
        return f"stack:{inner}" if inner else "stack"

    def of_place(self, node: Node) -> str:
        """The origin of an lvalue's address."""
        match node:
            case tree.VarRef():
                if node.var.storage == "global":
                    return _of_global(node.var)
                return self._in_slot(node.var)
            case tree.CompoundLiteral():
                return self._in_slot(node.var)
            case tree.MemberRef():
                return self.of_place(node.base)
            case tree.Deref():
                return "wire" if in_packet(node.type) else self.of(node.pointer)
            case tree.StringData():
                return "memory"
        return "stack" if isinstance(node.type, ct.RecordType) else ""


def _of_global(var: Variable) -> str:
    """The origin of a static object's address; the kernel's own are what the loader makes of their type."""
    if var.section != KSYMS:
        return "memory"
    return "kernel" if isinstance(var.type, ct.VoidType) else "btf" if isinstance(var.type, ct.RecordType) else "memory"


def in_packet(type: ct.Type) -> bool:
    """Is it one of BCC's packet structs? A pointer to one is an offset."""
    return isinstance(type, ct.RecordType) and type.record.packet


def _context_field(node: tree.MemberRef) -> bool:
    """Is it a pointer into the packet? Some are members of an anonymous union."""
    base = node.base
    while isinstance(base, tree.MemberRef) and not base.member.name:
        base = base.base
    record = base.type
    return isinstance(record, ct.RecordType) and node.member.name in _PACKET_FIELDS.get(record.record.tag, ())


def _other_record(a: ct.Type, b: ct.Type) -> bool:
    """Do two pointers point to different structs?"""
    if not isinstance(a, PointerType) or not isinstance(b, PointerType):
        return False
    if isinstance(a.to, ct.VoidType) or isinstance(b.to, ct.VoidType):
        return False
    return not (isinstance(a.to, ct.RecordType) and isinstance(b.to, ct.RecordType) and a.to.record is b.to.record)


def _root(node: Node) -> Variable | None:
    """The local variable that an lvalue is part of."""
    while True:
        match node:
            case tree.MemberRef():
                node = node.base
            case tree.VarRef() | tree.CompoundLiteral():
                return node.var if node.var.storage != "global" else None
            case tree.Deref():
                # an element of a local array: *(&array + i)
                inner = node.pointer
                while isinstance(inner, tree.PointerAdd | tree.Convert):
                    inner = inner.pointer if isinstance(inner, tree.PointerAdd) else inner.operand
                if not isinstance(inner, tree.AddressOf):
                    return None
                node = inner.operand
            case _:
                return None


def _flows(node: Any) -> Iterator[tuple[Variable | None, Node | str]]:
    """All (variable, value that flows into it) of a body; variable None is the function's result."""
    if isinstance(node, list):
        for item in node:
            yield from _flows(item)
        return
    if isinstance(node, tree.Init):
        for _, _, _, value in node.items:
            yield from _flows(value)
        return
    if not isinstance(node, tree.Node | tree.Statement):
        return
    match node:
        case tree.Assign():
            root = _root(node.target)
            if root is not None:
                yield root, node.value
        case tree.CompoundAssign():
            root = _root(node.target)
            if root is not None and node.op in "+-&|":
                yield root, node.value
        case tree.Declare():
            if node.init is not None:
                for _, _, _, value in node.init.items:
                    yield node.var, value
        case tree.CompoundLiteral():
            for _, _, _, value in node.init.items:
                yield node.var, value
        case tree.Return():
            if node.value is not None:
                yield None, node.value
        case tree.CallHelper():
            filled = _FILLED_BY.get(node.name)
            if filled and node.args:
                target = node.args[0]
                while isinstance(target, tree.Convert):
                    target = target.operand
                if isinstance(target, tree.AddressOf):
                    root = _root(target.operand)
                    if root is not None and _holds_pointer(root.type):
                        yield root, filled
    for cls in type(node).__mro__:
        for slot in getattr(cls, "__slots__", ()):
            if slot not in ("token", "last", "type", "var", "function", "member", "map"):
                yield from _flows(getattr(node, slot, None))


def _holds_pointer(type: ct.Type) -> bool:
    if isinstance(type, ct.ArrayType):
        return _holds_pointer(type.of)
    if isinstance(type, ct.RecordType):
        return any(_holds_pointer(m.type) for m in type.record.members)
    return isinstance(type, PointerType)
