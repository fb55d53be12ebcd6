"""class BPF: what loads, attaches, detaches and is left behind; on the running kernel."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from sample import PATH, attach, open_sample
from support import ROOT, open_files
from waiting import PATIENCE, eventually

import skep
from skep import BPF
from skep.engine.kernel.tracefs import Tracefs
from skep.errors import AttachError, MapKeyError, PrivilegeError, SkepError, UnsupportedError, VerifierError
from skep.object.model import Object, ProgramSpec
from skep.trace_pipe import parse_trace_line

if TYPE_CHECKING:
    from collections.abc import Iterator

kernel = pytest.mark.kernel


@pytest.fixture
def bpf() -> Iterator[BPF]:
    with open_sample() as sample:
        yield sample


def renamed(name: str, section: str, *, function: str = "on_call", uses_registers: bool = False) -> Object:
    """The sample with one program only, under another name and section."""
    sample = skep.load_object(PATH)
    spec = sample.programs[function]
    program = ProgramSpec(
        name,
        section,
        spec.instructions,
        kind=None,
        relocations=spec.relocations,
        functions=spec.functions,
        lines=spec.lines,
        uses_registers=uses_registers,
    )
    return Object(sample.data, license=sample.license, btf=sample.btf, maps=sample.maps, programs={name: program})


def calls_seen(bpf: BPF) -> int:
    """How many calls of getppid a program counts that was attached to it."""
    for _ in range(5):
        os.getppid()
    leaf = bpf["counts"].get(os.getpid())
    return 0 if leaf is None else int(leaf.value)


# Names, tables


@kernel
def test_names_may_be_bytes_or_str(bpf: BPF) -> None:
    assert bpf[b"counts"] is bpf["counts"]
    assert b"counts" in bpf
    assert "nothing" not in bpf
    assert len(bpf) == len(list(bpf)) == len(bpf.object.maps)
    assert bpf.load_func(b"landed", BPF.RAW_TRACEPOINT) is bpf.load_func("landed", BPF.RAW_TRACEPOINT)
    bpf.attach_raw_tracepoint(tp=b"sys_enter", fn_name=b"count")
    bpf.detach_raw_tracepoint("sys_enter")


@kernel
def test_unknown_names_come_with_a_near_one(bpf: BPF) -> None:
    with pytest.raises(MapKeyError, match="there is no map 'count'; did you mean 'counts'"):
        bpf["count"]
    with pytest.raises(SkepError, match="there is no program 'sent'; did you mean 'send'"):
        bpf.load_func("sent", BPF.RAW_TRACEPOINT)
    with pytest.raises(SkepError, match="there is no program 'sent'; did you mean 'send'"):
        bpf.attach_raw_tracepoint("sys_enter", "sent")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to compile; give text= or src_file="),
        ({"text": "int x;", "src_file": "x.c"}, "give text or src_file, not both"),
        ({"src_file": "not-there.c"}, "there is no source file 'not-there.c', neither here nor beside the script"),
        ({"text": "", "usdt_contexts": [1]}, r"usdt_contexts holds USDT\(...\) objects, not int 1"),
        ({"text": "", "device": b"eth0"}, "device='eth0': programs cannot be loaded into network hardware"),
        ({"text": "", "engine": "kernal"}, "there is no engine 'kernal': use 'auto', 'kernel' or 'user'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SkepError, match=message):
        BPF(**arguments)


def test_the_environment_chooses_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKEP_ENGINE", "user")
    with BPF(text="BPF_HASH(counts);") as b:
        assert b.engine.name == "user"
    with pytest.raises(UnsupportedError, match="there is no engine 'none'"):
        BPF(text="BPF_HASH(counts);", engine="none")


def test_without_privilege_the_missing_capabilities_are_named(as_nobody: tuple[str, ...]) -> None:
    script = (
        "from skep import BPF\ntry: BPF(text='', engine='kernel')\nexcept Exception as e: print(type(e).__name__, e.missing, e)"
    )
    run = subprocess.run(
        [*as_nobody, sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert run.stdout.startswith("PrivilegeError ['CAP_BPF', 'CAP_PERFMON']"), run
    assert "engine='user' (SKEP_ENGINE=user)" in run.stdout
    assert issubclass(PrivilegeError, SkepError)


def test_importing_skep_loads_nothing_heavy() -> None:
    heavy = (
        "typing",
        "dataclasses",
        "re",
        "enum",
        "inspect",
        "subprocess",
        "json",
        "numpy",
        "llvmlite",
        "contextlib",
        "collections",
    )
    script = f"import sys; import skep; from skep import BPF; print([name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "[]\n"


# System calls


def test_system_calls_have_the_kernel_s_function_names() -> None:
    with open("/proc/kallsyms") as symbols:
        names = {line.split()[2] for line in symbols}
    assert BPF.get_syscall_fnname("execve").decode() in names
    assert BPF.get_syscall_fnname(b"execve") == BPF.get_syscall_prefix() + b"execve"
    for given in (b"sys_clone", "__x64_sys_clone", "__arm64_sys_clone"):
        assert BPF.fix_syscall_fnname(given) == BPF.get_syscall_fnname("clone")
    assert BPF.fix_syscall_fnname("vfs_read") == b"vfs_read"


# Hooks


@kernel
def test_a_kprobe_on_a_system_call_counts_its_calls(bpf: BPF) -> None:
    bpf.attach_kprobe(event=bpf.get_syscall_fnname("getppid"), fn_name="on_call")
    assert calls_seen(bpf) == 5
    (link,) = bpf.links
    assert (link.function, link.hook.family, bpf.num_open_kprobes()) == ("on_call", "kprobe", 1)
    assert link.how
    bpf.detach_kprobe(bpf.get_syscall_fnname("getppid"))
    assert (bpf.links, bpf.num_open_kprobes()) == ([], 0)
    assert calls_seen(bpf) == 5


@kernel
def test_all_functions_that_match_are_attached(bpf: BPF) -> None:
    prefix = bpf.get_syscall_prefix()
    pattern = prefix + b"getp(gid|riority)"
    bpf.attach_kprobe(event_re=pattern, fn_name="on_call")
    assert {link.hook.target.encode() for link in bpf.links} == {prefix + b"getpgid", prefix + b"getpriority"}
    assert bpf.get_kprobe_functions(pattern) == {prefix + b"getpgid", prefix + b"getpriority"}
    os.getpgid(0)
    os.getpriority(os.PRIO_PROCESS, 0)
    assert bpf["counts"][os.getpid()].value == 2
    with pytest.raises(AttachError, match=r"cannot attach 'on_call' to kprobe 'nothing\.\*': no function matches"):
        bpf.attach_kprobe(event_re="nothing.*", fn_name="on_call")


@kernel
def test_tracepoints_by_both_ways(bpf: BPF) -> None:
    bpf.attach_tracepoint(tp="syscalls:sys_enter_getppid", fn_name="on_call")
    assert bpf.num_open_tracepoints() == 1
    assert calls_seen(bpf) == 5
    bpf.detach_tracepoint(b"syscalls:sys_enter_getppid")
    call = attach(bpf, "count")
    call(3)
    assert bpf["counts"][os.getpid()].value == 8


@kernel
def test_detaching_one_of_two_programs(bpf: BPF) -> None:
    event = bpf.get_syscall_fnname("getppid")
    bpf.attach_kprobe(event=event, fn_name="on_call")
    bpf.attach_kretprobe(event=event, fn_name="on_call")
    assert bpf.num_open_kprobes() == 2
    assert calls_seen(bpf) == 10
    bpf.detach_kretprobe(event, "on_call")
    assert [link.hook.family for link in bpf.links] == ["kprobe"]


@kernel
def test_detaching_what_is_not_attached(bpf: BPF) -> None:
    bpf.attach_raw_tracepoint("sys_enter", "count")
    with pytest.raises(AttachError, match="raw_tracepoint 'sys_entr' is not attached; did you mean 'sys_enter'"):
        bpf.detach_raw_tracepoint("sys_entr")
    with pytest.raises(AttachError, match="kprobe 'x' is not attached; there are none"):
        bpf.detach_kprobe("x")
    with pytest.raises(AttachError, match="raw tracepoint 'sys_enter' has a program of this object already"):
        bpf.attach_raw_tracepoint("sys_enter", "send")


@kernel
def test_a_function_that_does_not_exist_lists_the_rungs(bpf: BPF) -> None:
    with pytest.raises(AttachError, match="no_such_function") as caught:
        bpf.attach_kprobe(event="no_such_function", fn_name="on_call")
    assert len(caught.value.attempts) > 1
    assert all(reason for _, reason in caught.value.attempts)
    assert bpf.links == []


@kernel
@pytest.mark.parametrize(
    ("name", "section", "hook"),
    [
        ("kprobe__sys_getppid", ".text", "kprobe"),
        ("kretprobe__sys_getppid", ".text", "kretprobe"),
        ("tracepoint__syscalls__sys_enter_getppid", ".text", "tracepoint:syscalls:sys_enter_getppid"),
        ("any", "tracepoint/syscalls/sys_enter_getppid", "tracepoint:syscalls:sys_enter_getppid"),
        ("raw_tracepoint__sys_enter", ".text", "raw_tracepoint:sys_enter"),
    ],
)
def test_names_and_sections_attach_by_themselves(name: str, section: str, hook: str) -> None:
    with BPF(object=renamed(name, section)) as bpf:
        assert str(bpf.links[0].hook).startswith(hook)
        assert calls_seen(bpf) >= 5


@kernel
def test_a_program_that_reads_registers_is_compiled_again_for_another_context(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build(text: str, **options: Any) -> Object:
        built.append((text, options["contexts"]))
        return renamed("on_call", ".text")

    monkeypatch.setattr("skep.build.build", build)
    with BPF(object=renamed("on_call", ".text", uses_registers=True)) as bpf:
        bpf.attach_tracepoint("syscalls:sys_enter_getppid", fn_name="on_call")
        bpf.attach_tracepoint("syscalls:sys_exit_getppid", fn_name="on_call")
        assert built == [("", {"on_call": "tracepoint"})]  # one load serves both
        assert calls_seen(bpf) == 10


@kernel
def test_a_refused_program_is_a_verifier_error(bpf: BPF) -> None:
    with pytest.raises(VerifierError) as caught:
        bpf.load_func("broken", BPF.RAW_TRACEPOINT)
    assert "programs.c" in caught.value.source_line or "map_lookup" in caught.value.source_line
    assert caught.value.log


@kernel
def test_load_funcs_loads_all_as_one_type() -> None:
    with BPF(object=renamed("on_call", ".text")) as bpf:
        (function,) = bpf.load_funcs(BPF.KPROBE)
        assert (function.name, function.bpf, function.fd > 2) == (b"on_call", bpf, True)
        assert isinstance(function, BPF.Function)
        assert function.handle.info()["type"] == BPF.KPROBE


# From text


@kernel
def test_a_system_call_s_argument_is_read_on_every_rung() -> None:
    """The function of a system call is called with a pt_regs; its tracepoint has the arguments themselves."""
    text = """
BPF_HASH(seen, u64, u64, 16);
int syscall__getpgid(struct pt_regs *ctx, int pid) {
    u64 key = bpf_get_current_pid_tgid() >> 32, value = pid;
    seen.update(&key, &value);
    return 0;
}
"""
    with BPF(text=text) as own:
        own.attach_kprobe(event=own.get_syscall_fnname("getpgid"), fn_name="syscall__getpgid")
        os.getpgid(os.getppid())
        assert own["seen"][os.getpid()].value == os.getppid()


@kernel
def test_tracepoint_probe_attaches_itself_and_reads_its_fields() -> None:
    text = """
BPF_HASH(seen, u64, u64, 16);
TRACEPOINT_PROBE(syscalls, sys_enter_getpgid) {
    u64 key = bpf_get_current_pid_tgid() >> 32, value = args->pid;
    seen.update(&key, &value);
    return 0;
}
"""
    for _ in range(2):  # the second time from the cache
        with BPF(text=text) as bpf:
            os.getpgid(os.getppid())
            assert bpf["seen"][os.getpid()].value == os.getppid()
            assert bpf.num_open_tracepoints() == 1


@kernel
def test_perf_events_of_a_text_are_decoded_with_the_struct_s_name() -> None:
    text = """
BPF_PERF_OUTPUT(events);
struct data_t { u32 pid; char comm[16]; };
int hello(void *ctx) {
    struct data_t data = {};
    data.pid = bpf_get_current_pid_tgid() >> 32;
    bpf_get_current_comm(&data.comm, sizeof(data.comm));
    events.perf_submit(ctx, &data, sizeof(data));
    return 0;
}
"""
    got = []
    with BPF(text=text) as bpf:
        bpf["events"].open_perf_buffer(lambda _cpu, data, _size: got.append(bytes(bpf["events"].event(data))))
        bpf.attach_kprobe(event=bpf.get_syscall_fnname("getpgid"), fn_name="hello")
        os.getpgid(0)
        bpf.perf_buffer_poll(1000)
        assert bpf["events"].record_type.__name__ == "data_t"
    with open("/proc/self/comm", "rb") as comm:
        assert os.getpid().to_bytes(4, sys.byteorder) + comm.read().strip().ljust(16, b"\0") in got


# trace_pipe


def test_trace_lines_are_cut_by_column() -> None:
    line = b"   a name - b: c-1234    [003] d..31  5678.000123: bpf_trace_printk: one: two"
    assert parse_trace_line(line) == (b"a name - b: c", 1234, 3, b"d..31", 5678.000123, b"one: two")
    line = b"           <...>-7 [000] ..... 1.5: 0x00000001: message"
    assert parse_trace_line(line) == (b"<...>", 7, 0, b".....", 1.5, b"message")
    assert parse_trace_line(b"CPU:1 [LOST 55 EVENTS]") is None
    assert parse_trace_line(b"") is None


def saved_names() -> set[bytes]:
    """The name that the kernel prints for this process in trace_pipe, if it keeps one."""
    tracefs = Tracefs()
    try:
        lines = tracefs.read("saved_cmdlines").splitlines()
    finally:
        tracefs.close()
    return {name for number, _, name in (line.partition(b" ") for line in lines) if number == b"%d" % os.getpid()}


@kernel
def test_what_a_program_prints_arrives_as_fields(bpf: BPF) -> None:
    call = attach(bpf, "say")
    message = b"skep test %d: %d"
    wanted = None
    names = {b"<...>"}  # the kernel keeps the names of some processes only, and may know a former one (saved_cmdlines)
    end = time.monotonic() + PATIENCE
    number = 0
    while wanted is None and time.monotonic() < end:  # again and again: any other reader of trace_pipe takes lines away
        call(1)
        number += 1
        names |= saved_names()
        while (fields := bpf.trace_fields(nonblocking=True))[0] is not None:
            if fields[5].startswith(b"skep test") and fields[1] == os.getpid():
                wanted = fields
                names |= saved_names()
    assert wanted is not None
    task, pid, cpu, _, seconds, text = wanted
    with open("/proc/self/comm", "rb") as comm:
        assert task in {comm.read().strip(), *names}
    assert (pid, cpu < os.cpu_count(), seconds > 0) == (os.getpid(), True, True)
    assert text in {message % (n, os.getpid()) for n in range(1, number + 1)}


PAD = " " * 13


class Lines:
    """A trace_pipe of given lines; None is a moment without any. Ctrl-C comes after the last."""

    def __init__(self, *lines: bytes | None) -> None:
        self.lines = list(lines)

    def readline(self, nonblocking: bool = False) -> bytes | None:
        while self.lines:
            line = self.lines.pop(0)
            if line is not None or nonblocking:
                return line
        raise KeyboardInterrupt

    def close(self) -> None:
        self.lines.clear()


@kernel
@pytest.mark.parametrize(
    ("fmt", "printed"),
    [
        (None, f"{PAD}cat-12 [000] ..... 1.5: bpf_trace_printk: one\nCPU:0 [LOST 3 EVENTS]\n{PAD}cat-13 [001] x 2: f: two\n"),
        ("{1} {0} {5}", "12 cat one\n13 cat two\n"),
    ],
)
def test_trace_print_writes_every_line_before_an_end(
    bpf: BPF, fmt: str | None, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, last = b"             cat-12 [000] ..... 1.5: bpf_trace_printk: one", b"             cat-13 [001] x 2: f: two"
    bpf._trace_pipe = Lines(None, first, b"CPU:0 [LOST 3 EVENTS]", None, last)
    with pytest.raises(KeyboardInterrupt):
        bpf.trace_print(fmt)
    assert capsys.readouterr().out == printed


# The end


def program_exists(number: int) -> bool:
    from ctypes import create_string_buffer

    from skep.engine.kernel import syscall

    attr = create_string_buffer(number.to_bytes(4, sys.byteorder), 12)
    fd = syscall.bpf(syscall.PROG_GET_FD_BY_ID, attr)
    if fd >= 0:
        os.close(fd)
        return True
    assert fd == -errno.ENOENT, fd
    return False


def gone(programs: list[int]) -> bool:
    """Whether the kernel has freed the programs: it does so a moment (an RCU grace period) after the last close."""
    return eventually(lambda: not any(program_exists(number) for number in programs))


def use_everything(bpf: BPF, *, tracepoint: bool = True) -> int:
    """Attach, poll, read; the id of a program."""
    bpf["events"].open_perf_buffer(lambda *_: None)
    bpf["ring"].open_ring_buffer(lambda *_: None)
    bpf.attach_raw_tracepoint("sys_enter", "send")
    if tracepoint:
        bpf.attach_tracepoint("syscalls:sys_enter_getppid", fn_name="on_call")
    bpf["programs"][0] = bpf.load_func("landed", BPF.RAW_TRACEPOINT)
    bpf.perf_buffer_poll(0)
    return int(bpf.funcs[b"landed"].handle.info()["id"])


@kernel
def test_200_rounds_leave_no_file_and_no_program_behind() -> None:
    sample = skep.load_object(PATH)
    before = open_files()
    programs = []
    for number in range(200):
        with BPF(object=sample) as bpf:  # the kernel takes 70 ms to take a program off a tracepoint
            programs.append(use_everything(bpf, tracepoint=number % 10 == 0))
    assert open_files() == before
    assert gone(programs)
    assert len(set(programs)) == 200


@kernel
def test_200_rounds_from_a_text_leave_nothing_behind() -> None:
    with BPF(src_file=str(ROOT / "examples" / "hello_map.c")):  # what it opens once, the cache's files, is open and closed
        pass
    before = open_files()
    programs = []
    for number in range(200):
        with BPF(src_file=str(ROOT / "examples" / "hello_map.c")) as bpf:
            programs.append(bpf.load_func("hello", BPF.KPROBE).handle.info()["id"])
            if number % 20 == 0:
                bpf.attach_kprobe(event=bpf.get_syscall_fnname("execve"), fn_name="hello")
                assert isinstance(bpf["counter_table"].items(), list)
    assert open_files() == before
    assert gone(programs)
    assert len(set(programs)) == 200


@kernel
def test_what_is_not_closed_goes_with_the_object() -> None:
    before = open_files()
    program = use_everything(open_sample())
    gc.collect()
    assert open_files() == before
    assert gone([program])


@kernel
def test_a_failure_in_the_constructor_leaves_nothing_behind() -> None:
    before = open_files()
    with pytest.raises(AttachError):
        BPF(object=renamed("kprobe__no_such_function", ".text"))
    assert open_files() == before


@kernel
def test_cleaning_up_twice_is_nothing(bpf: BPF) -> None:
    use_everything(bpf)
    bpf.cleanup()
    bpf.cleanup()
    assert (bpf.links, len(bpf)) == ([], 0)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from sample import open_sample, attach
bpf = open_sample()
bpf["events"].open_perf_buffer({callback})
call = attach(bpf, "send")
print(bpf.links[0].link.info()["prog_id"], flush=True)
call(1)
while True:
    bpf.perf_buffer_poll()
"""


@kernel
@pytest.mark.parametrize(
    ("callback", "number", "error"),
    [
        ("lambda *_: None", signal.SIGINT, "KeyboardInterrupt"),
        ("lambda *_: None", signal.SIGTERM, ""),
        ("lambda *_: 1 // 0", None, "ZeroDivisionError"),
        ("lambda *_: sys.exit(0)", None, ""),
    ],
)
def test_ends_of_a_process_detach_everything(callback: str, number: int | None, error: str) -> None:
    script = SCRIPT.format(tests=str(ROOT / "tests"), callback=callback)
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    program = int(process.stdout.readline())
    if number is not None:
        assert program_exists(program)
        time.sleep(0.1)  # into perf_buffer_poll
        process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (errors.strip().splitlines() or [""])[-1].partition(":")[0] == error
    assert gone([program])
