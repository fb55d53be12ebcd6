"""Each macro of libbpf's headers in a program that the kernel takes, and what it gives where that can be run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import skep
from skep.compiler import compile_source
from skep.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADERS = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>
"""
MAP = 'struct {{ __uint(type, {}); __uint(max_entries, {}); __type(key, u32); __type(value, {}); }} {} SEC(".maps");'.format
RUN = {
    "__hidden": ("__hidden int g(int x) { return x; } int f(void *ctx) { return g(3); }", 3),
    "__arg_ctx": ("__noinline int g(void *c __arg_ctx) { return c ? 5 : 1; } int f(void *ctx) { return g(ctx); }", 5),
    "__arg_nonnull": ("__noinline int g(int *x __arg_nonnull) { return *x; } int f(void *ctx) { int x = 7; return g(&x); }", 7),
    "barrier_var": ("int f(void *ctx) { int x = 4; barrier(); barrier_var(x); return x; }", 4),
    "bpf_for_each": ("int f(void *ctx) { int *v, s = 0; bpf_for_each(num, v, 0, 10) s += *v; return s; }", 45),
    "BPF_CORE_WRITE_BITFIELD": (
        "struct b { u32 x : 5, y : 7; }; int f(void *c) { struct b b = {}; BPF_CORE_WRITE_BITFIELD(&b, y, 100); return b.y; }",
        100,
    ),
    "BPF_CORE_READ_BITFIELD": (
        "int f(void *ctx) { struct task_struct *t = (void *)bpf_get_current_task();"
        " return BPF_CORE_READ_BITFIELD(t, sched_reset_on_fork) + BPF_CORE_READ_BITFIELD_PROBED(t, in_execve); }", 0,
    ),
    "bpf_core_type_id_kernel": ("int f(void *ctx) { return bpf_core_type_id_kernel(struct task_struct) > 100; }", 1),
    "bpf_endian": (
        "int f(void *ctx) { return (bpf_cpu_to_be16(0x102) == 0x201) + (bpf_be32_to_cpu(1) == 1 << 24)"
        " + (bpf_cpu_to_be32(1) == __bpf_constant_htonl(1)) + (__bpf_constant_ntohs(0x100) == bpf_be16_to_cpu(0x100)); }", 4,
    ),
}  # fmt: skip
LOADED = {
    "__kptr": MAP("BPF_MAP_TYPE_HASH", 4, "struct { struct task_struct __kptr *t; struct task_struct __kptr_untrusted *u; }", "m")
    + "struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym; void bpf_task_release(struct task_struct *p) __ksym;"
    'SEC("tp_btf/sys_enter") int BPF_PROG(f) { u32 k = 0; typeof(*m.value) *v = bpf_map_lookup_elem(&m, &k);'
    " struct task_struct *t = bpf_task_acquire(bpf_get_current_task_btf()), *old; if (!t) return 0;"
    " if (!v) { bpf_task_release(t); return 0; } old = bpf_kptr_xchg(&v->t, t); if (old) bpf_task_release(old); return 0; }",
    "bpf_core_type_id_local": "struct mine { u64 a, b; }; void *bpf_obj_new_impl(u64 local_type_id, void *meta) __ksym;"
    ' void bpf_obj_drop_impl(void *object, void *meta) __ksym; SEC("tp_btf/sys_enter") int BPF_PROG(f) {'
    " struct mine *mine = bpf_obj_new_impl(bpf_core_type_id_local(struct mine), NULL); if (!mine) return 0;"
    " mine->b = 5; bpf_obj_drop_impl(mine, NULL); return 0; }",
    "bpf_core_cast": 'SEC("tp_btf/sys_enter") int BPF_PROG(f) { return bpf_core_cast((void *)1, struct task_struct)->pid; }',
    "BPF_PROG2": 'SEC("tp_btf/sys_enter") int BPF_PROG2(f, struct pt_regs *, regs, long, id) { return id + regs->di; }',
    "BPF_SEQ_PRINTF": 'SEC("iter/task") int f(struct bpf_iter__task *c) { struct task_struct *t = c->task; if (!t) return 0;'
    ' BPF_SEQ_PRINTF(c->meta->seq, "%d %s\\n", t->pid, t->comm); BPF_SEQ_PRINTF(c->meta->seq, "end\\n"); return 0; }',
    "PT_REGS_*_CORE": "int f(struct pt_regs *c) { return PT_REGS_PARM1_CORE(c) + PT_REGS_RC_CORE(c) + PT_REGS_IP_CORE(c); }",
    "PT_REGS_SYSCALL_REGS": "int f(struct pt_regs *c) { struct pt_regs *r = PT_REGS_SYSCALL_REGS(c);"
    " return PT_REGS_PARM1_CORE_SYSCALL(r) + PT_REGS_PARM4_CORE_SYSCALL(r); }",
    "BPF_KPROBE_READ_RET_IP": "int f(struct pt_regs *c) { u64 ip = 0; BPF_KRETPROBE_READ_RET_IP(ip, c);"
    " BPF_KPROBE_READ_RET_IP(ip, c); return ip; }",
    "bpf_tail_call_static": MAP("BPF_MAP_TYPE_PROG_ARRAY", 4, "u32", "jump")
    + 'SEC("xdp") int f(struct xdp_md *c) { bpf_tail_call_static(c, &jump, 2); return XDP_PASS; }',
    "private": '#define private(name) SEC(".bss." #name) __hidden __attribute__((aligned(8)))\n'
    "private(A) struct bpf_spin_lock lock; private(A) int x;"
    ' SEC("tc") int f(struct __sk_buff *c) { bpf_spin_lock(&lock); x++; bpf_spin_unlock(&lock); return 0; }',
}  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("name", RUN)
def test_a_macro_gives_its_value(program: Callable[..., Any], name: str) -> None:
    text, result = RUN[name]
    assert program(HEADERS + text).run() == result


@pytest.mark.kernel
@pytest.mark.parametrize("name", LOADED)
def test_a_macro_is_taken_by_the_kernel(program: Callable[..., Any], name: str) -> None:
    section = "" if "SEC(" in LOADED[name].replace('SEC(".maps")', "") else "kprobe"
    program(HEADERS + LOADED[name]).load(section=section)


def test_a_kptr_is_read_without_a_helper() -> None:
    text = LOADED["__kptr"].partition('SEC("tp_btf')[0] + (
        'SEC("tp_btf/sys_enter") int BPF_PROG(f) { u32 k = 0; typeof(*m.value) *v = bpf_map_lookup_elem(&m, &k);'
        " struct task_struct *t = v ? v->u : NULL; return t ? t->pid : 0; }"
    )
    assert b"probe_read" not in compile_source(HEADERS + text, emit="asm").data


def test_a_text_is_formatted_into_a_buffer() -> None:
    text = 'int f(void *c) { char b[16]; BPF_SNPRINTF(b, sizeof b, "%d %d", 1, 2); return b[0]; }'
    assert re.search(rb"call 165\b", compile_source(HEADERS + text, emit="asm").data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bpf_core_type_id_local(void)", "'void' has no number"),
        ("bpf_core_type_id_kernel(struct no_such___x)", "this kernel's BTF has no 'struct no_such___x'"),
    ],
)
def test_type_numbers_that_are_not_known(text: str, said: str) -> None:
    with pytest.raises(CompileError, match=re.escape(said)):
        compile_source(f"{HEADERS} struct no_such___x {{ int a; }}; int f(void *c) {{ return {text}; }}")


@pytest.mark.parametrize("type", ["struct mine", "enum own", "number_t", "int *", "struct task_struct"])
def test_a_type_of_the_programs_own_has_its_number_in_the_object(type: str) -> None:
    text = "struct mine { int a; }; enum own { A }; typedef u64 number_t;"
    made = skep.compile(f"{text} int f(void *ctx) {{ return bpf_core_type_id_local({type}); }}")
    instructions = made.programs["f"].instructions
    assert made.btf is not None
    found = made.btf.type(int.from_bytes(instructions[4:8], "little"))
    assert f"{found.kind} {found.name}".strip() in (type, f"typedef {type}", "ptr")


def test_copies_of_the_kernels_types_and_of_libbpfs_headers_are_not_read(tmp_path: Path) -> None:
    """They say of some kernel what Skep knows of this one."""
    (tmp_path / "vmlinux.h").write_text("enum { false, true }; struct task_struct { int pid; };")
    (tmp_path / "bpf").mkdir()
    (tmp_path / "bpf" / "bpf_helpers.h").write_text("#error not this one")
    text = '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n' + RUN["barrier_var"][0]
    flags = [f"-I{tmp_path}"]
    assert compile_source(text, file=str(tmp_path / "x.c"), cflags=flags).data
    with pytest.raises(CompileError, match="not this one"):
        compile_source('#include "bpf/bpf_helpers.h"\nint main(void) { return 0; }', cflags=flags, target="host")


def test_a_text_may_bring_libbpfs_enum() -> None:
    use = 'SEC("raw_tp/x") int f(void *c) { return LIBBPF_PIN_BY_NAME; }'
    for text in (use, "enum libbpf_pin_type { LIBBPF_PIN_NONE, LIBBPF_PIN_BY_NAME }; " + use):
        assert b"w0 = 1" in compile_source(text, emit="asm").data
