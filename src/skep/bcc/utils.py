"""BCC's `bcc.utils`: printing bytes, lists of CPUs, languages of processes, comparisons of strings."""

from __future__ import annotations

import os
import sys

from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Container
    from typing import IO, Any

FILESYSTEMENCODING = sys.getfilesystemencoding()


def printb(s: bytes, file: IO[Any] = sys.stdout, nl: int = 1) -> None:
    """Print bytes as they are, whatever the terminal's encoding; `nl` adds a line feed."""
    if not isinstance(s, (bytes, bytearray)):
        raise SkepError(f"printb() prints bytes, not {type(s).__name__} {s!r}")
    file.flush()  # what print() left in the text layer goes first
    out = getattr(file, "buffer", file)
    out.write(s + b"\n" if nl else s)
    out.flush()


def get_online_cpus() -> list[int]:
    """Numbers of the CPUs that run now."""
    return _cpus("online")


def get_possible_cpus() -> list[int]:
    """Numbers of the CPUs that may ever run: what per-CPU maps have room for."""
    return _cpus("possible")


def _cpus(which: str) -> list[int]:
    from skep.engine.cpus import read_cpus

    return list(read_cpus(which))


class ArgString:
    """An argument of the command line as str() and as bytes()."""

    def __init__(self, arg: str) -> None:
        if not isinstance(arg, str):
            raise SkepError(f"ArgString takes str, not {type(arg).__name__} {arg!r}")
        self.s = arg

    def __bytes__(self) -> bytes:
        return self.s.encode(FILESYSTEMENCODING, "surrogateescape")

    def __str__(self) -> str:
        return self.s


_LANGUAGES = ("java", "node", "perl", "php", "python", "ruby", "tcl")


def detect_language(candidates: Container[str | None], pid: int) -> str | None:
    """Which of the candidates a process is written in, from its program and its libraries; "c" where only libc is there."""
    try:
        program = os.path.realpath(f"/proc/{pid}/exe")
        with open(f"/proc/{pid}/maps") as maps:
            files = {os.path.basename(fields[5].rstrip("\n")) for line in maps if len(fields := line.split(None, 5)) == 6}
    except OSError:
        return None
    found = next((name for name in _LANGUAGES if name in program), None)
    found = found or next((name for name in _LANGUAGES if any(file.startswith(f"lib{name}") for file in files)), None)
    if found is None and any(file.startswith(("libc.", "libc-")) for file in files):
        found = "c"
    return found if found in candidates else None


class StrcmpRewrite:
    """STRCMP("text", pointer) in the expressions of argdist and trace: a C function for each text."""

    @staticmethod
    def rewrite_expr(
        expr: str, bin_cmp: bool, is_user: bool, probe_user_list: Container[str], streq_functions: str, probeid: int
    ) -> dict[str, Any]:
        """{"expr": with calls of the functions, "streq_functions": C text, "probeid": the next number}.

        With `bin_cmp` the text between the quotes is an initializer, such as {0x1, 0x2}. What is the user's is said by `is_user`
        and `probe_user_list`, pointers by name.
        """
        from re import sub

        definitions = [streq_functions]

        def call(match: re.Match[str]) -> str:
            nonlocal probeid
            text, pointer = match.groups()
            place = "_user" if is_user or pointer.strip() in probe_user_list else ""
            definitions.append(_SAME_TEXT % (probeid, text if bin_cmp else f'"{text}"', place))
            probeid += 1
            return f"streq_{probeid - 1}({pointer})"

        expr = sub(r'STRCMP\("([^"]+)",\s*(.+?)\)', call, expr)
        return {"expr": expr, "streq_functions": "".join(definitions), "probeid": probeid}


_SAME_TEXT = """
static inline int streq_%d(unsigned long at)
{
    char wanted[] = %s, found[sizeof(wanted)] = {};
    bpf_probe_read%s(found, sizeof(found), (void *)at);
    for (int i = 0; i < sizeof(wanted) - 1; i++)
        if (wanted[i] != found[i])
            return 0;
    return 1;
}
"""
