"""The same views over both engines: what a handle must do, and no privilege for the user engine's maps."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pytest
from support import ROOT

from skep import maps
from skep.errors import MapError, MapIndexError

if TYPE_CHECKING:
    from collections.abc import Callable

U32, U64 = ctypes.c_uint32, ctypes.c_uint64

both_engines = pytest.mark.parametrize("engine", [pytest.param("kernel", marks=pytest.mark.kernel), "user"])


@both_engines
@pytest.mark.parametrize("kind", ["hash", "lru_hash"])
def test_hashes(engine: str, kind: str) -> None:
    with maps.create(kind, key=U32, value=U64, max_entries=256, engine=engine) as table:
        keys = numpy.arange(100, dtype="u4")
        table.update_from(keys, keys.astype("u8") * 2)
        array = numpy.sort(table.to_numpy(), order="key")
        assert (array["key"] == keys).all()
        assert (array["value"] == keys * 2).all()
        assert (len(table), table[7].value, 7 in table, 700 in table) == (100, 14, True, False)
        assert table.items_delete_batch([1, 2, 700]) == 2
        assert table.pop(3).value == 6
        table.zero()
        assert {leaf.value for leaf in table.values()} == {0}
        assert len(list(table.items_lookup_and_delete_batch())) == 97
        assert table.items() == []


@both_engines
def test_a_full_hash_says_how_many_were_written(engine: str) -> None:
    with maps.create("hash", key=U32, value=U64, max_entries=4, engine=engine) as table:
        with pytest.raises(MapError, match="full"):
            table.update_from(numpy.arange(6), numpy.arange(6))
        assert len(table) == 4


@both_engines
def test_arrays_and_their_memory(engine: str) -> None:
    for value, dtype in ((U64, "u8"), (U32, "u4")):
        with maps.create("array", value=value, max_entries=8, engine=engine) as table:
            table.update({1: 10, -1: 70})
            live = table.live()
            assert live.dtype == dtype
            assert live.tolist() == [0, 10, 0, 0, 0, 0, 0, 70]
            live[2] = 20
            assert table[2].value == 20
            assert table.to_numpy()["value"].tolist() == [leaf.value for leaf in table.values()] == live.tolist()
            with pytest.raises(MapIndexError):
                table[8]
            del live


@both_engines
@pytest.mark.parametrize("kind", ["percpu_hash", "percpu_array"])
def test_per_cpu_kinds(engine: str, kind: str) -> None:
    options: dict[str, Any] = {"key": U32} if kind == "percpu_hash" else {}
    with maps.create(kind, value=ctypes.c_int32, max_entries=4, engine=engine, **options) as table:
        cpus = table.bpf.engine.possible_cpus
        table.update_from(numpy.arange(4), numpy.arange(4 * cpus, dtype="i4").reshape(4, cpus) - 3)
        assert table.sum(0).value == sum(range(-3, cpus - 3))
        assert (numpy.sort(table.to_numpy(), order="key")["value"] == numpy.arange(4 * cpus).reshape(4, cpus) - 3).all()


@both_engines
def test_queues_and_histograms(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    with maps.create("queue", value=U32, max_entries=2, engine=engine) as queue:
        queue.push(1)
        queue.push(2)
        with pytest.raises(MapError, match="full"):
            queue.push(3)
        queue.push(3, queue.BPF_EXIST)
        assert [leaf.value for leaf in queue.values()] == [2, 3]
    with maps.create("array", value=U64, max_entries=64, engine=engine) as table:
        table[2] = 4
        table.print_log2_hist("n", strip_leading_zero=True)
        assert capsys.readouterr().out.endswith(f"         2 -> 3          : 4        |{'*' * 40}|\n")


class Padded(ctypes.Structure):
    _fields_ = (("a", ctypes.c_uint8), ("b", U32), ("c", ctypes.c_uint8))


@both_engines
def test_keys_with_gaps_are_found_by_tuples_objects_and_elements_of_arrays(engine: str) -> None:
    with maps.create("hash", key=Padded, value=U64, max_entries=8, engine=engine) as table:
        table[1, 2, 3] = 5
        table[Padded(1, 2, 3)] = 6
        array = table.to_numpy()
        assert (len(table), table[array["key"][0]].value) == (1, 6)
        table.clear()
        table.update_from(array)
        assert [(key.a, key.b, key.c, leaf.value) for key, leaf in table.items()] == [(1, 2, 3, 6)]
        table.update_from(array["key"].copy(), array["value"])
        table.update_from(numpy.array([(1, 2, 3)], array["key"].dtype), array["value"])
        assert (len(table), table[1, 2, 3].value) == (1, 6)
        with pytest.raises(MapError, match="got void"):
            table[numpy.zeros(1, "u4,u8")[0]]


@both_engines
def test_char_arrays_hold_any_bytes(engine: str) -> None:
    with maps.create("hash", key=ctypes.c_char * 8, value=ctypes.c_char * 4, max_entries=8, engine=engine) as table:
        for name in (b"\xff\xfe", b"12345678", b"a\0b", b""):
            table[name] = name[:4]
        assert sorted(key.raw for key in table) == sorted(
            name.ljust(8, b"\0") for name in (b"\xff\xfe", b"12345678", b"a\0b", b"")
        )
        assert table.key_scanf(table.key_sprintf(b"\xff\xfe")).value == b"\xff\xfe"
        assert b"\xff\xfe" in table.to_numpy()["key"].tolist()
        assert "&" not in table._repr_html_()
        with pytest.raises(MapError, match=r"the key of map 'hash' is c_char_Array_8 \(8 bytes\); got 9 bytes"):
            table[b"123456789"]


@both_engines
@pytest.mark.parametrize("kind", ["hash", "array", "queue"])
def test_values_of_64_kib(engine: str, kind: str) -> None:
    data = bytes(range(256)) * 256
    options: dict[str, Any] = {"key": U32} if kind == "hash" else {}
    with maps.create(kind, value=len(data), max_entries=3, engine=engine, **options) as table:
        if kind == "queue":
            table.push(data)
            assert bytes(table.pop()) == data
            return
        table[1] = data
        assert bytes(table[1]) == bytes({key.value: leaf for key, leaf in table.items()}[1]) == data
        assert data in [value.tobytes() for value in table.to_numpy()["value"]]


@both_engines
def test_what_no_map_can_be_is_said(engine: str) -> None:
    for options in ({"key": 2, "value": 4, "max_entries": 2}, {"key": 300, "value": 4, "max_entries": 2}):
        with pytest.raises(MapError, match=r"cannot create map 'lpm_trie'.*(5 to 260 bytes|a size or flag does not fit)"):
            maps.create("lpm_trie", engine=engine, **options)


def refusals(table: Any, calls: list[Callable[[Any], object]]) -> set[str]:
    """What the errors of the calls say behind the errno; each must be EPERM."""
    found = set()
    for call in calls:
        with pytest.raises(MapError) as caught:
            call(table)
        assert caught.value.errno == errno.EPERM
        found.add(str(caught.value).partition("EPERM (Operation not permitted); ")[2].partition(":")[0])
    return found


READS: list[Callable[[Any], object]] = [lambda table: table[1], lambda table: table.items(), lambda table: table.to_numpy()]
WRITES: list[Callable[[Any], object]] = [
    lambda table: table.update({1: 2}),
    lambda table: table.clear(),
    lambda table: table.items_update_batch([1], [2]),
    lambda table: table.update_from(numpy.array([1], "u4"), numpy.array([1], "u8")),
    lambda table: table.__setitem__(1, 2),
    lambda table: table.__delitem__(1),
]
TAKES: list[Callable[[Any], object]] = [
    lambda table: table.pop(1),
    lambda table: table.popitem(),
    lambda table: table.items_delete_batch(),
    lambda table: table.items_lookup_and_delete_batch(),
]


@both_engines
def test_a_frozen_map_says_that_it_is_and_loses_nothing(engine: str) -> None:
    with maps.create("hash", key=U32, value=U64, max_entries=4, engine=engine) as table:
        table[1] = 5
        table.freeze()
        said = refusals(table, [*WRITES, *TAKES, lambda table: table.zero(), lambda table: table.items_delete_batch([1])])
        assert said == {"the map is frozen, so only programs may write it, for as long as it lives"}
        assert table[1].value == 5
    with maps.create("array", value=U64, max_entries=4, engine=engine) as table:
        table[1] = 5
        table.freeze()
        said = refusals(table, [*WRITES, lambda table: table.zero()])
        assert said == {"the map is frozen, so only programs may write it, for as long as it lives"}
        live = table.live()
        with pytest.raises(ValueError, match="read-only"):
            live[1] = 7
        assert live.tolist() == [0, 5, 0, 0]
        del live
    with maps.create("queue", value=U64, max_entries=4, engine=engine) as queue:
        queue.push(5)
        queue.freeze()
        refusals(queue, [lambda queue: queue.push(6), lambda queue: queue.pop()])
        assert queue.peek().value == 5


@both_engines
@pytest.mark.parametrize("kind", ["hash", "array"])
def test_a_map_that_may_only_be_read_or_written_says_by_which_flag(engine: str, kind: str) -> None:
    options: dict[str, Any] = {"value": U64, "max_entries": 4, "engine": engine} | ({"key": U32} if kind == "hash" else {})
    reader = "the map was opened with BPF_F_RDONLY (8), so it may only be read from here"
    writer = "the map was opened with BPF_F_WRONLY (16), so it may only be written from here, by keys that are known"
    with maps.create(kind, flags=8, **options) as table:
        assert refusals(table, WRITES) == {reader}
        assert len(table.items()) == len(table)
    with maps.create(kind, flags=16, **options) as table:
        table[1] = 5
        assert refusals(table, READS + TAKES[-1:]) == {writer}
    if kind == "array":
        with maps.create(kind, flags=16 | 1024, **options) as table, pytest.raises(MapError, match="BPF_F_WRONLY"):
            table.live()


def test_nobody_has_maps_too(as_nobody: tuple[str, ...]) -> None:
    code = (
        "import ctypes; from skep import maps\n"
        "with maps.create('hash', key=ctypes.c_uint32, value=ctypes.c_uint64, max_entries=8) as table:\n"
        "    table.update({1: 2, 3: 4})\n"
        "    print(sorted(table.to_numpy().tolist()))\n"
    )
    done = subprocess.run(
        [*as_nobody, sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        cwd=Path("/"),
        check=False,
    )
    assert (done.stdout, done.returncode) == ("[(1, 2), (3, 4)]\n", 0), done.stderr
