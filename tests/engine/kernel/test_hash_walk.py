"""Large hash maps read by a program: the same as the batch call gives, also while programs write."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from map_parts import joined
from waiting import PATIENCE

from skep import BPF, maps
from skep.engine.kernel import hash_walk, hash_walk_program, syscall
from skep.engine.kernel.hash_walk import HashWalk
from skep.errors import MapError, SkepError, UnsupportedError

if TYPE_CHECKING:
    from skep.engine.kernel import KernelMap

    Entries = tuple[bytes, bytes, int]

pytestmark = pytest.mark.kernel

LARGE = 1 << 16  # entries from which the engine walks
NO_PREALLOC = 1


@pytest.fixture(autouse=True)
def possible() -> None:
    """Skips where the kernel has no such walk: nothing else may make it impossible."""
    with maps.create("hash", key=4, value=8, max_entries=16) as table:
        try:
            HashWalk(table.handle).close()
        except SkepError as error:
            if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 12):
                raise
            pytest.skip(f"this kernel has no walk: {str(error).splitlines()[0]}")


def by_batch(handle: KernelMap) -> Entries:
    parts = handle._batches(syscall.MAP_LOOKUP_BATCH)
    assert parts is not None
    return joined(parts)


def by_walk(walk: HashWalk) -> Entries | None:
    """None when a bucket never held still."""
    parts, bucket = [], 0
    while bucket >= 0:
        before = bucket
        bucket, (keys, values, count) = walk.read(before)
        parts.append((bytes(keys), bytes(values), count))
        if bucket == before:
            return None
    return joined(parts)


def pairs(handle: KernelMap, read: Entries | None) -> list[tuple[bytes, bytes]]:
    assert read is not None
    keys, values, count = read
    assert (len(keys), len(values)) == (count * handle.key_size, count * handle.value_size)
    size = handle.value_size
    rows = zip(range(0, len(keys), handle.key_size), range(0, len(values), size), strict=True)
    return sorted((bytes(keys[at : at + handle.key_size]), bytes(values[place : place + size])) for at, place in rows)


@pytest.mark.parametrize("kind", ["hash", "lru_hash", "percpu_hash", "lru_percpu_hash"])
@pytest.mark.parametrize(("key_size", "value_size"), [(4, 8), (1, 1), (2, 3), (8, 4), (12, 7), (16, 64), (5, 13), (40, 200)])
def test_it_gives_what_the_batch_call_gives(kind: str, key_size: int, value_size: int) -> None:
    chance = random.Random(key_size * value_size)
    with maps.create(kind, key=key_size, value=value_size, max_entries=300) as table:
        handle = table.handle
        for _ in range(200):
            handle.update(chance.randbytes(key_size), chance.randbytes(handle.value_size))
        expected = pairs(handle, by_batch(handle))
        walk = HashWalk(handle)
        try:
            assert pairs(handle, by_walk(walk)) == expected
            assert expected
            for key, _ in expected[::2]:
                handle.delete(key)
            assert pairs(handle, by_walk(walk)) == expected[1::2]
            for key, _ in expected[1::2]:
                handle.delete(key)
            assert by_walk(walk) == (b"", b"", 0)
        finally:
            walk.close()


def test_a_large_map_takes_many_runs_of_the_program() -> None:
    count = 3 * LARGE
    with maps.create("hash", key=ctypes.c_uint32, value=ctypes.c_uint64, max_entries=count, flags=NO_PREALLOC) as table:
        numbers = list(range(count))
        table.items_update_batch((table.Key * count)(*numbers), (table.Leaf * count)(*[number * 3 for number in numbers]))
        assert table.handle._walks == []
        read = {key.value: leaf.value for key, leaf in table.items()}
        assert len(table.handle._walks) == 1, "items() did not walk"
        assert read == {number: number * 3 for number in numbers}
        assert len(table) == count
        array = table.to_numpy()
        assert len(array) == count
        assert (array["value"] == array["key"].astype("u8") * 3).all()


@pytest.mark.parametrize("kind", ["hash", "percpu_hash"])
def test_what_a_walk_cannot_read_is_read_by_batch_calls(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = HashWalk.read
    runs = []

    def read(walk: HashWalk, bucket: int) -> object:
        """The first buckets are read; another never holds still."""
        runs.append(bucket)
        return real(walk, bucket) if not bucket else (bucket, (b"", b"", 0))

    monkeypatch.setattr(HashWalk, "read", read)
    with maps.create(kind, key=4, value=8, max_entries=LARGE) as table:
        handle = table.handle
        for number in range(3000):
            handle.update(number.to_bytes(4, "little"), bytes(handle.value_size))
        walked, *rest = handle.parts()
        assert 0 < walked[2] < 3000
        assert sum(part[2] for part in rest) == 3000 - walked[2]
        assert sorted(int.from_bytes(key, "little") for key in table) == list(range(3000))
        assert len(runs) == 4
        assert len(handle._walks) == 1, "the walk was not given back"


@pytest.mark.parametrize("kind", ["hash", "percpu_hash"])
def test_a_map_with_hardly_an_entry_is_read_by_batch_calls_after_one_run(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, runs = HashWalk.read, []

    def read(walk: HashWalk, bucket: int) -> object:
        runs.append(bucket)
        return real(walk, bucket)

    monkeypatch.setattr(HashWalk, "read", read)
    with maps.create(kind, key=ctypes.c_uint32, value=ctypes.c_uint64, max_entries=4 * LARGE) as table:
        for number in range(100):
            table.handle.update(number.to_bytes(4, "little"), bytes(table.handle.value_size))
        assert sorted(key.value for key in table) == list(range(100))
        assert runs == [0]
        assert sorted(table.to_numpy()["key"].tolist()) == list(range(100))


def without_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise UnsupportedError("a kernel before 6.9", needs="Linux 6.9")

    monkeypatch.setattr(HashWalk, "__init__", refused)


def test_a_kernel_without_walks_and_batch_calls_is_asked_for_one_key_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    without_walks(monkeypatch)
    for read in (len, lambda table: len(table.items()), lambda table: len(table.to_numpy()), lambda table: len(list(table))):
        with maps.create("hash", key=ctypes.c_uint32, value=ctypes.c_uint64, max_entries=LARGE) as table:
            table.handle._no_batch.add(syscall.MAP_LOOKUP_BATCH)
            table.update({1: 10, 2: 20})
            assert read(table) == 2


class Interrupt(OSError):
    """What a handler of a signal may raise: TimeoutError is such an OSError."""


def test_an_interrupt_while_the_program_is_made_loses_no_fd_and_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    real = HashWalk.__init__

    def interrupted(walk: HashWalk, map: KernelMap) -> None:
        real(walk, map)
        os.kill(os.getpid(), signal.SIGUSR1)

    def handler(*_: object) -> None:
        raise Interrupt

    monkeypatch.setattr(HashWalk, "__init__", interrupted)
    before = len(os.listdir("/proc/self/fd"))
    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        with maps.create("hash", key=4, value=8, max_entries=LARGE) as table:
            with pytest.raises(Interrupt):
                table.items()
            assert len(table.handle._walks) == 1
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert len(os.listdir("/proc/self/fd")) == before


def test_values_with_locks_or_timers_are_left_to_the_kernel() -> None:
    text = f"""
    struct timed {{ struct bpf_timer timer; u64 number; }};
    BPF_HASH(timed, u32, struct timed, {LARGE});
    static int late(void *map, u32 *key, struct timed *value) {{ return 0; }}
    int start(struct __sk_buff *skb) {{
        u32 key = 7;
        struct timed zero = {{}}, *value;
        timed.update(&key, &zero);
        value = timed.lookup(&key);
        if (!value)
            return 1;
        value->number = 42;
        bpf_timer_init(&value->timer, &timed, 1);
        return bpf_timer_set_callback(&value->timer, late);
    }}
    """
    with BPF(text=text, engine="kernel") as b:
        assert b.load_func("start", BPF.SCHED_CLS).handle.test_run(bytes(64))[0] == 0
        ((key, leaf),) = b["timed"].items()
        assert (key.value, leaf.number) == (7, 42)
        assert not any(bytes(leaf.timer)), "the kernel's pointers were shown"


def test_a_child_after_fork_reads_by_its_own_program() -> None:
    with maps.create("hash", key=ctypes.c_uint32, value=ctypes.c_uint64, max_entries=LARGE) as table:
        table.update({number: number for number in range(1000)})
        assert len(table) == 1000
        (parents,) = table.handle._walks
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                whole = len(table) == 1000
                status = 0 if whole and table.handle._walks[0] is not parents else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert len(table) == 1000


def test_threads_read_at_once_and_closing_meanwhile_is_an_error() -> None:
    table = maps.create("hash", key=ctypes.c_uint32, value=ctypes.c_uint64, max_entries=LARGE)
    table.update({number: number for number in range(1000)})
    wrong: list[object] = []
    started = threading.Semaphore(0)

    def read() -> None:
        try:
            while len(table) == 1000:
                started.release()
            wrong.append("lost entries")
        except MapError:
            pass
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        assert started.acquire(timeout=PATIENCE)
    before = len(os.listdir("/proc/self/fd"))
    table.close()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert table.handle._walks == []
    assert len(os.listdir("/proc/self/fd")) < before


# All keys in one bucket, and updates as an interrupt's program would make them: while the walk is at a certain element

ZERO_SEED, BUCKET, BUCKETS = 1 << 6, 3, 16


def jhash(key: int) -> int:
    """The kernel's jhash2() of one u32 with seed 0 (include/linux/jhash.h): which bucket a key is in."""
    a = b = c = 0xDEADBEEF + 4
    a += key
    rounds = ((2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24))
    words = [a & 0xFFFFFFFF, b, c]
    for target, source, by in rounds:
        value = words[source]
        words[target] = ((words[target] ^ value) - (value << by | value >> 32 - by)) & 0xFFFFFFFF
    return words[2]


def keys_of_one_bucket(count: int) -> list[int]:
    return [key for key in range(1, 4000) if jhash(key) % BUCKETS == BUCKET][:count]


def updating(text: str, map: KernelMap, output: int, steps: dict[int, list[tuple[int, int]]]) -> str:
    """The program of a walk that once makes these updates (key, value) when it has read the element of that number."""
    lines = ["other:"]
    for number, updates in steps.items():
        skip, done = f"skip{number}", 1 << number
        lines += [
            # by differences: a register that is known to be 3 is another state to the verifier
            f"ldxdw %r1, {hash_walk_program._BUCKET}", f"xor %r1, {BUCKET}", f"jne %r1, 0, {skip}",
            f"ldmapvalue %r8, {output}",
            f"ldxdw %r1, {hash_walk_program._FIRST}", f"add %r1, {number}", "sub %r1, %r7", f"jne %r1, 0, {skip}",
            "ldxdw %r1, [%r8+56]", f"and %r1, {done}", f"jne %r1, 0, {skip}",
            "ldxdw %r1, [%r8+56]", f"or %r1, {done}", "stxdw [%r8+56], %r1",
        ]  # fmt: skip
        for key, value in updates:
            lines += [
                f"stdw [%r10-200], {key}", f"stdw [%r10-208], {value}", f"ldmap %r1, {map.fd}", "mov %r2, %r10", "add %r2, -200",
                "mov %r3, %r10", "add %r3, -208", "mov %r4, 0", "call 2",
            ]  # fmt: skip
        lines.append(f"{skip}:")
    before, after = text.split("other:\n")
    return f"{before}{chr(10).join(lines)}\n{after}"


@pytest.mark.parametrize(("kind", "flags"), [("hash", 0), ("hash", NO_PREALLOC), ("lru_hash", 0)])
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param({0: [(2, 1002)], 1: [(0, 1000), (0, 1000)]}, id="the last moves behind the walk, the first away and back"),
        pytest.param({1: [(2, 1002), (1, 1001), (0, 1000)], 2: [(0, 1000)]}, id="all move before the walk"),
    ],
)
def test_updates_during_the_walk_hide_nothing(
    kind: str, flags: int, steps: dict[int, list[tuple[int, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_of_one_bucket(3)
    with maps.create(kind, key=4, value=8, max_entries=BUCKETS, flags=ZERO_SEED | flags) as table:
        handle = table.handle
        for key in reversed(keys):  # the last to come is the first in the bucket
            handle.update(key.to_bytes(4, "little"), bytes(8))
        text = hash_walk.program_text
        moves = {number: [(keys[index], value) for index, value in updates] for number, updates in steps.items()}
        monkeypatch.setattr(
            hash_walk, "program_text", lambda map, output, *rest: updating(text(map, output, *rest), map, output, moves)
        )
        walk = HashWalk(handle)
        try:
            read = by_walk(walk)
            changed = int.from_bytes(walk._memory[56:64], "little")
        finally:
            walk.close()
        assert changed == sum(1 << number for number in steps), "not all updates were made"
        assert pairs(handle, read) == pairs(handle, by_batch(handle))


STEADY, COMING, WORDS = 64, 128, 6
CHURN = f"""
struct value {{ u64 word[{WORDS}]; }};
BPF_TABLE("%s", u32, struct value, busy, 256);
int churn(struct __sk_buff *skb) {{
    u32 random = bpf_get_prandom_u32(), steady = random %% {STEADY}, coming = {STEADY} + (random >> 8) %% {COMING};
    struct value value;
    for (int i = 0; i < {WORDS}; i++)
        value.word[i] = random;
    busy.update(&steady, &value);
    if (random & 1 << 20)
        busy.update(&coming, &value);
    else
        busy.delete(&coming);
    return 0;
}}
"""


@pytest.mark.parametrize("kind", ["hash", "percpu_hash"])
def test_nothing_is_torn_missed_or_seen_twice_while_programs_write(kind: str) -> None:
    with BPF(text=CHURN % kind, engine="kernel") as b:
        program, handle = b.load_func("churn", BPF.SCHED_CLS).handle, b["busy"].handle
        program.test_run(bytes(64), repeat=20_000)
        stop, runs, wrong, reads = threading.Event(), [0], Counter[str](), 0

        def write() -> None:
            while not stop.is_set():
                program.test_run(bytes(64), repeat=2000)
                runs[0] += 2000

        writers = [threading.Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        walk = HashWalk(handle)
        deadline = time.monotonic() + PATIENCE
        try:
            while (reads < 1000 or runs[0] < 500_000) and time.monotonic() < deadline:
                read = by_walk(walk)
                if read is not None:  # None: a writer was stopped in a bucket for long; the batch call waits for it
                    reads += 1
                    wrong += faults(handle, read)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
            walk.close()
        assert wrong == {}
        assert reads >= 1000
        assert runs[0] >= 500_000


def faults(handle: KernelMap, read: Entries) -> Counter[str]:
    """What is wrong with the entries of a map that is written meanwhile."""
    keys, values, _ = read
    seen = Counter(memoryview(keys).cast("I"))
    words = memoryview(values).cast("Q").tolist()
    return Counter(
        twice=sum(times > 1 for times in seen.values()),
        missed=STEADY - sum(key < STEADY for key in seen),
        torn=sum(len(set(words[at : at + WORDS])) > 1 for at in range(0, len(words), WORDS)),
        unknown=sum(key >= STEADY + COMING for key in seen),
    )
