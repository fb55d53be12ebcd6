"""Types of the checker: specifiers and declarators to types, records with their members, enums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skep.compiler import ast, dialect, tree
from skep.compiler import types as ct
from skep.compiler.diagnostics import closest
from skep.compiler.parser_specifiers import struct_or_union_specifier
from skep.compiler.pp_files import header_that_has
from skep.compiler.source import Token
from skep.compiler.symbols import Enumerator, Scope, Typedef
from skep.compiler.types import Member, Record, RecordType, Type

if TYPE_CHECKING:
    from skep.compiler.checker import Checker

_WORDS: dict[tuple[str, ...], Type] = {
    tuple(sorted(words.split())): t
    for t, spellings in (
        (ct.VOID, "void"), (ct.CHAR, "char"), (ct.SCHAR, "signed char"), (ct.UCHAR, "unsigned char"), (ct.BOOL, "_Bool"),
        (ct.SHORT, "short|short int|signed short|signed short int"), (ct.USHORT, "unsigned short|unsigned short int"),
        (ct.INT, "int|signed|signed int"), (ct.UINT, "unsigned|unsigned int"),
        (ct.LONG, "long|long int|signed long|signed long int"), (ct.ULONG, "unsigned long|unsigned long int"),
        (ct.LLONG, "long long|long long int|signed long long|signed long long int"),
        (ct.ULLONG, "unsigned long long|unsigned long long int"), (ct.FLOAT, "float"), (ct.DOUBLE, "double"),
        (ct.LDOUBLE, "long double|__float128|_Float128"), (ct.INT128, "__int128|signed __int128|__int128_t"),
        (ct.UINT128, "unsigned __int128|__uint128_t"),
    )
    for words in spellings.split("|")
}  # fmt: skip
_MAX_ALIGNMENT = 1 << 28
_MAX_SIZE = 1 << 60  # bytes of a type; clang's limit too, and LLVM counts bits in 64 bits
_MAX_ARGUMENT = 1 << 30  # bytes; LLVM ends its process on arguments of 4 GiB


class DeclaredTypes:
    """`type_name`, `specifier_type` and `declared_type` are the entries."""

    def __init__(self, checker: Checker) -> None:
        self.c = checker
        self._va_list: Record | None = None
        self._unknown: dict[str, str] = {}  # what to say of a tag that nothing defines: the search goes through the whole BTF

    def type_name(self, node: ast.TypeName) -> Type:
        return self.declared_type(self.specifier_type(node.specifiers), node.declarator)

    def specifier_type(self, specifiers: ast.Specifiers) -> Type:
        spec = specifiers.type
        match spec:
            case ast.WordsSpec():
                found = _WORDS.get(self._words(spec))
                if spec.words == ["__builtin_va_list"]:
                    found = ct.ArrayType(self.va_list_tag(), 1)
                if found is None:
                    self.c.error(f"'{' '.join(spec.words)}' is not a type", spec, code="type")
                    found = ct.INT
            case ast.TypedefSpec():
                symbol = self.c.lookup(spec.name)
                if isinstance(symbol, Typedef):
                    own = symbol.token is None and spec.name in ("KEY", "VALUE")  # of a method's template: not for messages
                    found = symbol.type if own or symbol.type.alias == spec.name else symbol.type.named(spec.name)
                else:  # the parser read a declaration of it that was wrong
                    self.c.error(f"'{spec.name}' is not a type here", spec, code="type")
                    found = ct.INT
            case ast.RecordSpec():
                found = RecordType(self.record(spec))
            case ast.EnumSpec():
                found = self.enum(spec)
            case ast.TypeofSpec():
                if isinstance(spec.argument, ast.TypeName):
                    found = self.type_name(spec.argument)
                else:
                    found = self.c.expr.check(spec.argument).type
            case _:
                raise AssertionError(spec)
        for attribute in specifiers.attributes:
            found = self._type_attribute(found, attribute)
        if specifiers.quals & ct.RESTRICT and not isinstance(found, ct.PointerType):
            self.c.error(f"'restrict' is for pointers, not for '{found}'", specifiers, code="type")
        return found.with_quals(specifiers.quals)

    def _words(self, spec: ast.WordsSpec) -> tuple[str, ...]:
        """The words in order; one that is there twice counts once, "long" apart."""
        words = sorted("signed" if w.startswith("__signed") else w for w in spec.words)
        for word in ("signed", "unsigned", "short"):
            if words.count(word) > 1:
                self.c.warning(f"'{word}' is there twice", spec, code="duplicate-decl-specifier")
                del words[words.index(word) : words.index(word) + words.count(word) - 1]
        return tuple(words)

    def _type_attribute(self, found: Type, attribute: ast.Attribute) -> Type:
        if attribute.name == "btf_type_tag" and attribute.args:
            return found.with_quals(ct.TYPE_TAGS.get(str(attribute.args[0]), 0))
        if attribute.name == "mode" and attribute.args:
            sizes = {"QI": 1, "HI": 2, "SI": 4, "DI": 8, "TI": 16}
            size = sizes.get(str(attribute.args[0]).strip("_"))
            if size and isinstance(found, ct.IntType):
                return next(t for t in ct.BY_NAME.values() if t.size == size and t.signed == found.signed and t.rank)
        return found

    def va_list_tag(self) -> Type:
        record = self._va_list
        if record is None:
            record = Record("struct", "__va_list_tag")
            pointer = ct.PointerType(ct.VOID)
            fields = (("gp_offset", ct.UINT), ("fp_offset", ct.UINT), ("overflow_arg_area", pointer), ("reg_save_area", pointer))
            record.define([Member(n, t) for n, t in fields])
            self._va_list = record
        return RecordType(record)

    def find_tag(self, tag: str) -> Record | ct.EnumDefinition | None:
        for scope in reversed(self.c.scopes):
            if tag in scope.tags:
                return scope.tags[tag]
        return None

    def record(self, spec: ast.RecordSpec) -> Record:
        if spec.members is None:
            found = self.find_tag(spec.tag)
            if isinstance(found, Record):
                if found.kind != spec.kind:
                    self.c.error(f"'{spec.tag}' is a {found.kind}, not a {spec.kind}", spec, code="tag")
                return found
            outside = self.outside_record(spec)
            if outside is not None:
                self.c.scopes[0].tags[spec.tag] = outside
                return outside
            record = Record(spec.kind, spec.tag, spec.first)
            self.c.scopes[-1].tags[spec.tag] = record
            return record
        existing = self.c.scopes[-1].tags.get(spec.tag) if spec.tag else None
        if isinstance(existing, Record) and existing.defined and not existing.from_kernel and existing.token is not None:
            self.c.error(
                f"'{spec.kind} {spec.tag}' is defined twice", spec.first,
                notes=[self.c.diagnostics.note("the first definition", existing.token)], code="redefined",
            )  # fmt: skip
        record = existing if isinstance(existing, Record) and not existing.defined else Record(spec.kind, spec.tag)
        record.token = spec.first
        if spec.tag:
            self.c.scopes[-1].tags[spec.tag] = record
        members: list[Member] = []
        for field in spec.members:
            members += self._members(field)
        self._check_members(members, spec.kind)
        packed, align = False, 0
        for attribute in spec.attributes:
            packed |= attribute.name == "packed"
            record.packet |= attribute.name == "deprecated" and attribute.args[:1] == ["packet"]  # BCC's mark
            if attribute.name == "aligned":
                align = max(align, self.alignment(attribute.args[0] if attribute.args else None, attribute))
        record.define(members, packed=packed, align=align, pack=spec.pack)
        if record.size > _MAX_SIZE:
            self.c.error(f"a {record.kind} of {record.size} bytes is too large", spec, code="too-large")
            record.define([])
        if self.c.bpf and spec.tag and any(attribute.name == "preserve_access_index" for attribute in spec.attributes):
            kernel = self.c.kernel.record(spec.kind, spec.tag.partition("___")[0])
            if kernel is not None:
                record.relocate(kernel)
        return record

    def outside_record(self, spec: ast.RecordSpec) -> Record | None:
        if not self.c.bpf:
            return None
        if spec.tag.startswith("tracepoint__") and spec.kind == "struct":
            found = self._tracepoint_record(spec)
            if found is not None:
                return found
        members = dialect.RECORDS.get(spec.tag)
        return self.c.kernel.record(spec.kind, spec.tag) if members is None else self._record_of(spec, members)

    def _record_of(self, spec: ast.RecordSpec, members: str) -> Record:
        """A record that Skep knows by its members' declarations; it belongs to the whole text."""
        tokens = self.c.template_tokens(f"struct {spec.tag} {{ {members} }}", spec.tag, spec.first)
        scopes, self.c.scopes = self.c.scopes, self.c.scopes[:1]
        record = self.record(struct_or_union_specifier(self.c.reader(tokens)))
        self.c.scopes = scopes
        record.from_kernel = True
        return record

    def _tracepoint_record(self, spec: ast.RecordSpec) -> Record | None:
        """`struct tracepoint__category__event`, made of the event's format as BCC does."""
        _, category, event = spec.tag.split("__", 2) if spec.tag.count("__") >= 2 else ("", "", "")
        if not category or self.c.kernel.tracepoint_fields is None:
            return None
        fields = self.c.kernel.tracepoint_fields(category, event)
        if fields is None:
            self.c.error(f"this kernel has no tracepoint '{category}:{event}'", spec, code="tracepoint")
            return None
        record = self._record_of(spec, fields)
        if category == "syscalls":  # pointers among a system call's arguments are the process's own
            for m in record.members:
                if isinstance(m.type, ct.PointerType):
                    m.type = ct.PointerType(m.type.to.with_quals(ct.USER))
        return record

    def _members(self, field: ast.FieldDeclaration) -> list[Member]:
        if field.check is not None:
            self.c.static_assert(field.check)
            return []
        base = self.specifier_type(field.specifiers)
        if not field.declarators:
            if isinstance(base, RecordType):
                return [Member("", base, token=field.first)]
            self.c.warning("this declares no member", field, code="empty-declaration")
            return []
        members = []
        for declarator, width in field.declarators:
            type = self.declared_type(base, declarator)
            member = Member(declarator.name.text if declarator.name else "", type, token=declarator.name or field.first)
            if isinstance(type, ct.FunctionType):
                self.c.error("a member cannot be a function; a pointer to one can", declarator, code="member")
                continue
            if width is not None:
                bits = self.c.constant(width, "a bit-field's width")
                if not ct.is_integer(type):
                    self.c.error(f"a bit-field needs an integer type, not '{type}'", declarator, code="bit-field")
                    continue
                limit = 1 if ct.integer(type).rank == ct.BOOL_RANK else type.size * 8
                if not 0 <= bits <= limit or (bits == 0 and member.name):
                    self.c.error(f"a bit-field of '{type}' can have 1 to {limit} bits, not {bits}", width, code="bit-field")
                    continue
                member.bits = bits
            for attribute in (*declarator.attributes, *field.specifiers.attributes):
                member.packed |= attribute.name == "packed"
                if attribute.name == "aligned":
                    member.align = max(member.align, self.alignment(attribute.args[0] if attribute.args else None, attribute))
            for align in field.specifiers.align:
                member.align = max(member.align, self.alignment(align, field))
            if not type.complete and not (isinstance(type, ct.ArrayType) and type.of.complete):
                self.incomplete(type, f"member '{member.name}'", declarator)
                continue
            members.append(member)
        return members

    def _check_members(self, members: list[Member], kind: str) -> None:
        seen: dict[str, Member] = {}
        for m in members[:-1] if kind == "struct" else ():
            if isinstance(m.type, ct.ArrayType) and m.type.count is None:
                self.c.error(f"the array '{m.name}' without a size must be the last member", m.token, code="member")
        for m in members:
            names = [m.name] if m.name else (m.type.record.names() if isinstance(m.type, RecordType) else [])
            for name in names:
                if name in seen:
                    note = self.c.diagnostics.note("the first one", seen[name].token)
                    self.c.error(f"two members are named '{name}'", m.token, notes=[note], code="redeclared")
                seen[name] = m

    def alignment(self, argument: Any, at: Any) -> int:
        if argument is None:
            return 16
        if isinstance(argument, ast.TypeName):
            return self.type_name(argument).align
        if isinstance(argument, str):  # the parser leaves names in attributes as they are
            argument = ast.Name(at.first, at.last, argument)
        value = self.c.constant(argument, "an alignment")
        if value & (value - 1) or not 0 <= value <= _MAX_ALIGNMENT:
            self.c.error(f"an alignment is a power of two up to {_MAX_ALIGNMENT}, not {value}", at, code="align")
            return 0
        return value

    def enum(self, spec: ast.EnumSpec) -> ct.EnumType:
        if spec.enumerators is None:
            found = self.find_tag(spec.tag)
            if isinstance(found, ct.EnumDefinition):
                return ct.EnumType(found)
            outside = self.c.kernel.enum(spec.tag) if self.c.bpf else None
            if outside is not None:
                return outside
            definition = ct.EnumDefinition(spec.tag, ct.UINT)
            self.c.scopes[-1].tags[spec.tag] = definition
            return ct.EnumType(definition)
        named = self.c.scopes[-1].tags.get(spec.tag) if spec.tag else None
        if isinstance(named, ct.EnumDefinition) and not named.defined:
            definition = named
        else:
            definition = ct.EnumDefinition(spec.tag, ct.UINT)
        value = 0
        values: list[tuple[Token, int]] = []
        for name, expr in spec.enumerators:
            if expr is not None:
                value = self.c.constant(expr, "an enumerator's value")
            definition.enumerators.append((name.text, value))
            fits = ct.INT if -(1 << 31) <= value < 1 << 31 else (ct.UINT if 0 <= value < 1 << 32 else ct.LONG)
            self.c.declare(name.text, Enumerator(value, fits, name), name)
            values.append((name, value))
            value += 1
        low = min((v for _, v in values), default=0)
        high = max((v for _, v in values), default=0)
        if low < 0:
            definition.underlying = ct.INT if low >= -(1 << 31) and high < 1 << 31 else ct.LONG
        elif high >= 1 << 32:
            definition.underlying = ct.ULONG
        definition.defined = True
        if spec.tag:
            self.c.scopes[-1].tags[spec.tag] = definition
        return ct.EnumType(definition)

    def declared_type(self, base: Type, declarator: ast.Declarator) -> Type:
        found = base
        for part in declarator.parts:
            if isinstance(part, ast.PointerPart):
                found = ct.PointerType(found).with_quals(part.quals)
            elif isinstance(part, ast.ArrayPart):
                if isinstance(found, ct.FunctionType) or (not found.complete and not isinstance(found, ct.ArrayType)):
                    self.incomplete(found, "an array's elements", declarator)
                    found = ct.INT
                count = self._array_count(part)
                if count is not None and found.complete and found.size * count > _MAX_SIZE:
                    self.c.error(f"an array of {count} elements is too large", part.count, code="too-large")
                    count = 1
                found = ct.ArrayType(found, count)
            else:
                found = self._function_type(found, part)
        for attribute in declarator.attributes:
            found = self._type_attribute(found, attribute)
        return found

    def _array_count(self, part: ast.ArrayPart) -> int | None:
        if part.count is None:
            return None
        node = self.c.expr.value(part.count)
        count = tree.const_int(node)
        if count is None:
            if self.c.function is not None:
                self.c.error(
                    "the size of this array is not a constant, and BPF's stack is fixed at load; give a constant size"
                    if self.c.bpf else "variable length arrays are not supported; give a constant size",
                    part.count, code="vla",
                )  # fmt: skip
            else:
                self.c.error("the size of an array must be a constant", part.count, code="constant")
            return 1
        if count < 0:
            self.c.error(f"the size of an array cannot be negative ({count})", part.count, code="array-size")
            return 1
        return count

    def _function_type(self, returns: Type, part: ast.FunctionPart) -> ct.FunctionType:
        if isinstance(returns, ct.FunctionType | ct.ArrayType):
            self.c.error(f"a function cannot return '{returns}'", part, code="function-type")
            returns = ct.INT
        params = []
        self.c.scopes.append(Scope())
        for parameter in part.params:
            type = self._parameter_type(parameter)
            name = parameter.declarator.name
            if name:
                self.c.declare(name.text, tree.Variable(name.text, ct.decay(type), "param", name), name)
            if isinstance(type, RecordType) and type.complete and type.size > _MAX_ARGUMENT:
                self.c.error(f"'{type}' of {type.size} bytes is too large to be passed by value", parameter, code="too-large")
                type = ct.INT
            params.append((name.text if name else "", ct.decay(type)))
        self.c.scopes.pop()
        params += [(name.text, ct.INT) for name in part.names]
        prototyped = bool(part.params) or part.void or part.variadic
        return ct.FunctionType(returns, tuple(params), part.variadic, prototyped)

    def _parameter_type(self, parameter: ast.Parameter) -> Type:
        """The size of an array that is a parameter means nothing (C11 6.7.6.3p7), and may name parameters before it."""
        base, declarator = self.specifier_type(parameter.specifiers), parameter.declarator
        outer = declarator.parts[-1] if declarator.parts else None
        if isinstance(outer, ast.ArrayPart) and outer.count is not None:
            self.c.expr.check(outer.count)
            unsized = ast.ArrayPart(outer.first, outer.last, None)
            declarator = ast.Declarator(
                declarator.first, declarator.last, declarator.name, [*declarator.parts[:-1], unsized], declarator.attributes
            )
        return self.declared_type(base, declarator)

    def incomplete(self, type: Type, what: str, at: Any) -> None:
        """Report that a complete type is needed."""
        text = f"{what} needs a complete type, and '{type}' is not"
        notes = []
        if isinstance(type, RecordType):
            text = f"'{type}' is not defined" + self._why_unknown(type.record.tag)
            if type.record.token is not None:
                notes = [self.c.diagnostics.note("it is only named here", type.record.token)]
        self.c.error(text, at, notes=notes, code="incomplete")

    def _why_unknown(self, tag: str) -> str:
        if not self.c.bpf:
            return ""
        if self.c.kernel.missing:
            return f": {self.c.kernel.missing}"
        if tag not in self._unknown and (header := header_that_has(tag)):
            self._unknown[tag] = f": <{header}> has it: #include that"
        if tag not in self._unknown:
            near = closest(tag, [*self.c.scopes[0].tags, *self.c.kernel.names("struct")])
            self._unknown[tag] = f", neither in this text nor in the kernel's BTF{f'; did you mean {near!r}?' if near else ''}"
        return self._unknown[tag]
