"""Every file of cases/ gives the same output and exit status compiled by Skep, optimised or not, and by clang or GCC."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # behind tests/, whose conftest others import
from run_cases import system_compilers  # noqa: E402

CASES = sorted((HERE / "cases").glob("*.c"))
LEVELS = "02"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """Status and output of each case as the system's compiler builds it."""
    compilers = system_compilers()
    if not compilers:
        pytest.skip("needs clang or gcc to compare with")
    folder = tmp_path_factory.mktemp("cases")

    def run(case: Path) -> tuple[str, list[object]]:
        program = folder / case.stem
        for compiler in compilers:  # clang-19 has no code for ranges whose values are not constants; GCC has
            built = subprocess.run(
                [compiler, "-w", "-Wno-implicit-int", "-fwrapv", "-o", program, case, "-lm"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if not built.returncode:
                break
        else:
            return str(case), [None, built.stderr]
        done = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
        return str(case), [done.returncode, done.stdout.decode("latin-1")]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(pool.map(run, CASES))


@pytest.fixture(scope="module")
def skep(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[object]]]:
    """Status and output of each case as Skep builds it, by optimisation level."""
    out = tmp_path_factory.mktemp("skep") / "results.json"
    subprocess.run([sys.executable, HERE / "run_cases.py", out, "-O", LEVELS, "--flag=-Wno-implicit-int", *CASES], check=True)
    found: dict[str, dict[str, list[object]]] = json.loads(out.read_text())
    return found


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_case_does_what_the_system_compiler_makes_of_it(
    case: Path, reference: dict[str, list[object]], skep: dict[str, dict[str, list[object]]]
) -> None:
    status, output = reference[str(case)]
    assert status is not None, f"the system's compiler refuses {case}: {output}"
    for level in LEVELS:
        assert skep[str(case)][level] == [status, output], f"-O{level}"
