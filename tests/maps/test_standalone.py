"""Maps that belong to no BPF object, in both engines: how they end, and what they show of themselves."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

from skep import maps

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


@pytest.mark.parametrize("engine", [pytest.param("kernel", marks=pytest.mark.kernel), "user"])
@pytest.mark.parametrize(
    ("kind", "options", "title"),
    [
        ("queue", {"value": ctypes.c_uint32, "max_entries": 4}, "q: queue<"),
        ("ringbuf", {"max_entries": 4096}, "q: ringbuf<"),
        ("perf_event_array", {}, "q: perf_event_array<"),
        ("prog_array", {"max_entries": 300}, "q: prog_array, 0 of at most 300 entries<"),
    ],
)
def test_every_view_has_html(engine: str, kind: str, options: dict[str, object], title: str) -> None:
    with maps.create(kind, name="q", engine=engine, **options) as view:
        if kind == "queue":
            view.push(5)
        html = view._repr_html_()
        assert f"<caption>{title}" in html
        assert "more" not in html
        assert kind != "queue" or view.pop().value == 5
