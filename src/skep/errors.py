"""Every exception that Skep raises, one tree.

SkepError(Exception)
  CompileError      .diagnostics (tuple of Diagnostic)
  ObjectError       a bad or unsupported object file
  VerifierError     .log .insn .source_line .hint .errno
  AttachError       .attempts (each rung with its reason) .candidates
  PrivilegeError    .missing (capability names)
  UnsupportedError  .needs (kernel version, configuration option or engine)
  MapError          .errno .map_name; MapKeyError is also a KeyError, MapIndexError an IndexError
  ExecutionError    user engine: .insn .source_line; InvalidInstruction, MemoryFault (.address), TimeLimit
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs 7 ms at start-up; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.compiler.diagnostics import Diagnostic


class SkepError(Exception):
    """Base of all of Skep's errors: the text says what failed, why, and what to do."""


class CompileError(SkepError):
    """C text that does not compile; `.diagnostics` holds every error and warning, `str()` renders them."""

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic] = ()) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


class ObjectError(SkepError):
    """An object file that is damaged, or that asks for something that Skep does not support."""


class VerifierError(SkepError):
    """The kernel's verifier refused a program; `str()` is short, `.log` is the whole log."""

    def __init__(
        self, message: str, *, log: str = "", insn: int | None = None, source_line: str = "", hint: str = "", errno: int = 0
    ) -> None:
        super().__init__(message)
        self.log = log
        self.insn = insn
        self.source_line = source_line
        self.hint = hint
        self.errno = errno


class AttachError(SkepError):
    """A hook that could not be attached; `.attempts` is a list of (rung, reason), `.candidates` near names."""

    def __init__(self, message: str, *, attempts: Sequence[tuple[str, str]] = (), candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.attempts = list(attempts)
        self.candidates = list(candidates)


class PrivilegeError(SkepError):
    """The process lacks a privilege; `.missing` names the capabilities."""

    def __init__(self, message: str, *, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing = list(missing)


class UnsupportedError(SkepError):
    """Something that this kernel, engine or version of Skep cannot do; `.needs` says what would."""

    def __init__(self, message: str, *, needs: str = "") -> None:
        super().__init__(message)
        self.needs = needs


class MapError(SkepError):
    """A map operation that failed; `.errno` is the kernel's answer, `.map_name` the map."""

    def __init__(self, message: str, *, errno: int = 0, map_name: str = "") -> None:
        super().__init__(message)
        self.errno = errno
        self.map_name = map_name


class MapKeyError(MapError, KeyError):
    """No such key in the map."""

    __str__ = Exception.__str__  # KeyError would print the repr


class MapIndexError(MapError, IndexError):
    """An index outside the array."""


class ExecutionError(SkepError):
    """A program that the user engine refused or stopped; `.insn` counts 8-byte units, `.source_line` is its C line, if known."""

    def __init__(self, message: str, *, insn: int | None = None, source_line: str = "") -> None:
        super().__init__(message)
        self.insn = insn
        self.source_line = source_line


class InvalidInstruction(ExecutionError):
    """Bytecode that is no valid program: found before it runs, or a call of what is no function."""


class MemoryFault(ExecutionError):
    """An access outside of everything that the program may touch; `.address` is where, 0 if it was refused at load."""

    def __init__(self, message: str, *, insn: int | None = None, source_line: str = "", address: int = 0) -> None:
        super().__init__(message, insn=insn, source_line=source_line)
        self.address = address


class TimeLimit(ExecutionError):
    """A program that ran for longer than it may."""
