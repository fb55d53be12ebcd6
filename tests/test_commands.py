"""`BPF.trace_command` and `BPF.trace_pid`: the same with both engines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import FIRST_UID

from skep import BPF
from skep.engine.privileges import missing_for_bpf
from skep.errors import AttachError, SkepError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = r"""
struct caller { u32 pid; u32 uid; };
BPF_HASH(calls, struct caller);

int count(void *ctx) {
    struct caller caller = {};
    caller.pid = bpf_get_current_pid_tgid() >> 32;
    caller.uid = bpf_get_current_uid_gid();
    calls.increment(caller);
    return 0;
}
"""


@pytest.fixture(params=["user", pytest.param("kernel", marks=pytest.mark.kernel)])
def bpf(request: pytest.FixtureRequest) -> Iterator[BPF]:
    """Counts execve and getppid calls by process."""
    with BPF(text=PROGRAM, engine=request.param) as b:
        for name in ("execve", "getppid"):
            b.attach_kprobe(event=b.get_syscall_fnname(name), fn_name="count")
        yield b


def calls_of(b: BPF, pid: int) -> dict[int, int]:
    """Calls of a process by user id."""
    return {caller.uid: count.value for caller, count in b["calls"].items() if caller.pid == pid}


def test_command_and_its_own_execve_are_seen(bpf: BPF) -> None:
    command = bpf.trace_command(["true"])
    assert command.wait() == 0
    assert calls_of(bpf, command.pid) == {os.geteuid(): 1}


def test_files_of_a_command_are_those_that_were_given(bpf: BPF, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("some text")
    with open(tmp_path / "in") as stdin, open(tmp_path / "out", "w") as out:
        command = bpf.trace_command(["sh", "-c", "cat; echo wrong >&2"], stdin=stdin, stdout=out.fileno(), stderr=out)
        assert command.wait() == 0
    assert (tmp_path / "out").read_text() == "some textwrong\n"


def test_standard_files_may_be_exchanged(bpf: BPF, capfd: pytest.CaptureFixture[str]) -> None:
    assert bpf.trace_command(["sh", "-c", "echo out; echo error >&2"], stdout=2, stderr=1).wait() == 0
    assert capfd.readouterr() == ("error\n", "out\n")


def test_status_of_a_command_is_its_own_or_its_signal(bpf: BPF) -> None:
    assert bpf.trace_command(["sh", "-c", "exit 7"]).wait() == 7
    assert bpf.trace_command(["sh", "-c", "kill -KILL $$"]).wait() == -signal.SIGKILL


def test_wait_gives_none_while_the_command_runs_and_close_ends_it(bpf: BPF) -> None:
    with bpf.trace_command(["sleep", "60"]) as command:
        assert command.wait(0) is None
        assert command.wait(0.05) is None
    assert command.status == command.wait() == -signal.SIGTERM


def test_command_ends_with_the_object_that_started_it(bpf: BPF) -> None:
    command = bpf.trace_command(["sleep", "60"])
    bpf.cleanup()
    assert command.wait() == -signal.SIGTERM
    with pytest.raises(SkepError, match="this BPF object is closed"):
        bpf.trace_command(["true"])
    with pytest.raises(SkepError, match="this BPF object is closed"):
        bpf.trace_pid(os.getpid())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: runs a command as another user")
def test_user_of_a_command_is_seen_from_its_first_call_on(bpf: BPF, tmp_path: Path) -> None:
    with open(tmp_path / "out", "w") as out:
        command = bpf.trace_command(["sh", "-c", "id -u; id -g; id -G"], stdout=out, user=FIRST_UID)
        assert command.wait() == 0
    assert (tmp_path / "out").read_text().splitlines()[-3:] == [str(FIRST_UID)] * 3
    assert set(calls_of(bpf, command.pid)) == {FIRST_UID}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no-such-command"], "there is no command 'no-such-command' .PATH is "),
        (["/no/such"], r"cannot start '/no/such': ENOENT \(No such file or directory\)"),
        (["/etc/passwd"], r"cannot start '/etc/passwd': EACCES \(Permission denied\)"),
        ("true", r"trace_command\('true'\): a command is a list of words"),
        ([], r"trace_command\(\[\]\): a command is a list of words"),
    ],
)
def test_command_that_cannot_start_is_an_error(bpf: BPF, argv: list[str], message: str) -> None:
    with pytest.raises(SkepError, match=message):
        bpf.trace_command(argv)


# Says that it is there, and then calls getppid until it is told to end.
CALLS = "import os, sys\nprint('ready', flush=True)\nwhile sys.stdin.read(1):\n    os.getppid()\n    print('called', flush=True)"


def test_running_process_is_seen(bpf: BPF) -> None:
    words = [sys.executable, "-c", CALLS]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        before = sum(calls_of(bpf, process.pid).values())
        bpf.trace_pid(process.pid)
        process.stdin.write("abc")
        process.stdin.close()
        assert [process.stdout.readline() for _ in range(3)] == ["called\n"] * 3
    assert sum(calls_of(bpf, process.pid).values()) - before == 3


def test_process_that_is_not_there_cannot_be_traced(bpf: BPF) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(AttachError, match=f"cannot trace process {gone.pid}: .*there is no such process"):
        bpf.trace_pid(gone.pid)
    for number in (0, -1):
        with pytest.raises(AttachError, match=f"cannot trace process {number}: .*there is no such process"):
            bpf.trace_pid(number)


def test_user_engine_cannot_trace_its_own_process() -> None:
    with BPF(text=PROGRAM, engine="user") as b, pytest.raises(AttachError, match="a process cannot trace itself"):
        b.trace_pid(os.getpid())


@pytest.mark.skipif(not missing_for_bpf(), reason="root may attach to any process")
def test_user_engine_says_whose_process_it_cannot_trace() -> None:
    with BPF(text=PROGRAM, engine="user") as b, pytest.raises(SkepError, match="it runs as user 0, this is user"):
        b.trace_pid(1)
