"""Calls in the kernel: subprograms, callbacks, tail calls and the arrays that they go through, run by BPF_PROG_TEST_RUN."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from skep import BPF
from skep.errors import CompileError, SkepError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

PACKET = bytes(range(64))

SUBPROGRAMS = """
BPF_HASH(squares, u32, u64);
BPF_ARRAY(visits, u64, 4);
struct state { u64 sum; u32 limit; };

static __attribute__((noinline)) u64 square(u64 x) { visits.atomic_increment(0); return x * x; }
static __attribute__((noinline)) u64 outer(u64 x) { visits.atomic_increment(1); return square(x) + square(x + 1); }
__attribute__((noinline)) u32 global_one(struct __sk_buff *skb, u32 bias) { return skb->len + bias; }
static __attribute__((noinline)) int fill(u64 *out, int n) { *out = n; return n + 1; }

static long add_index(u32 index, struct state *s) {
    if (index >= s->limit)
        return 1;
    s->sum += index;
    return 0;
}
static long add_entry(struct bpf_map *map, u32 *key, u64 *value, struct state *s) { s->sum += *key * 1000 + *value; return 0; }

int nested(struct __sk_buff *skb) { return outer(3); }
int global(struct __sk_buff *skb) { return global_one(skb, 1000); }
int pointers(struct __sk_buff *skb) { u64 out = 0; int r = fill(&out, 20); return r * 100 + out; }
int loop(struct __sk_buff *skb) {
    struct state s = { .limit = 50 };
    long rounds = bpf_loop(1000, add_index, &s, 0);
    return rounds * 10000 + s.sum;
}
int each(struct __sk_buff *skb) {
    struct state s = {};
    u32 key = 2; u64 value = 7;
    squares.update(&key, &value);
    key = 5; value = 9;
    squares.update(&key, &value);
    bpf_for_each_map_elem(&squares, add_entry, &s, 0);
    return s.sum;
}
"""

TAIL_CALLS = """
BPF_PROG_ARRAY(steps, 8);
BPF_ARRAY(trace, u64, 40);
static __attribute__((noinline)) int jump(struct __sk_buff *skb, u32 index) { steps.call(skb, index); return skb->len; }

int from_program(struct __sk_buff *skb) { steps.call(skb, 1); return 11; }
int from_subprogram(struct __sk_buff *skb) { int r = jump(skb, 1); return r + 1; }
static __attribute__((noinline)) int jump_or_7(struct __sk_buff *skb) { steps.call(skb, 1); return 7; }
int from_constant(struct __sk_buff *skb) { return jump_or_7(skb) + 1; }
static void inlined(struct __sk_buff *skb) { steps.call(skb, 1); }
static __attribute__((noinline)) u64 jump_or_8(struct __sk_buff *skb) { inlined(skb); return 8; }
int from_inlined(struct __sk_buff *skb) { return jump_or_8(skb) + 1; }
static __attribute__((noinline)) int helper(u32 x) { return x * 2; }
int target(struct __sk_buff *skb) { return helper(21); }
int other(struct __sk_buff *skb) { return 5; }
int chain(struct __sk_buff *skb) { trace.atomic_increment(0); steps.call(skb, 2); return 9; }
"""


@pytest.fixture
def calls() -> Iterator[BPF]:
    with BPF(text=SUBPROGRAMS) as bpf:
        yield bpf


@pytest.fixture
def tails() -> Iterator[BPF]:
    with BPF(text=TAIL_CALLS) as bpf:
        yield bpf


def run(bpf: BPF, name: str) -> int:
    result: int = bpf.load_func(name, BPF.SCHED_CLS).handle.test_run(PACKET)[0]
    return result


def test_subprograms_call_subprograms_and_share_maps(calls: BPF) -> None:
    assert run(calls, "nested") == 9 + 16
    assert [leaf.value for leaf in calls["visits"].values()] == [2, 1, 0, 0]


def test_a_global_subprogram_reads_the_context(calls: BPF) -> None:
    assert run(calls, "global") == 1000 + len(PACKET)


def test_a_subprogram_writes_through_its_caller_s_stack(calls: BPF) -> None:
    assert run(calls, "pointers") == 21 * 100 + 20


def test_bpf_loop_calls_back_until_told_to_stop(calls: BPF) -> None:
    assert run(calls, "loop") == 51 * 10000 + sum(range(50))


def test_a_callback_sees_every_entry_of_a_map(calls: BPF) -> None:
    assert run(calls, "each") == 7 * 1000 + 16


@pytest.mark.parametrize("start", ["from_program", "from_subprogram", "from_constant", "from_inlined"])
def test_a_tail_call_ends_the_program_that_makes_it(tails: BPF, start: str) -> None:
    missed = {"from_program": 11, "from_subprogram": len(PACKET) + 1, "from_constant": 8, "from_inlined": 9}[start]
    assert run(tails, start) == missed
    tails["steps"][1] = tails.load_func("target", BPF.SCHED_CLS)
    # from a subprogram the target's result is the subprogram's: its caller goes on
    assert run(tails, start) == (42 if start == "from_program" else 43)
    tails["steps"][1] = tails.load_func("other", BPF.SCHED_CLS).fd
    assert run(tails, start) == (5 if start == "from_program" else 6)
    del tails["steps"][1]
    assert run(tails, start) == missed


def test_a_program_is_put_into_an_array_by_its_name(tails: BPF) -> None:
    start = tails.load_func("from_program", BPF.SCHED_CLS)
    tails["steps"][1] = "target"
    assert start.handle.test_run(PACKET)[0] == 42
    tails["steps"][1] = b"other"
    assert start.handle.test_run(PACKET)[0] == 5
    with pytest.raises(SkepError, match="no program 'targe'; did you mean 'target'"):
        tails["steps"][1] = "targe"


def test_another_process_fills_an_array_through_its_id(tails: BPF) -> None:
    start, target = (tails.load_func(name, BPF.SCHED_CLS) for name in ("from_program", "target"))
    assert start.handle.test_run(PACKET)[0] == 11
    script = "import sys; from skep import maps\nwith maps.from_id(int(sys.argv[1])) as steps:\n    steps[1] = int(sys.argv[2])\n"
    subprocess.run([sys.executable, "-c", script, str(tails["steps"].map_id), str(target.fd)], pass_fds=[target.fd], check=True)
    assert start.handle.test_run(PACKET)[0] == 42


def test_a_chain_ends_after_33_tail_calls(tails: BPF) -> None:
    tails["steps"][2] = tails.load_func("chain", BPF.SCHED_CLS)
    assert run(tails, "chain") == 9
    assert tails["trace"][0].value == 34


def test_recursion_and_too_deep_stacks_are_refused_before_loading() -> None:
    with pytest.raises(CompileError, match="recurs"):
        BPF(text="static __attribute__((noinline)) int f(int x) { return x ? f(x - 1) : 0; } int p(void *ctx) { return f(3); }")
    text = """
static __attribute__((noinline)) int deep(u64 n) {
    char room[300];
    bpf_probe_read_kernel(room, sizeof(room), (void *)n);
    return room[n & 7];
}
int p(void *ctx) { char own[300]; bpf_get_current_comm(own, sizeof(own)); return deep(bpf_ktime_get_ns()) + own[5]; }
"""
    with pytest.raises(CompileError, match="stack"):
        BPF(text=text)
