"""Who imports whom in the engines: what both need lies above them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest
from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENGINE = ROOT / "src" / "skep" / "engine"


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("engine", "other"), [("user", "kernel"), ("kernel", "user")])
def test_no_engine_imports_the_other(engine: str, other: str) -> None:
    found = [
        (path.name, name)
        for path in sorted((ENGINE / engine).rglob("*.py"))
        for name in imported(path)
        if name.startswith(f"skep.engine.{other}")
    ]
    assert not found


def test_an_engine_knows_no_compiler_on_a_warm_start() -> None:
    """Only functions import it: those that compile what no cache has."""
    found = [
        (path.name, node.module)
        for path in sorted(ENGINE.rglob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skep.compiler")
    ]
    assert not found


def test_the_errno_that_libc_has_no_name_for_is_named_once() -> None:
    found = [
        path.relative_to(ROOT / "src" / "skep").as_posix()
        for path in sorted((ROOT / "src" / "skep").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == 524
    ]
    assert found == ["engine/errnos.py"]
