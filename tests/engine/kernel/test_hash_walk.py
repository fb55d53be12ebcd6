"""Large hash maps read by a program: the same as the batch call gives, also while programs write."""

from __future__ import annotations

import ctypes
import os
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from waiting import PATIENCE

from skep import BPF, maps
from skep.engine.kernel import batch, syscall
from skep.engine.kernel.hash_walk import HashWalk
from skep.errors import MapError, SkepError

if TYPE_CHECKING:
    from skep.engine.kernel import KernelMap

    Entries = tuple[memoryview, memoryview, int]

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
    read = batch.read_all(handle.fd, syscall.MAP_LOOKUP_BATCH, handle.key_size, handle.value_size, handle.max_entries)
    assert not isinstance(read, int)
    return read


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
            assert pairs(handle, walk.read()) == expected
            assert expected
            for key, _ in expected[::2]:
                handle.delete(key)
            assert pairs(handle, walk.read()) == expected[1::2]
            for key, _ in expected[1::2]:
                handle.delete(key)
            assert walk.read() == (b"", b"", 0)
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
                read = walk.read()
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
