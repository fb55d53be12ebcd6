"""The examples in the user engine over a command, beside what `strace -f -c` counts for the same command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from skep.engine.user.syscalls_x86_64 import system_calls

if TYPE_CHECKING:
    from pathlib import Path

    from support import Skep

COMMAND = "/bin/sh -c '/bin/true; /bin/ls / >/dev/null; (/bin/true); exit 3'"
NAMES = {number: name for name, (number, _) in system_calls().items()}
# Calls that do not return are not in strace's table; how often a shell's wait is interrupted is a matter of timing.
NOT_COMPARED = {"exit", "exit_group", "wait4", "rt_sigreturn"}


@pytest.fixture(scope="module")
def strace(tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    """Calls of COMMAND by name."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    path = tmp_path_factory.mktemp("strace") / "counts"
    subprocess.run(["strace", "-f", "-c", "-U", "calls,name", "-o", str(path), *shlex.split(COMMAND)], check=False)
    rows = re.findall(r"^ *(\d+) (\w+)$", path.read_text(), re.MULTILINE)
    return Counter({name: int(count) for count, name in rows if name != "total"})


def run(skep: Skep, script: str, before: tuple[str, ...] = ()) -> str:
    """What a script prints about COMMAND; `before` takes the privilege, so that the user engine is chosen."""
    engine = () if before else ("--engine", "user")
    done = skep("run", *engine, "-d", "120", "-c", COMMAND, f"examples/{script}.py", before=before)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == bool(before), done.stderr
    return done.stdout


@pytest.mark.parametrize("script", ["hello_map", "bcc/hello_map"])
def test_hash_map_counts_what_strace_counts(skep: Skep, script: str, strace: Counter[str], tmp_path: Path) -> None:
    """It prints every two seconds only: the command stays (without another execve) until its count has been seen."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with open(os.open(gate, os.O_RDWR), "wb", buffering=0) as opened:
        command = COMMAND.replace("exit 3", f"read line < {gate}")
        process = skep.start("run", "--engine", "user", "-d", "120", "-c", command, f"examples/{script}.py")
        assert process.stdout is not None
        while line := process.stdout.readline():
            if line.startswith("ID ") and int(line.split()[-1]) >= strace["execve"]:
                break
        opened.write(b"\n")
        output, error = process.communicate()
    assert (process.returncode, error) == (0, "")
    last = [line.strip() for line in (line + output).splitlines() if line][-1]
    assert last == f"ID {os.geteuid()}: {strace['execve']}"


@pytest.mark.parametrize("script", ["hello_perf", "bcc/hello_perf"])
def test_perf_buffer_has_a_record_for_each_call_that_strace_counts(skep: Skep, script: str, strace: Counter[str]) -> None:
    lines = re.findall(r"^(\d+) (\d+) (\S+?) ?Hello World$", run(skep, script), re.MULTILINE)
    assert len(lines) == strace["execve"] == 4
    assert {uid for _, uid, _ in lines} == {str(os.geteuid())}
    assert len({pid for pid, _, _ in lines}) == 4
    assert sorted(name for _, _, name in lines)[1:] == ["sh", "sh", "sh"]


def test_ring_buffer_has_a_record_for_each_call_that_strace_counts(skep: Skep, strace: Counter[str]) -> None:
    lines = re.findall(r"^\d+ (\d+) (\S+) runs (\S+)$", run(skep, "hello_ring"), re.MULTILINE)
    assert len(lines) == strace["execve"]
    assert [path for _, _, path in lines] == ["/bin/sh", "/bin/true", "/bin/ls", "/bin/true"]
    assert {uid for uid, _, _ in lines} == {str(os.geteuid())}


@pytest.mark.parametrize("script", ["hello_tail", "bcc/hello_tail"])
def test_tail_calls_print_a_line_for_each_call_that_strace_counts(skep: Skep, script: str, strace: Counter[str]) -> None:
    output = run(skep, script)
    messages = Counter(re.findall(r"bpf_trace_printk: (.*)$", output, re.MULTILINE))
    assert messages.pop("Executing a program") == strace["execve"]
    found = {NAMES[int(message.removeprefix("Another syscall: "))]: count for message, count in messages.items()}
    assert len(found) > 15
    for name in NOT_COMPARED:
        found.pop(name, None)
    assert found == {name: strace[name] for name in found}
    ignored = {"execve", "read", "write", "close", "mmap", "access", "openat", "brk", "mprotect", "fstat", "newfstatat"}
    assert set(strace) - set(found) <= ignored | NOT_COMPARED | {
        "munmap",
        "rt_sigaction",
        "ioctl",
        "pread64",
        "futex",
        "rt_sigprocmask",
        "stat",
    }


def test_without_privilege_the_examples_count_the_same(skep: Skep, strace: Counter[str], as_nobody: tuple[str, ...]) -> None:
    if not as_nobody:
        pytest.skip("this is a user without privilege: the tests above are the same")
    assert run(skep, "hello_map", as_nobody).splitlines()[-1] == f"ID 65534: {strace['execve']}"
