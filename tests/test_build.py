"""From text to object through the cache: what is compiled again, and what is not. The compiler here is a stand-in."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
from sample import PATH

import skep
from skep.build import build
from skep.object.model import Object

if TYPE_CHECKING:
    from pathlib import Path


class Compiler:
    """Counts what it is asked for, and gives out the sample object with a warning."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.diagnostics = "<text>:1:1: warning: something"

    def compile_source(self, text: str, **options: Any) -> types.SimpleNamespace:
        self.asked.append((text, options))
        return types.SimpleNamespace(data=PATH.read_bytes(), diagnostics=self.diagnostics)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Compiler:
    made = Compiler()
    module: Any = types.ModuleType("skep.compiler")
    module.compile_source = made.compile_source
    monkeypatch.setitem(sys.modules, "skep.compiler", module)
    monkeypatch.setenv("SKEP_CACHE_DIR", str(tmp_path / "cache"))
    return made


def test_the_second_build_comes_from_the_cache_with_its_warnings(compiler: Compiler, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = build("int a;"), build("int a;")
    assert len(compiler.asked) == 1
    assert isinstance(second, Object)
    assert first.data == second.data
    assert capsys.readouterr().err == "<text>:1:1: warning: something\n" * 2


def test_no_warnings_no_output(compiler: Compiler, capsys: pytest.CaptureFixture[str]) -> None:
    compiler.diagnostics = ""
    build("int a;")
    build("int a;")
    assert capsys.readouterr().err == ""


def test_whatever_changes_the_result_is_part_of_the_key(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_ways() -> None:
        build("int a;")
        build("int b;")
        build("int a;", file="a.c")
        build("int a;", cflags=["-DX=1"])
        build("int a;", cflags=["-DX", "=1"])
        build("int a;", contexts={"f": "tracepoint"})
        build("int a;", contexts={"f": "syscall_enter"})
        build("int a;", target="host")

    all_ways()
    all_ways()
    assert len(compiler.asked) == 8
    monkeypatch.setattr("skep.build.compiler_state", lambda: "edited")
    all_ways()
    assert len(compiler.asked) == 16


@pytest.mark.parametrize(
    ("text", "cflags"),
    [
        ('#include "mine.h"', ()),
        ('  #  include"mine.h"', ()),
        ("#include MINE", ()),
        ('/* a */ #include "mine.h"', ()),
        ("#if __has_include(<mine.h>)\n#endif", ()),
        ("#include <mine.h>", ("-I.",)),
        ("int a;", ("-include", "mine.h")),
    ],
)
def test_texts_with_files_of_the_user_are_compiled_each_time(compiler: Compiler, text: str, cflags: tuple[str, ...]) -> None:
    build(text, cflags=cflags)
    build(text, cflags=cflags)
    assert len(compiler.asked) == 2


def test_kernel_headers_are_cached(compiler: Compiler) -> None:
    build("#include <linux/sched.h>")
    build("#include <linux/sched.h>")
    assert len(compiler.asked) == 1


def test_without_a_cache_each_build_compiles(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKEP_CACHE", "0")
    build("int a;")
    build("int a;")
    assert len(compiler.asked) == 2


def test_public_functions(compiler: Compiler) -> None:
    assert skep.compile(b"int a;", cflags=["-w"]).programs.keys() == skep.load_object(PATH).programs.keys()
    assert compiler.asked[0][1]["cflags"] == ["-w"]
    assert skep.load_object(PATH.read_bytes()).license == "GPL"
