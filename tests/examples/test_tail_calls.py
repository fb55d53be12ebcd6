"""How far tail calls go: the kernel's bound, counted by a program that jumps to itself."""

from __future__ import annotations

import ctypes as ct
import os

import pytest

from skep import BPF

PROGRAM = r"""
BPF_PROG_ARRAY(jump, 1);
BPF_ARRAY(only, u32, 1);    // the process that is counted
BPF_ARRAY(runs, u64, 1);

int again(struct bpf_raw_tracepoint_args *ctx) {
    int zero = 0;
    u32 *pid = only.lookup(&zero);
    if (!pid || *pid != bpf_get_current_pid_tgid() >> 32 || ctx->args[1] != GETPPID)
        return 0;
    u64 *count = runs.lookup(&zero);
    if (count)
        *count += 1;
    jump.call(ctx, 0);
    return 0;
}
"""

GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]


@pytest.mark.kernel
def test_the_kernel_stops_a_loop_of_tail_calls_after_33() -> None:
    with BPF(text=PROGRAM, cflags=[f"-DGETPPID={GETPPID}"]) as b:
        program = b.load_func("again", BPF.RAW_TRACEPOINT)
        b["jump"][ct.c_int(0)] = ct.c_int(program.fd)
        b["only"][ct.c_int(0)] = ct.c_uint32(os.getpid())
        b.attach_raw_tracepoint(tp="sys_enter", fn_name="again")
        os.getppid()
        b.detach_raw_tracepoint(tp="sys_enter")
        # MAX_TAIL_CALL_CNT is 33 (include/linux/bpf.h; on all JITs since 5.16): the first run and 33 jumps.
        assert b["runs"][ct.c_int(0)].value == 34


@pytest.mark.kernel
def test_an_empty_index_goes_on_behind_the_call() -> None:
    with BPF(text=PROGRAM, cflags=[f"-DGETPPID={GETPPID}"]) as b:
        b["only"][ct.c_int(0)] = ct.c_uint32(os.getpid())
        b.attach_raw_tracepoint(tp="sys_enter", fn_name="again")
        os.getppid()
        b.detach_raw_tracepoint(tp="sys_enter")
        assert b["runs"][ct.c_int(0)].value == 1
