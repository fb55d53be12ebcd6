"""The rung of the kprobe ladder that BPF takes on kernels without kprobes: fentry and fexit, from the same C text."""

from __future__ import annotations

import os

import pytest

from skep import BPF
from skep.engine.kernel import kprobe
from skep.engine.kernel.ladder import Refused
from skep.errors import AttachError

pytestmark = pytest.mark.kernel

TEXT = """\
BPF_HASH(arguments);
BPF_HASH(results);
int entered(struct pt_regs *ctx, void *file) {
    if (bpf_get_current_pid_tgid() >> 32 != OWN) return 0;
    u64 same = PT_REGS_PARM1(ctx) == (u64)file && file != 0;
    arguments.increment(same);
    return 0;
}
int returned(struct pt_regs *ctx) {
    if (bpf_get_current_pid_tgid() >> 32 != OWN) return 0;
    u64 result = PT_REGS_RC(ctx);
    results.increment(result);
    return 0;
}
"""


@pytest.fixture
def without_kprobes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Refused("taken away by the test")

    monkeypatch.setattr(kprobe, "_require_pmu", refuse)
    monkeypatch.setattr(kprobe, "_require_kprobe_events", refuse)


def test_arguments_and_result_come_from_fentry_and_fexit(without_kprobes: None) -> None:
    with BPF(text=TEXT, cflags=[f"-DOWN={os.getpid()}"]) as b:
        refusal: AttachError | None = None
        try:
            b.attach_kprobe(event="vfs_read", fn_name="entered")
        except AttachError as error:
            refusal = error
        if refusal is not None:
            # this kernel refuses fentry: that is what must be said, after the rungs before it
            assert [rung for rung, _ in refusal.attempts][-1] == "fentry"
            assert "refuses programs of type tracing (fentry) with EPERM" in str(refusal)
            return
        b.attach_kretprobe(event="vfs_read", fn_name="returned")
        assert [link.how for link in b.links] == ["fentry vfs_read (bpf link)", "fexit vfs_read (bpf link)"]
        fd = os.open("/proc/self/comm", os.O_RDONLY)
        try:
            size = len(os.read(fd, 100))
        finally:
            os.close(fd)
        assert [key.value for key, _ in b["arguments"].items()] == [1]
        assert b["results"][size].value >= 1
