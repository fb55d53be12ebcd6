"""What the Python views of maps give back, against maps of the running kernel."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import numpy
import pytest
from sample import attach, open_sample

from skep import BPF
from skep.engine.kernel import syscall
from skep.errors import MapError, MapKeyError, UnsupportedError
from skep.maps import open_view
from skep.object.model import MapSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel


@pytest.fixture
def bpf() -> Iterator[BPF]:
    with open_sample() as sample:
        yield sample


def test_hash_reads_back_what_was_written_in_each_form(bpf: BPF) -> None:
    table = bpf["counts"]
    table[1] = 10
    table[ctypes.c_ulonglong(2)] = ctypes.c_ulonglong(20)
    table[ctypes.c_int(3)] = ctypes.c_int(30)  # a smaller ctypes integer goes in by its value, not by its bytes
    table[(4).to_bytes(8, "little")] = (40).to_bytes(8, "little")
    table[numpy.uint64(5)] = numpy.int32(50)
    assert sorted((key.value, leaf.value) for key, leaf in table.items()) == [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]
    assert isinstance(table, MutableMapping)
    assert isinstance(table[1], table.Leaf)


def test_negative_integers_wrap_as_in_c_and_too_large_ones_are_refused(bpf: BPF) -> None:
    table = bpf["counts"]
    table[-1] = 1
    assert next(iter(table.keys())).value == 2**64 - 1
    with pytest.raises(MapError, match=r"18446744073709551616 does not fit into the key of map 'counts': it has 8 bytes"):
        table[2**64] = 1


def test_structs_go_in_as_tuples_and_come_back_as_fields(bpf: BPF) -> None:
    table = bpf["lru"]
    table[7] = ((1, 2), b"name", (3, 4))
    leaf = table[7]
    assert (leaf.pair.a, leaf.pair.b, leaf.name, leaf.list[:]) == (1, 2, b"name", [3, 4])
    table[8] = leaf
    assert bytes(table[8]) == bytes(leaf)


def test_gaps_in_a_struct_take_no_place_in_a_tuple(bpf: BPF) -> None:
    table = bpf["gaps"]
    table[1] = (1, 2, [(b"x", 3), (b"y", 4)])
    leaf = table[1]
    assert (leaf.a, leaf.b, [(item.c, item.d) for item in leaf.e]) == (1, 2, [(b"x", 3), (b"y", 4)])


def test_struct_keys_and_text_keys(bpf: BPF) -> None:
    small, names = bpf["small"], bpf["names"]
    small[1, 2] = 3
    small[small.Key(4, 5)] = 6
    assert {(key.a, key.b): leaf.value for key, leaf in small.items()} == {(1, 2): 3, (4, 5): 6}
    names[names.Key(b"init")] = 1
    assert [key.text for key in names] == [b"init"]


def test_wrong_keys_and_values_say_what_the_map_takes(bpf: BPF) -> None:
    with pytest.raises(MapError, match=r"the key of map 'counts' is c_\w+ \(8 bytes\); got 3 bytes; give an integer or 8 bytes"):
        bpf["counts"][b"abc"] = 1
    with pytest.raises(MapError, match=r"the key of map 'small' is pair \(8 bytes\); got int 5; give a pair, a tuple or 8 bytes"):
        bpf["small"][5] = 1
    with pytest.raises(MapError, match=r"the key of map 'small' is pair \(8 bytes\); got \(1, 2, 3\) \(too many initializers\)"):
        bpf["small"][1, 2, 3] = 1
    with pytest.raises(MapError, match=r"the value of map 'counts' .* got NoneType None"):
        bpf["counts"][1] = None


def test_missing_keys(bpf: BPF) -> None:
    table = bpf["counts"]
    with pytest.raises(KeyError, match="map 'counts' has no entry for key 99"):
        table[99]
    with pytest.raises(MapKeyError):
        del table[table.Key(99)]
    assert 99 not in table
    assert table.get(99) is None
    assert table.get(99, 5) == 5
    assert table.pop(99, "gone") == "gone"
    with pytest.raises(MapKeyError):
        table.pop(99)


def test_pop_and_popitem_remove(bpf: BPF) -> None:
    table = bpf["counts"]
    table.update({1: 10, 2: 20})
    assert table.pop(1).value == 10
    key, leaf = table.popitem()
    assert (key.value, leaf.value, len(table)) == (2, 20, 0)
    with pytest.raises(KeyError, match="empty"):
        table.popitem()


def test_a_full_hash_says_so(bpf: BPF) -> None:
    table = bpf["small"]
    for number in range(4):
        table[number, 0] = number
    with pytest.raises(MapError, match="the map is full, max_entries is 4") as caught:
        table[4, 0] = 4
    assert caught.value.map_name == "small"


def walked(table: Any) -> list[tuple[Any, Any]]:
    """What `items()` gives where the kernel has no batch call."""
    table.handle._no_batch.add(syscall.MAP_LOOKUP_BATCH)
    try:
        return table.items()
    finally:
        table.handle._no_batch.clear()


def test_batch_and_walk_give_the_same_items(bpf: BPF) -> None:
    table = bpf["counts"]
    table.update({number: number * number for number in range(1000)})
    batch = {key.value: leaf.value for key, leaf in table.items()}
    walk = {key.value: leaf.value for key, leaf in walked(table)}
    assert batch == walk == {number: number * number for number in range(1000)}
    assert len(table) == 1000
    assert sorted(key.value for key in table) == list(range(1000))
    assert sum(leaf.value for leaf in table.itervalues()) == sum(leaf.value for leaf in table.values())


def test_items_while_keys_come_and_go_holds_the_steady_ones(bpf: BPF) -> None:
    table = bpf["counts"]
    table.update(dict.fromkeys(range(300), 1))
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            for number in range(1000, 1100):
                table[number] = 1
            for number in range(1000, 1100):
                del table[number]

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for walk in (table.items, lambda: walked(table)):
            for _ in range(20):
                keys = {key.value for key, _ in walk()}
                # a walk by next_key may start again or end early where its key vanished; a batch never does
                assert keys <= set(range(300)) | set(range(1000, 1100))
                if walk == table.items:
                    assert keys >= set(range(300))
    finally:
        done.set()
        thread.join()


def test_clear_and_zero(bpf: BPF) -> None:
    table = bpf["counts"]
    table.update({1: 1, 2: 2})
    table.zero()
    assert sorted((key.value, leaf.value) for key, leaf in table.items()) == [(1, 0), (2, 0)]
    table.clear()
    assert len(table) == 0


def test_array_indexes(bpf: BPF) -> None:
    table = bpf["array"]
    table[-1] = 7
    table[ctypes.c_int(0)] = 5
    assert [leaf.value for leaf in table.values()] == [5, 0, 0, 7]
    assert [(key.value, leaf.value) for key, leaf in table.items()] == [(0, 5), (1, 0), (2, 0), (3, 7)]
    assert (len(table), 3 in table, 4 in table, table.get(9)) == (4, True, False, None)
    del table[3]
    assert table[3].value == 0
    with pytest.raises(IndexError, match="index 4 is outside map 'array': it has 4"):
        table[4] = 1
    table.clear()
    assert table[0].value == 0
    with pytest.raises(MapError, match="cannot be removed"):
        table.pop(0)


def test_per_cpu_values_have_an_element_for_each_possible_cpu(bpf: BPF) -> None:
    cpus = bpf.engine.possible_cpus
    wide, narrow, odd = bpf["cpu_array"], bpf["cpu_hash"], bpf["cpu_odd"]
    wide[1] = tuple(range(1, cpus + 1))
    assert wide[1][:] == list(range(1, cpus + 1))
    assert (wide.sum(1).value, wide.max(1).value, wide.min(1).value) == (cpus * (cpus + 1) // 2, cpus, 1)
    assert wide.average(1) == (cpus + 1) / 2
    narrow[5] = [-3] * cpus  # 4 bytes in 8: the padding is no part of the number
    assert narrow[5][:] == [-3] * cpus
    assert (narrow.sum(5).value, [leaf[:] for leaf in narrow.values()]) == (-3 * cpus, [[-3] * cpus])
    odd[1] = [(cpu, cpu + 1, b"x") for cpu in range(cpus)]
    assert [(event.pid, event.n, event.text) for event in odd[1]] == [(cpu, cpu + 1, b"x") for cpu in range(cpus)]
    assert len(odd.items()) == 2
    with pytest.raises(MapError, match=r"for each of \d+ CPUs: give a list of that many, not 1"):
        wide[1] = 3
    with pytest.raises(MapError, match=r"no integers: use getvalue\(key\) or reduce"):
        odd.sum(1)


def test_reducer_gives_one_value(bpf: BPF) -> None:
    bpf["cpu_array"][0] = [2] * bpf.engine.possible_cpus
    table = bpf.get_table("cpu_array", reducer=lambda a, b: a + b)
    assert table[0] == 2 * bpf.engine.possible_cpus
    assert table.getvalue(0)[:] == [2] * bpf.engine.possible_cpus


def test_with_a_reducer_everything_that_reads_gives_one_value(bpf: BPF, capsys: pytest.CaptureFixture[str]) -> None:
    pids = list(range(5, 5 + bpf.engine.possible_cpus))
    bpf["cpu_hash"].update({1: pids, 2: [2 * pid for pid in pids]})
    table = bpf.get_table("cpu_hash", reducer=lambda a, b: a + b)
    expected = {1: sum(pids), 2: 2 * sum(pids)}
    assert table[1] == table.get(1) == sum(pids)
    for entries in (table.items(), table.iteritems(), table.items_lookup_batch()):
        assert {key.value: value for key, value in entries} == expected
    assert sorted(table.values()) == sorted(table.itervalues()) == list(expected.values())
    assert f"<td>{sum(pids)}</td>" in table._repr_html_()
    table.print_linear_hist()
    assert f"2          : {2 * sum(pids)} " in capsys.readouterr().out
    assert table.getvalue(1)[:] == pids
    assert sorted(table.to_numpy()["value"].tolist()) == [pids, [2 * pid for pid in pids]]
    assert table.sum(1).value == table.pop(1) == sum(pids)
    assert table.popitem()[1] == 2 * sum(pids)

    wide = bpf.get_table("cpu_odd", reducer=lambda a, b: a if a.pid > b.pid else b)
    wide[0] = [(pid, 1, b"x") for pid in pids]
    assert [event.pid for event in wide.values()] == [event.pid for _, event in wide.items()] == [max(pids), 0]


def test_a_program_jumps_through_a_program_array_set_in_each_way(bpf: BPF) -> None:
    landed, programs, counts = bpf.load_func("landed", BPF.RAW_TRACEPOINT), bpf.get_table("programs"), bpf["counts"]
    call = attach(bpf, "jump")
    for value in (ctypes.c_int(landed.fd), landed, landed.fd):
        programs[ctypes.c_int(3)] = value
        call(1)
        assert counts.pop(3).value == 1
        del programs[3]
        call(1)
        assert 3 not in counts
    assert 3 not in programs


def test_a_program_array_gives_the_program_s_id(bpf: BPF) -> None:
    landed, programs = bpf.load_func("landed", BPF.RAW_TRACEPOINT), bpf["programs"]
    programs[-1] = landed
    assert [(key.value, leaf.value) for key, leaf in programs.items()] == [(7, landed.handle.info()["id"])]
    assert len(programs) == 8
    with pytest.raises(MapKeyError, match="no entry for key 2"):
        programs[2]
    programs.clear()
    assert programs.items() == []


def test_given_types_replace_the_program_s(bpf: BPF) -> None:
    bpf["counts"][1] = 0x0000000200000001

    class Halves(ctypes.Structure):
        _fields_ = (("low", ctypes.c_uint32), ("high", ctypes.c_uint32))

    table = bpf.get_table("counts", leaftype=Halves)
    assert (table[1].low, table[1].high) == (1, 2)
    with pytest.raises(MapError, match="value type c_ushort of map 'counts' has 2 bytes, the map's value has 8"):
        bpf.get_table("counts", leaftype=ctypes.c_uint16)


def test_attributes(bpf: BPF) -> None:
    table = bpf["counts"]
    assert (table.name, table.max_entries, table.flags, table.ttype, table.get_fd()) == ("counts", 1024, 0, 1, table.map_fd)
    assert table.map_id == table.handle.info()["id"]
    assert bpf["events"].max_entries == bpf.engine.possible_cpus
    assert os.readlink(f"/proc/self/fd/{table.map_fd}") == "anon_inode:bpf-map"


def test_a_kind_without_a_view_says_so(bpf: BPF) -> None:
    handle = bpf["counts"].handle
    spec = MapSpec("new", 99, 4, 8, 1)
    with pytest.raises(UnsupportedError, match="map 'new' is a map of type 99, which has no Python view; its fd is"):
        open_view(type("Handle", (), {"spec": spec, "fd": handle.fd})(), bpf)
