"""The files of one preprocessor run: finding headers, reading them, and the state of each file being read."""

from __future__ import annotations

import errno
import os
import re
from functools import cache

from skep.compiler.lexer import tokenize
from skep.compiler.source import SourceFile, Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# what these declare is there without them, as the running kernel has it: copies beside a text or on its path are not read
_WITHOUT_FILE = frozenset(f"bpf/bpf_{name}.h" for name in ("helpers", "helper_defs", "tracing", "core_read", "endian"))
HEADERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "headers")


def builtin_header(name: str) -> str | None:
    """The path of one of Skep's own headers; `uapi/linux/x.h` is `linux/x.h` unless there is one of its own."""
    for candidate in (name, name.removeprefix("uapi/")):
        path = os.path.join(HEADERS, candidate)
        if ".." not in candidate.split("/") and os.path.isfile(path):
            return path
    return None


@cache
def _own_headers() -> dict[str, str]:
    """Name and text of each of Skep's own headers."""
    found = {}
    for folder, _, files in sorted(os.walk(HEADERS)):
        for file in sorted(files):
            path = os.path.join(folder, file)
            with open(path, encoding="utf-8") as opened:
                found[os.path.relpath(path, HEADERS)] = opened.read()
    return found


def header_that_has(name: str) -> str:
    """Which of Skep's own headers defines a macro, a function, an enumerator or a struct; "" for none."""
    defined = re.compile(rf"^(#define {name}\b|static .*\b{name}\(|struct {name} \{{|\s+{name}( =|,|$))", re.MULTILINE)
    return next((header for header, text in _own_headers().items() if name and name in text and defined.search(text)), "")


def needs_no_file(name: str) -> bool:
    return name.rpartition("/")[2] == "vmlinux.h" or name in _WITHOUT_FILE


def read_source(path: str, name: str | None = None, system: bool = False) -> SourceFile:
    """A file as a SourceFile; bytes that are not UTF-8 survive into string literals."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        text = file.read()
    if "\0" in text[:1024]:
        raise OSError(errno.ENOEXEC, "it is binary data, not a C text")
    return SourceFile(name or path, text, system, os.path.dirname(path))


class Conditional:
    """An open #if: its directive, whether a branch was taken, its #else."""

    __slots__ = ("otherwise", "taken", "token")

    def __init__(self, token: Token, taken: bool) -> None:
        self.token = token
        self.taken = taken
        self.otherwise: Token | None = None


class OpenFile:
    """A file being read: its tokens, the next one's index, the open conditionals and what finding it again needs.

    `directory_index` is the place in the include path where it was found, for #include_next. `guard` is the macro of an
    `#ifndef` around the whole file, as far as is known.
    """

    __slots__ = ("conditionals", "directory_index", "guard", "index", "path", "source", "tokens")

    def __init__(self, source: SourceFile, path: str = "", directory_index: int = -1) -> None:
        self.source = source
        self.path = path
        self.directory_index = directory_index
        self.tokens = tokenize(source)
        self.index = 0
        self.conditionals: list[Conditional] = []
        self.guard = ""

    def take_line(self) -> list[Token]:
        """The tokens up to the end of the line; the next token is the first of the next line."""
        start = end = self.index
        tokens = self.tokens
        while not tokens[end].bol:  # eof counts as the beginning of a line
            end += 1
        self.index = end
        return tokens[start:end]

    def line_text(self, token: Token) -> str:
        """The text of the line from a token on, as written."""
        end = self.source.text.find("\n", token.pos)
        return self.source.text[token.pos : end if end >= 0 else None].strip()


class Found:
    """Where a header was found."""

    __slots__ = ("directory_index", "path", "system")

    def __init__(self, path: str, directory_index: int, system: bool) -> None:
        self.path = path
        self.directory_index = directory_index
        self.system = system


class HeaderSearch:
    """The include path: beside the including file, the directories of -I, then Skep's own headers."""

    def __init__(self, include_dirs: Sequence[str], find_header: Callable[[str], str | None]) -> None:
        self.include_dirs = list(include_dirs)
        self.find_header = find_header

    def find(self, name: str, quoted: bool, file: OpenFile, after: bool = False) -> Found | None:
        """`quoted`: the name was in quotes; `after`: go on behind the directory that `file` came from (#include_next)."""
        if os.path.isabs(name):
            return Found(name, -1, False) if os.path.isfile(name) else None
        after = after and file.source.includer is not None  # #include_next in the main text is #include, as for clang
        if quoted and not after:
            path = os.path.join(file.source.directory, name)
            if os.path.isfile(path):
                return Found(path, file.directory_index, file.source.system)
        first = file.directory_index + 1 if after else 0
        for index in range(first, len(self.include_dirs)):
            path = os.path.join(self.include_dirs[index], name)
            if os.path.isfile(path):
                return Found(path, index, False)
        own = None if after and first > len(self.include_dirs) else self.find_header(name)
        return Found(own, len(self.include_dirs), True) if own else None

    def places(self, file: OpenFile) -> str:
        """Where a quoted header was looked for, for an error."""
        return ", ".join([file.source.directory or ".", *self.include_dirs])
