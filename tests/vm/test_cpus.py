"""CPUs that go offline and come back while perf buffers are open. Only where nobody else needs the CPUs, in a VM:

VM_ENV=SKEP_MAY_STOP_CPUS SKEP_MAY_STOP_CPUS=1 run-vm.sh 6.12 'PYTHONPATH=src:tests python -m pytest tests/vm/test_cpus.py'
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample import attach, open_sample

from skep import BPF

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif("SKEP_MAY_STOP_CPUS" not in os.environ, reason="needs two CPUs that nobody else uses")

SWITCH = Path("/sys/devices/system/cpu/cpu1/online")


@pytest.fixture(autouse=True)
def _on_again() -> Iterator[None]:
    yield
    SWITCH.write_text("1")
    os.sched_setaffinity(0, {0, 1})


@pytest.mark.parametrize("unnoticed", [False, True])
def test_a_cpu_that_was_offline_is_read_again(unnoticed: bool) -> None:
    seen: list[tuple[int, int]] = []
    with open_sample() as bpf:
        bpf["events"].open_perf_buffer(lambda cpu, data, _size: seen.append((cpu, bpf["events"].event(data).n)))
        call = attach(bpf, "send")
        os.sched_setaffinity(0, {1})
        call(2)
        bpf.perf_buffer_poll(0)
        call(1)  # waits in the ring of a CPU that goes
        SWITCH.write_text("0")
        if not unnoticed:
            bpf.perf_buffer_poll(2500)
            assert len(seen) == 3
        SWITCH.write_text("1")
        deadline = time.monotonic() + 20
        while len(seen) < 5 and time.monotonic() < deadline:
            bpf.perf_buffer_poll(1100)
            os.sched_setaffinity(0, {1})
            call(1)
        assert [number for _, number in seen[:3]] == [1, 2, 3]
        assert {cpu for cpu, _ in seen} == {1}


def test_a_cpu_that_comes_after_the_buffer_was_opened_is_read() -> None:
    SWITCH.write_text("0")
    seen: list[int] = []
    with open_sample() as bpf:
        bpf["events"].open_perf_buffer(lambda cpu, *_: seen.append(cpu))
        call = attach(bpf, "send")
        SWITCH.write_text("1")
        os.sched_setaffinity(0, {1})
        bpf.perf_buffer_poll(2500)
        call(3)
        bpf.perf_buffer_poll(0)
        assert seen == [1, 1, 1]


@pytest.mark.parametrize(("opened_while", "result"), [("0", -errno.ENOENT), ("1", -errno.EOPNOTSUPP)])
def test_the_program_is_told_that_nobody_reads_a_cpu_yet(opened_while: str, result: int) -> None:
    text = f"""
BPF_PERF_OUTPUT(events);
BPF_HASH(results, int, u64);
RAW_TRACEPOINT_PROBE(sys_enter) {{
    if (bpf_get_current_pid_tgid() >> 32 == {os.getpid()} && ctx->args[1] == 110) {{
        u32 number = 1;
        results.increment(events.perf_submit(ctx, &number, sizeof(number)));
    }}
    return 0;
}}"""
    with BPF(text=text) as bpf:
        SWITCH.write_text(opened_while)
        bpf["events"].open_perf_buffer(lambda *_: None)
        if opened_while == "1":
            SWITCH.write_text("0")
        SWITCH.write_text("1")
        os.sched_setaffinity(0, {1})
        os.getppid()
        found = {key.value: value.value for key, value in bpf["results"].items()}
        assert found == {result: 1}
