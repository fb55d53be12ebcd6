"""BCC's map macros and methods, compiled and run in this kernel; helper numbers and map types against its BTF."""

# ruff: noqa: E501 - the C texts of its tables are on one line each

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

import pytest

from skep.btf import kernel_btf
from skep.btf.types import Enum
from skep.compiler import compile_source, dialect
from skep.compiler.helpers import HELPERS
from skep.errors import CompileError
from skep.object import MAP_TYPES, read_object

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACKET = bytes(range(64))
OUT = "BPF_ARRAY(out, u64, 16);\nstatic void put(int i, u64 v) { out.update(&i, &v); }\n"
NO_PREALLOC, BUILD_ID = 1, 32


def enumerators(name: str) -> dict[str, int]:
    btf = kernel_btf()
    id = btf.find(name, "enum")
    assert id is not None
    found = btf.type(id)
    assert isinstance(found, Enum)
    return dict(found.values)


# text, kernel map type, key size, value size, entries, flags
DECLARATIONS = [
    ("BPF_HASH(m)", "hash", 8, 8, 10240, 0),
    ("BPF_HASH(m, u32)", "hash", 4, 8, 10240, 0),
    ("BPF_HASH(m, u32, u8)", "hash", 4, 1, 10240, 0),
    ("BPF_HASH(m, u32, struct {int a; char c;}, 2 * N + 1)", "hash", 4, 8, 33, 0),
    ("struct k {int a; char c[3];}; BPF_HASH(m, struct k, struct k, 3)", "hash", 8, 8, 3, 0),
    ("BPF_HASH(m, char[16], char *, 5)", "hash", 16, 8, 5, 0),
    ("BPF_PERCPU_HASH(m)", "percpu_hash", 8, 8, 10240, 0),
    ("BPF_PERCPU_HASH(m, int, int, 7)", "percpu_hash", 4, 4, 7, 0),
    ("BPF_LRU_HASH(m, u32, u64, 100)", "lru_hash", 4, 8, 100, 0),
    ("BPF_LRU_PERCPU_HASH(m, u32, u64, 100)", "lru_percpu_hash", 4, 8, 100, 0),
    ("BPF_LPM_TRIE(m, struct {u32 length; u32 data;}, u64, 16)", "lpm_trie", 8, 8, 16, NO_PREALLOC),
    ("BPF_ARRAY(m)", "array", 4, 8, 10240, 0),
    ("BPF_ARRAY(m, u32)", "array", 4, 4, 10240, 0),
    ("BPF_ARRAY(m, u32, 3)", "array", 4, 4, 3, 0),
    ("BPF_PERCPU_ARRAY(m)", "percpu_array", 4, 8, 10240, 0),
    ("BPF_PERCPU_ARRAY(m, struct {u64 a, b;}, 1)", "percpu_array", 4, 16, 1, 0),
    ("BPF_HISTOGRAM(m)", "array", 4, 8, 64, 0),
    ("BPF_HISTOGRAM(m, int)", "array", 4, 8, 64, 0),
    ("BPF_HISTOGRAM(m, int, 20)", "array", 4, 8, 20, 0),
    ("BPF_HISTOGRAM(m, u32)", "hash", 4, 8, 64, 0),
    ("BPF_HISTOGRAM(m, struct {u32 disk; u64 slot;}, 99)", "hash", 16, 8, 99, 0),
    ("BPF_PERF_OUTPUT(m)", "perf_event_array", 4, 4, 0, 0),
    ("BPF_PERF_ARRAY(m, 8)", "perf_event_array", 4, 4, 8, 0),
    ("BPF_RINGBUF_OUTPUT(m, 8)", "ringbuf", 0, 0, 32768, 0),
    ("BPF_PROG_ARRAY(m, 4)", "prog_array", 4, 4, 4, 0),
    ("BPF_CGROUP_ARRAY(m, 1)", "cgroup_array", 4, 4, 1, 0),
    ("BPF_STACK_TRACE(m, 1000)", "stack_trace", 4, 127 * 8, 1024, 0),
    ("BPF_STACK_TRACE_BUILDID(m, 16)", "stack_trace", 4, 127 * 32, 16, BUILD_ID),
    ("BPF_QUEUE(m, u64, 10)", "queue", 0, 8, 10, 0),
    ("BPF_STACK(m, struct {int a[3];}, 10, 0)", "stack", 0, 12, 10, 0),
    ("BPF_DEVMAP(m, 4)", "devmap", 4, 4, 4, 0),
    ("BPF_DEVMAP_HASH(m, 4)", "devmap_hash", 4, 4, 4, 0),
    ("BPF_BLOOM_FILTER(m, u64, 10)", "bloom_filter", 0, 8, 10, 0),
    ("BPF_USER_RINGBUF(m, 2)", "user_ringbuf", 0, 0, 8192, 0),
    ("BPF_CGRP_STORAGE(m, u32)", "cgrp_storage", 4, 4, 0, NO_PREALLOC),
    ("BPF_CPUMAP(m, 2)", "cpumap", 4, 4, 2, 0),
    ("BPF_XSKMAP(m, 4)", "xskmap", 4, 4, 4, 0),
    ("BPF_SOCKMAP(m, 4)", "sockmap", 4, 4, 4, 0),
    ("BPF_SOCKHASH(m)", "sockhash", 4, 4, 10240, 0),
    ("BPF_SOCKHASH(m, u64, 6)", "sockhash", 8, 4, 6, 0),
    ("BPF_SK_STORAGE(m, u64)", "sk_storage", 4, 8, 0, NO_PREALLOC),
    ("BPF_INODE_STORAGE(m, u32)", "inode_storage", 4, 4, 0, NO_PREALLOC),
    ("BPF_TASK_STORAGE(m, u32)", "task_storage", 4, 4, 0, NO_PREALLOC),
    ("BPF_CGROUP_STORAGE(m, u64)", "cgroup_storage", 16, 8, 0, 0),
    ("BPF_PERCPU_CGROUP_STORAGE(m, u64)", "percpu_cgroup_storage", 16, 8, 0, 0),
    ('BPF_HASH(i, u32, u64, 5); BPF_ARRAY_OF_MAPS(m, "i", 4)', "array_of_maps", 4, 4, 4, 0),
    ('BPF_HASH(i, u32, u64, 5); BPF_HASH_OF_MAPS(m, "i")', "hash_of_maps", 4, 4, 10240, 0),
    ('BPF_HASH(i, u32, u64, 5); BPF_HASH_OF_MAPS(m, u64, "i", 4)', "hash_of_maps", 8, 4, 4, 0),
    ('BPF_HASH(i, u32, u64, 5); BPF_TABLE("hash_of_maps$i", u64, int, m, 4)', "hash_of_maps", 8, 4, 4, 0),
    ('BPF_HASH(i, u32, u64, 5); BPF_TABLE("array_of_maps$i", int, int, m, 4)', "array_of_maps", 4, 4, 4, 0),
    ('BPF_F_TABLE("lpm_trie", struct {u32 n; u32 data;}, u64, m, 5, BPF_F_NO_PREALLOC)', "lpm_trie", 8, 8, 5, NO_PREALLOC),
    ('BPF_F_TABLE("sk_storage", int, u64, m, 0, BPF_F_NO_PREALLOC)', "sk_storage", 4, 8, 0, NO_PREALLOC),
    ('BPF_TABLE("queue", int, u64, m, 5)', "queue", 0, 8, 5, 0),
    ('BPF_TABLE("stack", int, u64, m, 5)', "stack", 0, 8, 5, 0),
    ('BPF_TABLE("cgroup_array", int, u32, m, 5)', "cgroup_array", 4, 4, 5, 0),
    ('BPF_TABLE("devmap", int, int, m, 5)', "devmap", 4, 4, 5, 0),
    ('BPF_TABLE("cpumap", int, u32, m, 1)', "cpumap", 4, 4, 1, 0),
    ('BPF_TABLE("xskmap", int, int, m, 5)', "xskmap", 4, 4, 5, 0),
    ('BPF_TABLE("sockmap", u32, int, m, 5)', "sockmap", 4, 4, 5, 0),
    ('BPF_TABLE("sockhash", u32, int, m, 5)', "sockhash", 4, 4, 5, 0),
    ('BPF_TABLE("hash", u32, u64, m, 5)', "hash", 4, 8, 5, 0),
    ('BPF_TABLE("array", int, u64, m, 5)', "array", 4, 8, 5, 0),
    ('BPF_TABLE("percpu_hash", u32, u64, m, 5)', "percpu_hash", 4, 8, 5, 0),
    ('BPF_TABLE("percpu_array", int, u64, m, 5)', "percpu_array", 4, 8, 5, 0),
    ('BPF_TABLE("lru_hash", u32, u64, m, 5)', "lru_hash", 4, 8, 5, 0),
    ('BPF_TABLE("lru_percpu_hash", u32, u64, m, 5)', "lru_percpu_hash", 4, 8, 5, 0),
    ('BPF_TABLE("histogram", int, u64, m, 5)', "array", 4, 8, 5, 0),
    ('BPF_TABLE("prog", u32, u32, m, 5)', "prog_array", 4, 4, 5, 0),
    ('BPF_TABLE("perf_output", int, u32, m, 5)', "perf_event_array", 4, 4, 0, 0),
    ('BPF_TABLE("perf_array", int, u32, m, 5)', "perf_event_array", 4, 4, 5, 0),
    ('BPF_TABLE("stacktrace", int, struct bpf_stacktrace, m, 1024)', "stack_trace", 4, 127 * 8, 1024, 0),
    ('BPF_TABLE("ringbuf", int, int, m, 1)', "ringbuf", 0, 0, 4096, 0),
    ('BPF_TABLE_PUBLIC("hash", u32, u64, m, 5)', "hash", 4, 8, 5, 0),
    ('BPF_TABLE_SHARED("hash", u32, u64, m, 5)', "hash", 4, 8, 5, 0),
    ('BPF_TABLE_SHARED("hash", u32, u64, m, 5, BPF_F_NO_PREALLOC)', "hash", 4, 8, 5, NO_PREALLOC),
    ('BPF_QUEUESTACK("stack", m, u64, 10)', "stack", 0, 8, 10, 0),
    ('BPF_QUEUESTACK("queue", m, u64, 10, 0)', "queue", 0, 8, 10, 0),
    ('BPF_QUEUESTACK_PUBLIC("queue", m, u64, 10, 0)', "queue", 0, 8, 10, 0),
    ('BPF_QUEUESTACK_SHARED("queue", m, u32, 10)', "queue", 0, 4, 10, 0),
    ('BPF_F_TABLE("hash", u32, u64, m, 5, BPF_F_NO_PREALLOC)', "hash", 4, 8, 5, NO_PREALLOC),
]  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("row", DECLARATIONS, ids=lambda row: row[0])
def test_a_map_macro_makes_this_map(program: Callable[..., Any], row: tuple[str, str, int, int, int, int]) -> None:
    text, kind, key, value, entries, flags = row
    made = program(f"#define N 16\n{text};\nint f(void *ctx) {{ return 0; }}")
    spec = made.maps["m"].spec
    assert (spec.type, spec.key_size, spec.value_size, spec.flags) == (MAP_TYPES[kind], key, value, flags)
    if kind != "perf_event_array":
        assert spec.max_entries == entries
    assert made.maps["m"].fd >= 0


def test_every_map_macro_has_a_test() -> None:
    tested = {name for text, *_ in DECLARATIONS for name in dialect.MAP_MACROS if f"{name}(" in text}
    assert set(dialect.MAP_MACROS) - tested == {"BPF_TABLE_PINNED", "BPF_QUEUESTACK_PINNED"}


@pytest.mark.kernel
def test_a_pinned_table_is_found_again_at_its_path(tmp_path: Path, program: Callable[..., Any]) -> None:
    text = f'BPF_TABLE_PINNED("hash", u64, u64, m, 16, "{tmp_path}/a b/m"); int f(void *ctx) {{ m.increment(3); return 0; }}'
    compiled = read_object(compile_source(text).data)
    assert compiled.maps["m"].pin_path == f"{tmp_path}/a b/m"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("BPF_HASH(m, u32, u64, 0);", "needs room for at least one entry"),
        ("BPF_HASH();", r"BPF_HASH needs 'name': BPF_HASH\(name, \[key\], \[leaf\], \[size\]\)"),
        ("BPF_HASH(m, u32, u64, 1, 2);", "too many arguments"),
        ("BPF_HASH(m, u32, struct nothing_like_it);", "'struct nothing_like_it' is not defined"),
        ('BPF_TABLE("hsh", u32, u64, m, 5);', "did you mean 'hash'"),
        ('BPF_ARRAY_OF_MAPS(m, "other", 4);', "no map is named 'other'"),
        ("BPF_HASH(m); int f(void *c) { u64 k = 1; return *m.lookup(k); }", r"write '&k'"),
        ("BPF_HASH(m); int f(void *c) { u32 k = 1; m.delete(&k); return 0; }", "the key has 8 bytes"),
        ("BPF_HASH(m); int f(void *c) { u64 k = 1; m.lokup(&k); return 0; }", "did you mean 'lookup'"),
        ("BPF_HASH(m); int f(void *c) { u64 k = 1; m.increment(&k); return 0; }", "wants the key itself"),
        ("BPF_HASH(m); int f(void *c) { u64 k = 1; m.push(&k); return 0; }", "hash map 'm' has no method 'push'"),
        ("BPF_HASH(m, u32, struct {int a;}); int f(void *c) { m.increment(1); return 0; }", "needs a map of integers"),
        ("BPF_PERF_OUTPUT(e); int f(void *c) { u64 d = 1; e.perf_submit(c, d, 8); return 0; }", "write '&d'"),
        ("BPF_HASH(m); int f(void *c) { m.lookup(); return 0; }", r"too few arguments: m.lookup\(key\)"),
    ],
)
def test_a_wrong_use_of_a_map_says_what_is_right(text: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile_source(text)


# what a program puts into `out`, slot by slot
METHODS = {
    "lookup": (
        "BPF_HASH(m, u32, u64);",
        "u32 k = 5, n = 6; u64 v = 9, *q; m.update(&k, &v); q = m.lookup(&k); if (q) { put(0, *q); (*q)++; }"
        " put(1, m.lookup(&n) == 0); q = m.lookup(&k); if (q) put(2, *q);",
        [9, 1, 10],
    ),
    "lookup_or_try_init": (
        "BPF_HASH(m, u32, u64, 1);",
        "u32 k = 5, n = 6; u64 v = 9, *q; q = m.lookup_or_try_init(&k, &v); if (q) put(0, (*q)++);"
        " q = m.lookup_or_try_init(&k, &v); if (q) put(1, *q); put(2, m.lookup_or_try_init(&n, &v) == NULL);",
        [9, 10, 1],
    ),
    "lookup_or_init": (
        "BPF_HASH(m, u32, u64, 1);",
        "u32 k = 5, n = 6; u64 v = 9, *q; q = m.lookup_or_init(&k, &v); put(0, (*q)++); q = m.lookup_or_init(&k, &v); put(1, *q);"
        " q = m.lookup_or_init(&n, &v); put(2, *q);",  # full: the function is left here
        [9, 10, 0],
    ),
    "update insert delete": (
        "BPF_HASH(m, u32, u64, 1);",
        "u32 k = 5, n = 6; u64 v = 9; put(0, m.insert(&k, &v)); put(1, -m.insert(&k, &v)); put(2, -m.update(&n, &v));"
        " put(3, m.delete(&k)); put(4, -m.delete(&k)); put(5, m.update(&n, &v));",
        [0, 17, 7, 0, 2, 0],
    ),
    "increment of a struct": (
        "struct k { u32 a; u64 b; }; BPF_HASH(m, struct k);",
        "struct k k = {1, 2}; m.increment(k); m.increment((struct k){1, 2}, 5); m.atomic_increment(k, k.b);"
        " u64 *q = m.lookup(&k); if (q) put(0, *q);",
        [8],
    ),
    "push pop peek": (
        "BPF_QUEUE(q, u64, 4); BPF_STACK(s, u64, 4);",
        "u64 v = 1, w = 0; q.push(&v); s.push(&v, 0); v = 2; q.push(&v, BPF_EXIST); s.push(&v); q.peek(&w); put(0, w);"
        " q.pop(&w); put(1, w); q.pop(&w); put(2, w); put(3, -q.pop(&w)); s.peek(&w); put(4, w); s.pop(&w); put(5, w);"
        " s.pop(&w); put(6, w);",
        [1, 1, 2, 2, 2, 2, 1],
    ),
    "get_stackid": ("BPF_STACK_TRACE(st, 64);", "put(0, st.get_stackid(ctx, 0) >= 0);", [1]),
    "check_current_task": ("BPF_CGROUP_ARRAY(c, 1);", "put(0, -c.check_current_task(0));", [11]),  # EAGAIN: no cgroup there
    "perf_read perf_counter_value": (
        "BPF_PERF_ARRAY(c, 4);",
        "struct bpf_perf_event_value v = {}; put(0, -c.perf_read(CUR_CPU_IDENTIFIER)); put(1, -c.perf_counter_value(0, &v, sizeof(v)));",
        [2, 2],  # ENOENT: no counter there
    ),
    "task_storage_get task_storage_delete": (
        "BPF_TASK_STORAGE(m, u64);",
        "struct task_struct *t = bpf_get_current_task_btf(); u64 z = 3;"
        " u64 *v = m.task_storage_get(t, &z, BPF_LOCAL_STORAGE_GET_F_CREATE); if (!v) return 1; (*v)++; put(0, *v);"
        " v = m.task_storage_get(t, 0, 0); if (v) put(1, *v); put(2, m.task_storage_delete(t)); put(3, -m.task_storage_delete(t));",
        [4, 4, 0, 2],
    ),
}  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("name", METHODS)
def test_map_methods_do_what_bcc_says(program: Callable[..., Any], name: str) -> None:
    maps, body, expected = METHODS[name]
    made = program(f"{OUT}{maps}\nint f(struct bpf_raw_tracepoint_args *ctx) {{ {body} return 0; }}")
    assert made.run() == 0
    assert made.out[: len(expected)] == expected


INCREMENTED = (
    "BPF_HASH(m, u32, u64)", "BPF_HASH(m, u32, u32)", "BPF_HASH(m)", "BPF_HASH(m, u8, s64)", "BPF_ARRAY(m, u64, 10)",
    "BPF_ARRAY(m, u32, 10)", "BPF_HISTOGRAM(m)", "BPF_HISTOGRAM(m, u32)", "BPF_PERCPU_HASH(m, u32)", "BPF_PERCPU_ARRAY(m, u64, 8)",
    "BPF_LRU_HASH(m, u32)",
)  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("declaration", INCREMENTED)
def test_increment_counts_in_any_map_of_integers(program: Callable[..., Any], declaration: str) -> None:
    made = program(
        f"{OUT}{declaration};\n"
        "int f(void *ctx) { int one = 1; m.increment(5); m.increment(4 + one, 10); m.atomic_increment(5); m.atomic_increment(5, 1000);"
        " m.atomic_increment(4, one + 6); m.increment(6 - one, 100); typeof(m.key) k = 5; typeof(m.leaf) *q = m.lookup(&k);"
        " if (q) put(0, *q); k = 4; q = m.lookup(&k); if (q) put(1, *q); return 0; }"
    )
    assert made.run() == 0
    assert made.out[:2] == [1112, 7]


@pytest.mark.kernel
def test_ring_buffer_records_arrive_as_written(program: Callable[..., Any]) -> None:
    made = program(
        OUT + "BPF_RINGBUF_OUTPUT(r, 2); struct e { u32 a, b; };\n"
        "int f(void *ctx) { struct e e = {1, 2}; put(0, r.ringbuf_output(&e, sizeof(e), 0));"
        " struct e *p = r.ringbuf_reserve(sizeof(struct e)); if (!p) return 1; p->a = 3; p->b = 4; r.ringbuf_submit(p, 0);"
        " p = r.ringbuf_reserve(sizeof(*p)); if (!p) return 2; p->a = 9; r.ringbuf_discard(p);"
        " put(1, r.ringbuf_query(0)); put(2, r.ringbuf_query(BPF_RB_RING_SIZE)); return 0; }"
    )
    assert made.run() == 0
    assert made.out[:3] == [0, 48, 8192]
    ring = made.engine.map_ring(made.maps["r"])
    try:
        records = ring.data[4096 : 4096 + 48]
    finally:
        ring.close()
    assert [struct.unpack_from("=IIII", records, at)[::2] for at in (0, 16)] == [(8, 1), (8, 3)]
    assert struct.unpack_from("=II", records, 24) == (3, 4)
    assert records[32 + 3] & 0x40  # BPF_RINGBUF_DISCARD_BIT
    spec = made.maps["r"].spec
    assert made.object.btf.type(spec.record_type).name == "e"


@pytest.mark.kernel
def test_perf_buffer_records_arrive_as_written(program: Callable[..., Any]) -> None:
    made = program(
        OUT + "BPF_PERF_OUTPUT(e); struct ev { u64 a; char c[8]; };\n"
        'int f(struct bpf_raw_tracepoint_args *ctx) { struct ev v = {.a = 0x1122, .c = "hi"};'
        " put(0, -e.perf_submit(ctx, &v, sizeof(v))); return 0; }\n"
        "int g(struct __sk_buff *skb) { struct ev v = {.a = 0x3344}; put(1, -e.perf_submit_skb(skb, 20, &v, sizeof(v))); return 0; }"
    )
    rings = [made.engine.open_perf_ring(made.maps["e"], cpu, 1) for cpu in made.engine.online_cpus]
    try:
        assert made.run() == 0
        made.packet("g", PACKET, section="tc")
        data = b"".join(ring.memory[4096 : 4096 + 256] for ring in rings)
    finally:
        for ring in rings:
            ring.close()
    assert made.out[:2] == [0, 0]
    assert struct.pack("=Q8s", 0x1122, b"hi") in data
    assert struct.pack("=Q8s", 0x3344, b"") + PACKET[:20] in data  # the record, then the packet
    assert made.object.btf.type(made.maps["e"].spec.record_type).name == "ev"


@pytest.mark.kernel
def test_a_tail_call_leaves_for_good_and_an_empty_slot_goes_on(program: Callable[..., Any]) -> None:
    made = program(
        OUT + "enum { SLOT = 2 }; BPF_PROG_ARRAY(p, 4); int g(void *ctx) { put(1, 77); return 9; }\n"
        "int f(void *ctx) { p.call(ctx, 1); put(0, 1); p.call(ctx, SLOT); put(0, 5); return 4; }"
    )
    made.maps["p"].update(struct.pack("=I", 2), struct.pack("=I", made.load("g").fd))
    assert made.run() == 9
    assert made.out[:2] == [1, 77]


@pytest.mark.kernel
def test_redirect_map_gives_the_action_or_the_flags(program: Callable[..., Any]) -> None:
    made = program(
        OUT + "BPF_DEVMAP(d, 4); BPF_CPUMAP(c, 2); BPF_XSKMAP(x, 2);\n"
        "int f(struct xdp_md *ctx) { put(0, d.redirect_map(0)); put(1, c.redirect_map(0, XDP_PASS)); put(2, x.redirect_map(1, XDP_DROP));"
        " return XDP_PASS; }"
    )
    assert made.packet(section="xdp")[0] == 2
    assert made.out[:3] == [0, 2, 1]


@pytest.mark.kernel
def test_an_inner_map_is_used_through_its_pointer(program: Callable[..., Any]) -> None:
    made = program(
        OUT + 'BPF_HASH(i, u32, u64, 5); BPF_HASH(j, u32, u64, 5); BPF_ARRAY_OF_MAPS(m, "i", 4);\n'
        "int f(void *ctx) { int k = 0; u32 n = 3; void *in = m.lookup(&k); if (!in) return 1; u64 v = 55;"
        " bpf_map_update_elem(in, &n, &v, 0); u64 *q = bpf_map_lookup_elem(in, &n); if (q) put(0, *q); k = 2;"
        " put(1, m.lookup(&k) == 0); return 0; }"
    )
    made.maps["m"].update(bytes(4), struct.pack("=I", made.maps["j"].fd))
    assert made.run() == 0
    assert made.out[:2] == [55, 1]
    assert made.get("j", 3) == 55


@pytest.mark.kernel
def test_check_current_task_knows_the_cgroup(program: Callable[..., Any]) -> None:
    with open("/proc/self/mountinfo") as mounts:
        roots = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    if not roots:
        pytest.skip("cgroup2 is not mounted")
    made = program(OUT + "BPF_CGROUP_ARRAY(c, 1); int f(void *ctx) { put(0, c.check_current_task(0)); return 0; }")
    fd = os.open(roots[0], os.O_RDONLY | os.O_DIRECTORY)
    try:
        made.maps["c"].update(bytes(4), struct.pack("=I", fd))
    finally:
        os.close(fd)
    made.run()
    assert made.out[0] == 1


# methods that need a socket, an inode or a cgroup around them: the verifier's judgement is the test
LOADED = {
    "lookup_percpu": (
        "tc",
        "BPF_PERCPU_HASH(m, u32, u64);",
        "struct __sk_buff",
        "u32 k = 1; u64 *v = m.lookup_percpu(&k, 0); return v ? *v : 0;",
    ),
    "cgrp_storage_get cgrp_storage_delete": (
        "tp_btf/sys_enter",
        "BPF_CGRP_STORAGE(m, u64);",
        "u64",
        "u64 z = 0, *v = m.cgrp_storage_get(bpf_get_current_task_btf()->cgroups->dfl_cgrp, &z, 1);"
        "if (v) *v += 1; return m.cgrp_storage_delete(bpf_get_current_task_btf()->cgroups->dfl_cgrp);",
    ),
    "sock_map_update sock_hash_update": (
        "sockops",
        "BPF_SOCKMAP(m, 4); BPF_SOCKHASH(h);",
        "struct bpf_sock_ops",
        "u32 k = 1; m.sock_map_update(ctx, &k, BPF_ANY); h.sock_hash_update(ctx, &k, BPF_ANY); return 0;",
    ),
    "msg_redirect_map msg_redirect_hash": (
        "sk_msg",
        "BPF_SOCKMAP(m, 4); BPF_SOCKHASH(h);",
        "struct sk_msg_md",
        "u32 k = 1; if (ctx->size > 9) return m.msg_redirect_map(ctx, 1, 0); return h.msg_redirect_hash(ctx, &k, BPF_F_INGRESS);",
    ),
    "sk_redirect_map sk_redirect_hash": (
        "sk_skb/stream_verdict",
        "BPF_SOCKMAP(m, 4); BPF_SOCKHASH(h);",
        "struct __sk_buff",
        "u32 k = 1; if (ctx->len > 9) return m.sk_redirect_map(ctx, 1, 0); return h.sk_redirect_hash(ctx, &k, 0);",
    ),
    "sk_storage_get sk_storage_delete": (
        "cgroup_skb/egress",
        "BPF_SK_STORAGE(m, u64);",
        "struct __sk_buff",
        "struct bpf_sock *sk = ctx->sk; if (!sk) return 1; u64 z = 1, *v = m.sk_storage_get(sk, &z, BPF_SK_STORAGE_GET_F_CREATE);"
        " if (v) *v += ctx->len; m.sk_storage_delete(sk); return 1;",
    ),
    "get_local_storage": (
        "cgroup_skb/egress",
        "BPF_CGROUP_STORAGE(m, u64); BPF_PERCPU_CGROUP_STORAGE(p, u32);",
        "struct __sk_buff",
        "u64 *v = m.get_local_storage(0); __sync_fetch_and_add(v, 1); *p.get_local_storage(0) += 1; return 1;",
    ),
}


@pytest.mark.kernel
@pytest.mark.parametrize("name", LOADED)
def test_methods_of_network_maps_pass_the_verifier(program: Callable[..., Any], name: str) -> None:
    section, maps, context, body = LOADED[name]
    made = program(f'{maps}\nSEC("{section}") int f({context} *ctx) {{ {body} }}')
    assert made.load().fd >= 0


def test_inode_storage_methods_call_their_helpers() -> None:
    text = """BPF_INODE_STORAGE(m, u64); SEC("lsm/inode_unlink") int f(unsigned long long *ctx) {
        struct dentry *d = (void *)ctx[1]; u64 z = 0; u64 *v = m.inode_storage_get(d->d_inode, &z, 1); if (v) *v += 1;
        return m.inode_storage_delete(d->d_inode); }"""
    code = read_object(compile_source(text).data).programs["f"].instructions
    assert [imm for op, _, _, imm in struct.iter_unpack("<BBhi", code) if op == 0x85][-2:] == [145, 146]


def test_every_method_has_a_test() -> None:
    tested = " ".join((*METHODS, *LOADED, "increment atomic_increment inode_storage_get inode_storage_delete redirect_map call"))
    tested += " ringbuf_output ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_query perf_submit perf_submit_skb"
    assert set(dialect.METHODS) - set(tested.split()) == set()


def test_helper_numbers_are_the_kernels() -> None:
    known = enumerators("bpf_func_id")
    assert {name: number for name, (number, _, _) in HELPERS.items() if known.get(f"BPF_FUNC_{name}", number) != number} == {}
    assert {name for name in known if name.startswith("BPF_FUNC_")} <= {f"BPF_FUNC_{name}" for name in HELPERS} | {
        "BPF_FUNC_unspec"
    }


def test_map_types_are_the_kernels() -> None:
    known = enumerators("bpf_map_type")
    newest = max(number for name, number in known.items() if name != "__MAX_BPF_MAP_TYPE")
    types = {name: number for name, number in dialect.MAP_TYPES.items() if number <= newest}
    assert {name: known.get(f"BPF_MAP_TYPE_{name.upper()}") for name in types} == types


def test_every_helper_can_be_called() -> None:
    programs = []
    for name, (_, result, params) in HELPERS.items():
        given = [] if params == "void" else params.split(", ")
        args = ", ".join("(void *)0" if "*" in param else "1" for param in given if param != "...")
        call = f"bpf_{name}({args});"
        programs.append(f"int f_{name}(void *ctx) {{ {call if result == 'void' else 'return !!' + call} return 0; }}")
    compiled = compile_source("\n".join(programs))
    assert compiled.diagnostics == ""
    found = read_object(compiled.data).programs
    for name, (number, _, _) in HELPERS.items():
        calls = [imm for op, _, _, imm in struct.iter_unpack("<BBhi", found[f"f_{name}"].instructions) if op == 0x85]
        assert calls == [number], name
    assert len(found) == len(HELPERS)
