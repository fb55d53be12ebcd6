"""`skep run` with the user engine around scripts that have programs: what is traced, from when, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support import Skep

    Script = Callable[[str], str]

USER = ("run", "--engine", "user")
SAID = "skep: the user engine runs this: the kernel engine needs CAP_BPF and CAP_PERFMON"

# Counts execve and getsid calls of all processes that are seen; WAIT is how the script waits.
COUNT = r"""
import time
from skep import BPF

TEXT = r'''
BPF_HASH(calls, u32);
int count(void *ctx) {{
    calls.increment(bpf_get_current_pid_tgid() >> 32);
    return 0;
}}
'''
b = BPF(text=TEXT)
for name in ("execve", "getsid"):
    b.attach_kprobe(event=b.get_syscall_fnname(name), fn_name="count")
print("ready", flush=True)
try:
    while True:
        {wait}
except KeyboardInterrupt:
    print(sorted((pid.value, count.value) for pid, count in b["calls"].items()))
{end}
"""

# Says when it is there; calls getsid until its standard input ends.
CALLS = "import os, sys, time\nprint('here', flush=True)\nwhile sys.stdin.read(1):\n    os.getsid(0)\n    print('x', flush=True)"


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def write(text: str) -> str:
        path = tmp_path / "script.py"
        path.write_text(text)
        return str(path)

    return write


def counting(wait: str = "time.sleep(1)", end: str = "") -> str:
    return COUNT.format(wait=wait, end=end)


def counts(output: str) -> list[int]:
    """Calls of each process, in the order of their ids."""
    return [int(count) for count in re.findall(r"\(\d+, (\d+)\)", output)]


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def is_running(pid: int) -> bool:
    try:
        return state_of(pid) not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("wait", ["time.sleep(1)", "b.trace_readline()", "b.trace_readline(nonblocking=True)"])
def test_command_is_seen_from_its_first_execve_on_however_the_script_waits(skep: Skep, script: Script, wait: str) -> None:
    done = skep(*USER, "-c", "sh -c '/bin/true; /bin/true; exit 3'", script(counting(wait)))
    assert (done.stderr, done.returncode) == ("", 0)
    assert counts(done.stdout) == [1, 1, 1]


def test_command_that_ends_at_once_ends_the_script(skep: Skep, script: Script) -> None:
    done = skep(*USER, "-c", "false", script(counting()))
    assert (counts(done.stdout), done.stderr, done.returncode) == ([1], "", 0)


def test_bpf_objects_of_one_script_see_the_same_command(skep: Skep, script: Script) -> None:
    second = "\nother = BPF(text=TEXT)\nother.attach_raw_tracepoint(tp='sched_process_exec', fn_name='count')\n"
    text = counting(end='print(sorted((pid.value, count.value) for pid, count in other["calls"].items()))')
    done = skep(*USER, "-c", "sh -c '/bin/true; exit 0'", script(text.replace('print("ready"', second + 'print("ready"')))
    assert (done.stderr, done.returncode) == ("", 0)
    first, other = done.stdout.splitlines()[1:]
    assert counts(first) == counts(other) == [1, 1]
    assert first == other


def test_script_s_own_status_stays(skep: Skep, script: Script) -> None:
    done = skep(*USER, "-c", "true", script(counting(end="raise SystemExit(7)")))
    assert (counts(done.stdout), done.stderr, done.returncode) == ([1], "", 7)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_command_and_its_children_end_with_the_script(skep: Skep, script: Script, number: int, status: int) -> None:
    text = counting().replace("except KeyboardInterrupt", "except ZeroDivisionError")
    process = skep.start(*USER, "-c", "sh -c 'sleep 61 & echo $! $$; exec sleep 62'", script(text))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    pids = [int(word) for word in process.stdout.readline().split()]
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (status, "")
    eventually(lambda: not any(is_running(pid) for pid in pids))  # its files are closed a little before its end


def test_time_ends_the_command_and_the_script(skep: Skep, script: Script) -> None:
    for seconds in ("4", "20", "60"):  # what a busy machine needs to begin
        done = skep(*USER, "-d", seconds, "-c", "sleep 200", script(counting()))
        if counts(done.stdout):
            break
    assert (done.stderr, done.returncode) == ("", 0)
    assert counts(done.stdout) == [1]


def test_command_reads_standard_input(skep: Skep, script: Script) -> None:
    words = [*skep.command, *USER, "-c", "cat", script(counting())]
    done = subprocess.run(
        words, input="a line\n", env=skep.environment, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    assert done.stdout.startswith("ready\na line\n")
    assert (counts(done.stdout), done.stderr, done.returncode) == ([1], "", 0)


def test_command_that_cannot_start_is_told(skep: Skep, script: Script, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("\x7fELF and no more")
    (tmp_path / "broken").chmod(0o755)
    done = skep(*USER, "-c", f"{tmp_path}/broken", script(counting()))
    assert (counts(done.stdout), done.returncode) == ([1], 1)  # the call that failed
    assert done.stderr == f"skep: error: -c: cannot start '{tmp_path}/broken': ENOEXEC (Exec format error)\n"


@pytest.fixture
def caller() -> Iterator[subprocess.Popen[str]]:
    """A process that calls getsid for each letter that it reads."""
    words = [sys.executable, "-S", "-c", CALLS]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process
        process.kill()


def wait_until_traced(pid: int) -> None:
    def is_traced() -> bool:
        with open(f"/proc/{pid}/status") as file:
            return "TracerPid:\t0\n" not in file.read()

    eventually(is_traced)


def test_process_is_traced_until_it_ends(skep: Skep, script: Script, caller: subprocess.Popen[str]) -> None:
    traced = skep.start(*USER, "-p", str(caller.pid), script(counting()))
    wait_until_traced(caller.pid)
    assert caller.stdin is not None
    caller.stdin.write("abc")
    caller.stdin.close()
    assert caller.wait(PATIENCE) == 0
    out, err = traced.communicate(timeout=PATIENCE)
    assert (out, err, traced.returncode) == (f"ready\n[({caller.pid}, 3)]\n", "", 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_process_goes_on_when_the_script_ends(skep: Skep, script: Script, caller: subprocess.Popen[str], number: int) -> None:
    traced = skep.start(*USER, "-p", str(caller.pid), script(counting()))
    wait_until_traced(caller.pid)
    traced.send_signal(number)
    traced.communicate(timeout=PATIENCE)
    assert caller.stdin is not None
    assert caller.stdout is not None
    caller.stdin.write("a\n")
    assert [caller.stdout.readline() for _ in range(2)] == ["x\n", "x\n"]
    assert state_of(caller.pid) in "SR"


def test_stopped_process_stays_stopped(skep: Skep, script: Script, caller: subprocess.Popen[str]) -> None:
    caller.send_signal(signal.SIGSTOP)
    traced = skep.start(*USER, "-p", str(caller.pid), script(counting()))
    wait_until_traced(caller.pid)
    eventually(
        lambda: state_of(caller.pid) in "Tt"
    )  # it runs for a moment, in the kernel, from one stop to the other (ptrace(2))
    traced.send_signal(signal.SIGINT)
    traced.communicate(timeout=PATIENCE)
    eventually(lambda: state_of(caller.pid) == "T")


def test_process_that_ended_is_told(skep: Skep, script: Script) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    done = skep(*USER, "-p", str(gone.pid), script(counting()))
    assert (done.stdout, done.returncode) == ("ready\n[]\n", 1)
    assert done.stderr == (
        f"skep: error: -p: cannot trace process {gone.pid}: ESRCH (No such process); there is no such process\n"
    )


def test_own_process_is_told(skep: Skep, script: Script) -> None:
    words = " ".join(f"'{word}'" for word in (*skep.command, *USER))
    done = subprocess.run(
        ["sh", "-c", f"exec {words} -p $$ '{script(counting())}'"],
        env=skep.environment, capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("ready\n[]\n", 1)
    assert re.fullmatch(r"skep: error: -p: cannot trace process \d+: it is this one, .*: start a command\n", done.stderr)


def test_process_of_another_user_is_told(skep: Skep, script: Script, as_nobody: tuple[str, ...]) -> None:
    done = skep(*USER, "-p", "1", script(counting()), before=as_nobody)
    assert done.returncode == 1
    assert done.stderr == (
        "skep: error: -p: cannot trace process 1: EPERM (Operation not permitted); "
        f"it runs as user 0, this is user {65534 if as_nobody else os.geteuid()}: run as that user or as root\n"
    )


def test_command_and_process_are_not_given_together(skep: Skep, script: Script) -> None:
    done = skep(*USER, "-p", "1", "-c", "true", script(counting()))
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == "skep: error: -c starts a command to trace, -p traces a process that runs: give one of them\n"


def test_without_privilege_the_user_engine_runs_it_and_says_so(skep: Skep, script: Script, as_nobody: tuple[str, ...]) -> None:
    done = skep("run", "-c", "sh -c '/bin/true; exit 0'", script(counting()), before=as_nobody)
    assert (counts(done.stdout), done.stderr, done.returncode) == ([1, 1], SAID + "\n", 0)


def test_without_anything_to_trace_the_user_engine_says_what_to_do(
    skep: Skep, script: Script, as_nobody: tuple[str, ...]
) -> None:
    text = "from skep import BPF\nwith BPF(text='BPF_HASH(one);'), BPF(text='BPF_HASH(two);'):\n    print('ready')"
    done = skep("run", script(text), before=as_nobody)
    assert (done.stdout, done.returncode) == ("ready\n", 0)
    assert done.stderr == (SAID + "; it sees what is traced: `skep run` with -c CMD or -p PID, or trace_command() in a script\n")


def test_kernel_engine_that_was_asked_for_names_what_is_missing(skep: Skep, script: Script, as_nobody: tuple[str, ...]) -> None:
    path = script(counting())
    done = skep("run", "--engine", "kernel", "-c", "true", path, before=as_nobody)
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == (
        "skep: error: the kernel engine needs CAP_BPF and CAP_PERFMON, which this process (uid "
        f"{65534 if as_nobody else os.geteuid()}) does not have; run as root (sudo), or give the interpreter the capabilities: "
        "setcap cap_bpf,cap_perfmon+ep $(readlink -f $(command -v python3)); or run it without privilege, on processes that it "
        f"traces: engine='user' (SKEP_ENGINE=user)\nskep: raised at {path}:12\n"
    )


def test_where_ptrace_is_forbidden_the_command_says_so(skep: Skep, script: Script, without_ptrace: tuple[str, ...]) -> None:
    done = skep(*USER, "-c", "true", script(counting()), before=without_ptrace)
    assert (done.stdout, done.returncode) == ("ready\n[]\n", 1)
    assert done.stderr == (
        "skep: error: -c: cannot trace the command 'true': EPERM (Operation not permitted); this system does not let processes "
        "trace others (a container's seccomp policy: start it with --cap-add=SYS_PTRACE)\n"
    )


def test_without_btf_it_works_the_same(skep: Skep, script: Script) -> None:
    done = skep(*USER, "-c", "sh -c '/bin/true; exit 0'", script(counting()), env={"SKEP_BTF": "/nonexistent"})
    assert (counts(done.stdout), done.stderr, done.returncode) == ([1, 1], "", 0)
