"""The `skep` command: finds the subcommand, runs it, and turns what went wrong into a line of text and an exit status.

Each subcommand is a module here with `main(arguments) -> exit status`, imported only when it is asked for.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

from skep._version import VERSION
from skep.errors import CompileError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of a write to standard output

COMMANDS = {
    "run": "run a BCC script, unmodified",
    "demo": "count execve per user id over a short workload",
    "doctor": "what this kernel and this user can do, and what to do about each no",
    "cc": "compile a C file to a BPF object",
    "disasm": "print the programs of an object file",
}

USAGE = f"""usage: skep COMMAND ...

eBPF for Python: C programs in BCC's dialect, run in the Linux kernel, without clang or kernel headers.

{os.linesep.join(f"  skep {name:<8}{summary}" for name, summary in COMMANDS.items())}

`skep COMMAND --help` tells more. SKEP_DEBUG=1 shows the traceback of an error.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one `skep` command line; returns the exit status (a script's own SystemExit passes through)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _open_closed_streams()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        try:
            return _dispatch(words)
        finally:
            sys.stdout.flush()
    except SkepError as error:
        report(error)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        _drop_output()  # the reader of our output has gone (`| head`)
        return 128 + signal.SIGPIPE
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OUTPUT_ERRORS and error.filename is None:
            _drop_output()
            report(SkepError(f"cannot write the output: {error.strerror}"))
        else:
            report_fault(error)
        return 1


def debugging() -> bool:
    """Whether tracebacks are wanted: SKEP_DEBUG=1."""
    return os.environ.get("SKEP_DEBUG", "0") not in ("", "0")


def in_skep(code: CodeType) -> bool:
    """Whether code is Skep's own, and not a script's or a library's."""
    return code.co_filename.startswith(_PACKAGE)


_FOR_SCRIPTS = ("__getattr__", "find_spec")  # these say that a script asked for what is not there


def is_internal(error: Exception) -> bool:
    """Whether Skep's own code raised this, which is no SkepError: a fault of ours."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or (isinstance(error, OSError) and error.errno in _OUTPUT_ERRORS):
        return False
    code = trace.tb_frame.f_code
    return in_skep(code) and code.co_name not in _FOR_SCRIPTS


def report_fault(error: Exception, place: str = "") -> None:
    """Print one line about an error that should not be, and ask for a report."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})" if trace is not None else ""
    text = (
        f"this is a fault of Skep itself{where}: {type(error).__name__}: {error}; please report it, with what SKEP_DEBUG=1 shows"
    )
    report(SkepError(text), place, cause=error)


def _open_closed_streams() -> None:
    """What a caller has closed (`>&-`) leads nowhere: Python has None for it, and files opened later would take its fd."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)
            if fd != number:
                os.dup2(fd, number)
                os.close(fd)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 - for as long as the process


def _drop_output() -> None:
    """Let the interpreter's own last flush go nowhere: it would meet the same error again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(error: SkepError, place: str = "", *, cause: Exception | None = None) -> None:
    """Print an error for a person: to stderr, without a traceback unless SKEP_DEBUG is set."""
    if debugging():
        import traceback

        traceback.print_exception(cause or error)
        return
    try:
        sys.stdout.flush()
    except OSError:
        pass  # what could not be written is what is reported, or comes second to it
    # A compiler's diagnostics say `file:line:col: error:` themselves, as editors expect them at the start of a line.
    text = str(error) if isinstance(error, CompileError) and error.diagnostics else f"skep: error: {error}"
    print(text.rstrip("\n") + (f"\nskep: raised at {place}" if place else ""), file=sys.stderr)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="", file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"skep {VERSION}")
        return 0
    if words[0] not in COMMANDS:
        print(f"skep: error: no command {words[0]!r}; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    from importlib import import_module

    status: int = import_module(f"skep.cli.{words[0]}").main(words[1:])
    return status


def _terminate(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the process as an exit does, so that `finally` blocks and atexit functions detach what is attached."""
    raise SystemExit(128 + number)
