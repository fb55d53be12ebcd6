"""Small random programs of csmith's give the same result compiled by Skep, optimised or not, and by clang or GCC."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # behind tests/, whose conftest others import
from fuzz_csmith import DIFFERENT, compare, missing

SMALL = ("--max-funcs", "3", "--max-block-depth", "3", "--max-expr-complexity", "6", "--max-block-size", "3")


def test_random_programs_do_what_the_system_compiler_makes_of_them() -> None:
    if missing():
        pytest.skip(missing())
    counts = compare(range(1, 31), (SMALL, (*SMALL, "--float"), (*SMALL, "--unions", "--bitfields")))
    assert not any(counts[kind] for kind in DIFFERENT), counts
    assert counts["same"] >= 25, counts
