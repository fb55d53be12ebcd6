"""Objects that clang made: BTF, data sections, subprograms and C lines reach the kernel."""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from skep.errors import VerifierError
from skep.object import kind_for_section, read_object

if TYPE_CHECKING:
    from pathlib import Path

    from skep.engine.kernel import KernelEngine
    from skep.object.model import Object

pytestmark = pytest.mark.kernel

SOURCE = r"""
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name
typedef unsigned int u32;
typedef unsigned long long u64;
static void *(*lookup)(void *map, const void *key) = (void *)1;
struct pair { u32 a, b; };
struct {
    __uint(type, 1);
    __uint(max_entries, 16);
    __type(key, u32);
    __type(value, struct pair);
} pairs SEC(".maps");
const volatile u32 factor = 3;
u32 seen = 40;
static __attribute__((noinline)) u32 twice(u32 x) { return x * 2 + factor; }
SEC("xdp") int good(void *ctx) {
    u32 key = 1;
    struct pair *pair = lookup(&pairs, &key);
    seen += 2;
    return pair ? twice(pair->a) : seen;
}
SEC("xdp") int bad(void *ctx) {
    u32 key = 1;
    struct pair *pair = lookup(&pairs, &key);
    return pair->b; /* no test */
}
char _license[] SEC("license") = "GPL";
"""


@pytest.fixture
def made(tmp_path: Path) -> Object:
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    source = tmp_path / "prog.c"
    source.write_text(SOURCE)
    subprocess.run(["clang", "-target", "bpf", "-O2", "-g", "-c", source, "-o", tmp_path / "prog.o"], check=True)
    return read_object((tmp_path / "prog.o").read_bytes())


def test_clang_object_runs_with_its_sections_and_subprogram(engine: KernelEngine, made: Object) -> None:
    kind = kind_for_section("xdp")
    assert kind is not None
    maps = {name: engine.create_map(spec, made) for name, spec in made.maps.items()}
    try:
        assert maps["pairs"].info()["btf_id"]
        with engine.load_program(made.programs["good"], kind, maps, made) as program:
            assert program.test_run(bytes(60))[0] == 42
            assert struct.unpack("=I", maps[".data"].lookup(bytes(4)) or b"")[0] == 42
            maps["pairs"].update(struct.pack("=I", 1), struct.pack("=II", 10, 0))
            assert program.test_run(bytes(60))[0] == 23
    finally:
        for map in maps.values():
            map.close()


def test_refusal_names_the_c_line(engine: KernelEngine, made: Object) -> None:
    kind = kind_for_section("xdp")
    assert kind is not None
    maps = {name: engine.create_map(spec, made) for name, spec in made.maps.items()}
    try:
        with pytest.raises(VerifierError) as caught:
            engine.load_program(made.programs["bad"], kind, maps, made)
    finally:
        for map in maps.values():
            map.close()
    assert "return pair->b; /* no test */" in caught.value.source_line
    assert "test the pointer before it is used" in caught.value.hint
    line = SOURCE[: SOURCE.index("/* no test */")].count("\n") + 1
    assert f"prog.c:{line}" in caught.value.source_line
