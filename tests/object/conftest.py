"""Objects that Debian's clang writes, and the few bpf(2) calls that show whether the kernel takes what was read."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skep.object import Object, read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skep.object import MapSpec, ProgramSpec

PRELUDE = """
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
#define __noinline __attribute__((noinline))
#define __weak __attribute__((weak))
#define __hidden __attribute__((visibility("hidden")))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name
#define __array(name, value) typeof(value) *name[]
static void *(*bpf_map_lookup_elem)(void *, const void *) = (void *)1;
static long (*bpf_map_update_elem)(void *, const void *, const void *, u64) = (void *)2;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static long (*bpf_trace_printk)(const char *, u32, ...) = (void *)6;
static long (*bpf_loop)(u32, void *, void *, u64) = (void *)181;
"""


@pytest.fixture(scope="session")
def clang_object(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Compile C to a BPF object's bytes with clang."""
    clang = shutil.which("clang")
    if clang is None:
        pytest.skip("clang is not installed")
    folder = tmp_path_factory.mktemp("objects")
    made: dict[tuple[str, tuple[str, ...]], bytes] = {}

    def compile(text: str, *flags: str) -> bytes:
        if (text, flags) not in made:
            source, target = folder / f"{len(made)}.c", folder / f"{len(made)}.o"
            source.write_text(PRELUDE + text)
            command = [clang, "-target", "bpf", "-O2", *(flags or ("-g",)), "-c", str(source), "-o", str(target)]
            subprocess.run(command, check=True, capture_output=True)
            made[text, flags] = target.read_bytes()
        return made[text, flags]

    return compile


@pytest.fixture(scope="session")
def compiled(clang_object: Callable[..., bytes]) -> Callable[..., Object]:
    """Compile C with clang and read the object."""
    return lambda text, *flags: read_object(clang_object(text, *flags))


class Kernel:
    """bpf(2) as the tests need it; closes what it opened."""

    MAP_CREATE, MAP_UPDATE, PROG_LOAD, BTF_LOAD, MAP_FREEZE = 0, 2, 5, 18, 22

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fds: list[int] = []
        self.log = ctypes.create_string_buffer(1 << 20)

    def call(self, command: int, attributes: bytes, *, opens: bool = True) -> int:
        buffer = ctypes.create_string_buffer(attributes.ljust(144, b"\0"), 144)
        result = self.libc.syscall(321, command, buffer, 144)  # x86-64
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number) + "\n" + self.log.value.decode())
        if opens:
            self.fds.append(result)
        return result

    def load_btf(self, data: bytes) -> int:
        keep = ctypes.create_string_buffer(data, len(data))
        log = ctypes.addressof(self.log)
        return self.call(self.BTF_LOAD, struct.pack("<QQIII", ctypes.addressof(keep), log, len(data), len(self.log), 1))

    def create_map(self, spec: MapSpec, btf_fd: int) -> int:
        inner = self.create_map(spec.inner, btf_fd) if spec.inner else 0
        typed = spec.inner is None and spec.value_type and spec.type not in (3, 4)
        types = (btf_fd, spec.key_type, spec.value_type) if typed else (0, 0, 0)
        entries = spec.max_entries or 1
        name = spec.name.encode()[-15:]
        attributes = struct.pack(
            "<7I16s5IQ",
            spec.type,
            spec.key_size,
            spec.value_size,
            entries,
            spec.flags,
            inner,
            0,
            name,
            0,
            *types,
            0,
            spec.map_extra,
        )
        fd = self.call(self.MAP_CREATE, attributes)
        if spec.initial is not None:
            key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(spec.initial, len(spec.initial))
            update = struct.pack("<IxxxxQQQ", fd, ctypes.addressof(key), ctypes.addressof(value), 0)
            self.call(self.MAP_UPDATE, update, opens=False)
        if spec.frozen:
            self.call(self.MAP_FREEZE, struct.pack("<I", fd), opens=False)
        return fd

    def load_program(self, spec: ProgramSpec, maps: dict[str, int], license: str, btf_fd: int = 0) -> int:
        assert spec.kind is not None
        code = bytearray(spec.instructions)
        for relocation in spec.relocations:
            at = 8 * relocation.insn
            code[at + 1] = code[at + 1] & 15 | {"map": 1, "map_value": 2}[relocation.kind] << 4
            struct.pack_into("<i", code, at + 4, maps[relocation.symbol])
            struct.pack_into("<i", code, at + 12, relocation.offset)
        insns = ctypes.create_string_buffer(bytes(code), len(code))
        words = ctypes.create_string_buffer(license.encode())
        functions = b"".join(struct.pack("<II", *row) for row in spec.functions) if btf_fd else b""
        lines = b"".join(struct.pack("<IIII", *row) for row in spec.lines) if btf_fd else b""
        function_info, line_info = ctypes.create_string_buffer(functions), ctypes.create_string_buffer(lines)
        attributes = struct.pack(
            "<IIQQIIQII16sIIIIQIIQI",
            spec.kind.type, len(code) // 8, ctypes.addressof(insns), ctypes.addressof(words), 2, len(self.log),
            ctypes.addressof(self.log), 0, spec.kind.flags, spec.name.encode()[:15], 0, spec.kind.expected_attach_type, btf_fd,
            8 if functions else 0, ctypes.addressof(function_info) if functions else 0, len(functions) // 8,
            16 if lines else 0, ctypes.addressof(line_info) if lines else 0, len(lines) // 16,
        )  # fmt: skip
        return self.call(self.PROG_LOAD, attributes)

    def load_object(self, object: Object) -> dict[str, int]:
        """Everything in it: BTF, maps and programs, with function and line information."""
        btf_fd = self.load_btf(bytes(object.btf.data)) if object.btf else 0
        maps = {name: self.create_map(spec, btf_fd) for name, spec in object.maps.items()}
        return {name: self.load_program(spec, maps, object.license, btf_fd) for name, spec in object.programs.items()}

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    if os.uname().machine != "x86_64":
        pytest.skip("these tests make bpf(2) calls by x86-64's number")
    opened = Kernel()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def everything_source() -> str:
    """A program with every kind of reference that an object can hold."""
    return (Path(__file__).parent / "everything.c").read_text()
