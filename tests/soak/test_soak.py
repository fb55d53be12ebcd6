"""The soak scripts for a few seconds; `make soak` runs them for a minute."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support import ROOT


@pytest.mark.kernel
def test_two_writers_and_two_readers_for_three_seconds() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "soak" / "maps.py", "--seconds", "3"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["written"] > 10_000
    assert all(one["rounds"] > 3 and one["torn"] == one["lost"] == 0 for one in result["readers"])
