"""The soak scripts for a few seconds; `make soak` runs them for a minute."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from support import ROOT


@pytest.mark.kernel
def test_two_writers_and_two_readers_for_some_seconds() -> None:
    def soaked(seconds: str) -> Any:
        words = [sys.executable, ROOT / "tests" / "soak" / "maps.py", "--seconds", seconds]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    for seconds in ("3", "12", "60"):  # what a busy machine needs to write and read enough
        result = soaked(seconds)
        assert all(one["torn"] == one["lost"] == 0 for one in result["readers"])
        if result["written"] > 10_000 and all(one["rounds"] > 3 for one in result["readers"]):
            return
    raise AssertionError(result)
