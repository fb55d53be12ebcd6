"""bench/maps.py itself: what it measures, and its ratios at a small size with a wide margin. Its bars are for a quiet machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support import ROOT


@pytest.mark.kernel
def test_maps_bench_reports_every_way_and_reading_whole_maps_is_faster() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "maps.py", "--json", "--entries", "5000", "--no-peers"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert found["entries"] == 5000
    assert set(found["figures"]) == {"hash", "array", "percpu_hash"}
    for figures in found["figures"].values():
        loop = figures["dump, one call for a key, one for its value"]
        assert loop > 4 * figures["dump, to_numpy()"]
        assert loop > 1.5 * figures["dump, items()"]
        assert figures["fill, one call an entry"] > 1.5 * figures["fill, update_from()"]
    assert [bar["bar"] for bar in found["bars"]][-1] == "hash: clear(), time an entry with ten times the entries"
