"""The front end accepts or refuses any text with a CompileError, soon: damaged texts, deep nesting, huge lists."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from skep.compiler import Flags, front_end
from skep.compiler.diagnostics import Diagnostics
from skep.compiler.source import SourceFile
from skep.errors import CompileError

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # behind tests/, whose conftest others import
from mutations import hunt, pieces  # noqa: E402


@pytest.mark.parametrize(("target", "seed"), [("host", 11), ("bpf", 12)])
def test_damaged_texts_are_accepted_or_refused(target: str, seed: int) -> None:
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for found in pool.map(hunt, *zip(*pieces(target, 1000, seed, 20), strict=True)):
            for wrong, text in found:
                raise AssertionError(f"{wrong}\n--- text:\n{text}")


def outcome(text: str) -> str:
    """The LLVM IR, or the errors."""
    try:
        return front_end(SourceFile("deep.c", text), Diagnostics(), Flags(()), "host", None, None)[0]
    except CompileError as error:
        return str(error)


N = 10_000
DEEP = {
    "parentheses": "int x = " + "(" * N + "1" + ")" * N + ";",
    "open parentheses": "int x = " + "(" * N,
    "unary": "int f(int x) { return " + "-" * 1 + "~" * N + "x; }",
    "negations": "int f(int x) { return " + "! " * N + "x; }",
    "stars": "int f(int x) { return " + "*" * N + "x; }",
    "casts": "int f(int x) { return " + "(int)" * N + "x; }",
    "sizeof": "int x = " + "sizeof " * N + "1;",
    "blocks": "int f(void) " + "{" * N + "}" * N,
    "ifs": "int f(int x) { " + "if (x) " * N + "x = 1; return x; }",
    "else ifs": "int f(int x) { " + "if (x == 1) x = 2; else " * N + "x = 1; return x; }",
    "loops": "int f(int x) { " + "while (x) " * N + "x = 0; return x; }",
    "labels": "int f(int x) { " + "".join(f"l{i}: " for i in range(N)) + "return x; }",
    "cases": "int f(int x) { switch (x) { " + "".join(f"case {i}: " for i in range(N)) + "return 1; } return 0; }",
    "conditional": "int f(int x) { return " + "x ? 1 : " * N + "2; }",
    "conditional in the middle": "int f(int x) { return " + "x ? " * N + "1" + " : 2" * N + "; }",
    "assignments": "int f(int x) { " + "x = " * N + "1; return x; }",
    "pointers": "int " + "*" * N + "p;",
    "arrays": "int a" + "[1]" * N + ";",
    "declarators": "int " + "(" * N + "p" + ")" * N + ";",
    "functions": "int f" + "(int (*)" * N + "(void)" + ")" * N + ";",
    "structs": "struct a { " * N + "int x; " + "} y; " * N,
    "initialisers": "int a = " + "{" * N + "1" + "}" * N + ";",
    "compound literals": "int f(void) { return " + "(int){" * N + "1" + "}" * N + "; }",
    "statement expressions": "int f(void) { return " + "({" * N + "1;" + "})" * N + "; }",
    "indexes": "int f(int *a) { return " + "a[" * N + "0" + "]" * N + "; }",
    "calls": "int f(int x) { return " + "f(" * N + "0" + ")" * N + "; }",
    "typeof": "typeof(" * N + "int" + ")" * N + " x;",
    "generic": "int x = " + "_Generic(1, int: " * N + "1" + ")" * N + ";",
    "attributes": "int x " + "__attribute__((aligned(" * N + "1" + ")))" * N + ";",
    "macros": "#define A(x) x\nint x = " + "A(" * N + "1" + ")" * N + ";",
    "directives": "#if 1\n" * N + "int x;\n" + "#endif\n" * N,
    "typedefs": "typedef int *t0;\n" + "".join(f"typedef t{i} *t{i + 1};\n" for i in range(N)) + f"t{N} x; int *y = x;",
    "typedefs of arrays": "typedef int t0;\n"
    + "".join(f"typedef t{i} t{i + 1}[1];\n" for i in range(N))
    + f"t{N} x; int y = sizeof x;",
    "structs in structs": "struct s0 { int x; };\n"
    + "".join(f"struct s{i + 1} {{ struct s{i} m; }};\n" for i in range(N))
    + f"struct s{N} x = {{1}};",
    "condition": "#if " + "(" * N + "1" + ")" * N + "\nint x;\n#endif\n",
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting_is_an_error_with_a_text(name: str) -> None:
    assert outcome(DEEP[name]).strip()


WIDE = {
    "sum": "int f(int x) { return x" + " + x" * N + "; }",
    "comma": "int f(int x) { return x" + ", x" * N + "; }",
    "and": "int f(int x) { return x" + " && x" * N + "; }",
    "shifts": "int f(int x) { return x" + " << 1" * N + "; }",
    "members": "struct s { " + "".join(f"int m{i}; " for i in range(N)) + "} s = {" + "1, " * N + "};",
    "elements": "int a[] = {" + "1, " * 5 * N + "};",
    "statements": "int f(int x) { " + "x++; " * N + "return x; }",
    "enumerators": "enum e { " + ", ".join(f"E{i}" for i in range(N)) + " };",
    "functions": "".join(f"int f{i}(int x) {{ return x; }}\n" for i in range(2000)),
    "postfix": "int f(int ***x) { return x" + "[0]" * N + "; }",
    "strings": "char s[] = " + '"x" ' * N + ";",
    "arrows": "struct s { struct s *n; } *p; struct s *f(void) { return p" + "->n" * N + "; }",
    "increments": "int f(int x) { return x" + "++" * N + "; }",
}


@pytest.mark.parametrize("name", WIDE)
def test_long_texts_are_accepted_or_refused(name: str) -> None:
    assert outcome(WIDE[name]).strip()
