"""Programs in libbpf's style: sections, map definitions, its macros; loaded into this kernel where it has their types."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from skep.compiler import compile_source
from skep.errors import CompileError, UnsupportedError
from skep.object import MAP_TYPES, read_object

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = (
    "struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 16); __type(key, u32); __type(value, u64); } out"
    ' SEC(".maps");\n'
    "static void put(u32 i, u64 v) { bpf_map_update_elem(&out, &i, &v, 0); }\n"
)


def test_every_field_of_a_map_definition_arrives() -> None:
    text = """
    struct k { u32 a; u16 b; } __attribute__((packed));
    struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 77); __uint(map_flags, BPF_F_NO_PREALLOC);
             __type(key, struct k); __type(value, u64[3]); __uint(pinning, 1); } m SEC(".maps");
    struct { __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4); __uint(value_size, sizeof(u32)); } p SEC(".maps");
    SEC("raw_tp/sys_enter") int f(void *ctx) { return 0; }
    """
    maps = read_object(compile_source(text).data).maps
    m = maps["m"]
    assert (m.type, m.key_size, m.value_size, m.max_entries, m.flags) == (MAP_TYPES["hash"], 6, 24, 77, 1)
    assert m.key_type
    assert m.value_type
    assert m.pin_path
    assert (maps["p"].type, maps["p"].key_size, maps["p"].value_size) == (MAP_TYPES["perf_event_array"], 4, 4)


@pytest.mark.kernel
def test_inner_maps_are_described_in_their_outer_map(program: Callable[..., Any]) -> None:
    text = """
    struct inner { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u32); __type(value, u64); };
    struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4); __type(key, u32);
             __array(values, struct inner); } a SEC(".maps");
    struct { __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS); __uint(max_entries, 4); __type(key, u64);
             __array(values, struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, u32);
                                      __type(value, struct in6_addr); }); } h SEC(".maps");
    SEC("raw_tp/sys_enter") int f(void *ctx) {
        u32 k = 1;
        void *in = bpf_map_lookup_elem(&a, &k);
        return in && bpf_map_lookup_elem(in, &k) ? 1 : 0;
    }
    """
    made = program(text)
    a, h = made.maps["a"].spec.inner, made.maps["h"].spec.inner
    assert (a.type, a.key_size, a.value_size, a.max_entries) == (MAP_TYPES["hash"], 4, 8, 8)
    assert (h.type, h.key_size, h.value_size, h.max_entries) == (MAP_TYPES["array"], 4, 16, 2)
    assert made.run() == 0


@pytest.mark.kernel
def test_global_data_and_configuration_are_read_and_written(program: Callable[..., Any]) -> None:
    text = (
        OUT
        + """
    const volatile int limit = 5;
    const volatile char name[8] = "abc";
    static const u16 table[4] = {10, 20, 30, 40};
    int hits;
    static u64 total = 3;
    struct { u32 a; u64 b; } state = {.b = 9};
    SEC("raw_tp/sys_enter") int f(struct bpf_raw_tracepoint_args *ctx) {
        hits++;
        total += limit;
        state.a = table[ctx->args[0] & 3] + name[1];
        put(0, hits); put(1, total); put(2, state.a); put(3, state.b);
        return limit;
    }
    """
    )
    made = program(text)
    assert made.run(args=(2,)) == 5
    assert made.out[:4] == [1, 8, 30 + ord("b"), 9]
    assert made.run(args=(3,)) == 5
    assert made.out[:3] == [2, 13, 40 + ord("b")]


@pytest.mark.kernel
def test_a_spin_lock_in_a_value_is_the_kernels(program: Callable[..., Any]) -> None:
    text = (
        OUT
        + """
    struct val { int a; struct bpf_spin_lock lock; u64 n; };
    struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);
             __type(key, int); __type(value, struct val); } m SEC(".maps");
    SEC("tc") int f(struct __sk_buff *skb) {
        int k = 1;
        struct val *v = bpf_map_lookup_elem(&m, &k);
        if (!v) return 0;
        bpf_spin_lock(&v->lock);
        v->n += 7;
        bpf_spin_unlock(&v->lock);
        return v->n;
    }
    """
    )
    made = program(text)
    assert made.packet(section="tc")[0] == 7
    assert made.packet(section="tc")[0] == 14


@pytest.mark.kernel
def test_a_timer_in_a_value_is_the_kernels(program: Callable[..., Any]) -> None:
    text = """
    struct val { struct bpf_timer t; u64 n; };
    struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);
             __type(key, int); __type(value, struct val); } m SEC(".maps");
    static int expire(void *map, int *key, struct val *v) { v->n++; return 0; }
    SEC("tc") int f(struct __sk_buff *skb) {
        int k = 1;
        struct val *v = bpf_map_lookup_elem(&m, &k);
        if (!v || bpf_timer_init(&v->t, &m, 1)) return 1;
        bpf_timer_set_callback(&v->t, expire);
        return bpf_timer_start(&v->t, 1000, 0) ? 2 : 3;
    }
    """
    made = program(text)
    assert made.packet(section="tc")[0] == 3
    assert made.packet(section="tc")[0] == 1  # it is initialised already


@pytest.mark.kernel
def test_bpf_prog_names_the_arguments_of_a_raw_tracepoint(program: Callable[..., Any]) -> None:
    text = (
        OUT
        + """
    SEC("raw_tp/sys_enter") int BPF_PROG(f, struct pt_regs *regs, long id, u16 small, bool flag) {
        put(0, (u64)regs); put(1, id); put(2, small); put(3, flag); put(4, ctx[1]);
        return 0;
    }
    """
    )
    made = program(text)
    made.run(args=(0xFFFF888000001000, -5 & (1 << 64) - 1, 0x12345, 256))
    assert made.out[:5] == [0xFFFF888000001000, (1 << 64) - 5, 0x2345, 1, (1 << 64) - 5]


@pytest.mark.kernel
def test_bpf_prog_of_a_btf_tracepoint_reads_kernel_structs_with_plain_loads(program: Callable[..., Any]) -> None:
    text = """
    int same;
    SEC("tp_btf/sched_switch") int BPF_PROG(f, bool preempt, struct task_struct *prev, struct task_struct *next) {
        if (prev->pid == next->real_parent->pid && !preempt) same++;
        return 0;
    }
    """
    made = program(text)
    assert made.helpers() == []
    made.load()


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("section", "macro", "instructions"),
    [
        ("kprobe/x", "BPF_KPROBE(f, struct sock *sk, int n)", ["di", "si"]),
        ("uprobe", "BPF_UPROBE(f, void *sk, int n)", ["di", "si"]),
        ("kretprobe/x", "BPF_KRETPROBE(f, int n)", ["ax"]),
        ("uretprobe", "BPF_URETPROBE(f, int n)", ["ax"]),
        ("ksyscall/openat", "BPF_KSYSCALL(f, int dfd, const char *sk, int n)", ["di"]),
    ],
)
def test_probe_macros_read_the_registers(program: Callable[..., Any], section: str, macro: str, instructions: list[str]) -> None:
    offsets = {"di": 112, "si": 104, "ax": 80}
    use = "(u64)sk + n" if "sk" in macro else "n"
    made = program(f'SEC("{section}") int {macro} {{ return {use}; }}')
    loads = [off for op, _, src, off, _ in made.instructions() if op & 7 == 1 and src == 1]
    assert set(loads) <= {offsets[name] for name in instructions}
    assert loads
    made.load(section=section)


@pytest.mark.kernel
def test_core_reads_follow_chains_through_the_kernel(program: Callable[..., Any]) -> None:
    text = (
        OUT
        + """
    SEC("raw_tp/sys_enter") int f(void *ctx) {
        struct task_struct *t = (void *)bpf_get_current_task();
        int tgid = 0, pid = 0;
        char comm[16] = {};
        put(0, BPF_CORE_READ(t, tgid));
        put(1, BPF_CORE_READ(t, real_parent, tgid));
        put(2, BPF_CORE_READ(t, group_leader, real_parent, tgid));
        put(3, BPF_CORE_READ_INTO(&tgid, t, real_parent, tgid));
        put(4, tgid);
        put(5, BPF_CORE_READ_STR_INTO(&comm, t, comm));
        put(6, comm[0]);
        put(7, bpf_core_read(&pid, sizeof(pid), &t->pid));
        put(8, pid);
        put(9, bpf_core_field_size(t->comm));
        return 0;
    }
    """
    )
    made = program(text)
    made.run()
    with open("/proc/self/comm") as file:
        comm = file.read().strip()
    parent = os.getppid()
    assert made.out[:10] == [os.getpid(), parent, parent, 0, parent, len(comm) + 1, ord(comm[0]), 0, made.out[8], 16]


@pytest.mark.kernel
def test_user_chains_are_read_as_user_memory(program: Callable[..., Any]) -> None:
    import ctypes

    buffer = ctypes.create_string_buffer(struct.pack("=Q8s", 42, b"words"))
    outer = ctypes.create_string_buffer(struct.pack("=Q", ctypes.addressof(buffer)))
    text = (
        OUT
        + """
    struct in { u64 n; char text[8]; };
    struct out_ { struct in *in; };
    SEC("raw_tp/sys_enter") int f(struct bpf_raw_tracepoint_args *ctx) {
        struct out_ *p = (void *)ctx->args[0];
        char text[8] = {};
        put(0, BPF_CORE_READ_USER(p, in, n));
        put(1, BPF_PROBE_READ_USER_STR_INTO(&text, p, in, text));
        put(2, text[4]);
        return 0;
    }
    """
    )
    made = program(text)
    made.run(args=(ctypes.addressof(outer),))
    assert made.out[:3] == [42, 6, ord("s")]
    assert set(made.helpers()) <= {1, 2, 112, 114}


@pytest.mark.kernel
def test_bpf_printk_takes_many_values(program: Callable[..., Any]) -> None:
    text = """
    SEC("raw_tp/sys_enter") int few(void *ctx) { bpf_printk("none"); bpf_printk("%d %d %d", 1, 2, 3); return 0; }
    SEC("raw_tp/sys_enter") int many(void *ctx) { u8 b = 5; bpf_printk("%d %d %d %d %s", 1, -2, b, 4, "x"); return 0; }
    """
    made = program(text)
    assert made.helpers("few") == [6, 6]
    assert made.helpers("many") == [177]
    made.load("few")
    made.load("many")


@pytest.mark.kernel
def test_bpf_for_and_bpf_repeat_end_their_iterators_on_every_way_out(program: Callable[..., Any]) -> None:
    text = """
    SEC("raw_tp/sys_enter") int f(struct bpf_raw_tracepoint_args *ctx) {
        u64 way = ctx->args[0];
        int sum = 0, i, j;
        bpf_for(i, 0, 10) {
            if (i == 7) continue;
            if (way == 1 && i == 3) break;
            sum += i;
        }
        bpf_for(i, 0, 3)
            bpf_for(j, i, 4) {
                if (way == 2) return 1000;
                sum += j;
            }
        bpf_repeat(3) sum++;
        return sum;
    }
    """
    made = program(text)
    rest = sum(j for i in range(3) for j in range(i, 4)) + 3
    assert made.run(args=(0,)) == sum(range(10)) - 7 + rest
    assert made.run(args=(1,)) == 3 + rest
    assert made.run(args=(2,)) == 1000


@pytest.mark.kernel
def test_a_kernel_function_that_the_text_declares_is_called(program: Callable[..., Any]) -> None:
    text = """
    extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
    extern void bpf_task_release(struct task_struct *p) __ksym;
    SEC("tp_btf/sched_switch") int BPF_PROG(f, bool preempt, struct task_struct *prev) {
        struct task_struct *t = bpf_task_from_pid(1);
        if (!t) return 0;
        int tgid = t->tgid;
        bpf_task_release(t);
        return tgid == 1 ? 0 : 1;
    }
    """
    made = program(text)
    made.load()
    assert made.helpers() == []


@pytest.mark.kernel
def test_a_kernel_function_that_does_not_exist_is_named(program: Callable[..., Any]) -> None:
    made = program('extern int no_such_kfunc(void) __ksym; SEC("tc") int f(struct __sk_buff *skb) { return no_such_kfunc(); }')
    with pytest.raises(UnsupportedError, match="'no_such_kfunc', which this kernel does not have"):
        made.load(section="tc")


def test_cleanup_runs_in_reverse_order_at_each_exit() -> None:
    text = """
    int printf(const char *, ...);
    static void note(int *p) { printf("%d ", *p); }
    #define NOTE __attribute__((cleanup(note)))
    static int f(int n) {
        NOTE int a = 1;
        for (NOTE int i = 10; i < 13; i++) {
            NOTE int b = i * 10;
            if (n == 1) return b;
            if (i == 11) break;
        }
        { NOTE int c = 2; NOTE int d = 3; }
        return 4;
    }
    int main(void) { int r = f(0); printf("= %d; ", r); r = f(1); printf("= %d", r); return 0; }
    """
    assert host_output(text) == "100 110 11 3 2 1 = 4; 100 10 1 = 100"


def test_goto_into_the_scope_of_a_cleanup_is_an_error() -> None:
    text = 'SEC("tc") int f(void *ctx) { int i; goto in; bpf_for(i, 0, 4) { if (i) { in: i++; } } return 0; }'
    with pytest.raises(CompileError, match="this goto goes past the declaration of '___it', which has a cleanup"):
        compile_source(text)


def host_output(text: str) -> str:
    command = [sys.executable, "-c", "import sys; from skep.compiler import run_on_host; run_on_host(sys.argv[1])", text]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


KSYMS = """
extern const void vfs_read __ksym;
extern const void no_such_symbol __ksym __weak;
extern const int no_such_variable __ksym __weak;
extern struct task_struct *bpf_task_from_pid(int pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern int no_such_kfunc(int) __ksym __weak;
SEC("tc") int f(struct __sk_buff *skb) {
    put(0, (u64)&vfs_read);
    put(1, (u64)&no_such_symbol);
    put(2, bpf_ksym_exists(&no_such_variable));
    put(3, bpf_ksym_exists(bpf_task_from_pid));
    put(4, bpf_ksym_exists(no_such_kfunc));
    if (bpf_ksym_exists(no_such_kfunc)) put(5, no_such_kfunc(3));
    return 0;
}
"""


@pytest.mark.kernel
def test_symbols_of_the_kernel_are_found_and_weak_ones_may_be_missing(program: Callable[..., Any]) -> None:
    made = program(OUT + KSYMS)
    assert made.packet(section="tc")[0] == 0
    lines = (line.split() for line in Path("/proc/kallsyms").read_text().splitlines())
    address = next(int(line[0], 16) for line in lines if line[2] == "vfs_read")
    assert made.out[:6] == [address, 0, 0, 1, 0, 0]


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("declaration", "use", "what"),
    [
        ("extern const int no_such_variable __ksym;", "bpf_per_cpu_ptr(&no_such_variable, 0) ? 1 : 0", "variable"),
        ("extern const void no_such_symbol __ksym;", "(u64)&no_such_symbol != 7", "no_such_symbol"),
    ],
)
def test_a_symbol_that_the_kernel_lacks_is_named(program: Callable[..., Any], declaration: str, use: str, what: str) -> None:
    made = program(f'{declaration} SEC("tc") int f(struct __sk_buff *skb) {{ return {use}; }}')
    with pytest.raises(UnsupportedError, match=what) as caught:
        made.load(section="tc")
    assert "__weak" in caught.value.needs


def test_variables_of_the_kernel_keep_their_types_for_other_loaders() -> None:
    """Per-CPU variables are read through helpers; the kernel gives their addresses only with CONFIG_KALLSYMS_ALL."""
    text = """
    extern const int bpf_prog_active __ksym;
    extern const struct rq runqueues __ksym __weak;
    SEC("raw_tp/x") int f(void *ctx) {
        int *active = bpf_per_cpu_ptr(&bpf_prog_active, 0);
        struct rq *here = bpf_this_cpu_ptr(&runqueues);
        return (active ? *active : 0) + here->cpu;
    }
    """
    program = read_object(compile_source(text).data).programs["f"]
    assert [(r.kind, r.symbol, r.weak) for r in program.relocations] == [
        ("ksym", "bpf_prog_active", False),
        ("ksym", "runqueues", True),
    ]
    calls = [imm for op, _, _, imm in struct.iter_unpack("<BBhi", program.instructions) if op == 0x85]
    assert calls == [153, 154]  # bpf_per_cpu_ptr, bpf_this_cpu_ptr: what they give is read directly


@pytest.mark.kernel
def test_types_are_compared_with_the_kernels(program: Callable[..., Any]) -> None:
    text = """
    struct iphdr___same { u8 ttl, protocol; };
    struct iphdr___wider { u16 ttl; };
    struct iphdr___more { u8 no_such_member; };
    struct task_struct___pointer { struct mm_struct *mm; char comm[16]; };
    struct task_struct___other { struct file *mm; };
    enum pid_type___some { PIDTYPE_PID, PIDTYPE_TGID };
    enum pid_type___more { PIDTYPE_PID___x, NO_SUCH_ENUMERATOR };
    struct no_such_struct { int a; };
    SEC("raw_tp/x") int f(void *ctx) {
        return bpf_core_type_matches(struct iphdr___same) | bpf_core_type_matches(struct iphdr___wider) << 1 |
               bpf_core_type_matches(struct iphdr___more) << 2 | bpf_core_type_matches(struct task_struct___pointer) << 3 |
               bpf_core_type_matches(struct task_struct___other) << 4 | bpf_core_type_matches(enum pid_type___some) << 5 |
               bpf_core_type_matches(enum pid_type___more) << 6 | bpf_core_type_matches(struct no_such_struct) << 7;
    }
    """
    assert program(text).run() == 1 | 8 | 32


@pytest.mark.kernel
def test_a_pragma_gives_records_the_kernels_layout_until_it_is_popped(program: Callable[..., Any]) -> None:
    text = (
        OUT
        + """
    #pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
    struct task_struct { int tgid; } ;
    #pragma clang attribute push(__attribute__((unused)), apply_to = function)
    struct mm_struct { struct file *exe_file; };
    #pragma clang attribute pop
    #pragma clang attribute pop
    struct file { u32 mine; };
    SEC("raw_tp/x") int f(void *ctx) {
        struct task_struct *t = (void *)bpf_get_current_task();
        put(0, t->tgid); put(1, sizeof(struct file)); put(2, offsetof(struct mm_struct, exe_file) > 0);
        return 0;
    }
    """
    )
    made = program(text)
    assert made.run() == 0
    assert made.out[:3] == [os.getpid(), 4, 1]


@pytest.mark.kernel
def test_helpers_that_a_text_declares_by_number_are_helpers(program: Callable[..., Any]) -> None:
    """As the headers of other libraries have them: their calls, callbacks and pointers are those of Skep's own."""
    made = program(
        'struct { __uint(type, 2); __uint(max_entries, 1); __type(key, u32); __type(value, u64); } m SEC(".maps");'
        "static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;"
        "static long (*const my_loop)(u32 n, void *callback, void *context, u64 flags) = (void *)181;"
        "struct sum { u64 sum; }; static long add(u32 i, struct sum *s) { s->sum += i; return 0; }"
        'SEC("raw_tracepoint/x") int f(void *ctx) { u32 k = 0; u64 *v = bpf_map_lookup_elem(&m, &k); struct sum s = {};'
        " my_loop(10, add, &s, 0); if (v) *v += s.sum; return 0; }"
    )
    calls = [imm for op, _, src, _, imm in made.instructions() if op == 0x85 and src == 0]
    assert calls == [1, 181]


def test_unroll_without_a_number_takes_loops_with_two_ways_out() -> None:
    loop = "for (int i = 0; i < 6; i++) { if (bpf_get_prandom_u32() == 7) break; n += i; }"
    for pragma, calls in (("#pragma unroll", 6), ("#pragma nounroll", 1), ("#pragma clang loop unroll(disable)", 1)):
        text = f'SEC("raw_tracepoint/x") int f(void *ctx) {{ int n = 0;\n{pragma}\n{loop} return n; }}'
        code = read_object(compile_source(text).data).programs["f"].instructions
        assert sum(code[at] == 0x85 for at in range(0, len(code), 8)) == calls, pragma


@pytest.mark.kernel
def test_tables_of_strings_are_read_at_constant_indices(program: Callable[..., Any]) -> None:
    program(
        'static const char *names[] = {"abc", "bcd"}; SEC("raw_tracepoint/x") int f(void *ctx) { int n = 0;'
        " \n#pragma unroll\n for (int i = 0; i < 2; i++) n += names[i][1]; return n + names[1][0]; }"
    )
