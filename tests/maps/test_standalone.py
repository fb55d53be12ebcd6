"""Maps that belong to no BPF object, in both engines: how they end, and what they show of themselves."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import ROOT

from skep import maps
from skep.errors import MapError, MapKeyError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

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


@pytest.mark.parametrize("engine", [pytest.param("kernel", marks=pytest.mark.kernel), "user"])
def test_slots_can_be_emptied_by_pop(engine: str) -> None:
    with (
        maps.create("array", value=ctypes.c_uint64, max_entries=2, engine=engine) as inner,
        maps.create("array_of_maps", max_entries=4, inner=inner, engine=engine) as slots,
    ):
        slots.update({1: inner, 3: inner})
        assert slots.next(None).value == 0  # slots are there whether something is in them or not
        taken = slots.pop(3).value
        assert (taken, 3 in slots, slots.pop(3, "none")) == (slots[1].value, False, "none")
        with pytest.raises(MapKeyError):
            slots.pop(3)
        assert [number.value for number in slots.popitem()] == [1, taken]
        with pytest.raises(MapKeyError, match="is empty"):
            slots.popitem()


def test_the_user_engine_says_that_it_has_no_counters() -> None:
    refused = pytest.raises(UnsupportedError, match=r"perf counter 1:0: the user engine has no counters")
    with maps.create("perf_event_array", engine="user") as table, refused:
        table.open_perf_event(1, 0)


U64 = {"value": ctypes.c_uint64}


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("kind", "options", "call", "said"),
    [
        ("xskmap", {"max_entries": 2}, lambda table: table[0], r"slots can be set and deleted, not read: ENOTSUP"),
        ("cgroup_array", {"max_entries": 2}, lambda table: table[0], r"slots can be set and deleted, not read: ENOTSUPP"),
        ("cgroup_array", {"max_entries": 2}, lambda table: table.update({0: "/"}), r"no directory of a cgroup2 hierarchy: EBADF"),
        ("cgrp_storage", U64, lambda table: table["/"], r"no directory of a cgroup2 hierarchy: EBADF"),
        ("sk_storage", U64, lambda table: table[1 << 20], r"the key is no fd of what has values here: EBADF"),
        ("task_storage", U64, lambda table: table.popitem(), r"cannot be listed: ask for the value of one object"),
        ("queue", U64 | {"max_entries": 1}, lambda table: [table.push(n) for n in range(2)], r"larger or push with BPF_EXIST"),
    ],
)
def test_what_a_kind_cannot_do_is_said(kind: str, options: dict[str, Any], call: Callable[[Any], object], said: str) -> None:
    with maps.create(kind, **options) as view, pytest.raises(MapError, match=said):
        call(view)


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["sockmap", "sockhash"])
def test_a_map_of_sockets_without_room_for_cookies_says_so(kind: str) -> None:
    key = {"key": ctypes.c_uint32} if kind == "sockhash" else {}
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as connected:
        with maps.create(kind, max_entries=2, **key) as table:
            table[1] = connected
            with pytest.raises(MapError, match=r"no room for a socket's cookie: make the map with 8: ENOSPC"):
                table[1]
        with maps.create(kind, max_entries=2, **key, **U64) as table:
            table[1] = connected
            assert table[1].value > 0
