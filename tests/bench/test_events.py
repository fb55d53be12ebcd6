"""bench/events.py itself: that it measures what it says. The bars are for a quiet machine, not for a test run."""

from __future__ import annotations

from typing import Any

import pytest
from support import bench_figures
from waiting import undisturbed


@pytest.mark.kernel
def test_events_bench_reports_every_case_and_counts_every_event() -> None:
    def measured() -> Any:
        return bench_figures("events.py", "--rounds", "1", "--seconds", "0.1")

    found = undisturbed(
        measured, lambda found: all(rates["batches"] > rates["callback"] for rates in found["prefilled"].values())
    )
    for kind in ("perf", "ring"):
        rates = found["prefilled"][kind]
        assert {"struct.unpack_from", "callback", "for", "batches"} <= set(rates)
        assert all(rate > 0 for rate in rates.values())
        for row in found["live"][kind].values():
            assert row["produced"] > row["lost"] >= 0
    named = [bar["bar"] for bar in found["bars"]]
    assert "perf: batches() against the callback" in named
    assert "ring: the callback against struct.unpack_from" in named
