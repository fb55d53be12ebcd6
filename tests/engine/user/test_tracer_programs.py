"""BPF programs at the events of traced commands: registers, samples, fentry and fexit of system calls, texts of records."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from waiting import PATIENCE

from skep import BPF
from skep.bcc import PerfSWConfig, PerfType

PYTHON = (sys.executable, "-S", "-c")


def run(bpf, *argv):
    with bpf.trace_command(argv, stdout=subprocess.DEVNULL) as command:
        return command.wait(PATIENCE)


def counts(bpf):
    return {key.value: count.value for key, count in bpf["counts"].items()}


def test_arguments_of_a_calls_function_are_the_callers():
    text = """
    BPF_HASH(counts, u64, u64);
    int syscall__dup2(struct pt_regs *ctx, int from, int to) { u64 key = from * 100 + to; counts.increment(key); return 0; }
    int leave(struct pt_regs *ctx) { u64 key = 1000 + PT_REGS_RC(ctx); counts.increment(key); return 0; }
    RAW_TRACEPOINT_PROBE(sys_enter) {
        struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
        u64 key = 2000;
        if (ctx->args[1] == 33 && PT_REGS_PARM2(regs) == 77) counts.increment(key);
        return 0;
    }
    """
    with BPF(text=text, engine="user") as bpf:
        bpf.attach_kprobe(event=bpf.get_syscall_fnname("dup2"), fn_name="syscall__dup2")
        bpf.attach_kretprobe(event=bpf.get_syscall_fnname("dup2"), fn_name="leave")
        assert run(bpf, *PYTHON, "import os; os.dup2(1, 77, inheritable=True)") == 0
        assert counts(bpf) == {177: 1, 1077: 1, 2000: 1}


def test_texts_of_the_tracee_and_of_records_are_read():
    text = """
    struct name { char text[64]; };
    BPF_HASH(counts, struct name, u64);
    TRACEPOINT_PROBE(syscalls, sys_enter_openat) {
        struct name name = {};
        bpf_probe_read_user_str(name.text, sizeof(name.text), args->filename);
        counts.increment(name);
        return 0;
    }
    TRACEPOINT_PROBE(sched, sched_process_exec) {
        struct name name = {};
        TP_DATA_LOC_READ_STR(name.text, filename, sizeof(name.text));
        counts.increment(name);
        return 0;
    }
    """
    with BPF(text=text, engine="user") as bpf:
        assert run(bpf, "/bin/cat", "/etc/hostname", "/nowhere") == 1
        seen = {key.text: count.value for key, count in bpf["counts"].items()}
    assert {name: seen.get(name) for name in (b"/bin/cat", b"/etc/hostname", b"/nowhere")} == {
        b"/bin/cat": 1,
        b"/etc/hostname": 1,
        b"/nowhere": 1,
    }


def test_functions_of_calls_have_fentry_and_fexit():
    text = """
    BPF_HASH(counts, u64, u64);
    KFUNC_PROBE(__x64_sys_dup2, struct pt_regs *regs) { u64 key = regs->di * 100 + regs->si; counts.increment(key); return 0; }
    KRETFUNC_PROBE(__x64_sys_dup2, struct pt_regs *regs, long ret) { u64 key = 1000 + ret; counts.increment(key); return 0; }
    """
    with BPF(text=text, engine="user") as bpf:
        assert run(bpf, *PYTHON, "import os; os.dup2(1, 77, inheritable=True)") == 0
        assert counts(bpf) == {177: 1, 1077: 1}


@pytest.mark.parametrize("rate", [{"sample_freq": 200}, {"sample_period": 5_000_000}])
def test_samples_of_a_command_that_computes(rate):
    text = """
    BPF_HASH(counts, u64, u64);
    int sample(struct bpf_perf_event_data *ctx) {
        u64 key = PT_REGS_IP(&ctx->regs) != 0;
        counts.increment(key);
        return 0;
    }
    """
    with BPF(text=text, engine="user") as bpf:
        bpf.attach_perf_event(ev_type=PerfType.SOFTWARE, ev_config=PerfSWConfig.CPU_CLOCK, fn_name="sample", **rate)
        assert run(bpf, *PYTHON, "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass") == 0
        found = counts(bpf)
    assert set(found) == {1}
    assert found[1] > 10


def test_values_of_a_cpu_are_those_of_the_tracees_cpu():
    text = """
    BPF_PERCPU_ARRAY(counts, u64, 1);
    BPF_HASH(cpus, u32, u64);
    TRACEPOINT_PROBE(syscalls, sys_enter_getppid) { counts.increment(0); return 0; }
    TRACEPOINT_PROBE(syscalls, sys_enter_dup2) { u32 cpu = bpf_get_smp_processor_id(); cpus.increment(cpu); return 0; }
    """
    for cpu in sorted(os.sched_getaffinity(0))[:2]:
        pinned = f"import os; os.sched_setaffinity(0, [{cpu}]); os.getppid(); os.dup2(1, 77, inheritable=True)"
        with BPF(text=text, engine="user") as bpf:
            assert run(bpf, *PYTHON, pinned) == 0
            assert [number for number, count in enumerate(bpf["counts"][0]) if count] == [cpu]
            assert {key.value: count.value for key, count in bpf["cpus"].items()} == {cpu: 1}
