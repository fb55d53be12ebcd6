"""Diagnostics: rendering with carets and macro notes, limits, JSON, near names."""

from __future__ import annotations

import pytest

from skep.compiler import diagnostics as diagnostics_module
from skep.compiler.diagnostics import Diagnostics, closest
from skep.compiler.lexer import tokenize
from skep.compiler.preprocessor import Preprocessor
from skep.compiler.source import SourceFile, Token
from skep.errors import CompileError


def find(tokens: list[Token], text: str) -> Token:
    return next(token for token in tokens if token.text == text)


def preprocess(text: str, **options: object) -> list[Token]:
    diagnostics = Diagnostics()
    tokens = Preprocessor(diagnostics, **options).run(SourceFile("a.c", text))  # type: ignore[arg-type]
    assert diagnostics.render() == ""
    return tokens


def test_carets_run_from_the_first_token_to_the_last() -> None:
    tokens = tokenize(SourceFile("a.c", "int x;\n\treturn foo(a, bc) + 1;\n"))
    diagnostics = Diagnostics()
    diagnostics.error("bad call", find(tokens, "foo"), find(tokens, ")"), code="bad-call")
    assert diagnostics.render() == (
        "a.c:2:9: error: bad call\n    2 |         return foo(a, bc) + 1;\n      |                ^~~~~~~~~~"
    )


def test_a_range_over_lines_ends_with_the_first_line() -> None:
    tokens = tokenize(SourceFile("a.c", "f(a,\n  b);"))
    diagnostics = Diagnostics()
    diagnostics.warning("long", tokens[0], find(tokens, ")"))
    assert diagnostics.render().splitlines()[1:] == ["    1 | f(a,", "      | ^~~~"]
    assert diagnostics.to_json()[0]["end_line"] == 2


def test_error_in_a_macro_points_at_the_call_and_then_into_the_macro() -> None:
    tokens = preprocess("#define IN(x) (x + oops)\n#define OUT(x) IN(x) * 2\nint y = OUT(3);\n")
    diagnostics = Diagnostics()
    note = diagnostics.note("declared here", find(tokens, "y"))
    diagnostics.error("'oops' is not declared", find(tokens, "oops"), notes=[note], code="undeclared")
    assert diagnostics.render() == (
        "a.c:3:9: error: 'oops' is not declared\n"
        "    3 | int y = OUT(3);\n"
        "      |         ^~~\n"
        "a.c:2:16: note: in expansion of macro 'OUT'\n"
        "    2 | #define OUT(x) IN(x) * 2\n"
        "      |                ^~\n"
        "a.c:1:20: note: in expansion of macro 'IN'\n"
        "    1 | #define IN(x) (x + oops)\n"
        "      |                    ^~~~\n"
        "a.c:3:5: note: declared here\n"
        "    3 | int y = OUT(3);\n"
        "      |     ^"
    )


def test_error_in_an_argument_points_at_the_argument() -> None:
    tokens = preprocess("#define ID(x) x\nint y = ID(ID(oops));\n")
    diagnostics = Diagnostics()
    diagnostics.error("no", find(tokens, "oops"))
    assert diagnostics.render() == "a.c:2:15: error: no\n    2 | int y = ID(ID(oops));\n      |               ^~~~"


def test_error_in_a_builtin_macro_shows_the_users_call() -> None:
    tokens = preprocess("int y = PT_REGS_PARM1(ctx);\n", builtin_macros={"PT_REGS_PARM1": "(x) ((x)->di)"})
    diagnostics = Diagnostics()
    diagnostics.error("no member 'di'", find(tokens, "di"))
    assert diagnostics.render().splitlines()[:5] == [
        "a.c:1:9: error: no member 'di'",
        "    1 | int y = PT_REGS_PARM1(ctx);",
        "      |         ^~~~~~~~~~~~~",
        "<built-in>:1:32: note: in expansion of macro 'PT_REGS_PARM1'",
        "    1 | #define PT_REGS_PARM1(x) ((x)->di)",
    ]


def test_line_directive_changes_name_and_number_but_shows_the_right_line() -> None:
    tokens = preprocess('#line 70 "b.h"\nint x;\n')
    diagnostics = Diagnostics()
    diagnostics.error("no", find(tokens, "x"))
    assert diagnostics.render() == "b.h:70:5: error: no\n   70 | int x;\n      |     ^"


def test_the_same_error_at_the_same_place_is_reported_once() -> None:
    token = tokenize(SourceFile("a.c", "x"))[0]
    diagnostics = Diagnostics()
    diagnostics.error("no", token)
    diagnostics.error("no", token)
    assert diagnostics.errors == len(diagnostics.items) == 1


def test_warnings_alone_do_not_fail_and_errors_carry_everything() -> None:
    tokens = tokenize(SourceFile("a.c", "x y"))
    diagnostics = Diagnostics()
    diagnostics.warning("hm", tokens[0])
    diagnostics.raise_if_errors()
    diagnostics.error("no", tokens[1], code="nope")
    with pytest.raises(CompileError) as caught:
        diagnostics.raise_if_errors()
    assert [item.severity for item in caught.value.diagnostics] == ["warning", "error"]
    assert str(caught.value) == diagnostics.render()


def test_too_many_errors_stop_the_compilation() -> None:
    tokens = tokenize(SourceFile("a.c", "a b c d"))
    diagnostics = Diagnostics(limit=3)
    diagnostics.error("no", tokens[0])
    diagnostics.error("no", tokens[1])
    with pytest.raises(CompileError, match="too many errors"):
        diagnostics.error("no", tokens[2])
    assert diagnostics.errors == 3


def test_json_has_places_and_notes() -> None:
    tokens = tokenize(SourceFile("a.c", "int abc;"))
    diagnostics = Diagnostics()
    diagnostics.error("no", tokens[1], notes=[diagnostics.note("see", tokens[0])], code="nope")
    (item,) = diagnostics.to_json()
    assert (item["file"], item["line"], item["column"], item["end_column"], item["code"]) == ("a.c", 1, 5, 8, "nope")
    assert item["notes"][0]["message"] == "see"  # type: ignore[index]


def test_colour_is_added_around_the_same_text() -> None:
    import re

    tokens = tokenize(SourceFile("a.c", "x"))
    diagnostics = Diagnostics()
    diagnostics.error("no", tokens[0])
    colored = diagnostics.render(color=True)
    assert "\x1b[1;31merror:" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == diagnostics.render()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bpf_get_current_uid_get", "bpf_get_current_uid_gid"),
        ("coutner", "counter"),
        ("PID", "pid"),
        ("counte", "counter"),
        ("zzz", None),
        ("counter", "couter"),
        ("x", None),
    ],
)
def test_closest_finds_slips_and_nothing_far_away(name: str, expected: str | None) -> None:
    assert closest(name, ["bpf_get_current_uid_gid", "bpf_get_current_pid_tgid", "counter", "couter", "pid", "y"]) == expected


def test_closest_prefers_the_first_of_equally_near_names() -> None:
    assert closest("cat", ["bat", "rat"]) == "bat"


def test_closest_measures_few_of_ten_thousand_names(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"bpf_{'abcdefghij'[i % 10] * (i % 7)}_{i}_probe" for i in range(10000)]
    measured: list[str] = []
    distance = diagnostics_module._distance

    def count(a: str, b: str, limit: int) -> int:
        measured.append(b)
        return distance(a, b, limit)

    monkeypatch.setattr(diagnostics_module, "_distance", count)
    assert closest("bpf_get_current_taks", [*names, "bpf_get_current_task"]) == "bpf_get_current_task"
    assert len(measured) < 100
