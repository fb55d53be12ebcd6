"""Traced processes behave as untraced ones: signals, stops, ends, terminals. Nothing stays stopped, also when Skep is killed."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import pty
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from support import ROOT, own_children
from tracing import Trace, exit_status, state, tracer_of
from waiting import PATIENCE, eventually

from skep.engine.user import tracer_errors
from skep.engine.user import tracer_layout as layout
from skep.engine.user.layout import Env
from skep.engine.user.tracer import Tracer
from skep.errors import AttachError, PrivilegeError, SkepError, UnsupportedError

PYTHON = (sys.executable, "-S", "-c")
GETPPID = "tracepoint/syscalls:sys_enter_getppid"
# a process that makes a system call all the time, in two threads, and counts its rounds and signals in a file
BUSY = """
import mmap, os, signal, sys, threading, time
memory = memoryview(mmap.mmap(int(sys.argv[1]), 16)).cast("Q")
def count(*_): memory[1] += 1
signal.signal(signal.SIGUSR1, count)
def work():
    while True: os.getppid(); time.sleep(0.0005)
threading.Thread(target=work, daemon=True).start()
parent = os.getppid()
while os.getppid() == parent:
    memory[0] += 1
"""


@pytest.fixture(autouse=True)
def _no_child_is_left():
    before = own_children()
    yield
    assert own_children() <= before


class Busy:
    """A process that is not the tracer's own."""

    def __init__(self):
        with tempfile.TemporaryFile() as file:
            file.truncate(16)
            self.memory = memoryview(mmap.mmap(file.fileno(), 16)).cast("Q")
            self.process = subprocess.Popen([*PYTHON, BUSY, str(file.fileno())], pass_fds=[file.fileno()])
        self.pid = self.process.pid
        self.assert_running()

    @property
    def signals(self):
        return self.memory[1]

    def assert_running(self):
        before = self.memory[0]
        eventually(lambda: self.memory[0] > before + 20)

    def assert_untouched(self):
        self.assert_running()
        assert tracer_of(self.pid) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


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


# ---- Skep is killed

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


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


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


# ---- what cannot be traced


def test_a_tracee_cannot_be_traced_again():
    text = "import ctypes; libc = ctypes.CDLL(None, use_errno=True); print(libc.ptrace(0, 0, 0, 0), ctypes.get_errno())"
    with Trace(GETPPID) as trace, open_pipe() as (read, write):
        start_with_output(trace, write, *PYTHON, text)
        assert os.read(read, 100) == b"-1 1\n"  # PTRACE_TRACEME: EPERM


class open_pipe:
    def __enter__(self):
        self.ends = os.pipe()
        return self.ends

    def __exit__(self, *_):
        for fd in self.ends:
            os.close(fd)


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


# ---- files, terminals, surroundings


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


# ---- the keeper


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


# ---- what a container may forbid

_FORBID = """
import ctypes, struct, sys
sys.path[:0] = {path!r}
libc = ctypes.CDLL(None, use_errno=True)
rows = [(0x20, 0, 0, 0), *[(0x15, {count} - i, 0, number) for i, number in enumerate({calls!r})]]
code = b"".join(struct.pack("=HBBI", *row) for row in [*rows, (6, 0, 0, 0x7fff0000), (6, 0, 0, 0x50001)])
buffer = ctypes.create_string_buffer(code, len(code))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("code", ctypes.c_void_p)]
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.syscall(317, 1, 0, ctypes.byref(Program(len(code) // 8, ctypes.addressof(buffer)))) == 0
from tracing import Trace
with Trace({hook!r}) as trace:
    status = trace.run(sys.executable, "-S", "-c", "import os; os.getppid(); os.getppid()")
    print(status, trace.programs[0].runs)
"""


def forbidden(*calls):
    """The output of a traced run in a process whose seccomp policy answers EPERM to these calls."""
    text = _FORBID.format(path=[str(ROOT / "src"), str(ROOT / "tests")], calls=calls, count=len(calls), hook=GETPPID)
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False)


def test_without_seccomp_every_call_stops_and_the_events_are_the_same():
    result = forbidden(317)
    assert result.stdout == "0 2\n", result.stderr


def test_where_ptrace_is_forbidden_the_error_says_so():
    result = forbidden(101)
    assert "EPERM (Operation not permitted); this system does not let processes trace others" in result.stderr


@pytest.mark.parametrize(("scope", "said"), [(1, "what it starts itself"), (2, "only root may trace"), (3, "nobody may trace")])
def test_yama_is_named_with_what_it_leaves(scope: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checked on Linux 6.12 with lsm=yama; the kernels of most test machines are without it."""
    monkeypatch.setattr(tracer_errors, "yama_scope", lambda: scope)
    monkeypatch.setattr(tracer_errors, "_has_ptrace_capability", lambda: False)
    attaching = tracer_errors.attach_error(os.getpid(), errno.EPERM, 0)
    starting = tracer_errors.start_error("true", errno.EPERM)
    assert isinstance(attaching, PrivilegeError)
    assert said in str(attaching)
    assert (said in str(starting)) == (scope > 1)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("inside", "said"),
    [
        (["unshare", "--mount", "sh", "-c", 'umount -l /proc && exec "$@"', "sh"], "processes cannot be traced without /proc"),
        (["unshare", "--pid", "--fork"], "/proc is that of another pid namespace"),
    ],
)
def test_without_a_proc_of_its_own_nothing_is_traced(inside: list[str], said: str) -> None:
    code = (
        "from skep.engine.user.engine import UserEngine\n"
        "engine = UserEngine()\n"
        "for call in (lambda: engine.trace_command(['true'], (-1, -1, -1), None), lambda: engine.trace_pid(1)):\n"
        "    try:\n        call()\n    except Exception as error:\n        print(type(error).__name__, error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [*inside, sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False)
    assert run.stdout.count("UnsupportedError processes cannot be traced") == 2, run
    assert run.stdout.count(said) == 2


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
