"""Idioms of BCC's tools that Skep once refused or warned of, as texts of our own."""

from __future__ import annotations

import warnings

import pytest

from skep import compile


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
