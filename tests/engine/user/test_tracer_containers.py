"""What a container may forbid: seccomp, ptrace, Yama's scopes, /proc."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from support import ROOT
from tracing import GETPPID
from waiting import PATIENCE

from skep.engine.user import tracer_errors
from skep.errors import PrivilegeError

pytestmark = pytest.mark.usefixtures("no_child_is_left")

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
