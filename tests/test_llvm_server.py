"""The kept process that compiles for programs that compile often."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from support import open_files, own_children
from waiting import eventually

from skep import llvm, llvm_server
from skep.compiler import compile_source
from skep.errors import CompileError
from skep.llvm import Worker
from skep.llvm_server import FEW, ForkedWorker, release, start_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

TEXT = "int f(void *ctx) { return 7; }"
IR = "define i64 @f() { ret i64 7 }"


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    release()
    monkeypatch.setattr(llvm_server._Kept, "compilations", 0)
    monkeypatch.setattr(llvm_server, "IDLE", 600.0)  # so that none ends of itself in a test that is slow
    yield
    release()


def kept_pid() -> int:
    server = llvm_server._Kept.server
    return server.pid if server is not None else 0


def runs(pid: int) -> bool:
    """Is there such a process, and not only its entry, which process 1 has yet to take away?"""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def forked() -> ForkedWorker:
    return ForkedWorker("bpf", "object", 2)


def test_only_a_program_that_compiles_often_keeps_a_process() -> None:
    objects, kept = [], []
    for _ in range(FEW + 3):
        objects.append(compile_source(TEXT).data)
        kept.append(kept_pid())
    assert kept[:FEW] == [0] * FEW
    assert len(set(kept[FEW:])) == 1
    assert kept[FEW]
    assert set(objects) == {objects[0]}
    release()
    eventually(lambda: not runs(kept[FEW]))


def test_an_error_of_the_front_end_leaves_the_process_for_the_next() -> None:
    with forked() as worker:
        worker.finish(IR)
    pid = kept_pid()
    with forked():
        pass  # the front end found errors: no text comes
    assert kept_pid() == pid
    with forked() as worker:
        assert worker.finish(IR)[0][:4] == b"\x7fELF"
    assert kept_pid() == pid


def test_a_text_that_llvm_refuses_gives_its_words_and_ends_the_fork_alone() -> None:
    with forked() as worker:
        result, messages, status = worker.finish("define i64 @f() { ret i65 7 }")
    assert (result, status) == (b"", 1)
    assert "expected" in messages or "type" in messages
    pid = kept_pid()
    with forked() as worker:
        assert worker.finish(IR)[2] == 0
    assert kept_pid() == pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_died_is_replaced(number: int) -> None:
    with forked() as worker:
        worker.finish(IR)
    pid = kept_pid()
    os.kill(pid, number)
    eventually(lambda: not runs(pid))
    with forked() as worker:
        assert worker.finish(IR)[0][:4] == b"\x7fELF"
    assert kept_pid() not in (0, pid)


def test_it_ends_when_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llvm_server, "IDLE", 0.1)
    before = own_children()
    with forked() as worker:
        worker.finish(IR)
    pid = kept_pid()
    eventually(lambda: not runs(pid))
    assert own_children() <= before  # no zombie either
    with forked() as worker:
        assert worker.finish(IR)[2] == 0


def test_it_ends_with_its_program() -> None:
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        with forked() as worker:
            worker.finish(IR)
        os.write(write, str(kept_pid()).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    kept = int(os.read(read, 20))
    for fd in (read, write):
        os.close(fd)
    eventually(lambda: not runs(kept))  # before it has waited for work long enough


def test_a_forked_program_does_not_use_its_parents_process() -> None:
    with forked() as worker:
        worker.finish(IR)
    parents = kept_pid()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            with forked() as worker:
                worker.finish(IR)
            status = 0 if kept_pid() not in (0, parents) else 2
            release()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with forked() as worker:
        assert worker.finish(IR)[2] == 0
    assert kept_pid() == parents


def finalizes(frame: FrameType | None) -> bool:
    """Is this in a __del__? What is raised there is only printed."""
    return frame is not None and (frame.f_code.co_name == "__del__" or finalizes(frame.f_back))


@pytest.mark.parametrize("make", [forked, lambda: Worker("bpf")], ids=["kept process", "process of its own"])
def test_an_interrupt_at_any_line_of_a_compilation_closes_each_file_once(make: Callable[[], ForkedWorker | Worker]) -> None:
    with forked() as worker:
        worker.finish(IR)
    before = open_files()
    line = left = 0

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal left
        if frame.f_code.co_filename not in (llvm_server.__file__, llvm.__file__) or finalizes(frame):
            return None
        if event == "line":
            left -= 1
            if not left:
                signal.raise_signal(signal.SIGINT)
        return trace

    while left <= 0:  # until a compilation has fewer lines
        line += 1
        left = line
        try:
            sys.settrace(trace)
            with make() as worker:
                worker.finish(IR)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        worker = None
        gc.collect()
        assert open_files() == before, line
    assert line > 20


def test_an_interrupt_during_a_compilation_ends_the_process() -> None:
    worker = forked()
    assert worker.server is not None
    server = worker.server
    worker.asked = True  # as when KeyboardInterrupt comes out of finish()
    worker.close()
    assert server.socket.fileno() == -1
    assert kept_pid() == 0


def test_compile_errors_are_the_same_with_a_kept_process() -> None:
    for _ in range(FEW + 2):
        with pytest.raises(CompileError, match="not declared"):
            compile_source("int f(void *ctx) { return x; }")
    assert isinstance(start_worker("bpf", "object", 2), ForkedWorker)
