"""The preprocessor: directives, macro calls and includes of a C11 text (with GNU's and clang's additions) to plain tokens.

Reads with `pp_files`, expands with `pp_expander`, decides with `pp_expression`; `print_tokens` writes `skep cc -E`.
"""

from __future__ import annotations

import os
from time import localtime, strftime

from skep.compiler.diagnostics import Diagnostics, closest
from skep.compiler.lexer import Problem, passes, report, tokenize
from skep.compiler.pp_expander import Expander, peek
from skep.compiler.pp_expression import evaluate
from skep.compiler.pp_files import Conditional, Found, HeaderSearch, OpenFile, builtin_header, needs_no_file, read_source
from skep.compiler.pp_macros import Macro, parse_definition
from skep.compiler.pp_output import command_line_token, is_prose, number_token, print_tokens, reads_as_words, spell, string_token
from skep.compiler.source import SourceFile, Token, decode_string, outermost, where

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


__all__ = ["Preprocessor", "print_tokens"]

_INCLUDE_DEPTH = 200
_COMMENT_HINT = "comments are '// ...' or '/* ... */'"
# pragmas whose text the compiler reads, and which may name macros
_EXPANDED_PRAGMAS = frozenset(("unroll", "nounroll", "clang", "GCC"))


def _no_attribute(name: str) -> int:
    return 0


class Preprocessor:
    """One run over one text. After `run`, `missing_headers` lists (name, token) of the <...> headers found nowhere."""

    def __init__(
        self,
        diagnostics: Diagnostics,
        *,
        include_dirs: Sequence[str] = (),
        find_header: Callable[[str], str | None] = builtin_header,
        builtin_macros: Mapping[str, str] | None = None,
        defines: Sequence[str] = (),
        undefines: Sequence[str] = (),
        has_attribute: Callable[[str], int] = _no_attribute,
        has_builtin: Callable[[str], int] = _no_attribute,
    ) -> None:
        self.diagnostics = diagnostics
        self.missing_headers: list[tuple[str, Token]] = []
        self._search = HeaderSearch(include_dirs, find_header)
        self._macros: dict[str, Macro | str] = dict(builtin_macros or {})
        self._expander = Expander(diagnostics, self._macros, self._next, self._opens_in_file)
        self._has = {
            "__has_attribute": has_attribute,
            "__has_builtin": has_builtin,
            "__has_feature": _no_attribute,
            "__has_extension": _no_attribute,
        }
        self._files: list[OpenFile] = []
        self._out: list[Token] = []
        self._once: set[str] = set()
        self._pushed: dict[str, list[Macro | str | None]] = {}  # by #pragma push_macro; None: it was not defined
        self._guards: dict[str, str] = {}
        self._counter = 0
        self._directives: dict[str, Callable[[Token, list[Token]], None]] = {
            "define": self._define,
            "undef": self._undef,
            "include": self._include,
            "include_next": self._include,
            "if": self._if,
            "ifdef": self._if,
            "ifndef": self._if,
            "elif": self._else,
            "elifdef": self._else,
            "elifndef": self._else,
            "else": self._else,
            "endif": self._endif,
            "error": self._error,
            "warning": self._warning,
            "line": self._line,
            "pragma": self._pragma,
        }
        origin = Token("id", "", SourceFile("<built-in>", "", True), 0)
        for name, dynamic in (
            ("__FILE__", self._file_macro),
            ("__LINE__", self._line_macro),
            ("__COUNTER__", self._counter_macro),
            ("__BASE_FILE__", lambda token: string_token(self._files[0].source.name, token)),
            ("__INCLUDE_LEVEL__", lambda token: number_token(len(self._files) - 1, token)),
            ("__DATE__", lambda token: string_token(strftime("%b %e %Y", localtime()), token)),
            ("__TIME__", lambda token: string_token(strftime("%H:%M:%S", localtime()), token)),
            ("__TIMESTAMP__", self._timestamp_macro),
            ("_Pragma", self._pragma_operator),
        ):
            self._macros[name] = Macro(name, origin, [], builtin=True, dynamic=dynamic)
        for name in (*self._has, "__has_include", "__has_include_next"):
            # always off: an operator in #if, a plain name elsewhere
            operator = Macro(name, origin, [], builtin=True)
            operator.active = True
            self._macros[name] = operator
        for define in defines:
            self._command_line_define(define)
        for name in undefines:
            self._macros.pop(name, None)

    # the main loop

    def macro_text(self, name: str) -> str:
        """The body of an object-like macro that the text defined, "" if there is none; for `#define BPF_LICENSE`."""
        macro = self._macros.get(name)
        if not isinstance(macro, Macro) or macro.builtin:
            return ""
        return "".join((" " if t.space and i else "") + t.text for i, t in enumerate(macro.body))

    def run(self, source: SourceFile) -> list[Token]:
        """The tokens of the text after preprocessing, "eof" last; problems go to the diagnostics."""
        self._files = [OpenFile(source)]
        out = self._out = []
        pending = self._expander.pending
        call = self._expander.call
        macros = self._macros
        while True:
            token = pending.pop() if pending else self._next()
            if isinstance(token, Macro):
                token.active = False
                continue
            kind = token.kind
            if kind == "id":
                macro = macros.get(token.text)
                if macro is not None and call(token, macro, pending, True):
                    continue
            elif kind == "eof":
                if self._close_file():
                    out.append(token)
                    return out
                continue
            elif token.text == "#" and kind == "punct" and token.expansion is None:
                self._stray_hash(token)
                continue
            elif kind == "other":
                report(token, self.diagnostics)
                continue
            out.append(token)

    def _next(self) -> Token:
        """The next token of the file being read, after any directives; its "eof" is not taken."""
        while True:
            file = self._files[-1]
            token = file.tokens[file.index]
            if token.bol:
                if token.text == "#" and token.kind == "punct":
                    file.index += 1
                    self._directive(file, token)
                    continue
                if token.kind == "eof":
                    return token
            file.index += 1
            if token.kind != "other" or passes(token, self.diagnostics):
                return token

    def _opens_in_file(self) -> bool:
        """Takes the file's next token if it is '('; one behind a directive does not count, as for GCC and clang."""
        file = self._files[-1]
        if file.tokens[file.index].text != "(":
            return False
        file.index += 1
        return True

    def _close_file(self) -> bool:
        """Ends the file on top; true if it was the main one."""
        file = self._files[-1]
        for conditional in file.conditionals:
            notes = []
            if conditional.otherwise is not None:
                notes.append(self.diagnostics.note("its #else is here", conditional.otherwise))
            self.diagnostics.error(
                f"#{conditional.token.text} without #endif", conditional.token, notes=notes, code="unbalanced-conditional"
            )
        if len(self._files) == 1:
            return True
        self._files.pop()
        return False

    def _stray_hash(self, token: Token) -> None:
        line = self._files[-1].take_line()
        last = line[-1] if line else token
        self.diagnostics.error(f"'#' does not start a comment in C; {_COMMENT_HINT}", token, last, code="hash-comment")

    # definitions

    def _command_line_define(self, define: str) -> None:
        head, equals, body = define.partition("=")
        line = tokenize(SourceFile("<command line>", f"#define {head} {body if equals else '1'}", True))[2:-1]
        macro = parse_definition(line, line[0] if line else command_line_token(define), self.diagnostics, builtin=True)
        if macro is not None:
            self._macros[macro.name] = macro

    def _define(self, word: Token, line: list[Token]) -> None:
        macro = parse_definition(line, word, self.diagnostics)
        if macro is None:
            return
        old = self._macros.get(macro.name)
        if isinstance(old, Macro) and not old.token.file.system and not old.builtin and not macro.same_as(old):
            note = self.diagnostics.note("the earlier definition is here", old.token)
            self.diagnostics.warning(
                f"macro '{macro.name}' is defined again with another text", macro.token, notes=[note], code="macro-redefined"
            )
        self._macros[macro.name] = macro

    def _undef(self, word: Token, line: list[Token]) -> None:
        name = self._macro_name(word, line)
        if name is not None:
            self._macros.pop(name.text, None)

    def _macro_name(self, word: Token, line: list[Token]) -> Token | None:
        if not line or line[0].kind != "id":
            self.diagnostics.error(f"#{word.text} needs the name of a macro", line[0] if line else word, code="bad-directive")
            return None
        if len(line) > 1:
            self.diagnostics.warning(f"#{word.text} takes one name; the rest of the line is ignored", line[1], line[-1])
        return line[0]

    # directives

    def _directive(self, file: OpenFile, hash_token: Token) -> None:
        """Runs the directive whose '#' was just taken."""
        start = file.index
        line = file.take_line()
        if not line:
            return
        word = line[0]
        run = self._directives.get(word.text) if word.kind == "id" else None
        if word.kind == "num" and word.text.isdigit() and (len(line) == 1 or line[1].kind == "str"):
            self._set_line(file, line[:2])  # `# 1 "file"`, as preprocessors write it
        elif run is None or is_prose(word, line):
            file.index = start
            self._unknown_directive(file, hash_token)
        else:
            run(word, line[1:])

    def _unknown_directive(self, file: OpenFile, hash_token: Token) -> None:
        """One error for a run of adjacent '#' lines, which mostly are comments in the manner of Python."""
        line = file.take_line()
        word = line[0]
        near = closest(word.text, self._directives) if word.kind == "id" and not word.space else None
        if near and not reads_as_words(line[1:4]):
            self.diagnostics.error(
                f"'#{word.text}' is not a preprocessor directive; did you mean '#{near}'?",
                hash_token,
                word,
                code="unknown-directive",
            )
            return
        more = 0
        number = file.source.line_of(hash_token.pos)
        while (token := file.tokens[file.index]).text == "#" and file.source.line_of(token.pos) == number + more + 1:
            following = file.tokens[file.index + 1]
            known = following.kind == "id" and following.text in self._directives and not following.bol
            if known and not (following.space and reads_as_words(file.tokens[file.index + 1 : file.index + 4])):
                break
            file.index += 1
            file.take_line()
            more += 1
        text = word.text if word.kind != "other" else file.line_text(word).split()[0]
        what = "'#' starts a preprocessor directive in C" + ("" if text in self._directives else f", and '{text}' is not one")
        lines = f" (also in the {more} lines below)" if more > 1 else " (also in the line below)" if more else ""
        self.diagnostics.error(f"{what}; {_COMMENT_HINT}{lines}", hash_token, word, code="hash-comment")

    def _if(self, word: Token, line: list[Token]) -> None:
        file = self._files[-1]
        truth = self._condition(word, line)
        if file.index - len(line) == 2 and word.text == "ifndef" and line:
            file.guard = line[0].text  # the first line of the file: perhaps an include guard
        file.conditionals.append(Conditional(word, truth))
        if not truth:
            self._skip(file)

    def _else(self, word: Token, line: list[Token]) -> None:
        file = self._files[-1]
        if not file.conditionals:
            self.diagnostics.error(f"#{word.text} without #if", word, code="unbalanced-conditional")
        elif not self._branch(file, word, line):
            self._skip(file)

    def _endif(self, word: Token, line: list[Token]) -> None:
        file = self._files[-1]
        if not file.conditionals:
            self.diagnostics.error("#endif without #if", word, code="unbalanced-conditional")
            return
        closed = file.conditionals.pop()
        whole = closed.token is file.tokens[1] and file.tokens[file.index].kind == "eof" and closed.otherwise is None
        if whole and file.guard and file.path:
            self._guards[file.path] = file.guard

    def _branch(self, file: OpenFile, word: Token, line: list[Token]) -> bool:
        """Whether the branch that an #else or #elif opens is to be read."""
        conditional = file.conditionals[-1]
        if conditional.otherwise is not None:
            note = self.diagnostics.note("the #else is here", conditional.otherwise)
            self.diagnostics.error(f"#{word.text} after #else", word, notes=[note], code="unbalanced-conditional")
            return False
        if word.text == "else":
            conditional.otherwise = word
        else:
            file.guard = ""
        if conditional.taken or (word.text != "else" and not self._condition(word, line)):
            return False
        conditional.taken = True
        return True

    def _skip(self, file: OpenFile) -> None:
        """Goes past a group that is not compiled, to behind the directive that ends it."""
        depth = 0
        tokens = file.tokens
        while True:
            token = tokens[file.index]
            if token.kind == "eof":
                return
            file.index += 1
            if token.kind == "other" and isinstance(token.value, Problem) and token.value.fatal:
                report(token, self.diagnostics)
            if not token.bol or token.text != "#" or token.kind != "punct" or tokens[file.index].bol:
                continue
            word = tokens[file.index]
            if word.text in ("if", "ifdef", "ifndef"):
                depth += not is_prose(word, file.take_line())
            elif word.text == "endif" and depth:
                depth -= 1
            elif word.text == "endif":
                file.index += 1
                self._endif(word, file.take_line())
                return
            elif depth == 0 and word.text in ("else", "elif", "elifdef", "elifndef"):
                file.index += 1
                if self._branch(file, word, file.take_line()):
                    return

    def _condition(self, word: Token, line: list[Token]) -> bool:
        if word.text not in ("if", "elif"):
            name = self._macro_name(word, line)
            return name is not None and (name.text in self._macros) == word.text.endswith("fdef")
        line = [token for token in line if token.kind != "other" or passes(token, self.diagnostics)]
        before = self.diagnostics.errors
        self._expander.condition = self._condition_operator
        expanded = self._expander.expand(line)
        self._expander.condition = None
        if self.diagnostics.errors > before:
            return False
        return evaluate(expanded, word, self.diagnostics) != 0

    def _condition_operator(self, word: Token, pending: list[Token | Macro]) -> Token:
        """`defined X` and the `__has_...` operators to a number; takes their operand from `pending`."""
        opened = self._expander.opens_arguments(pending, False)
        operand: list[Token] = []
        while (token := peek(pending)) is not None and token.text != ")" and (opened or word.text == "defined"):
            operand.append(token)
            pending.pop()
            if word.text == "defined":
                break
        closed = opened and (token := peek(pending)) is not None and token.text == ")"
        if closed:
            pending.pop()
        if not operand or opened != closed:
            needs = "a name" if word.text == "defined" else "an operand in parentheses"
            self.diagnostics.error(f"'{word.text}' needs {needs}", word, code="preprocessor-expression")
            return number_token(0, word)
        if word.text == "defined":
            if operand[0].kind != "id":
                self.diagnostics.error("'defined' needs a name", operand[0], code="preprocessor-expression")
            return number_token(int(operand[0].text in self._macros), word)
        if word.text.startswith("__has_include"):
            header = self._header_name(operand, word)
            if header is None:
                return number_token(0, word)
            found = self._search.find(*header, self._files[-1], word.text.endswith("_next"))
            return number_token(int(found is not None), word)
        name = operand[-1].text  # `gnu::packed` is asked for as `packed`
        if name.startswith("__") and name.endswith("__") and word.text != "__has_builtin":
            name = name[2:-2]
        return number_token(int(self._has[word.text](name)), word)

    # includes

    def _include(self, word: Token, line: list[Token]) -> None:
        file = self._files[-1]
        if self._expander.collecting is not None:
            self.diagnostics.error(
                f"#include inside the arguments of macro '{self._expander.collecting.text}'", word, code="bad-include"
            )
            return
        header = self._header_name(line, word)
        if header is None:
            return
        name, quoted = header
        own = "__BPF__" in self._macros and needs_no_file(name)
        found = self._search.find(name, quoted, file, word.text == "include_next") if not own else None
        if found is None:
            if quoted and not needs_no_file(name):
                self.diagnostics.error(
                    f"header '{name}' not found; looked in: {self._search.places(file)}", line[0], code="missing-header"
                )
            else:
                self.missing_headers.append((name, line[0]))
        elif len(self._files) > _INCLUDE_DEPTH:
            self.diagnostics.error(f"#include nested deeper than {_INCLUDE_DEPTH} files", line[0], code="bad-include")
        else:
            self._open(found, line[0])

    def _open(self, found: Found, includer: Token) -> None:
        guard = self._guards.get(found.path)
        if (self._once and os.path.realpath(found.path) in self._once) or (guard is not None and guard in self._macros):
            return
        try:
            source = read_source(found.path, system=found.system)
        except OSError as error:
            self.diagnostics.error(f"header '{found.path}' cannot be read: {error.strerror}", includer, code="missing-header")
            return
        source.includer = includer
        self._files.append(OpenFile(source, found.path, found.directory_index))

    def _header_name(self, line: list[Token], word: Token) -> tuple[str, bool] | None:
        """The name in an #include and whether it is in quotes; a macro is expanded first."""
        if line and line[0].text != "<" and line[0].kind != "str":
            condition, self._expander.condition = self._expander.condition, None
            line = self._expander.expand(line)
            self._expander.condition = condition
        if line and line[0].kind == "str" and line[0].text.startswith('"'):
            return line[0].text[1:-1], True
        if line and line[0].text == "<":
            first = line[0]
            if first.expansion is None:
                # as written: `//` and the like are no comments here
                text = self._files[-1].line_text(first)
                if ">" in text:
                    return text[1 : text.index(">")], False
            spelled = "".join((" " if token.space else "") + token.text for token in line[1:])
            if ">" in spelled:
                return spelled[: spelled.index(">")], False
        self.diagnostics.error(f'#{word.text} needs "file" or <file>', line[0] if line else word, code="bad-include")
        return None

    # other directives

    def _error(self, word: Token, line: list[Token]) -> None:
        self.diagnostics.error(f"#error: {self._files[-1].line_text(line[0]) if line else ''}", word, code="error-directive")

    def _warning(self, word: Token, line: list[Token]) -> None:
        self.diagnostics.warning(
            f"#warning: {self._files[-1].line_text(line[0]) if line else ''}", word, code="warning-directive"
        )

    def _line(self, word: Token, line: list[Token]) -> None:
        line = self._expander.expand(line)
        if not line or not line[0].text.isdigit() or (len(line) > 1 and line[1].kind != "str"):
            self.diagnostics.error("#line needs a line number, and perhaps a file name in quotes", word, code="bad-directive")
            return
        self._set_line(self._files[-1], line)

    def _set_line(self, file: OpenFile, line: list[Token]) -> None:
        here = file.source.line_of(outermost(line[0]).pos)
        name = file.source.presumed(here)[0]
        if len(line) > 1:
            _, content = decode_string(line[1])
            name = content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else name
        file.source.markers.append((here + 1, int(line[0].text), name))

    def _pragma(self, word: Token, line: list[Token]) -> None:
        file = self._files[-1]
        if line and line[0].text == "once":
            self._once.add(os.path.realpath(file.path or file.source.name))
            return
        if line and line[0].text in ("push_macro", "pop_macro"):
            self._keep_macro(line)
            return
        if line and line[0].text in _EXPANDED_PRAGMAS:
            line = self._expander.expand(line)
        self._out.append(Token("pragma", spell(line), word.file, word.pos, True, True))

    def _keep_macro(self, line: list[Token]) -> None:
        """`push_macro("NAME")` keeps a definition, `pop_macro("NAME")` brings it back."""
        if [t.text for t in line[1:2] + line[3:]] != ["(", ")"] or line[2].kind != "str":
            self.diagnostics.warning(
                f'#pragma {line[0].text} needs a name: {line[0].text}("NAME")', line[0], line[-1], code="pragma"
            )
            return
        name = line[2].text[1:-1]
        kept = self._pushed.setdefault(name, [])
        if line[0].text == "push_macro":
            kept.append(self._macros.get(name))
        elif not kept:
            self.diagnostics.warning(
                f'#pragma pop_macro("{name}") without a push_macro before it', line[0], line[-1], code="pragma"
            )
        elif (macro := kept.pop()) is not None:
            self._macros[name] = macro
        else:
            self._macros.pop(name, None)

    def _pragma_operator(self, token: Token) -> Token | None:
        """`_Pragma("...")`: takes the operand; the pragma goes out at once."""
        operand: list[Token] = []
        if self._expander.opens_arguments(self._expander.pending, True):
            while len(operand) < 2:
                following = peek(self._expander.pending)
                operand.append(self._next() if following is None else following)
                if following is not None:
                    self._expander.pending.pop()
                if operand[-1].kind == "eof":
                    break
        if len(operand) < 2 or operand[0].kind != "str" or operand[1].text != ")":
            self.diagnostics.error('_Pragma needs one string: _Pragma("unroll")', token, code="bad-directive")
            return None
        text = operand[0].text[operand[0].text.index('"') + 1 : -1].replace('\\"', '"').replace("\\\\", "\\")
        place = outermost(token)
        if text.strip().startswith(("push_macro", "pop_macro")):
            self._keep_macro([Token(t.kind, t.text, place.file, place.pos) for t in tokenize(SourceFile("<_Pragma>", text))[:-1]])
        else:
            self._out.append(Token("pragma", text.strip(), place.file, place.pos, True, True))
        return None

    # macros with a meaning of their own

    def _file_macro(self, token: Token) -> Token:
        return string_token(where(token)[1], token)

    def _line_macro(self, token: Token) -> Token:
        return number_token(where(token)[2], token)

    def _timestamp_macro(self, token: Token) -> Token:
        file = self._files[-1]
        try:
            text = strftime("%a %b %e %H:%M:%S %Y", localtime(os.stat(file.path or file.source.name).st_mtime))
        except OSError:  # a text that is no file
            text = "??? ??? ?? ??:??:?? ????"
        return string_token(text, token)

    def _counter_macro(self, token: Token) -> Token:
        self._counter += 1
        return number_token(self._counter - 1, token)
