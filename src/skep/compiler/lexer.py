"""C text to preprocessing tokens: one regular expression, comments and line splices removed, slips explained.

What is wrong with a token travels with it as a `Problem`, because a skipped `#if` group may hold anything.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from skep.compiler.source import SourceFile, Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.compiler.diagnostics import Diagnostics

DIGRAPHS = {"<:": "[", ":>": "]", "<%": "{", "%>": "}", "%:": "#", "%:%:": "##"}

_UCN = r"\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}"
_TOKEN = (
    r"(?P<str>(?:u8|[uUL])?\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<char>[uUL]?'(?:[^'\\\n]|\\.)*')"
    rf"|(?P<id>(?:[^\W\d]|\$|{_UCN})[\w$]*(?:(?:{_UCN})[\w$]*)*)"
    r"|(?P<num>\.?[0-9](?:[eEpP][+-]|[\w.$])*)"
    r"|(?P<comment>//[^\n]*|/\*(?s:.*?)\*/)"
    r"|(?P<punct>\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[*/%+\-&^|]=|\#\#|<:|<%|:>|%:%:|%:|%>"
    # an opening of a comment that no '*/' follows is no division
    r"|(?!/\*)[][(){}.&*+\-~!/%<>^|?:;=,\#])"
)
_SCAN = re.compile(r"[ \t\f\v\r]*(?:" + _TOKEN + r"|(?P<newline>\n)|(?P<other>[^\n]|\Z))")
_SINGLE = re.compile(_TOKEN)
_KINDS = ("", "str", "char", "id", "num", "comment", "punct")
_CURLY = "\u201c\u201d\u2018\u2019"
_CURLY_CLOSE = re.compile(r"[\"\u201c\u201d]")
_OPENING = "\"'" + _CURLY
_COMMENT, _PUNCT, _NEWLINE, _OTHER = (_SCAN.groupindex[name] for name in ("comment", "punct", "newline", "other"))
_SPLICE = re.compile(r"\\[ \t\f\v]*\r?\n")
# where a line probably goes on after a string whose closing quote is missing
_LINE_TAIL = re.compile(r"[ \t]*(?:[)\]}]+[ \t]*;?|;)[ \t]*(?:[}][ \t]*)*(?://.*|/\*.*\*/[ \t]*)?$")
# the rest of a string that a Python "\\n" broke: its closing quote comes first in one of the next lines
_GOES_ON = re.compile(r"(?:\n[^\"\n]*){1,4}\"(?=[ \t]*[,;)])")


class Problem:
    """What is wrong with an "other" token; `becomes` is the kind it has once reported, "" if it is dropped then.

    Those that are dropped may still be stringified by a macro. `fatal`: nothing after it can be understood, and it
    counts in skipped groups too.
    """

    __slots__ = ("becomes", "fatal", "message")

    def __init__(self, message: str, becomes: str = "", fatal: bool = False) -> None:
        self.message = message
        self.becomes = becomes
        self.fatal = fatal


class _Splices:
    """Removes backslash-newline pairs and maps offsets back to the original text."""

    __slots__ = ("_skipped", "_starts", "text")

    def __init__(self, original: str) -> None:
        self._starts = [0]
        self._skipped = [0]
        pieces: list[str] = []
        last = removed = 0
        for match in _SPLICE.finditer(original):
            pieces.append(original[last : match.start()])
            last = match.end()
            removed += match.end() - match.start()
            self._starts.append(last - removed)
            self._skipped.append(removed)
        pieces.append(original[last:])
        self.text = "".join(pieces)

    def original(self, pos: int) -> int:
        return pos + self._skipped[bisect_right(self._starts, pos) - 1]


def _describe_stray(char: str) -> str:
    if char == "\\":
        return "stray '\\' in the program; it joins lines only as the last character of a line"
    name = f"'{char}'" if char.isprintable() and char != " " else f"U+{ord(char):04X}"
    return f"stray character {name} in the program"


def _literal_problem(text: str, start: int) -> tuple[int, str, Problem]:
    """A literal without its closing quote: where it ends, the text to go on with, and what to say."""
    line_end = text.find("\n", start)
    line_end = len(text) if line_end < 0 else line_end
    if text[start] in _CURLY:
        close = _CURLY_CLOSE.search(text, start + 1, line_end)
        end = close.end() if close else _literal_end(text, start, line_end)
        content = text[start + 1 : end].rstrip(_CURLY + '\\"')
        return end, f'"{content}"', Problem(f"'{text[start]}' is a typographic quote; C strings need '\"'", "str")
    if text[start] == "'":
        return _literal_end(text, start, line_end), "0", Problem('missing closing "\'"', "num")
    goes_on = _GOES_ON.match(text, line_end)
    if goes_on:
        content = text[start + 1 : goes_on.end() - 1].replace("\n", "\\n")
        hint = "a line ends inside this string: in a Python string write '\\\\n' for '\\n', or put r before its quotes"
        return goes_on.end(), f'"{content}"', Problem(f"missing closing '\"'; {hint}", "str")
    end = _literal_end(text, start, line_end)
    content = text[start + 1 : end].rstrip("\\")
    return end, f'"{content}"', Problem("missing closing '\"'", "str")


def _literal_end(text: str, start: int, line_end: int) -> int:
    """Before a final `);` or the like, so that the parser can go on with the next statement."""
    tail = _LINE_TAIL.search(text, start + 1, line_end)
    return tail.start() if tail else line_end


def tokenize(source: SourceFile, diagnostics: Diagnostics | None = None) -> list[Token]:
    """All tokens of a text, "eof" last. Problems are reported to `diagnostics`; without one, "other" tokens carry them."""
    splices = _Splices(source.text) if "\\" in source.text and _SPLICE.search(source.text) else None
    text = splices.text if splices else source.text
    tokens: list[Token] = []
    pos = 1 if text.startswith("\ufeff") else 0
    end = len(text)
    bol = space = True
    while pos <= end:
        pos, bol, space = _scan(source, text, pos, tokens, bol, space)
        if pos > end:
            break
        quote = text[pos]
        if quote in _OPENING:
            stop, becomes, problem = _literal_problem(text, pos)
            tokens.append(Token("other", becomes, source, pos, space, bol, value=problem))
            pos = stop
        elif text.startswith("/*", pos):
            problem = Problem("missing '*/' at the end of this comment", fatal=True)
            tokens.append(Token("other", "/*", source, pos, space, bol, value=problem))
            pos = end
        else:
            tokens.append(Token("other", quote, source, pos, space, bol, value=Problem(_describe_stray(quote))))
            pos += 1
        bol = space = False
    tokens.append(Token("eof", "", source, end, True, True))
    if splices:
        for token in tokens:
            token.pos = splices.original(token.pos)
    if diagnostics is not None:
        return [token for token in tokens if token.kind != "other" or report(token, diagnostics)]
    return tokens


def _scan(source: SourceFile, text: str, pos: int, tokens: list[Token], bol: bool, space: bool) -> tuple[int, bool, bool]:
    """Appends tokens up to the first stray character; returns its place (past the end: none) and the flags there."""
    append = tokens.append
    for match in _SCAN.finditer(text, pos):
        index = match.lastindex or 0
        if index == _NEWLINE:
            bol = space = True
            continue
        start = match.start(index)
        if index == _COMMENT:
            space = True
            continue
        if start != match.start():
            space = True
        if index == _OTHER:
            return (start if start < len(text) else len(text) + 1), bol, space
        spelling = match[index]
        if index == _PUNCT and spelling in DIGRAPHS:
            append(Token("punct", DIGRAPHS[spelling], source, start, space, bol, value=spelling))
        else:
            append(Token(_KINDS[index], spelling, source, start, space, bol))
        bol = space = False
    return len(text) + 1, bol, space


def report(token: Token, diagnostics: Diagnostics) -> bool:
    """Reports the problem of an "other" token and mends it; false if it is to be dropped."""
    problem = token.value
    assert isinstance(problem, Problem)
    # the text may be mended already; the caret belongs under what is wrong, the opening quote
    diagnostics.error(problem.message, Token("other", "?", token.file, token.pos, expansion=token.expansion), code="bad-token")
    if problem.fatal:
        diagnostics.raise_if_errors()
    token.kind = problem.becomes or token.kind
    return bool(problem.becomes)


def passes(token: Token, diagnostics: Diagnostics) -> bool:
    """Reports and mends a broken literal or comment; a stray character goes on, for a macro may make a string of it."""
    problem = token.value
    assert isinstance(problem, Problem)
    return report(token, diagnostics) if problem.becomes or problem.fatal else True


def single_token(text: str) -> tuple[str, str] | None:
    """Kind and text if the whole spelling is one token (for `##`), else None."""
    match = _SINGLE.fullmatch(text)
    if match is None or match.lastindex == _COMMENT:
        return None
    return _KINDS[match.lastindex or 0], DIGRAPHS.get(text, text)
