"""The `skep` command: finds the subcommand, runs it, and turns what went wrong into a line of text and an exit status.

Each subcommand is a module here with `main(arguments) -> exit status`, imported only when it is asked for.
"""

from __future__ import annotations

import os
import signal
import sys

from skep._version import VERSION
from skep.errors import CompileError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

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
        # The reader of our output has gone (`| head`): the interpreter's own last flush must not meet it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})" if trace is not None else ""
        report(
            SkepError(f"this is a fault of Skep itself{place}: {type(error).__name__}: {error}; please report it"), cause=error
        )
        return 1


def report(error: SkepError, place: str = "", *, cause: Exception | None = None) -> None:
    """Print an error for a person: to stderr, without a traceback unless SKEP_DEBUG is set."""
    if os.environ.get("SKEP_DEBUG", "0") not in ("", "0"):
        import traceback

        traceback.print_exception(cause or error)
        return
    sys.stdout.flush()
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
