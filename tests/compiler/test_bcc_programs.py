"""BCC's macros for functions of the kernel's, LSM hooks, iterators and USDT arguments: names, sections, typed arguments."""

from __future__ import annotations

import gzip
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
    refusal = ""
    try:
        made.load(name)
    except UnsupportedError as error:  # a kernel may refuse the whole program type, as the one this is developed on does
        refusal = str(error)
    assert not refusal or "refuses programs of type" in refusal


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


@pytest.mark.skipif(not os.path.exists("/proc/config.gz"), reason="no /proc/config.gz to compare with")
def test_options_of_the_kernel_are_macros_as_in_its_own_headers() -> None:
    with gzip.open("/proc/config.gz", "rt") as file:
        options = dict(line.strip().split("=", 1) for line in file if line.startswith("CONFIG_"))
    assert options["CONFIG_BPF"] == "y"
    text = f"""
    #if !defined(CONFIG_BPF) || !IS_ENABLED(CONFIG_BPF) || !IS_BUILTIN(CONFIG_BPF) || IS_MODULE(CONFIG_BPF)
    #error "CONFIG_BPF"
    #endif
    #if IS_ENABLED(CONFIG_NO_SUCH_OPTION) || defined(CONFIG_NO_SUCH_OPTION)
    #error "CONFIG_NO_SUCH_OPTION"
    #endif
    _Static_assert(CONFIG_HZ == {options["CONFIG_HZ"]});
    int f(void *ctx) {{ return IS_ENABLED(CONFIG_BPF); }}
    """
    assert compile_source(text).data


def test_options_stay_names_where_a_text_declares_them_as_variables() -> None:
    text = "#define __kconfig\nextern int CONFIG_HZ __kconfig;\nint f(void *ctx) { return 0; }"
    assert compile_source(text).data


# names that need no map: macros, functions; each in an expression or declaration that must compile
NAMES = """
bpf_htons(1) bpf_ntohs(1) bpf_htonl(1) bpf_ntohl(1) bpf_htonll(1) bpf_ntohll(1) bpf_hton128(1) bpf_ntoh128(1) bpf_log2(9)
bpf_log2l(9) MASK(3) MASK128(100) bpf_num_cpus() KERNEL_VERSION(5,4,0) LINUX_VERSION_CODE PAGE_SIZE CUR_CPU_IDENTIFIER
PT_REGS_PARM1(ctx) PT_REGS_PARM2(ctx) PT_REGS_PARM3(ctx) PT_REGS_PARM4(ctx) PT_REGS_PARM5(ctx) PT_REGS_PARM6(ctx)
PT_REGS_RC(ctx) PT_REGS_IP(ctx) PT_REGS_SP(ctx) PT_REGS_FP(ctx) PT_REGS_RET(ctx) PT_REGS_SYSCALL_CTX(ctx)
PT_REGS_PARM1_SYSCALL(ctx) PT_REGS_PARM4_SYSCALL(ctx) PT_REGS_PARM6_SYSCALL(ctx) min_t(int,1,2) max_t(int,1,2) min(1,2)
max(1,2) sizeof(u8) sizeof(s64) sizeof(__be32) sizeof(bool) sizeof(size_t) BPF_ANY BPF_NOEXIST XDP_PASS TASK_COMM_LEN
sizeof(KBUILD_MODNAME) __BPF_TRACING__ __KERNEL__ CC_USING_FENTRY CONFIG_CC_IS_CLANG
""".split()


@pytest.mark.parametrize("name", NAMES)
def test_bccs_names_are_known_without_an_include(name: str) -> None:
    assert compile_source(f"int f(struct pt_regs *ctx) {{ return (u64)({name}) > 1; }}").data


@pytest.mark.parametrize(("value", "swapped"), [("(unsigned __int128)1", 0), ("(unsigned __int128)1 << 120", 1)])
def test_a_128_bit_number_is_swapped_as_a_whole(value: str, swapped: int) -> None:
    bytes_are = f"(u64)bpf_ntoh128({value}) == {swapped} && (u64)(bpf_hton128({value}) >> 120) == {1 - swapped}"
    text = f"int f(void *ctx) {{ return {bytes_are}; }}"
    code = read_object(compile_source(text).data).programs["f"].instructions
    assert int.from_bytes(code[4:8], "little") == 1


def test_entries_of_the_kernels_lists_are_found_from_their_links() -> None:
    compile_source(
        "#include <linux/sched.h>\nRAW_TRACEPOINT_PROBE(sched_process_exit) { struct task_struct *t = (void *)ctx->args[0];"
        " struct list_head *head = &t->children; int n = 0; for (struct list_head *p = head->next; p != head && n < 9;"
        " p = p->next) n += !!(list_entry(p, struct task_struct, sibling)->flags & PF_KTHREAD); return n; }"
    )


def test_another_objects_table_is_used_like_ones_own() -> None:
    text = 'BPF_TABLE("extern", u64, u64, m, 1); int f(void *ctx) { u64 k = 0, *v = m.lookup(&k); return v ? *v : 0; }'
    found = read_object(compile_source(text).data)
    assert found.maps["m"].sharing == "extern"
    assert [r.symbol for r in found.programs["f"].relocations if r.kind == "map"] == ["m"]


@pytest.mark.parametrize("kind", ["hash_of_maps", "hash_of_maps$none"])
def test_a_table_of_maps_needs_a_map_that_its_entries_are_like(kind: str) -> None:
    with pytest.raises(CompileError, match="a map of maps names"):
        compile_source(f'BPF_TABLE("{kind}", u64, int, m, 1); int f(void *ctx) {{ return 0; }}')


def test_pinned_maps_of_all_macros_keep_their_path() -> None:
    text = 'BPF_XSKMAP(x, 4, "/sys/fs/bpf/x"); BPF_QUEUESTACK_PINNED("queue", q, u64, 4, 0, "/sys/fs/bpf/q");'
    maps = read_object(compile_source(text + " int f(void *ctx) { return 0; }").data).maps
    assert {name: spec.pin_path for name, spec in maps.items()} == {"x": "/sys/fs/bpf/x", "q": "/sys/fs/bpf/q"}


def test_the_number_of_cpus_is_a_constant() -> None:
    text = "BPF_ARRAY(m, u64, 1);\n_Static_assert(bpf_num_cpus() > 0);\nint f(void *ctx) { return bpf_num_cpus(); }"
    code = read_object(compile_source(text).data).programs["f"].instructions
    with open("/sys/devices/system/cpu/possible") as file:
        possible = file.read().strip()
    last = int(possible.rsplit("-", 1)[-1].rsplit(",", 1)[-1])
    assert int.from_bytes(code[4:8], "little") == last + 1
    assert last + 1 >= (os.cpu_count() or 1)
