"""Maps of the user engine beside the kernel's: the same operations give the same answers and the same errors.

The order in which keys come is each engine's own; what an LRU map throws out is not compared, only what stays true of it. The
bits of a longest-prefix key behind its prefix come back as zeros here, in the kernel as they were given.
"""

from __future__ import annotations

import ctypes
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from map_parts import joined, whole
from waiting import PATIENCE

from skep import BPF
from skep.bytecode.assembler import assemble
from skep.engine.kernel import KernelEngine
from skep.engine.user.engine import _MAPS, UserEngine
from skep.engine.user.program import Program
from skep.errors import MapError
from skep.object.kinds import MAP_TYPES
from skep.object.model import MapSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.engine import Engine, MapHandle

ROUNDS = 600
BPF_F_NO_PREALLOC = 1


@pytest.fixture(scope="module")
def user() -> Iterator[UserEngine]:
    engine = UserEngine()
    yield engine
    engine.close()


def answer(operation: Any, *arguments: Any, **options: Any) -> Any:
    """What an operation gives, or which error with which number."""
    try:
        result = operation(*arguments, **options)
    except MapError as error:
        return type(error).__name__, error.errno
    except OSError as error:
        return "OSError", error.errno
    return result


def all_of(map: MapHandle, **options: Any) -> Any:
    """All elements in the order of their keys, or the answer when they cannot be read so."""
    parts = answer(map.parts, **options)
    if parts is None or isinstance(parts, tuple):
        return parts
    keys, values, count = joined(parts)
    width, size = map.key_size, map.value_size
    return sorted((bytes(keys[at * width : (at + 1) * width]), bytes(values[at * size : (at + 1) * size])) for at in range(count))


def walked(map: MapHandle) -> list[bytes]:
    """The keys, one after another."""
    keys, key = [], map.next_key(None)
    while key is not None and len(keys) < 1000:
        keys.append(key)
        key = map.next_key(key)
    return sorted(keys)


class Table:
    """A kind with keys: `keys` are those that come up, often the same ones; `flags` those of updates."""

    def __init__(self, kind: str, spec: MapSpec, keys: list[bytes], *, flags: tuple[int, ...] = (0, 0, 0, 1, 2, 3)) -> None:
        self.kind = kind
        self.spec = spec
        self.keys = keys
        self.flags = flags


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


def table(kind: str, key_size: int, value_size: int, entries: int, keys: list[bytes], flags: int = 0) -> Table:
    return Table(kind, MapSpec(kind, MAP_TYPES[kind], key_size, value_size, entries, flags=flags), keys)


TABLES = [
    table("array", 4, 5, 7, [number(at) for at in (*range(9), 0xFFFFFFFF)]),
    table("percpu_array", 4, 12, 5, [number(at) for at in (*range(7), 0xFFFFFFFF)]),
    table("hash", 3, 9, 16, [number(at, 3) for at in range(24)]),
    table("hash", 16, 1, 8, [number(at << 64 | at, 16) for at in range(10)], BPF_F_NO_PREALLOC),
    table("percpu_hash", 8, 4, 8, [number(at, 8) for at in range(12)]),
    Table(
        "lpm_trie",
        MapSpec("lpm_trie", MAP_TYPES["lpm_trie"], 8, 8, 12, flags=BPF_F_NO_PREALLOC),
        [number(bits) + bytes(address) for bits, address in (
            (0, (0, 0, 0, 0)), (8, (10, 0, 0, 0)), (16, (10, 1, 0, 0)), (24, (10, 1, 1, 0)),
            (32, (10, 1, 1, 1)), (31, (10, 1, 1, 0)), (32, (10, 1, 1, 0)), (1, (128, 0, 0, 0)), (33, (10, 1, 1, 1)),
            (32, (11, 1, 1, 1)), (17, (10, 1, 128, 0)), (32, (192, 168, 0, 1)), (12, (10, 16, 0, 0)),
        )],
    ),
]  # fmt: skip


def steps(case: Table, possible: int, seed: int) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Operations by chance: (method, arguments, options)."""
    chance = random.Random(seed)
    size = case.spec.value_size
    if case.kind.startswith("percpu"):
        size = (size + 7) // 8 * 8 * possible

    def value() -> bytes:
        word = chance.randbytes(case.spec.value_size)
        if not case.kind.startswith("percpu"):
            return word
        piece = (len(word) + 7) // 8 * 8
        return b"".join(chance.randbytes(len(word)).ljust(piece, b"\0") for _ in range(possible))

    for _ in range(ROUNDS):
        key = chance.choice(case.keys)
        kind = chance.choices(
            ("update", "lookup", "delete", "lookup_and_delete", "walk", "parts", "update_batch", "delete_batch", "size"),
            (40, 20, 15, 5, 3, 3, 2, 2, 1),
        )[0]
        if kind == "update":
            yield "update", (key, value(), chance.choice(case.flags)), {}
        elif kind in ("lookup", "delete", "lookup_and_delete"):
            yield kind, (key,), {}
        elif kind == "update_batch":
            some = chance.sample(case.keys, 3)
            yield "update_batch", (b"".join(some), b"".join(value() for _ in some), 3), {}
        elif kind == "delete_batch":
            yield "delete_batch", (b"".join(chance.sample(case.keys, 3)), 3), {}
        elif kind == "size":
            yield "update", (key + b"x", value()), {}
        elif kind == "walk":
            yield "walk", (), {}
        else:
            yield "parts", (), {"delete": chance.random() < 0.3}
    yield "parts", (), {}


def do(map: MapHandle, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    if method == "walk":
        return walked(map)
    return all_of(map, **options) if method == "parts" else answer(getattr(map, method), *arguments, **options)


def create(engine: Engine, spec: MapSpec) -> MapHandle:
    return engine.create_map(spec)


@pytest.mark.kernel
@pytest.mark.parametrize("case", TABLES, ids=lambda case: f"{case.kind}-{case.spec.key_size}")
def test_tables_answer_as_the_kernels(case: Table, user: UserEngine) -> None:
    kernel = KernelEngine()
    one, other = create(kernel, case.spec), create(user, case.spec)
    try:
        for at, (method, arguments, options) in enumerate(steps(case, user.possible_cpus, 7)):
            expected, found = do(one, method, arguments, options), do(other, method, arguments, options)
            assert found == expected, (at, method, arguments, options)
        assert walked(other) == walked(one)
    finally:
        one.close()
        other.close()
        kernel.close()


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["queue", "stack"])
def test_queues_answer_as_the_kernels(kind: str, user: UserEngine) -> None:
    kernel, chance = KernelEngine(), random.Random(7)
    spec = MapSpec(kind, MAP_TYPES[kind], 0, 6, 5)
    one, other = create(kernel, spec), create(user, spec)
    try:
        for at in range(ROUNDS):
            method = chance.choice(("update", "update", "lookup", "lookup_and_delete"))
            arguments = (b"", chance.randbytes(6), chance.choice((0, 0, 1, 2, 3))) if method == "update" else (b"",)
            assert answer(getattr(other, method), *arguments) == answer(getattr(one, method), *arguments), (at, method, arguments)
        for method, arguments in (("delete", (b"",)), ("next_key", (None,)), ("parts", ())):
            assert answer(getattr(other, method), *arguments) == answer(getattr(one, method), *arguments), method
    finally:
        one.close()
        other.close()
        kernel.close()


@pytest.mark.kernel
def test_a_bloom_filter_never_denies_what_is_in_it(user: UserEngine) -> None:
    kernel, chance = KernelEngine(), random.Random(9)
    spec = MapSpec("bloom", MAP_TYPES["bloom_filter"], 0, 8, 100)
    one, other = create(kernel, spec), create(user, spec)
    put = [chance.randbytes(8) for _ in range(100)]
    try:
        for value in put:
            assert answer(other.update, b"", value, 0) == answer(one.update, b"", value, 0)
        assert all(one.contains(value) and other.contains(value) for value in put)
        missed = [sum(map.contains(chance.randbytes(8)) for _ in range(1000)) for map in (one, other)]
        assert max(missed) < 200
        for flags in (1, 3):
            assert answer(other.update, b"", put[0], flags) == answer(one.update, b"", put[0], flags)
    finally:
        one.close()
        other.close()
        kernel.close()


@pytest.mark.parametrize("kind", ["lru_hash", "lru_percpu_hash"])
def test_an_lru_map_is_never_full(kind: str, user: UserEngine) -> None:
    size = 8 * user.possible_cpus if kind == "lru_percpu_hash" else 8
    with user.create_map(MapSpec(kind, MAP_TYPES[kind], 4, 8, 50)) as map:
        for at in range(1000):
            map.update(number(at), number(at, 8) * (size // 8))
            assert map.lookup(number(at)) == number(at, 8) * (size // 8)
        keys = walked(map)
        assert 40 <= len(keys) <= 50
        assert all(map.lookup(key) == number(int.from_bytes(key, "little"), 8) * (size // 8) for key in keys)


USED = """
BPF_TABLE("lru_hash", u32, u64, recent, 64);
RAW_TRACEPOINT_PROBE(sys_enter) {
    u32 key = ctx->args[0], zero = 0; u64 value = key, *used;
    recent.update(&key, &value);
    used = recent.lookup(&zero);
    return used ? 1 : 0;
}
"""


def test_an_lru_map_keeps_what_programs_use() -> None:
    with BPF(text=USED, engine="user") as b:
        program = b.load_func("raw_tracepoint__sys_enter", BPF.RAW_TRACEPOINT).handle
        assert all(program.test_run(ctx=number(at, 8) + bytes(8))[0] == 1 for at in range(500))
        assert len(b["recent"]) <= 64


KEYLESS = [("ringbuf", 0, 0, 4096), ("bloom_filter", 0, 8, 16), ("perf_event_array", 4, 4, 2), ("queue", 0, 8, 2)]


@pytest.mark.kernel
@pytest.mark.parametrize(("kind", "key_size", "value_size", "entries"), KEYLESS)
def test_operations_that_a_kind_lacks(kind: str, key_size: int, value_size: int, entries: int, user: UserEngine) -> None:
    kernel = KernelEngine()
    spec = MapSpec(kind, MAP_TYPES[kind], key_size, value_size, entries)
    one, other = create(kernel, spec), create(user, spec)
    key, value = bytes(key_size), bytes(value_size)
    asked: list[tuple[str, tuple[Any, ...]]] = [("delete", (key,)), ("lookup_and_delete", (key,)), ("next_key", (None,))]
    if kind != "bloom_filter":  # in the kernel it is the test whether zeros are in it
        asked += [("lookup", (key,)), ("parts", ())]
    if kind == "ringbuf":
        asked.append(("update", (key, value)))
    try:
        for method, arguments in asked:
            assert answer(getattr(other, method), *arguments) == answer(getattr(one, method), *arguments), method
    finally:
        one.close()
        other.close()
        kernel.close()


def test_next_key_goes_on_after_what_was_deleted_meanwhile(user: UserEngine) -> None:
    with user.create_map(MapSpec("hash", MAP_TYPES["hash"], 4, 4, 64)) as map:
        for at in range(64):
            map.update(number(at), number(at))
        seen, key = set(), map.next_key(None)
        while key is not None:
            following = map.next_key(key)
            seen.add(key)
            assert map.delete(key)
            key = following
        assert len(seen) == 64
        assert map.next_key(None) is None


COUNTERS = """
struct pair { u64 a; u64 b; u64 c; u64 d; };
BPF_HASH(pairs, u32, struct pair, 64); BPF_HASH(count, u32, u64, 4); BPF_ARRAY(sums, u64, 1);
BPF_TABLE("lru_hash", u64, u64, recent, 32); BPF_QUEUE(queue, struct pair, 16);
RAW_TRACEPOINT_PROBE(sys_enter) {
    u32 key = ctx->args[0] & 31, zero = 0; u64 number = ctx->args[0];
    struct pair pair = {number, number, number, number}, taken = {};
    pairs.update(&key, &pair);
    if (number & 1) pairs.delete(&key);
    count.increment(zero); sums.increment(zero); recent.update(&number, &number);
    queue.push(&pair, BPF_EXIST);
    if (number & 4) queue.pop(&taken);
    return taken.a != taken.d;
}
"""


def test_a_program_and_python_use_the_same_maps_at_once() -> None:
    with BPF(text=COUNTERS, engine="user") as b:
        program = b.load_func("raw_tracepoint__sys_enter", BPF.RAW_TRACEPOINT).handle.machine
        contexts = b"".join(number(at, 8) + bytes(8) for at in range(4096))
        runs, torn, stop = [0], [0], threading.Event()

        def work() -> None:
            while not stop.is_set():
                torn[0] += sum(program.run_batch(contexts, 16))
                runs[0] += 4096

        worker = threading.Thread(target=work)
        worker.start()
        maps, chance = b._maps, random.Random(1)
        end = time.monotonic() + PATIENCE
        reads = 0
        try:
            while reads < 5000 or runs[0] < 20 * 4096:
                assert time.monotonic() < end, f"{reads} reads and {runs[0]} runs in {PATIENCE:.0f} s"
                key = number(chance.randrange(32))
                value = maps["pairs"].lookup(key)
                found = [value] if value else []
                taken = maps["queue"].lookup_and_delete(b"")
                found += [taken] if taken else []
                _, values, elements = whole(maps["pairs"])
                found += [bytes(values[at * 32 : (at + 1) * 32]) for at in range(elements)]
                for value in found:
                    torn[0] += value[:8] * 4 != value
                reads += len(found)
                mark = number(chance.randrange(1 << 60), 8) * 4
                maps["pairs"].update(key, mark)
                maps["queue"].update(b"", mark, 2)
                maps["pairs"].delete(number(chance.randrange(32)))
                maps["recent"].update(number(chance.randrange(4096), 8), bytes(8))
                walked(maps["recent"])
        finally:
            stop.set()
            worker.join()
        assert torn[0] == 0
        assert int.from_bytes(maps["count"].lookup(bytes(4)), "little") == runs[0]
        assert int.from_bytes(maps["sums"].lookup(bytes(4)), "little") == runs[0]


SHARED = """
BPF_PROG_ARRAY(programs, 4);
BPF_ARRAY(inner, u64, 1);
BPF_ARRAY(own, u64, 1);
BPF_ARRAY_OF_MAPS(outer, "inner", 4);
BPF_ARRAY(found, u64, 2);
int counts(void *ctx) { own.increment(0); return 0; }
int calls(void *ctx) {
    int zero = 0;
    void *map = outer.lookup(&zero);
    if (!map)
        found.increment(0);
    else if (bpf_map_lookup_elem(map, &zero))
        found.increment(1);
    programs.call(ctx, 1);
    return 0;
}
"""


def test_closed_programs_and_maps_are_not_found_any_more() -> None:
    """What another object put into arrays of programs and of maps goes with that object; the tracer lives on."""
    with BPF(text=SHARED, engine="user") as b:
        with BPF(text=SHARED, engine="user", maps={"programs": b["programs"], "outer": b["outer"]}) as other:
            b["programs"][1] = other.load_func("counts", BPF.RAW_TRACEPOINT)
            b["outer"][0] = other["own"]
            b.attach_raw_tracepoint("sys_enter", "calls")
        with b.trace_command(["true"]) as command:
            assert command.wait() == 0
        assert b["found"][0].value > 0
        assert b["found"][1].value == 0


INNER_PER_CPU = r"""
BPF_PERCPU_ARRAY(inner_array, u64, 4);
BPF_PERCPU_HASH(inner_hash, u32, u64, 4);
BPF_ARRAY_OF_MAPS(arrays, "inner_array", 2);
BPF_ARRAY_OF_MAPS(hashes, "inner_hash", 2);
int f(struct bpf_raw_tracepoint_args *ctx) {
    int at = 0;
    u32 key = 1, cpu;
    u64 value = 5, *found;
    void *array = arrays.lookup(&at), *hash = hashes.lookup(&at);
    if (!array || !hash) return 1;
    bpf_map_update_elem(hash, &key, &value, BPF_ANY);
    for (cpu = 0; cpu < 2; cpu++) {
        if ((found = bpf_map_lookup_percpu_elem(array, &key, cpu))) *found = 10 + cpu;
        if ((found = bpf_map_lookup_percpu_elem(hash, &key, cpu))) *found = 20 + cpu;
    }
    return 0;
}
"""


@pytest.mark.kernel
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU")
def test_values_of_per_cpu_maps_in_maps_are_apart() -> None:
    found = []
    for engine in ("kernel", "user"):
        with BPF(text=INNER_PER_CPU, engine=engine) as b:
            b["arrays"][0], b["hashes"][0] = b["inner_array"], b["inner_hash"]
            assert b.load_func("f", BPF.RAW_TRACEPOINT).handle.test_run(ctx=bytes(16))[0] == 0
            found.append([list(b[name][b[name].Key(1)])[:2] for name in ("inner_array", "inner_hash")])
    assert found == [[[10, 11], [20, 21]]] * 2


@pytest.mark.parametrize("kind", ["hash", "lru_hash", "lpm_trie", "queue", "ringbuf"])
def test_a_lock_of_a_process_that_was_killed_is_taken_over(kind: str) -> None:
    """The keeper can be killed while it writes to a map: what then waits for the lock has it after a moment."""
    key_size = {"lpm_trie": 8, "queue": 0, "ringbuf": 0}.get(kind, 4)
    spec = MapSpec("made", MAP_TYPES[kind], key_size, 0 if kind == "ringbuf" else 8, 4096 if kind == "ringbuf" else 8)
    map = _MAPS[spec.type](spec, 1)
    key = b"\x10" + bytes(key_size - 1) if key_size else b""
    use: list[Any] = [lambda: map.update(key, bytes(8)), lambda: map.lookup(key)]
    if kind != "queue":
        use.append(lambda: whole(map))
    if kind == "ringbuf":
        text = "stdw [%r10-8], 7\nldmap %r1, 0\nmov %r2, %r10\nadd %r2, -8\nmov %r3, 8\nmov %r4, 0\ncall 130\nexit"
        program = Program(assemble(text), maps=[map], references={1: 0})
        use = [lambda: program.run(b"")]
    dead = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(dead, 0)
    at = map.header.storage + (32 if kind == "ringbuf" else 0)
    lock, sequence = ctypes.c_uint32.from_address(at), ctypes.c_uint32.from_address(at + 4)
    for call in use:
        lock.value = dead
        if kind in ("hash", "lru_hash", "lpm_trie"):
            sequence.value |= 1
        call()
        assert lock.value == 0
        assert kind in ("queue", "ringbuf") or sequence.value % 2 == 0
    map.close()
