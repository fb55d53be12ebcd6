"""The examples of configuration and of maps that programs and processes share."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import ROOT

if TYPE_CHECKING:
    from support import Skep

pytestmark = pytest.mark.kernel


def run(skep: Skep, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=skep.environment, text=True, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_config_measures_only_what_it_is_told_to(skep: Skep) -> None:
    lines = run(skep, "examples/config.py").splitlines()
    slow = [re.fullmatch(r"a wait of \d+ ms: (\d+) system calls took more than \d+ ms", line) for line in lines[:3]]
    assert [int(found[1]) for found in slow if found] == [1, 0, 1]
    assert re.fullmatch(r"\d+ system calls of \d+ kinds", lines[3])
    assert lines[4].startswith("variable 'wanted_pid' is in .rodata")


def test_two_programs_share_a_map(skep: Skep) -> None:
    found = re.fullmatch(r"sleep 0.2 lived (\d+) ms\n", run(skep, "examples/two_programs.py"))
    assert found
    assert int(found[1]) >= 200
