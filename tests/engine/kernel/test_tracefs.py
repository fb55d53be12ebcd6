"""tracefs wherever it is: mounted or private, with the same content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from skep.engine.kernel import tracefs
from skep.engine.kernel.tracefs import Tracefs

if TYPE_CHECKING:
    from skep.engine.kernel import KernelEngine

pytestmark = pytest.mark.kernel


def test_private_mount_changes_nothing_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/proc/self/mountinfo") as mounts:
        before = mounts.read()
    monkeypatch.setattr(tracefs, "find_mount", lambda: "")
    private = Tracefs()
    assert private.how == "private mount"
    assert private.tracepoint_id("syscalls", "sys_enter_execve")
    with open("/proc/self/mountinfo") as mounts:
        assert mounts.read() == before
    private.close()


def test_formats_and_names_are_the_kernels(engine: KernelEngine) -> None:
    text = engine.tracefs.format("sched", "sched_process_exec")
    assert text.startswith("name: sched_process_exec\nID: ")
    assert f"ID: {engine.tracefs.tracepoint_id('sched', 'sched_process_exec')}\n" in text
    assert "sched:sched_process_exec" in engine.tracefs.tracepoints()
    assert "sched:sched_process_exec" in engine.tracefs.tracepoints("sched")
    assert "sched" in engine.tracefs.categories()
    assert engine.tracefs.tracepoint_id("sched", "nothing") is None


def test_find_mount_takes_only_a_whole_tracefs(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    text = (
        "30 1 0:12 /events /bound rw - tracefs tracefs rw\n"
        "31 1 0:13 / /proc rw - proc proc rw\n"
        "32 1 0:12 / /my\\040tracing rw,nosuid shared:1 - tracefs nodev rw\n"
    )
    monkeypatch.setattr("builtins.open", lambda *_: io.StringIO(text))
    assert tracefs.find_mount() == "/my tracing"
