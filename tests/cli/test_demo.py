"""`skep demo`: the counts of its own workload, with both engines."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support import Skep


@pytest.mark.kernel
def test_counts_are_those_of_the_workload_and_of_nothing_else(skep: Skep) -> None:
    done = skep("demo")
    assert (done.returncode, done.stderr) == (0, "")
    uid = os.geteuid()
    assert f"  ID {uid}: 5  (true, id, uname, date, ls)\n" in done.stdout
    if uid == 0:
        assert "  ID 65534: 3  (true, id, uname)\n" in done.stdout
    assert re.search(rf"^engine: kernel \(Linux {re.escape(os.uname().release)}\)$", done.stdout, re.MULTILINE)
    assert re.search(r"^attached by: (kprobe|tracefs|tracepoint syscalls:sys_enter_execve)", done.stdout, re.MULTILINE)


def test_without_privilege_the_user_engine_counts_the_same(skep: Skep, as_nobody: tuple[str, ...]) -> None:
    done = skep("demo", before=as_nobody)
    uid = 65534 if as_nobody else os.geteuid()
    assert (done.returncode, done.stderr) == (
        0,
        "skep: the user engine runs this: the kernel engine needs CAP_BPF and CAP_PERFMON\n",
    )
    assert done.stdout.splitlines()[1:] == [
        f"  ID {uid}: 5  (true, id, uname, date, ls)",
        f"engine: user (Linux {os.uname().release})",
        "attached by: kprobe __x64_sys_execve (ptrace)",
    ]


def test_user_engine_runs_both_users_of_root_s_demo(skep: Skep) -> None:
    done = skep("demo", env={"SKEP_ENGINE": "user"})
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  ID {os.geteuid()}: 5  (true, id, uname, date, ls)\n" in done.stdout
    assert ("  ID 65534: 3  (true, id, uname)\n" in done.stdout) == (os.geteuid() == 0)
