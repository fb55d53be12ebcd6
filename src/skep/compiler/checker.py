"""Syntax tree to checked tree: names, types, conversions, constants, the dialect's maps. Entry: `check(...)`.

This file holds the state, scopes, types and declarations; expressions, initialisers and statements have their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skep.compiler import ast, dialect, tree
from skep.compiler import types as ct
from skep.compiler.diagnostics import Diagnostics, closest
from skep.compiler.expressions import Expressions
from skep.compiler.helpers import HELPERS
from skep.compiler.initializers import Initializers
from skep.compiler.kernel_types import KernelTypes
from skep.compiler.parser import Parser
from skep.compiler.source import Expansion, SourceFile, Token
from skep.compiler.statements import Statements
from skep.compiler.types import Member, Record, RecordType, Type

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
# attributes that change nothing here, besides those that are read below
_IGNORED_ATTRIBUTES = frozenset(
    (
        "unused used maybe_unused deprecated nonnull pure const noreturn cold hot format warn_unused_result "
        "nothrow leaf malloc alloc_size alloc_align returns_nonnull fallthrough may_alias "
        "preserve_access_index visibility designated_init no_instrument_function error warning gnu_inline "
        "artificial flatten noclone externally_visible btf_decl_tag preserve_static_offset "
        "no_caller_saved_registers transparent_union mode internal_linkage optnone optimize nocf_check access "
        "assume_aligned no_sanitize sentinel returns_twice noipa no_reorder copy nomerge musttail "
        "bpf_fastcall"
    ).split()
)


# attributes without which a program means something else
_UNSUPPORTED_ATTRIBUTES = frozenset(
    ["alias", "cleanup", "constructor", "destructor", "ifunc", "vector_size", "address_space", "scalar_storage_order"]
)
_MAX_ALIGNMENT = 1 << 28


class Typedef:
    __slots__ = ("token", "type")

    def __init__(self, type: Type, token: Token | None) -> None:
        self.type = type
        self.token = token


class Enumerator:
    __slots__ = ("token", "type", "value")

    def __init__(self, value: int, type: Type, token: Token | None) -> None:
        self.value = value
        self.type = type
        self.token = token


class Helper:
    """A kernel helper; its prototype is parsed when a program first calls it."""

    __slots__ = ("name", "number", "type")

    def __init__(self, name: str, number: int, type: ct.FunctionType) -> None:
        self.name = name
        self.number = number
        self.type = type


Symbol = tree.Variable | tree.Function | tree.MapInfo | Typedef | Enumerator | Helper


class Scope:
    __slots__ = ("names", "tags")

    def __init__(self) -> None:
        self.names: dict[str, Symbol] = {}
        self.tags: dict[str, Record | ct.EnumDefinition] = {}


class Checker:
    """The state of one check; the parts (`expr`, `init`, `stmt`) share it through `c`."""

    def __init__(
        self, diagnostics: Diagnostics, kernel: KernelTypes, *, target: str, missing_headers: Iterable[tuple[str, Token]] = ()
    ) -> None:
        self.diagnostics = diagnostics
        self.kernel = kernel
        self.bpf = target == "bpf"
        self.missing_headers = list(missing_headers)
        self.unit = tree.Unit()
        self.scopes = [Scope()]
        self.function: tree.Function | None = None
        self.statics = 0
        self.broken: set[str] = set()
        self.expr = Expressions(self)
        self.init = Initializers(self)
        self.stmt = Statements(self)
        self._kernel_records: dict[tuple[str, str], Record] = {}
        self._templates: dict[str, list[Token]] = {}

    # --- messages

    def error(self, message: str, at: Any, *, notes: Iterable[Any] = (), code: str = "") -> None:
        first, last = _span(at)
        self.diagnostics.error(message, first, last, notes=list(notes), code=code)

    def warning(self, message: str, at: Any, *, notes: Iterable[Any] = (), code: str = "") -> None:
        first, last = _span(at)
        self.diagnostics.warning(message, first, last, notes=list(notes), code=code)

    # --- scopes

    def lookup(self, name: str) -> Symbol | None:
        for scope in reversed(self.scopes):
            found = scope.names.get(name)
            if found is not None:
                return found
        return self._outside(name)

    def _outside(self, name: str) -> Symbol | None:
        """Names that no text declares: helpers, the kernel's enumerators and typedefs. Found ones join the file scope."""
        found: Symbol | None = None
        builtin = ct.BUILTIN_TYPEDEFS.get(name)
        if builtin is not None:
            found = Typedef(builtin, None)
        elif self.bpf:
            if name.startswith("bpf_") and name[4:] in HELPERS:
                number, result, params = HELPERS[name[4:]]
                prototype = self.parse_type(f"{result} (*)({params})")
                assert isinstance(prototype, ct.PointerType)
                assert isinstance(prototype.to, ct.FunctionType)
                found = Helper(name[4:], number, prototype.to)
            else:
                constant = self.kernel.enumerator(name)
                if constant is not None:
                    found = Enumerator(constant[0], constant[1], None)
                else:
                    type = self.kernel.typedef(name)
                    if type is not None:
                        found = Typedef(type, None)
        if found is not None:
            self.scopes[0].names[name] = found
        return found

    def is_type(self, name: str) -> bool:
        """For the parser: is an undeclared name a type's?"""
        if name in ct.BUILTIN_TYPEDEFS:
            return True
        if not self.bpf or (name.startswith("bpf_") and name[4:] in HELPERS):
            return False
        return self.kernel.typedef(name) is not None

    def suggestion(self, name: str, kinds: tuple[type, ...] = ()) -> str:
        """ "; did you mean 'x'?" for the nearest visible name, or ""."""
        names = [n for scope in reversed(self.scopes) for n, s in scope.names.items() if not kinds or isinstance(s, kinds)]
        near = closest(name, names)
        if near is None and self.bpf and name.startswith("bpf_"):
            near = closest(name, [f"bpf_{n}" for n in HELPERS])
        return f"; did you mean '{near}'?" if near and near != name else ""

    def declare(self, name: str, symbol: Symbol, token: Token | None) -> None:
        scope = self.scopes[-1]
        old = scope.names.get(name)
        if old is not None and old is not symbol and token is not None:
            old_token = old.token if not isinstance(old, Helper) else None
            if old_token is not None and not self._may_redeclare(old, symbol):
                self.error(
                    f"'{name}' is declared twice with different meanings", token,
                    notes=[self.diagnostics.note("the earlier declaration", old_token)], code="redeclared",
                )  # fmt: skip
        scope.names[name] = symbol

    @staticmethod
    def _may_redeclare(old: Symbol, new: Symbol) -> bool:
        return isinstance(old, Typedef) and isinstance(new, Typedef) and ct.compatible(old.type, new.type)

    # --- parsing of the compiler's own C texts

    def template_tokens(self, text: str, name: str, call: Token) -> list[Token]:
        """The tokens of one of our own texts, placed at the call that uses it."""
        from skep.compiler.lexer import tokenize

        tokens = self._templates.get(text)
        if tokens is None:
            tokens = self._templates[text] = tokenize(SourceFile(f"<{name}>", text, system=True))
        expansion = Expansion(name, call)
        return [Token(t.kind, t.text, t.file, t.pos, t.space, False, None, expansion) for t in tokens]

    def template(self, text: str, name: str, call: Token) -> ast.Expr:
        parser = self._parser(self.template_tokens(text, name, call))
        for scope in self.scopes:
            parser.scopes.append({n: isinstance(s, Typedef) for n, s in scope.names.items()})
        parser.scopes.append({"KEY": True, "VALUE": True})
        return parser.expression()

    def _parser(self, tokens: list[Token]) -> Parser:
        return Parser(tokens, self.diagnostics, is_type=self.is_type, map_macros={})

    def parse_type(self, text: str) -> Type:
        """The type that a text in C names, such as "struct bpf_stacktrace" or "void *(*)(int)"."""
        from skep.compiler.lexer import tokenize

        return self.type_name(self._parser(tokenize(SourceFile("<types>", text, system=True))).type_name())

    # --- types

    def type_name(self, node: ast.TypeName) -> Type:
        return self.declared_type(self.specifier_type(node.specifiers), node.declarator)

    def specifier_type(self, specifiers: ast.Specifiers) -> Type:
        spec = specifiers.type
        match spec:
            case ast.WordsSpec():
                found = _WORDS.get(tuple(sorted("signed" if w.startswith("__signed") else w for w in spec.words)))
                if spec.words == ["__builtin_va_list"]:
                    found = ct.ArrayType(self.va_list_tag(), 1)
                if found is None:
                    self.error(f"'{' '.join(spec.words)}' is not a type", spec, code="type")
                    found = ct.INT
            case ast.TypedefSpec():
                symbol = self.lookup(spec.name)
                if isinstance(symbol, Typedef):
                    found = symbol.type if symbol.type.alias == spec.name else symbol.type.named(spec.name)
                else:  # the parser read a declaration of it that was wrong
                    self.error(f"'{spec.name}' is not a type here", spec, code="type")
                    found = ct.INT
            case ast.RecordSpec():
                found = RecordType(self.record(spec))
            case ast.EnumSpec():
                found = self.enum(spec)
            case ast.TypeofSpec():
                if isinstance(spec.argument, ast.TypeName):
                    found = self.type_name(spec.argument)
                else:
                    found = self.expr.unevaluated(spec.argument).type
            case _:
                raise AssertionError(spec)
        for attribute in specifiers.attributes:
            found = self._type_attribute(found, attribute)
        return found.with_quals(specifiers.quals)

    def _type_attribute(self, found: Type, attribute: ast.Attribute) -> Type:
        if attribute.name == "btf_type_tag" and attribute.args == ["user"]:
            return found.with_quals(ct.USER)
        if attribute.name == "mode" and attribute.args:
            sizes = {"QI": 1, "HI": 2, "SI": 4, "DI": 8, "TI": 16}
            size = sizes.get(str(attribute.args[0]).strip("_"))
            if size and isinstance(found, ct.IntType):
                return next(t for t in ct.BY_NAME.values() if t.size == size and t.signed == found.signed and t.rank)
        return found

    def va_list_tag(self) -> Type:
        record = self._kernel_records.get(("struct", "__va_list_tag"))
        if record is None:
            record = Record("struct", "__va_list_tag")
            pointer = ct.PointerType(ct.VOID)
            fields = (("gp_offset", ct.UINT), ("fp_offset", ct.UINT), ("overflow_arg_area", pointer), ("reg_save_area", pointer))
            record.define([Member(n, t) for n, t in fields])
            self._kernel_records["struct", "__va_list_tag"] = record
        return RecordType(record)

    def find_tag(self, tag: str) -> Record | ct.EnumDefinition | None:
        for scope in reversed(self.scopes):
            if tag in scope.tags:
                return scope.tags[tag]
        return None

    def record(self, spec: ast.RecordSpec) -> Record:
        if spec.members is None:
            found = self.find_tag(spec.tag)
            if isinstance(found, Record):
                if found.kind != spec.kind:
                    self.error(f"'{spec.tag}' is a {found.kind}, not a {spec.kind}", spec, code="tag")
                return found
            outside = self.outside_record(spec)
            if outside is not None:
                self.scopes[0].tags[spec.tag] = outside
                return outside
            record = Record(spec.kind, spec.tag, spec.first)
            self.scopes[-1].tags[spec.tag] = record
            return record
        existing = self.scopes[-1].tags.get(spec.tag) if spec.tag else None
        if isinstance(existing, Record) and existing.defined and not existing.from_kernel and existing.token is not None:
            self.error(
                f"'{spec.kind} {spec.tag}' is defined twice", spec.first,
                notes=[self.diagnostics.note("the first definition", existing.token)], code="redefined",
            )  # fmt: skip
        record = existing if isinstance(existing, Record) and not existing.defined else Record(spec.kind, spec.tag)
        record.token = spec.first
        if spec.tag:
            self.scopes[-1].tags[spec.tag] = record
        members: list[Member] = []
        for field in spec.members:
            members += self._members(field)
        self._check_members(members)
        packed, align = False, 0
        for attribute in spec.attributes:
            packed |= attribute.name == "packed"
            if attribute.name == "aligned":
                align = max(align, self._alignment(attribute.args[0] if attribute.args else None, attribute))
        record.define(members, packed=packed, align=align)
        return record

    def outside_record(self, spec: ast.RecordSpec) -> Record | None:
        if not self.bpf:
            return None
        if spec.tag.startswith("tracepoint__") and spec.kind == "struct":
            found = self._tracepoint_record(spec)
            if found is not None:
                return found
        members = dialect.RECORDS.get(spec.tag)
        return self.kernel.record(spec.kind, spec.tag) if members is None else self._record_of(spec, members)

    def _record_of(self, spec: ast.RecordSpec, members: str) -> Record:
        """A record that Skep knows by its members' declarations; it belongs to the whole text."""
        tokens = self.template_tokens(f"struct {spec.tag} {{ {members} }}", spec.tag, spec.first)
        scopes, self.scopes = self.scopes, self.scopes[:1]
        record = self.record(self._parser(tokens).struct_or_union_specifier())
        self.scopes = scopes
        record.from_kernel = True
        return record

    def _tracepoint_record(self, spec: ast.RecordSpec) -> Record | None:
        """`struct tracepoint__category__event`, made of the event's format as BCC does."""
        _, category, event = spec.tag.split("__", 2) if spec.tag.count("__") >= 2 else ("", "", "")
        if not category or self.kernel.tracepoint_fields is None:
            return None
        fields = self.kernel.tracepoint_fields(category, event)
        if fields is None:
            self.error(f"this kernel has no tracepoint '{category}:{event}'", spec, code="tracepoint")
            return None
        record = self._record_of(spec, fields)
        if category == "syscalls":  # pointers among a system call's arguments are the process's own
            for m in record.members:
                if isinstance(m.type, ct.PointerType):
                    m.type = ct.PointerType(m.type.to.with_quals(ct.USER))
        return record

    def _members(self, field: ast.FieldDeclaration) -> list[Member]:
        if field.check is not None:
            self.static_assert(field.check)
            return []
        base = self.specifier_type(field.specifiers)
        if not field.declarators:
            if isinstance(base, RecordType):
                return [Member("", base, token=field.first)]
            self.warning("this declares no member", field, code="empty-declaration")
            return []
        members = []
        for declarator, width in field.declarators:
            type = self.declared_type(base, declarator)
            member = Member(declarator.name.text if declarator.name else "", type, token=declarator.name or field.first)
            if isinstance(type, ct.FunctionType):
                self.error("a member cannot be a function; a pointer to one can", declarator, code="member")
                continue
            if width is not None:
                bits = self.constant(width, "a bit-field's width")
                if not ct.is_integer(type):
                    self.error(f"a bit-field needs an integer type, not '{type}'", declarator, code="bit-field")
                    continue
                limit = 1 if ct.integer(type).rank == ct.BOOL_RANK else type.size * 8
                if not 0 <= bits <= limit or (bits == 0 and member.name):
                    self.error(f"a bit-field of '{type}' can have 1 to {limit} bits, not {bits}", width, code="bit-field")
                    continue
                member.bits = bits
            for attribute in (*declarator.attributes, *field.specifiers.attributes):
                member.packed |= attribute.name == "packed"
                if attribute.name == "aligned":
                    member.align = max(member.align, self._alignment(attribute.args[0] if attribute.args else None, attribute))
            for align in field.specifiers.align:
                member.align = max(member.align, self._alignment(align, field))
            if not type.complete and not (isinstance(type, ct.ArrayType) and type.of.complete):
                self.incomplete(type, f"member '{member.name}'", declarator)
                continue
            members.append(member)
        return members

    def _check_members(self, members: list[Member]) -> None:
        seen: dict[str, Member] = {}
        for m in members:
            names = [m.name] if m.name else (m.type.record.names() if isinstance(m.type, RecordType) else [])
            for name in names:
                if name in seen:
                    note = self.diagnostics.note("the first one", seen[name].token)
                    self.error(f"two members are named '{name}'", m.token, notes=[note], code="redeclared")
                seen[name] = m

    def _alignment(self, argument: Any, at: Any) -> int:
        if argument is None:
            return 16
        if isinstance(argument, ast.TypeName):
            return self.type_name(argument).align
        if isinstance(argument, str):  # the parser leaves names in attributes as they are
            argument = ast.Name(at.first, at.last, argument)
        value = self.constant(argument, "an alignment")
        if value & (value - 1) or not 0 <= value <= _MAX_ALIGNMENT:
            self.error(f"an alignment is a power of two up to {_MAX_ALIGNMENT}, not {value}", at, code="align")
            return 0
        return value

    def enum(self, spec: ast.EnumSpec) -> ct.EnumType:
        if spec.enumerators is None:
            found = self.find_tag(spec.tag)
            if isinstance(found, ct.EnumDefinition):
                return ct.EnumType(found)
            outside = self.kernel.enum(spec.tag) if self.bpf else None
            if outside is not None:
                return outside
            definition = ct.EnumDefinition(spec.tag, ct.UINT)
            self.scopes[-1].tags[spec.tag] = definition
            return ct.EnumType(definition)
        definition = ct.EnumDefinition(spec.tag, ct.UINT)
        value = 0
        values: list[tuple[Token, int]] = []
        for name, expr in spec.enumerators:
            if expr is not None:
                value = self.constant(expr, "an enumerator's value")
            definition.enumerators.append((name.text, value))
            fits = ct.INT if -(1 << 31) <= value < 1 << 31 else (ct.UINT if 0 <= value < 1 << 32 else ct.LONG)
            self.declare(name.text, Enumerator(value, fits, name), name)
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
            self.scopes[-1].tags[spec.tag] = definition
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
                found = ct.ArrayType(found, self._array_count(part))
            else:
                found = self._function_type(found, part)
        for attribute in declarator.attributes:
            found = self._type_attribute(found, attribute)
        return found

    def _array_count(self, part: ast.ArrayPart) -> int | None:
        if part.count is None:
            return None
        node = self.expr.value(part.count)
        count = tree.const_int(node)
        if count is None:
            if self.function is not None:
                self.error(
                    "the size of this array is not a constant, and BPF's stack is fixed at load; give a constant size"
                    if self.bpf else "variable length arrays are not supported; give a constant size",
                    part.count, code="vla",
                )  # fmt: skip
            else:
                self.error("the size of an array must be a constant", part.count, code="constant")
            return 1
        if count < 0:
            self.error(f"the size of an array cannot be negative ({count})", part.count, code="array-size")
            return 1
        return count

    def _function_type(self, returns: Type, part: ast.FunctionPart) -> ct.FunctionType:
        if isinstance(returns, ct.FunctionType | ct.ArrayType):
            self.error(f"a function cannot return '{returns}'", part, code="function-type")
            returns = ct.INT
        params = []
        self.scopes.append(Scope())
        for parameter in part.params:
            type = self.declared_type(self.specifier_type(parameter.specifiers), parameter.declarator)
            name = parameter.declarator.name
            params.append((name.text if name else "", ct.decay(type)))
        self.scopes.pop()
        params += [(name.text, ct.INT) for name in part.names]
        prototyped = bool(part.params) or part.void or part.variadic
        return ct.FunctionType(returns, tuple(params), part.variadic, prototyped)

    def incomplete(self, type: Type, what: str, at: Any) -> None:
        """Report that a complete type is needed."""
        text = f"{what} needs a complete type, and '{type}' is not"
        notes = []
        if isinstance(type, RecordType):
            text = f"'{type}' is not defined" + self._why_unknown(type.record.tag)
            if type.record.token is not None:
                notes = [self.diagnostics.note("it is only named here", type.record.token)]
        self.error(text, at, notes=notes, code="incomplete")

    def _why_unknown(self, tag: str) -> str:
        if not self.bpf:
            return ""
        if self.kernel.missing:
            return f": {self.kernel.missing}"
        near = closest(tag, [*self.scopes[0].tags, *self.kernel.names("struct")])
        return f", neither in this text nor in the kernel's BTF{f'; did you mean {near!r}?' if near else ''}"

    def constant(self, expr: ast.Expr, what: str) -> int:
        """The value of an integer constant expression; reports and gives 0 where it is none."""
        errors = self.diagnostics.errors
        value = tree.const_int(self.expr.value(expr))
        if value is None:
            if self.diagnostics.errors == errors:
                self.error(f"{what} must be an integer constant", expr, code="constant")
            return 0
        return value

    def static_assert(self, node: ast.StaticAssert) -> None:
        value = tree.const_int(self.expr.value(node.condition))
        if value is None:
            self.error("_Static_assert needs an integer constant expression", node.condition, code="constant")
        elif not value:
            self.error(
                "static assertion failed" + (f": {node.message}" if node.message else ""), node.condition, code="static-assert"
            )

    # --- declarations

    def unit_items(self, items: list[ast.Node]) -> None:
        for item in items:
            match item:
                case ast.FunctionDefinition():
                    self.function_definition(item)
                case ast.Declaration():
                    self.file_declaration(item)
                case ast.MapDeclaration():
                    self.map_declaration(item)
                case ast.StaticAssert():
                    self.static_assert(item)
                case ast.FileAsm():
                    self.error("assembly outside a function is not supported", item, code="asm")

    def file_declaration(self, item: ast.Declaration) -> None:
        base = self.specifier_type(item.specifiers)
        for d in item.declarators:
            type = self.declared_type(base, d.declarator)
            token = d.declarator.name
            assert token is not None
            attributes = self.attributes(item.specifiers, d.declarator)
            if item.specifiers.storage == "typedef":
                self.declare(token.text, Typedef(type.named(token.text, attributes.get("aligned", 0)), token), token)
            elif isinstance(type, ct.FunctionType):
                self.declare_function(token, type, item.specifiers, attributes)
            else:
                self.global_variable(token, type, item.specifiers, attributes, d.init)

    def attributes(self, *sources: ast.Specifiers | ast.Declarator) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for source in sources:
            for attribute in source.attributes:
                name = attribute.name
                if name in ("section", "btf_decl_tag") and attribute.args:
                    found[name] = attribute.args[0]
                elif name == "aligned":
                    found["aligned"] = self._alignment(attribute.args[0] if attribute.args else None, attribute)
                elif name in ("always_inline", "noinline", "weak", "packed", "btf_type_tag", "used", "unused"):
                    found[name] = True
                elif name in _UNSUPPORTED_ATTRIBUTES:
                    self.error(f"attribute '{name}' is not supported", attribute, code="attribute")
                elif name not in _IGNORED_ATTRIBUTES:
                    self.warning(f"attribute '{name}' is not known here and changes nothing", attribute, code="attribute")
        return found

    def declare_function(
        self, token: Token, type: ct.FunctionType, specifiers: ast.Specifiers, attributes: dict[str, Any]
    ) -> tree.Function:
        symbol = self.scopes[0].names.get(token.text)
        if isinstance(symbol, tree.Function):
            function = symbol
            if not ct.compatible(function.type, type):
                self.error(
                    f"'{token.text}' is declared as '{type}', but before as '{function.type}'", token,
                    notes=[self.diagnostics.note("the earlier declaration", function.token)], code="redeclared",
                )  # fmt: skip
            if type.prototyped or not function.type.prototyped:
                function.type = type
        else:
            function = tree.Function(token.text, type, token)
            if len(self.scopes) == 1:
                self.declare(token.text, function, token)
            else:
                self.scopes[-1].names[token.text] = function
            self.unit.functions.setdefault(token.text, function)
        if specifiers.storage == "static" or attributes.get("internal_linkage"):
            function.linkage = "static"
        if "inline" in specifiers.flags and specifiers.storage != "extern" and function.linkage == "extern" and self.bpf:
            function.linkage = "static"
        if "always_inline" in specifiers.flags or attributes.get("always_inline"):
            function.inlining = "always"
        if "noinline" in specifiers.flags or attributes.get("noinline"):
            function.inlining = "never"
        function.section = attributes.get("section", function.section)
        function.attributes |= attributes
        return function

    def global_variable(
        self, token: Token, type: Type, specifiers: ast.Specifiers, attributes: dict[str, Any], init: ast.Expr | None
    ) -> None:
        symbol = self.scopes[0].names.get(token.text)
        if isinstance(symbol, tree.Variable):
            var = symbol
            if not ct.compatible(var.type, type, ignore_quals=True):
                self.error(
                    f"'{token.text}' is declared as '{type}', but before as '{var.type}'", token,
                    notes=[self.diagnostics.note("the earlier declaration", var.token)], code="redeclared",
                )  # fmt: skip
            elif type.complete:
                var.type = type
        else:
            var = tree.Variable(token.text, type, "global", token)
            self.declare(token.text, var, token)
            self.unit.globals.append(var)
            var.linkage = "extern" if specifiers.storage == "extern" else specifiers.storage or "public"
        if specifiers.storage != "extern" and var.linkage == "extern":
            var.linkage = "public"
        var.section = attributes.get("section", var.section)
        var.attributes |= attributes
        for align in specifiers.align:
            var.attributes["aligned"] = self._alignment(align, specifiers)
        if isinstance(type, ct.VoidType):
            self.error(f"'{token.text}' cannot have type 'void'", token, code="void")
            return
        if init is not None:
            if var.init is not None:
                note = self.diagnostics.note("the first one", var.token)
                self.error(f"'{token.text}' has two initialisers", token, notes=[note], code="redefined")
            var.init = self.init.of(init, var, constant=True)
            var.linkage = "public" if var.linkage == "extern" else var.linkage
            if token.text == "_license" or var.section == "license":
                self._take_license(var)
        elif specifiers.storage != "extern":
            var.tentative = True

    def _take_license(self, var: tree.Variable) -> None:
        for _, _, _, node in var.init.items if var.init else ():
            if isinstance(node, tree.StringData):
                self.unit.license = node.data.rstrip(b"\0").decode("utf-8", "replace")

    def function_definition(self, item: ast.FunctionDefinition) -> None:
        type = self.declared_type(self.specifier_type(item.specifiers), item.declarator)
        assert isinstance(type, ct.FunctionType)
        part = item.declarator.parts[-1]
        token = item.declarator.name
        assert isinstance(part, ast.FunctionPart)
        assert token is not None
        if part.names:
            type = self._old_style(item, part, type)
        function = self.declare_function(token, type, item.specifiers, self.attributes(item.specifiers, item.declarator))
        if function.defined_at is not None:
            self.error(
                f"function '{token.text}' is defined twice", token,
                notes=[self.diagnostics.note("the first definition", function.defined_at)], code="redefined",
            )  # fmt: skip
            return
        function.defined_at = token
        function.type = type
        if not type.returns.complete and not isinstance(type.returns, ct.VoidType):
            self.incomplete(type.returns, f"the result of '{token.text}'", token)
        self.function = function
        self.scopes.append(Scope())
        names = [p.declarator.name for p in part.params] if part.params else part.names
        for name, (_, param_type) in zip(names, type.params, strict=True):
            place = name or token
            if not param_type.complete:
                self.incomplete(param_type, f"parameter '{place.text}'", place)
                param_type = ct.INT
            var = tree.Variable(name.text if name else "", param_type, "param", place)
            function.params.append(var)
            if name:
                self.declare(name.text, var, name)
            elif self.bpf and function.linkage != "static":
                self.error("a program's parameters need names", token, code="syntax")
        function.body = self.stmt.function_body(item.body)
        self.scopes.pop()
        self.function = None

    def _old_style(self, item: ast.FunctionDefinition, part: ast.FunctionPart, type: ct.FunctionType) -> ct.FunctionType:
        declared: dict[str, Type] = {}
        for declaration in item.old_style:
            base = self.specifier_type(declaration.specifiers)
            for d in declaration.declarators:
                if d.declarator.name:
                    declared[d.declarator.name.text] = ct.decay(self.declared_type(base, d.declarator))
        params = tuple((name.text, declared.get(name.text, ct.INT)) for name in part.names)
        return ct.FunctionType(type.returns, params, False, prototyped=False)

    # --- maps

    def map_declaration(self, item: ast.MapDeclaration) -> None:
        kind, _, fixed_key, fixed_value, flags = dialect.MAP_MACROS[item.macro]
        args = item.args
        token: Token = args["name"]
        key = self._map_type(args, "key", fixed_key, ct.BUILTIN_TYPEDEFS.get(dialect.DEFAULT_KEY.get(item.macro, "u64"), ct.INT))
        value = self._map_type(args, "leaf", fixed_value, ct.BUILTIN_TYPEDEFS["u64"])
        size_at = args.get("size") or args.get("pages")
        size = dialect.DEFAULT_SIZE.get(kind, 10240) if size_at is None else self.constant(size_at, "the size of a map")
        if not kind:
            kind = self._table_kind(args["type"])
        if kind == "histogram":
            plain = isinstance(key, ct.IntType) and key.name == "int" and (args.get("key") is None or not key.alias)
            if "key" not in args:
                key, plain = ct.INT, True
            kind = "array" if plain else "hash"
        if kind == "ringbuf":
            size *= 4096
        elif kind == "perf_event_array" and "size" not in args:
            size = 0  # one slot per possible CPU, known when the map is made
        elif kind in dialect.STORAGES:
            size = 0
        elif kind == "stack_trace":
            size = 1 << max(size - 1, 0).bit_length()
        if kind in dialect.KEYLESS:
            key = None
        if kind in dialect.VALUELESS:
            value = None
        if "flags" in args:
            flags |= self.constant(args["flags"], "the flags of a map")
        for what, type in (("key", key), ("value", value)):
            if type is not None and (not type.complete or not type.size):
                self.incomplete(
                    type, f"the {what} of map '{token.text}'", args.get("leaf" if what == "value" else "key") or token
                )
                return
        if size < 0 or (size == 0 and kind != "perf_event_array" and kind not in dialect.STORAGES):
            self.error(f"map '{token.text}' needs room for at least one entry", size_at, code="map-size")
            return
        info = tree.MapInfo(token.text, kind, key, value, size, token, flags)
        if "path" in args:
            info.pin_path = self.expr.string_bytes(args["path"])[:-1].decode()
        if "inner" in args:
            info.inner = self._inner_map(args["inner"])
        self.declare(token.text, info, token)
        self.unit.maps[token.text] = info

    def _inner_map(self, node: ast.String) -> tree.MapInfo | None:
        """The map of this text that says what a map of maps holds."""
        name = self.expr.string_bytes(node)[:-1].decode("utf-8", "replace")
        found = self.unit.maps.get(name)
        if found is None:
            near = closest(name, self.unit.maps)
            self.error(
                f"no map is named '{name}'{f'; did you mean {near!r}?' if near else ''}; "
                "a map of maps names one that is declared before it and that its entries are like", node, code="map-inner",
            )  # fmt: skip
        elif found.inner is not None:
            self.error(f"'{name}' is a map of maps itself; the kernel nests them only once", node, code="map-inner")
        return found

    def _map_type(self, args: dict[str, Any], name: str, fixed: str, default: Type) -> Type | None:
        if fixed == "-":
            return None
        if fixed:
            return self.parse_type(fixed)
        if name not in args:
            return default
        return self.type_name(args[name]).unqualified()

    def _table_kind(self, node: ast.String) -> str:
        text = self.expr.string_bytes(node)[:-1].decode("utf-8", "replace")
        kind = dialect.TABLE_TYPES.get(text, text)
        if kind not in dialect.MAP_TYPES and kind != "histogram":
            names = [*dialect.TABLE_TYPES, *dialect.MAP_TYPES]
            near = closest(text, names)
            self.error(f"no map type is named '{text}'" + (f"; did you mean '{near}'?" if near else ""), node, code="map-type")
            return "hash"
        return kind


def _span(at: Any) -> tuple[Token, Token]:
    if isinstance(at, Token):
        return at, at
    if isinstance(at, tree.Node):
        return at.token, at.last
    if isinstance(at, tree.Statement):
        return at.token, at.token
    return at.first, at.last


def check(
    tokens: list[Token],
    diagnostics: Diagnostics,
    kernel: KernelTypes,
    *,
    target: str = "bpf",
    missing_headers: Iterable[tuple[str, Token]] = (),
) -> tree.Unit:
    """Parse and check one text's tokens; raises CompileError if there are errors."""
    checker = Checker(diagnostics, kernel, target=target, missing_headers=missing_headers)
    macros = {name: row[1] for name, row in dialect.MAP_MACROS.items()} if checker.bpf else {}
    parser = Parser(tokens, diagnostics, is_type=checker.is_type, map_macros=macros)
    items = parser.translation_unit()
    checker.broken = parser.broken
    checker.unit_items(items)
    diagnostics.raise_if_errors()
    return checker.unit
