"""Helpers that give records away, keep memory or wait: rings, dynptrs, locks, beside the kernel's where it can run them."""

from __future__ import annotations

import ctypes
import errno
import struct

import pytest
from helper_cases import KINDS, PACKET, WORDS, Case, Result, one, run, tables

from skep import BPF
from skep.errors import MemoryFault, TimeLimit, UnsupportedError

RINGS = "BPF_RINGBUF_OUTPUT(ring, 1); struct item { u64 a; u64 b; };"


def records(body: str, engine: str) -> tuple[list[bytes], Result]:
    """What a body puts into a ring buffer, in two runs."""
    found: list[bytes] = []
    with BPF(text=Case("", "raw", body, before=RINGS).text, engine=engine) as b:
        b["ring"].open_ring_buffer(lambda ctx, data, size: found.append(ctypes.string_at(data, size)))
        program = b.load_func("f", BPF.RAW_TRACEPOINT).handle
        for _ in range(2):
            result = program.test_run(ctx=WORDS)
        b.ring_buffer_consume()
        return found, (*result[:3], tables(b))


OUTPUTS = [
    (
        "submit and discard",
        """
        struct item *one = ring.ringbuf_reserve(16), *other;
        if (!one) return 1;
        other = ring.ringbuf_reserve(16);
        if (!other) { ring.ringbuf_discard(one, 0); return 2; }
        one->a = 1; one->b = 2; other->a = 3; other->b = 4;
        ring.ringbuf_submit(other, 0); ring.ringbuf_submit(one, BPF_RB_NO_WAKEUP);
        one = ring.ringbuf_reserve(16); if (one) ring.ringbuf_discard(one, 0);
        put(0, ring.ringbuf_query(BPF_RB_AVAIL_DATA)); put(1, ring.ringbuf_query(BPF_RB_RING_SIZE));
        put(2, ring.ringbuf_query(BPF_RB_PROD_POS)); put(3, ring.ringbuf_query(77));""",
    ),
    (
        "a full ring",
        """
        struct item item = {1, 2}; long failed = 0;
        for (int at = 0; at < 200; at++) failed += ring.ringbuf_output(&item, sizeof(item), 0) != 0;
        put(0, failed); put(1, ring.ringbuf_output(&item, sizeof(item), 0)); put(2, ring.ringbuf_output(&item, 16, 8));""",
    ),
    (
        "dynptr of a record",
        """
        struct bpf_dynptr d; u64 word = 0x1122334455667788, got = 0; u32 size = ctx->args[0] + 20;
        put(0, bpf_ringbuf_reserve_dynptr(&ring, size, 0, &d));
        put(1, bpf_dynptr_write(&d, 3, &word, 8, 0)); put(2, bpf_dynptr_read(&got, 8, &d, 3, 0)); put(3, got);
        put(4, bpf_dynptr_write(&d, 20, &word, 8, 0)); put(5, bpf_dynptr_read(&got, 8, &d, 19, 0));
        put(6, bpf_dynptr_write(&d, 0, &word, 8, 1)); u8 *part = bpf_dynptr_data(&d, 24, 2);
        if (part) { part[0] = 0x5a; part[1] = 0xa5; }
        put(7, !!part); put(8, !!bpf_dynptr_data(&d, 26, 2));
        for (int at = 0; at < 3; at++) bpf_dynptr_write(&d, at, &at, 1, 0);
        for (int at = 11; at < 24; at++) bpf_dynptr_write(&d, at, &at, 1, 0);
        if (size > 100) bpf_ringbuf_discard_dynptr(&d, 0); else bpf_ringbuf_submit_dynptr(&d, 0);""",
    ),
    (
        "dynptrs that are refused",
        """
        struct bpf_dynptr d, e, m; u64 word = 5; u32 zero = 0; u64 *kept = out.lookup(&zero);
        put(1, bpf_ringbuf_reserve_dynptr(&ring, 16, 1, &d)); put(2, bpf_dynptr_write(&d, 0, &word, 8, 0));
        put(3, bpf_dynptr_read(&word, 8, &d, 0, 0)); put(4, !!bpf_dynptr_data(&d, 0, 8)); bpf_ringbuf_submit_dynptr(&d, 0);
        put(5, bpf_ringbuf_reserve_dynptr(&ring, 8000, 0, &e)); bpf_ringbuf_discard_dynptr(&e, 0);
        if (!kept) return 1;
        put(6, bpf_dynptr_from_mem(kept, 8, 1, &m)); put(7, bpf_dynptr_from_mem(kept, 8, 0, &m));
        word = 0x99; put(8, bpf_dynptr_write(&m, 1, &word, 1, 0)); put(9, bpf_dynptr_read(&word, 8, &m, 0, 0)); put(10, word);
        put(11, bpf_dynptr_read(&word, 8, &m, 1, 0));""",
    ),
]


@pytest.mark.kernel
@pytest.mark.parametrize(("name", "body"), OUTPUTS, ids=[name for name, _ in OUTPUTS])
def test_rings_hold_the_same(name: str, body: str) -> None:
    assert records(body, "user") == records(body, "kernel")


def test_what_is_reserved_and_never_submitted_is_no_record() -> None:
    body = """
        struct item *one = ring.ringbuf_reserve(16), *other = ring.ringbuf_reserve(16); struct bpf_dynptr d;
        if (!one || !other) return 1;
        bpf_ringbuf_reserve_dynptr(&ring, 16, 0, &d);
        other->a = 7; other->b = 8; ring.ringbuf_submit(other, 0);
        one->a = 9;"""
    found, (result, *_) = records(body, "user")
    assert (result, found) == (0, [struct.pack("=QQ", 7, 8)] * 2)


def test_a_run_that_ends_with_a_fault_gives_back_what_it_reserved() -> None:
    body = """
        struct item *one = ring.ringbuf_reserve(16), item = {3, 4}; u64 *far = (u64 *)ctx->args[1];
        if (!one) return 1;
        if (ctx->args[0] == 7) { asm volatile("%0 = *(u64 *)(%1 + 0)" : "=r"(item.a) : "r"(far)); one->a = item.a; }
        ring.ringbuf_output(&item, 16, 0);"""
    with BPF(text=Case("", "raw", body, before=RINGS).text, engine="user") as b:
        found: list[bytes] = []
        b["ring"].open_ring_buffer(lambda ctx, data, size: found.append(ctypes.string_at(data, size)))
        program = b.load_func("f", BPF.RAW_TRACEPOINT).handle
        with pytest.raises(MemoryFault):
            program.test_run(ctx=WORDS)
        program.test_run(ctx=bytes(32))
        b.ring_buffer_consume()
        assert found == [struct.pack("=QQ", 3, 4)]


def test_only_reserved_records_are_submitted() -> None:
    body = """
        struct bpf_dynptr m; u32 zero = 0; u64 *kept = out.lookup(&zero), *part;
        if (!kept) return 1;
        bpf_dynptr_from_mem(kept, 8, 0, &m); part = bpf_dynptr_data(&m, 0, 8);
        if (part) bpf_ringbuf_submit(part, 0);
        put(1, !!part); put(2, ring.ringbuf_query(BPF_RB_AVAIL_DATA));"""
    try:
        found, _ = records(body, "user")
    except UnsupportedError as error:  # at load, where the translator knows what it is
        assert "reserved record" in str(error)  # noqa: PT017
    else:
        assert found == []


def test_a_dynptr_stands_for_memory_of_a_map_only() -> None:
    with pytest.raises(UnsupportedError, match="r1 must be memory of a map"):
        one("u64 word = 5; struct bpf_dynptr d; put(0, bpf_dynptr_from_mem(&word, 8, 0, &d));")


LOCKED = "struct locked { struct bpf_spin_lock lock; u32 count; }; BPF_HASH(locks, u32, struct locked, 4);"


@pytest.mark.kernel
def test_spin_locks_guard_on_both() -> None:
    body = """
        u32 key = 1; struct locked *found, first = {}; locks.update(&key, &first); found = locks.lookup(&key);
        if (!found) return 1;
        bpf_spin_lock(&found->lock); found->count += 5; bpf_spin_unlock(&found->lock);
        return found->count;"""
    case = Case("", "tc", body, before=LOCKED)
    results = [next(run(case, engine))[2][0] for engine in ("kernel", "user")]
    assert results == [5, 5]


def test_a_lock_that_is_never_given_back_ends_the_run() -> None:
    body = """
        u32 key = 1; struct locked *found, first = {}; locks.update(&key, &first); found = locks.lookup(&key);
        if (!found) return 1;
        bpf_spin_lock(&found->lock); bpf_spin_lock(&found->lock);"""
    with BPF(text=Case("", "raw", body, before=LOCKED).text, engine="user") as b:
        program = b.load_func("f", BPF.RAW_TRACEPOINT).handle
        program.machine.environment.env.time_limit = 50_000_000
        with pytest.raises(TimeLimit, match=r"limit of 0\.05 s"):
            program.test_run(ctx=WORDS)


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["xdp", "tc", "raw"])
def test_perf_output_of_data_and_packet(kind: str) -> None:
    body = """
        u64 words[2] = {1, 2}; u64 more = arg(0) << 32;
        put(0, bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU | more, words, arg(1) & 15));"""
    found = []
    for engine in ("kernel", "user"):
        case = Case("", kind, body, before="BPF_PERF_OUTPUT(events); struct item { u64 a; u64 b; };")
        records: list[bytes] = []
        results = []
        with BPF(text=case.text, engine=engine) as b:
            b["events"].open_perf_buffer(lambda cpu, data, size, to=records: to.append(ctypes.string_at(data, size)))
            program = b.load_func("f", KINDS[kind]).handle
            for more, size in (
                (0, 15),
                (0, 8),
                (20, 8),
                (7, 3),
                (len(PACKET), 1),
                (len(PACKET) + 1, 8),
                (1 << 20, 8),
                (1 << 24, 8),
            ):
                b["in"][0], b["in"][1] = more, size
                program.test_run(case.data[0], case.ctx)
                results.append(b["out"][0].value)
            b.perf_buffer_poll(0)
            b.perf_buffer_consume()
        found.append((results, sorted(records)))
    assert found[1] == found[0]
    assert found[0][1]


DRAIN = """
BPF_USER_RINGBUF(ring, 1);
static long take(struct bpf_dynptr *record, u64 *sum) {
    u64 word = 0; long failed = bpf_dynptr_read(&word, 8, record, 0, 0); u8 *part = bpf_dynptr_data(record, 8, 1);
    *sum = *sum * 3 + word + failed + (part ? *part : 1000);
    return word == 4;
}
"""


@pytest.mark.kernel
def test_records_from_python_are_drained_alike() -> None:
    body = """
        u64 sum = 0; put(0, bpf_user_ringbuf_drain(&ring, take, &sum, 0)); put(1, sum);
        put(2, bpf_user_ringbuf_drain(&ring, take, &sum, arg(0))); put(3, sum);"""
    found = []
    for engine in ("kernel", "user"):
        seen = []
        with BPF(text=Case("", "raw", body, before=DRAIN).text, engine=engine) as b:
            program = b.load_func("f", BPF.RAW_TRACEPOINT).handle
            for flags in (0, 1, 9):
                b["in"][0] = flags
                for word, size in ((1, 8), (2, 9), (3, 4), (4, 20), (5, 8)):
                    with b["ring"].reserve(size) as record:
                        record.data[:] = number_bytes(word, size)
                        if word == 2 and flags:
                            record.discard()
                program.test_run(ctx=WORDS)
                seen.append(([b["out"][at].value for at in range(4)], b["ring"].pending()))
        found.append(seen)
    assert found[1] == found[0]


def number_bytes(number: int, size: int) -> bytes:
    return number.to_bytes(8, "little").ljust(size, b"\7")[:size]


@pytest.mark.parametrize("engine", [pytest.param("kernel", marks=pytest.mark.kernel), "user"])
def test_a_ring_is_not_drained_by_a_callback_of_its_own(engine: str) -> None:
    before = """
BPF_USER_RINGBUF(ring, 1);
BPF_USER_RINGBUF(other, 1);
static long count(struct bpf_dynptr *record, u64 *sum) { *sum += 1; return 0; }
static long take(struct bpf_dynptr *record, u64 *sum) {
    sum[1] = bpf_user_ringbuf_drain(&ring, count, sum, 0);
    sum[2] += bpf_user_ringbuf_drain(&other, count, sum, 0);
    return 0;
}
"""
    body = """
        u64 sums[3] = {}; put(0, bpf_user_ringbuf_drain(&ring, take, sums, 0));
        put(1, sums[0]); put(2, sums[1]); put(3, sums[2]);"""
    with BPF(text=Case("", "raw", body, before=before).text, engine=engine) as b:
        program = b.load_func("f", BPF.RAW_TRACEPOINT).handle
        for name, records in (("ring", 3), ("other", 2)):
            for _ in range(records):
                with b[name].reserve(8) as record:
                    record.data[:] = bytes(8)
        program.test_run(ctx=WORDS)
        assert [b["out"][at].value for at in range(4)] == [3, 2, (1 << 64) - errno.EBUSY, 2]
        assert (b["ring"].pending(), b["other"].pending()) == (0, 0)
