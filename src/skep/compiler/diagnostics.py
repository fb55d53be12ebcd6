"""Compile errors and warnings: collects them, renders them with source lines and carets, and finds near names.

Comes from every pass; goes to `CompileError` and to `skep cc`.
"""

from __future__ import annotations

from skep.compiler.source import Token, outermost, where
from skep.errors import CompileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NO_FLOATING_POINT = "BPF has no floating point: use integers, for example in thousandths"
_TAB = 8
_RESET = "\x1b[0m"
_BOLD = "\x1b[1m"
_COLORS = {"error": "\x1b[1;31m", "warning": "\x1b[1;35m", "note": "\x1b[1;36m", "caret": "\x1b[1;32m"}


class Diagnostic:
    """One message about the tokens `first` to `last`; `code` is a short stable name such as "undeclared"."""

    __slots__ = ("code", "first", "last", "message", "notes", "severity")

    def __init__(
        self, severity: str, message: str, first: Token, last: Token, notes: Sequence[Diagnostic] = (), code: str = ""
    ) -> None:
        self.severity = severity
        self.message = message
        self.first = first
        self.last = last
        self.notes = list(notes)
        self.code = code

    def span(self) -> tuple[int, int, int, int]:
        """Physical first line, first column, last line and column after the end, of the outermost places."""
        first, last = outermost(self.first), outermost(self.last)
        if last.file is not first.file or last.pos < first.pos:
            last = first
        end = last.pos + _source_length(last)
        file = first.file
        return file.line_of(first.pos), file.column_of(first.pos), file.line_of(end), file.column_of(end)

    def expansions(self) -> list[tuple[str, Token]]:
        """Macros that the first token came through, outermost first: (name, the token in that macro's body)."""
        chain: list[tuple[str, Token]] = []
        token = self.first
        while token.expansion is not None:
            chain.append((token.expansion.macro_name, token))
            token = token.expansion.token
        return chain[::-1]

    def __repr__(self) -> str:
        _, name, line, column = where(self.first)
        return f"<{name}:{line}:{column}: {self.severity}: {self.message}>"


def _source_length(token: Token) -> int:
    if token.kind == "eof":
        return 0
    return len(token.value) if token.kind == "punct" and isinstance(token.value, str) else len(token.text)


def _expand_tabs(line: str) -> tuple[str, list[int]]:
    """The line with tabs as blanks, and the display column (0-based) of every character and of the end."""
    shown: list[str] = []
    columns: list[int] = []
    width = 0
    for char in line:
        columns.append(width)
        # a control character would move the caret away from what it points at
        piece = " " * (_TAB - width % _TAB) if char == "\t" else char if char.isprintable() else "?"
        shown.append(piece)
        width += len(piece)
    columns.append(width)
    return "".join(shown), columns


def _snippet(file_line: int, text: str, start: int, end: int, color: bool) -> list[str]:
    """The source line with its number, and below it carets under the columns [start, end) (0-based characters)."""
    shown, columns = _expand_tabs(text)
    start = min(start, len(text))
    end = min(max(end, start + 1), len(text))
    caret = "^" + "~" * (columns[end] - columns[start] - 1 if end > start else 0)
    gutter = f"{file_line:>5} | "
    if color:
        caret = _COLORS["caret"] + caret + _RESET
    return [gutter + shown.rstrip(), " " * (len(gutter) - 2) + "| " + " " * columns[start] + caret]


def _render_one(severity: str, message: str, first: Token, last: Token, color: bool) -> list[str]:
    """Location, message and snippet; the tokens stand in one file (no expansion is followed)."""
    file = first.file
    line = file.line_of(first.pos)
    column = file.column_of(first.pos)
    name, number = file.presumed(line)
    place, label = f"{name}:{number}:{column}:", f"{severity}:"
    if color:
        place, label, message = _BOLD + place + _RESET, _COLORS[severity] + label + _RESET, _BOLD + message + _RESET
    lines = [f"{place} {label} {message}"]
    text = file.line_text(line)
    if not text and first.kind != "eof":
        return lines
    end = column - 1 + _source_length(first)
    if last.file is file and last.pos >= first.pos:
        end_line = file.line_of(last.pos)
        end = file.column_of(last.pos) - 1 + _source_length(last) if end_line == line else len(text.rstrip())
    return lines + _snippet(number, text, column - 1, end, color)


class Diagnostics:
    """Collects messages; after `limit` errors it raises CompileError instead of going on."""

    def __init__(self, limit: int = 20) -> None:
        self.limit = limit
        self.lenient: dict[str, bool] = {}  # errors that flags take back: to a warning, or to nothing
        self.items: list[Diagnostic] = []
        self.errors = 0
        self._seen: set[tuple[str, str, str, int]] = set()

    def _add(self, item: Diagnostic) -> bool:
        # a function that is emitted for several hooks must not repeat what is wrong with it
        place = outermost(item.first)
        key = (item.severity, item.message, place.file.name, place.pos)
        if key in self._seen:
            return False
        self._seen.add(key)
        self.items.append(item)
        return True

    def error(
        self, message: str, first: Token, last: Token | None = None, *, notes: Sequence[Diagnostic] = (), code: str = ""
    ) -> None:
        """Records an error; raises CompileError when there are too many."""
        if self._add(Diagnostic("error", message, first, last or first, notes, code)):
            self.errors += 1
            if self.errors >= self.limit:
                raise CompileError(f"{self.render()}\ntoo many errors ({self.errors}); stopped here", self.items)

    def warning(
        self, message: str, first: Token, last: Token | None = None, *, notes: Sequence[Diagnostic] = (), code: str = ""
    ) -> None:
        """Records a warning."""
        self._add(Diagnostic("warning", message, first, last or first, notes, code))

    def strict(self, code: str, message: str, first: Token, last: Token | None = None) -> None:
        """Records what clang 19 made an error: `-Wno-error=CODE` makes it a warning, `-Wno-CODE` nothing."""
        if code in self.lenient:
            if self.lenient[code]:
                self.warning(message, first, last, code=code)
        else:
            self.error(message, first, last, code=code)

    def remark(self, message: str, token: Token, *, code: str = "") -> None:
        """Records a note that stands by itself."""
        self._add(Diagnostic("note", message, token, token, (), code))

    def note(self, message: str, token: Token) -> Diagnostic:
        """A note to hand to `error` or `warning`; it is not recorded by itself."""
        return Diagnostic("note", message, token, token)

    def raise_if_errors(self) -> None:
        """Raises CompileError with everything recorded, if there is an error among it."""
        if self.errors:
            raise CompileError(self.render(), self.items)

    def in_order(self) -> list[Diagnostic]:
        """The messages by their place where all are in one file, else in the order in which they were found."""
        places = [outermost(item.first) for item in self.items]
        if len({place.file.name for place in places}) > 1:
            return self.items
        return [item for _, item in sorted(zip(places, self.items, strict=True), key=lambda pair: pair[0].pos)]

    def render(self, color: bool = False) -> str:
        """All messages as text."""
        lines: list[str] = []
        for item in self.in_order():
            lines += self._render(item, color)
        return "\n".join(lines)

    def _render(self, item: Diagnostic, color: bool) -> list[str]:
        lines = _render_one(item.severity, item.message, outermost(item.first), outermost(item.last), color)
        for name, token in item.expansions():
            lines += _render_one("note", f"in expansion of macro '{name}'", token, token, color)
        includer = outermost(item.first).file.includer if item.severity != "note" else None
        while includer is not None:
            lines += _render_one("note", "included from here", includer, includer, color)
            includer = includer.file.includer
        for note in item.notes:
            lines += self._render(note, color)
        return lines

    def to_json(self) -> list[dict[str, object]]:
        """All messages as plain data for editors and CI."""
        return [as_dict(item) for item in self.in_order()]


def as_dict(item: Diagnostic) -> dict[str, object]:
    """One message as plain data."""
    _, name, line, column = where(item.first)
    first_line, _, end_line, end_column = item.span()
    return {
        "severity": item.severity,
        "code": item.code,
        "message": item.message,
        "file": name,
        "line": line,
        "column": column,
        "end_line": line + end_line - first_line,
        "end_column": end_column,
        "expansions": [macro for macro, _ in item.expansions()],
        "notes": [as_dict(note) for note in item.notes],
    }


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` is most likely a slip of, or None; the first of equally near ones."""
    limit = max(1, min(3, (len(name) + 1) // 3))
    best: str | None = None
    letters = set(name)
    folded = name.lower()
    length = len(name)
    for candidate in candidates:
        if abs(len(candidate) - length) > limit or candidate == name:
            continue
        # one edit changes at most two letters of the set: most of 10,000 kernel names end here
        if len(letters.symmetric_difference(candidate)) > 2 * limit and candidate.lower() != folded:
            continue
        distance = 1 if candidate.lower() == folded else _distance(name, candidate, limit)
        # a name of one or two letters is near everything: only a slip of letter case or order counts
        if distance <= limit and (length > 2 or sorted(candidate.lower()) == sorted(folded)):
            best, limit = candidate, distance - 1
            if limit == 0:
                break
    return best


def _distance(a: str, b: str, limit: int) -> int:
    """Edits (insert, delete, replace, swap of neighbours) from a to b; anything above `limit` comes back as limit + 1."""
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, char in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            cost = previous[j - 1] if char == other else 1 + min(previous[j - 1], previous[j], row[j - 1])
            if i > 1 and j > 1 and char == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before, previous = previous, row
    return previous[-1]
