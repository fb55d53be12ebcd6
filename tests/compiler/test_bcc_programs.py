"""BCC's macros for functions of the kernel's, LSM hooks, iterators and USDT arguments: names, sections, typed arguments."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from skep.compiler import compile_source
from skep.errors import CompileError, UnsupportedError
from skep.object import read_object

if TYPE_CHECKING:
    from collections.abc import Callable

KPROBE_READ = {4, 112, 113}  # bpf_probe_read and its kin

# program, name, section
PROBES = [
    (
        "KFUNC_PROBE(vfs_read, struct file *file, char *buf, size_t count)"
        " { u64 k = file->f_inode->i_ino; m.increment(k, count); return 0; }",
        "kfunc__vmlinux__vfs_read", "fentry/vfs_read",
    ),
    (
        "KFUNC_PROBE(__x64_sys_openat, struct pt_regs *regs) { u64 k = regs->di; m.increment(k); return 0; }",
        "kfunc__vmlinux____x64_sys_openat", "fentry/__x64_sys_openat",
    ),
    (
        "KRETFUNC_PROBE(vfs_read, struct file *file, char *buf, size_t count, loff_t *pos, int ret)"
        " { if (ret < 0) { u64 k = file->f_flags; m.increment(k); } return 0; }",
        "kretfunc__vmlinux__vfs_read", "fexit/vfs_read",
    ),
    (
        "KMOD_RET(security_file_open, struct file *file, int ret) { u64 k = file->f_flags; m.increment(k); return ret; }",
        "kmod_ret__security_file_open", "fmod_ret/security_file_open",
    ),
    (
        "LSM_PROBE(file_open, struct file *file, int ret) { u64 k = file->f_inode->i_ino; m.increment(k); return ret; }",
        "lsm__file_open", "lsm/file_open",
    ),
    (
        "LSM_PROBE(bpf, int cmd, union bpf_attr *attr, unsigned int size) { u64 k = cmd; m.increment(k, size); return 0; }",
        "lsm__bpf", "lsm/bpf",
    ),
    (
        "BPF_ITER(task) { struct task_struct *task = ctx->task; if (!task) return 0; u64 v = task->pid;"
        ' static const char text[] = "%d\\n"; bpf_seq_printf(ctx->meta->seq, text, sizeof(text), &v, 8); return 0; }',
        "bpf_iter__task", "iter/task",
    ),
]  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize(("text", "name", "section"), PROBES, ids=[row[1] for row in PROBES])
def test_a_macro_gives_bccs_name_its_section_and_arguments_that_the_verifier_knows(
    program: Callable[..., Any], text: str, name: str, section: str
) -> None:
    made = program("BPF_HASH(m);\n" + text)
    assert made.object.programs[name].section == section
    assert not KPROBE_READ & set(made.helpers(name))
    try:
        made.load(name)
    except UnsupportedError as error:
        pytest.skip(f"this kernel has no such programs: {error}")


def test_functions_of_modules_name_their_module_in_the_section() -> None:
    text = """
    MODULE_KFUNC_PROBE(xfs, xfs_file_read, int a) { return a; }
    MODULE_KRETFUNC_PROBE(nf_tables, nft_do, int a, int ret) { return a + ret; }
    int kfunc__vfs_read(unsigned long long *ctx) { return 0; }
    """
    programs = read_object(compile_source(text).data).programs
    assert {name: program.section for name, program in programs.items()} == {
        "kfunc__xfs__xfs_file_read": "fentry/xfs:xfs_file_read",
        "kretfunc__nf_tables__nft_do": "fexit/nf_tables:nft_do",
        "kfunc__vfs_read": "fentry/vfs_read",
    }


READERS = """
static __always_inline int _bpf_readarg_on_query_1(struct pt_regs *ctx, void *to, size_t size) {
    if (size != sizeof(int)) return -1;
    *(int *)to = (int)ctx->di;
    return 0;
}
static __always_inline int _bpf_readarg_on_query_2(struct pt_regs *ctx, void *to, size_t size) {
    if (size != sizeof(u64)) return -1;
    *(u64 *)to = ctx->si;
    return 0;
}
BPF_HASH(m);
"""


def test_usdt_arguments_are_read_by_the_functions_that_the_usdt_class_prepends() -> None:
    text = """
    int on_query(struct pt_regs *ctx) {
        int first = 0;
        char name[16] = {};
        if (bpf_usdt_readarg(1, ctx, &first)) return 1;
        bpf_usdt_readarg_p(2, ctx, &name, sizeof(name));
        u64 key = first;
        m.increment(key, name[0]);
        return 0;
    }
    """
    found = read_object(compile_source(READERS + text).data).programs["on_query"]
    calls = [int.from_bytes(found.instructions[i + 4 : i + 8], "little") for i in range(0, len(found.instructions), 8)
             if found.instructions[i] == 0x85]  # fmt: skip
    assert calls[0] == 112
    assert found.uses_registers


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("bpf_usdt_readarg(3, ctx, &a)", "no '_bpf_readarg_on_query_3'"),
        ("bpf_usdt_readarg(n, ctx, &a)", "the number of a USDT argument must be an integer constant"),
        ("bpf_usdt_readarg(1, ctx)", "bpf_usdt_readarg() takes 3 arguments, and 2 are given"),
        ("bpf_usdt_readarg(1, ctx, a)", "bpf_usdt_readarg() wants a pointer to the variable that it fills, not 'int'"),
        ("bpf_usdt_readarg_p(4, ctx, &a, 4)", "no '_bpf_readarg_on_query_4'"),
    ],
)
def test_what_is_wrong_with_a_usdt_read_is_said(call: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_source(READERS + f"int on_query(struct pt_regs *ctx) {{ int a = 0, n = 1; {call}; return a + n; }}")
    assert message in str(caught.value)


def test_the_licence_is_that_of_the_macro() -> None:
    found = read_object(compile_source("#define BPF_LICENSE Dual BSD/GPL\nint f(void *ctx) { return 0; }").data)
    assert found.license == "Dual BSD/GPL"
    assert read_object(compile_source("int f(void *ctx) { return 0; }").data).license == "GPL"


def test_the_number_of_cpus_is_a_constant() -> None:
    text = "BPF_ARRAY(m, u64, 1);\n_Static_assert(bpf_num_cpus() > 0);\nint f(void *ctx) { return bpf_num_cpus(); }"
    code = read_object(compile_source(text).data).programs["f"].instructions
    with open("/sys/devices/system/cpu/possible") as file:
        possible = file.read().strip()
    last = int(possible.rsplit("-", 1)[-1].rsplit(",", 1)[-1])
    assert int.from_bytes(code[4:8], "little") == last + 1
    assert last + 1 >= (os.cpu_count() or 1)
