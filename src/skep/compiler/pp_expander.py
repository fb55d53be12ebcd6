"""Macro calls: finds a call's arguments, in tokens to scan again or in the file, and expands what stands alone.

As GCC and clang do, a macro is off while its replacement is being scanned; names met then are marked for good.
"""

from __future__ import annotations

from skep.compiler.lexer import tokenize
from skep.compiler.pp_macros import Argument, Macro, parse_definition, replacement
from skep.compiler.source import SourceFile, Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.compiler.diagnostics import Diagnostic, Diagnostics

_ARGUMENT_DEPTH = 100  # each level takes six frames of Python's stack
_TOKEN_LIMIT = 1_000_000  # a dozen macros that double their text would fill the memory


class Expander:
    """The macros and the tokens to scan again. `next_token` and `opens_in_file` read on in the file.

    `condition` is set while an #if is being expanded: it evaluates `defined` and the like. `collecting` is the macro
    whose arguments are being read.
    """

    __slots__ = (
        "_depth",
        "_made",
        "_next_token",
        "_opens_in_file",
        "collecting",
        "condition",
        "diagnostics",
        "macros",
        "pending",
    )

    def __init__(
        self,
        diagnostics: Diagnostics,
        macros: dict[str, Macro | str],
        next_token: Callable[[], Token],
        opens_in_file: Callable[[], bool],
    ) -> None:
        self.diagnostics = diagnostics
        # the text of a built-in macro is lexed when it is first used: there are hundreds
        self.macros = macros
        # the next one last; a Macro stands where its replacement ends
        self.pending: list[Token | Macro] = []
        self.collecting: Token | None = None
        self.condition: Callable[[Token, list[Token | Macro]], Token] | None = None
        self._next_token = next_token
        self._opens_in_file = opens_in_file
        self._depth = 0
        self._made = 0

    def call(self, token: Token, macro: Macro | str, pending: list[Token | Macro], from_file: bool) -> bool:
        """Expands a macro's name onto `pending`; false if it stays as it is. `from_file`: go on in the file if need be."""
        if isinstance(macro, str):
            macro = self._lex(token.text, macro)
        if macro.active or token.hide:
            # C11 6.10.3.4p2: a name met inside its own macro's replacement is never expanded again, wherever it goes
            token.hide = True
            return False
        if macro.dynamic is not None:
            if macro.name == "_Pragma" and not from_file:
                return False
            made = macro.dynamic(token)
            if made is not None:
                pending.append(made)
            return True
        arguments: list[Argument] = []
        if macro.params is not None:
            if not self.opens_arguments(pending, from_file):
                return False
            collected = self._collect(token, macro, pending, from_file)
            if collected is None:
                return True
            arguments = collected
        tokens = replacement(macro, token, arguments, self.diagnostics)
        self._made += len(tokens)
        if self._made > _TOKEN_LIMIT:
            self.diagnostics.error(f"macros expand to more than {_TOKEN_LIMIT:,} tokens", token, code="macro-limit")
            self.diagnostics.raise_if_errors()
        macro.active = True
        pending.append(macro)
        pending += reversed(tokens)
        return True

    def opens_arguments(self, pending: list[Token | Macro], from_file: bool) -> bool:
        """Whether the next token is '('; it is taken then."""
        token = peek(pending)
        if token is not None:
            if token.text == "(":
                pending.pop()
            return token.text == "("
        return from_file and self._opens_in_file()

    def _collect(self, name: Token, macro: Macro, pending: list[Token | Macro], from_file: bool) -> list[Argument] | None:
        """The arguments of a call up to its ')'; None, with an error reported, if there is no ')'."""
        params = macro.params or ()
        rest = len(params) - 1 if macro.variadic else -1
        groups: list[list[Token]] = [[]]
        depth = 0
        outer, self.collecting = self.collecting, name
        while True:
            if pending:
                popped = pending.pop()
                if isinstance(popped, Macro):
                    popped.active = False
                    continue
                token = popped
            elif from_file:
                token = self._next_token()
            else:
                token = Token("eof", "", name.file, name.pos)
            if token.bol and token.kind != "eof":
                token.bol, token.space = False, True
            text = token.text
            if token.kind == "punct":
                if text == "(":
                    depth += 1
                elif text == ")":
                    if depth == 0:
                        break
                    depth -= 1
                elif text == "," and depth == 0 and len(groups) - 1 != rest:
                    groups.append([])
                    continue
            elif token.kind == "eof":
                self.collecting = outer
                self.diagnostics.error(
                    f"missing ')' after the arguments of macro '{macro.name}'",
                    name,
                    notes=self._definition_note(macro),
                    code="macro-arguments",
                )
                return None
            elif token.kind == "id" and isinstance(known := self.macros.get(text), Macro) and known.active:
                token.hide = True
            groups[-1].append(token)
        self.collecting = outer
        given = 0 if groups == [[]] and rest == 0 else len(groups)
        self._check_count(name, macro, groups, token)
        return [Argument(group, self.expand, index >= given) for index, group in enumerate(groups)]

    def _check_count(self, name: Token, macro: Macro, groups: list[list[Token]], closing: Token) -> None:
        """Mends the number of arguments, after an error if it is wrong; GNU lets a call leave out the variadic one."""
        wanted = len(macro.params or ())
        least = wanted - 1 if macro.variadic else wanted
        given = 0 if groups == [[]] and wanted != 1 and least != 1 else len(groups)
        if given > wanted or given < least:
            at_least = "at least " if macro.variadic else ""
            self.diagnostics.error(
                f"macro '{macro.name}' takes {at_least}{least} argument{'s' * (least != 1)}, but {given or 'none'} "
                f"{'is' if given < 2 else 'are'} given",
                name,
                closing,
                notes=self._definition_note(macro),
                code="macro-arguments",
            )
        del groups[wanted:]
        groups += ([] for _ in range(wanted - len(groups)))

    def expand(self, tokens: list[Token]) -> list[Token]:
        """All macros expanded in a list that stands alone: an argument, or the line of a directive."""
        if self._depth >= _ARGUMENT_DEPTH and tokens:
            self.diagnostics.error(
                f"macro calls are nested deeper than {_ARGUMENT_DEPTH} levels", tokens[0], code="macro-arguments"
            )
            return []
        self._depth += 1
        out: list[Token] = []
        pending: list[Token | Macro] = [*reversed(tokens)]
        while pending:
            token = pending.pop()
            if isinstance(token, Macro):
                token.active = False
                continue
            if token.kind == "id":
                text = token.text
                macro = self.macros.get(text)
                if self.condition is not None and (text == "defined" or (macro is not None and text.startswith("__has_"))):
                    token = self.condition(token, pending)
                elif macro is not None and self.call(token, macro, pending, False):
                    continue
            out.append(token)
        self._depth -= 1
        return out

    def _definition_note(self, macro: Macro) -> list[Diagnostic]:
        return [] if macro.builtin else [self.diagnostics.note(f"'{macro.name}' is defined here", macro.token)]

    def _lex(self, name: str, text: str) -> Macro:
        line = tokenize(SourceFile("<built-in>", f"#define {name}{text}", True))[2:-1]
        macro = parse_definition(line, line[0], self.diagnostics, builtin=True)
        assert macro is not None, name
        self.macros[name] = macro
        return macro


def peek(pending: list[Token | Macro]) -> Token | None:
    """The next token to scan again, which stays there; replacements that end before it are closed."""
    while pending:
        top = pending[-1]
        if not isinstance(top, Macro):
            return top
        top.active = False
        pending.pop()
    return None
