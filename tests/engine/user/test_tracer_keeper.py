"""The tracer's process: it is killed, it crashes, the script ends without it; and nobody waits for it by accident."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from support import ROOT
from tracing import GETPPID, Busy, Trace, state, tracer_of
from waiting import PATIENCE, eventually

from skep.errors import SkepError

pytestmark = pytest.mark.usefixtures("no_child_is_left")


def test_an_attached_process_goes_on_when_the_keeper_is_killed():
    with Busy() as busy:
        trace = Trace(GETPPID)
        trace.tracer.attach(busy.pid)
        os.kill(tracer_of(busy.pid), signal.SIGKILL)
        with pytest.raises(SkepError, match="the tracer's process ended: signal 9"):
            trace.tracer.wait(PATIENCE)
        trace.tracer.close()
        busy.assert_untouched()


def test_what_was_started_ends_with_a_killed_keeper_and_closing_still_works():
    with Trace(GETPPID) as trace:
        pid = trace.tracer.start(("sh", "-c", "trap '' TERM; sleep 60"))
        os.kill(tracer_of(pid), signal.SIGKILL)
    eventually(lambda: state(pid) in ("", "Z"))


def test_machine_code_that_crashes_ends_the_tracer_and_neither_python_nor_the_tracee():
    with Busy() as busy:
        trace = Trace(GETPPID)
        trace.tracer.attach_program(trace.programs[0].event, 8)  # nothing is at this address

        def attach_and_wait():
            trace.tracer.attach(busy.pid)
            trace.tracer.wait(PATIENCE)

        with pytest.raises(SkepError, match="the tracer's process ended: signal 11 in machine code"):
            attach_and_wait()
        trace.tracer.close()
        busy.assert_untouched()


def test_no_process_of_skep_is_left_when_the_script_ends_without_closing():
    with Busy() as busy:
        text = (
            f"import os, sys; sys.path[:0] = {[str(ROOT / 'src'), str(ROOT / 'tests')]!r}\n"
            f"from tracing import Trace, tracer_of\ntrace = Trace({GETPPID!r})\ntrace.tracer.attach({busy.pid})\n"
            f"print(tracer_of({busy.pid}), flush=True)\n"
        )
        for end in ("", "os._exit(3)", "os.execv('/bin/true', ['true'])", "os.kill(os.getpid(), 15)"):
            result = subprocess.run(
                [sys.executable, "-c", text + end], capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            keeper = int(result.stdout)
            eventually(lambda keeper=keeper: state(keeper) in ("", "Z"))
            busy.assert_untouched()


def test_waits_of_the_script_see_no_tracee():
    with Busy() as busy, Trace(GETPPID) as trace:
        trace.tracer.attach(busy.pid)
        while trace.programs[0].runs < 500:
            assert os.waitpid(busy.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED) == (0, 0)
            time.sleep(0.001)
        assert busy.process.poll() is None


def test_an_engine_that_nobody_closes_does_not_hold_the_script() -> None:
    code = (
        "from skep.engine.user.engine import UserEngine\nengine = UserEngine()\n"
        "print(engine.trace_command(['sleep', '600'], (-1, 2, -1), None).pid)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment, timeout=PATIENCE, check=False
    )
    assert run.returncode == 0
    eventually(lambda: not os.path.exists(f"/proc/{int(run.stdout)}"))
