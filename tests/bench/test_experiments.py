"""The experiments that docs/ reports: that they run, count every event, and show what the documents say of their kind."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from support import ROOT

pytestmark = pytest.mark.kernel


def run(name: str, *options: str, prefix: tuple[str, ...] = ()) -> Any:
    done = subprocess.run(
        [*prefix, sys.executable, ROOT / "bench" / name, "--json", *options],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_buffers_bench_sends_the_same_events_in_six_ways() -> None:
    found = run("buffers.py", "--events", "3000")
    assert len(found["ways"]) == 6
    for way, row in found["ways"].items():
        assert row["ns_per_event"] > 0
        if way != "no event":
            assert row["quick"]["per_second"] > 0
            assert 0 <= row["slow"]["lost_percent"] < 100
    assert found["memory"]["perf_kib"] == found["memory"]["ring_kib"] * found["memory"]["cpus"]


def test_aggregation_bench_sees_every_process_by_counting() -> None:
    found = run("aggregation.py", "--events", "20000", "--processes", "20")
    assert found["short_lived"]["counted in a map"]["seen_percent"] == 100
    assert set(found["per_event"]) > {"counted in a map", "sent, read as arrays"}
    switches = {way: row["switches_per_1000"] for way, row in found["switches"].items()}
    assert switches["stopped for a tracer (ptrace)"] >= 1000  # it waits for the tracer at each call
    assert switches["counted in a map"] < 100


def test_aggregation_bench_measures_without_privilege_what_there_is(as_nobody: tuple[str, ...]) -> None:
    found = run("aggregation.py", "--events", "20000", prefix=as_nobody)
    assert list(found["switches"]) == ["alone", "stopped for a tracer (ptrace)"]
    assert found["per_event"] == found["short_lived"] == {}


def test_calls_bench_computes_the_same_by_every_kind_of_call_and_finds_the_limits() -> None:
    found = run("calls.py", "--repeat", "1000")
    sizes = {name: row["instructions"] for name, row in found["programs"].items()}
    assert set(sizes) >= {"tail call, constant index", "tail call, any index"}
    assert sizes["always inline"] > sizes["subprogram (static)"] == sizes["subprogram (global)"]
    # MAX_CALL_FRAMES 8, MAX_TAIL_CALL_CNT 33 (include/linux/bpf_verifier.h, bpf.h)
    assert found["limits"] == {"programs_in_a_chain": 34, "functions_below_a_program": 7}
