"""The kernel's types as the compiler's types, each translated when it is first named.

From the running kernel's BTF; where there is none, a small table of layouts that the kernel keeps stable, and `missing`
says so for anything else.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable

from skep.btf import module_btfs
from skep.compiler import types as ct
from skep.compiler.dialect import PT_REGS
from skep.compiler.types import Member, Record, RecordType, Type
from skep.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf import Btf

# (signed, bits) by the names that BTF's integers have: DWARF's, as gcc and clang spell them
_INTEGERS = {
    "char": ct.CHAR, "signed char": ct.SCHAR, "unsigned char": ct.UCHAR, "short int": ct.SHORT, "short": ct.SHORT,
    "short unsigned int": ct.USHORT, "unsigned short": ct.USHORT, "int": ct.INT, "unsigned int": ct.UINT, "long int": ct.LONG,
    "long": ct.LONG, "long unsigned int": ct.ULONG, "unsigned long": ct.ULONG, "long long int": ct.LLONG, "long long": ct.LLONG,
    "long long unsigned int": ct.ULLONG, "unsigned long long": ct.ULLONG, "_Bool": ct.BOOL, "__int128": ct.INT128,
    "__int128 unsigned": ct.UINT128, "unsigned __int128": ct.UINT128,
}  # fmt: skip
_BY_SIZE = {(1, True): ct.SCHAR, (2, True): ct.SHORT, (4, True): ct.INT, (8, True): ct.LONG, (16, True): ct.INT128,
            (1, False): ct.UCHAR, (2, False): ct.USHORT, (4, False): ct.UINT, (8, False): ct.ULONG,
            (16, False): ct.UINT128}  # fmt: skip
# layouts that are user-space ABI (uapi/linux/bpf.h, asm/ptrace.h): name -> (type, member, array length or None)
_STABLE: dict[str, list[tuple[Type, str, int | None]]] = {
    "bpf_raw_tracepoint_args": [(ct.ULLONG.named("__u64"), "args", 0)],
    "pt_regs": [
        (ct.ULONG, name.split("[")[0], int(name[name.index("[") + 1 : -1]) if "[" in name else None)
        for name in PT_REGS.get(platform.machine(), [])
    ],
}


class KernelTypes:
    """Looks up records, typedefs, enums and enumerators; `btf` gives the kernel's BTF or raises UnsupportedError.

    `tracepoint_fields(category, event)` gives the C declarations of a tracepoint's record, or None.
    """

    def __init__(self, btf: Callable[[], Btf], tracepoint_fields: Callable[[str, str], str | None] | None = None) -> None:
        self._open = btf
        self._btf: Btf | None = None
        self.missing = ""
        self.tracepoint_fields = tracepoint_fields
        self._types: dict[tuple[str, int], Type] = {}
        self._names: dict[tuple[str, str], Type | None] = {}

    @property
    def btf(self) -> Btf | None:
        if self._btf is None and not self.missing:
            try:
                self._btf = self._open()
            except UnsupportedError as error:
                self.missing = str(error)
        return self._btf

    def _find(self, name: str, kind: str) -> Type | None:
        key = (kind, name)
        if key not in self._names:
            found: Type | None = None
            if self.btf is not None:
                id = self.btf.find(name, kind)
                found = self._of_module(name, kind) if id is None else self.type(id, self.btf)
            elif kind == "struct" and name in _STABLE:
                record = Record("struct", name)
                record.from_kernel = True
                record.define([Member(n, t if length is None else ct.ArrayType(t, length)) for t, n, length in _STABLE[name]])
                found = RecordType(record)
            self._names[key] = found
        return self._names[key]

    def _of_module(self, name: str, kind: str) -> Type | None:
        """A struct or union that only a loaded module has. Other names are too many to look for in every module."""
        if kind not in ("struct", "union"):
            return None
        for btf in module_btfs(name):
            id = btf.find(name, kind)
            if id is not None:
                return self.type(id, btf)
        return None

    def record(self, kind: str, tag: str) -> Record | None:
        found = self._find(tag, kind)
        return found.record if isinstance(found, RecordType) else None

    def typedef(self, name: str) -> Type | None:
        return self._find(name, "typedef")

    def enum(self, tag: str) -> ct.EnumType | None:
        found = self._find(tag, "enum")
        return found if isinstance(found, ct.EnumType) else None

    def enumerator(self, name: str) -> tuple[int, Type] | None:
        if self.btf is None:
            return None
        found = self.btf.find_enumerator(name)
        return None if found is None else (found[0], self.type(found[1], self.btf))

    def names(self, kind: str) -> Iterable[str]:
        return () if self.btf is None else self.btf.name_candidates(kind)

    def type(self, id: int, btf: Btf) -> Type:
        """The compiler's type for a BTF id. Modules share the kernel's ids, and go on from there."""
        key = (btf.module if id >= btf.first_id else "", id)
        found = self._types.get(key)
        if found is None:
            found = self._types[key] = self._translate(id, btf)
        return found

    def _translate(self, id: int, btf: Btf) -> Type:
        from skep.btf import types as bt

        t = btf.type(id)
        match t:
            case bt.Int():
                return _INTEGERS.get(t.name) or _BY_SIZE[t.size, t.signed]
            case bt.Pointer():
                return ct.PointerType(self.type(t.target, btf))
            case bt.Array():
                return ct.ArrayType(self.type(t.element, btf), t.length)
            case bt.Struct():
                return RecordType(self._record(t, btf))
            case bt.Fwd():
                kind = "union" if t.union else "struct"
                return RecordType(Record(kind, t.name))
            case bt.Enum():
                definition = ct.EnumDefinition(t.name, _BY_SIZE[t.size or 4, t.signed])
                definition.enumerators = list(t.values)
                definition.defined = True
                return ct.EnumType(definition)
            case bt.Typedef():
                return self.type(t.target, btf).named(t.name)
            case bt.Const():
                return self.type(t.target, btf).with_quals(ct.CONST)
            case bt.Volatile():
                return self.type(t.target, btf).with_quals(ct.VOLATILE)
            case bt.TypeTag():
                target = self.type(t.target, btf)
                return target.with_quals(ct.USER) if t.name == "user" else target
            case bt.Restrict() | bt.DeclTag() | bt.Func() | bt.Var():
                return self.type(t.target, btf)
            case bt.FuncProto():
                params = [(name, self.type(p, btf)) for name, p in t.params]
                variadic = bool(params) and not t.params[-1][1]
                return ct.FunctionType(self.type(t.result, btf), tuple(params[:-1] if variadic else params), variadic)
            case bt.Float():
                return {4: ct.FLOAT, 8: ct.DOUBLE}.get(t.size, ct.LDOUBLE)
        return ct.VOID

    def _record(self, t: object, btf: Btf) -> Record:
        from skep.btf import types as bt

        assert isinstance(t, bt.Struct)
        record = Record("union" if isinstance(t, bt.Union) else "struct", t.name)
        record.from_kernel = True

        def fill() -> tuple[list[Member], int]:
            members = []
            for m in t.members:
                type = self.type(m.type_id, btf)
                if m.bit_size:
                    unit = type.size
                    offset = m.bit_offset // (unit * 8) * unit
                    members.append(Member(m.name, type, offset, m.bit_size, m.bit_offset - offset * 8))
                else:
                    members.append(Member(m.name, type, m.bit_offset // 8))
            return members, btf.align_of(t.id)

        record.set_lazy(t.size, fill)
        return record
