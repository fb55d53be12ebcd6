"""Maps in the running kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from map_parts import whole

from skep.engine.kernel import batch, syscall
from skep.errors import MapError, MapIndexError, MapKeyError
from skep.object.kinds import kind_for_section
from skep.object.model import MapSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Assembler

    from skep.engine.kernel import KernelEngine
    from skep.object.model import Object

pytestmark = pytest.mark.kernel


def u32(value: int) -> bytes:
    return struct.pack("=I", value)


def u64(value: int) -> bytes:
    return struct.pack("=Q", value)


def test_hash_keeps_what_is_written(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("h", 1, 4, 8, 4)) as map:
        assert map.lookup(u32(7)) is None
        map.update(u32(7), u64(70))
        assert map.lookup(u32(7)) == u64(70)
        assert map.lookup_and_delete(u32(7)) == u64(70)
        assert map.delete(u32(7)) is False
        map.update(u32(7), u64(71), 1)
        with pytest.raises(MapKeyError, match="exists already"):
            map.update(u32(7), u64(72), 1)
        with pytest.raises(MapKeyError, match="no such CPU event or key"):
            map.update(u32(8), u64(72), 2)
        assert map.lookup(u32(7)) == u64(71)


def test_full_hash_says_so(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("small", 1, 4, 8, 2)) as map:
        for key in range(2):
            map.update(u32(key), u64(0))
        with pytest.raises(MapError, match="the map is full, max_entries is 2") as caught:
            map.update(u32(2), u64(0))
        assert caught.value.errno == errno.E2BIG
        assert caught.value.map_name == "small"


def test_array_index_out_of_range_is_an_index_error(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("a", 2, 4, 8, 3)) as map:
        with pytest.raises(MapIndexError, match="index 3 is out of range, max_entries is 3"):
            map.update(u32(3), u64(1))
        with pytest.raises(MapError, match="cannot be deleted"):
            map.delete(u32(0))
        assert map.lookup(u32(3)) is None


def test_wrong_sizes_are_told_before_the_kernel_sees_them(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("h", 1, 4, 8, 4)) as map:
        with pytest.raises(MapError, match="the key has 8 bytes, this map's keys have 4"):
            map.lookup(u64(1))
        with pytest.raises(MapError, match="the value has 4 bytes, this map's values have 8"):
            map.update(u32(1), u32(1))


def test_next_key_visits_each_key_once(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("h", 1, 8, 4, 100)) as map:  # the key is larger than the value
        for key in range(50):
            map.update(u64(key), u32(key))
        seen, key = [], map.next_key(None)
        while key is not None:
            seen.append(struct.unpack("=Q", key)[0])
            key = map.next_key(key)
        assert sorted(seen) == list(range(50))


@pytest.mark.parametrize("entries", [0, 1, 511, 10_000])
def test_batch_reads_all_entries_of_a_hash(engine: KernelEngine, entries: int) -> None:
    with engine.create_map(MapSpec("h", 1, 4, 8, 10_000)) as map:
        for key in range(entries):
            map.update(u32(key), u64(key * 3))
        keys, values, count = whole(map)
        assert count == entries
        read = dict(zip(struct.unpack(f"={count}I", keys), struct.unpack(f"={count}Q", values), strict=True))
        assert read == {key: key * 3 for key in range(entries)}


def test_batch_goes_on_where_it_was_in_a_map_larger_than_one_batch(engine: KernelEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_ELEMENTS", 64)
    with engine.create_map(MapSpec("h", 1, 4, 8, 5_000)) as map:
        for key in range(5_000):
            map.update(u32(key), u64(key))
        keys, _, count = whole(map)
        assert count == 5_000
        assert sorted(struct.unpack("=5000I", keys)) == list(range(5_000))


def test_batch_grows_when_a_bucket_does_not_fit(engine: KernelEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = syscall.bpf

    def small(command: int, attr: syscall.Buffer) -> int:
        calls.append(real(command, attr))
        return calls[-1]

    with engine.create_map(MapSpec("h", 1, 4, 8, 1_000)) as map:
        for key in range(1_000):
            map.update(u32(key), u64(key))
        map.max_entries = 1  # buckets of a nearly full table hold several elements
        monkeypatch.setattr(batch, "_ELEMENTS", 1)
        monkeypatch.setattr(batch.syscall, "bpf", small)
        keys, values, count = whole(map)
    assert (count, -errno.ENOSPC in calls) == (1_000, True)
    read = dict(zip(struct.unpack("=1000I", keys), struct.unpack("=1000Q", values), strict=True))
    assert read == {key: key for key in range(1_000)}


def test_a_trie_whose_cursor_is_deleted_gives_no_entry_twice(engine: KernelEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_ELEMENTS", 64)
    with engine.create_map(MapSpec("t", 11, 8, 8, 200, flags=1)) as map:  # BPF_F_NO_PREALLOC
        for number in range(150):
            map.update(u32(32) + number.to_bytes(4, "big"), u64(number))
        parts, read = map.parts(), []
        assert parts is not None
        for keys, values, count in parts:
            numbers = struct.unpack(f"={count}Q", values)
            assert [int.from_bytes(keys[at + 4 : at + 8], "big") for at in range(0, 8 * count, 8)] == list(numbers)
            read += numbers
            if len(read) == 64:
                map.delete(bytes(keys[-8:]))
        assert sorted(read) == list(range(150))


def test_batch_delete_empties_the_map(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("h", 1, 4, 8, 100)) as map:
        for key in range(100):
            map.update(u32(key), u64(key))
        assert whole(map, delete=True)[2] == 100
        assert map.next_key(None) is None


def test_kinds_without_batch_say_so(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("p", 3, 4, 4, 4)) as programs, engine.create_map(MapSpec("a", 2, 4, 8, 4)) as array:
        assert programs.parts() is None
        assert array.parts(delete=True) is None
        assert whole(array)[2] == 4


def test_per_cpu_values_have_a_slot_for_each_possible_cpu(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("p", 6, 4, 4, 2)) as map:
        size = 8 * engine.possible_cpus  # 4 bytes, padded
        value = b"".join(struct.pack("=Q", cpu + 1) for cpu in range(engine.possible_cpus))
        map.update(u32(1), value)
        assert map.lookup(u32(1)) == value
        keys, values, count = whole(map)
        assert (len(keys), len(values), count) == (8, 2 * size, 2)
        assert values[size:] == value


def test_queue_gives_in_order_and_without_key(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("q", 22, 0, 4, 2)) as map:
        map.update(b"", u32(1))
        map.update(b"", u32(2))
        with pytest.raises(MapError, match="the map is full, max_entries is 2"):
            map.update(b"", u32(3))
        assert map.lookup(b"") == u32(1)
        assert [map.lookup_and_delete(b"") for _ in range(3)] == [u32(1), u32(2), None]


def test_names_are_cut_and_cleaned(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("a-name/that is too long", 1, 4, 4, 1)) as map:
        assert map.info()["name"] == "a_name_that_is_"


def test_perf_array_without_size_has_one_slot_a_cpu_and_ring_sizes_are_rounded(engine: KernelEngine) -> None:
    with engine.create_map(MapSpec("e", 4, 4, 4, 0)) as perf, engine.create_map(MapSpec("r", 27, 0, 0, 5000)) as ring:
        assert perf.info()["max_entries"] == engine.possible_cpus
        assert ring.info()["max_entries"] == 8192
        assert ring.max_entries == 8192


def test_data_section_is_filled_and_can_be_frozen(engine: KernelEngine) -> None:
    spec = MapSpec(".rodata", 2, 4, 12, 1, flags=1 << 7, initial=b"hello", frozen=True)  # BPF_F_RDONLY_PROG
    with engine.create_map(spec) as map:
        assert map.lookup(u32(0)) == b"hello" + bytes(7)
        map.freeze()
        with pytest.raises(MapError, match="the map is frozen, so only programs may write it"):
            map.update(u32(0), bytes(12))


def test_map_of_maps_takes_an_fd_and_gives_an_id(engine: KernelEngine) -> None:
    inner = MapSpec("inner", 2, 4, 8, 1)
    with engine.create_map(MapSpec("outer", 12, 4, 4, 2, inner=inner)) as outer, engine.create_map(inner) as element:
        outer.update(u32(0), u32(element.fd))
        assert outer.lookup(u32(0)) == u32(int(element.info()["id"]))
        with pytest.raises(MapError, match="not an fd of the object"):
            outer.update(u32(1), u32(2**30))


def test_impossible_maps_are_explained(engine: KernelEngine) -> None:
    with pytest.raises(MapError, match="max_entries must not be 0"):
        engine.create_map(MapSpec("h", 1, 4, 8, 0))
    with pytest.raises(MapError, match=r"lpm_trie.*BPF_F_NO_PREALLOC"):
        engine.create_map(MapSpec("t", 11, 8, 8, 1))
    with pytest.raises(MapError, match="an array's key has 4 bytes"):
        engine.create_map(MapSpec("a", 2, 8, 8, 1))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (MapSpec("p", 5, 4, 40_000, 1), "a value has 32768 bytes at most on each CPU, not 40000: .* or the kind hash, whose"),
        (MapSpec("p", 6, 4, 32_769, 1), "a value has 32768 bytes at most on each CPU, not 32769: .* or the kind array, whose"),
        (MapSpec("p", 10, 4, 1 << 31, 1), "a value has 32768 bytes at most on each CPU, .* or the kind lru_hash, whose values"),
        (MapSpec("h", 1, 4, 1 << 24, 1), "an element has less than 4 MiB"),
        (MapSpec("h", 1, 4, 8, 2**32 - 1), "a map of kind hash has 2147483648 entries at most"),
        (MapSpec("a", 2, 4, 1 << 31, 1), "a value has less than 2 GiB"),
        (MapSpec("a", 2, 4, 1 << 20, 1 << 30), "ENOMEM .* no memory for 1,125,904,201,809,920 bytes now"),
        (MapSpec("r", 27, 0, 0, 3 << 30), "a map of kind ringbuf has 2147483648 bytes at most"),
        (MapSpec("a", 33, 0, 0, 1 << 30, flags=1024), "a map of kind arena has 1048576 pages at most"),
        (MapSpec("a", 2, 4, 8, 1 << 33), "max_entries is a number of 32 bits, not 8589934592"),
        (MapSpec("h", 1, -4, 8, 1), "key is a number of 32 bits, not -4"),
        (MapSpec("t", 11, 300, 8, 1, flags=1), "the key of an LPM trie has 5 to 260 bytes"),
    ],
)  # fmt: skip
def test_the_limit_that_a_map_is_above_is_named(engine: KernelEngine, spec: MapSpec, reason: str) -> None:
    with pytest.raises(MapError, match=reason):
        engine.create_map(spec)


def test_values_of_per_cpu_maps_may_have_all_that_a_cpu_has_room_for(engine: KernelEngine) -> None:
    for type in (5, 6, 10):
        with engine.create_map(MapSpec("p", type, 4, 32_768, 1)) as map:
            value = bytes(range(256)) * 128 * engine.possible_cpus
            map.update(u32(0), value)
            assert map.lookup(u32(0)) == value


def test_closed_map_is_told(engine: KernelEngine) -> None:
    map = engine.create_map(MapSpec("h", 1, 4, 8, 1))
    map.lookup(u32(0))
    map.close()
    for action in (lambda: map.lookup(u32(0)), lambda: map.delete(u32(0)), map.parts, lambda: map.next_key(None)):
        with pytest.raises(MapError, match="map 'h' is closed"):
            action()


def test_map_fd_is_never_a_standard_stream(engine: KernelEngine) -> None:
    saved = os.dup(0)
    os.close(0)
    try:
        with engine.create_map(MapSpec("h", 1, 4, 8, 1)) as map:
            assert map.fd >= 3
            assert not os.path.exists("/proc/self/fd/0")
    finally:
        os.dup2(saved, 0)
        os.close(saved)


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """A bpffs of our own, unmounted after the test."""
    folder = tmp_path / "bpf"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a bpffs needs root")
    subprocess.run(["mount", "-t", "bpf", "skep-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_pinned_map_is_found_again(engine: KernelEngine, bpffs: Path) -> None:
    spec = MapSpec("pinned", 1, 4, 8, 4, pin_path=str(bpffs / "pinned"))
    with engine.create_map(spec) as first:
        first.update(u32(1), u64(11))
    with engine.create_map(spec) as second:
        assert second.lookup(u32(1)) == u64(11)
    other = MapSpec("pinned", 1, 4, 16, 4, pin_path=spec.pin_path)
    with pytest.raises(MapError, match="value_size is 8, wanted 16"):
        engine.create_map(other)


def test_pin_outside_a_bpffs_says_what_to_mount(engine: KernelEngine, tmp_path: Path) -> None:
    with pytest.raises(MapError, match="is this folder in a bpffs"):
        engine.create_map(MapSpec("h", 1, 4, 8, 1, pin_path=str(tmp_path / "x")))


def test_an_arena_is_shared_with_the_program(engine: KernelEngine, assembler: Assembler, owner: Object) -> None:
    spec = MapSpec("arena", 33, 0, 0, 2, flags=1 << 10)
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 9):
        with pytest.raises(MapError, match="this kernel does not know it"):
            engine.create_map(spec)
        return
    with engine.create_map(spec) as arena:
        memory = arena.memory(writable=True)
        assert memory is not None
        words = memoryview(memory).cast("Q")
        words[3] = 70  # the first touch makes the page
        first = ctypes.c_char.from_buffer(memory)
        # programs know the arena by the lower half of its addresses
        low = ctypes.addressof(first) & 0xFFFFFFFF
        assembler.map(1, "arena").raw(0xB4, 2, immediate=low - (low >> 31 << 32))
        assembler.raw(0xBF, 2, 2, offset=1, immediate=1)  # addr_space_cast(r2, 0, 1)
        assembler.raw(0x79, 0, 2, offset=24).raw(0x7A, 2, offset=32, immediate=9).exit()
        kind = kind_for_section("tc") or pytest.fail("no such section")
        with engine.load_program(assembler.spec(), kind, {"arena": arena}, owner) as program:
            assert program.test_run(bytes(64))[0] == 70
        assert words[4] == 9
        del first
        words.release()
        memory.close()
