"""BCC's `bcc.utils`: printing bytes, lists of CPUs."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

FILESYSTEMENCODING = sys.getfilesystemencoding()


def printb(s: bytes, file: IO[Any] = sys.stdout, nl: int = 1) -> None:
    """Print bytes as they are, whatever the terminal's encoding; `nl` adds a line feed."""
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
    from skep.engine.kernel.syscall import read_cpus

    return list(read_cpus(which))
