"""Warnings: their exact text, where they stand, and that right programs get none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from skep.compiler import compile_source
from skep.errors import VerifierError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Program

MAPS = """
BPF_HASH(h, u64, u64);
BPF_LRU_HASH(lru, u64, u64);
BPF_ARRAY(a, u64, 4);
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, u64); __type(value, u64); } m SEC(".maps");
"""


def warnings(text: str, *flags: str) -> list[str]:
    """The warnings as 'line:column: text'."""
    lines = compile_source(text, file="t.c", cflags=flags).diagnostics.splitlines()
    return [line[4:].replace(" warning:", "") for line in lines if line.startswith("t.c:") and " warning: " in line]


def body(statements: str, *, maps: str = "") -> list[str]:
    """The warnings of a function's body, without their places."""
    head = "static int g(int x) { return x; }\n" + maps
    text = head + f"int f(struct pt_regs *ctx, int a, unsigned b, int *p) {{ u64 k = 1; {statements} return a + b + k; }}"
    return [line.split(": ", 1)[1] for line in warnings(text)]


NULL = " may be null; without a test before this the verifier refuses the program"


@pytest.mark.parametrize(
    ("statements", "text"),
    [
        ("*h.lookup(&k) += 1;", "the result of the lookup" + NULL),
        ("u64 *v = h.lookup(&k); k = *v;", "'v'" + NULL),
        ("u64 *v; v = h.lookup(&k); (*v)++;", "'v'" + NULL),
        ("u64 *v = h.lookup_or_try_init(&k, &k); *v = 2;", "'v'" + NULL),
        ("u64 *v = bpf_map_lookup_elem(&m, &k); *v = 2;", "'v'" + NULL),
        ("u64 *v = h.lookup(&k); if (a) *v = 2;", "'v'" + NULL),
        ("struct { int x, y; } *v = (void *)h.lookup(&k); v->y = 2;", "'v'" + NULL),
    ],
)
def test_a_lookup_that_is_followed_without_a_test(statements: str, text: str) -> None:
    assert body(statements, maps=MAPS) == [text]


@pytest.mark.parametrize(
    "statements",
    [
        "u64 *v = h.lookup(&k); if (v) *v = 1;",
        "u64 *v = h.lookup(&k); if (!v) return 0; *v = 1;",
        "u64 *v = h.lookup(&k); if (v == 0) return 0; *v = 1;",
        "u64 *v = h.lookup(&k); if (v && *v) k = 2;",
        "u64 *v = h.lookup(&k); u64 *w = v; if (w) *v = 1;",
        "u64 *v = h.lookup(&k); k = v ? *v : 0;",
        "u64 *v; if ((v = h.lookup(&k))) *v = 1;",
        "u64 *v = h.lookup(&k); if (a) { if (!v) return 0; } else v = &k; *v = 1;",
        "u64 *v = h.lookup_or_init(&k, &k); *v = 1;",
        "int i = 1; u64 *v = a_.lookup(&i); *v = 1;".replace("a_", "arr"),
        "u64 *v = h.lookup(&k); while (1) { if (!v) break; *v = 1; if (*v) break; }",
        "u64 *v = h.lookup(&k); if (!v) goto out; *v = 1; out:;",
        "lru.lookup(&k);",
        "h.lookup_or_try_init(&k, &k);",
    ],
)
def test_no_false_alarm_about_lookups(statements: str) -> None:
    assert body(statements, maps=MAPS + "BPF_ARRAY(arr, u64, 4);") == []


@pytest.mark.kernel
def test_the_verifier_refuses_what_is_warned_of_and_takes_the_rest(program: Callable[..., Program]) -> None:
    head = MAPS + "int f(void *ctx) { u64 k = 1; "
    with pytest.raises(VerifierError, match="map_value_or_null"):
        program(head + "u64 *v = h.lookup(&k); *v = 1; return 0; }").load()
    program(head + "u64 *v = h.lookup(&k); u64 *w = v; if (w) *v = 1; return 0; }").load()


def test_a_lookup_whose_result_is_dropped() -> None:
    assert body("h.lookup(&k);", maps=MAPS) == ["the result of this lookup is not used"]
    assert body("bpf_map_lookup_elem(&m, &k);", maps=MAPS) == ["the result of this lookup is not used"]


@pytest.mark.parametrize(
    ("statements", "name"),
    [
        ("int x; a = x;", "x"), ("int x; x++;", "x"), ("int x; x += a;", "x"), ("int x, y = 1; if (x == y) a = 1;", "x"),
        ("u64 *q; k = *q;", "q"), ("int x; if (a) a = 2; g(x);", "x"), ("int x; while (a--) g(x);", "x"),
        ("int x; switch (a) { case 1: g(x); }", "x"),
    ],
)  # fmt: skip
def test_a_local_that_is_read_before_it_is_set(statements: str, name: str) -> None:
    assert body(statements) == [f"'{name}' is read before it is given a value"]


@pytest.mark.parametrize(
    "statements",
    [
        "int x; if (a) x = 1; g(x);",
        "int x; bpf_probe_read_kernel(&x, sizeof(x), p); g(x);",
        "int x; for (int i = 0; i < 3; i++) { if (i) g(x); x = i; }",
        "int x; goto in; for (;;) { g(x); break; in: x = 1; }",
        "int x; switch (a) { case 1: x = 1; break; default: x = 2; } g(x);",
        "int x; do { x = a; } while (x > 3); g(x);",
        "int x[2]; x[0] = 1; g(x[0]);",
        "struct { int x, y; } s; s.x = 1; g(s.x);",
        'int x; asm volatile("" : "=r"(x)); g(x);',
        "int x; if (!a || (x = a) > 3) return 0; g(x);",
        "int x; (void)sizeof(x);",
        "volatile int x; a = x;",
    ],
)
def test_no_false_alarm_about_unset_locals(statements: str) -> None:
    assert body(statements) == []


UNUSED = "the value of this expression is not used"


@pytest.mark.parametrize(
    ("statements", "texts"),
    [
        ("a == 1;", ["the result of '==' is not used; write '=' to assign"]),
        ("a < 1;", ["the result of '<' is not used"]), ("!a;", ["the result of '!' is not used"]),
        ("a + 1;", [UNUSED]), ("a;", [UNUSED]), ("p[1];", [UNUSED]), ("-a;", [UNUSED]), ("a, b;", [UNUSED, UNUSED]),
        ("(int)a;", [UNUSED]), ('"x";', [UNUSED]), ("1;", [UNUSED]), ("a && b;", [UNUSED]),
        ("for (; a < 3; a + 1) a++;", [UNUSED]), ("__builtin_popcount(a);", [UNUSED]),
        ("(void)a;", []), ("a && g(1);", []), ("a ? g(1) : g(2);", []), ("g(1);", []), ("a = 1;", []), ("a++;", []),
        ("\n#define both(x) ({ x; x; })\nboth(a = 1);", []),
    ],
)  # fmt: skip
def test_unused_values_as_clang_sees_them_by_default(statements: str, texts: list[str]) -> None:
    assert body(statements) == texts


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("(u8)a == 300", "'u8' == 300 is always false: no 'u8' has this value"),
        ("(u8)a != -1", "'u8' != -1 is always true: no 'u8' has this value"),
        ("(s8)a < 128", "'s8' < 128 is always true: no 's8' has this value"),
        ("300 > (u8)a", "'u8' < 300 is always true: no 'u8' has this value"),
        ("a == 0x100000000ULL", "'int' == 4294967296 is always false: no 'int' has this value"),
    ],
)
def test_a_comparison_with_a_number_that_the_type_does_not_have(expression: str, text: str) -> None:
    assert body(f"g({expression});") == [text]


@pytest.mark.parametrize(
    "expression", ["a < b", "b == -1", "k == -1", "b < 0", "(u8)a > 255", "(u8)a >= 0", "a == 0x80000000", "k == a"]
)
def test_clang_does_not_warn_of_different_signs_by_default(expression: str) -> None:
    assert body(f"g({expression});") == []


FORMATS = [
    "%d", "%5d", "%-5d", "%+d", "%i", "%u", "%x", "%X", "%c", "%s", "%5s", "%ld", "%lu", "%lX", "%lld", "%llx", "%p", "%p,",
    "%pK",
    "%pks", "%pus", "%pI4", "%pi6", "%pS", "%pB", "%%", "\\t", "%p%%",
    "%o", "%lo", "%lc", "%ls", "%hd", "%zu", "%#x", "%.3d", "%*d", "%f", "%n", "%llld", "%pd", "%pi5", "%pksz",
    "%", "100%\\n", "% %",
]  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("format", FORMATS)
def test_a_format_is_warned_of_where_the_kernel_refuses_it(format: str, program: Callable[..., Program]) -> None:
    text = f'BPF_ARRAY(out, u64, 1); int f(void *ctx) {{ int z = 0; u64 *o = out.lookup(&z); static const char m[] = "{format}";'
    made = program(
        text + 'if (!o) return 0; static const char s[] = "abc"; *o = bpf_trace_printk(m, sizeof(m), (u64)s, 0, 0); return 0; }'
    )
    made.run()
    refused = made.out[0] == (1 << 64) - 22
    said = [line for line in made.compiled.diagnostics.splitlines() if "does not know" in line or "takes '%'" in line]
    assert bool(said) == refused


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            'bpf_trace_printk("%o", a)',
            "bpf_trace_printk() does not know '%o'; it knows %d %i %u %x %ld %lu %lx %lld %llu %llx %p %s %c",
        ),
        ('bpf_trace_printk("50%\\n")', "bpf_trace_printk() takes '%' for the start of a place for a value; write '%%'"),
        ('bpf_trace_printk("%d", k)', "'%d' prints 32 bits of this 'unsigned long long'; '%lld' prints all 64"),
        ('bpf_trace_printk("%s", a)', "'%s' prints a string, and this is 'int'"),
        ('bpf_trace_printk("%d")', "the text has 1 place for values, and 0 are given"),
        ('bpf_printk("%d %d", a)', "the text has 2 places for values, and 1 is given"),
        (
            'bpf_printk("%zu", a)',
            "bpf_trace_printk() does not know '%zu'; it knows %d %i %u %x %ld %lu %lx %lld %llu %llx %p %s %c",
        ),
        (
            'bpf_printk("%d %d %d %hd", a, a, a, a)',
            "bpf_trace_vprintk() does not know '%hd'; it knows %d %i %u %x %ld %lu %lx %lld %llu %llx %p %s %c",
        ),
    ],
)
def test_printed_values_and_letters(call: str, text: str) -> None:
    assert body(call + ";") == [text]


def test_a_warning_points_at_its_place_and_names_the_declaration() -> None:
    text = "int f(void *ctx) {\n    int total;\n    return total + 1;\n}\n"
    assert compile_source(text, file="t.c").diagnostics == (
        "t.c:3:12: warning: 'total' is read before it is given a value\n"
        "    3 |     return total + 1;\n"
        "      |            ^~~~~\n"
        "t.c:2:9: note: declared here without a value\n"
        "    2 |     int total;\n"
        "      |         ^~~~~"
    )


def test_w_silences_and_v_names_headers_that_are_taken_as_empty() -> None:
    text = "#include <linux/nothere.h>\nint f(void *ctx) { int x; return x; }"
    assert warnings(text, "-w") == []
    said = compile_source(text, file="t.c", cflags=["-v"]).diagnostics.splitlines()
    assert said[0] == "t.c:1:10: note: kernel header <linux/nothere.h> is taken as empty: types come from the kernel's BTF"
    assert "nothere.h> is" not in compile_source(text, file="t.c").diagnostics


def test_a_context_of_another_kind_of_program() -> None:
    message = "a program in section 'xdp' gets a 'struct xdp_md *', and this is a 'struct __sk_buff *'"
    assert warnings('SEC("xdp") int f(struct __sk_buff *skb) { return skb->len; }') == [f"1:36: {message}"]


@pytest.mark.parametrize(
    ("section", "context"),
    [
        ("tc", "__sk_buff"), ("xdp/cpumap", "xdp_md"), ("cgroup/connect6", "bpf_sock_addr"), ("cgroup/setsockopt", "bpf_sockopt"),
        ("perf_event", "pt_regs"), ("raw_tp/sys_enter", "pt_regs"), ("sk_skb/stream_parser", "__sk_buff"),
        ("cgroup_skb/egress", "__sk_buff"), ("sockops", "bpf_sock_ops"),
    ],
)  # fmt: skip
def test_no_false_alarm_about_contexts(section: str, context: str) -> None:
    assert warnings(f'SEC("{section}") int f(struct {context} *ctx) {{ return 1; }}') == []
