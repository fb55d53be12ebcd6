"""Idioms of BCC's tools that Skep once refused or warned of, as texts of our own."""

from __future__ import annotations

import os
import warnings

import pytest

from skep import BPF, compile


@pytest.mark.parametrize(
    ("header", "expression"),
    [
        ("linux/time64.h", "div_u64(bpf_ktime_get_ns(), NSEC_PER_USEC)"),
        ("linux/mm.h", "-ENOMEM"),
        ("uapi/linux/ptrace.h", "-EPERM"),
        ("linux/bpf.h", "-EPROTONOSUPPORT"),
    ],
)
def test_headers_bring_what_the_kernel_s_bring(header: str, expression: str) -> None:
    compile(f"#include <{header}>\nint f(void *ctx) {{ return {expression}; }}")


def test_a_struct_of_the_kernel_s_that_the_text_defines_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compile("""
struct mnt_namespace { struct ns_common ns; };
int f(void *ctx) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct mnt_namespace *own = task->nsproxy->mnt_ns;
    return own->ns.inum;
}""")
    assert capfd.readouterr().err == ""


@pytest.mark.kernel
def test_packets_of_a_context_that_is_declared_as_void() -> None:
    text = """
#include <bcc/proto.h>
int f(void *ctx) {
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
    return ethernet->type == 0x800;
}"""
    with BPF(text=text) as bpf:
        assert bpf.load_func("f", BPF.SCHED_CLS).fd > 0


@pytest.mark.kernel
def test_an_empty_slot_of_a_program_array_is_a_missing_key() -> None:
    with BPF(text="BPF_PROG_ARRAY(next, 4); int f(void *ctx) { return 0; }") as bpf:
        bpf["next"][0] = bpf.load_func("f", BPF.KPROBE)
        del bpf["next"][0]
        with pytest.raises(KeyError):
            bpf["next"][0]
        with pytest.raises(IndexError):
            bpf["next"][4]


@pytest.mark.kernel
def test_the_type_of_one_element_of_a_per_cpu_map() -> None:
    with BPF(text="struct s { u64 a, b; }; BPF_PERCPU_HASH(m, u32, struct s);") as bpf:
        element = bpf["m"].sLeaf(1, 2)
        assert (element.a, element.b) == (1, 2)


@pytest.mark.kernel
def test_one_function_on_both_names_of_a_system_call_runs_once() -> None:
    text = (
        "BPF_ARRAY(n, u64, 1); int f(void *ctx) { if (bpf_get_current_pid_tgid() >> 32 == PID) n.atomic_increment(0); return 0; }"
    )
    with BPF(text=text, cflags=[f"-DPID={os.getpid()}"]) as bpf:
        for name in ("uname", "newuname"):
            bpf.attach_kretprobe(event=bpf.get_syscall_fnname(name), fn_name="f")
        before = bpf["n"][0].value
        os.uname()
        assert bpf["n"][0].value - before == 1
