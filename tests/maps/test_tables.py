"""BCC's table interface beyond single entries: batches, histograms, texts; numpy; maps that Python creates, pins and shares."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy
import pytest
from sample import open_sample
from support import ROOT

from skep import BPF, maps
from skep.engine.user import maps as user_maps
from skep.errors import MapError, MapIndexError, MapKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.kernel

U32, U64 = ctypes.c_uint32, ctypes.c_uint64


@pytest.fixture
def bpf() -> Iterator[BPF]:
    with open_sample() as sample:
        yield sample


@pytest.fixture
def table() -> Iterator[Any]:
    with maps.create("hash", key=U32, value=U64, max_entries=1000, name="counts") as made:
        yield made


def content(table: Any) -> dict[int, int]:
    return {key.value: leaf.value for key, leaf in table.items()}


# Batches


def test_batches_take_ctypes_arrays_lists_and_numpy_arrays(table: Any) -> None:
    keys, leaves = (table.Key * 3)(1, 2, 3), (table.Leaf * 3)(10, 20, 30)
    table.items_update_batch(keys, leaves)
    table.items_update_batch([4, table.Key(5)], (40, table.Leaf(50)))
    table.items_update_batch(numpy.array([6]), numpy.array([60], "u2"))
    assert content(table) == {number: number * 10 for number in range(1, 7)}
    assert sorted((key.value, leaf.value) for key, leaf in table.items_lookup_batch()) == sorted(content(table).items())
    assert table.items_delete_batch((table.Key * 2)(1, 3)) == 2
    assert table.items_delete_batch([2, 99, 4]) == 2  # 99 was not there, what comes after it goes all the same
    assert sorted(content(table)) == [5, 6]
    assert {key.value: leaf.value for key, leaf in table.items_lookup_and_delete_batch()} == {5: 50, 6: 60}
    assert len(table) == 0
    table.update({1: 1, 2: 2})
    assert table.items_delete_batch() == 2
    with pytest.raises(MapError, match="2 keys and 1 values"):
        table.items_update_batch([1, 2], [1])


def test_a_batch_that_fills_the_map_says_how_far_it_came() -> None:
    with maps.create("hash", key=U32, value=U64, max_entries=4, name="small") as table:
        with pytest.raises(MapError, match=r"the map is full, max_entries is 4.*4 of 6 were written"):
            table.update_from(numpy.arange(6), numpy.arange(6))
        assert len(table) == 4


def test_kinds_without_batch_calls_do_the_same_entry_by_entry() -> None:
    with maps.create("sockhash", key=U32, value=U64, max_entries=4) as empty:
        empty.clear()
        assert (empty.items(), empty.items_delete_batch([1]), len(empty.to_numpy())) == ([], 0, 0)
    with maps.create("lpm_trie", key=8, value=U32, max_entries=4) as trie:
        trie.update({(32).to_bytes(4, "little") + bytes([10, 0, 0, number]): number for number in range(4)})
        assert sorted(leaf.value for leaf in trie.values()) == [0, 1, 2, 3]
        assert len(list(trie.items_lookup_and_delete_batch())) == 4
        assert len(trie) == 0


def test_next_goes_from_key_to_key(table: Any) -> None:
    table.update({1: 1, 2: 2})
    first = table.next(None)
    assert {first.value, table.next(first).value} == {1, 2}
    with pytest.raises(StopIteration):
        table.next(table.next(first))
    assert {key.value for key in table.iter()} == {1, 2}


# numpy


def test_numpy_gives_and_takes_structured_arrays(bpf: BPF) -> None:
    table = bpf["lru"]
    table[7] = ((1, 2), b"name", (3, 4))
    array = table.to_numpy()
    assert array.dtype.names == ("key", "value")
    assert (array["key"][0], array["value"]["pair"]["b"][0], array["value"]["name"][0]) == (7, 2, b"name")
    assert array["value"]["list"].tolist() == [[3, 4]]
    array["key"] += 1
    table.update_from(array)
    assert bytes(table[8]) == bytes(table[7])


def test_numbers_of_the_other_byte_order_and_long_ones_are_what_they_are_in_every_reading() -> None:
    big = ctypes.c_uint32.__ctype_be__
    with maps.create("hash", key=big, value=big, max_entries=4, engine="user") as table:
        table[1], table[big(2)] = 5, big(6)
        assert {key.value: leaf.value for key, leaf in table.items()} == {1: 5, 2: 6}
        assert (table[1].value, table[2].value) == (5, 6)
        assert {type(value) for value in (*table, *table.values())} == {big}
        assert sorted(table.to_numpy().tolist()) == [(1, 5), (2, 6)]
        assert table.handle.lookup(b"\0\0\0\1") == b"\0\0\0\5"
    with maps.create("hash", key=U32, value=ctypes.c_longdouble, max_entries=4, engine="user") as table:
        table[1] = ctypes.c_longdouble(0.5)
        assert [(key.value, leaf.value) for key, leaf in table.items()] == [(1, 0.5)]


@pytest.mark.parametrize("ctype", [ctypes.c_float, ctypes.c_double, ctypes.c_longdouble])
def test_numbers_become_floating_point_where_the_value_is(ctype: Any) -> None:
    with maps.create("hash", key=U32, value=ctype, max_entries=4, engine="user") as table:
        for given in (5, -2.5, True, numpy.float32(1.5), numpy.int64(7), ctypes.c_int16(3)):
            table[1] = given
            assert table[1].value == getattr(given, "value", given)
        for wrong in (10**5000, numpy.zeros(2), "x", None):
            with pytest.raises(MapError, match="give a number or"):
                table[1] = wrong
        with pytest.raises(MapError, match="the key of map 'hash'"):
            table[1.5] = 1


@pytest.mark.parametrize("believed", [4, 1000])
def test_numpy_of_a_map_in_many_parts_has_the_types_of_one_part(monkeypatch: pytest.MonkeyPatch, believed: int) -> None:
    class Value(ctypes.Structure):  # with a gap
        _fields_ = (("letter", ctypes.c_uint8), ("number", ctypes.c_uint32.__ctype_be__))

    monkeypatch.setattr(user_maps, "_CHUNK", 16)
    with maps.create("hash", key=ctypes.c_uint32, value=Value, max_entries=1000, engine="user") as table:
        empty = table.to_numpy()
        table.update({number: (number % 7, number * 3) for number in range(300)})
        table.max_entries = believed
        array = table.to_numpy()
        assert (len(empty), len(array), array.dtype) == (0, 300, empty.dtype)
        assert array.dtype["value"].itemsize == ctypes.sizeof(Value)
        assert {int(row["key"]): tuple(row["value"].tolist()) for row in array} == {n: (n % 7, n * 3) for n in range(300)}


def test_numpy_of_per_cpu_values_has_a_column_for_each_cpu(bpf: BPF) -> None:
    cpus = bpf.engine.possible_cpus
    for name, dtype in (("cpu_hash", "i4"), ("cpu_array", "u8")):
        table = bpf[name]
        values = numpy.arange(4 * cpus, dtype=dtype).reshape(4, cpus)
        table.update_from(numpy.arange(4), values)
        array = numpy.sort(table.to_numpy(), order="key")
        assert array["value"].shape == (4, cpus)
        assert (array["value"] == values).all()
        assert array["value"].dtype == dtype
        assert table.sum(3).value == values[3].sum()
    odd = bpf["cpu_odd"]  # 44 bytes in 48
    odd[1] = [(cpu, cpu + 1, b"x") for cpu in range(cpus)]
    array = odd.to_numpy()
    assert (array["value"]["n"][1] == numpy.arange(cpus) + 1).all()
    odd.update_from(numpy.array([0], "u4"), array["value"][1:])
    assert bytes(odd[0]) == bytes(odd[1])
    with pytest.raises(MapError, match=rf"shape \(n, {cpus}\)"):
        bpf["cpu_hash"].update_from([1], numpy.array([1]))


def test_arrays_that_do_not_fit_are_refused(table: Any) -> None:
    with pytest.raises(MapError, match="numbers of int64 do not fit into the key"):
        table.update_from(numpy.array([2**32]), numpy.array([1]))
    with pytest.raises(MapError, match="an array of float64 is no such thing"):
        table.update_from(numpy.array([1]), numpy.array([1.5]))
    table.update_from(numpy.array([-1], "i4"), numpy.array([-1], "i8"))  # the same bits
    assert content(table) == {2**32 - 1: 2**64 - 1}


def test_a_live_array_is_the_map_itself(bpf: BPF) -> None:
    for name in ("array", "control"):  # values of 8 and of 4 bytes
        table = bpf[name]
        live = table.live()
        assert len(live) == table.max_entries
        table[1] = 5
        assert live[1] == 5
        live[2] = 7
        assert table[2].value == 7
        assert table.to_numpy()["value"].tolist() == [leaf.value for leaf in table.values()]
        assert table.items()[2][1].value == 7
        del live
    with pytest.raises(MapError, match="has no memory to share"):
        bpf["cpu_array"].live()


def test_a_frozen_array_is_read_only_memory() -> None:
    with maps.create("array", value=U32, max_entries=4) as table:
        table[1] = 1
        table.freeze()
        with pytest.raises(MapError, match=r"EPERM .*; the map is frozen, so only programs may write it"):
            table[1] = 2
        live = table.live()
        assert live.tolist() == [0, 1, 0, 0]
        with pytest.raises(ValueError, match="read-only"):
            live[1] = 2
        del live


def test_html_shows_the_first_entries(bpf: BPF) -> None:
    table = bpf["counts"]
    table.update(dict.fromkeys(range(30), 7))
    html = table._repr_html_()
    assert html.count("<tr>") == 22
    assert "counts: hash, 30 of at most 1024 entries" in html
    assert "10 more" in html
    bpf["names"][bpf["names"].Key(b"<b>")] = 1
    assert "{text: &lt;b&gt;}" in bpf["names"]._repr_html_()


# Text


def test_keys_and_values_as_texts_in_bccs_form(bpf: BPF) -> None:
    table = bpf["lru"]
    leaf = table.Leaf((1, 2), b"text", (3, 2**64 - 1))
    assert table.leaf_sprintf(leaf) == b'{ { 0x1 0x2 } "text" [ 0x3 0xffffffffffffffff ] }'
    assert bytes(table.leaf_scanf(table.leaf_sprintf(leaf))) == bytes(leaf)
    assert bytes(table.leaf_scanf('{{1 0x2} "text" [ 03 -1 ]}')) == bytes(leaf)
    assert table.key_sprintf(table.Key(42)) == b"0x2a"
    assert (table.key_scanf(b"010").value, table.key_scanf(" 7 ").value) == (8, 7)
    gaps = bpf["gaps"]
    assert gaps.leaf_sprintf((1, 2, [(b"a", 3), (b"b", 4)])) == b"{ 0x1 0x2 [ { 0x61 0x3 } { 0x62 0x4 } ] }"
    assert table.key_scanf(b"\t7 \n").value == 7


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("zz", "b'zz' has b'zz' at byte 0, where a number"),
        ("", "b'' has the end at byte 0, where a number"),
        ("1x", "b'1x' has b'1x' at byte 0, where a number"),
        ("1_0", "b'1_0' has b'1_0' at byte 0, where a number"),
        ("0b1", "b'0b1' has b'0b1' at byte 0, where a number: 42, 0x2a or 052 should be"),
        ("1 2", "b'1 2' has b'2' at byte 2, where the end should be"),
        ("1 }", "b'1 }' has b'}' at byte 2, where the end should be"),
        ("0x100000000", "4294967296 does not fit into 4 bytes"),
    ],
)
def test_a_text_that_is_no_key_is_told_with_its_place(bpf: BPF, text: str, error: str) -> None:
    with pytest.raises(MapError) as caught:
        bpf["lru"].key_scanf(text)
    assert str(caught.value).startswith(f"the key of map 'lru': {error}")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{ 1 2", "has b'1 2' at byte 2, where { should be"),
        ('{{1 2} "a" [1 2]} x', "has b'x' at byte 18, where the end should be"),
        ('{{1 2} "a" [1 2 3]}', "has b'3]}' at byte 16, where ] should be"),
        ('{{1 2} "a [1 2 3]}', 'has the end at byte 18, where a closing " should be'),
        ('{{1 2} "a" [1, 2]}', "has b'1, 2]}' at byte 12, where a number: 42, 0x2a or 052 should be"),
    ],
)
def test_a_text_that_is_no_value_is_told_with_its_place(bpf: BPF, text: str, error: str) -> None:
    with pytest.raises(MapError) as caught:
        bpf["lru"].leaf_scanf(text)
    assert str(caught.value) == f"the value of map 'lru': {text.encode()!r} {error}"


# Histograms: the layout of python3-bpfcc's table.py, byte for byte; the expected texts were printed by it


def printed(capsys: pytest.CaptureFixture[str], show: Callable[[], object]) -> str:
    capsys.readouterr()
    show()
    return capsys.readouterr().out


class Slot(ctypes.Structure):
    _fields_ = (("disk", ctypes.c_char * 8), ("slot", U64))


LOG2 = """\
     usecs               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 4        |*****************                       |
         4 -> 7          : 9        |****************************************|
         8 -> 15         : 1        |****                                    |
"""
LOG2_WIDE = """\
               value                         : count     distribution
                   0 -> 1                    : 7        |********************|
                   2 -> 3                    : 0        |                    |
"""
LINEAR = """\
     ms            : count     distribution
        0          : 0        |                                        |
        1          : 3        |****************************************|
        2          : 2        |**************************              |
"""


def test_log2_histogram_of_an_array(capsys: pytest.CaptureFixture[str]) -> None:
    with maps.create("array", value=U64, max_entries=65) as table:
        assert printed(capsys, table.print_log2_hist) == ""
        table.update({2: 4, 3: 9, 4: 1})
        assert printed(capsys, lambda: table.print_log2_hist("usecs")) == LOG2
        stripped = LOG2.splitlines(keepends=True)
        assert printed(capsys, lambda: table.print_log2_hist("usecs", strip_leading_zero=True)) == "".join(
            stripped[:1] + stripped[2:]
        )
        table.zero()
        table.update({1: 7, 64: 1})
        wide = printed(capsys, table.print_log2_hist)
        assert wide.startswith(LOG2_WIDE)
        assert wide.endswith(" 9223372036854775808 -> 18446744073709551615 : 1        |**                  |\n")


def test_linear_histogram(capsys: pytest.CaptureFixture[str], table: Any) -> None:
    table.update({1: 3, 2: 2})
    assert printed(capsys, lambda: table.print_linear_hist("ms")) == LINEAR
    table[1025] = 1
    with pytest.raises(MapIndexError, match=r"Index in print_linear_hist\(\) of 1025 exceeds max of 1025."):
        table.print_linear_hist()


def test_sections_of_a_histogram(capsys: pytest.CaptureFixture[str]) -> None:
    with maps.create("hash", key=Slot, value=U64, max_entries=10) as table:
        table.update({(b"sda", 1): 2, (b"sdb", 1): 1})
        section = "     value               : count     distribution\n         0 -> 1          : {} {}\n"
        full = "       |****************************************|"
        shown = printed(capsys, lambda: table.print_log2_hist("value", "disk", bucket_sort_fn=sorted))
        assert shown == f"\ndisk = b'sda'\n{section.format(2, full)}\ndisk = b'sdb'\n{section.format(1, full)}"
        shown = printed(
            capsys,
            lambda: table.print_log2_hist(section_header="disk", section_print_fn=bytes.decode, bucket_fn=lambda disk: disk[:2]),
        )
        assert shown.startswith("\ndisk = sd\n")
        assert shown.count("disk =") == 1
        assert "\nBucket ptr = b'sda'\n     value         : count" in printed(capsys, table.print_linear_hist)


def test_json_histogram_is_a_dictionary(capsys: pytest.CaptureFixture[str]) -> None:
    with maps.create("hash", key=Slot, value=U64, max_entries=10) as table:
        table.update({(b"sda", 1): 2, (b"sda", 3): 1})
        shown = eval(printed(capsys, lambda: table.print_json_hist("usecs", "disk", section_print_fn=bytes.decode)))
        assert list(shown) == ["ts", "val_type", "data", "disk"]
        assert (shown["val_type"], shown["disk"]) == ("usecs", "sda")
        assert shown["data"] == [
            {"interval-start": 0, "interval-end": 1, "count": 2},
            {"interval-start": 2, "interval-end": 3, "count": 0},
            {"interval-start": 4, "interval-end": 7, "count": 1},
        ]


# Maps of Python's own, pinned and shared


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a bpffs needs root")
    folder = tmp_path / "bpf"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "skep-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


READER = """
import json, sys
from skep import maps
place = sys.argv[1]
with (maps.from_id(int(place)) if place.isdigit() else maps.open_pinned(place)) as table:
    print(json.dumps([(key.disk.decode(), key.slot, leaf.value) for key, leaf in table.items()]))
"""


def test_another_process_reads_a_map_by_pin_and_by_id_with_its_types(bpffs: Path) -> None:
    path = str(bpffs / "slots")
    with maps.create("hash", key=Slot, value=ctypes.c_int64, max_entries=10, name="slots") as table:
        table[b"sda", 1] = -2
        table.pin(path)
        for place in (path, str(table.map_id)):
            done = subprocess.run(
                [sys.executable, "-c", READER, place],
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert json.loads(done.stdout) == [["sda", 1, -2]]
        with pytest.raises(MapError, match="another object has this name"):
            table.pin(path)
    with maps.open_pinned(path) as again:
        assert (again.name, again[b"sda", 1].value) == ("slots", -2)
        again[b"sda", 1] = 3
    with maps.create("hash", key=Slot, value=ctypes.c_int64, max_entries=10, name="slots", pin=path) as taken:
        assert taken[b"sda", 1].value == 3
    os.unlink(path)
    with pytest.raises(MapError, match="there is none"):
        maps.open_pinned(path)
    with pytest.raises(MapError, match="cannot open the map with id"):
        maps.from_id(2**31)


def test_what_create_needs_is_said() -> None:
    with pytest.raises(MapError, match="no kind of map is named 'hsah'; did you mean 'hash'"):
        maps.create("hsah")
    with pytest.raises(MapError, match="a map of kind hash needs the type of its key"):
        maps.create("hash", value=4, max_entries=1)
    with pytest.raises(MapError, match="needs max_entries"):
        maps.create("array", value=4)
    with pytest.raises(MapError, match="inner= is a view of a map"):
        maps.create("array_of_maps", max_entries=1, inner="x")


def test_maps_without_privilege_say_what_is_missing(as_nobody: tuple[str, ...]) -> None:
    code = "import ctypes; from skep import maps; maps.create('array', value=4, max_entries=1, engine='kernel')"
    done = subprocess.run(
        [*as_nobody, sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "PrivilegeError" in done.stderr


def test_a_closed_map_and_views_of_a_bpf_object(bpf: BPF) -> None:
    table = maps.create("hash", key=U32, value=U64, max_entries=1)
    table.close()
    with pytest.raises(MapError, match="is closed"):
        table[1] = 1
    with contextlib.closing(bpf["counts"]) as counts:  # the BPF object's maps are its own
        counts[1] = 1
    counts[1] = 2
    with pytest.raises(MapKeyError):
        counts[3]


def test_a_map_that_nobody_holds_any_more_is_closed() -> None:
    table = maps.create("hash", key=U32, value=U64, max_entries=1)
    handle = table.handle
    del table
    assert handle.fd == -1


LOCKED = """
struct locked { struct bpf_spin_lock lock; u32 a; u32 b; };
BPF_HASH(table, u32, struct locked, 4);
BPF_ARRAY(array, struct locked, 4);
int touch(struct __sk_buff *skb) {
    u32 key = 1;
    struct locked *value = table.lookup(&key);
    if (!value)
        return 1;
    bpf_spin_lock(&value->lock);
    value->a++;
    value->b++;
    bpf_spin_unlock(&value->lock);
    return 0;
}
"""


def test_values_with_a_spin_lock_are_read_and_written_under_it() -> None:
    with BPF(text=LOCKED) as bpf:
        table = bpf["table"]
        assert table.lock == bpf["array"].lock == 4
        table[1] = table.Leaf(a=1, b=2)
        assert bpf.load_func("touch", BPF.SCHED_CLS).handle.test_run(bytes(64))[0] == 0
        assert (table[1].a, table[1].b) == (2, 3)
        assert [(leaf.a, leaf.b) for leaf in table.values()] == [(2, 3)]
        assert table.to_numpy()["value"]["b"].tolist() == [3]
        bpf["array"][2] = bpf["array"].Leaf(a=5)
        assert [leaf.a for leaf in bpf["array"].values()] == [0, 0, 5, 0]
        assert table.pop(1).a == 2
