"""Files, terminals and children of a script and of what it traces stay what they are without a tracer."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest
from support import ROOT
from tracing import GETPPID, PYTHON, Trace, exit_status, open_pipe
from waiting import PATIENCE, eventually

pytestmark = pytest.mark.usefixtures("no_child_is_left")


def test_input_output_folder_and_environment_are_the_commands(tmp_path):
    (tmp_path / "in").write_text("text")
    with Trace(GETPPID) as trace, open_pipe() as (read, write):
        saved = os.dup(0)
        with open(tmp_path / "in") as file:
            os.dup2(file.fileno(), 0)
        try:
            saved_out = os.dup(1)
            os.dup2(write, 1)
            try:
                pid = trace.tracer.start(
                    ("sh", "-c", "cat; pwd; echo $A; ls -l /proc/self/fd | grep -c eventfd; trap"),
                    environment={"A": "b", "PATH": "/bin"},
                    directory="/usr",
                )
            finally:
                os.dup2(saved_out, 1)
                os.close(saved_out)
        finally:
            os.dup2(saved, 0)
            os.close(saved)
        assert trace.ended(pid) == 0
        assert os.read(read, 1000).decode().split() == ["text/usr", "b", "0"]


def test_a_command_on_a_terminal_has_job_control():
    text = (
        f"import sys; sys.path[:0] = {[str(ROOT / 'src'), str(ROOT / 'tests')]!r}\n"
        "from tracing import Trace, exit_status\n"
        f"with Trace({GETPPID!r}) as trace: print('status', exit_status(trace.run('bash', '--norc', '-i')))"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "ask "
        os.execv(sys.executable, [sys.executable, "-c", text])
    seen = b""

    def expect(what):
        nonlocal seen
        end = time.monotonic() + PATIENCE
        while what not in seen:
            assert select.select([terminal], [], [], max(0, end - time.monotonic()))[0], seen
            seen += os.read(terminal, 4096)
        seen = seen[seen.index(what) + len(what) :]

    def say(line):
        os.write(terminal, line + b"\n")

    try:
        expect(b"ask ")
        say(b"sh -c 'echo run''ning; exec sleep 60'")
        expect(b"running")
        job = os.tcgetpgrp(terminal)
        os.write(terminal, b"\x1a")  # Ctrl-Z
        expect(b"Stopped")
        say(b"jobs")
        expect(b"Stopped")
        say(b"fg")
        eventually(lambda: os.tcgetpgrp(terminal) == job)
        os.write(terminal, b"\x03")  # Ctrl-C ends sleep
        expect(b"ask ")
        say(b"echo code $?")
        expect(b"code 130")
        say(b"exit 3")
        expect(b"status 3")
        assert os.waitpid(pid, 0)[1] == 0
        pid = 0
    finally:
        os.close(terminal)
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_children_of_the_script_are_the_scripts():
    with Trace(GETPPID) as trace:
        traced = trace.tracer.start((*PYTHON, "import os, time\nwhile True: os.getppid()"))
        for code in range(20):
            assert subprocess.run(["sh", "-c", f"exit {code}"], check=False).returncode == code
        os.kill(traced, signal.SIGKILL)
        assert exit_status(trace.ended(traced)) == -9


def test_a_fork_of_the_script_leaves_the_tracer_alone():
    with Trace(GETPPID) as trace:
        traced = trace.tracer.start((*PYTHON, "import os\nwhile True: os.getppid()"))
        pid = os.fork()
        if pid == 0:
            try:
                trace.tracer.close()
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        runs = trace.programs[0].runs
        eventually(lambda: trace.programs[0].runs > runs)
        os.kill(traced, signal.SIGKILL)
        assert exit_status(trace.ended(traced)) == -9
