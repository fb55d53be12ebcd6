"""Tokens that the preprocessor makes or looks at as text: numbers, strings, prose after '#', and `skep cc -E`."""

from __future__ import annotations

from skep.compiler.lexer import single_token
from skep.compiler.source import SourceFile, Token, outermost


def command_line_token(text: str) -> Token:
    return Token("id", text, SourceFile("<command line>", text, True), 0)


def number_token(number: int, like: Token) -> Token:
    return Token("num", str(number), like.file, like.pos, like.space, False, None, like.expansion)


def string_token(text: str, like: Token) -> Token:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return Token("str", f'"{escaped}"', like.file, like.pos, like.space, False, None, like.expansion)


def reads_as_words(tokens: list[Token]) -> bool:
    """Three names in a row: English rather than C."""
    return len(tokens) == 3 and all(token.kind == "id" and token.space for token in tokens)


def is_prose(word: Token, line: list[Token]) -> bool:
    """Whether `# if it exists ...` is a comment in the manner of Python; no #if, #elif or #include has names in a row."""
    if word.text not in ("if", "elif", "include") or not word.space or len(line) < 3:
        return False
    return reads_as_words(line[:3]) and "defined" not in (line[1].text, line[2].text)


def spell(tokens: list[Token]) -> str:
    return "".join((" " if token.space and index else "") + token.text for index, token in enumerate(tokens))


def print_tokens(tokens: list[Token]) -> str:
    """C text of preprocessed tokens, lines kept roughly; it lexes to the same tokens again."""
    pieces: list[str] = []
    file: SourceFile | None = None
    line = 0
    previous: Token | None = None
    for token in tokens:
        if token.kind == "eof":
            break
        place = outermost(token)
        number = place.file.line_of(place.pos)
        new_line = previous is not None and (place.file is not file or number > line)
        if token.kind == "pragma" or (previous is not None and previous.kind == "pragma"):
            pieces.append("\n" * (previous is not None))
            previous = None
        elif new_line:
            pieces.append("\n" * (min(number - line, 2) if place.file is file else 1))
            previous = None
        if previous is None:
            pieces.append(" " * (place.file.column_of(place.pos) - 1 if token.kind != "pragma" else 0))
        elif token.space or _would_join(previous.text, token.text):
            pieces.append(" ")
        pieces.append(f"#pragma {token.text}" if token.kind == "pragma" else token.text)
        previous, file = token, place.file
        line = max(line, number) if not new_line or place.file is file else number
    pieces.append("\n")
    return "".join(pieces)


def _would_join(left: str, right: str) -> bool:
    """Whether two tokens written without a space would be read as other tokens."""
    if left[-1] in ")];{}," or right[0] in "()[];{},":
        return False
    if left == "." or (left + right)[:2] in ("//", "/*"):
        return True
    return any(single_token(left + right[:size]) is not None for size in range(1, len(right) + 1))
