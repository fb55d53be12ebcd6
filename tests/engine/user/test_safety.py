"""Hostile programs and random bytecode: refused, or stopped with a fault; the process that runs them lives on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from hostile import CASES  # noqa: E402

from skep.bytecode.assembler import assemble  # noqa: E402
from skep.engine.user import execute  # noqa: E402
from skep.errors import MemoryFault, TimeLimit  # noqa: E402


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What came of each hostile program, each in a child of its own."""
    run = subprocess.run([sys.executable, str(HERE / "hostile.py")], capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == 0, run.stderr
    return dict(line.split(": ", 1) for line in run.stdout.splitlines())


@pytest.mark.parametrize("name", CASES)
def test_hostile_program(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == str(CASES[name][1])


def test_random_bytecode() -> None:
    """10,000 programs: no signal, no hang, and the interpreter's answers. LLVM's optimiser sees a part of them."""
    command = [sys.executable, str(HERE / "fuzz_bytecode.py")]
    shares = [("0", "4800", "1", "0"), ("0", "4800", "2", "0.2"), ("2", "400", "3", "0")]
    runs = [
        subprocess.Popen(
            [*command, "--level", level, "-n", count, "--seed", seed, "--real", real], stdout=subprocess.PIPE, text=True
        )
        for level, count, seed, real in shares
    ]
    for run in runs:
        output, _ = run.communicate(timeout=900)
        assert run.returncode == 0, output
        assert " 0 wrong" in output


def test_fault_says_where() -> None:
    with pytest.raises(MemoryFault) as caught:
        execute(assemble("mov %r0, 0\nlddw %r3, 0x1234567000\nldxw %r0, [%r3+8]\nexit"))
    assert caught.value.insn == 3
    assert caught.value.address == 0x1234567008
    assert "access of 4 bytes at 0x1234567008" in str(caught.value)


def test_time_limit_says_how_long() -> None:
    with pytest.raises(TimeLimit, match=r"limit of 0\.03 s"):
        execute(assemble("ja -1\nexit"), time_limit=0.03)
