"""Builtins with an answer at compile time or made of other C: overflow, sizes of objects, CO-RE's questions."""

from __future__ import annotations

import os
import re
from itertools import product
from typing import TYPE_CHECKING

import pytest

from skep.compiler import compile_source
from skep.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Program

TYPES = {"int": (-(1 << 31), (1 << 31) - 1), "unsigned": (0, (1 << 32) - 1), "s64": (-(1 << 63), (1 << 63) - 1),
         "u64": (0, (1 << 64) - 1), "s8": (-128, 127), "u16": (0, 65535)}  # fmt: skip
VALUES = [0, 1, -1, 2, 3, 127, 128, -128, 65535, (1 << 31) - 1, 1 << 31, -(1 << 31), (1 << 32) - 1, 1 << 32, 1 << 33,
          (1 << 63) - 1, -(1 << 63), 1 << 63, (1 << 64) - 1, 0x100000001]  # fmt: skip
OPS = {"add": int.__add__, "sub": int.__sub__, "mul": int.__mul__}
CASES = [*((t, t, t) for t in TYPES), ("s64", "u64", "s64"), ("u64", "int", "u64"), ("int", "unsigned", "s64"),
         ("unsigned", "unsigned", "s64"), ("unsigned", "unsigned", "u64"), ("u64", "u64", "int"), ("s64", "s64", "u64"),
         ("int", "int", "u16")]  # fmt: skip


def wrapped(value: int, type: str) -> int:
    low, high = TYPES[type]
    return (value - low) % (high - low + 1) + low


@pytest.mark.kernel
@pytest.mark.parametrize("types", CASES, ids="-".join)
def test_overflow_is_reported_and_the_result_wraps(types: tuple[str, str, str], program: Callable[..., Program]) -> None:
    a_type, b_type, to = types
    lines = "".join(
        f"{{ {to} r = 0; int o = __builtin_{op}_overflow(({a_type})ctx->args[0], ({b_type})ctx->args[1], &r);"
        f" k = {2 * i}; v = out.lookup(&k); if (v) *v = o; k = {2 * i + 1}; v = out.lookup(&k); if (v) *v = r; }}\n"
        for i, op in enumerate(OPS)
    )
    made = program(f"BPF_ARRAY(out, u64, 6);\nint f(struct bpf_raw_tracepoint_args *ctx) {{ int k; u64 *v;\n{lines} return 0; }}")
    pairs = product(*([v for v in VALUES if TYPES[t][0] <= v <= TYPES[t][1]] for t in (a_type, b_type)))
    for x, y in pairs:
        made.run(args=(x, y))
        out = made.out
        for i, operation in enumerate(OPS.values()):
            exact = operation(x, y)
            fits = TYPES[to][0] <= exact <= TYPES[to][1]
            assert (out[2 * i], out[2 * i + 1]) == (not fits, wrapped(exact, to) & (1 << 64) - 1), (i, x, y)


def constants(*expressions: str, head: str = "") -> None:
    """All expressions are true at compile time."""
    checks = "".join(f'_Static_assert({e}, "{i}");\n' for i, e in enumerate(expressions))
    compile_source(f"{head}\nint f(struct task_struct *t) {{ (void)t;\n{checks} return 0; }}", target="bpf")


def test_forms_with_the_type_in_the_name() -> None:
    text = "int main() { int r; long l; unsigned long long u; return __builtin_sadd_overflow(1, 2, &r)"
    compile_source(text + " | __builtin_smull_overflow(1, 2, &l) | __builtin_usubll_overflow(1, 2, &u); }", target="host")
    with pytest.raises(CompileError, match=r"__builtin_add_overflow\(\) takes two integers and a pointer to one"):
        compile_source("int f(void *ctx) { int r; return __builtin_add_overflow(1, 2, r); }")


def test_object_size_is_exact_where_it_is_plain_and_unknown_elsewhere() -> None:
    constants(
        "__builtin_object_size(buffer, 0) == 24", "__builtin_object_size(&buffer[4], 0) == 20",
        "__builtin_object_size(s.b, 0) == 10", "__builtin_object_size(s.b, 1) == 8", "__builtin_object_size(t, 0) == -1UL",
        "__builtin_object_size(t, 2) == 0", '__builtin_object_size("abc", 0) == 4',
        head="static char buffer[24]; static struct { char a[2], b[8], c[2]; } s;",
    )  # fmt: skip


def test_questions_about_this_kernels_types() -> None:
    constants(
        "bpf_core_field_exists(t->pid)", "!bpf_core_field_exists(t->nothing)", "bpf_core_field_exists(struct task_struct, mm)",
        "!bpf_core_field_exists(struct task_struct, nothing)", "bpf_core_field_exists(t->mm->pgd)",
        "bpf_core_field_exists(((struct task_struct___x *)t)->pid)", "!bpf_core_field_exists(struct task_struct___x, old)",
        "bpf_core_field_size(t->comm) == 16", "bpf_core_field_size(struct task_struct, pid) == 4",
        "bpf_core_field_size(struct task_struct___x, pid) == 4",
        "bpf_core_field_offset(struct task_struct, pid) == __builtin_offsetof(struct task_struct, pid)",
        "bpf_core_type_exists(struct task_struct)", "!bpf_core_type_exists(struct nothing_such)",
        "!bpf_core_type_exists(struct mine)", "bpf_core_type_exists(pid_t)", "bpf_core_type_exists(enum bpf_map_type)",
        "bpf_core_type_size(struct task_struct) == sizeof(struct task_struct)", "bpf_core_type_size(struct mine) == 0",
        "bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_HASH)",
        "!bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_NOTHING)",
        "bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_ARRAY) == 2",
        head="struct mine { int x; }; struct task_struct___x { long pid, old; } __attribute__((preserve_access_index));",
    )  # fmt: skip


def test_questions_that_have_no_answer_are_errors() -> None:
    with pytest.raises(CompileError, match="this kernel's 'struct task_struct' has no member 'nothing'"):
        constants("bpf_core_field_size(t->nothing) == 4")
    with pytest.raises(CompileError, match="this kernel has no enumerator 'BPF_NOTHING'"):
        constants("bpf_core_enum_value(enum bpf_map_type, BPF_NOTHING) == 4")


CORE = "struct task_struct{flavor} {{ {members} }} __attribute__((preserve_access_index));\n"


@pytest.mark.kernel
def test_a_record_of_ones_own_with_preserve_access_index_has_the_kernels_layout(program: Callable[..., Program]) -> None:
    head = CORE.format(flavor="", members="int pid; struct task_struct *group_leader; unsigned in_execve : 1; u64 tgid;")
    head += CORE.format(flavor="___old", members="long state; u64 gone;")
    made = program(f"""{head} BPF_ARRAY(out, u64, 4);
        static void put(int k, u64 value) {{ u64 *v = out.lookup(&k); if (v) *v = value; }}
        int f(void *ctx) {{
            struct task_struct *t = (void *)bpf_get_current_task();
            struct task_struct___old *old = (void *)t;
            put(0, t->group_leader->pid);
            put(1, t->tgid);
            put(2, t->in_execve);
            put(3, bpf_core_field_exists(old->state) ? old->state : bpf_core_field_exists(old->gone) ? old->gone : 77);
            return 0;
        }}""")
    made.run()
    assert made.out == [os.getpid(), os.getpid(), 0, 77]


@pytest.mark.kernel
def test_a_member_that_this_kernel_does_not_have_reads_as_zero(program: Callable[..., Program]) -> None:
    head = CORE.format(flavor="___old", members="u64 gone;")
    made = program(
        f"{head} int f(void *ctx) {{ struct task_struct___old *t = (void *)bpf_get_current_task(); return !!t->gone; }}"
    )
    assert made.run() == 0


def test_fences_have_their_order() -> None:
    """On the host: an acquire fence costs nothing on x86, a sequentially consistent one 20 cycles."""
    orders = {
        "__ATOMIC_ACQUIRE": "acquire",
        "__ATOMIC_RELEASE": "release",
        "__ATOMIC_ACQ_REL": "acq_rel",
        "__ATOMIC_SEQ_CST": "seq_cst",
    }
    for word, order in orders.items():
        text = f"void f(void) {{ __atomic_thread_fence({word}); }}"
        assert f"fence {order}" in compile_source(text, target="host", emit="ir").data.decode()
    assert "fence seq_cst" in compile_source("void f(void) { __sync_synchronize(); }", target="host", emit="ir").data.decode()
    none = compile_source("void f(void) { __atomic_signal_fence(5); }", target="host", emit="ir").data.decode()
    assert not re.search("fence (acq|rel|seq)", none)


ATOMIC, XCHG = 0xDB, 0xE1  # the opcode for 8 bytes, and what its immediate says


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("__atomic_store_n(p, 1, __ATOMIC_RELAXED);", "monotonic"),
        ("__atomic_store_n(p, 1, __ATOMIC_RELEASE);", "release"),
        ("__atomic_store_n(p, 1, __ATOMIC_SEQ_CST);", "seq_cst"),
        ("int one = 1; __atomic_store(p, &one, __ATOMIC_RELEASE);", "release"),
        ("__sync_lock_release(p);", "release"),
        ("__atomic_clear(p, __ATOMIC_RELEASE);", "release"),
        ("__atomic_load_n(p, __ATOMIC_ACQUIRE);", "acquire"),
        ("int one; __atomic_load(p, &one, __ATOMIC_RELAXED);", "monotonic"),
        ("__atomic_load_n(p, *p);", "seq_cst"),
    ],
)
def test_loads_and_stores_have_their_order(statement: str, expected: str) -> None:
    """On the host: a sequentially consistent store is an exchange on x86, 20 cycles; others are plain."""
    ir = compile_source(f"void f(int *p) {{ {statement} }}", target="host", emit="ir").data.decode()
    assert re.findall(r"(?:load|store) atomic volatile .* (\w+), align", ir) == [expected]


@pytest.mark.kernel
def test_a_fence_is_an_exchange_in_bpf(program: Callable[..., Program]) -> None:
    """LLVM 19 ends itself at a fence; an exchange orders everything, as each atomic instruction that fetches does."""
    made = program(
        "int all(void *c) { __sync_synchronize(); return 3; }"
        "int none(void *c) { __atomic_thread_fence(__ATOMIC_RELAXED); __atomic_signal_fence(__ATOMIC_SEQ_CST); return 4; }"
    )
    assert [(name, made.run(name)) for name in ("all", "none")] == [("all", 3), ("none", 4)]
    found = {name: [imm for op, *_, imm in made.instructions(name) if op == ATOMIC] for name in ("all", "none")}
    assert found == {"all": [XCHG], "none": []}


@pytest.mark.parametrize(
    ("declared", "call", "said"),
    [
        ("char x", "__sync_fetch_and_add(&x, 1)", "would need an atomic instruction for 1 byte, and BPF has them for 4 and 8"),
        ("short x", "__sync_bool_compare_and_swap(&x, 1, 2)", "an atomic instruction for 2 bytes, and BPF has them for 4 and 8"),
        ("__int128 x", "__atomic_exchange_n(&x, 1, 5)", "an atomic instruction for 16 bytes, and BPF has them for 4 and 8"),
        ("int x", "__atomic_test_and_set(&x, 5)", "an atomic instruction for 1 byte, and BPF has them for 4 and 8"),
        ("int x", "__sync_fetch_and_nand(&x, 1)", "has no instruction in BPF"),
        ("int *x", "__sync_fetch_and_or(&x, 1)", "works on a pointer to an integer, not 'int **'"),
        ("int x", "__atomic_thread_fence()", "takes a memory order"),
    ],
)
def test_what_bpf_has_no_atomic_instruction_for(declared: str, call: str, said: str) -> None:
    with pytest.raises(CompileError, match=re.escape(said)):
        compile_source(f"{declared}; int f(void *c) {{ {call}; return 0; }}")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("va_arg(n, int)", "va_arg() takes a va_list, not 'int'"),
        ("va_arg(list, struct unknown)", "'struct unknown' is not defined"),
        ("va_arg(list, int[2])", "an argument cannot be 'int [2]'"),
        ("va_start(list)", "va_start() takes a va_list and the last named parameter"),
        ("va_copy(list, n)", "va_copy() takes a va_list, not 'int'"),
        ("va_end(n)", "va_end() takes a va_list, not 'int'"),
    ],
)
def test_variadic_builtins_want_a_va_list(call: str, said: str) -> None:
    with pytest.raises(CompileError, match=re.escape(said)):
        compile_source(f"struct unknown; void f(int n, ...) {{ __builtin_va_list list; (void)__builtin_{call}; }}", target="host")
