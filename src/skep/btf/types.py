"""BTF's kinds as small slotted classes: what `Btf.type(id)` returns. Sizes and offsets are in the units their names say.

The layout of each kind is in the kernel's Documentation/bpf/btf.rst.
"""

from __future__ import annotations


class Type:
    """One type: `id` in its BTF, `name` ("" without), and `kind`, the word that `Btf.find` takes."""

    __slots__ = ("id", "name")
    kind = "void"

    def __init__(self, id: int, name: str) -> None:
        self.id = id
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name or '(anonymous)'} #{self.id}>"


class Void(Type):
    """Id 0."""

    __slots__ = ()


class Int(Type):
    """An integer of `size` bytes; `bits` from bit `offset` of it are used."""

    __slots__ = ("bits", "bool", "char", "offset", "signed", "size")
    kind = "int"

    def __init__(self, id: int, name: str, size: int, encoding: int, offset: int, bits: int) -> None:
        self.id = id
        self.name = name
        self.size = size
        self.signed = bool(encoding & 1)
        self.char = bool(encoding & 2)
        self.bool = bool(encoding & 4)
        self.offset = offset
        self.bits = bits


class Reference(Type):
    """A kind that names another type: `target` is its id."""

    __slots__ = ("target",)

    def __init__(self, id: int, name: str, target: int) -> None:
        self.id = id
        self.name = name
        self.target = target


class Pointer(Reference):
    __slots__ = ()
    kind = "ptr"


class Typedef(Reference):
    __slots__ = ()
    kind = "typedef"


class Const(Reference):
    __slots__ = ()
    kind = "const"


class Volatile(Reference):
    __slots__ = ()
    kind = "volatile"


class Restrict(Reference):
    __slots__ = ()
    kind = "restrict"


class TypeTag(Reference):
    """`__user`, `__rcu`, `__percpu`: a qualifier whose word is `name`."""

    __slots__ = ()
    kind = "type_tag"


class Func(Reference):
    """A function; `target` is its FuncProto, `linkage` 0 static, 1 global, 2 extern."""

    __slots__ = ("linkage",)
    kind = "func"

    def __init__(self, id: int, name: str, target: int, linkage: int) -> None:
        super().__init__(id, name, target)
        self.linkage = linkage


class Var(Reference):
    """A variable; `linkage` 0 static, 1 global, 2 extern."""

    __slots__ = ("linkage",)
    kind = "var"

    def __init__(self, id: int, name: str, target: int, linkage: int) -> None:
        super().__init__(id, name, target)
        self.linkage = linkage


class DeclTag(Reference):
    """An attribute of `target`; of its member or parameter `component`, or of the whole (-1)."""

    __slots__ = ("component",)
    kind = "decl_tag"

    def __init__(self, id: int, name: str, target: int, component: int) -> None:
        super().__init__(id, name, target)
        self.component = component


class Array(Type):
    __slots__ = ("element", "index", "length")
    kind = "array"

    def __init__(self, id: int, element: int, index: int, length: int) -> None:
        self.id = id
        self.name = ""
        self.element = element
        self.index = index
        self.length = length


class Member:
    """A member of a struct or union; `bit_size` is 0 unless it is a bit-field."""

    __slots__ = ("bit_offset", "bit_size", "name", "type_id")

    def __init__(self, name: str, type_id: int, bit_offset: int, bit_size: int) -> None:
        self.name = name
        self.type_id = type_id
        self.bit_offset = bit_offset
        self.bit_size = bit_size

    def __repr__(self) -> str:
        return f"Member({self.name!r}, {self.type_id}, {self.bit_offset}, {self.bit_size})"


class Struct(Type):
    """A struct or union (`kind` says which) of `size` bytes."""

    __slots__ = ("members", "size")
    kind = "struct"

    def __init__(self, id: int, name: str, size: int, members: list[Member]) -> None:
        self.id = id
        self.name = name
        self.size = size
        self.members = members


class Union(Struct):
    __slots__ = ()
    kind = "union"


class Enum(Type):
    """An enum of `size` bytes (8: ENUM64); `values` is (name, value) in order."""

    __slots__ = ("signed", "size", "values")
    kind = "enum"

    def __init__(self, id: int, name: str, size: int, signed: bool, values: list[tuple[str, int]]) -> None:
        self.id = id
        self.name = name
        self.size = size
        self.signed = signed
        self.values = values


class Fwd(Type):
    """A struct (or `union`) of which only the name is known."""

    __slots__ = ("union",)
    kind = "fwd"

    def __init__(self, id: int, name: str, union: bool) -> None:
        self.id = id
        self.name = name
        self.union = union


class FuncProto(Type):
    """A function's type: return type `result`, `params` as (name, type id); a last ("", 0) is the ellipsis."""

    __slots__ = ("params", "result")
    kind = "func_proto"

    def __init__(self, id: int, result: int, params: list[tuple[str, int]]) -> None:
        self.id = id
        self.name = ""
        self.result = result
        self.params = params


class DataSec(Type):
    """An ELF section's variables: `vars` is (type id of the Var, offset, size)."""

    __slots__ = ("size", "vars")
    kind = "datasec"

    def __init__(self, id: int, name: str, size: int, vars: list[tuple[int, int, int]]) -> None:
        self.id = id
        self.name = name
        self.size = size
        self.vars = vars


class Float(Type):
    __slots__ = ("size",)
    kind = "float"

    def __init__(self, id: int, name: str, size: int) -> None:
        self.id = id
        self.name = name
        self.size = size
