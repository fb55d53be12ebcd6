"""What programs are made of: kinds, subprograms, callbacks, data, large copies, wide numbers, control flow; run in the kernel."""

# ruff: noqa: E501 - the C texts of its tables are on one line each

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from skep.compiler import compile_source
from skep.errors import CompileError
from skep.object import read_object
from skep.object.stack import stack_use

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = "BPF_ARRAY(out, u64, 16);\nstatic void put(int i, u64 v) { out.update(&i, &v); }\n"
ARGS = "int f(struct bpf_raw_tracepoint_args *ctx)"
MASK = (1 << 64) - 1

# text, what `out` holds after a run, arguments of the raw tracepoint
RUNS: dict[str, tuple[str, list[int], tuple[int, ...]]] = {
    "nested noinline subprograms": (
        "static __noinline u64 five(u64 a, u64 b, int c, char d, u64 *e) { return a + b + c + d + *e; }"
        "static __noinline int nest(int x) { u64 q = 1; return five(x, 1, 2, 3, &q) + 1; }"
        "__noinline int visible(int x, u64 y) { return x * 2 + y; }"
        "int f(void *ctx) { put(0, nest(10)); put(1, visible(-4, 1)); return 0; }",
        [18, -7],
        (),
    ),
    "six parameters of an inlined function": (
        "static u64 six(u64 a, u64 b, int c, char d, u64 e, u64 g) { return a + b + c + d + e + g; }"
        "int f(void *ctx) { put(0, six(1, 2, 3, 4, 5, 6)); return 0; }",
        [21],
        (),
    ),
    "structs as parameters and results": (
        "struct p { u64 a, b, c; }; static struct p make(u64 a) { struct p p = {a, a + 1, a + 2}; return p; }"
        "static u64 take(struct p p) { return p.a + p.b; }"
        "int f(void *ctx) { put(0, make(3).c); struct p q = make(5); put(1, q.b); put(2, take(q)); return 0; }",
        [5, 6, 11],
        (),
    ),
    "bpf_loop calls back with its context": (
        "struct c { u64 sum; int *x; }; static int add(u32 i, struct c *c) { c->sum += i; return c->sum > 40; }"
        "int f(void *ctx) { struct c c = {}; put(0, bpf_loop(100, add, &c, 0)); put(1, c.sum); return 0; }",
        [10, 45],
        (),
    ),
    "bpf_for_each_map_elem calls back with map, key and value": (
        "BPF_HASH(m, u32, u64); static long each(void *map, u32 *k, u64 *v, u64 *sum) { *sum += *k * *v; *v = 1; return 0; }"
        "int f(void *ctx) { u32 k = 3; u64 v = 5, s = 0, *q; m.update(&k, &v); k = 4; m.update(&k, &v);"
        " put(1, bpf_for_each_map_elem(&m, each, &s, 0)); put(0, s); q = m.lookup(&k); if (q) put(2, *q); return 0; }",
        [35, 2, 1],
        (),
    ),
    "globals, static locals and constants": (
        'int counter; u64 start = 5; static u32 table[4] = {1, 2, 3, 4}; const volatile int limit = 9; static const char text[] = "hello";'
        'const int fixed = 3; struct s { int a; char n[8]; } rec = {7, "abc"};'
        "int f(void *ctx) { static int calls = 10; calls++; counter += 2; start++; put(0, counter); put(1, start); put(3, limit);"
        " put(4, text[1]); put(5, fixed + calls); put(6, rec.n[2] + rec.a); __sync_fetch_and_add(&start, 10); table[1] = 9;"
        " put(7, table[1] + table[3]); put(8, start); return 0; }",
        [2, 6, 0, 9, 101, 14, 106, 13, 16],
        (),
    ),
    "string literals": (
        "static int length(const char *s) { int n = 0; while (n < 16 && s[n]) n++; return n; }"
        'int f(void *ctx) { const char *s = "abcd"; char a[] = "xyz", b[8] = "hi"; put(0, length(s) + s[1]); put(1, length(a));'
        ' put(2, length("ab" "cd" "e")); put(3, b[1] + b[5]); const char *t[] = {"one", "three"}; put(4, length(t[1])); return 0; }',
        [102, 3, 5, 105, 5],
        (),
    ),
    "copies of 600 bytes between map values": (
        "struct big { u64 a[75]; }; BPF_HASH(m, u32, struct big, 2); BPF_PERCPU_ARRAY(s, struct big, 2);"
        "int f(void *ctx) { int z = 0, o = 1; struct big *p = s.lookup(&z), *q = s.lookup(&o); if (!p || !q) return 1; p->a[74] = 5;"
        " p->a[0] = 3; *q = *p; put(0, q->a[74] + q->a[0]); __builtin_memset(p, 0, sizeof(*p)); put(1, p->a[74] + p->a[0]);"
        " __builtin_memcpy(p, q, sizeof(*p)); put(2, p->a[74]); __builtin_memmove(&p->a[1], &p->a[0], 74 * 8);"
        " put(3, p->a[1] + p->a[2]); put(4, __builtin_memcmp(p, q, sizeof(*p)) != 0); __builtin_memmove(&p->a[0], &p->a[1], 74 * 8);"
        " put(5, p->a[0] + p->a[1]); __builtin_memset((char *)p + 1, 0x11, 30); put(6, p->a[0]); u32 k = 1; return m.update(&k, p); }",
        [8, 0, 5, 3, 1, 3, 0x1111111111111103],
        (),
    ),
    "copies of 3001 bytes without alignment": (
        "struct __attribute__((packed)) big { char x; u64 a[374]; char t[8]; }; BPF_PERCPU_ARRAY(s, struct big, 2);"
        "int f(void *ctx) { int z = 0, o = 1; struct big *p = s.lookup(&z), *q = s.lookup(&o); if (!p || !q) return 1; p->a[373] = 5;"
        " p->x = 3; p->t[7] = 4; *q = *p; put(0, q->a[373] + q->x + q->t[7]); __builtin_memset(p, 1, sizeof(*p)); put(1, p->a[74]);"
        " for (int i = 0; i < sizeof(*p); i++) ((char *)p)[i] = 2; put(2, p->t[7]);"
        " for (int i = 0; i < sizeof(*p); i++) ((char *)p)[i] = ((char *)q)[i]; put(3, p->t[7]); return 0; }",
        [12, 0x0101010101010101, 2, 4],
        (),
    ),
    "signed division": (
        "static __noinline int divide(int a, int b) { return a / b; }" + ARGS + "{ int a = ctx->args[0], b = ctx->args[1];"
        " s64 c = ctx->args[0]; put(0, a / b); put(1, a % b); put(2, c / (s64)ctx->args[1]); put(3, a / 4); put(4, a % 4);"
        " put(5, c / -3); put(6, divide(a, b)); put(7, a / 0x7fffffff); char s = a; put(8, s / (char)3); put(9, (u32)a / 7u);"
        " a /= b; put(10, a); c %= -7; put(11, c); return 0; }",
        [-3, -2, -3, -4, -1, 5, -3, 0, -5, ((-17) & 0xFFFFFFFF) // 7, -3, -3],
        (-17, 5),
    ),
    "128-bit numbers": (
        ARGS + "{ unsigned __int128 a = ctx->args[0]; a = a << 64 | ctx->args[1]; a += 1; put(0, a >> 64); put(1, (u64)a); a *= 3;"
        " put(2, a >> 64); __int128 s = -5; s >>= 1; put(3, s); put(4, s < 0); struct { u64 x; unsigned __int128 y; } q = {1, a};"
        " put(5, q.y == a); put(6, sizeof(q)); put(7, (unsigned __int128)ctx->args[0] / 2); return 0; }",
        [8, 0, 24, -3, 1, 1, 32, 3],
        (7, MASK),
    ),
    "switch": (
        "enum e { A, B = 5, C }; static int pick(int x) { switch (x) { case A: return 10; case B: x = 3; case C: return x + 100;"
        " case 20 ... 30: return 7; case 1000 ... 100000: return 8; case -5: return 9; default: return 1; } }" + ARGS
        + "{ put(0, pick(ctx->args[0])); put(1, pick(ctx->args[1])); put(2, pick(ctx->args[2])); put(3, pick(ctx->args[3]));"
        " put(4, pick(ctx->args[4])); put(5, pick(ctx->args[5])); put(6, pick(99)); return 0; }",
        [10, 103, 106, 7, 8, 9, 1],
        (0, 5, 6, 25, 5000, -5),
    ),
    "loops": (
        ARGS + "{ u64 n = 0;\n#pragma unroll\nfor (int i = 0; i < 10; i++) n += i;\nput(0, n); n = 0;"
        " for (int i = 0; i < 1000; i++) { if (i % 2) continue; if (i > 500) break; n++; } put(1, n); int i = 0;"
        " do { i++; } while (i < 10); put(2, i); while (1) { if (i++ > 20) break; } put(3, i); n = 0;"
        " for (int a = 0; a < 5; a++) for (int b = 0; b < 5; b++) n += a * b; put(4, n);\n"
        '_Pragma("unroll") for (int j = 0; j < 3; j++) n += ctx->args[j]; put(5, n); u32 length = ctx->args[3]; n = 0;'
        " for (u32 k = 0; k < length && k < 100; k++) n++; put(6, n); return 0; }",
        [45, 251, 10, 22, 100, 106, 50],
        (1, 2, 3, 50),
    ),
    "shifts as conditions": (  # a comparison tells the verifier more than the shift that it stands for: the loop ends
        ARGS + "{ u32 sum = ctx->args[0]; while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16); put(0, sum); u64 n = ctx->args[1];"
        " put(1, (n >> 20) != 0); put(2, !(n >> 20)); put(3, n >> 40 ? 5 : 6); put(4, n >> 31 == 0); put(5, (int)n >> 3 ? 7 : 8);"
        " u8 b = n; put(6, b >> 4 && n >> 63); return 0; }",
        [0x2F, 1, 0, 6, 1, 7, 0],
        (0x2D0002, 0x100010),
    ),
    "goto past declarations": (
        "struct b { u64 a[3]; };" + ARGS + "{ int i = 0; again:; put(i & 15, i); if (++i < 3) goto again; { struct b x = {{1, 2, 3}};"
        " if (ctx->args[0]) goto in; put(4, x.a[1]); { struct b y = {{4, 5, 6}}; in: y.a[1] = 7; put(5, y.a[1]); }"
        " struct b z = {{8, 9}}; put(6, z.a[1]); } switch (ctx->args[0]) { u64 k; case 1: k = 5; put(7, k); break; default: put(8, 6); }"
        " return 0; }",
        [0, 1, 2, 0, 0, 7, 9, 5, 0],
        (1,),
    ),
    "conditions with kernel reads": (
        ARGS + "{ struct task_struct *t = (void *)bpf_get_current_task(); int n = 0;"
        " if (t && t->mm && t->tgid > 0 || t->pid == -5) n = 1; n += t->tgid ? 10 : 20; n += !t->mm; n += (t->mm ?: (void *)1) != 0;"
        " put(0, n); return 0; }",
        [12],
        (),
    ),
    "barriers, volatile and atomics": (
        "u64 shared = 1;" + ARGS + '{ u64 a = 5; asm volatile("" ::: "memory"); asm("" : "+r"(a)); barrier(); put(0, a);'
        " volatile u64 v = 1; v++; put(1, v); WRITE_ONCE(a, READ_ONCE(v) + 1); put(2, a); put(3, __sync_fetch_and_add(&shared, 4));"
        " put(4, __sync_val_compare_and_swap(&shared, 5, 9)); put(5, shared); lock_xadd(&shared, 1); put(6, shared);"
        " put(7, __sync_lock_test_and_set(&shared, 3)); put(8, shared); return 0; }",
        [5, 2, 3, 1, 5, 9, 10, 10, 3],
        (),
    ),
    "macros of BCC": (
        ARGS + "{ u64 v = ctx->args[0]; put(0, bpf_log2l(v)); put(1, bpf_log2(v)); put(2, bpf_log2l(0)); put(3, bpf_log2(0));"
        " put(4, bpf_log2l(1ULL << 40)); put(5, min_t(u32, v, 3)); put(6, max(v, min(v, (u64)2))); put(7, bpf_ntohs(0x1234));"
        " put(8, bpf_htonl(ctx->args[1])); put(9, ARRAY_SIZE(((struct { int a[7]; } *)0)->a)); return 0; }",
        [7, 6, 1, 0, 41, 3, 100, 0x3412, 0x01000000, 7],
        (100, 1),
    ),
    "arrays in packed structs": (
        "struct __attribute__((packed)) e { char c; u64 n[4]; struct { u32 x; u64 y; } s[2]; }; BPF_ARRAY(a, struct e, 1);"
        + ARGS
        + "{ int z = 0; struct e *e = a.lookup(&z); if (!e) return 0; int i = ctx->args[0] & 3; e->n[1] = 5; e->n[i] += 7;"
        " e->s[i & 1].y = 9; put(0, e->n[1]); put(1, e->n[i]); put(2, e->s[1].y); put(3, sizeof(*e)); return 0; }",
        [5, 7, 9, 65],
        (3,),
    ),
    "a libbpf map and program": (
        "struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 10); __type(key, u32); __type(value, u64); } m SEC(\".maps\");"
        'char _license[] SEC("license") = "GPL"; SEC("raw_tp") int f(void *ctx) { u32 k = 1; u64 v = 2;'
        " bpf_map_update_elem(&m, &k, &v, 0); u64 *q = bpf_map_lookup_elem(&m, &k); if (q) put(0, *q); return 0; }",
        [2],
        (),
    ),
    "printing": (
        'int f(void *ctx) { u64 a = 1; char s[] = "str"; bpf_trace_printk("x %d %s\\n", (int)a, s); bpf_trace_printk("hello\\n");'
        ' bpf_printk("v %llu %d", a, 3); bpf_printk("n"); char format[] = "f %d\\n"; put(0, bpf_trace_printk(format, sizeof(format), 4) > 0);'
        " return 0; }",
        [1],
        (),
    ),
}  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("name", RUNS)
def test_a_program_does_what_its_text_says(program: Callable[..., Any], name: str) -> None:
    text, expected, args = RUNS[name]
    made = program(OUT + text)
    assert made.run(args=args) == 0
    assert made.out[: len(expected)] == [value & MASK for value in expected]


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("section", "context", "field"),
    [
        ("tc", "__sk_buff", "len"),
        ("xdp", "xdp_md", "rx_queue_index"),
        ("kprobe/x", "pt_regs", "ip"),
        ("perf_event", "bpf_perf_event_data", "addr"),
    ],
)
def test_a_global_subprogram_takes_the_context(program: Callable[..., Any], section: str, context: str, field: str) -> None:
    made = program(
        f"__noinline int g(struct {context} *ctx, int more) {{ return ctx->{field} + more; }}"
        f"int f(struct {context} *ctx) {{ return g(ctx, 1); }}"
    )
    assert made.load(section=section).fd >= 0


@pytest.mark.kernel
def test_products_and_shifts_of_128_bits(program: Callable[..., Any]) -> None:
    made = program(
        OUT + "typedef unsigned __int128 u; static void both(int i, u v) { put(i, v); put(i + 1, v >> 64); }"
        + ARGS + "{ u a = (u)ctx->args[0] << 64 | ctx->args[1], b = (u)ctx->args[2] << 64 | ctx->args[3]; u32 n = ctx->args[4];"
        " both(0, a * b); both(2, a << n); both(4, a >> n); both(6, (__int128)a >> n); both(8, a * 10 + b); return 0; }"
    )  # fmt: skip
    numbers = random.Random(1)
    for n in (0, 1, 31, 32, 63, 64, 65, 100, 127):
        a, b = (numbers.getrandbits(numbers.choice((1, 10, 63, 64, 65, 100, 127, 128))) for _ in "ab")
        made.run(args=(a >> 64, a, b >> 64, b, n))
        found = [low | high << 64 for low, high in zip(made.out[0:10:2], made.out[1:10:2], strict=True)]
        signed = a - (1 << 128) if a >> 127 else a
        assert found == [value & (1 << 128) - 1 for value in (a * b, a << n, a >> n, signed >> n, a * 10 + b)], (a, b, n)


KINDS = [
    ("int kprobe__vfs_read(struct pt_regs *c) { return 0; }", "kprobe/vfs_read", "kprobe", ""),
    ("int kretprobe__vfs_read(struct pt_regs *c) { return 0; }", "kretprobe/vfs_read", "kretprobe", ""),
    ("int tracepoint__sched__sched_switch(void *c) { return 0; }", "tracepoint/sched/sched_switch", "tracepoint", ""),
    ("RAW_TRACEPOINT_PROBE(sched_switch) { return 0; }", "raw_tracepoint/sched_switch", "raw_tracepoint", ""),
    ("int f(struct bpf_raw_tracepoint_args *c) { return 0; }", "raw_tracepoint", "raw_tracepoint", ""),
    ("int f(struct __sk_buff *c) { return 0; }", "socket", "socket", ""),
    ("int f(struct xdp_md *c) { return 0; }", "xdp", "xdp", ""),
    ("int f(struct bpf_perf_event_data *c) { return c->sample_period; }", "perf_event", "perf_event", ""),
    ("int f(struct pt_regs *c) { return 0; }", "kprobe", "kprobe", ""),
    ("int f(void *c) { return 0; }", "kprobe", "kprobe", ""),
    ("int f(void) { return 0; }", "kprobe", "kprobe", ""),
    ("int syscall__execve(struct pt_regs *c, const char __user *name) { return 0; }", "kprobe", "kprobe", ""),
    ('SEC("xdp/devmap") int f(struct xdp_md *c) { return 2; }', "xdp/devmap", "xdp/devmap", ""),
    ('SEC("tc") int f(struct __sk_buff *c) { return 0; }', "tc", "tc", ""),
    ('SEC("fentry/vfs_read") int f(u64 *c) { return 0; }', "fentry/vfs_read", "fentry", "vfs_read"),
    ("int kfunc__vmlinux__vfs_read(u64 *c) { return 0; }", "fentry/vfs_read", "fentry", "vfs_read"),
    ('SEC("lsm/file_open") int f(u64 *c) { return 0; }', "lsm/file_open", "lsm", "bpf_lsm_file_open"),
    ('SEC("tp_btf/sched_switch") int f(u64 *c) { return 0; }', "tp_btf/sched_switch", "tp_btf", "btf_trace_sched_switch"),
    ('SEC("uprobe") int f(struct pt_regs *c) { return PT_REGS_PARM1(c); }', "uprobe", "uprobe", ""),
    ('SEC("cgroup/connect4") int f(struct bpf_sock_addr *c) { return 1; }', "cgroup/connect4", "cgroup/connect4", ""),
    ('SEC("sockops") int f(struct bpf_sock_ops *c) { return 1; }', "sockops", "sockops", ""),
]  # fmt: skip


@pytest.mark.parametrize("row", KINDS, ids=lambda row: row[0])
def test_name_section_or_context_say_what_a_program_is(row: tuple[str, str, str, str]) -> None:
    text, section, kind, target = row
    found = read_object(
        compile_source(f"static int helper(void) {{ return 1; }} __noinline int sub(int x) {{ return x; }}\n{text}").data
    )
    (program,) = found.programs.values()  # what is static or noinline is no program
    assert program.section == section
    assert program.kind is not None
    assert (program.kind.name, program.kind.target) == (kind, target)


@pytest.mark.parametrize(
    ("text", "license"),
    [
        ("", "GPL"),
        ("#define BPF_LICENSE Dual BSD/GPL\n", "Dual BSD/GPL"),
        ('char _license[] SEC("license") = "Proprietary";', "Proprietary"),
    ],
)
def test_the_licence_is_the_texts(text: str, license: str) -> None:
    assert read_object(compile_source(text + "\nint f(void *ctx) { return 0; }").data).license == license


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("static int r(int n) { return n ? r(n - 1) + 1 : 0; } int f(void *c) { return r(3); }", "'r' calls itself"),
        (
            "static int b(int n); static int a(int n) { return n ? b(n - 1) : 0; } static int b(int n) { return a(n); }"
            "int f(void *c) { return a(3); }",
            "'a' calls itself",
        ),
        (
            "static __noinline u64 six(u64 a, u64 b, u64 c, u64 d, u64 e, u64 g) { return a + g; }"
            "int f(void *c) { return six(1, 2, 3, 4, 5, 6); }",
            "at most 5 arguments",
        ),
        (
            "static int cb(u32 i) { return 0; } int f(void *c) { return bpf_loop(1, cb, NULL, 0); }",
            "calls its function with 2 arguments",
        ),
        ("int f(void *c) { int n = bpf_get_smp_processor_id(); char a[n]; return 0; }", "BPF's stack is fixed at load"),
        ("int f(void *c) { double d = 1; return d; }", "BPF has no floating point"),
        (
            'static void g(void) {} int f(void *c) { bpf_trace_printk("%d", g()); return 0; }',
            "no value that could be an argument",
        ),
        (
            "int f(void *c) { int x __attribute__((cleanup(static))) = 1; return x; }",
            "cleanup takes a function, and 'static' is none",
        ),
        ("int x; __attribute__((section(-x))) int f(void *c) { return 0; }", "attribute 'section' takes a text"),
        ("int f(struct xdp_md *c) { return ETH_P_IP; }", "'ETH_P_IP' is not declared; <linux/if_ether.h> has it: #include that"),
        ("int f(void *c) { return IS_ERR(c); }", "'IS_ERR' is not declared; <linux/err.h> has it: #include that"),
        ("int f(struct pt_regs *c, struct inet_sock *i) { return i->inet_dport; }", "<net/inet_sock.h> has it: #include that"),
        (
            "int f(struct __sk_buff *s) { struct ip_t *p = 0; return p->ttl; }",
            "'struct ip_t' is not defined: <bcc/proto.h> has it",
        ),
        (
            "BPF_HASH(a); int f(void *c) { u64 k = 1; u64 v = a.lookup(&k); return v; }",
            "is no integer 'u64'; keep the pointer, test that it is not null",
        ),
        ("int f(void *c) { u64 x = bpf_ktime_get_ns; return x; }", "calls the function"),
        ("BPF_ARRAY(a, u64, 4); int f(void *c) { return a[2]; }", "map 'a' is no array in C"),
        ('int f(void *c) { printf("x"); return 0; }', "prints, into the trace pipe"),
        ("int f(void *c) { return BPF_MAP_TYPE_HAS; }", "did you mean 'BPF_MAP_TYPE_HASH'"),
        (
            "BPF_ARRAY(a, u64, 1UL << 40); int f(void *c) { return 0; }",
            "map 'a': the kernel has 32 bits for its size, not 1099511627776",
        ),
        ("BPF_RINGBUF_OUTPUT(r, 1 << 20); int f(void *c) { return 0; }", "map 'r': the kernel has 32 bits for its size"),
        ("struct s { int a; }\nint f(void *c) { return 0; }", "missing ';' after this struct"),
        ("char a[1UL << 59][4]; int f(void *c) { return 0; }", "an array of 576460752303423488 elements is too large"),
        ("struct s { char a[1UL << 59], b[1UL << 59], c; } s; int f(void *c) { return 0; }", "bytes is too large"),
        ("int f(struct pt_regs *c, float x) { return 0; }", "BPF has no floating point"),
        ("static float g(int x) { return x; } int f(void *c) { return g(1); }", "BPF has no floating point"),
        (
            "BPF_HASH(m, u32, float); int f(void *c) { u32 k = 0; float *p = m.lookup(&k); return p && ++*p; }",
            "no floating point",
        ),
        ("int f(void *c) { char a[600] = {}; bpf_probe_read_kernel(a, 600, c); return a[5]; }", "'f' needs 600 bytes of stack"),
        (
            "int f(struct bpf_raw_tracepoint_args *c) { unsigned __int128 a = c->args[0]; a <<= 70; return a / c->args[1]; }",
            "128-bit numbers",
        ),
        ("int g(int); int f(void *c) { return g(1); }", "declared but has no body"),
        (
            "static int a(int x) { return x + 1; } static int b(int x) { return x * 2; }"
            "int f(void *c) { int (*p)(int) = bpf_get_smp_processor_id() > 9 ? a : b; return p(5); }",
            "'f' calls a function through a pointer",
        ),
        (
            "__noinline int g(struct task_struct *t) { return t->tgid; } int f(void *c) { return g((void *)bpf_get_current_task()); }",
            "'g' is a global subprogram",
        ),
        (
            'static const char *names[] = {"a", "b"}; int f(void *c) { return names[bpf_get_smp_processor_id() & 1][0]; }',
            "'names' holds addresses of other objects",
        ),
    ],
)
def test_what_bpf_cannot_do_is_a_compile_error(text: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile_source(text)


@pytest.mark.kernel
def test_forty_kernel_reads_share_the_stack(program: Callable[..., Any]) -> None:
    words = (
        "pid tgid prio static_prio normal_prio rt_priority policy nr_cpus_allowed exit_state exit_code exit_signal pdeath_signal "
        "jobctl personality start_time start_boottime min_flt maj_flt utime stime"
    )
    members = words.split()
    reads = " ".join(f"put({i % 16}, t->{member}); put({i % 16}, t->real_parent->{member});" for i, member in enumerate(members))
    made = program(f"{OUT}{ARGS} {{ struct task_struct *t = (void *)bpf_get_current_task(); {reads} return 0; }}")
    assert made.run() == 0
    assert stack_use(made.object.programs["f"])[1] <= 64


@pytest.mark.kernel
def test_structs_of_blocks_that_are_not_alive_together_share_the_stack(program: Callable[..., Any]) -> None:
    block = "{{ struct {{ u64 a[40]; }} s = {{{{{0}}}}}; bpf_probe_read_kernel(&s.a[1], 8, &ctx->args[0]); put({0}, s.a[0] + s.a[39]); }}"
    made = program(f"{OUT}{ARGS} {{ {' '.join(block.format(i) for i in range(8))} return 0; }}")
    assert made.run() == 0
    assert made.out[:8] == list(range(8))
    assert stack_use(made.object.programs["f"])[1] <= 400
