"""Syntax tree to checked tree: names, types, conversions, constants, the dialect's maps. Entry: `check(...)`.

This file holds the state, scopes and declarations; types, expressions, initialisers, statements and maps have their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skep.compiler import ast, dialect, tree
from skep.compiler import types as ct
from skep.compiler.declared_types import DeclaredTypes
from skep.compiler.diagnostics import NO_FLOATING_POINT, Diagnostics, closest
from skep.compiler.expressions import Expressions
from skep.compiler.flow import warn_of_flow
from skep.compiler.helpers import HELPER_NAMES, HELPERS, KFUNCS
from skep.compiler.initializers import Initializers
from skep.compiler.kernel_types import KernelTypes
from skep.compiler.libbpf import ENUMERATORS
from skep.compiler.map_declarations import MapDeclarations
from skep.compiler.parser import translation_unit
from skep.compiler.parser_declarations import type_name
from skep.compiler.parser_expressions import expression
from skep.compiler.parser_tokens import TokenReader
from skep.compiler.pp_files import header_that_has
from skep.compiler.programs import KSYMS
from skep.compiler.source import Expansion, SourceFile, Token
from skep.compiler.statements import Statements
from skep.compiler.symbols import Enumerator, Helper, Scope, Symbol, Typedef
from skep.compiler.types import Type

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
    ["alias", "constructor", "destructor", "ifunc", "vector_size", "address_space", "scalar_storage_order"]
)


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
        self.types = DeclaredTypes(self)
        self.maps = MapDeclarations(self)
        self._templates: dict[str, list[Token]] = {}

    # --- messages

    def error(self, message: str, at: Any, *, notes: Iterable[Any] = (), code: str = "") -> None:
        first, last = _span(at)
        self.diagnostics.error(message, first, last, notes=list(notes), code=code)

    def warning(self, message: str, at: Any, *, notes: Iterable[Any] = (), code: str = "") -> None:
        first, last = _span(at)
        self.diagnostics.warning(message, first, last, notes=list(notes), code=code)

    def no_floating_point(self, at: Any) -> None:
        self.error(NO_FLOATING_POINT, at, code="float")

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
            elif name in KFUNCS:
                found = self._kernel_function(name)
            elif name in ENUMERATORS:
                found = Enumerator(ENUMERATORS[name], ct.UINT, None)
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

    def thread_local(self, var: tree.Variable, specifiers: ast.Specifiers) -> None:
        """`__thread`: hosts only."""
        if "thread" not in specifiers.flags:
            return
        if self.bpf:
            self.error(
                f"BPF has no thread-local variables: keep '{var.name}' in a map by the thread's number, or in a BPF_TASK_STORAGE",
                var.token, code="thread",
            )  # fmt: skip
        elif var.storage == "local":
            self.error(
                f"'{var.name}' is a thread's own: it has to be static, extern or outside functions", var.token, code="thread"
            )
        var.attributes["thread"] = True

    def _kernel_function(self, name: str) -> tree.Function:
        result, params = KFUNCS[name]
        prototype = self.parse_type(f"{result} (*)({params})")
        assert isinstance(prototype, ct.PointerType)
        assert isinstance(prototype.to, ct.FunctionType)
        function = tree.Function(name, prototype.to, Token("id", name, SourceFile("<kfuncs>", name, system=True), 0))
        function.section = KSYMS
        return function

    def is_type(self, name: str) -> bool:
        """For the parser: is an undeclared name a type's?"""
        if name in ct.BUILTIN_TYPEDEFS:
            return True
        if not self.bpf or (name.startswith("bpf_") and name[4:] in HELPERS):
            return False
        return self.kernel.typedef(name) is not None

    def suggestion(self, name: str, kinds: tuple[type, ...] = ()) -> str:
        """ "; did you mean 'x'?" for the nearest visible name, or ""; where a header of Skep's has the name itself, that."""
        header = header_that_has(name) if self.bpf else ""
        if header:
            return f"; <{header}> has it: #include that"
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
        reader = self.reader(self.template_tokens(text, name, call))
        for scope in self.scopes:
            reader.scopes.append({n: isinstance(s, Typedef) for n, s in scope.names.items()})
        reader.scopes.append({"KEY": True, "VALUE": True})
        return expression(reader)

    def reader(self, tokens: list[Token]) -> TokenReader:
        return TokenReader(tokens, self.diagnostics, is_type=self.is_type, map_macros={})

    def parse_type(self, text: str) -> Type:
        """The type that a text in C names, such as "struct bpf_stacktrace" or "void *(*)(int)"."""
        from skep.compiler.lexer import tokenize

        return self.types.type_name(type_name(self.reader(tokenize(SourceFile("<types>", text, system=True)))))

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
                    self.maps.declaration(item)
                case ast.StaticAssert():
                    self.static_assert(item)
                case ast.FileAsm():
                    self.error("assembly outside a function is not supported", item, code="asm")

    def file_declaration(self, item: ast.Declaration) -> None:
        base = self.types.specifier_type(item.specifiers)
        for d in item.declarators:
            type = self.types.declared_type(base, d.declarator)
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
                if name in ("section", "btf_decl_tag", "skep_arguments", "cleanup", "visibility") and attribute.args:
                    if isinstance(attribute.args[0], str):
                        found[name] = attribute.args[0]
                    else:
                        self.error(f"attribute '{name}' takes a text", attribute, code="attribute")
                elif name == "aligned":
                    found["aligned"] = self.types.alignment(attribute.args[0] if attribute.args else None, attribute)
                elif name in ("always_inline", "noinline", "weak", "packed", "btf_type_tag", "used", "unused", "naked"):
                    found[name] = True
                elif name in _UNSUPPORTED_ATTRIBUTES:
                    self.error(f"attribute '{name}' is not supported", attribute, code="attribute")
                elif name not in _IGNORED_ATTRIBUTES:
                    self.warning(f"attribute '{name}' is not known here and changes nothing", attribute, code="attribute")
        return found

    def declare_function(
        self, token: Token, type: ct.FunctionType, specifiers: ast.Specifiers, attributes: dict[str, Any]
    ) -> tree.Function:
        outside = self.scopes[0].names.get(token.text)
        symbol = self.unit.functions.get(token.text) if outside is None else outside  # declared in a block before
        if isinstance(symbol, tree.Function):
            function = symbol
            if outside is None:
                self.scopes[-1].names[token.text] = function
            if not ct.compatible(function.type, type):
                self.error(
                    f"'{token.text}' is declared as '{type}', but before as '{function.type}'", token,
                    notes=[self.diagnostics.note("the earlier declaration", function.token)], code="redeclared",
                )  # fmt: skip
            if type.prototyped or not function.type.prototyped:
                function.type = type
            if specifiers.storage == "static":
                self._static_after(function)
        else:
            function = tree.Function(token.text, type, token)
            if len(self.scopes) == 1:
                self.declare(token.text, function, token)
            else:
                self.scopes[-1].names[token.text] = function
            self.unit.functions.setdefault(token.text, function)
        if specifiers.storage == "static" or attributes.get("internal_linkage") or attributes.get("visibility") == "hidden":
            function.linkage = "static"
        if "inline" in specifiers.flags and specifiers.storage != "extern" and function.linkage == "extern" and self.bpf:
            function.linkage = "static"
        if "always_inline" in specifiers.flags or attributes.get("always_inline"):
            function.inlining = "always"
        if "noinline" in specifiers.flags or attributes.get("noinline"):
            function.inlining = "never"
        if attributes.get("naked") and function.linkage == "static":
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
            if specifiers.storage == "static":
                self._static_after(var)
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
            var.attributes["aligned"] = self.types.alignment(align, specifiers)
        self.thread_local(var, specifiers)
        outside = self.bpf and var.section == KSYMS and specifiers.storage == "extern"
        if isinstance(type, ct.VoidType) and not outside:
            self.error(f"'{token.text}' cannot have type 'void'", token, code="void")
            return
        if init is not None:
            if var.init is not None:
                note = self.diagnostics.note("the first one", var.token)
                self.error(f"'{token.text}' has two initialisers", token, notes=[note], code="redefined")
            var.init = self.init.of(init, var, constant=True)
            var.linkage = "public" if var.linkage == "extern" else var.linkage
            number = self._helper_number(var) if self.bpf and var.linkage == "static" and symbol is None else 0
            if number:
                assert isinstance(type, ct.PointerType)
                assert isinstance(type.to, ct.FunctionType)
                self.unit.globals.remove(var)
                self.scopes[0].names[token.text] = Helper(HELPER_NAMES.get(number, token.text), number, type.to)
            elif token.text == "_license" or var.section == "license":
                self._take_license(var)
        elif specifiers.storage != "extern":
            var.tentative = True
        elif self.bpf and var.section == ".kconfig":
            self._kernel_setting(var, token)
        if self.bpf and var.section == ".maps" and specifiers.storage != "extern":
            from skep.compiler.map_definitions import check_map

            check_map(self, var)

    @staticmethod
    def _helper_number(var: tree.Variable) -> int:
        """`static long (*bpf_x)(...) = (void *)N`, as the headers of other libraries declare helpers."""
        if not (isinstance(var.type, ct.PointerType) and isinstance(var.type.to, ct.FunctionType) and var.init is not None):
            return 0
        value = var.init.items[0][3] if var.init.items else None
        while isinstance(value, tree.Convert):
            value = value.operand
        return (tree.const_int(value) or 0) if value is not None else 0

    def _static_after(self, earlier: tree.Function | tree.Variable) -> None:
        if earlier.linkage != "static" and earlier.section != KSYMS:
            message = f"'{earlier.name}' is static here, but not where it is declared first"
            self.error(message, earlier.token, code="redeclared")

    def _kernel_setting(self, var: tree.Variable, token: Token) -> None:
        """A __kconfig variable is a constant here: the object is for this kernel."""
        from skep.compiler.kconfig import initial

        try:
            var.init = initial(var, token)
        except ValueError as error:
            self.error(str(error), token, code="kconfig")
        var.linkage, var.section = "static", ""
        var.type = var.type.with_quals(var.type.quals & ~ct.VOLATILE | ct.CONST)

    def _take_license(self, var: tree.Variable) -> None:
        for _, _, _, node in var.init.items if var.init else ():
            if isinstance(node, tree.StringData):
                self.unit.license = node.data.rstrip(b"\0").decode("utf-8", "replace")

    def function_definition(self, item: ast.FunctionDefinition) -> None:
        type = self.types.declared_type(self.types.specifier_type(item.specifiers), item.declarator)
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
            self.types.incomplete(type.returns, f"the result of '{token.text}'", token)
        if self.bpf and isinstance(type.returns, ct.FloatType):
            self.no_floating_point(token)
        self.function = function
        self.scopes.append(Scope())
        names = [p.declarator.name for p in part.params] if part.params else part.names
        given = [self.attributes(p.specifiers, p.declarator) for p in part.params or ()] or [{} for _ in names]
        for name, (_, param_type), attributes in zip(names, type.params, given, strict=True):
            place = name or token
            if not param_type.complete:
                self.types.incomplete(param_type, f"parameter '{place.text}'", place)
                param_type = ct.INT
            elif self.bpf and isinstance(param_type, ct.FloatType):
                self.no_floating_point(place)
                param_type = ct.INT
            var = tree.Variable(name.text if name else "", param_type, "param", place)
            var.attributes = attributes
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
        for name in part.names:
            if not any(d.declarator.name and d.declarator.name.text == name.text for o in item.old_style for d in o.declarators):
                message = f"parameter '{name.text}' has no type; C89 would take int, write the type"
                self.diagnostics.strict("implicit-int", message, name)
        for declaration in item.old_style:
            base = self.types.specifier_type(declaration.specifiers)
            for d in declaration.declarators:
                if d.declarator.name:
                    declared[d.declarator.name.text] = ct.decay(self.types.declared_type(base, d.declarator))
        params = tuple((name.text, declared.get(name.text, ct.INT)) for name in part.names)
        return ct.FunctionType(type.returns, params, False, prototyped=False)


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
    reader = TokenReader(tokens, diagnostics, is_type=checker.is_type, map_macros=macros)
    items = translation_unit(reader)
    checker.broken = reader.broken
    checker.unit_items(items)
    for var in checker.unit.globals:
        if var.tentative and isinstance(var.type, ct.RecordType) and not var.type.complete:
            checker.types.incomplete(var.type, f"variable '{var.name}'", var.token)
    diagnostics.raise_if_errors()
    for function in checker.unit.functions.values():
        warn_of_flow(function, diagnostics)
    return checker.unit
