"""`skep run -c` starts its command after the last program of a script is attached, however often that waits for the compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support import Skep

# From the third text on a kept process compiles (skep.llvm_server).
SCRIPT = """
import time
from skep import BPF

objects = []
for number in range(4):
    objects.append(BPF(text="BPF_ARRAY(calls, u64, 1); int f%d(void *ctx) { calls.atomic_increment(0); return 0; }" % number))
    objects[-1].attach_kprobe(event=BPF.get_syscall_fnname("getsid"), fn_name="f%d" % number)
try:
    while True:
        time.sleep(1)
except KeyboardInterrupt:
    print([b["calls"][0].value > 0 for b in objects])
"""


@pytest.mark.parametrize("engine", ["user", pytest.param("kernel", marks=pytest.mark.kernel)])
def test_command_is_seen_by_the_last_of_several_objects(skep: Skep, engine: str, tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    command = "python3 -S -c 'import os; os.getsid(0)'"
    done = skep("run", "--engine", engine, "-c", command, str(path), env={"SKEP_CACHE": "0"})
    assert (done.stdout, done.stderr, done.returncode) == ("[True, True, True, True]\n", "", 0)
