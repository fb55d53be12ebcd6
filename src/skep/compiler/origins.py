"""Where pointers come from (DESIGN.md, D3): which dereferences are plain loads and which must read through a helper.

An origin is a word: "" nothing known (null, a number), "context" ("context:btf": the verifier knows the types of what is
loaded), "stack" ("stack:X": what is stored there has origin X), "memory" (map value, record, global), "packet", "btf",
"btf:sock" (the sock of a struct_ops program: the verifier takes it for any of TCP's),
"kernel", "user", "any" (kernel or user, known at run time only), "wire" (a place in a packet by its offset). Solved per function
and origins of its arguments, a word for each scalar of each variable. Where those differ, a pointer to the variable is
"stack:{0=X,8=Y}": what is stored there by its offset in bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
        inner = join(flat(a[6:]), flat(b[6:]))
        return "stack:" + inner if inner else "stack"
    if {ka, kb} & {"user", "any"}:
        return "any"
    # the verifier rewrites loads from a context or a BTF pointer: one instruction cannot serve them and others
    if {ka, kb} <= DIRECT and not {ka, kb} & {"context", "btf"}:
        return "memory"
    return "kernel"


def _parts(inner: str) -> list[tuple[int, str]]:
    """The (offset, word) of "{0=X,8=Y}", in their order."""
    found, depth, start = [], 0, 1
    for at, c in enumerate(inner):
        depth += (c == "{") - (c == "}")
        if (c == "," and depth == 1) or (c == "}" and not depth):
            offset, _, word = inner[start:at].partition("=")
            found.append((int(offset), word))
            start = at + 1
    return found


def flat(inner: str) -> str:
    """What is stored in a variable as one word."""
    if not inner.startswith("{"):
        return inner
    found = ""
    for _, word in _parts(inner):
        found = join(found, word)
    return found


def _moved(origin: str) -> str:
    """The origin of a pointer to somewhere else in the same object."""
    if not origin.startswith("stack:{"):
        return origin
    inner = flat(origin[6:])
    return f"stack:{inner}" if inner else "stack"


def loaded(origin: str, type: ct.Type) -> str:
    """The origin of a pointer (or number) that is read from memory of an origin."""
    if isinstance(type, PointerType) and type.to.quals & ct.USER:
        return "user"
    if isinstance(type, PointerType) and type.to.quals & (ct.KPTR | ct.UNTRUSTED):  # in a map's value: the verifier knows it
        return "btf"
    where = kind(origin)
    if where == "wire":
        return ""
    if where == "stack":
        return flat(origin[6:])
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
        self.slots: dict[Variable, dict[int, str]] = {}
        for var, origin in zip(function.params, params, strict=True):
            self._flow(var, leaves(var.type), origin)
        self.call = call
        self.result = ""
        flows = list(_flows(function.body)) if solve else []
        changed = True
        while changed:
            changed = False
            for target, offset, type, value in flows:
                if target is None:
                    origin = value if isinstance(value, str) else self.of(value)
                    if join(self.result, origin) != self.result:
                        self.result = join(self.result, origin)
                        changed = True
                elif offset is None or isinstance(value, str) or not isinstance(type, ct.RecordType):
                    origin = value if isinstance(value, str) else self.of(value)
                    changed |= self._flow(target, scalars(target, offset, type), origin)
                else:  # a record: each of its scalars by itself
                    for leaf in leaves(type):
                        origin = self._scalar_of(value, leaf)
                        changed |= self._flow(target, (canonical(target.type, offset + leaf),), origin)

    def _flow(self, var: Variable, offsets: Iterable[int], origin: str) -> bool:
        """Add an origin to scalars of a variable; whether it is new to one."""
        changed = False
        slot = self.slots.setdefault(var, {})
        for offset in offsets if origin else ():
            old = slot.get(offset, "")
            new = join(old, origin)
            if new != old:
                slot[offset] = new
                changed = True
        return changed

    def _held(self, var: Variable, offsets: Iterable[int]) -> str:
        """What these scalars of a variable hold, joined."""
        slot = self.slots.get(var)
        found = ""
        for offset in offsets if slot else ():
            found = join(found, slot.get(offset, "")) if slot else found
        return found

    def _scalar_of(self, record: Node, offset: int) -> str:
        """The origin of one scalar of a record's value."""
        place = place_of(record)
        if place is None or place[1] is None:
            return self.of(record)
        return self._held(place[0], (canonical(place[0].type, place[1] + offset),))

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
                origin, index = self.of(node.pointer), tree.const_int(node.index)
                return "kernel" if kind(origin) == "btf" and index is None else origin if index == 0 else _moved(origin)
            case tree.Binary():
                return join(_moved(self.of(node.left)), _moved(self.of(node.right))) if node.op in "+-&|" else ""
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
                return self._load(node)
        return ""

    def _load(self, node: Node) -> str:
        """The origin of what is read from an lvalue."""
        if isinstance(node, tree.MemberRef) and _context_field(node) and kind(self.of_place(node)) == "context":
            return "packet"
        place = place_of(node)
        if place is not None:
            return self._held(place[0], scalars(*place, node.type))
        root, offset = node, 0
        while isinstance(root, tree.MemberRef):
            offset += root.member.offset
            root = root.base
        if isinstance(root, tree.VarRef):
            return loaded("memory", node.type)
        origin = self.of_place(root)
        if origin.startswith("stack:{") and not isinstance(node.type, ct.RecordType):
            return [word for at, word in _parts(origin[6:]) if at <= offset][-1]
        return loaded(origin, node.type)

    def _in_slot(self, var: Variable) -> str:
        """The origin of a local variable's address."""
        slot = self.slots.get(var, {})
        words = {word for word in slot.values() if word}
        inner = next(iter(words), "")
        if len(words) > 1:
            inner = "{" + ",".join([f"{leaf}={slot.get(leaf, '')}" for leaf in sorted({*leaves(var.type), 0})]) + "}"
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
                base = self.of_place(node.base)
                return _moved(base) if node.member.offset else base
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


def points_into_packet(type: ct.Type) -> bool:
    """Is it a pointer to one of BCC's packet structs?"""
    return isinstance(type, PointerType) and in_packet(type.to)


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


def place_of(node: Node) -> tuple[Variable, int | None] | None:
    """The local variable that an lvalue is part of, and where in it: the offset in bytes, None where it is not known."""
    match node:
        case tree.MemberRef():
            base = place_of(node.base)
            return None if base is None else (base[0], None if base[1] is None else base[1] + node.member.offset)
        case tree.VarRef() | tree.CompoundLiteral():
            return (node.var, 0) if node.var.storage != "global" else None
        case tree.Deref():
            # an element of a local array: *(&array + i); its elements share one word
            offset: int | None = 0
            inner = node.pointer
            while isinstance(inner, tree.PointerAdd | tree.Convert):
                if isinstance(inner, tree.Convert):
                    inner = inner.operand
                    continue
                index = tree.const_int(inner.index)
                if index is not None and isinstance(inner.type, PointerType) and offset is not None:
                    offset += (-index if inner.negative else index) * inner.type.to.size
                elif not _of_array(inner.pointer):
                    offset = None
                inner = inner.pointer
            base = place_of(inner.operand) if isinstance(inner, tree.AddressOf) else None
            return None if base is None else (base[0], None if offset is None or base[1] is None else base[1] + offset)
    return None


def _of_array(pointer: Node) -> bool:
    """Is it the address of an array's first element, as the array's?"""
    while isinstance(pointer, tree.Convert):
        if isinstance(pointer.type, PointerType) and isinstance(pointer.operand.type, PointerType):
            to, array = pointer.type.to, pointer.operand.type.to
            if not isinstance(array, ct.ArrayType) or not ct.compatible(array.of, to, ignore_quals=True):
                return False
        pointer = pointer.operand
    return isinstance(pointer, tree.AddressOf)


def leaves(type: ct.Type) -> tuple[int, ...]:
    """Offsets of a type's scalars: the elements of an array are one, the members of a union too."""
    if isinstance(type, ct.ArrayType):
        return leaves(type.of)
    if not isinstance(type, ct.RecordType) or type.record.kind == "union" or not type.complete:
        return (0,)
    return tuple({m.offset + leaf for m in type.record.members for leaf in leaves(m.type)}) or (0,)


def canonical(type: ct.Type, offset: int) -> int:
    """The scalar of a type that has the byte at an offset, as `leaves` counts them."""
    if isinstance(type, ct.ArrayType):
        return canonical(type.of, offset % type.of.size) if type.of.size else 0
    if not isinstance(type, ct.RecordType) or type.record.kind == "union" or not type.complete:
        return 0
    for m in type.record.members:
        if m.offset <= offset < m.offset + max(m.type.size, 1):
            return m.offset + canonical(m.type, offset - m.offset)
    return next(iter(leaves(type)))


def scalars(var: Variable, offset: int | None, type: ct.Type) -> tuple[int, ...]:
    """The scalars of a variable that a part of it has, a type at an offset."""
    if offset is None:
        return leaves(var.type)
    return tuple([canonical(var.type, offset + leaf) for leaf in leaves(type)])


Flow = tuple[Variable | None, int | None, ct.Type, Node | str]


def _flows(node: Any) -> Iterator[Flow]:
    """All (variable, offset and type of the part, value that flows into it) of a body; variable None is the function's result."""
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
            place = place_of(node.target)
            if place is not None:
                yield *place, node.target.type, node.value
        case tree.CompoundAssign():
            place = place_of(node.target)
            if place is not None and node.op in "+-&|":
                yield *place, node.target.type, node.value
        case tree.Declare():
            if node.init is not None:
                for offset, _, type_, value in node.init.items:
                    yield node.var, offset, type_, value
        case tree.CompoundLiteral():
            for offset, _, type_, value in node.init.items:
                yield node.var, offset, type_, value
        case tree.Return():
            if node.value is not None:
                yield None, None, node.value.type, node.value
        case tree.CallHelper():
            filled = _FILLED_BY.get(node.name)
            if filled and node.args:
                target = node.args[0]
                while isinstance(target, tree.Convert):
                    target = target.operand
                if isinstance(target, tree.AddressOf):
                    place = place_of(target.operand)
                    if place is not None and _holds_pointer(place[0].type):
                        yield *place, target.operand.type, filled
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
