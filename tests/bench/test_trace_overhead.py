"""bench/trace_overhead.py itself: that it measures what it says. The bar is for a quiet machine, not for a test run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from support import ROOT


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed; it is what this is compared with")
def test_the_overhead_bench_counts_the_calls_and_times_each_way() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "trace_overhead.py", "--json", "--rounds", "1", "--only", "find"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    row = json.loads(done.stdout)["commands"]["find"]
    assert row["calls"] > 100
    assert set(row["ms"]) == {"alone", "skep", "skep, result", "strace"}
    assert all(time > 0 for time in row["ms"].values())
