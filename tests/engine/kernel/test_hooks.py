"""Attaching: every family on the running kernel, the rungs that it refuses, near names, nothing left behind."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from waiting import PATIENCE

from skep.engine import Hook
from skep.engine.kernel import kprobe, ladder, syscall
from skep.errors import AttachError, CompileError, VerifierError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Assembler

    from skep.engine import ProgramHandle
    from skep.engine.kernel import KernelEngine, KernelMap
    from skep.object.model import MapSpec, Object, ProgramKind, ProgramSpec

pytestmark = pytest.mark.kernel

HAS_KPROBES = os.path.exists(kprobe.PMU)


@pytest.fixture
def counts(engine: KernelEngine, counts_spec: MapSpec) -> Iterator[KernelMap]:
    with engine.create_map(counts_spec) as map:
        yield map


@pytest.fixture
def load(
    engine: KernelEngine, owner: Object, count_by_pid: ProgramSpec, counts: KernelMap
) -> Iterator[Callable[[ProgramKind], ProgramHandle]]:
    loaded = []

    def load(kind: ProgramKind) -> ProgramHandle:
        loaded.append(engine.load_program(count_by_pid, kind, {"counts": counts}, owner))
        return loaded[-1]

    yield load
    for program in loaded:
        program.close()


def execs_of_a_child(counts: KernelMap) -> int:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    value = counts.lookup(struct.pack("=I", child.pid))
    return struct.unpack("=Q", value)[0] if value else 0


@pytest.mark.parametrize(
    ("family", "target"),
    [
        ("tracepoint", "syscalls:sys_enter_execve"),
        ("tracepoint", "sched:sched_process_exec"),
        ("raw_tracepoint", "sched_process_exec"),
        ("kprobe", "__x64_sys_execve"),
        ("kprobe", "sys_execve"),
        ("kprobe", "execve"),
        ("kretprobe", "__x64_sys_execve"),
    ],
)
def test_hook_counts_the_exec_of_a_child_until_closed(
    engine: KernelEngine, counts: KernelMap, load: Callable[[ProgramKind], ProgramHandle], family: str, target: str
) -> None:
    with engine.attach(Hook(family, target), load) as link:
        assert execs_of_a_child(counts) == 1, link.how
    assert execs_of_a_child(counts) == 0


def test_link_names_the_rung_that_was_taken(engine: KernelEngine, load: Callable[[ProgramKind], ProgramHandle]) -> None:
    kinds = []

    def spy(kind: ProgramKind) -> ProgramHandle:
        kinds.append(kind)
        return load(kind)

    with engine.attach(Hook("kretprobe", "__x64_sys_execve", offset=0), spy) as link:
        if HAS_KPROBES:
            assert link.how == "kretprobe __x64_sys_execve (perf kprobe PMU, bpf link)"
            assert [kind.context for kind in kinds] == ["kretprobe"]
        else:
            assert link.how == "tracepoint syscalls:sys_exit_execve (perf event, bpf link)"
            assert [(kind.name, kind.type, kind.context) for kind in kinds] == [("syscall_exit", 5, "syscall_exit")]
        assert (link.info() or {})["type"] == 7  # BPF_LINK_TYPE_PERF_EVENT


def test_program_is_bound_by_ioctl_where_links_are_refused(
    engine: KernelEngine, counts: KernelMap, load: Callable[[ProgramKind], ProgramHandle], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = syscall.bpf
    monkeypatch.setattr(
        ladder.syscall, "bpf", lambda command, attr: -22 if command == syscall.LINK_CREATE else real(command, attr)
    )
    with engine.attach(Hook("tracepoint", "syscalls:sys_enter_execve"), load) as link:
        assert link.how == "tracepoint syscalls:sys_enter_execve (perf event, ioctl)"
        assert link.info() is None
        assert execs_of_a_child(counts) == 1
    assert execs_of_a_child(counts) == 0


def test_kprobe_through_tracefs(
    engine: KernelEngine, counts: KernelMap, load: Callable[[ProgramKind], ProgramHandle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kprobe, "PMU", "/nonexistent")
    if not engine.tracefs.exists("kprobe_events"):
        with pytest.raises(AttachError, match="tracefs kprobe_events: not in this kernel"):
            engine.attach(Hook("kprobe", "vfs_read"), load)
        return
    for family in ("kprobe", "kretprobe"):
        with engine.attach(Hook(family, "__x64_sys_execve"), load) as link:
            assert link.how == f"{family} __x64_sys_execve (tracefs kprobe_events, bpf link)"
            assert b"skep_" in engine.tracefs.read("kprobe_events")
            assert execs_of_a_child(counts) == 1
        assert b"skep_" not in engine.tracefs.read("kprobe_events")


def test_unknown_function_lists_every_rung(engine: KernelEngine, load: Callable[[ProgramKind], ProgramHandle]) -> None:
    with pytest.raises(AttachError) as caught:
        engine.attach(Hook("kprobe", "__x64_sys_excve"), load)
    text = str(caught.value)
    assert "__x64_sys_execve" in caught.value.candidates
    assert [rung for rung, _ in caught.value.attempts] == [
        "perf kprobe PMU",
        "tracefs kprobe_events",
        "tracepoint syscalls:sys_enter_excve",
        "fentry",
    ]
    assert text.startswith("cannot attach to kprobe:__x64_sys_excve; tried:\n  perf kprobe PMU: ")
    if HAS_KPROBES:
        assert "perf kprobe PMU: no such function in this kernel: __x64_sys_excve: ENOENT" in text
        assert "tracefs kprobe_events: no such function in this kernel: __x64_sys_excve: E" in text
    else:
        assert "perf kprobe PMU: not in this kernel (no /sys/bus/event_source/devices/kprobe" in text
        assert "tracefs kprobe_events: not in this kernel" in text
    assert "this kernel has no such tracepoint" in text
    assert "did you mean __x64_sys_execve" in text


def test_function_that_is_no_system_call_says_so_at_the_rung_for_them(
    engine: KernelEngine, load: Callable[[ProgramKind], ProgramHandle]
) -> None:
    if HAS_KPROBES:
        engine.attach(Hook("kprobe", "vfs_read"), load).close()
        return
    with pytest.raises(AttachError) as caught:
        engine.attach(Hook("kprobe", "vfs_read"), load)
    assert caught.value.attempts[2] == (
        "tracepoint syscalls:sys_enter_vfs_read",
        "vfs_read is not the function of a system call",
    )


@pytest.mark.parametrize(
    ("target", "candidate", "words"),
    [
        ("syscalls:sys_enter_execv", "syscalls:sys_enter_execve", "no event 'sys_enter_execv' in category 'syscalls'"),
        ("syscal:sys_enter_execve", "syscalls:sys_enter_execve", "no tracepoint category 'syscal'"),
    ],
)
def test_unknown_tracepoint_suggests_near_names(
    engine: KernelEngine, load: Callable[[ProgramKind], ProgramHandle], target: str, candidate: str, words: str
) -> None:
    with pytest.raises(AttachError, match=words) as caught:
        engine.attach(Hook("tracepoint", target), load)
    assert candidate in caught.value.candidates


def test_unknown_raw_tracepoint_suggests_near_names(engine: KernelEngine, load: Callable[[ProgramKind], ProgramHandle]) -> None:
    with pytest.raises(AttachError, match="this kernel has no tracepoint of that name: ENOENT") as caught:
        engine.attach(Hook("raw_tracepoint", "sys_entr"), load)
    assert "sys_enter" in caught.value.candidates


def test_tracepoint_needs_category_and_event(engine: KernelEngine, load: Callable[[ProgramKind], ProgramHandle]) -> None:
    for target in ("sys_enter_execve", "a:", ":b", "../..:x"):
        with pytest.raises(AttachError, match="is named category:event"):
            engine.attach(Hook("tracepoint", target), load)


def test_system_calls_with_another_kernel_name_are_found(
    engine: KernelEngine, load: Callable[[ProgramKind], ProgramHandle]
) -> None:
    for call, event in (("uname", "newuname"), ("stat", "newstat"), ("sendfile", "sendfile64"), ("umount2", "umount")):
        assert kprobe._syscall_event(engine, call, "enter") == f"sys_enter_{event}"


@pytest.mark.parametrize("error", [VerifierError("refused"), CompileError("wrong")])
def test_refusal_at_the_last_possible_rung_is_raised_as_itself(engine: KernelEngine, error: Exception) -> None:
    def load(_: ProgramKind) -> ProgramHandle:
        raise error

    with pytest.raises(type(error)) as caught:
        engine.attach(Hook("kprobe", "__x64_sys_execve"), load)
    assert caught.value is error


def test_refusal_before_the_last_rung_is_recorded_and_the_next_is_taken(
    load: Callable[[ProgramKind], ProgramHandle], counts_spec: MapSpec
) -> None:
    kind = kprobe.ProgramKind("x", 5, "x")
    calls = []

    def attach(_: ProgramHandle) -> ladder.KernelLink:
        calls.append("attach")
        if len(calls) == 1:
            raise ladder.Refused("the first says no")
        return ladder.KernelLink("second", ())

    rungs = [ladder.Rung(name, kind, lambda: None, attach) for name in ("one", "two")]
    assert ladder.climb(Hook("kprobe", "x"), rungs, load, list).how == "second"


def test_families_are_listed_for_an_unknown_one(engine: KernelEngine, load: Callable[[ProgramKind], ProgramHandle]) -> None:
    with pytest.raises(AttachError, match="has the hook families kprobe, kretprobe, tracepoint, raw_tracepoint"):
        engine.attach(Hook("nonsense", "x"), load)


def test_trace_pipe_gives_what_a_program_prints(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    # bpf_trace_printk("skep-%d\n", 9, pid): the text is put on the stack first
    text = int.from_bytes(b"skep-%d\n", "little")
    assembler.call(14).raw(0x77, 0, immediate=32).copy(3, 0)
    assembler.raw(0x18, 1, immediate=text & 0xFFFFFFFF).raw(0, immediate=text >> 32)
    assembler.raw(0x7B, 10, 1, -16).raw(0x7A, 10, offset=-8).copy(1, 10).add(1, -16).move(2, 9).call(6).move(0, 0).exit()
    spec = assembler.spec("printer")
    pipe = engine.open_trace_pipe()
    programs = []

    def load(kind: ProgramKind) -> ProgramHandle:
        programs.append(engine.load_program(spec, kind, {}, owner))
        return programs[-1]

    try:
        with engine.attach(Hook("raw_tracepoint", "sched_process_exec"), load):
            deadline = time.monotonic() + PATIENCE
            found = False
            while not found and time.monotonic() < deadline:  # another reader of this machine may take a line away: once more
                child = subprocess.Popen(["/bin/true"])
                child.wait()
                wanted = f"bpf_trace_printk: skep-{child.pid}".encode()
                while (line := pipe.readline(nonblocking=True)) is not None:
                    assert line
                    found = found or line.endswith(wanted)
        assert found
    finally:
        pipe.close()
        for program in programs:
            program.close()


def owned(kind: str) -> int:
    """Maps, programs and links that this process holds an fd of."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{fd}").startswith(f"anon_inode:{kind}")
        except OSError:
            continue
    return found


def test_fifty_rounds_leave_nothing_open(
    engine: KernelEngine, owner: Object, count_by_pid: ProgramSpec, counts_spec: MapSpec
) -> None:
    def one_round() -> None:
        with (
            engine.create_map(counts_spec) as counts,
            engine.load_program(
                count_by_pid, kprobe.ProgramKind("tracepoint", 5, "tracepoint"), {"counts": counts}, owner
            ) as program,
            engine.attach(Hook("tracepoint", "syscalls:sys_enter_execve"), lambda _: program),
        ):
            assert (owned("bpf-map"), owned("bpf-prog"), owned("bpf_link")) == (1, 1, 1)

    one_round()
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(50):
        one_round()
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert (owned("bpf-map"), owned("bpf-prog"), owned("bpf_link")) == (0, 0, 0)
