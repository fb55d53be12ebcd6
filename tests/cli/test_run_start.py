"""`skep run -c` starts its command after the last program of a script is attached, however often that waits for the compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support import Skep

OBJECTS = 6  # from the third text on a kept process compiles (skep.llvm_server)
SCRIPT = f"""
import time
from skep import BPF

TEXT = "BPF_HASH(calls, u32); int f%d(void *c) {{ u32 pid = bpf_get_current_pid_tgid() >> 32; calls.increment(pid); return 0; }}"
objects = []
for number in range({OBJECTS}):
    objects.append(BPF(text=TEXT % number))
    objects[-1].attach_kprobe(event=BPF.get_syscall_fnname("getsid"), fn_name="f%d" % number)
try:
    while True:
        time.sleep(1)
except KeyboardInterrupt:
    for b in objects:
        print({{pid.value: count.value for pid, count in b["calls"].items()}})
"""


@pytest.mark.parametrize("engine", ["user", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_command_is_seen_by_the_last_of_several_objects(skep: Skep, engine: str, tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    command = "python3 -S -c 'import os; print(os.getpid(), flush=True); os.getsid(0)'"
    done = skep("run", "--engine", engine, "-c", command, str(path), env={"SKEP_CACHE": "0"})
    assert (done.stderr, done.returncode) == ("", 0)
    pid, *counts = done.stdout.splitlines()
    assert len(counts) == OBJECTS
    assert all(f"{pid}: 1" in line for line in counts), done.stdout
