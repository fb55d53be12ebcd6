"""`-c` and `-p` of `skep run` with the user engine: the command is traced by the script's own process, as a debugger traces.

A thread starts it once the script waits for events, and ends the script like Ctrl-C when it ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time

from skep.cli.supervise import LOOK, QUIET, UNATTACHED_WAIT, WAITS, reads_the_rest, stat_fields
from skep.engine.user.tracer_errors import require_proc
from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.engine.user.session import Session


class Traced:
    """What a script is to trace: a command that begins when the script is ready, or a process that runs."""

    def __init__(self, command: Sequence[str], pid: int | None) -> None:
        self._command = list(command)
        self._pid = pid
        if command and not shutil.which(command[0]):
            where = "" if "/" in command[0] else f" (PATH is {os.environ.get('PATH', '')})"
            raise SkepError(f"-c: there is no command {command[0]!r}{where}")
        require_proc()
        self._script = os.getpid()
        self._over = threading.Event()
        self._done = False
        self._began = False
        self._failure: SkepError | None = None
        self._acquired: Session | None = None
        self._thread = threading.Thread(target=self._run, name="skep-traced", daemon=True)
        self._thread.start()

    def ended_script(self) -> bool:
        """Whether the script was asked to end by this, and not by the user's Ctrl-C."""
        return self._done

    def close(self) -> None:
        """Wait for the thread; what was started ends with the script's last BPF object."""
        if os.getpid() == self._script:
            self._over.set()
            self._thread.join()
            if self._acquired is not None:
                from skep.engine.user.session import release

                release(self._acquired)
                self._acquired = None

    def check(self) -> None:
        """Raise when nothing was ever traced."""
        if os.getpid() != self._script:
            return
        if self._failure is not None:
            raise self._failure
        if not self._began:
            what = f"-c: {self._command[0]!r} was not started" if self._command else f"-p: process {self._pid} was not traced"
            raise SkepError(f"{what}: the script ended before it waited for events")

    def _run(self) -> None:
        session = self._wait_until_ready()
        if session is None:
            return
        try:
            if self._pid is None:
                pid = session.start(self._command)
            else:
                pid = self._pid
                session.attach(pid)
            self._began = True
        except SkepError as error:
            self._failure = SkepError(f"{'-c' if self._pid is None else '-p'}: {error}")
        else:
            try:
                while session.wait(pid, LOOK * 10) is None:
                    if self._over.is_set():
                        return
            except SkepError:  # the script closed what traced it
                return
            if reads_the_rest(self._script, self._over.wait):
                return
        if not self._over.is_set():
            self._done = True
            os.kill(self._script, signal.SIGINT)

    def _wait_until_ready(self) -> Session | None:
        """The session, once the script has attached its programs and its first thread waits; None when the script is over.

        As for the kernel engine (skep.cli.supervise), but the session knows whether there are programs.
        """
        from skep.engine.user.session import acquire, current

        waits, programs, quiet_since = 0, 0, time.process_time()
        while not self._over.wait(LOOK):
            session = current()
            waits = waits + 1 if stat_fields(self._script)[:1] == ["S"] else 0
            if session is not None and session.programs != programs:
                programs, waits, quiet_since = session.programs, 0, time.process_time()
            if _prepares():
                waits, quiet_since = 0, time.process_time()
            never_waits = programs and time.process_time() - quiet_since > QUIET
            if never_waits or waits >= (WAITS if programs else UNATTACHED_WAIT / LOOK):
                if session is None:  # a script without a BPF object; the command runs all the same
                    session = self._acquired = acquire()
                return session
        return None


# What compiles, attaches and asks the tracer; nothing in these waits for events.
_PREPARING = tuple(
    f"/skep/{name}.py" for name in ("build", "llvm", "llvm_server", "native", "engine/user/jit", "engine/user/tracer")
)


def _prepares() -> bool:
    """Whether the script's first thread compiles or attaches a program, so that what it may wait for are no events."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_code.co_filename.endswith(_PREPARING):
            return True
        frame = frame.f_back
    return False
