"""bench/startup.py itself: that it measures what it says. The bars are for a quiet machine, not for a test run."""

from __future__ import annotations

from typing import Any

import pytest
from support import bench_figures
from waiting import undisturbed


@pytest.mark.kernel
def test_startup_bench_reports_every_case_with_its_figures() -> None:
    def measured() -> Any:
        return bench_figures("startup.py", "--rounds", "1")

    def is_right(found: Any) -> bool:
        attached = {case: figures["attached_ms"] for case, figures in found["figures"].items()}
        return attached["skep, warm cache"] < attached["skep, cold cache"]

    found = undisturbed(measured, is_right)
    assert {"python -c pass", "skep, cold cache", "skep, warm cache"} <= set(found["figures"])
    for figures in found["figures"].values():
        assert 0 < figures["attached_ms"] <= figures["wall_ms"]
        assert figures["peak_mib"] > 4
    assert [bar["bar"] for bar in found["bars"]] == ["warm, ms to attached", "warm, peak MiB", "cold, ms to attached"]
