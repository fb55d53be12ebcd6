"""One C text for each hook's context: system calls reached by kprobe or, here, by their tracepoints; values are checked."""

from __future__ import annotations

import ctypes
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from skep import BPF
from skep.compiler import compile_source
from skep.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

HEAD = r"""
struct text { char s[32]; };
BPF_HASH(out, u32, u64);
BPF_HASH(texts, u32, struct text);
BPF_ARRAY(pid, u32, 1);
static int mine(void) { int zero = 0; u32 *p = pid.lookup(&zero); return p && *p == bpf_get_current_pid_tgid() >> 32; }
static void put(u32 i, u64 v) { out.update(&i, &v); }
static void say(u32 i, const void *from) { struct text t = {}; bpf_probe_read_user_str(&t, 32, from); texts.update(&i, &t); }
"""
ENTRY = r"""
int syscall__openat(struct pt_regs *ctx, int dfd, const char __user *filename, int flags, umode_t mode) {
    if (!mine()) return 0;
    put(0, dfd); put(1, flags); put(2, mode); put(3, filename[1]); say(0, filename);
    return 0;
}
int raw(struct pt_regs *ctx) {
    if (!mine()) return 0;
    struct pt_regs *inner = (struct pt_regs *)PT_REGS_PARM1(ctx);
    u64 di;
    bpf_probe_read_kernel(&di, sizeof(di), &PT_REGS_PARM1(inner));
    put(10, (int)di); put(11, (int)inner->di); put(12, PT_REGS_PARM3(inner));
    struct pt_regs *call = PT_REGS_SYSCALL_CTX(ctx);
    put(13, PT_REGS_PARM4_SYSCALL(call)); put(14, ctx->di == (u64)inner);
    return 0;
}
int registers(struct pt_regs *ctx, struct pt_regs *inner) {
    if (mine()) { put(20, (int)PT_REGS_PARM1(inner)); put(21, inner->dx); }
    return 0;
}
static struct pt_regs *first(struct pt_regs *ctx) { return (struct pt_regs *)PT_REGS_PARM1(ctx); }
int helped(struct pt_regs *ctx) { if (mine()) put(30, first(ctx)->dx); return 0; }
static __noinline int result(struct pt_regs *ctx) { return PT_REGS_RC(ctx); }
int leave(struct pt_regs *ctx) { if (mine()) { put(40, PT_REGS_RC(ctx)); put(41, result(ctx) < 0); } return 0; }
"""


class Traced:
    """A BPF object whose programs look at this process (or at another by `only`)."""

    def __init__(self, text: str) -> None:
        self.bpf = BPF(text=HEAD + text)
        self.only(os.getpid())

    def only(self, pid: int) -> None:
        self.bpf["pid"][0] = ctypes.c_uint32(pid)

    @property
    def out(self) -> dict[int, int]:
        return {k.value: ctypes.c_int64(v.value).value for k, v in self.bpf["out"].items()}

    def text(self, key: int) -> bytes:
        return bytes(self.bpf["texts"][ctypes.c_uint32(key)].s)


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Iterator[Traced]:
    traced = Traced(request.param)
    try:
        yield traced
    finally:
        traced.bpf.cleanup()


AT_FDCWD = -100
FLAGS = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC


@pytest.mark.parametrize("opened", [ENTRY], indirect=True)
def test_arguments_and_result_of_a_system_call(opened: Traced, tmp_path: object) -> None:
    bpf = opened.bpf
    function = bpf.get_syscall_fnname("openat")
    for name in ("syscall__openat", "raw", "registers", "helped"):
        bpf.attach_kprobe(event=function, fn_name=name)
    bpf.attach_kretprobe(event=function, fn_name="leave")
    path = f"{tmp_path}/x"
    fd = os.open(path, FLAGS, 0o640)
    out = opened.out
    os.close(fd)
    assert {key: out[key] for key in (0, 1, 2, 3)} == {0: AT_FDCWD, 1: FLAGS, 2: 0o640, 3: ord(path[1])}
    assert opened.text(0) == path.encode()[:31]
    assert [out[key] for key in range(10, 15)] == [AT_FDCWD, AT_FDCWD, FLAGS, 0o640, 1]
    assert [out[20], out[21], out[30]] == [AT_FDCWD, FLAGS, FLAGS]
    assert [out[40], out[41]] == [fd, 0]


@pytest.mark.parametrize("opened", [ENTRY], indirect=True)
def test_a_failed_call_returns_its_errno(opened: Traced) -> None:
    opened.bpf.attach_kretprobe(event=opened.bpf.get_syscall_fnname("openat"), fn_name="leave")
    with pytest.raises(FileNotFoundError):
        os.open("/nothing/here", os.O_RDONLY)
    assert [opened.out[40], opened.out[41]] == [-2, 1]


TYPES = r"""
int syscall__prctl(struct pt_regs *ctx, char a, u8 *b, short c, unsigned d, bool e) {
    if (!mine() || (int)d != 77777) return 0;
    put(0, a); put(1, b[2]); put(2, c); put(3, d); put(4, e);
    return 0;
}
struct timespec64_ { long sec; long nsec; };
int syscall__clock_nanosleep(struct pt_regs *ctx, int clock, int flags, const struct timespec64_ __user *rq, void *rem) {
    if (!mine()) return 0;
    put(10, clock); put(11, flags); put(12, rq->sec); put(13, rq->nsec); put(14, (u64)rem);
    struct timespec64_ whole = *rq;
    put(15, whole.nsec);
    return 0;
}
"""


@pytest.mark.parametrize("opened", [TYPES], indirect=True)
def test_extra_parameters_of_many_types(opened: Traced) -> None:
    bpf = opened.bpf
    bpf.attach_kprobe(event=bpf.get_syscall_fnname("prctl"), fn_name="syscall__prctl")
    bpf.attach_kprobe(event=bpf.get_syscall_fnname("clock_nanosleep"), fn_name="syscall__clock_nanosleep")
    libc = ctypes.CDLL(None)
    data = ctypes.create_string_buffer(b"abc")
    libc.prctl(
        0x1_FE, ctypes.c_ulong(ctypes.addressof(data)), ctypes.c_ulong(0x2_FFFE), ctypes.c_ulong(77777), ctypes.c_ulong(0x100)
    )
    request = (ctypes.c_long * 2)(0, 12345)
    libc.clock_nanosleep(1, 0, request, None)
    out = opened.out
    assert [out[i] for i in range(5)] == [-2, ord("c"), -2, 77777, 1]
    assert [out[i] for i in range(10, 16)] == [1, 0, 0, 12345, 0, 12345]


EXECVE = r"""
int syscall__execve(struct pt_regs *ctx, const char __user *filename, const char __user *const __user *argv,
                    const char __user *const __user *envp) {
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    int zero = 0;
    u32 *p = pid.lookup(&zero);
    if (!p || task->real_parent->tgid != *p) return 0;
    say(0, filename); say(1, argv[0]); say(2, argv[1]); say(3, envp[0]);
    put(0, argv[1][0]); put(1, (u64)argv[2]);
    return 0;
}
"""


@pytest.mark.parametrize("opened", [EXECVE], indirect=True)
def test_execve_arguments_of_a_child(opened: Traced) -> None:
    bpf = opened.bpf
    bpf.attach_kprobe(event=bpf.get_syscall_fnname("execve"), fn_name="syscall__execve")
    # a fork of this process, not posix_spawn's vfork: the parent's memory is the child's there, which is fine as well
    subprocess.run(["/bin/true", "argument"], check=True, env={"A": "b"}, close_fds=True, start_new_session=True)
    assert [opened.text(i) for i in range(4)] == [b"/bin/true", b"/bin/true", b"argument", b"A=b"]
    assert [opened.out[0], opened.out[1]] == [ord("a"), 0]


NAMED = r"""
int kprobe__sys_getuid(void *ctx) { if (mine()) put(0, 22); return 0; }
int kretprobe__sys_getuid(struct pt_regs *ctx) { if (mine()) put(1, PT_REGS_RC(ctx)); return 0; }
int kprobe____x64_sys_kill(struct pt_regs *ctx, int to, int sig) { if (mine()) { put(2, to); put(3, sig); } return 0; }
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the function's name is x86-64's")
@pytest.mark.parametrize("opened", [NAMED], indirect=True)
def test_programs_named_after_a_system_call_attach_by_themselves(opened: Traced) -> None:
    os.getuid()
    os.kill(os.getpid(), 0)
    assert opened.out == {0: 22, 1: os.getuid(), 2: os.getpid(), 3: 0}


def compiled(text: str, model: str) -> None:
    compile_source(text, contexts={"f": model})


def test_registers_that_a_system_calls_tracepoint_does_not_have_are_errors() -> None:
    compiled("int f(struct pt_regs *ctx) { return PT_REGS_PARM1(ctx); }", "syscall_enter")
    compiled("int f(struct pt_regs *ctx) { return PT_REGS_RC(ctx); }", "syscall_exit")
    for text, model, register in (
        ("int f(struct pt_regs *ctx) { return PT_REGS_PARM2(ctx); }", "syscall_enter", "si"),
        (
            "static int g(struct pt_regs *c) { return PT_REGS_IP(c); } int f(struct pt_regs *ctx) { return g(ctx); }",
            "syscall_exit",
            "ip",
        ),
    ):
        with pytest.raises(CompileError, match=f"register '{register}' is not known here"):
            compiled(text, model)
    with pytest.raises(CompileError, match="a return probe has no arguments left"):
        compiled("int f(struct pt_regs *ctx, int fd) { return fd; }", "syscall_exit")


def test_programs_with_a_context_of_another_kind_take_no_more_parameters() -> None:
    for text in (
        "int f(struct xdp_md *ctx, int more) { return more; }",
        "TRACEPOINT_PROBE(sched, sched_process_exec) { return 0; } int f(struct bpf_raw_tracepoint_args *c, int x) { return x; }",
    ):
        with pytest.raises(CompileError, match="program gets one, its context"):
            compile_source(text, tracepoint_fields=lambda category, event: "u64 __do_not_use__;")
    with pytest.raises(CompileError, match="only 6 arguments are in registers"):
        compile_source("int f(struct pt_regs *ctx, int a, int b, int c, int d, int e, int g, int h) { return a; }")
