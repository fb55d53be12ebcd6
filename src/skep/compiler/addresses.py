"""Constant addresses: which expressions are the address of a static object (or a plain number) plus a known offset."""

from __future__ import annotations

from skep.compiler import tree
from skep.compiler import types as ct

Address = tuple[object, int]  # (the object that it is relative to, None for a number; offset in bytes)


def constant_address(node: tree.Node) -> Address | None:
    """The value of a pointer expression (or of an integer made of one) as an address, if it is known before the program runs."""
    match node:
        case tree.Const() if isinstance(node.value, int) and not isinstance(node.type, ct.PointerType):
            return None, node.value
        case tree.Convert() if ct.is_scalar(node.type) and node.type.size == 8 and not isinstance(node.type, ct.FloatType):
            return constant_address(node.operand)
        case tree.AddressOf():
            return _place(node.operand)
        case tree.MapRef():
            return node.map, 0
        case tree.Binary() if node.op in ("+", "-") and node.type.size == 8 and not isinstance(node.type, ct.FloatType):
            left, right = constant_address(node.left), constant_address(node.right)
            if left is None or right is None or (right[0] is not None and (node.op == "-" or left[0] is not None)):
                return None
            return left[0] or right[0], left[1] + (right[1] if node.op == "+" else -right[1])
        case tree.PointerAdd():
            base, index = constant_address(node.pointer), tree.const_int(node.index)
            if base is None or index is None or not isinstance(node.type, ct.PointerType):
                return None
            step = index * node.type.to.size
            return base[0], base[1] + (-step if node.negative else step)
    return None


def _place(node: tree.Node) -> Address | None:
    match node:
        case tree.VarRef() | tree.CompoundLiteral():
            return (node.var, 0) if node.var.storage == "global" and not node.var.attributes.get("thread") else None
        case tree.FunctionRef():
            return node.function, 0
        case tree.StringData():
            return node, 0
        case tree.MemberRef():
            base = _place(node.base)
            return (base[0], base[1] + node.member.offset) if base is not None else None
        case tree.Deref():
            return constant_address(node.pointer)
    return None
