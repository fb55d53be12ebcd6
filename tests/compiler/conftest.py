"""`program(text)` compiles a text, makes its maps in this kernel, loads and runs its programs; `out` is its array of results."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from skep.compiler import compile_source
from skep.engine.formats import tracepoint_members
from skep.engine.kernel import KernelEngine
from skep.object import kind_for_section, read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skep.engine.kernel.maps import KernelMap
    from skep.engine.kernel.programs import KernelProgram

PACKET = bytes(range(64))


class Program:
    """One compiled text in the kernel."""

    def __init__(self, engine: KernelEngine, text: str, cflags: tuple[str, ...], contexts: dict[str, str]) -> None:
        self.engine = engine
        self.compiled = compile_source(
            text, file="test.c", cflags=cflags, contexts=contexts, tracepoint_fields=tracepoint_members
        )
        self.object = read_object(self.compiled.data)
        self.maps: dict[str, KernelMap] = {}
        self.loaded: dict[str, KernelProgram] = {}
        for spec in self.object.maps.values():
            self.maps[spec.name] = engine.create_map(spec, self.object)

    def load(self, name: str = "f", section: str = "") -> KernelProgram:
        """Load a program as what a section says, or its own section; what says nothing is a raw tracepoint."""
        if name not in self.loaded:
            spec = self.object.programs[name]
            kind = spec.kind if spec.kind is not None and spec.kind.name != "kprobe" else kind_for_section("raw_tracepoint/x")
            if section:
                kind = kind_for_section(section)
            assert kind is not None
            self.loaded[name] = self.engine.load_program(spec, kind, self.maps, self.object)
        return self.loaded[name]

    def run(self, name: str = "f", *, args: tuple[int, ...] = (), section: str = "") -> int:
        """Run as a raw tracepoint of this process, with these arguments; a signed result."""
        context = struct.pack("=12Q", *(a & (1 << 64) - 1 for a in args), *[0] * (12 - len(args)))
        result = self.load(name, section).test_run(ctx=context)[0]
        return result - (1 << 32) if result >> 31 else result

    def packet(self, name: str = "f", data: bytes = PACKET, section: str = "socket", ctx: bytes = b"") -> tuple[int, bytes]:
        """Run on a packet: (result, packet afterwards)."""
        result, after, _, _ = self.load(name, section).test_run(data, ctx)
        return result, after

    @property
    def out(self) -> list[int]:
        """The u64 values of the array `out`."""
        return [self.get("out", i) for i in range(self.maps["out"].max_entries)]

    def get(self, map: str, key: int | bytes, format: str = "Q") -> int:
        """One number of a map (u32 keys when the key is an int); a KeyError when there is none."""
        data = self.maps[map].lookup(struct.pack("=I", key) if isinstance(key, int) else key)
        if data is None:
            raise KeyError(key)
        return int(struct.unpack_from("=" + format, data)[0])

    def instructions(self, name: str = "f") -> list[tuple[int, int, int, int, int]]:
        """(opcode, dst, src, offset, immediate) of each instruction."""
        code = self.object.programs[name].instructions
        return [(op, regs & 15, regs >> 4, off, imm) for op, regs, off, imm in struct.iter_unpack("<BBhi", code)]

    def helpers(self, name: str = "f") -> list[int]:
        """The helper calls of a program in their order."""
        return [imm for op, _, src, _, imm in self.instructions(name) if op == 0x85 and src == 0]

    def close(self) -> None:
        for opened in (*self.loaded.values(), *self.maps.values()):
            opened.close()


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    made: list[Program] = []
    with KernelEngine() as engine:

        def make(text: str, *, cflags: tuple[str, ...] = (), contexts: dict[str, str] | None = None) -> Program:
            made.append(Program(engine, text, cflags, contexts or {}))
            return made[-1]

        yield make
        for one in made:
            one.close()
