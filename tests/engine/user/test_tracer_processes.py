"""Traced processes behave as untraced ones: signals, stops, ends; started ones and those that are attached to."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support import ROOT
from tracing import GETPPID, PYTHON, Busy, Trace, children_of, exit_status, state, tracer_of
from waiting import PATIENCE, eventually

from skep.engine.user.layout import Env
from skep.engine.user.tracer import Tracer
from skep.errors import AttachError

pytestmark = pytest.mark.usefixtures("no_child_is_left")


@pytest.mark.parametrize(("command", "expected"), [("exit 7", 7), ("kill -TERM $$", -15), ("kill -SEGV $$", -11), ("true", 0)])
def test_the_exit_status_is_passed_through(command, expected):
    with Trace("tracepoint/sched:sched_process_exit") as trace:
        assert exit_status(trace.run("sh", "-c", command)) == expected
        assert [row.bytes[32] for row in trace.rows(0)] == [1] * len(trace.rows(0))


def test_signals_arrive_with_what_they_carry():
    text = """
import os, signal
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append("usr1"))
signal.signal(signal.SIGTRAP, lambda *_: got.append("trap"))
for _ in range(50):
    os.kill(os.getpid(), signal.SIGUSR1)
os.kill(os.getpid(), signal.SIGTRAP)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN + 2])
os.kill(os.getpid(), signal.SIGRTMIN + 2)
info = signal.sigwaitinfo([signal.SIGRTMIN + 2])
assert info.si_pid == os.getpid(), info
assert got == ["usr1"] * 50 + ["trap"], got
os.kill(os.getpid(), signal.SIGKILL)
"""
    for filter in (True, False):
        with Trace("tracepoint/syscalls:sys_enter_kill") as trace:
            assert exit_status(trace.run(*PYTHON, text, filter=filter)) == -9
            assert trace.calls() == {"kill": 53}


def test_a_stopped_command_waits_for_sigcont_and_its_parent_sees_it():
    text = """
import os, signal, time
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)  # SIGTSTP stops nothing in an orphaned group (setpgid(2)), which a runner's may be
    os.getppid()
    os.write(write, b"x")
    while True: os.getppid(); time.sleep(0.001)
os.read(read, 1)
def wait(): return os.waitpid(pid, os.WUNTRACED | os.WCONTINUED)[1]
for number in (signal.SIGSTOP, signal.SIGTSTP):
    os.kill(pid, number)
    status = wait()
    assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == number, status
    time.sleep(0.05)
    assert os.waitpid(pid, os.WNOHANG | os.WUNTRACED) == (0, 0)
    os.kill(pid, signal.SIGCONT)
    assert os.WIFCONTINUED(wait())
os.kill(pid, signal.SIGTERM)
assert wait() == signal.SIGTERM
"""
    with Trace(GETPPID) as trace:
        assert trace.run(*PYTHON, text) == 0
        assert trace.programs[0].runs > 0


def test_a_stop_holds_the_command_and_not_the_tracer():
    with Trace(GETPPID) as trace:
        pid = trace.tracer.start((*PYTHON, "import os\nwhile True: os.getppid()"))
        eventually(lambda: trace.programs[0].runs > 100)
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: not waits_for(pid, signal.SIGSTOP))  # it makes no call from here on
        eventually(lambda: state(pid) in "Tt")
        runs = trace.programs[0].runs
        assert trace.ended(trace.tracer.start(["true"])) == 0
        assert trace.programs[0].runs == runs
        os.kill(pid, signal.SIGCONT)
        eventually(lambda: trace.programs[0].runs > runs)
        os.kill(pid, signal.SIGKILL)
        assert exit_status(trace.ended(pid)) == -9


def waits_for(pid, number):
    """Whether a signal has been sent to a process and not been taken yet."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("ShdPnd:")]
    return int(line.split()[1], 16) >> number - 1 & 1


def test_killed_tracees_are_forgotten():
    with Trace(GETPPID, "tracepoint/sched:sched_process_exit") as trace:
        for _ in range(20):
            pid = trace.tracer.start((*PYTHON, "import os\nwhile True: os.getppid()"))
            time.sleep(random.random() / 50)
            os.kill(pid, signal.SIGKILL)
            assert exit_status(trace.ended(pid)) == -9
        eventually(lambda: trace.tracer.tracees == 0)
        assert trace.programs[1].runs == 20


def test_no_child_stays_held_when_its_parent_is_killed_while_it_forks():
    text = """
import os
while True:
    if os.fork() == 0:
        if os.fork() == 0:
            os.getppid()
        os._exit(0)
    os.wait()
"""
    with Trace(GETPPID) as trace:
        for _ in range(20):
            pid = trace.tracer.start((*PYTHON, text))
            time.sleep(0.02 + random.random() / 50)
            os.kill(pid, signal.SIGKILL)
            assert exit_status(trace.ended(pid)) == -9
            eventually(lambda: trace.tracer.tracees == 0)


def test_what_was_attached_to_goes_on_when_the_tracer_closes():
    with Busy() as busy:
        for _ in range(5):
            with Trace(GETPPID) as trace:
                trace.tracer.attach(busy.pid)
                assert trace.tracer.tracees == 2
                assert tracer_of(busy.pid) != 0
                eventually(lambda trace=trace: len({row.pid for row in trace.rows(0)}) == 2)
                assert {row.tgid for row in trace.rows(0)} == {busy.pid}
                for _ in range(10):
                    before = busy.signals
                    busy.process.send_signal(signal.SIGUSR1)
                    eventually(lambda before=before: busy.signals == before + 1)
            busy.assert_untouched()
        assert busy.signals == 50


def test_an_attached_process_that_ends_is_reported():
    with Busy() as busy, Trace(GETPPID) as trace:
        trace.tracer.attach(busy.pid)
        busy.process.send_signal(signal.SIGTERM)
        assert exit_status(trace.ended(busy.pid)) == -15
        assert busy.process.wait() == -15


def test_a_process_that_is_stopped_stays_so():
    with Busy() as busy:
        busy.process.send_signal(signal.SIGSTOP)
        eventually(lambda: state(busy.pid) == "T")
        with Trace(GETPPID) as trace:
            trace.tracer.attach(busy.pid)
            time.sleep(0.05)
            eventually(lambda: state(busy.pid) in "tT")
            assert trace.programs[0].runs == 0
        eventually(lambda: state(busy.pid) == "T")
        busy.process.send_signal(signal.SIGCONT)
        busy.assert_untouched()


def test_attaching_follows_descendants_only_when_asked():
    text = """
import os, time
pid = os.fork()
while True:
    os.getppid()
    time.sleep(0.001)
    if pid:
        child = os.fork()
        if child == 0:
            os.getppid()
            os._exit(0)
        os.waitpid(child, 0)
"""
    for follow in (True, False):
        parent = subprocess.Popen([*PYTHON, text])
        try:
            eventually(lambda parent=parent: Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text())
            with Trace(GETPPID) as trace:
                trace.tracer.attach(parent.pid, follow=follow)

                def seen(trace=trace):
                    return {row.tgid for row in trace.rows(0)}

                eventually(lambda trace=trace: trace.programs[0].runs > 50)
                if follow:
                    eventually(lambda parent=parent, seen=seen: parent.pid in seen() and len(seen()) > 2)
                else:
                    assert seen() == {parent.pid}
        finally:
            os.kill(parent.pid, signal.SIGSTOP)  # it makes no other child
            for pid in [*children_of(parent.pid), parent.pid]:
                with contextlib.suppress(ProcessLookupError):  # a short-lived one
                    os.kill(pid, signal.SIGKILL)
            parent.wait()


def test_a_script_can_trace_what_it_was_started_from():
    child = (
        f"import os, sys; sys.path[:0] = {[str(ROOT / 'src'), str(ROOT / 'tests')]!r}\n"
        "from tracing import Trace, tracer_of\nfrom waiting import eventually\n"
        f"with Trace({GETPPID!r}) as trace:\n"
        "    trace.tracer.attach(os.getppid())\n"
        "    eventually(lambda: trace.programs[0].runs > 10)\n"
        "    print(tracer_of(os.getpid()), {row.tgid for row in trace.rows(0)} == {os.getppid()})\n"
    )
    parent = (
        "import os, subprocess, sys, time\n"
        f"process = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "while process.poll() is None: os.getppid(); time.sleep(0.001)\n"
        "sys.exit(process.returncode)"
    )
    result = subprocess.run([*PYTHON, parent], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (result.stdout, result.returncode) == ("0 True\n", 0), result.stderr


def test_a_started_command_ends_with_the_tracer():
    with Trace(GETPPID) as trace:
        polite = trace.tracer.start(("sleep", "60"))
        rude = trace.tracer.start(("sh", "-c", "trap '' TERM; sleep 60 & sleep 60"))
        eventually(lambda: trace.tracer.tracees == 4)
        children = children_of(rude)
        assert len(children) == 2
    for pid in (polite, rude):
        assert not Path(f"/proc/{pid}").exists()
    eventually(lambda: not any(state(pid) not in ("", "Z") for pid in children))


def test_a_process_may_end_while_it_is_attached_to():
    """Its threads are looked at until all are traced: one that has ended by then was traced all the same."""
    with Tracer(Env()) as tracer:
        refused = []
        for number in range(60):
            child = subprocess.Popen(["sleep", str(number * 0.0003)])
            try:
                tracer.attach(child.pid)
            except AttachError as error:  # it had ended before
                refused.append(str(error))
            child.wait()
        assert len(refused) < 60
        assert all("it has ended" in text for text in refused)
