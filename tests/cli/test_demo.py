"""`skep demo`: the counts of its own workload, and what it says without privilege."""

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


def test_without_privilege_it_says_what_is_missing_and_what_will_come(skep: Skep, as_nobody: tuple[str, ...]) -> None:
    done = skep("demo", before=as_nobody)
    uid = 65534 if as_nobody else os.geteuid()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"skep: error: the kernel engine needs CAP_BPF and CAP_PERFMON, which this process (uid {uid}) does not have; run as "
        "root (sudo), or give the interpreter the capabilities: setcap cap_bpf,cap_perfmon+ep "
        "$(readlink -f $(command -v python3)); Skep's user engine, which will run this without privilege, is not there yet\n"
    )
