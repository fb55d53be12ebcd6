"""Records and hooks of the user engine against this kernel's own: formats, numbers of system calls, names that do not exist."""

from __future__ import annotations

import os
import re
import sys

import pytest
from tracing import NAMES, NUMBERS, Trace

from skep.engine import Hook
from skep.engine.kernel.tracefs import Tracefs
from skep.engine.user.events import resolve
from skep.engine.user.records import event_names, record_format
from skep.engine.user.tracer_filter import make_filter
from skep.errors import AttachError
from skep.tracepoints import record_members

# the kernel that the tables were made for; older ones have fewer calls, and other names for some arguments
SAME = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) == (6, 18)


def fields(format):
    return [line.split(";\t") for line in format.splitlines() if line.startswith("\tfield:")]


@pytest.fixture(scope="module")
def tracefs():
    tracefs = Tracefs()
    yield tracefs
    tracefs.close()


@pytest.mark.kernel
def test_records_are_laid_out_as_the_kernels(tracefs):
    known = set(tracefs.tracepoints())
    compared = 0
    for name in event_names():
        if name not in known:
            continue
        category, _, event = name.partition(":")
        theirs, ours = fields(tracefs.format(category, event)), fields(record_format(category, event))
        if SAME:
            assert ours == theirs, name
        else:
            assert [field[1:] for field in ours[:5]] == [field[1:] for field in theirs[:5]], name
        compared += 1
    assert compared > 600


@pytest.mark.kernel
def test_every_system_call_of_this_kernel_is_known(tracefs):
    if not SAME:
        pytest.skip("the table is Linux 6.18's")
    events = tracefs.tracepoints("syscalls")
    assert {event for event in events if record_format(*event.split(":")) is None} == set()


def test_numbers_are_those_that_the_calls_have():
    text = (
        "import ctypes, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "for number in map(int, sys.argv[1:]): libc.syscall(number, -1, 0, 0, 0, 0, 0)"
    )
    # a program that was compiled for another machine's numbers would show here
    calls = {"getppid": 110, "openat": 257, "close": 3, "dup2": 33, "futex": 202, "statx": 332, "openat2": 437, "getuid": 102}
    assert {name: NUMBERS[name] for name in calls} == calls
    with Trace("tracepoint/raw_syscalls:sys_enter") as trace:
        trace.run(sys.executable, "-S", "-c", text, str(NUMBERS["getpgid"]), str(NUMBERS["cachestat"]))
        seen = trace.calls()
    assert seen["getpgid"] == 1
    assert seen["cachestat"] == 1
    assert len(NAMES) == len(NUMBERS)


def test_members_follow_from_the_format():
    assert record_members(record_format("syscalls", "sys_enter_openat")) == (
        "u64 __do_not_use__; s32 __syscall_nr; char __pad_2[4]; u64 dfd; const char * filename; u64 flags; u64 mode;"
    )
    assert "int data_loc_filename;" in record_members(record_format("sched", "sched_process_exec"))
    assert record_format("sched", "sched_switch") is None
    assert record_format("syscalls", "sys_enter_no_such_call") is None


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        (("kprobe", "vfs_read"), "functions of the kernel do not exist for it"),
        (("kprobe", "__x64_sys_opennat"), "no such system call on x86-64; did you mean __x64_sys_openat"),
        (("tracepoint", "sched:sched_switch"), "the user engine has the tracepoints"),
        (("tracepoint", "syscalls:sys_enter_opennat"), "did you mean syscalls:sys_enter_openat"),
        (("raw_tracepoint", "sched_switch"), "the user engine has the raw tracepoints"),
        (("xdp", "lo"), "the user engine has the hook families"),
        (("perf_event", "0:0x0"), "the user engine samples by time only"),
    ],
)
def test_hooks_that_do_not_exist_here_say_what_does(hook, reason):
    with pytest.raises(AttachError, match=re.escape(reason)):
        resolve(Hook(*hook))


def test_samples_have_a_period_or_a_frequency():
    assert resolve(Hook("perf_event", "1:0x0", period=0, frequency=50, pid=-1, cpu=-1)).period == 20_000_000
    assert resolve(Hook("perf_event", "1:0x1", period=5_000_000)).period == 5_000_000
    with pytest.raises(AttachError, match="leave out pid="):
        resolve(Hook("perf_event", "1:0x0", frequency=50, pid=1))


def test_functions_of_system_calls_have_all_their_names():
    for name in ("__x64_sys_newfstat", "sys_fstat", "fstat", "__x64_sys_fstat"):
        assert resolve(Hook("kprobe", name)).calls == {5}
    with pytest.raises(AttachError, match="sees system calls begin and end"):
        resolve(Hook("kprobe", "__x64_sys_openat", offset=4))


def outcome(program, number, argument=0, architecture=0xC000003E):
    """What a filter says of a call: classic BPF, interpreted."""
    data = {0: number, 4: architecture, 16: argument}
    code = [
        (
            int.from_bytes(program[i : i + 2], "little"),
            program[i + 2],
            program[i + 3],
            int.from_bytes(program[i + 4 : i + 8], "little"),
        )
        for i in range(0, len(program), 8)
    ]
    at = value = 0
    while True:
        operation, yes, no, constant = code[at]
        at += 1
        if operation == 0x06:
            return {0x7FFF0000: "allow", 0x7FF05EE9: "trace"}[constant]
        if operation == 0x20:
            value = data[constant]
        else:
            at += yes if {0x15: value == constant, 0x25: value > constant, 0x35: value >= constant}[operation] else no


def test_filters_stop_what_was_asked_for_and_what_changes_facts():
    wanted = {0, 1, 2, 59, 257, 467}
    program = make_filter(wanted)
    watched = {105, 106, 113, 114, 117, 119}
    for number in [*range(500), 0x40000001, 0xFFFFFFFF]:
        assert outcome(program, number) == ("trace" if number in wanted | watched else "allow"), number
    assert outcome(program, 157, argument=15) == "trace"  # prctl(PR_SET_NAME)
    assert outcome(program, 0, architecture=0x40000003) == "allow"  # i386
    everything = make_filter(None)
    assert all(outcome(everything, number) == "trace" for number in range(500))
    assert outcome(everything, 0, architecture=0x40000003) == "allow"
    assert outcome(make_filter({157}), 157, argument=1) == "trace"
