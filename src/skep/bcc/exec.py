"""BCC's `bcc.exec`: a command that waits until the script is ready, for tools with a `-c` of their own."""

from __future__ import annotations

import os
import sys
from select import select

from skep.commands import words_of
from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_running: list[_Command] = []


class _Command:
    """A forked child that has not run its command yet; closing the pipe lets it."""

    def __init__(self, args: Sequence[str]) -> None:
        end, self.gate = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self.gate)
            select([end], [], [])
            _execute(args)
        os.close(end)
        self.ended = False


def run_cmd(args: Sequence[str]) -> int:
    """Fork a child that runs a command once `cmd_ready` is called; its pid."""
    _running[:] = [_Command(words_of(args, "run_cmd"))]
    return _running[0].pid


def cmd_ready() -> None:
    """Let the command start."""
    if not _running:
        raise SkepError("cmd_ready(): there is no command; run_cmd([...]) comes first")
    os.close(_running[0].gate)


def cmd_exited() -> bool:
    """Whether the command has ended."""
    command = _running[0]
    if not command.ended:
        command.ended = os.waitpid(command.pid, os.WNOHANG)[0] == command.pid
    return command.ended


def _execute(args: Sequence[str]) -> None:
    try:
        os.execvp(args[0], list(args))
    except OSError as error:
        print(f"cannot run {' '.join(args)}: {error.strerror}", file=sys.stderr)
    finally:
        os._exit(127)
