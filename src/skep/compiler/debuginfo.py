"""Debug metadata of the LLVM module: LLVM's BPF back end makes BTF, function and line information of it."""

from __future__ import annotations

from skep.compiler import types as ct
from skep.compiler.source import SourceFile, Token, where
from skep.compiler.types import PointerType, Record, RecordType, Type

_ENCODING = {"bool": 2, "float": 4, "signed": 5, "signed_char": 6, "unsigned": 7, "unsigned_char": 8}  # DW_ATE_*
Parameter = tuple[str, Type, tuple[str, ...]]  # name, type, the texts of btf_decl_tag

_ESCAPES = {b: f"\\{b:02X}" for b in range(256) if not 32 <= b < 127 or b in (34, 92)}


def quote(text: str) -> str:
    """A metadata string in LLVM's syntax."""
    return quote_bytes(text.encode("utf-8", "surrogateescape"))


def quote_bytes(data: bytes) -> str:
    return '"' + data.decode("latin-1").translate(_ESCAPES) + '"'


class DebugInfo:
    """Numbered metadata nodes; equal nodes are shared."""

    def __init__(self, main: SourceFile) -> None:
        self.nodes: list[str] = []
        self._shared: dict[str, str] = {}
        self._records: dict[int, str] = {}
        self._keep: list[object] = []  # ids are keys above
        self._files: dict[str, str] = {}
        self._locations: dict[tuple[str, str, int, int], str] = {}
        self.unit = self.reserve()
        self.file = self.source_file(main)
        self.globals: list[str] = []
        self._prototype = False  # is it of a function of the kernel's, or a kptr?
        self._depth = 0  # how many pointers lead to the type at hand
        self.whole: frozenset[str] = frozenset()  # kernel structs that are described whole behind pointers too

    def reserve(self) -> str:
        """A node's number whose text `set` gives later."""
        self.nodes.append("")
        return f"!{len(self.nodes) - 1}"

    def set(self, node: str, text: str) -> None:
        self.nodes[int(node[1:])] = text

    def node(self, text: str) -> str:
        """The number of a node with this text."""
        found = self._shared.get(text)
        if found is None:
            found = self.reserve()
            self.set(found, text)
            self._shared[text] = found
        return found

    def source_file(self, file: SourceFile) -> str:
        found = self._files.get(file.name)
        if found is None:
            # the text goes along so that LLVM need not find the file to quote its lines
            found = self.node(f'!DIFile(filename: {quote(file.name)}, directory: "", source: {quote(file.text)})')
            self._files[file.name] = found
        return found

    def finish(self) -> str:
        self.set(
            self.unit,
            f'distinct !DICompileUnit(language: DW_LANG_C11, file: {self.file}, producer: "skep", isOptimized: true, '
            f"runtimeVersion: 0, emissionKind: FullDebug, globals: {self.node('!{' + ', '.join(self.globals) + '}')})",
        )
        flags = [self.node('!{i32 2, !"Debug Info Version", i32 3}'), self.node('!{i32 7, !"Dwarf Version", i32 5}')]
        lines = [f"!llvm.dbg.cu = !{{{self.unit}}}", f"!llvm.module.flags = !{{{', '.join(flags)}}}"]
        lines += [f"!{i} = {text}" for i, text in enumerate(self.nodes)]
        return "\n".join(lines)

    # --- places

    def location(self, token: Token, scope: str) -> str:
        """A DILocation for the user's text that a token came from."""
        file, _, line, column = where(token)
        key = (file.name, scope, line, column)
        found = self._locations.get(key)
        if found is None:
            own = self.source_file(file)
            if own != self.file:
                scope = self.node(f"!DILexicalBlockFile(scope: {scope}, file: {own}, discriminator: 0)")
            found = self.node(f"!DILocation(line: {line}, column: {column}, scope: {scope})")
            self._locations[key] = found
        return found

    def subprogram(
        self, found: str, name: str, type: ct.FunctionType, token: Token, params: list[Parameter], *, local: bool,
        tags: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """A function, into the reserved node that its locations name; its parameters keep their names in BTF."""
        file, _, line, _ = where(token)
        where_ = self.source_file(file)
        types = [self.type(type.returns), *(self.type(t) for _, t, _ in params)]
        signature = self.node(f"!DISubroutineType(types: {self.node('!{' + ', '.join(types) + '}')})")
        variables = [
            self.node(
                f"!DILocalVariable(name: {quote(n)}, arg: {i + 1}, scope: {found}, file: {where_}, line: {line}, "
                f"type: {self.type(t)}{self._annotations('decl', own)})"
            )
            for i, (n, t, own) in enumerate(params)
        ]
        self.set(
            found,
            f"distinct !DISubprogram(name: {quote(name)}, scope: {where_}, file: {where_}, line: {line}, type: {signature}, "
            f"scopeLine: {line}, spFlags: {'DISPFlagLocalToUnit | ' if local else ''}DISPFlagDefinition | DISPFlagOptimized, "
            f"unit: {self.unit}, retainedNodes: {self.node('!{' + ', '.join(variables) + '}')}{self._annotations('decl', tags)})",
        )

    def declared_function(self, name: str, type: ct.FunctionType, token: Token) -> str:
        """A function that is elsewhere: LLVM makes BTF of the declared functions that are called."""
        file, _, line, _ = where(token)
        where_ = self.source_file(file)
        self._prototype = True
        signature = self._plain(type)
        self._prototype = False
        return self.node(
            f"!DISubprogram(name: {quote(name)}, scope: {where_}, file: {where_}, line: {line}, type: {signature}, "
            "flags: DIFlagPrototyped, spFlags: DISPFlagOptimized)"
        )

    def _annotations(self, kind: str, tags: tuple[str, ...]) -> str:
        """btf_decl_tag's or btf_type_tag's."""
        if not tags:
            return ""
        entries = [self.node(f'!{{!"btf_{kind}_tag", !{quote(tag)}}}') for tag in tags]
        return f", annotations: {self.node('!{' + ', '.join(entries) + '}')}"

    def global_variable(
        self, name: str, type_node: str, token: Token, *, local: bool, tags: tuple[str, ...] = (), defined: bool = True
    ) -> str:
        file, _, line, _ = where(token)
        where_ = self.source_file(file)
        var = self.node(
            f"distinct !DIGlobalVariable(name: {quote(name)}, scope: {self.unit}, file: {where_}, line: {line}, "
            f"type: {type_node}, "
            f"isLocal: {'true' if local else 'false'}, isDefinition: {'true' if defined else 'false'}"
            f"{self._annotations('decl', tags)})"
        )
        found = self.node(f"!DIGlobalVariableExpression(var: {var}, expr: !DIExpression())")
        self.globals.append(found)
        return found

    # --- types

    def type(self, t: Type) -> str:
        """The node of a type ("null" for void)."""
        if t.alias and not isinstance(t, ct.VoidType):
            bare = t.unqualified()
            plain = bare._copy()
            plain.alias = ""
            node = self.node(
                f"!DIDerivedType(tag: DW_TAG_typedef, name: {quote(t.alias)}, file: {self.file}, baseType: {self.type(plain)})"
            )
            return self._qualified(node, t.quals)
        return self._qualified(self._plain(t), t.quals)

    def _qualified(self, node: str, quals: int) -> str:
        for bit, tag in ((ct.CONST, "const"), (ct.VOLATILE, "volatile")):
            if quals & bit:
                node = self.node(f"!DIDerivedType(tag: DW_TAG_{tag}_type, baseType: {node})")
        return node

    def _plain(self, t: Type) -> str:
        match t:
            case ct.VoidType():
                return "null"
            case ct.IntType():
                kind = "signed" if t.signed else "unsigned"
                if t.rank == ct.BOOL_RANK:
                    kind = "bool"
                elif t.name.endswith("char"):
                    kind += "_char"
                return self.node(f"!DIBasicType(name: {quote(t.name)}, size: {t.size * 8}, encoding: {_ENCODING[kind]})")
            case ct.FloatType():
                return self.node(f"!DIBasicType(name: {quote(t.name)}, size: {t.size * 8}, encoding: {_ENCODING['float']})")
            case ct.PointerType():
                tags = tuple(tag for tag, bit in ct.TYPE_TAGS.items() if t.to.quals & bit and bit != ct.USER)
                prototype, self._prototype = self._prototype, self._prototype or bool(tags)  # the kernel looks for a struct
                self._depth += 1
                to = self.type(t.to)
                self._depth -= 1
                self._prototype = prototype
                return self.pointer(to, tags)
            case ct.ArrayType():
                return self.array(self.type(t.of), t.count or 0, t.size)
            case ct.FunctionType():
                types = ", ".join([self.type(t.returns), *(self.type(p) for _, p in t.params), *(["null"] if t.variadic else [])])
                return self.node(f"!DISubroutineType(types: {self.node('!{' + types + '}')})")
            case ct.EnumType():
                d = t.definition
                entries = [self.node(f"!DIEnumerator(name: {quote(n)}, value: {v})") for n, v in d.enumerators]
                return self.node(
                    f"!DICompositeType(tag: DW_TAG_enumeration_type, name: {quote(d.tag)}, file: {self.file}, "
                    f"baseType: {self.type(d.underlying)}, size: {t.size * 8}, elements: "
                    f"{self.node('!{' + ', '.join(entries) + '}')})"
                )
            case ct.RecordType():
                return self._record(t.record)
        raise AssertionError(t)

    def pointer(self, to: str, tags: tuple[str, ...] = ()) -> str:
        return self.node(f"!DIDerivedType(tag: DW_TAG_pointer_type, baseType: {to}, size: 64{self._annotations('type', tags)})")

    def array(self, of: str, count: int, size: int) -> str:
        subrange = self.node("!{" + self.node(f"!DISubrange(count: {count})") + "}")
        return self.node(f"!DICompositeType(tag: DW_TAG_array_type, baseType: {of}, size: {size * 8}, elements: {subrange})")

    def record(self, kind: str, name: str, size: int, members: list[tuple[str, str, int, int]]) -> str:
        """A struct made here; members are (name, type node, bit offset, bit size)."""
        entries = [
            self.node(
                f"!DIDerivedType(tag: DW_TAG_member, name: {quote(n)}, file: {self.file}, baseType: {t}, size: "
                f"{bits}, offset: {at})"
            )
            for n, t, at, bits in members
        ]
        tag = "structure" if kind == "struct" else "union"
        named = f"name: {quote(name)}, " if name else ""
        return self.node(
            f"!DICompositeType(tag: DW_TAG_{tag}_type, {named}file: {self.file}, size: {size * 8}, "
            f"elements: {self.node('!{' + ', '.join(entries) + '}')})"
        )

    def map_definition(self, t: ct.RecordType) -> str:
        """A libbpf-style map: what its members point to is its key and value, so kernel structs are described whole there."""
        members = []
        for m in t.record.members:
            node = ""
            if isinstance(m.type, PointerType):
                node = self.pointer(self.type(m.type.to))
            elif isinstance(m.type, ct.ArrayType) and isinstance(m.type.of, PointerType) and isinstance(m.type.of.to, RecordType):
                inner = self.pointer(self.map_definition(m.type.of.to))  # __array(values, struct { ... })
                node = self.array(inner, m.type.count or 0, m.type.size)
            members.append((m.name, node or self.type(m.type), m.offset * 8, m.type.size * 8))
        return self.record("struct", t.record.tag, t.size, members)

    def _record(self, record: Record) -> str:
        found = self._records.get(id(record))
        if found is not None:
            return found
        tag = "structure" if record.kind == "struct" else "union"
        if not record.defined or (record.from_kernel and self._depth and record.tag not in self.whole):
            # a kernel type behind a pointer: its name is enough, its members would pull half the kernel in
            # libbpf compares a kernel function's prototype by kinds, and a forward declaration is no struct to it
            kind = f"size: 0, elements: {self.node('!{}')}" if self._prototype and record.from_kernel else "flags: DIFlagFwdDecl"
            return self.node(f"!DICompositeType(tag: DW_TAG_{tag}_type, name: {quote(record.tag)}, file: {self.file}, {kind})")
        found = self._records[id(record)] = self.reserve()
        self._keep.append(record)
        entries = []
        depth, self._depth = self._depth, 0  # a member is part of the record, and the record is described here
        nodes = [self.type(m.type) for m in record.members]
        self._depth = depth
        for m, node in zip(record.members, nodes, strict=True):
            flags = ", flags: DIFlagBitField" if m.bits is not None else ""
            bits = m.bits if m.bits is not None else m.type.size * 8
            named = f"name: {quote(m.name)}, " if m.name else ""
            entries.append(
                self.node(
                    f"!DIDerivedType(tag: DW_TAG_member, {named}scope: {found}, file: {self.file}, baseType: {node}, "
                    f"size: {bits}, offset: {m.offset * 8 + m.bit_offset}{flags})"
                )
            )
        named = f"name: {quote(record.tag)}, " if record.tag else ""
        line = where(record.token)[2] if record.token is not None else 0
        self.set(
            found,
            f"distinct !DICompositeType(tag: DW_TAG_{tag}_type, {named}file: {self.file}, line: {line}, size: {record.size * 8}, "
            f"elements: {self.node('!{' + ', '.join(entries) + '}')})",
        )
        return found
