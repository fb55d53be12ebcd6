"""Signals, forks and threads around a BPF object: nothing is lost, nothing of the parent's is detached."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from interrupting import loses_nothing
from sample import attach, open_sample
from support import ROOT, open_files
from test_bpf import renamed
from waiting import PATIENCE

from skep import BPF
from skep.engine.kernel import syscall
from skep.errors import SkepError
from skep.interrupts import Uninterrupted
from skep.llvm_server import release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

kernel = pytest.mark.kernel
TEXT = (ROOT / "examples" / "hello_map.c").read_text()


def in_child(call: Callable[[], object]) -> int:
    """Run something in a fork of this process; 0 when it came to its end."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            call()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Signals:
    """A handler that notes what happens, of two signals."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def handle(self, number: int, _frame: object) -> None:
        self.seen.append(signal.Signals(number).name)


@pytest.fixture
def signals() -> Iterator[Signals]:
    found = Signals()
    before = {number: signal.signal(number, found.handle) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_wait_until_the_end_of_the_outermost_block(signals: Signals) -> None:
    with Uninterrupted():
        with Uninterrupted():
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR1)
            signals.seen.append("inner")
        os.kill(os.getpid(), signal.SIGUSR2)
        signals.seen.append("outer")
    assert signals.seen == ["inner", "outer", "SIGUSR1", "SIGUSR2"]
    assert signal.getsignal(signal.SIGUSR1) == signals.handle


def test_signals_that_another_thread_takes_wait_too(signals: Signals) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    with Uninterrupted():
        signal.pthread_kill(thread.ident or 0, signal.SIGUSR1)
        done.set()
        thread.join()
        signals.seen.append("block")
    assert signals.seen == ["block", "SIGUSR1"]


def test_an_exception_of_a_handler_comes_out_of_the_block() -> None:
    with pytest.raises(KeyboardInterrupt), Uninterrupted():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_the_block_changes_nothing(signals: Signals) -> None:
    def work() -> None:
        with Uninterrupted():
            signals.seen.append(str(signal.getsignal(signal.SIGUSR1) == signals.handle))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert signals.seen == ["True"]


@kernel
@pytest.mark.parametrize("compiled", [True, False])
def test_interrupts_at_any_moment_of_the_construction_lose_nothing(compiled: bool) -> None:
    with BPF(text=TEXT):
        pass

    def work(number: int, opened: list[BPF]) -> None:
        bpf = BPF(text=TEXT if compiled else f"{TEXT}\n// {number} {os.getpid()}")
        opened.append(bpf)
        bpf.attach_kprobe(event=bpf.get_syscall_fnname("getpgid"), fn_name="hello")

    loses_nothing(work, rounds=100 if compiled else 20, longest=0.03 if compiled else 0.2)


@kernel
@pytest.mark.parametrize("failure", [errno.EINVAL, KeyboardInterrupt, MemoryError])
def test_a_failure_of_any_step_leaves_nothing_open(failure: int | type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    sample = renamed("tracepoint__syscalls__sys_enter_getppid", ".text")
    real = syscall.bpf
    before = open_files()
    left = 0

    def bpf(command: int, attr: syscall.Buffer) -> int:
        nonlocal left
        left -= 1
        if left:
            return real(command, attr)
        if isinstance(failure, int):
            return -failure
        raise failure

    monkeypatch.setattr(syscall, "bpf", bpf)
    step = failed = 0
    while left <= 0:  # until a construction needs fewer steps
        step += 1
        left = step
        try:
            BPF(object=sample).cleanup()
        except (SkepError, KeyboardInterrupt, MemoryError):
            failed += 1
    assert failed > 5
    gc.collect()
    assert open_files() == before


@kernel
def test_a_child_detaches_nothing_of_its_parent() -> None:
    with open_sample() as bpf:
        bpf["events"].open_perf_buffer(lambda *_: None)
        call = attach(bpf, "count")
        bpf.attach_kprobe(event="getppid", fn_name="on_call")
        key = os.getpid()

        def poll() -> None:
            with pytest.raises(SkepError, match="this perf buffer is the parent process's: after a fork"):
                bpf.perf_buffer_poll(0)

        def read() -> None:
            assert bpf["counts"][key].value == 4

        call(2)
        assert [in_child(one) for one in (read, poll, bpf.cleanup)] == [0, 0, 0]
        call(2)
        assert bpf["counts"][key].value == 8
        assert bpf.perf_buffer_poll(0) == 0


@kernel
def test_threads_may_poll_and_read_at_the_same_time() -> None:
    """Every record is delivered once, and in order on each CPU: received and lost make what the program counted."""
    got: dict[int, list[int]] = {}
    failures: list[BaseException] = []
    lost: list[int] = []
    stop = threading.Event()

    def poll() -> None:
        try:
            while not stop.is_set():
                bpf.perf_buffer_poll(10)
        except BaseException as error:
            failures.append(error)

    with open_sample() as bpf:
        decode = bpf["events"].event

        def take(cpu: int, data: int, _size: int) -> None:
            got.setdefault(cpu, []).append(decode(data).n)

        bpf["events"].open_perf_buffer(take, page_cnt=64, lost_cb=lost.append)
        call = attach(bpf, "send")
        threads = [threading.Thread(target=poll) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(500):
            call(10)
            bpf["counts"].items()
        stop.set()
        for thread in threads:
            thread.join()
        for cpu in os.sched_getaffinity(0):  # the kernel reports losses with the next record that fits
            os.sched_setaffinity(0, {cpu})
            bpf.perf_buffer_poll(0)
            call(1)
            bpf.perf_buffer_poll(0)
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        produced = bpf["control"][2].value
    assert failures == []
    assert all(numbers == sorted(set(numbers)) for numbers in got.values())
    assert sum(map(len, got.values())) + sum(lost) == produced


@kernel
def test_a_thread_that_waits_for_ever_ends_when_the_object_is_closed() -> None:
    bpf = open_sample()
    bpf["events"].open_perf_buffer(lambda *_: None)
    results: list[object] = []

    def wait() -> None:
        try:
            results.append(bpf.perf_buffer_poll())
        except SkepError as error:  # it had not begun to wait
            results.append(str(error))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    bpf.cleanup()
    thread.join(PATIENCE)
    assert results in ([0], ['no perf buffer is open to poll: call b["name"].open_perf_buffer(callback) first'])


@kernel
def test_objects_may_be_made_in_several_threads() -> None:
    failures: list[BaseException] = []

    def make(number: int) -> None:
        try:
            text = f"BPF_HASH(c); int hello(void *ctx) {{ u64 k = {number}; c.increment(k); return 0; }}"
            with BPF(text=text) as bpf:
                bpf.attach_kprobe(event=bpf.get_syscall_fnname("getpgid"), fn_name="hello")
                os.getpgid(0)
                assert [key.value for key in bpf["c"]] == [number]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    release()
    assert failures == []


@kernel
def test_an_object_in_a_cycle_is_closed_by_the_collector() -> None:
    before = open_files()
    bpf = open_sample()
    attach(bpf, "send")
    bpf["events"].open_perf_buffer(lambda *_: bpf)
    bpf = None
    gc.collect()
    assert open_files() == before


SIZES = [1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 100, 255, 499]


@kernel
@pytest.mark.parametrize("size", SIZES)
def test_records_of_any_size_arrive_whole_through_many_wraps(size: int) -> None:
    text = f"""
BPF_PERF_OUTPUT(events);
BPF_ARRAY(state, u32, 2);
struct data_t {{ u8 bytes[{size}]; }};
int hello(void *ctx) {{
    int zero = 0, one = 1;
    u32 *pid = state.lookup(&zero), *sent = state.lookup(&one);
    if (!pid || !sent || *pid != bpf_get_current_pid_tgid() >> 32)
        return 0;
    struct data_t data;
    __builtin_memset(&data, *sent & 0xFF, sizeof(data));
    *sent += 1;
    events.perf_submit(ctx, &data, sizeof(data));
    return 0;
}}
"""
    got: list[bytes] = []
    wrong: list[tuple[int, int]] = []
    cpus = os.sched_getaffinity(0)
    cpu = max(cpus)
    os.sched_setaffinity(0, {cpu})
    try:
        with BPF(text=text) as bpf:

            def take(ring: int, data: int, length: int) -> None:
                if ring != cpu or not size <= length <= size + 12:
                    wrong.append((ring, length))
                got.append(ctypes.string_at(data, size))

            bpf["events"].open_perf_buffer(take, page_cnt=1)
            bpf["state"][0] = os.getpid()
            bpf.attach_raw_tracepoint("sys_enter", "hello")
            while len(got) < 600:
                for _ in range(3):
                    os.getppid()
                bpf.perf_buffer_poll(0)
            bpf["state"][0] = 0
            bpf.perf_buffer_consume()
            sent, lost = bpf["state"][1].value, bpf["events"].lost
    finally:
        os.sched_setaffinity(0, cpus)
    assert wrong == []
    assert lost == 0
    assert got == [bytes([number & 0xFF]) * size for number in range(sent)]
