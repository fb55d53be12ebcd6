"""Maps that belong to no BPF object, in both engines: how they end, and what they show of themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

KINDS = ["'hash', key=4, value=8, max_entries=4", "'ringbuf', max_entries=4096", "'perf_event_array'"]


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_a_script_ends_that_leaves_its_maps_open(user: str, as_nobody: tuple[str, ...]) -> None:
    code = "from skep import maps\n" + "".join(f"table{n} = maps.create({kind}, engine='user')\n" for n, kind in enumerate(KINDS))
    done = subprocess.run(
        [*(as_nobody if user == "nobody" else ()), sys.executable, "-c", code + "print(len(table0))"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        cwd=Path("/"),
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 0)
