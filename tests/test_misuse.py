"""What a program may do wrong with class BPF, its maps and buffers: the text says what was wrong, and nothing else happens."""

from __future__ import annotations

import copy
import ctypes
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from sample import PATH, attach, open_sample
from support import open_files

import skep
from skep import BPF
from skep.errors import SkepError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Call = Callable[[BPF], object]

pytestmark = pytest.mark.kernel


@pytest.fixture
def bpf() -> Iterator[BPF]:
    with open_sample() as sample:
        yield sample


def told(call: Callable[[], object]) -> str:
    with pytest.raises(SkepError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"text": 5}, "text is str or bytes, not int 5"),
        ({"src_file": 5}, "src_file is str or bytes, not int 5"),
        ({"src_file": "/"}, "cannot read the source file '/': Is a directory"),
        ({"src_file": "a\0b"}, "cannot read the source file 'a\\x00b': embedded null byte"),
        ({"text": "", "hdr_file": "a.h"}, "hdr_file='a.h': not there; #include it in the text"),
        ({"text": "", "cflags": "-DA"}, "BPF(cflags='-DA'): cflags is a list of flags, such as ['-DA']"),
        ({"text": "", "cflags": [1]}, "a flag of cflags is str or bytes, not int 1"),
        ({"object": 5}, "BPF(object=...) takes what skep.compile() or skep.load_object() gives, not int"),
    ],
)
def test_wrong_arguments_of_the_constructor(arguments: dict[str, Any], text: str) -> None:
    assert told(lambda: BPF(**arguments)) == text


def test_an_object_and_a_text_are_too_much() -> None:
    assert told(lambda: BPF(object=skep.load_object(PATH), text="int x;")) == (
        "BPF(...): give text, src_file or object, and only one of them"
    )


def test_a_file_that_is_no_object_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.o").write_bytes(b"text")
    assert (
        told(lambda: skep.load_object(tmp_path / "x.o"))
        == f"{tmp_path}/x.o: not an ELF file: it starts with b'text' and has 4 bytes"
    )
    assert told(lambda: skep.load_object(tmp_path)) == f"cannot read '{tmp_path}': Is a directory"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda b: b[5], "a map's name is str or bytes, not int 5"),
        (lambda b: 5 in b, "a map's name is str or bytes, not int 5"),
        (lambda b: b.load_func(5, BPF.KPROBE), "func_name is str or bytes, not int 5"),
        (
            lambda b: b.attach_kprobe(event="execve"),
            "fn_name does not say which program; there are count, send, put, jump, landed, say, broken, on_call",
        ),
        (
            lambda b: b.attach_kprobe(fn_name="on_call"),
            "cannot attach 'on_call' to kprobe '': the name of the place to attach to is missing",
        ),
        (
            lambda b: b.attach_tracepoint("sched:a\0b", fn_name="on_call"),
            "cannot attach 'on_call' to tracepoint 'sched:a\\x00b': no such name can be in a kernel",
        ),
        (lambda b: b.attach_kprobe(event=None, fn_name="on_call"), "event is str or bytes, not NoneType None"),
        (
            lambda b: b.attach_kprobe(event_re="(", fn_name="on_call"),
            "event_re='(' is no regular expression: missing ), unterminated subpattern at position 0",
        ),
        (
            lambda b: b.attach_kprobe(event="x", event_off=-5, fn_name="on_call"),
            "attach_kprobe(event_off=-5): it is a number of bytes from the function's start, 0 or more",
        ),
        (lambda b: b.detach_tracepoint(5), "the name of the place to detach from is str or bytes, not int 5"),
        (
            lambda b: b.get_table("counts", keytype="u32"),
            "the key type of map 'counts' must be a class of ctypes with a size, not 'u32'",
        ),
        (lambda b: b.get_table("counts", leaftype=[]), "the value type of map 'counts' must be a class of ctypes with a size"),
        (
            lambda b: b.get_table("counts", leaftype=ctypes.Structure),
            "the value type of map 'counts' must be a class of ctypes with a size, not <class '_ctypes.Structure'>",
        ),
        (lambda b: b.get_table("counts", reducer=5), "get_table(reducer=5): it is a function of two values that gives one"),
        (lambda b: b.ksym("x"), "an address is a number, not str 'x'"),
        (lambda b: b.ksym(None), "an address is a number, not NoneType None"),
        (lambda b: b.ksym(2**64), "an address is a number from -9223372036854775808 to 18446744073709551615, not"),
        (lambda b: b.sym(1.5, 1), "an address is a number, not float 1.5"),
        (lambda b: b.sym(1, "x"), "pid is a number, not str 'x'"),
        (lambda b: b.sym(1, []), "pid is a number, not list []"),
        (lambda b: b.sym(1, 2**40), "pid is a number from -2147483648 to 2147483647, not 1099511627776"),
        (lambda b: b.ksymname(5), "a symbol's name is str or bytes, not int 5"),
        (lambda b: b.find_library("c", "x"), "pid is a number, not str 'x'"),
        (lambda b: b.load_func("on_call", BPF.KPROBE, attach_type="x"), "attach_type is a number, not str 'x'"),
        (lambda b: b.trace_pid("x"), "pid is a number, not str 'x'"),
        (lambda b: b.trace_print(5), "fmt is str or bytes, not int 5"),
        (lambda b: b.trace_command(5), "trace_command(5): a command is a list of words, such as ['sh', '-c', 'true']"),
        (lambda b: b.trace_command(["true"], user="x"), "user is a number, not str 'x'"),
        (
            lambda b: b.trace_command(["true"], stdout="x"),
            "trace_command(): stdin, stdout and stderr are open files or fds, not str 'x'",
        ),
        (
            lambda b: b["small"].__setitem__((1, 1 << 40), 1),
            "the key of map 'small' is pair (8 bytes); got (1, 1099511627776) (1099511627776 does not fit into 32 bits); "
            "give a pair, a tuple or 8 bytes",
        ),
        (
            lambda b: b["programs"].__setitem__(0, None),
            "'programs' holds programs: give a program's name, what load_func() returns, or its fd, not None",
        ),
        (lambda b: b["programs"].__setitem__(0, "landet"), "there is no program 'landet'; did you mean 'landed'?"),
        (
            lambda b: b["counts"].__setitem__(0, None),
            "the value of map 'counts' is c_ulong (8 bytes); got NoneType None",
        ),
        (lambda b: b["ring"].items(), "'ring' is a ring buffer: it has no keys; use open_ring_buffer(callback)"),
        (lambda b: b["ring"].get(1), "'ring' is a ring buffer: it has no keys; use open_ring_buffer(callback)"),
        (lambda b: b["events"].items(), "the slots of 'events' hold perf events and cannot be read"),
        (lambda b: b["events"].event(None), "event() of 'events' takes the address that a callback gets, or bytes, not None"),
        (
            lambda b: b["events"].open_perf_buffer(5),
            "the buffer 'events' wants a function, callback(cpu, data, size), not int 5",
        ),
        (
            lambda b: b["events"].open_perf_buffer(print, lost_cb=5),
            "the buffer 'events' wants a function, lost_cb(count), not int 5",
        ),
        (
            lambda b: b["events"].open_perf_buffer(print, page_cnt="x"),
            "perf buffer 'events': page_cnt must be a power of two, not 'x'",
        ),
        (
            lambda b: b["events"].open_perf_buffer(print, page_cnt=1 << 40),
            "perf buffer 'events': page_cnt=1099511627776 is more than any memory has",
        ),
        (
            lambda b: b["events"].open_perf_buffer(print, wakeup_events=-1),
            "perf buffer 'events': wakeup_events is a number of records, not -1",
        ),
        (lambda b: b["ring"].open_ring_buffer(5), "the buffer 'ring' wants a function, callback(ctx, data, size), not int 5"),
        (copy.copy, "a BPF object cannot be copied or pickled: it owns programs in the kernel; make one where it is needed"),
        (copy.deepcopy, "a BPF object cannot be copied or pickled: it owns programs in the kernel; make one where it is needed"),
        (pickle.dumps, "a BPF object cannot be copied or pickled: it owns programs in the kernel; make one where it is needed"),
        (lambda b: pickle.dumps(b["counts"]), "map 'counts' cannot be copied or pickled: dict(table.items()) is a copy"),
    ],
)  # fmt: skip
def test_wrong_use_is_told(bpf: BPF, call: Call, text: str) -> None:
    assert told(lambda: call(bpf)).startswith(text)
    bpf["counts"][1] = 2
    assert bpf["counts"][1].value == 2


@pytest.mark.parametrize("timeout", ["x", None, float("nan")])
def test_a_timeout_is_a_number(bpf: BPF, timeout: Any) -> None:
    bpf["events"].open_perf_buffer(lambda *_: None)
    assert told(lambda: bpf.perf_buffer_poll(timeout)) == (
        f"a perf buffer is polled for a number of milliseconds (negative: for ever), not {timeout!r}"
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda b: b["counts"],
        lambda b: b.load_func("landed", BPF.RAW_TRACEPOINT),
        lambda b: b.attach_raw_tracepoint("sys_enter", "count"),
        lambda b: b.attach_kprobe(event="execve", fn_name="on_call"),
        lambda b: b.trace_readline(nonblocking=True),
        lambda b: b.__enter__(),
    ],
)
def test_what_is_closed_says_so(call: Call) -> None:
    before = open_files()
    bpf = open_sample()
    bpf.cleanup()
    assert told(lambda: call(bpf)) == "this BPF object is closed: its maps and programs are gone; make a new one"
    assert open_files() == before


def test_a_closed_map_says_so() -> None:
    bpf = open_sample()
    counts, events, ring = bpf["counts"], bpf["events"], bpf["ring"]
    bpf.cleanup()
    calls: list[Callable[[], object]] = [lambda: counts[1], counts.items, counts.__len__, counts.clear, lambda: counts.map_id]
    for call in calls:
        assert told(call) == "map 'counts' is closed"
    assert told(lambda: events.open_perf_buffer(print)) == "map 'events' is closed"
    assert told(lambda: ring.open_ring_buffer(print)) == "map 'ring' is closed"


def test_a_copy_is_refused_before_it_can_close_the_original(bpf: BPF) -> None:
    with pytest.raises(SkepError):
        copy.copy(bpf)
    assert bpf["counts"].items() == []


def test_a_map_is_equal_to_itself_and_can_be_a_key(bpf: BPF) -> None:
    counts = bpf["counts"]
    counts[1] = 1
    assert counts == counts
    assert {counts: 1}[counts] == 1


def test_a_method_that_is_not_there_is_told(bpf: BPF) -> None:
    with pytest.raises(AttributeError, match="'BPF' object has no attribute 'attach_something'"):
        bpf.attach_something(fn_name="on_call")
    assert not hasattr(bpf, "anything")


def test_a_callback_that_polls_is_refused(bpf: BPF) -> None:
    bpf["events"].open_perf_buffer(lambda *_: bpf.perf_buffer_poll(0))
    attach(bpf, "send")(1)
    assert told(lambda: bpf.perf_buffer_poll(0)) == (
        "a callback of the perf buffer polls it again: records come one after another, return from the callback"
    )
    assert bpf.perf_buffer_poll(0) == 0


def test_texts_in_tuples_become_bytes(bpf: BPF) -> None:
    bpf["names"][("abc",)] = 1
    assert [bytes(key).rstrip(b"\0") for key in bpf["names"]] == [b"abc"]
    assert ctypes.sizeof(bpf["names"].Key) == 16
