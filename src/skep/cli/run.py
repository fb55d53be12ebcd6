"""`skep run`: runs a BCC script as it is, with `import bcc` meaning `skep.bcc`."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from skep.cli import debugging, in_skep, is_internal, report, report_fault
from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, TracebackType
    from typing import Protocol

    class Companion(Protocol):
        """What runs beside a script and may end it as Ctrl-C does."""

        def ended_script(self) -> bool: ...
        def close(self) -> None: ...
        def check(self) -> None: ...


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.engine:
        os.environ["SKEP_ENGINE"] = options.engine
    command = _split(options.command)
    from skep.engine.choose import engine_name

    follows = options.command is not None or options.pid is not None
    engine = engine_name(traces=True) if follows else ""
    if options.pid is not None and engine != "user":
        raise SkepError(
            f"-p {options.pid}: only the user engine traces one process; the kernel engine sees every process of the "
            "machine (filter in the program, with bpf_get_current_pid_tgid()). Give --engine user, or leave -p out"
        )
    if options.pid is not None and options.command is not None:
        raise SkepError("-c starts a command to trace, -p traces a process that runs: give one of them")
    code = _compile(options.script)
    from skep.bcc import install

    install()
    sys.argv = [options.script, *options.arguments]
    try:
        sys.path[0] = os.path.dirname(os.path.realpath(options.script))
    except FileNotFoundError:  # the current folder was removed
        sys.path[0] = os.path.dirname(options.script)
    if not follows and options.duration is None:
        return _execute(code, options.script, [])
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with SIGINT ignored
    companions = _companions(command, options.pid, options.duration, engine)
    status: object = 1
    try:
        status = _execute(code, options.script, companions)
        return status
    except SystemExit as end:
        status = end.code
        raise
    finally:
        for companion in companions:
            companion.close()
        if status in (0, None):
            for companion in companions:
                companion.check()


def _companions(command: list[str], pid: int | None, duration: float | None, engine: str) -> list[Companion]:
    """What runs beside the script: who starts a command, follows a process or watches the time."""
    from skep.cli.supervise import Supervisor

    if engine != "user":
        return [Supervisor(command, duration)]
    from skep.cli.traced import Traced

    companions: list[Companion] = [] if duration is None else [Supervisor([], duration)]
    return [*companions, Traced(command, pid)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skep run",
        description="Run a BCC script, unmodified: `from bcc import BPF` means Skep.",
        epilog="Exit status: the script's; 130 after Ctrl-C; 0 when -c or -d ended a script that lets KeyboardInterrupt pass.",
    )
    add = parser.add_argument
    add("--engine", choices=("auto", "kernel", "user"), help="what runs the programs (default: $SKEP_ENGINE, or auto)")
    add(
        "-c",
        dest="command",
        metavar="CMD",
        help="start CMD once the script waits for events, and end the script as Ctrl-C does when CMD ends; CMD is split in words "
        "as a shell does, and ended when the script ends; the user engine traces it",
    )
    add("-p", dest="pid", metavar="PID", type=int, help="trace a process that runs, until it ends (user engine only)")
    add("-d", dest="duration", metavar="SECONDS", type=_seconds, help="after SECONDS, end the script as Ctrl-C does")
    add("script", metavar="SCRIPT")
    add("arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="the script's own arguments").required = False
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a time in seconds above 0")
    return value


def _split(command: str | None) -> list[str]:
    if command is None:
        return []
    import shlex

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SkepError(f"-c: cannot split {command!r} into words: {error}") from None
    if not words:
        raise SkepError("-c: the command is empty")
    return words


def _compile(script: str) -> CodeType:
    try:
        with open(script, "rb") as file:
            text = file.read()
    except OSError as error:
        raise SkepError(f"cannot read the script {script!r}: {error.strerror}") from None
    try:
        return compile(text, script, "exec", dont_inherit=True)
    except SyntaxError as error:
        if error.filename is None:  # zero bytes
            raise SkepError(f"{script!r} is no Python script: {error}") from None
        sys.excepthook(type(error), error.with_traceback(None), None)
        raise SystemExit(1) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise SkepError(f"{script!r} is no Python script: {error or type(error).__name__}") from None


def _execute(code: CodeType, script: str, companions: Sequence[Companion]) -> int:
    module = type(sys)("__main__")
    module.__file__ = script
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    try:
        exec(code, module.__dict__)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 0 if any(companion.ended_script() for companion in companions) else 128 + signal.SIGINT
    except SkepError as error:
        report(error, _place(error.__traceback__, script))
        return 1
    except (SystemExit, BrokenPipeError):
        raise
    except BaseException as error:
        if isinstance(error, Exception) and is_internal(error):
            report_fault(error, _place(error.__traceback__, script))
        elif debugging():
            sys.excepthook(type(error), error, error.__traceback__)
        else:
            _keep_script_frames(error)
            sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _keep_script_frames(error: BaseException | None) -> None:
    """Take Skep's own frames out of the tracebacks of an error and of those that led to it: they say nothing about the script."""
    while error is not None:
        frames = []
        trace = error.__traceback__
        while trace is not None:
            if not in_skep(trace.tb_frame.f_code):
                frames.append(trace)
            trace = trace.tb_next
        kept = None
        for frame in reversed(frames):
            frame.tb_next = kept
            kept = frame
        error.__traceback__ = kept
        error = error.__cause__ or error.__context__


def _place(trace: TracebackType | None, script: str) -> str:
    """`script:line` of the script's innermost frame."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == script:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{script}:{line}" if line else ""
