"""The engine under test, a tiny assembler (kernel tests build programs from raw instructions), processes to look at."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from skep.btf import kernel_btf
from skep.engine.kernel import KernelEngine
from skep.object.model import MapSpec, Object, ProgramSpec, Relocation

if TYPE_CHECKING:
    from collections.abc import Iterator


class Assembler:
    """Raw instructions by hand; `map` leaves a relocation."""

    def __init__(self) -> None:
        self.code = bytearray()
        self.relocations: list[Relocation] = []

    def raw(self, opcode: int, dst: int = 0, src: int = 0, offset: int = 0, immediate: int = 0) -> Assembler:
        self.code += struct.pack("<BBhi", opcode, src << 4 | dst, offset, immediate)
        return self

    def move(self, dst: int, immediate: int) -> Assembler:
        return self.raw(0xB7, dst, immediate=immediate)

    def copy(self, dst: int, src: int) -> Assembler:
        return self.raw(0xBF, dst, src)

    def add(self, dst: int, immediate: int) -> Assembler:
        return self.raw(0x07, dst, immediate=immediate)

    def store_word(self, base: int, offset: int, src: int) -> Assembler:
        return self.raw(0x63, base, src, offset)

    def map(self, dst: int, name: str, offset: int | None = None) -> Assembler:
        kind = "map" if offset is None else "map_value"
        self.relocations.append(Relocation(len(self.code) // 8, kind, name, offset or 0))
        return self.raw(0x18, dst).raw(0)

    def call(self, helper: int) -> Assembler:
        return self.raw(0x85, immediate=helper)

    def exit(self) -> Assembler:
        return self.raw(0x95)

    def spec(self, name: str = "test") -> ProgramSpec:
        return ProgramSpec(name, "", bytes(self.code), relocations=self.relocations)


@pytest.fixture
def assembler() -> Assembler:
    return Assembler()


@pytest.fixture(scope="session", autouse=True)
def _kernel_types() -> None:
    """The kernel's BTF stays mapped once a test has used it: before the leak check counts fds."""
    kernel_btf()


@pytest.fixture
def engine() -> Iterator[KernelEngine]:
    with KernelEngine() as made:
        yield made


@pytest.fixture
def owner() -> Object:
    return Object(b"", license="GPL", btf=None, maps={}, programs={})


@pytest.fixture
def count_by_pid(assembler: Assembler) -> ProgramSpec:
    """Adds one to `counts[pid]`: u32 keys, u64 values."""
    assembler.call(14).raw(0x77, 0, immediate=32).store_word(10, -4, 0)  # pid = bpf_get_current_pid_tgid() >> 32
    assembler.copy(2, 10).add(2, -4).map(1, "counts").call(1)
    assembler.raw(0x15, 0, offset=3).move(1, 1).raw(0xDB, 0, 1).raw(0x05, offset=9)  # found: atomic add; done
    assembler.raw(0x7A, 10, offset=-16, immediate=1).copy(3, 10).add(3, -16).copy(2, 10).add(2, -4)
    assembler.map(1, "counts").move(4, 0).call(2)
    assembler.move(0, 0).exit()
    return assembler.spec("count_by_pid")


@pytest.fixture
def counts_spec() -> MapSpec:
    return MapSpec("counts", 1, 4, 8, 10240)
