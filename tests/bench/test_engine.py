"""bench/engine.py on two programs: it compares results with native code and gives its figures (whose size is not tested)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "engine.py"


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang makes the native code")
def test_figures() -> None:
    command = [sys.executable, str(BENCH), "--json", "--rounds", "1", "calls", "hash_map"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode in (0, 1), run.stderr  # 1: a bar was missed, on a machine that does other things, too
    found = json.loads(run.stdout)
    assert set(found["programs"]) == {"calls", "hash_map"}
    assert all(row[key] > 0 for row in found["programs"].values() for key in ("native_ns", "proved", "checked"))
    assert set(found["bars"]) <= set(found["figures"])
