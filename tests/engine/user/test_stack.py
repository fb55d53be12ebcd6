"""The stack of programs: what misses a frame is refused at load as by the kernel, and each call begins with a frame of zeros."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from skep import BPF
from skep.bytecode.assembler import assemble
from skep.engine.kernel import KernelEngine
from skep.engine.user.engine import UserEngine
from skep.engine.user.program import Program
from skep.errors import MemoryFault, VerifierError
from skep.object.kinds import kind_for_type
from skep.object.model import Object, ProgramSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = "outside of its stack: a function has the 512 bytes from r10-512 to r10-1"
OF_CALLER = f"of the function at instruction 0, {LIMIT}"
CALLED = "stdw [%r10-8], 1\nmov %r1, %r10\ncall local f\nmov %r0, 0\nexit\nf: "
# name: (text, what is said of the access)
REFUSED = {
    "read-at-the-frame-pointer": ("ldxdw %r0, [%r10+0]\nexit", f"instruction 0: access of 8 bytes at r10+0, {LIMIT}"),
    "write-above": ("mov %r0, 0\nstb [%r10+9], 1\nexit", f"instruction 1: access of 1 byte at r10+9, {LIMIT}"),
    "write-across-the-end": ("mov %r0, 0\nstdw [%r10-4], 1\nexit", f"instruction 1: access of 8 bytes at r10-4, {LIMIT}"),
    "write-below": ("mov %r0, 0\nstdw [%r10-520], 1\nexit", f"instruction 1: access of 8 bytes at r10-520, {LIMIT}"),
    "moved-pointer": (
        "mov %r2, %r10\nadd %r2, -600\nstw [%r2+4], 1\nmov %r0, 0\nexit",
        f"instruction 2: access of 4 bytes at r10-596, {LIMIT}",
    ),
    "atomic": ("mov %r0, 1\nlock add [%r10+8], %r0\nexit", f"instruction 1: access of 8 bytes at r10+8, {LIMIT}"),
    "helper": (
        "mov %r1, %r10\nadd %r1, -8\nmov %r2, 16\ncall 16\nmov %r0, 0\nexit",
        f"instruction 3: access of 16 bytes at r10-8, {LIMIT}",
    ),
    "own-frame-pointer-into-the-caller": (
        f"{CALLED}ldxdw %r0, [%r10+504]\nexit", f"instruction 5: access of 8 bytes at r10+504, {LIMIT}"),
    "callers-pointer-above": (f"{CALLED}ldxdw %r0, [%r1+0]\nexit", f"instruction 5: access of 8 bytes at r10+0 {OF_CALLER}"),
    "callers-pointer-into-the-own-frame": (
        f"{CALLED}stdw [%r10-8], 1\nldxdw %r0, [%r1-520]\nexit", f"instruction 6: access of 8 bytes at r10-520 {OF_CALLER}"),
}  # fmt: skip
TAKEN = {
    "whole-frame": "stdw [%r10-8], 1\nstdw [%r10-512], 2\nldxdw %r0, [%r10-512]\nexit",
    "callers-frame": f"{CALLED}ldxdw %r0, [%r1-8]\nstdw [%r1-512], 1\nexit",
    "pointer-that-is-not-used": "mov %r1, %r10\nadd %r1, 8\nmov %r0, 0\nexit",
}
KIND = kind_for_type(BPF.RAW_TRACEPOINT)
OWNER = Object(b"", license="GPL", btf=None, maps={}, programs={})


def spec(text: str) -> ProgramSpec:
    return ProgramSpec("probe", "raw_tp", assemble(text))


@pytest.fixture(scope="module")
def user() -> Iterator[UserEngine]:
    with contextlib.closing(UserEngine()) as engine:
        yield engine


@pytest.mark.parametrize("name", REFUSED)
def test_what_misses_the_frame_is_an_error_at_load(user: UserEngine, name: str) -> None:
    text, said = REFUSED[name]
    with pytest.raises(MemoryFault) as caught:
        user.load_program(spec(text), KIND, {}, OWNER)
    assert str(caught.value) == f"program 'probe': {said}"
    assert caught.value.insn == int(said.split()[1].rstrip(":"))


@pytest.mark.parametrize("name", TAKEN)
def test_what_stays_in_a_frame_is_taken(user: UserEngine, name: str) -> None:
    user.load_program(spec(TAKEN[name]), KIND, {}, OWNER).close()


@pytest.mark.kernel
def test_the_kernel_refuses_and_takes_the_same() -> None:
    with KernelEngine() as engine:
        for text, _ in REFUSED.values():
            with pytest.raises(VerifierError, match="stack"):
                engine.load_program(spec(text), KIND, {}, OWNER)
        for text in TAKEN.values():
            engine.load_program(spec(text), KIND, {}, OWNER).close()


def test_the_error_has_the_line() -> None:
    text = """
RAW_TRACEPOINT_PROBE(sys_enter) {
    char name[8] = {};
    *(volatile char *)((u64)name + 40) = 1;
    return 0;
}
"""
    with pytest.raises(MemoryFault) as caught:
        BPF(text=text, engine="user")
    assert "program 'raw_tracepoint__sys_enter': instruction" in str(caught.value)
    assert "access of 1 byte at r10+" in str(caught.value)
    assert "+ 40) = 1" in caught.value.source_line


# Offsets that are known when the program runs, each with the byte that picks it: (text, byte, what comes of it)
VARYING = {
    "own-frame": ("ldxb %r3, [%r1+0]\nmov %r2, %r10\nsub %r2, %r3\nstb [%r2-8], 5\nldxb %r0, [%r2-8]\nexit", 64, 5),
    "below-the-own-frame": ("ldxb %r3, [%r1+0]\nlsh %r3, 2\nmov %r2, %r10\nsub %r2, %r3\nldxb %r0, [%r2-8]\nexit", 128, None),
    "callers-frame": (
        "stb [%r10-9], 7\nldxb %r2, [%r1+0]\nmov %r1, %r10\ncall local f\nexit\n"
        "f: sub %r1, %r2\nldxb %r0, [%r1+0]\nexit", 9, 7),
    "above-the-callers-frame": (
        "ldxb %r2, [%r1+0]\nmov %r1, %r10\ncall local f\nexit\nf: add %r1, %r2\nldxb %r0, [%r1-8]\nexit", 8, None),
    "a-number-in-the-callers-frame": (
        "stb [%r10-9], 7\nldxb %r2, [%r1+0]\nmov %r1, %r10\nmul %r1, 1\ncall local f\nexit\n"
        "f: sub %r1, %r2\nldxb %r0, [%r1+0]\nexit", 9, 7),
    "a-number-below-the-own-frame": (
        "ldxb %r2, [%r1+0]\nlsh %r2, 2\nmov %r1, %r10\nmul %r1, 1\nsub %r1, %r2\nldxb %r0, [%r1-8]\njne %r0, 9, out\n"
        "call local f\nout: exit\nf: stb [%r10-1], 9\nmov %r0, 0\nexit", 128, None),
}  # fmt: skip


@pytest.mark.parametrize("ranges", [True, False], ids=["proved", "checked"])
@pytest.mark.parametrize("name", VARYING)
def test_offsets_that_vary_stay_in_the_frames_of_those_who_run(name: str, ranges: bool) -> None:
    text, byte, result = VARYING[name]
    with Program(assemble(text), ranges=ranges) as program:
        if result is None:
            with pytest.raises(MemoryFault, match="outside of everything"):
                program.run(bytes([byte]))
        else:
            assert program.run(bytes([byte])) == result


@pytest.mark.parametrize("ranges", [True, False], ids=["proved", "checked"])
def test_each_call_begins_with_zeros(ranges: bool) -> None:
    """What an earlier call left in the same place is not seen: by the function itself, by a number, by what it calls."""
    reads = {
        "itself": "f: ldxdw %r0, [%r10-64]\nexit",
        "number": "f: mov %r1, %r10\nmul %r1, 1\nldxdw %r0, [%r1-64]\nexit",
        "callee": "f: mov %r1, %r10\ncall local h\nexit\nh: ldxdw %r0, [%r1-64]\nexit",
        "helper": "f: mov %r3, %r10\nadd %r3, -64\nmov %r1, %r10\nadd %r1, -8\nmov %r2, 8\ncall 113\nldxdw %r0, [%r10-8]\nexit",
    }
    for name, text in reads.items():
        code = assemble(f"call local g\ncall local f\nexit\ng: stdw [%r10-64], 77\nmov %r0, 0\nexit\n{text}")
        with Program(code, ranges=ranges) as program:
            assert program.run(b"") == 0, name
