"""The instruction set: each case is a text, its memory, and the result that RFC 9669 asks for; the kernel runs them, too.

The cases are in the format of the suites of rbpf and bpf_conformance, so that others can be put beside them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from skep.bytecode import decode
from skep.bytecode import instruction as isa
from skep.bytecode.assembler import assemble
from skep.engine import kernel
from skep.engine.user import execute
from skep.engine.user.validate import CALLX
from skep.errors import ExecutionError, ObjectError, SkepError, VerifierError
from skep.object.model import Object, ProgramKind, ProgramSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = os.path.join(os.path.dirname(__file__), "cases")
NAMES = sorted(name.removesuffix(".data") for name in os.listdir(CASES))


class Case:
    """The sections of one file."""

    def __init__(self, name: str) -> None:
        self.sections: dict[str, list[str]] = {}
        with open(os.path.join(CASES, f"{name}.data")) as file:
            section = ""
            for line in file:
                if line.startswith("-- "):
                    section = line[3:].strip()
                    self.sections[section] = []
                elif section:
                    self.sections[section].append(line.rstrip("\n"))
        self.code = assemble("\n".join(self.sections["asm"]))
        self.memory = bytes.fromhex(" ".join(self.sections.get("mem", [])))
        self.error = " ".join(self.sections.get("error", []))

    @property
    def result(self) -> int:
        return int(self.sections["result"][0], 16)


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str) -> None:
    case = Case(name)
    if case.error:
        with pytest.raises(ExecutionError, match=case.error):
            execute(case.code, case.memory, time_limit=0.05)
    else:
        assert execute(case.code, case.memory) == case.result


def test_every_opcode_occurs() -> None:
    expected = {
        isa.LOAD_64,
        CALLX,
        isa.JMP | isa.CALL,
        isa.JMP | isa.EXIT,
        isa.JMP | isa.JA,
        isa.JMP32 | isa.JA,
        isa.JMP | isa.JCOND,
    }
    for group in (isa.ALU, isa.ALU64):
        expected |= {group | op | by for op in range(0, isa.NEG, 0x10) for by in (0, isa.X)}
        expected |= {group | op | by for op in (isa.MOD, isa.XOR, isa.MOV, isa.ARSH) for by in (0, isa.X)}
        expected |= {group | isa.NEG, group | isa.END}
    expected.add(isa.ALU | isa.END | isa.X)
    for group in (isa.JMP, isa.JMP32):
        conditions = set(range(isa.JEQ, isa.JCOND, 0x10)) - {isa.CALL, isa.EXIT}
        expected |= {group | op | by for op in conditions for by in (0, isa.X)}
    for size in (isa.B, isa.H, isa.W, isa.DW):
        expected |= {group | isa.MEM | size for group in (isa.LDX, isa.ST, isa.STX)} | {isa.STX | isa.ATOMIC | size}
    expected |= {isa.LDX | isa.MEMSX | size for size in (isa.B, isa.H, isa.W)}
    found = {insn.code for name in NAMES for insn in decode(Case(name).code)}
    assert not expected - found


@pytest.fixture(scope="module")
def engine() -> Iterator[kernel.KernelEngine]:
    with kernel.KernelEngine() as engine:
        yield engine


@pytest.mark.kernel
def test_kernel_gives_the_same(engine: kernel.KernelEngine) -> None:
    """Programs that the verifier takes, as BPF_PROG_TYPE_SYSCALL, whose context is plain memory; both halves of r0."""
    kind = ProgramKind("syscall", 31, "syscall", flags=1 << 4)  # BPF_F_SLEEPABLE
    owner = Object(b"", license="GPL", btf=None, maps={}, programs={})
    taken = 0
    for name in NAMES:
        case = Case(name)
        if case.error or name == "length":
            continue
        halves = []
        for shift in (0, 32):
            code = assemble(f"call local body\nrsh %r0, {shift}\nexit\nbody: ja +0") + case.code
            try:
                with engine.load_program(ProgramSpec(name, "syscall", code), kind, {}, owner) as program:
                    value, _, _, _ = program.test_run(ctx=case.memory)
                    halves.append(value)
            except (VerifierError, ObjectError, SkepError):
                break
        if len(halves) == 2:
            taken += 1
            assert halves[0] | halves[1] << 32 == case.result, name
    assert taken > 150
