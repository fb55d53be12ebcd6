"""What cannot be traced or started, and what the error says."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support import ROOT
from tracing import GETPPID, PYTHON, Busy, Trace, exit_status, open_pipe, state
from waiting import eventually

from skep.engine.user import tracer_layout as layout
from skep.engine.user.layout import Env
from skep.engine.user.tracer import Tracer
from skep.errors import AttachError, PrivilegeError, SkepError, UnsupportedError

pytestmark = pytest.mark.usefixtures("no_child_is_left")


def test_a_tracee_cannot_be_traced_again():
    text = "import ctypes; libc = ctypes.CDLL(None, use_errno=True); print(libc.ptrace(0, 0, 0, 0), ctypes.get_errno())"
    with Trace(GETPPID) as trace, open_pipe() as (read, write):
        start_with_output(trace, write, *PYTHON, text)
        assert os.read(read, 100) == b"-1 1\n"  # PTRACE_TRACEME: EPERM


def start_with_output(trace, fd, *argv):
    """Run a command with its output to `fd`; its wait status."""
    saved = os.dup(1)
    os.dup2(fd, 1)
    try:
        pid = trace.tracer.start(argv)
    finally:
        os.dup2(saved, 1)
        os.close(saved)
    return trace.ended(pid)


def test_errors_say_why_a_process_cannot_be_traced():
    with Tracer(Env()) as tracer, Busy() as busy:
        with pytest.raises(AttachError, match="no such process"):
            tracer.attach(4_000_000)
        with pytest.raises(AttachError, match="a process cannot trace itself"):
            tracer.attach(os.getpid())
        ended = subprocess.Popen(["true"])
        eventually(lambda: state(ended.pid) == "Z")
        with pytest.raises(AttachError, match="it has ended"):
            tracer.attach(ended.pid)
        ended.wait()
        with Tracer(Env()) as other:
            other.attach(busy.pid)
            with pytest.raises(AttachError, match=r"process \d+ traces it already"):
                tracer.attach(busy.pid)
        tracer.attach(busy.pid)


def test_processes_of_the_kernel_and_of_others_are_refused_with_the_reason():
    with Tracer(Env()) as tracer:
        if os.geteuid() == 0:
            with pytest.raises(AttachError, match="it is a thread of the kernel"):
                tracer.attach(2)
        else:
            with pytest.raises(PrivilegeError, match=f"it runs as user 0, this is user {os.geteuid()}"):
                tracer.attach(1)


def test_commands_that_cannot_run_are_errors():
    with Tracer(Env()) as tracer:
        with pytest.raises(SkepError, match="there is no command 'no-such-command'"):
            tracer.start(["no-such-command"])
        with pytest.raises(SkepError, match=r"cannot start '/etc/passwd': EACCES"):
            tracer.start(["/etc/passwd"])
        with pytest.raises(SkepError, match="its folder '/nowhere' cannot be entered"):
            tracer.start(["true"], directory="/nowhere")
        assert tracer.tracees == 0
        assert tracer.wait(0) == []


def test_a_command_that_another_thread_hears_the_end_of_before_its_start_returns_is_not_waited_for():
    """A thread that waits meanwhile is what the user engine has (session.py)."""
    with Trace() as trace:
        heard = []
        listener = threading.Thread(target=lambda: heard.append(trace.ended(pid)))
        request = trace.tracer._request

        def slow(kind, *arguments):
            nonlocal pid
            result = request(kind, *arguments)
            if kind == layout.START:
                pid = result
                listener.start()
                eventually(lambda: trace.tracer.tracees == 0)
                listener.join(0.1)
            return result

        pid = 0
        trace.tracer._request = slow
        assert trace.tracer.start(["true"]) == pid
        listener.join()
        assert [exit_status(status) for status in heard] == [0]
        assert not trace.tracer._owned


def test_under_another_tracer_starting_says_so():
    if not Path("/usr/bin/strace").exists():
        pytest.skip("strace is not installed")
    text = (
        f"import sys; sys.path[:0] = {[str(ROOT / 'src')]!r}\n"
        "from skep.engine.user.layout import Env\nfrom skep.engine.user.tracer import Tracer\n"
        "with Tracer(Env()) as tracer: tracer.start(['true'])"
    )
    result = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", sys.executable, "-c", text], capture_output=True, text=True, check=False
    )
    assert UnsupportedError.__name__ in result.stderr
    assert "traces this one and all that it starts" in result.stderr
