"""What is wrong in a map's definition is told at its place; what the kernel has room for is in the object."""

from __future__ import annotations

import pytest

from skep import compile
from skep.errors import CompileError

SIDES = "__type(key, u32); __type(value, u64);"
HASH = f"__uint(type, BPF_MAP_TYPE_HASH); {SIDES}"


def error_of(text: str) -> tuple[str, str]:
    """The one error of a text, and the source that it points to."""
    with pytest.raises(CompileError) as caught:
        compile(text)
    found = [item for item in caught.value.diagnostics if item.severity == "error"]
    assert len(found) == 1
    return found[0].message, str(caught.value).splitlines()[2].partition("|")[2]


@pytest.mark.parametrize(
    ("members", "place", "message"),
    [
        (f"{HASH} __uint(max_entries, 1ULL << 32);", "max_entries", "there are 32 bits for 'max_entries', not 4294967296"),
        (f"{HASH} __uint(max_entries, 0);", "max_entries", "a map of kind hash needs room for at least one entry"),
        (f"{HASH} __uint(max_entries, -1);", "-1", "the size of an array cannot be negative (-1)"),
        (f"{HASH} __uint(map_flags, 1ULL << 35);", "map_flags", "there are 32 bits for 'map_flags', not 34359738368"),
        (f"{HASH} __uint(map_extra, 1ULL << 35);", "map_extra", "there are 32 bits for 'map_extra', not 34359738368; __ulong"),
        (f"{HASH} __ulong(max_entries, 1ULL << 35);", "max_entries", "there are 32 bits for 'max_entries', not 34359738368"),
        (f"{HASH} __uint(key_size, 8);", "key_size", "its key has 4 bytes by __type(key, ...), and 8 by key_size"),
        (f"{HASH} __uint(pinning, 7);", "pinning", "'pinning' is 7: 0 (LIBBPF_PIN_NONE) or 1 (LIBBPF_PIN_BY_NAME)"),
        (f"{HASH} __uint(max_entires, 7);", "max_entires", "'max_entires' is nothing that a map has; did you mean 'max_entries'"),
        (f"{HASH} int other;", "other", "'other' is nothing that a map has; there are type, max_entries, map_flags, key_size,"),
        (f"{HASH} __uint(max_entries, 4); __uint(max_entries, 5);", "max_entries", "two members are named 'max_entries'"),
        (f"{HASH} int max_entries;", "max_entries", "'max_entries' is a 'int': write it with __uint(max_entries, N)"),
        ("__uint(type, 1); u32 key; __type(value, u64);", "key", "'key' is a 'u32': write it with __type(key, ...)"),
        ("__uint(type, 1); __uint(key_size, 0); __type(value, u64);", "key_size", "the key of a map of kind hash has one byte"),
        ("__uint(type, 2); __type(key, u32); __uint(value_size, 0);", "value_size", "the value of a map of kind array has one"),
        ("__uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 0);", "max_entries", "a map of kind ringbuf needs room for at"),
        (f"{SIDES} __uint(max_entries, 4);", "maps_name", "the definition says no type: __uint(type, BPF_MAP"),
        (
            "__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key, u32); "
            f"__array(values, struct {{ {HASH} __uint(map_extra, 1ULL << 32); }});",
            "map_extra", "there are 32 bits for 'map_extra'",
        ),
    ],
)  # fmt: skip
def test_a_definition_that_the_kernel_cannot_have_is_told_at_its_place(members: str, place: str, message: str) -> None:
    text = f'struct {{ {members} }} maps_name SEC(".maps");'
    said, mark = error_of(text)
    said = said.removeprefix("the maps in ").removeprefix("map 'maps_name': ")
    assert said.startswith(message)
    start, width = mark.index("^") - 1, mark.count("^") + mark.count("~")
    assert text[start : start + width] == place


def test_numbers_may_have_all_their_bits() -> None:
    text = f"""
struct {{ {HASH} __uint(max_entries, 4294967295U); __uint(map_flags, 1U << 31); }} wide SEC(".maps");
struct {{ __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE); __uint(max_entries, 10);
         __ulong(map_extra, 0x1ULL << 44); }} arena SEC(".maps");
struct {{ __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 0); __uint(value_size, 0); __uint(max_entries, 0); }}
    events SEC(".maps");
struct {{ __uint(type, BPF_MAP_TYPE_TASK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC); __uint(max_entries, 0);
         __type(key, int); __type(value, u64); }} tasks SEC(".maps");
struct {{ __uint(type, 77); {SIDES} }} newer SEC(".maps");"""
    maps = compile(text).maps
    assert (maps["wide"].max_entries, maps["wide"].flags) == (2**32 - 1, 1 << 31)
    assert maps["arena"].map_extra == 1 << 44
    assert (maps["events"].key_size, maps["newer"].type) == (4, 77)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("BPF_HASH(h, u32, u64, 1ULL << 32);", "1ULL << 32", "the kernel has 32 bits for its size, not 4294967296"),
        ("BPF_HASH(h, u32, u64, -5);", "-5", "needs room for at least one entry"),
        ("BPF_ARRAY(h, u64, 0);", "0", "needs room for at least one entry"),
        ("BPF_STACK_TRACE(h, 0);", "0", "needs room for at least one entry"),
        ("BPF_RINGBUF_OUTPUT(h, 1 << 20);", "1 << 20", "the kernel has 32 bits for its size, not 4294967296"),
        ('BPF_F_TABLE("hash", u32, u64, h, 10, 1ULL << 33);', "1ULL << 33", "the kernel has 32 bits for its flags"),
    ],
)
def test_sizes_of_the_dialects_maps_are_checked_at_their_place(text: str, place: str, message: str) -> None:
    said, mark = error_of(text)
    assert said.startswith("map 'h'")
    assert message in said
    start, width = mark.index("^") - 1, mark.count("^") + mark.count("~")
    assert text[start : start + width] == place
