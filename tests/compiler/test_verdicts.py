"""Small texts that must be errors, or must not: the verdicts are clang 19's, asked again where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from skep.compiler import Flags, front_end
from skep.compiler.diagnostics import Diagnostics
from skep.compiler.source import SourceFile
from skep.errors import CompileError

ERRORS = """
int *f(void) { return 5; }
int f(int *p) { return p; }
int f(int *p) { int x = p; return x; }
void g(int *); void f(void) { g(5); }
void g(int); void f(int *p) { g(p); }
char *p = 5;
void f(int *p) { p = 5; }
void f(void *p) { int x; x = p; }
int g(int); void (*p)(void) = g;
int g(int); void f(int (*)(long)); void h(void) { f(g); }
struct s { int a; } s; int f(int x, int *p) { return *(x ? p : s); }
int f(int x, int *p) { return *(x ? p : 1.5); }
int f(long *l, long *e) { return __atomic_compare_exchange_n(l, e, 1, 0, 5); }
int f(long *l, long e) { return __atomic_compare_exchange_n(l, e, 1, 0, 5, 5); }
int f(long *l, long *e) { return __atomic_compare_exchange(l, e, 1, 0, 5, 5); }
int f(void) { return g(1); }
int f(void) { return; }
void f(void) { return 1; }
x = 5;
f(void) { return 1; }
static x;
const y = 3;
void f(void) { static x; }
int f(a) { return a; }
unsigned signed x;
int int x;
long long long x;
long short x;
float int x;
long float x;
short double x;
void int x;
static extern int x;
static typedef int x;
_Bool int x;
unsigned float x;
typedef int t; unsigned t x;
void f(void) { register static int x; }
auto int x;
register int x;
inline int x;
_Noreturn int x;
int f(static int x) { return x; }
struct s { static int x; };
restrict int x;
int f(void) { extern int x = 1; return x; }
int f(void); static int f(void) { return 1; }
int x; static int x;
int x; long x;
struct s { int a[]; int x; };
int f(int x, int x);
int f(int x) { int x; return x; }
struct s; struct s x;
long f(int *x, char *y) { return x - y; }
int f(int x) { return _Generic(x, int: 1, int: 2); }
int f(int x) { return _Generic(x, default: 1, default: 2); }
int f(int x) { for (static int i = 0; i < x; i++); return 0; }
int f(...) { return 0; }
int f(int n, int a[m]) { return a[0]; }
void o(int *p); int f(int n) { if (n) goto in; { __attribute__((cleanup(o))) int a = n; in: n++; } return n; }
void o(int *p); int f(int n) { switch (n) { __attribute__((cleanup(o))) int b = 1; case 3: n++; } return n; }
""".strip().splitlines()
ACCEPTED = """
int f(int *p, long x) { return p == x; }
int f(void) { int *p = 0; char *c = (char *)5; long x = (long)p; _Bool b = c; return b + x; }
int f(char *c, int *i) { c = i; return c == i; }
int g(int); void *p = g;
void *q; int (*p)(int); void f(void) { p = q; }
void g(void); void f(void) { return g(); }
signed char signed x;
signed signed x; unsigned unsigned y; short short z;
int long unsigned long x;
char unsigned static x;
const const int x; volatile const volatile int y; static static int z;
inline inline int f(void) { return 1; }
typedef int t; t f(t t) { return t; }
typedef int *p; p restrict x; p const restrict y;
typedef int fn(int); inline fn f; int f(int x) { return x; }
char *s = "\\q\\(\\8"; int c = 'abcde';
int x = {1, 2};
int x; int x; extern int x; static int y; static int y = 1; static int f(void); int f(void) { return 1; }
struct s { int a[]; }; struct t { int n; struct { int x; } a[]; };
union u { int a[]; };
struct s; extern struct s x;
int f(int n, int a[n]) { return a[0]; }
int f(int n, int a[static n * 2], int b[const n][3]) { return a[0] + b[0][1]; }
int f(int a, int b); int f(int b, int a) { return a; }
void o(int *p); int f(int n) { back: ; __attribute__((cleanup(o))) int a = n; if (n) goto back; goto out; out: return n; }
""".strip().splitlines()


def verdict(text: str, *flags: str) -> str:
    try:
        front_end(SourceFile("x.c", text), Diagnostics(), Flags(flags), "host", None, None)
    except CompileError:
        return "error"
    return "accepted"


@pytest.mark.parametrize("text", ERRORS)
def test_texts_that_are_errors(text: str) -> None:
    assert verdict(text) == "error"


@pytest.mark.parametrize("text", ACCEPTED)
def test_texts_that_are_accepted(text: str) -> None:
    assert verdict(text) == "accepted"


def test_clang_says_the_same() -> None:
    clang = shutil.which("clang-19")
    if clang is None:
        pytest.skip("needs clang-19 to ask")

    def ask(text: str) -> str:
        command = [clang, "-w", "-std=gnu11", "-fsyntax-only", "-x", "c", "-"]
        return (
            "error" if subprocess.run(command, input=text.encode(), capture_output=True, check=False).returncode else "accepted"
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip([*ERRORS, *ACCEPTED], pool.map(ask, [*ERRORS, *ACCEPTED]), strict=True))
    assert found == {**dict.fromkeys(ERRORS, "error"), **dict.fromkeys(ACCEPTED, "accepted")}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("int *f(void) { return 5; }", "int-conversion"),
        ("int g(int); void (*p)(void) = g;", "incompatible-function-pointer-types"),
        ("static x;", "implicit-int"),
        ("int f(a) { return a; }", "implicit-int"),
    ],
)
def test_flags_take_back_what_clang_made_an_error(text: str, name: str) -> None:
    assert verdict(text) == "error"
    assert verdict(text, f"-Wno-error={name}") == verdict(text, f"-Wno-{name}") == "accepted"
