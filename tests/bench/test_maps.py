"""bench/maps.py itself: what it measures, and its ratios at a small size with a wide margin. Its bars are for a quiet machine."""

from __future__ import annotations

from typing import Any

import pytest
from support import bench_figures
from waiting import undisturbed

LOOP = "one call for a key, one for its value"


@pytest.mark.kernel
def test_maps_bench_reports_every_way_and_reading_whole_maps_is_faster() -> None:
    def measured() -> Any:
        return bench_figures("maps.py", "--entries", "5000", "--no-peers")

    def is_right(found: Any) -> bool:
        return all(
            figures[f"dump, {LOOP}"] > 4 * figures["dump, to_numpy()"]
            and figures[f"dump, {LOOP}"] > 1.5 * figures["dump, items()"]
            and figures["fill, one call an entry"] > 1.5 * figures["fill, update_from()"]
            for figures in found["figures"].values()
        )

    found = undisturbed(measured, is_right)
    assert found["entries"] == 5000
    assert set(found["figures"]) == {"hash", "array", "percpu_hash"}
    assert [bar["bar"] for bar in found["bars"]][-1] == "hash: clear(), time an entry with ten times the entries"
