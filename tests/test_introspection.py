"""What class BPF tells about the kernel, files and programs."""

from __future__ import annotations

import ctypes
import os
import time

import pytest

from skep import BPF
from skep.errors import SkepError

_TEXT = "int one(void *ctx) { return 1; }"


def test_enums_of_the_kernel() -> None:
    assert BPF.kernel_enum_has_val("bpf_attach_type", b"BPF_MODIFY_RETURN") == 1
    assert BPF.kernel_enum_has_val("bpf_attach_type", "NO_SUCH") == 0
    assert BPF.kernel_enum_has_val("no_such_enum", "BPF_MODIFY_RETURN") == -1


def test_files_of_libraries_and_programs() -> None:
    libc = BPF.find_library("c")
    assert libc is not None
    assert os.path.basename(libc).startswith(b"libc.so")
    assert os.path.isabs(libc)
    assert BPF.find_library(b"/a/path") == b"/a/path"
    assert BPF.find_library("no_such_library") is None
    mapped = BPF.find_library("c", os.getpid())
    assert mapped is not None
    assert os.path.samefile(mapped, libc)
    assert BPF.find_exe("sh") in (b"/bin/sh", b"/usr/bin/sh")
    assert BPF.find_exe("/bin/sh") == b"/bin/sh"
    assert BPF.find_exe("no_such_program") is None


def test_functions_of_a_library() -> None:
    found = dict(BPF.get_user_functions_and_addresses("c", "^(malloc|free)$"))
    assert set(found) == {b"malloc", b"free"} == BPF.get_user_functions(b"c", b"^(malloc|free)$")
    assert set(found.values()) == BPF.get_user_addresses("c", "^(malloc|free)$")
    libc = ctypes.CDLL("libc.so.6")  # CDLL(None) may find an interpreter's own way to them (not position-independent ones)
    distance = ctypes.cast(libc.malloc, ctypes.c_void_p).value - ctypes.cast(libc.free, ctypes.c_void_p).value  # type: ignore[operator]
    assert found[b"malloc"] - found[b"free"] == distance
    with pytest.raises(SkepError, match="no regular expression"):
        BPF.get_user_functions_and_addresses("c", "(")


def test_time_is_the_kernel_s() -> None:
    assert abs(BPF.monotonic_time() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)) < 10**10


def test_probe_limit_is_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BCC_PROBE_LIMIT", raising=False)
    assert BPF.get_probe_limit() == 1000
    monkeypatch.setenv("BCC_PROBE_LIMIT", "7")
    assert BPF.get_probe_limit() == 7


@pytest.mark.kernel
def test_a_program_s_instructions() -> None:
    with BPF(text=_TEXT) as bpf:
        code = bpf.dump_func(b"one")
        assert len(code) == 16
        assert code[8:] == b"\x95" + bytes(7)
        lines = bpf.disassemble_func("one").splitlines()
        assert lines[0] == "Disassemble of BPF program b'one':"
        assert lines[2] == "   1: (95) exit"
        with pytest.raises(SkepError, match="there is no program 'two'"):
            bpf.dump_func("two")


@pytest.mark.kernel
def test_stacks_with_build_ids_have_names() -> None:
    text = """
BPF_STACK_TRACE_BUILDID(stacks, 16);
BPF_ARRAY(id, u64, 1);
int f(struct pt_regs *ctx) {
    u64 stack = stacks.get_stackid(ctx, BPF_F_USER_STACK);
    if (bpf_get_current_pid_tgid() >> 32 == PID)
        id.update(&(int){0}, &stack);
    return 0;
}"""
    with BPF(text=text, cflags=[f"-DPID={os.getpid()}"]) as bpf:
        bpf.attach_uprobe(name="c", sym="malloc_stats", fn_name="f", pid=os.getpid())
        saved = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, 2)
            ctypes.CDLL(None).malloc_stats()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(null)
        frames = list(bpf["stacks"].walk(bpf["id"][0].value))
        library = BPF.find_library("c", os.getpid())
        assert frames
        assert library is not None
        assert BPF.sym(frames[0], -1) == b"[unknown]"
        bpf.add_module(library)
        assert BPF.sym(frames[0], -1, show_offset=True, show_module=True) == b"malloc_stats+0x0 [%s]" % os.path.basename(library)
