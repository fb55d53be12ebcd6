"""What a script may do with what it has closed, also from two threads at once: an error that says so, never a crash."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from waiting import PATIENCE, eventually

from skep import BPF
from skep.bytecode.assembler import assemble
from skep.engine import Hook
from skep.engine.user.engine import _MAPS, UserEngine, UserProgram
from skep.engine.user.facts import Context
from skep.engine.user.program import Program
from skep.errors import ExecutionError, SkepError
from skep.object.kinds import kind_for_type
from skep.object.model import MapSpec

if TYPE_CHECKING:
    from collections.abc import Callable

SUM = "mov %r0, 0\nldxb %r3, [%r1+0]\nadd %r0, %r3\nldxb %r3, [%r1+7]\nadd %r0, %r3\nexit"
COUNT = """
stw [%r10-4], 1
mov %r2, %r10
add %r2, -4
ldmap %r1, 0
call 1
jeq %r0, 0, out
ldxdw %r1, [%r0+0]
add %r1, 1
stxdw [%r0+0], %r1
mov %r0, %r1
out: exit
"""
TEXT = r"""
BPF_HASH(counts, u64, u64);
BPF_ARRAY(one, u64, 4);
BPF_RINGBUF_OUTPUT(events, 1);
BPF_PERF_OUTPUT(records);
BPF_QUEUE(waiting, u64, 16);
BPF_PROG_ARRAY(programs, 4);

RAW_TRACEPOINT_PROBE(sys_enter) {
    u64 key = 1, *value = counts.lookup_or_try_init(&key, &key);
    if (value) { *value += 1; events.ringbuf_output(value, 8, 0); records.perf_submit(ctx, value, 8); }
    bpf_trace_printk("%d\n", 1);
    programs.call(ctx, 0);
    return 0;
}
"""


def made(kind: int, **options: Any) -> Any:
    return _MAPS[kind](MapSpec("made", kind, 4, 8, 4, **options), 1)


@pytest.mark.parametrize("kind", [1, 2])
def test_a_program_keeps_the_memory_of_its_maps(kind: int) -> None:
    map = made(kind)
    map.update(b"\1\0\0\0", bytes(8))
    with Program(assemble(COUNT), maps=[map], references={3: 0}) as program:
        map.close()
        others = [made(kind) for _ in range(50)]  # where its memory would have been
        assert [program.run(b"") for _ in range(3)] == [1, 2, 3]
        assert list(program.run_batch(bytes(16), 8)) == [4, 5]
        assert all(other.lookup(b"\1\0\0\0") in (None, bytes(8)) for other in others)


def test_a_closed_map_is_not_for_new_programs() -> None:
    map = made(1)
    map.close()
    with pytest.raises(SkepError, match="map 'made' is closed"):
        Program(assemble(COUNT), maps=[map], references={3: 0})


def test_a_closed_program_gives_the_memory_back() -> None:
    before = memory_in_use()
    for _ in range(20):
        map = _MAPS[2](MapSpec("large", 2, 4, 1 << 20, 16), 1)
        map.memory()[:] = b"x" * (16 << 20)
        program = Program(assemble(COUNT), maps=[map], references={3: 0})
        map.close()
        program.close()
        with pytest.raises(ExecutionError, match="the program was closed"):
            program.run(b"")
        with pytest.raises(ExecutionError, match="the program was closed"):
            program.run_batch(bytes(8), 8)
    assert memory_in_use() - before < 64 << 20


def memory_in_use() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * 4096


def at_once(*calls: Callable[[], object]) -> None:
    """Each call over and over in a thread of its own, until each has raised a SkepError or 2 s are over."""
    end = time.monotonic() + 2
    wrong: list[BaseException] = []

    def repeat(call: Callable[[], object]) -> None:
        try:
            while time.monotonic() < end:
                call()
        except SkepError:
            pass
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong, wrong


def closes(*things: Any) -> Callable[[], object]:
    def close() -> None:
        time.sleep(0.01)
        for thing in things:
            thing.close()
        raise SkepError("closed")

    return close


@pytest.mark.parametrize("kind", [1, 2, 9, 22, 6])
def test_a_map_is_closed_while_others_use_it(kind: int) -> None:
    for _ in range(8):
        map = made(kind) if kind != 22 else _MAPS[22](MapSpec("made", 22, 0, 8, 4), 1)
        key = bytes(map.key_size)
        at_once(
            lambda map=map, key=key: map.update(key, bytes(map.value_size)),
            lambda map=map, key=key: map.lookup(key),
            lambda map=map: list(map.parts()) if map.type != 22 else map.lookup(b""),
            closes(map), closes(map),
        )  # fmt: skip


def test_a_program_is_closed_while_others_run_it() -> None:
    for _ in range(8):
        map = made(1)
        map.update(b"\1\0\0\0", bytes(8))
        program = Program(assemble(COUNT), maps=[map], references={3: 0})
        at_once(
            lambda program=program: program.run(b""),
            lambda program=program: program.run(bytearray(8)),
            lambda program=program: program.run_batch(bytes(80_000), 8),
            closes(map, program), closes(program),
        )  # fmt: skip


INNER = """
stw [%r10-4], 0
mov %r2, %r10
add %r2, -4
ldmap %r1, 0
call 1
jeq %r0, 0, out
mov %r1, %r0
mov %r2, %r10
add %r2, -4
call 1
jeq %r0, 0, out
stdw [%r0+0], 7
out: mov %r0, 0
exit
"""
TAIL = "mov %r6, %r1\nldmap %r2, 0\nmov %r3, 0\ncall 12\nmov %r0, 1\nexit"


def test_what_maps_hold_is_closed_while_programs_use_it() -> None:
    kind = kind_for_type(BPF.RAW_TRACEPOINT)
    with contextlib.closing(UserEngine()) as engine:
        for _ in range(6):
            outer = engine.create_map(MapSpec("outer", 12, 4, 4, 1, inner=MapSpec("inner", 2, 4, 1 << 16, 64)))
            calls = engine.create_map(MapSpec("calls", 3, 4, 4, 1))
            inner = engine.create_map(MapSpec("inner", 2, 4, 1 << 16, 64))
            outer.update(bytes(4), inner.fd.to_bytes(4, "little"))
            context = Context("raw_tracepoint", 16)
            looks = Program(assemble(INNER), context=context, maps=[outer], references={3: 0})
            jumps = Program(assemble(TAIL), context=context, maps=[calls], references={1: 0})
            calls.bind("raw_tracepoint")
            target = UserProgram("target", kind, Program(assemble("mov %r0, 5\nexit"), context=context), False)
            calls.update(bytes(4), target.fd.to_bytes(4, "little"))
            assert list(jumps.run_batch(bytes(16), 16)) == [5]
            at_once(
                lambda looks=looks: looks.run_batch(bytes(160_000), 16),
                lambda jumps=jumps: jumps.run_batch(bytes(160_000), 16),
                closes(inner, target), closes(target, inner), closes(target, outer, looks, jumps),
            )  # fmt: skip
            calls.close()


def test_runs_of_two_threads_do_not_meet() -> None:
    """A long context and a short one: neither run may read as far as the other's goes."""
    with Program(assemble(SUM)) as program:
        long, short = bytearray(b"\2" * 64), bytearray(b"\2" * 4)
        found: list[int] = []

        def run(context: bytearray) -> None:
            for _ in range(3000):
                try:
                    found.append(program.run(context))
                except SkepError:
                    found.append(-len(context))

        threads = [threading.Thread(target=run, args=(context,)) for context in (long, short)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(set(found)) == [-4, 4]


def opened() -> BPF:
    b = BPF(text=TEXT, engine="user")
    b["events"].open_ring_buffer(lambda *_: None)
    b["records"].open_perf_buffer(lambda *_: None)
    return b


CALLS = [
    "counts.items()", "counts[counts.Key(1)]", "len(counts)", "counts.clear()", "counts.handle.info()",
    "one[0]", "one.values()", "waiting.push(1)", "waiting.pop()", "programs.__setitem__(0, function)",
    "events.open_ring_buffer(print)", "records.open_perf_buffer(print)", "events.handle.ring",
    "program.test_run(b'', bytes(16))", "program.machine.run(bytes(16))", "program.machine.run_batch(bytes(32), 16)",
    "b['counts']", "b.ring_buffer_poll(0)", "b.perf_buffer_poll(0)", "b.trace_fields(nonblocking=True)",
    "b.trace_command(['true'])", "b.trace_pid(1)", "b.load_func('raw_tracepoint__sys_enter', BPF.RAW_TRACEPOINT)",
    "b.attach_raw_tracepoint('sys_enter', 'raw_tracepoint__sys_enter')", "engine.trace_pid(1)",
    "engine.trace_command(['true'], (), None)",
    "engine.open_trace_pipe()", "engine.attach(Hook('raw_tracepoint', 'sys_enter'), lambda kind: program)",
    "engine.open_perf_ring(records.handle, 0, 1)", "engine.map_ring(events.handle)",
    "engine.share_map(one.handle.spec, one.handle)",
]  # fmt: skip


def test_everything_after_cleanup_says_that_it_is_closed() -> None:
    b = opened()
    function = b.load_func("raw_tracepoint__sys_enter", BPF.RAW_TRACEPOINT)
    known = {name: b[name] for name in ("counts", "one", "events", "records", "waiting", "programs")}
    known |= {"b": b, "function": function, "program": function.handle, "engine": b._opened_engine, "BPF": BPF, "Hook": Hook}
    known["one"][0] = known["one"].Leaf(7)
    array = known["one"].handle.memory()
    command = b.trace_command(["sleep", "60"])
    b.cleanup()
    said = {}
    for call in CALLS:
        try:
            said[call] = str(eval(call, known))
        except SkepError as error:
            said[call] = str(error)
    assert {call: text for call, text in said.items() if "closed" not in text} == {
        "b.ring_buffer_poll(0)": 'no ring buffer is open to poll: call b["name"].open_ring_buffer(callback) first',
        "b.perf_buffer_poll(0)": 'no perf buffer is open to poll: call b["name"].open_perf_buffer(callback) first',
    }
    assert command.wait(PATIENCE) == -15
    assert array is not None
    assert array[:8] == (7).to_bytes(8, "little")  # what someone still looks at stays
    b.cleanup()
    gc.collect()


def test_a_trace_pipe_says_that_it_is_closed() -> None:
    engine = UserEngine()
    pipe = engine.open_trace_pipe()
    assert pipe.readline(nonblocking=True) is None
    ended: list[str] = []

    def read() -> None:
        try:
            pipe.readline()
        except SkepError as error:
            ended.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.05)
    engine.close()
    with pytest.raises(SkepError, match="closed"):
        pipe.readline(nonblocking=True)
    with pytest.raises(SkepError, match="closed"):
        pipe.fileno()
    reader.join(PATIENCE)
    assert len(ended) == 1
    assert "closed" in ended[0]


def test_a_program_that_outlives_its_engine_prints_nowhere() -> None:
    b = opened()
    program = b.load_func("raw_tracepoint__sys_enter", BPF.RAW_TRACEPOINT).handle
    run = program.machine.run
    kept = program.machine.environment.env.output
    b.cleanup()
    assert kept.contents.fd == (1 << 64) - 1
    with pytest.raises(ExecutionError, match="the program was closed"):
        run(bytes(16))


def test_two_threads_close_the_same() -> None:
    for _ in range(5):
        b = opened()
        b.trace_command(["true"]).wait(PATIENCE)
        at_once(
            lambda b=b: b.ring_buffer_poll(1), lambda b=b: b.perf_buffer_poll(1), lambda b=b: b["counts"].items(),
            closes(b), closes(b), closes(b._opened_engine),
        )  # fmt: skip


def meets_at_each_line(
    functions: str, call: Callable[[BPF], object], other: Callable[[BPF], object], make: Callable[[], BPF] = opened
) -> int:
    """Call it again and again, and have another thread do the other at the first line of these functions that it comes to, at the
    second and so on; how many there are. Only a SkepError may come out of either."""
    code = set(functions.split())
    for number in count():
        b = make()
        left = number
        wrong: list[BaseException] = []

        def run(what: Callable[[BPF], object], b: BPF = b, wrong: list[BaseException] = wrong) -> None:
            try:
                what(b)
            except SkepError:
                pass
            except BaseException as error:
                wrong.append(error)

        thread = threading.Thread(target=run, args=(other,))

        def trace(frame: Any, event: str, _: object, thread: threading.Thread = thread) -> Any:
            nonlocal left
            if frame.f_code.co_name not in code or "skep" not in frame.f_code.co_filename:
                return None
            if event == "line":
                left -= 1
                if left < 0 and thread.ident is None:
                    thread.start()
                    thread.join(0.02)  # it may wait for a lock that is held here
            return trace

        sys.settrace(trace)
        try:
            run(call)
        finally:
            sys.settrace(None)
        came = thread.ident is not None
        if came:
            thread.join()
        b.cleanup()
        assert not wrong, (number, wrong)
        if not came:
            return number
    raise AssertionError


def end_tracer(b: BPF) -> None:
    engine = b._opened_engine
    if engine is not None:
        engine.close()


def detach(b: BPF) -> None:
    b.detach_raw_tracepoint("sys_enter")


def test_a_poll_meets_a_close_at_each_line() -> None:
    assert meets_at_each_line("until require take", lambda b: b.perf_buffer_poll(1), BPF.cleanup) > 10


def test_a_look_for_lines_meets_a_close_at_each_line() -> None:
    def look(b: BPF) -> None:
        b.trace_fields(nonblocking=True)
        b.trace_fields(nonblocking=True)

    assert meets_at_each_line("trace_open readline fileno", look, BPF.cleanup) > 10


def test_a_close_meets_a_close_at_each_line() -> None:
    assert meets_at_each_line("forget _close_unused detach_program", BPF.cleanup, BPF.cleanup) > 15


def opened_and_killed() -> BPF:
    b = opened()
    tracer = b._opened_engine.session.tracer
    os.kill(tracer._state.keeper, signal.SIGKILL)
    eventually(lambda: tracer._ended is not None)
    return b


def test_a_detachment_meets_the_end_of_a_killed_tracer_at_each_line() -> None:
    assert meets_at_each_line("_request _poll", detach, end_tracer, opened_and_killed) > 10


def test_a_start_meets_the_end_of_the_tracer_at_each_line() -> None:
    assert meets_at_each_line("_poll", lambda b: b.trace_command(["true"]), end_tracer) > 8


def test_a_ring_is_not_read_after_it_was_closed() -> None:
    """A run that has begun is read to its end; the memory goes afterwards, and no other run begins."""
    with opened() as b:
        (first, *_) = b.perf_buffers.readers["records"].cursors
        assert first.begin()
        b.perf_buffers.close()
        assert first.head.value == first.tail.value  # still there
        first.idle()
        assert not first.begin()
        assert first.is_at_end()
        assert first.waiting() == 0


def opened_with_a_record() -> BPF:
    b = opened()
    b.load_func("raw_tracepoint__sys_enter", BPF.RAW_TRACEPOINT).handle.test_run(b"", bytes(16))
    return b


def poll(b: BPF) -> None:
    b.perf_buffer_poll(0)
    b.ring_buffer_poll(0)


def close_buffers(b: BPF) -> None:
    b.perf_buffers.close()
    b.ring_buffers.close()


def test_a_drain_meets_a_close_at_each_line() -> None:
    assert meets_at_each_line("_drain next_run begin idle", poll, close_buffers, opened_with_a_record) > 20


def test_a_close_meets_a_run_that_is_about_to_begin_at_each_line() -> None:
    kept: list[Any] = []

    def make() -> BPF:
        b = opened_with_a_record()
        kept[:] = [(reader, cursor) for reader in b.perf_buffers.readers.values() for cursor in reader.cursors]
        return b

    def run(b: BPF) -> None:
        for reader, cursor in kept:
            reader._drain(cursor, reader.callback)

    assert meets_at_each_line("idle close _end total_lost _count_unread", close_buffers, run, make) > 20


def test_a_child_closes_what_a_thread_of_its_parent_was_reading() -> None:
    with opened() as b:
        (first, *_) = b.perf_buffers.readers["records"].cursors
        held, enough = threading.Event(), threading.Event()

        def read() -> None:
            with first._lock:
                held.set()
                enough.wait()

        thread = threading.Thread(target=read)
        thread.start()
        held.wait()
        child = os.fork()
        if not child:
            try:
                signal.alarm(int(PATIENCE))
                b.cleanup()
            finally:
                os._exit(0)
        enough.set()
        thread.join()
        assert os.waitpid(child, 0)[1] == 0


def test_a_tracer_that_was_killed_is_told_and_all_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    with opened() as b:
        command = b.trace_command(["sleep", "600"])
        os.kill(b._opened_engine.session.tracer._state.keeper, signal.SIGKILL)
        assert command.wait(PATIENCE) == -signal.SIGKILL
        with pytest.raises(SkepError, match="the tracer's process ended: signal 9"):
            b.trace_command(["true"])
        assert b["counts"].items() is not None
        with opened() as other:
            assert other.trace_command(["true"]).wait(PATIENCE) == 0
    assert capfd.readouterr().err.count("skep: warning: the tracer's process ended: signal 9") == 1
