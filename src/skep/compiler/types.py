"""C types: their sizes, layout and conversions, for BPF and for x86-64 hosts (LP64, SysV layout).

Types are values: qualifiers sit on the type object, records and enums share one definition by identity.
"""

from __future__ import annotations

from typing import Any, Self

CONST, VOLATILE, RESTRICT, USER, ATOMIC, KPTR, UNTRUSTED, PERCPU = (1 << bit for bit in range(8))
TYPE_TAGS = {"user": USER, "kptr": KPTR, "kptr_untrusted": UNTRUSTED, "percpu_kptr": PERCPU}  # btf_type_tag's
_QUALIFIER_NAMES = (
    (CONST, "const"), (VOLATILE, "volatile"), (RESTRICT, "restrict"), (USER, "__user"), (ATOMIC, "_Atomic"), (KPTR, "__kptr"),
    (UNTRUSTED, "__kptr_untrusted"), (PERCPU, "__percpu_kptr"),
)  # fmt: skip


class Type:
    """Base of all types; `quals` is a bit set, `alias` the typedef name it was written with (for messages), `name` C's own.

    `aligned` is the alignment that a typedef's attribute gave it, 0 without one.
    """

    __slots__ = ("alias", "aligned", "name", "quals")
    name: str
    quals: int
    alias: str
    aligned: int

    def __init__(self, name: str = "") -> None:  # those that stand around another type spell themselves
        self.name = name
        self.quals = 0
        self.alias = ""
        self.aligned = 0

    def _copy(self) -> Self:
        new = object.__new__(type(self))
        for cls in type(self).__mro__:
            for slot in getattr(cls, "__slots__", ()):
                setattr(new, slot, getattr(self, slot))
        return new

    def with_quals(self, quals: int) -> Self:
        """The same type with these qualifiers added."""
        if self.quals | quals == self.quals:
            return self
        new = self._copy()
        new.quals |= quals
        return new

    def unqualified(self) -> Self:
        if not self.quals:
            return self
        new = self._copy()
        new.quals = 0
        return new

    def named(self, alias: str, aligned: int = 0) -> Self:
        new = self._copy()
        new.alias = alias
        new.aligned = aligned or self.aligned
        return new

    @property
    def size(self) -> int:
        raise TypeError(f"{self} has no size")

    @property
    def align(self) -> int:
        return self.aligned or self.natural_align

    @property
    def natural_align(self) -> int:
        return self.size

    @property
    def complete(self) -> bool:
        return True

    def spell(self, inner: str = "") -> str:
        """The type alone, or a declaration of `inner`."""
        return join(self._prefix() + (self.alias or self.name), inner)

    def _prefix(self) -> str:
        return "".join(name + " " for bit, name in _QUALIFIER_NAMES if self.quals & bit)

    def __str__(self) -> str:
        return self.alias_or(self.spell())

    def alias_or(self, text: str) -> str:
        return self._prefix() + self.alias if self.alias else text


class VoidType(Type):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("void")

    @property
    def size(self) -> int:
        return 1  # GNU: arithmetic on void pointers

    @property
    def complete(self) -> bool:
        return False


class IntType(Type):
    """An integer type: `bits` wide, `rank` orders conversions (C11 6.3.1.1)."""

    __slots__ = ("bits", "rank", "signed")

    def __init__(self, name: str, bits: int, signed: bool, rank: int) -> None:
        super().__init__(name)
        self.bits = bits
        self.signed = signed
        self.rank = rank

    @property
    def size(self) -> int:
        return (self.bits + 7) // 8

    @property
    def minimum(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    def wrap(self, value: int) -> int:
        """The value that this type holds after conversion from any integer."""
        if self.rank == BOOL_RANK:
            return int(value != 0)
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if self.signed and value >> (self.bits - 1) else value


class FloatType(Type):
    __slots__ = ("width",)

    def __init__(self, name: str, width: int) -> None:
        super().__init__(name)
        self.width = width

    @property
    def size(self) -> int:
        return self.width


class PointerType(Type):
    __slots__ = ("to",)

    def __init__(self, to: Type) -> None:
        super().__init__()
        self.to = to

    @property
    def size(self) -> int:
        return 8

    def spell(self, inner: str = "") -> str:
        if self.alias:
            return join(self._prefix() + self.alias, inner)
        quals = self._prefix().strip()
        text = "*" + (quals + (" " if inner else "") if quals else "") + inner
        if isinstance(self.to, ArrayType | FunctionType) and not self.to.alias:
            text = f"({text})"
        return self.to.spell(text)


class ArrayType(Type):
    """`count` elements; None is an incomplete array (`[]`), 0 a GNU zero-length one."""

    __slots__ = ("count", "of")

    def __init__(self, of: Type, count: int | None) -> None:
        super().__init__()
        self.of = of
        self.count = count

    @property
    def size(self) -> int:
        return self.of.size * (self.count or 0)

    @property
    def natural_align(self) -> int:
        return self.of.align

    @property
    def complete(self) -> bool:
        return self.count is not None

    def spell(self, inner: str = "") -> str:
        if self.alias:
            return join(self._prefix() + self.alias, inner)
        return self.of.spell(f"{inner}[{'' if self.count is None else self.count}]")


class FunctionType(Type):
    """`params` are (name, type); `prototyped` is False for K&R `f()`."""

    __slots__ = ("params", "prototyped", "returns", "variadic")

    def __init__(
        self, returns: Type, params: tuple[tuple[str, Type], ...], variadic: bool = False, prototyped: bool = True
    ) -> None:
        super().__init__()
        self.returns = returns
        self.params = params
        self.variadic = variadic
        self.prototyped = prototyped

    @property
    def size(self) -> int:
        return 1  # GNU: sizeof(function) is 1

    @property
    def complete(self) -> bool:
        return False

    def spell(self, inner: str = "") -> str:
        if self.alias:
            return join(self._prefix() + self.alias, inner)
        params = [str(t) for _, t in self.params] + ["..."] * self.variadic
        return self.returns.spell(f"{inner}({', '.join(params) or ('void' if self.prototyped else '')})")


NOWHERE = 1 << 62  # no kernel address plus this is one: reading a member that this kernel does not have fails


class Member:
    """One member: `offset` in bytes of its storage; bit-fields have `bits` (width) and `bit_offset` from `offset`."""

    __slots__ = ("align", "bit_offset", "bits", "name", "offset", "packed", "token", "type")

    def __init__(
        self, name: str, type: Type, offset: int = 0, bits: int | None = None, bit_offset: int = 0, token: Any = None
    ) -> None:
        self.name = name
        self.type = type
        self.offset = offset
        self.bits = bits
        self.bit_offset = bit_offset
        self.align = 0  # from _Alignas or the aligned attribute
        self.packed = False
        self.token = token


class Record:
    """A struct or union definition; `fill` completes it lazily (kernel types load their members when first looked at)."""

    __slots__ = ("_align", "_fill", "_members", "_size", "defined", "from_kernel", "kind", "packed", "packet", "tag", "token")

    def __init__(self, kind: str, tag: str, token: Any = None) -> None:
        self.kind = kind
        self.tag = tag
        self.token = token
        self.defined = False
        self.from_kernel = False
        self.packed = False
        self.packet = False  # lies in a packet: network byte order, bit-fields from the most significant bit
        self._members: list[Member] = []
        self._size = 0
        self._align = 1
        self._fill: Any = None

    def set_lazy(self, size: int, fill: Any) -> None:
        """Define it with a size and a function that gives (members, align) when they are first needed."""
        self.defined = True
        self._size = size
        self._fill = fill

    def _load(self) -> None:
        if self._fill is not None:
            fill, self._fill = self._fill, None
            self._members, self._align = fill()

    @property
    def members(self) -> list[Member]:
        self._load()
        return self._members

    @property
    def size(self) -> int:
        return self._size

    @property
    def align(self) -> int:
        self._load()
        return self._align

    def define(self, members: list[Member], *, packed: bool = False, align: int = 0, pack: int = 0) -> None:
        """Lay out members as the SysV x86-64 ABI does (bit-fields too); offsets are written into them."""
        bit = 0
        largest = 1
        union = self.kind == "union"
        for m in members:
            tight = packed or m.packed
            natural = max(1 if tight else m.type.align, m.align)
            natural = min(natural, pack) if pack else natural
            start = 0 if union else bit
            if m.bits is not None:
                unit = m.type.align * 8
                if m.bits == 0:  # closes the unit (C11 6.7.2.1p12)
                    bit = bit if union else -(-start // unit) * unit
                    continue
                if m.align and not pack:
                    start = -(-start // (m.align * 8)) * m.align * 8
                if tight or pack:
                    m.packed = True  # its storage unit may go past the record's end
                    m.offset, m.bit_offset = start // 8, start % 8
                else:
                    if start // unit != (start + m.bits - 1) // unit:
                        start = -(-start // unit) * unit
                    m.offset = start // unit * m.type.size
                    m.bit_offset = start - m.offset * 8
                if m.name:
                    largest = max(largest, natural)
                end = start + m.bits
            else:
                start = -(-start // (natural * 8)) * natural * 8
                m.offset = start // 8
                largest = max(largest, natural)
                end = start + m.type.size * 8
            bit = max(bit, end)
        self._align = max(largest, align)
        self._size = -(-bit // (self._align * 8)) * self._align
        self._members = [m for m in members if m.bits != 0]
        self.packed = packed
        self.defined = True

    def relocate(self, kernel: Record) -> None:
        """Take the places of this kernel's members of the same names, as CO-RE does when it loads a program."""
        for m in self._members:
            if not m.name and isinstance(m.type, RecordType):
                m.type.record.relocate(kernel)
                m.offset = 0
                continue
            path = kernel.find(m.name)
            if path is None:
                m.offset = NOWHERE
                continue
            there = path[-1]
            m.offset, m.bits, m.bit_offset = sum(step.offset for step in path), there.bits, there.bit_offset
            if is_integer(m.type) and is_integer(there.type) and m.type.size != there.type.size:
                m.type = there.type
        self._size, self._align = kernel.size, kernel.align
        self.from_kernel = True

    def find(self, name: str) -> list[Member] | None:
        """The path of members to `name`, through anonymous members; None if there is none."""
        for m in self.members:
            if m.name == name:
                return [m]
            if not m.name and isinstance(m.type, RecordType):
                path = m.type.record.find(name)
                if path:
                    return [m, *path]
        return None

    def names(self) -> list[str]:
        found: list[str] = []
        for m in self.members:
            if m.name:
                found.append(m.name)
            elif isinstance(m.type, RecordType):
                found += m.type.record.names()
        return found


class RecordType(Type):
    __slots__ = ("record",)

    def __init__(self, record: Record) -> None:
        super().__init__(f"{record.kind} {record.tag or '<anonymous>'}")
        self.record = record

    @property
    def size(self) -> int:
        return self.record.size

    @property
    def natural_align(self) -> int:
        return self.record.align

    @property
    def complete(self) -> bool:
        return self.record.defined


class EnumDefinition:
    __slots__ = ("defined", "enumerators", "tag", "underlying")

    def __init__(self, tag: str, underlying: IntType) -> None:
        self.tag = tag
        self.underlying = underlying
        self.enumerators: list[tuple[str, int]] = []
        self.defined = False


class EnumType(Type):
    __slots__ = ("definition",)

    def __init__(self, definition: EnumDefinition) -> None:
        super().__init__(f"enum {definition.tag or '<anonymous>'}")
        self.definition = definition

    @property
    def size(self) -> int:
        return self.definition.underlying.size

    @property
    def complete(self) -> bool:
        return self.definition.defined


def join(left: str, inner: str) -> str:
    return f"{left} {inner}" if inner else left


BOOL_RANK = 0
VOID = VoidType()
BOOL = IntType("_Bool", 8, False, BOOL_RANK)
CHAR = IntType("char", 8, True, 1)
SCHAR = IntType("signed char", 8, True, 1)
UCHAR = IntType("unsigned char", 8, False, 1)
SHORT = IntType("short", 16, True, 2)
USHORT = IntType("unsigned short", 16, False, 2)
INT = IntType("int", 32, True, 3)
UINT = IntType("unsigned int", 32, False, 3)
LONG = IntType("long", 64, True, 4)
ULONG = IntType("unsigned long", 64, False, 4)
LLONG = IntType("long long", 64, True, 5)
ULLONG = IntType("unsigned long long", 64, False, 5)
INT128 = IntType("__int128", 128, True, 6)
UINT128 = IntType("unsigned __int128", 128, False, 6)
FLOAT = FloatType("float", 4)
DOUBLE = FloatType("double", 8)
LDOUBLE = FloatType("long double", 16)

# Typedefs that BCC programs see without an #include (bcc's helpers.h pulls linux/types.h in), and the C library's.
BUILTIN_TYPEDEFS: dict[str, Type] = {
    name: base.named(name)
    for base, names in (
        (UCHAR, "u8 __u8 uint8_t u_char"),
        (SCHAR, "s8 __s8 int8_t"),
        (USHORT, "u16 __u16 uint16_t __be16 __le16 __sum16 u_short umode_t char16_t"),
        (SHORT, "s16 __s16 int16_t"),
        (UINT, "u32 __u32 uint32_t __be32 __le32 __wsum uint u_int gfp_t char32_t"),
        (INT, "s32 __s32 int32_t pid_t wchar_t"),
        (ULLONG, "u64 __u64 __be64 __le64 __addrpair"),
        (LLONG, "s64 __s64"),
        (ULONG, "uint64_t size_t uintptr_t ulong uintmax_t"),
        (LONG, "int64_t ssize_t ptrdiff_t intptr_t intmax_t"),
        (BOOL, "bool"),
    )
    for name in names.split()
}


def is_integer(t: Type) -> bool:
    return isinstance(t, IntType | EnumType)


def is_arithmetic(t: Type) -> bool:
    return isinstance(t, IntType | EnumType | FloatType)


def is_scalar(t: Type) -> bool:
    return isinstance(t, IntType | EnumType | FloatType | PointerType)


def integer(t: Type) -> IntType:
    """The integer type that an integer or enum type is."""
    if isinstance(t, EnumType):
        return t.definition.underlying
    assert isinstance(t, IntType)
    return t


def promote(t: Type) -> IntType:
    """C11 6.3.1.1p2: what an integer operand becomes."""
    it = integer(t)
    if it.rank < INT.rank:
        return INT
    return it if not (it.quals or it.alias) else BY_NAME.get(it.name, it)


BY_NAME = {t.name: t for t in (BOOL, CHAR, SCHAR, UCHAR, SHORT, USHORT, INT, UINT, LONG, ULONG, LLONG, ULLONG, INT128, UINT128)}
_UNSIGNED = {INT.rank: UINT, LONG.rank: ULONG, LLONG.rank: ULLONG, INT128.rank: UINT128}


def common(a: Type, b: Type) -> Type:
    """C11 6.3.1.8: the usual arithmetic conversions."""
    for t in (LDOUBLE, DOUBLE, FLOAT):
        if any(isinstance(x, FloatType) and x.width == t.width for x in (a, b)):
            return t
    x, y = promote(a), promote(b)
    if x.signed == y.signed:
        return x if x.rank >= y.rank else y
    u, s = (y, x) if x.signed else (x, y)
    if u.rank >= s.rank:
        return u
    if s.bits > u.bits:
        return s
    return _UNSIGNED[s.rank]


def compatible(a: Type, b: Type, *, ignore_quals: bool = False) -> bool:
    """C11 6.2.7, with the kernel's view that equal integer representations under other names are the same."""
    if isinstance(a, ArrayType) and isinstance(b, ArrayType):  # qualifiers of an array are its elements' (C11 6.7.3p9)
        of = compatible(a.of.with_quals(a.quals), b.of.with_quals(b.quals), ignore_quals=ignore_quals)
        return of and (a.count is None or b.count is None or a.count == b.count)
    if not ignore_quals and (a.quals ^ b.quals) & (CONST | VOLATILE):
        return False
    if isinstance(a, EnumType) and isinstance(b, IntType):
        a = a.definition.underlying
    elif isinstance(b, EnumType) and isinstance(a, IntType):
        b = b.definition.underlying
    if type(a) is not type(b):
        return False
    if isinstance(a, IntType) and isinstance(b, IntType):
        return a.name == b.name
    if isinstance(a, FloatType) and isinstance(b, FloatType):
        return a.name == b.name
    if isinstance(a, PointerType) and isinstance(b, PointerType):
        return compatible(a.to, b.to)
    if isinstance(a, RecordType) and isinstance(b, RecordType):
        return a.record is b.record
    if isinstance(a, EnumType) and isinstance(b, EnumType):
        return a.definition is b.definition
    if isinstance(a, FunctionType) and isinstance(b, FunctionType):
        if not compatible(a.returns, b.returns, ignore_quals=True):
            return False
        if not (a.prototyped and b.prototyped):
            return True
        return (
            len(a.params) == len(b.params)
            and a.variadic == b.variadic
            and all(compatible(x, y, ignore_quals=True) for (_, x), (_, y) in zip(a.params, b.params, strict=True))
        )
    return True


def decay(t: Type) -> Type:
    """Arrays become pointers to their first element, functions pointers to themselves."""
    if isinstance(t, ArrayType):
        return PointerType(t.of.with_quals(t.quals))
    if isinstance(t, FunctionType):
        return PointerType(t)
    return t
