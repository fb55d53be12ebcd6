"""Wrong types, sizes and names given to maps, hooks and probes: refused with what was wrong, never taken for something else."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy
import pytest

from skep import BPF, maps
from skep.errors import MapError, SkepError
from skep.usdt import USDT, USDTException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEXT = r"""
struct key { u32 number; char name[8]; };
struct slot { u32 bucket, slot; };
BPF_HASH(table, u32, u64, 16);
BPF_HASH(named, struct key, u64, 16);
BPF_ARRAY(pairs, struct key, 4);
BPF_HASH(slots, struct slot, u64, 4);
BPF_PERCPU_ARRAY(each, u64, 1);
BPF_QUEUE(queue, u32, 4);
BPF_PERF_OUTPUT(events);
BPF_DEVMAP(devices, 4);
BPF_CPUMAP(cpus, 4);
BPF_USER_RINGBUF(commands, 1);
BPF_TASK_STORAGE(tasks, u64);
int f(struct xdp_md *ctx) { u64 one = 1; events.perf_submit(ctx, &one, sizeof(one)); return XDP_PASS; }
int sample(struct bpf_perf_event_data *ctx) { return 0; }
"""


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"kind": 5}, "a kind of map is str or bytes, not int 5"),
        ({"kind": "hsah"}, "no kind of map is named 'hsah'; did you mean 'hash'"),
        ({"key": str}, "key= is a type of ctypes or a size in bytes, not <class 'str'>"),
        ({"key": -1}, "the size of a map's key is a number from 0 to 2147483647, not -1"),
        ({"key": 2**40}, "the size of a map's key is a number from 0"),
        ({"key": 0}, "key=c_ubyte_Array_0 has no bytes: keys and values have one or more"),
        ({"value": ctypes.c_char * 0}, "value=c_char_Array_0 has no bytes"),
        ({"max_entries": -1}, "max_entries is a number from 0 to 4294967295, not -1"),
        ({"max_entries": "4"}, "max_entries is a number, not str '4'"),
        ({"max_entries": 2**32}, "max_entries is a number from 0 to 4294967295, not 4294967296"),
        ({"kind": "ringbuf", "key": None, "value": None, "max_entries": -1}, "max_entries is a number from 0"),
        ({"flags": 2**40}, "flags is a number from 0"),
        ({"numa_node": -5}, "numa_node is a number from 0"),
        ({"map_extra": -1}, "map_extra is a number from 0"),
        ({"name": 5}, "name is str or bytes, not int 5"),
        ({"pin": "/sys/fs/bpf/a\0b"}, r"pin is a path, not '/sys/fs/bpf/a\\x00b'"),
    ],
)
def test_a_map_cannot_be_made_of_anything(options: dict[str, Any], error: str) -> None:
    given = {"kind": "hash", "key": 4, "value": 8, "max_entries": 4, **options}
    with pytest.raises(SkepError, match=error):
        maps.create(given.pop("kind"), **given)


@pytest.mark.parametrize("id", ["x", -1, 2**40, None])
def test_an_id_is_a_number_of_32_bits(id: Any) -> None:
    with pytest.raises(SkepError, match="the id of a map is a number"):
        maps.from_id(id)


@pytest.mark.parametrize("path", [None, 5, "", "/sys/fs/bpf/a\0b"])
def test_a_pin_is_a_path(path: Any) -> None:
    with pytest.raises(SkepError, match="the place of a pinned map is a path"):
        maps.open_pinned(path)


def test_a_usdt_probe_of_a_wrong_name_or_number() -> None:
    with pytest.raises(SkepError, match="pid is a number, not str 'x'"):
        USDT(pid="x")  # type: ignore[arg-type]
    usdt = USDT(path="c")
    with pytest.raises(USDTException, match="fn_name='f\\(\\)' cannot be the name of a function"):
        usdt.enable_probe("setjmp", "f()")
    with pytest.raises(SkepError, match="usdt_contexts is a list of USDT"):
        BPF(text="", usdt_contexts=5)  # type: ignore[arg-type]


@pytest.fixture
def b() -> Iterator[BPF]:
    with BPF(text=TEXT) as found:
        yield found


def sections(b: BPF, **options: Any) -> None:
    b["slots"][0, 1] = 1
    b["slots"].print_log2_hist(**options)


WRONG: list[tuple[Callable[[BPF], object], str]] = [
    (lambda b: b["table"].pin("a\0b"), r"what map 'table' is pinned as is a path, not 'a\\x00b'"),
    (lambda b: b["table"].pin(None), "what map 'table' is pinned as is a path, not NoneType"),
    (lambda b: b["named"].update({(1, "\ud800"): 1}), "the key of map 'named'"),
    (lambda b: b["table"]["\ud800"], "which UTF-8 has no bytes for"),
    (lambda b: b["table"].update(5), r"'table': update\(\) takes a mapping, or an iterable of \(key, value\), not int 5"),
    (lambda b: b["table"].update([1, 2]), r"'table': update\(\) takes \(key, value\) pairs, not list \[1, 2\]"),
    (lambda b: b["table"].items_update_batch(5, [1]), "'table': many keys are a ctypes array, .*, not int 5"),
    (lambda b: b["table"].items_update_batch([1], None), "'table': many values are a ctypes array, .*, not NoneType None"),
    (lambda b: b["table"].items_delete_batch(2.5), "'table': many keys are a ctypes array, .*, not float 2.5"),
    (lambda b: b["table"][numpy.arange(3)], r"the key of map 'table' is c_uint \(4 bytes\); got ndarray"),
    (lambda b: b["table"].key_scanf(2**40), "the key of map 'table' is read from str or bytes, not from int 1099511627776"),
    (lambda b: b["table"].key_scanf("\ud800"), "has b'.' at byte 0, where a number: 42, 0x2a or 052 should be"),
    (lambda b: b["table"].pin("\ud800"), "what map 'table' is pinned as is a path"),
    (lambda b: b["pairs"].print_log2_hist(), "the values of map 'pairs' are key: a histogram counts in integers"),
    (lambda b: sections(b, bucket_fn=5), "bucket_fn of a histogram is a function of the bucket, not int 5"),
    (lambda b: sections(b, section_print_fn="x"), "section_print_fn of a histogram is a function of the bucket, not str 'x'"),
    (lambda b: sections(b, bucket_fn=lambda bucket: [bucket]), r"bucket_fn gave \[0\], which cannot be told apart"),
    (lambda b: sections(b, bucket_sort_fn=lambda buckets: None), "bucket_sort_fn gives the list of buckets .*, not None"),
    (lambda b: sections(b, bucket_sort_fn=lambda buckets: [7]), r"bucket_sort_fn gives the list of buckets .*, not \[7\]"),
    (lambda b: b["each"].reduce(5, 0), "map 'each': what reduces two values to one is a function, not 5"),
    (lambda b: b["events"].open_perf_buffer(print, 1 << 70), "page_cnt=.* is more than any memory has"),
    (lambda b: b["table"].update_from(5), "give keys and values, or one structured array with the fields key and value, not int"),
    (lambda b: b["table"].update_from(numpy.arange(4)), "not ndarray alone"),
    (lambda b: b.get_table("table", leaftype=ctypes.c_char_p), "cannot be c_char_p: ctypes would follow the kernel's numbers"),
    (lambda b: b["queue"].push(1, -1), "flags is a number from 0 to 2, not -1"),
    (lambda b: b["devices"].update({0: "a\0b"}), r"there is no network device 'a\\x00b'"),
    (lambda b: b["devices"].update({0: b"\xff"}), "there is no network device"),
    (lambda b: b["devices"].update({0: (1, 2, 3)}), r"a value of map 'devices' is \(device, XDP program\), not \(1, 2, 3\)"),
    (lambda b: b["cpus"].update({0: (64, 5)}), r"no room for a program beside its values: .* BPF_TABLE\(\"cpumap\", u32"),
    (lambda b: b["events"].open_perf_event(2**40, 1), "a counter's type is a number from 0"),
    (lambda b: b["events"].open_perf_event(1, 0, pid=2**40), "pid is a number from -1"),
    (lambda b: b["commands"].output(5), "a record of 'commands' is bytes or a ctypes object, not 5"),
    (lambda b: b["commands"].output("text"), "is bytes or a ctypes object, not 'text'"),
    (lambda b: b["commands"].reserve(1.5), "the size of a record is a number, not float 1.5"),
    (lambda b: b["commands"].output(b"x", "soon"), "timeout is a number of milliseconds"),
    (lambda b: b["commands"].output(b"x", float("nan")), "timeout is a number of milliseconds"),
    (lambda b: b["tasks"].get(1 << 70), "task_storage 'tasks': 1180591620717411303424 is not there, or no process id"),
    (lambda b: b["tasks"]["a\0b"], r"task_storage 'tasks': 'a\\x00b' is not there, or no process id"),
    (lambda b: BPF.attach_xdp("lo", "f"), r"fn= is a loaded program, what load_func\(\) returns, not str 'f'"),
    (lambda b: BPF.attach_raw_socket(None, "lo"), "fn= is a loaded program"),
    (lambda b: BPF.detach_func("f", 1, 1), "fn= is a loaded program"),
    (lambda b: BPF.attach_func(b.load_func("f", BPF.XDP), "/sys/fs/cgroup", 1), "attachable_fd is a number, not str"),
    (lambda b: BPF.attach_func(b.load_func("f", BPF.XDP), 2**40, 1), "attachable_fd is a number from 0"),
    (lambda b: BPF.attach_xdp("a\0b", b.load_func("f", BPF.XDP)), "no such name|there is no network device"),
    (lambda b: BPF.attach_xdp("lo", b.load_func("f", BPF.XDP), "generic"), "flags is a number, not str 'generic'"),
    (lambda b: b.attach_perf_event("cycles", 0, "sample", 1000), "ev_type is a number, not str 'cycles'"),
    (lambda b: b.attach_perf_event(1, 0, "sample", sample_period=2**70), "sample_period is a number from 0"),
    (lambda b: b.attach_perf_event(1, 0, "sample", 1000, pid=2**40), "pid is a number from -1"),  # would be pid 0: this process
    (lambda b: b.attach_uprobe("c", addr="main", fn_name="sample"), "addr is a number, not str 'main'"),
]


@pytest.mark.kernel
@pytest.mark.parametrize(("call", "error"), WRONG, ids=[error[:40] for _, error in WRONG])
def test_what_is_wrong_is_said(b: BPF, call: Callable[[BPF], object], error: str) -> None:
    before = len(b.links)
    with pytest.raises(SkepError, match=error):
        call(b)
    assert len(b.links) == before
    assert list(b["table"].items()) == []
    assert b["commands"].pending() == 0


@pytest.mark.kernel
def test_a_user_ring_buffer_that_is_closed_discards_what_is_reserved() -> None:
    for engine in ("kernel", "user"):
        with maps.create("user_ringbuf", max_entries=4096, engine=engine) as ring:
            record = ring.reserve(4000)
            with pytest.raises(MapError, match="is full"):
                ring.output(bytes(200))
        record.submit()
        with pytest.raises(MapError, match="map 'user_ringbuf' is closed"):
            ring.output(b"x")
