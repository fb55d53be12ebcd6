"""Our code against clang's, by numbers of instructions: a few programs of bench/codegen.py, and its bars."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
FEW = ("hello_map", "hello_perf", "hello_tail", "syscount", "xdp_parse", "ratelimit", "min_size", "subprograms")


def bench(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(shutil.which("clang-19") is None, reason="clang-19 is not installed; it is what the code is compared with")
def test_programs_are_as_short_as_clangs() -> None:
    codegen = bench("codegen")
    rows = codegen.measure([BENCH / "programs" / f"{name}.c" for name in FEW], kernel=False)
    assert len(rows) >= len(FEW)
    assert codegen.geometric_mean(rows) <= codegen.MEAN_BAR
    assert {f"{row.file}:{row.program}": row.ratio for row in rows if row.ratio > codegen.WORST_BAR} == {}


@pytest.mark.kernel
@pytest.mark.parametrize("name", FEW)
def test_the_verifier_takes_the_bench_programs(name: str) -> None:
    codegen = bench("codegen")
    assert codegen.load(codegen.by_skep(BENCH / "programs" / f"{name}.c")) == {}


def test_the_large_text_of_the_compile_bench_is_one_program_text() -> None:
    from skep.compiler import compile_source
    from skep.object import read_object

    compile_bench = bench("compile")
    text = compile_bench.joined(compile_bench.LARGE)
    assert text.count("\n") > 550
    assert len(read_object(compile_source(text, cflags=compile_bench.FLAGS).data).programs) >= 10
