"""Helpers: the same program on the same input gives the same result, packet and maps on the kernel and on the user engine."""

from __future__ import annotations

import os
import re
import struct
import time

import pytest
from helper_cases import HEAD, PACKET, Case, one, run
from helper_programs import CASES
from support import ROOT

from skep import BPF
from skep.engine.user.helpers import HELPERS
from skep.errors import SkepError, UnsupportedError


@pytest.mark.kernel
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_engines_give_the_same(case: Case) -> None:
    for on_kernel, on_user in zip(run(case, "kernel"), run(case, "user"), strict=True):
        assert on_user == on_kernel


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_user_engine_needs_no_privilege(case: Case) -> None:
    for _, _, (result, _, _, _) in run(case, "user"):
        assert result >= 0


def test_clocks_tell_the_time() -> None:
    before = [time.clock_gettime_ns(clock) for clock in (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_TAI)]
    _, words = one("""
        put(0, bpf_ktime_get_ns()); put(1, bpf_ktime_get_boot_ns()); put(2, bpf_ktime_get_tai_ns());
        put(3, bpf_ktime_get_coarse_ns()); put(4, bpf_jiffies64());""")
    after = [time.clock_gettime_ns(clock) for clock in (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_TAI)]
    assert all(first <= words[at] <= last for at, (first, last) in enumerate(zip(before, after, strict=True)))
    assert before[0] - 20_000_000 <= words[3] <= after[0]


@pytest.mark.kernel
def test_jiffies_are_the_kernels() -> None:
    found = []
    for engine in ("kernel", "user", "kernel"):
        ((_, _, (_, _, _, words)),) = run(Case("", "raw", "put(0, bpf_jiffies64());"), engine)
        found.append(int.from_bytes(words["out"][bytes(4)], "little"))
    assert abs(found[1] - found[0]) < 1000  # they begin with the clock, the kernel's some ticks later


def test_ids_are_those_of_the_thread_that_runs_the_program() -> None:
    _, words = one("put(0, bpf_get_current_pid_tgid()); put(1, bpf_get_current_uid_gid()); put(2, bpf_get_smp_processor_id());")
    assert words[0] == os.getpid() << 32 | os.getpid()
    assert words[1] == os.getgid() << 32 | os.getuid()
    assert words[2] in os.sched_getaffinity(0)


def test_ids_of_the_pid_namespace() -> None:
    place = os.stat("/proc/self/ns/pid")
    body = """
        struct bpf_pidns_info ids = {{}}; put(0, bpf_get_ns_current_pid_tgid({}, {}, &ids, sizeof(ids)));
        put(1, ids.pid); put(2, ids.tgid);"""
    _, words = one(body.format(place.st_dev, place.st_ino))
    assert [words[0], words[1], words[2]] == [0, os.getpid(), os.getpid()]
    _, words = one(body.format(place.st_dev, place.st_ino + 1))
    assert [words[0] - (1 << 64), words[1], words[2]] == [-22, 0, 0]


def test_a_hash_of_a_packet_is_that_of_its_flow() -> None:
    other = PACKET[:60] + bytes(28)
    case = Case("", "tc", "put(0, bpf_get_hash_recalc(ctx)); put(1, ctx->hash);")
    words = []
    for data in (PACKET, other, PACKET[:34] + b"xx" + PACKET[36:]):
        case.data = [data]
        ((_, _, (_, _, _, found)),) = run(case, "user")
        words.append([found["out"][bytes([at, 0, 0, 0])] for at in (0, 1)])
    assert words[0] == words[1] != words[2]
    assert words[0][0] == words[0][1] != bytes(8)


@pytest.mark.parametrize(
    ("body", "kind", "why"),
    [
        ("return ((struct task_struct *)bpf_get_current_task())->pid;", "raw", "bpf_get_current_task\\(\\) .*gives a struct"),
        ("return bpf_send_signal(9);", "raw", "bpf_send_signal\\(\\) .*changes the process"),
        ("u64 x = 1; return bpf_probe_write_user((void *)ctx->args[0], &x, 8);", "raw", "bpf_probe_write_user\\(\\) "),
        ("u64 x[2]; return bpf_get_stack(ctx, x, 16, 0);", "raw", "bpf_get_stack\\(\\) .*stack"),
        ("u64 x; return bpf_skb_load_bytes(ctx, 0, &x, 8);", "xdp", "bpf_skb_load_bytes\\(\\) wants .*__sk_buff"),
        ("return bpf_xdp_adjust_head((void *)ctx, 0);", "tc", "bpf_xdp_adjust_head\\(\\) wants .*XDP"),
        ("return bpf_skb_vlan_pop(ctx);", "tc", "bpf_skb_vlan_pop\\(\\) .*no meaning"),
    ],
)
def test_what_has_no_meaning_is_refused_at_load(body: str, kind: str, why: str) -> None:
    with pytest.raises(UnsupportedError, match=f"(?s){why}.*use the kernel engine") as caught:
        one(f"\n{body}\n", kind)
    assert body in str(caught.value)  # the C line


def test_packets_of_a_wrong_size_are_refused() -> None:
    with BPF(text=Case("", "tc", "").text, engine="user") as b:
        program = b.load_func("f", BPF.SCHED_CLS).handle
        for data, ctx in ((bytes(13), b""), (bytes(5000), b""), (bytes(60), struct.pack("=I", 5))):
            with pytest.raises(SkepError, match="test run of program 'f'"):
                program.test_run(data, ctx)


def test_programs_of_one_array_have_one_context() -> None:
    text = """
    BPF_PROG_ARRAY(tails, 2);
    int one(struct xdp_md *ctx) { tails.call(ctx, 0); return 1; }
    int other(struct bpf_raw_tracepoint_args *ctx) { tails.call(ctx, 0); return 1; }
    """
    with BPF(text=text, engine="user") as b:
        b["tails"][0] = b.load_func("one", BPF.XDP)
        with pytest.raises(SkepError, match=r"tails.* is for xdp programs"):
            b.load_func("other", BPF.RAW_TRACEPOINT)


STRUCTS = [
    ("RAW_TRACEPOINT_PROBE(sched_process_exec)", "struct task_struct *p = (void *)ctx->args[0];", "u32 pid = p->pid;"),
    ("RAW_TRACEPOINT_PROBE(sched_process_fork)", "struct task_struct *p = (void *)ctx->args[1];",
     "u32 pid = p->real_parent->pid;"),
    ('SEC("tp_btf/sched_process_exit") int BPF_PROG(ended, struct task_struct *p)', "", "u32 pid = p->pid;"),
    ("int kprobe____x64_sys_getppid(struct pt_regs *ctx)", "struct task_struct *p;",
     "p = (void *)bpf_get_current_task(); u32 pid = p->pid;"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "first", "access"), STRUCTS, ids=[row[0] for row in STRUCTS])
def test_a_struct_of_the_kernels_is_refused_at_load(function: str, first: str, access: str) -> None:
    text = f"{HEAD}{function} {{\n{first}\n{access}\nput(0, pid);\nreturn 0;\n}}\n"
    with pytest.raises(UnsupportedError, match=r"struct of the kernel's.*use the kernel engine") as caught:
        BPF(text=text, engine="user")
    assert access in str(caught.value)


def test_the_document_names_every_helper() -> None:
    text = (ROOT / "docs/user-engine.md").read_text().partition("## Helpers")[2].partition("Where the kernel's")[0]
    assert set(re.findall(r"`(\w+)`", text)) == {helper.name for helper in HELPERS.values()}


@pytest.mark.parametrize(
    "call",
    ["bpf_ringbuf_output(&h, &x, 8, 0)", "bpf_perf_event_output(ctx, &h, 0, &x, 8)", "bpf_ringbuf_query(&h, 0)",
     "bpf_map_push_elem(&h, &x, 0)", "!!bpf_ringbuf_reserve(&u, 8, 0)"],
)  # fmt: skip
def test_a_helper_takes_maps_of_its_type_only(call: str) -> None:
    with pytest.raises(UnsupportedError, match=r"r[12] must be a (ring buffer|perf event array)|have no operation"):
        one(f"u64 x = 5; return {call};", before="BPF_HASH(h, u64, u64, 16); BPF_USER_RINGBUF(u, 1);")
