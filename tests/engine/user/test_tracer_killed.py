"""Skep is killed while it traces: nothing stays stopped."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest
from support import ROOT
from tracing import GETPPID, Busy, children_of, state, tracer_of
from waiting import eventually

pytestmark = pytest.mark.usefixtures("no_child_is_left")

_KILLED = """
import os, sys, time
sys.path[:0] = {path!r}
from tracing import Trace
trace = Trace({hook!r}, "tracepoint/syscalls:sys_exit_getppid")
if {pid}:
    trace.tracer.attach({pid})
    print({pid}, flush=True)
else:
    print(trace.tracer.start([sys.executable, "-S", "-c", "import os\\nos.fork()\\nwhile True: os.getppid()"]), flush=True)
time.sleep(60)
"""


def killed_after(seconds, pid=0, hook=GETPPID):
    """Start Skep in a process of its own, kill it while it traces; the pid that it traced and its descendants."""
    text = _KILLED.format(path=[str(ROOT / "src"), str(ROOT / "tests")], hook=hook, pid=pid)
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    traced = int(process.stdout.readline())
    if not pid:
        eventually(lambda: children_of(traced))
    time.sleep(seconds)
    children = children_of(traced)
    keeper = tracer_of(traced)
    assert keeper
    process.kill()
    process.wait()
    process.stdout.close()
    eventually(lambda: state(keeper) in ("", "Z"))
    return traced, children


def test_an_attached_process_goes_on_when_the_tracer_is_killed():
    with Busy() as busy:
        for i in range(8):
            hook = ("tracepoint/raw_syscalls:sys_enter", GETPPID)[i % 2]
            killed_after(0.02 + random.random() / 50, busy.pid, hook)
            busy.assert_untouched()


def test_a_started_command_ends_when_the_tracer_is_killed():
    # a filter without a tracer makes each call that it stops fail with ENOSYS: better no process than a broken one
    for _ in range(3):
        traced, children = killed_after(0.05)
        assert children
        for pid in (traced, *children):
            eventually(lambda pid=pid: state(pid) in ("", "Z"))
