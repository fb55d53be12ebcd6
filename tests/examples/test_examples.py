"""The mission's three programs, as Skep's examples and as BCC scripts, over commands whose system calls are known."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import FIRST_UID, as_user
from waiting import PATIENCE

from skep.engine.kernel.tracefs import Tracefs, TracePipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support import Skep, Workload

pytestmark = pytest.mark.kernel

# One execve for each true and each sleep, and sh's own.
FIVE = '/bin/sh -c "for i in 1 2 3 4 5; do /bin/true; /bin/sleep 0.1; done; {0}"'


def last_counts(output: str) -> dict[int, int]:
    """The counts of the last line that has some."""
    line = [line for line in output.splitlines() if line.startswith("ID ")][-1]
    return {int(uid): int(count) for uid, count in re.findall(r"ID (\d+): (\d+)", line)}


def test_hello_map_counts_every_execve_of_the_command(skep: Skep) -> None:
    done = skep("run", "-d", "120", "-c", f"{as_user(FIRST_UID)} {FIVE.format(':')}", "examples/hello_map.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert last_counts(done.stdout)[FIRST_UID] == 11


@pytest.fixture
def gate() -> Iterator[Path]:
    """A pipe that any user may read a line from."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        path = Path(folder, "gate")
        os.mkfifo(path, 0o644)
        yield path


def test_bcc_hello_map_runs_unmodified(skep: Skep, gate: Path) -> None:
    """It prints every two seconds only: the command stays (without another execve) until its count has been seen."""
    with open(os.open(gate, os.O_RDWR), "wb", buffering=0) as opened:
        command = f"{as_user(FIRST_UID)} {FIVE.format(f'read line < {gate}')}"
        process = skep.start("run", "-d", "120", "-c", command, "examples/bcc/hello_map.py")
        assert process.stdout is not None
        while line := process.stdout.readline():
            if line.startswith("ID ") and last_counts(line).get(FIRST_UID, 0) >= 11:
                break
        opened.write(b"\n")
        output, error = process.communicate()
    assert (process.returncode, error) == (0, "")
    assert last_counts(line + output)[FIRST_UID] == 11


@pytest.mark.parametrize("script", ["examples/hello_perf.py", "examples/bcc/hello_perf.py"])
def test_hello_perf_prints_who_calls_execve(skep: Skep, script: str) -> None:
    done = skep("run", "-d", "120", "-c", f"{as_user(FIRST_UID)} /bin/sh -c '/bin/true; /bin/true; exit 0'", script)
    assert (done.returncode, done.stderr) == (0, "")
    # The document prints command and message without a space between them.
    lines = re.findall(rf"^(\d+) {FIRST_UID} (\w+?) ?Hello World$", done.stdout, re.MULTILINE)
    assert sorted(name for _, name in lines) == ["setpriv", "sh", "sh"]  # each CPU has a ring: no order among them
    assert len({pid for pid, _ in lines}) == 3


def test_hello_ring_prints_what_is_run(skep: Skep) -> None:
    command = f"{as_user(FIRST_UID)} /bin/sh -c '/bin/true; /bin/true; exit 0'"
    done = skep("run", "-d", "120", "-c", command, "examples/hello_ring.py")
    assert (done.returncode, done.stderr) == (0, "")
    lines = re.findall(rf"^\d+ {FIRST_UID} (\w+) runs (\S*)$", done.stdout, re.MULTILINE)
    assert lines == [("setpriv", "/bin/sh"), ("sh", "/bin/true"), ("sh", "/bin/true")]


# Each line is one system call that neither script ignores, by number.
SYSTEM_CALLS = """
import ctypes, os
libc = ctypes.CDLL(None)
timer = ctypes.c_int()
open(__file__ + ".pid", "w").write(str(os.getpid()))
libc.syscall(110)                                        # getppid
libc.syscall(222, 0, None, ctypes.byref(timer))          # timer_create
libc.syscall(225, timer)                                 # timer_getoverrun
libc.syscall(226, timer)                                 # timer_delete
libc.syscall(21, b"/", 0)                                # access: ignored
os.execv("/bin/true", ["true"])
"""


@pytest.fixture
def _empty_trace_pipe() -> None:
    """What programs printed before, and nobody read, would come first and push the new lines out."""
    tracefs = Tracefs()
    pipe = TracePipe(tracefs)
    while pipe.readline(nonblocking=True) is not None:
        pass
    pipe.close()
    tracefs.close()


@pytest.mark.usefixtures("_empty_trace_pipe")
@pytest.mark.parametrize("script", ["examples/hello_tail.py", "examples/bcc/hello_tail.py"])
def test_hello_tail_prints_a_line_for_each_system_call(skep: Skep, script: str, tmp_path: Path) -> None:
    program = tmp_path / "calls.py"
    program.write_text(SYSTEM_CALLS)
    expected = [
        "Executing a program",  # the interpreter
        "Another syscall: 110",
        "Creating a timer",
        "Some other timer operation",
        "Deleting a timer",
        "Executing a program",
    ]
    for _ in range(5):  # every system call of the machine is printed, into 7 KiB: what was lost is tried again
        done = skep("run", "-d", "120", "-c", f"{sys.executable} {program}", script)
        assert (done.returncode, done.stderr) == (0, "")
        pid = (tmp_path / "calls.py.pid").read_text()
        lines = re.findall(rf"^.{{16}}-{pid} .*?: \w+: (.*)$", done.stdout, re.MULTILINE)
        # What the interpreter itself calls in between (and the document's script does not ignore) is left out.
        calls = [line for line in lines if line == "Another syscall: 110" or not line.startswith("Another")]
        if calls == expected or "LOST" not in done.stdout:
            break
    assert calls == expected
    assert "Another syscall: 21" not in lines


@pytest.mark.parametrize("name", ["hello_map", "hello_perf", "hello_ring", "hello_tail"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_example_runs_by_itself_and_ends_by_a_signal(skep: Skep, workload: Workload, name: str, number: int) -> None:
    process = skep.start_python(f"examples/{name}.py")
    assert process.stdout is not None
    for _ in range(300):  # until it prints what it saw; hello_map does that every two seconds
        workload.run("true")
        if select.select([process.stdout], [], [], 0.2)[0]:
            break
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert (err, process.returncode) == ("", 0 if number == signal.SIGINT else -number)
