"""Records, small integers and floats travel between Skep's code and the system compiler's as the ABI says, both ways."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TYPES = {
    "f1": ("struct f1 { float a; };", "{1.5f}", "v.a * 2"),
    "f2": ("struct f2 { float a, b; };", "{1, 2.5f}", "v.a * 2 + v.b * 6"),
    "f3": ("struct f3 { float a, b, c; };", "{1, 2, 3.5f}", "v.a + v.b * 3 + v.c * 10"),
    "f4": ("struct f4 { float a[4]; };", "{{1, 2, 3, 4.5f}}", "v.a[0] + v.a[1] * 3 + v.a[2] * 5 + v.a[3] * 8"),
    "d2": ("struct d2 { double a, b; };", "{4.25, 5}", "v.a * 4 + v.b"),
    "d3": ("struct d3 { double a, b, c; };", "{4.25, 5, 6}", "v.a * 4 + v.b * 3 + v.c"),
    "id": ("struct id { int a; double b; };", "{7, 8.5}", "v.a + v.b * 6"),
    "di": ("struct di { double a; char b; };", "{7.5, 'x'}", "v.a * 2 + v.b"),
    "iff": ("struct iff { int a; float b; float c; };", "{7, 8.5f, 9.5f}", "v.a + v.b * 2 + v.c * 4"),
    "c1": ("struct c1 { char a; };", "{5}", "v.a"),
    "c3": ("struct c3 { char a[3]; };", '{"ab"}', "v.a[0] + v.a[1] * 3 + v.a[2]"),
    "c5": ("struct c5 { char a[5]; };", '{"abcd"}', "v.a[0] + v.a[3] * 3 + v.a[4]"),
    "c12": ("struct c12 { int a[3]; };", "{{1, 2, 3}}", "v.a[0] + v.a[1] * 3 + v.a[2] * 7"),
    "c16": ("struct c16 { char a[16]; };", '{"abcdefghijklmno"}', "v.a[0] + v.a[7] * 3 + v.a[8] * 7 + v.a[14] * 5"),
    "c17": ("struct c17 { char a[17]; };", '{"abcdefghijklmnop"}', "v.a[0] + v.a[7] * 3 + v.a[8] * 7 + v.a[15] * 5"),
    "big": ("struct big { long a[9]; };", "{{1, 2, 3, 4, 5, 6, 7, 8, 9}}", "v.a[0] + v.a[4] * 3 + v.a[8] * 7"),
    "pk": ("struct __attribute__((packed)) pk { char a; int b; };", "{1, 99}", "v.a + v.b * 3"),
    "pl": ("struct __attribute__((packed)) pl { char a; long b; short c; };", "{1, 99, 3}", "v.a + v.b * 3 + v.c * 5"),
    "bf": ("struct bf { int a : 5; long b : 40; };", "{-3, 1L << 38}", "v.a + (long)v.b * 3"),
    "ld": ("struct ld { long double a; };", "{2.25L}", "v.a * 4"),
    "ldi": ("struct ldi { long double a; int b; };", "{2.25L, 3}", "v.a * 4 + v.b * 7"),
    "i128": ("struct i128 { __int128 a; };", "{(__int128)5 << 70}", "(long)(v.a >> 60) + (long)v.a"),
    "nest": (
        "struct nest { struct { float x, y; } a; struct { char b[3]; } c; };",
        '{{1, 2}, {"ab"}}',
        "v.a.x + v.a.y * 3 + v.c.b[0] * 5 + v.c.b[1] * 7",
    ),
    "un": ("union un { int a; double b; };", "{.b = 2.5}", "v.b * 2"),
    "uf": ("union uf { float a; float b[2]; };", "{.b = {1, 2}}", "v.b[0] + v.b[1] * 3"),
    "ptr": ("struct ptr { void *a; int b; };", "{(void *)8, 9}", "(long)v.a + v.b * 3"),
    "al": ("struct al { _Alignas(16) int a; };", "{11}", "v.a"),
}
SCALARS = (
    "signed char",
    "unsigned char",
    "short",
    "unsigned short",
    "_Bool",
    "int",
    "long",
    "float",
    "double",
    "long double",
    "__int128",
)
NAMES = {name: ("union " if text.startswith("union") else "struct ") + name for name, (text, _, _) in TYPES.items()}


HEADER = "int printf(const char *, ...);\n" + "\n".join(
    f"{text} static long hash_{name}({'union' if text.startswith('union') else 'struct'} {name} v) {{ return {expression}; }}"
    for name, (text, _, expression) in TYPES.items()
)


def functions(prefix: str) -> str:
    """For each record: by value after other arguments and back; through a callback; many; as a variadic argument."""
    lines = []
    for name, spelled in NAMES.items():
        lines += [
            f"{spelled} {prefix}_echo_{name}(int k, double d, {spelled} v) "
            f"{{ return k == 3 && d == 0.5 ? v : ({spelled}){{0}}; }}",
            f"{spelled} {prefix}_call_{name}({spelled} (*f)(int, double, {spelled}), {spelled} v) {{ return f(3, 0.5, v); }}",
            f"long {prefix}_many_{name}({spelled} a, long b, {spelled} c, float d, {spelled} e, int f, {spelled} g, "
            f"{spelled} h) "
            f"{{ return b * 2 + d * 3 + f * 5 + hash_{name}(a) + hash_{name}(c) * 7 + hash_{name}(e) * 11 "
            f"+ hash_{name}(g) * 13 + hash_{name}(h) * 17; }}",
            f"long {prefix}_var_{name}(int n, ...) {{ __builtin_va_list ap; __builtin_va_start(ap, n); long s = 0; "
            "while (n--) { "
            f"{spelled} v = __builtin_va_arg(ap, {spelled}); s = s * 3 + hash_{name}(v) + __builtin_va_arg(ap, int); "
            f"s += __builtin_va_arg(ap, double); }} __builtin_va_end(ap); return s; }}",
        ]
    for i, scalar in enumerate(SCALARS):
        lines += [
            f"{scalar} {prefix}_scalar_{i}({scalar} a, {scalar} b) {{ return a + b; }}",
            f"long {prefix}_wide_{i}({scalar} (*f)({scalar}, {scalar}), {scalar} a) {{ return (long)f(a, a) + (long)f(a, 1); }}",
        ]
    return "\n".join(lines)


def main_text(library: Path) -> str:
    """Calls each of the other side's functions, with ours as callbacks; prints what comes back."""
    lines = [HEADER, functions("own"), "void *dlopen(const char *, int); void *dlsym(void *, const char *);"]
    lines += [f'int main(void) {{ void *lib = dlopen("{library}", 2); if (!lib) return 1;']
    for name, (_, value, _) in TYPES.items():
        t = NAMES[name]
        lines += [
            f"{{ {t} v = {value}, r; long want = hash_{name}(v);",
            f'{t} (*echo)(int, double, {t}) = dlsym(lib, "lib_echo_{name}");',
            f'{t} (*call)({t} (*)(int, double, {t}), {t}) = dlsym(lib, "lib_call_{name}");',
            f'long (*many)({t}, long, {t}, float, {t}, int, {t}, {t}) = dlsym(lib, "lib_many_{name}");',
            f'long (*var)(int, ...) = dlsym(lib, "lib_var_{name}");',
            f'r = echo(3, 0.5, v); printf("{name} %d ", hash_{name}(r) == want);',
            f'r = call(own_echo_{name}, v); printf("%d ", hash_{name}(r) == want);',
            f'r = own_call_{name}(echo, v); printf("%d ", hash_{name}(r) == want);',
            f'printf("%d ", many(v, 1, v, 2, v, 3, v, v) == own_many_{name}(v, 1, v, 2, v, 3, v, v));',
            f'printf("%d\\n", var(5, v, 1, 2.0, v, 3, 4.0, v, 5, 6.0, v, 7, 8.0, v, 9, 10.0)'
            f" == own_var_{name}(5, v, 1, 2.0, v, 3, 4.0, v, 5, 6.0, v, 7, 8.0, v, 9, 10.0)); }}",
        ]
    for i, t in enumerate(SCALARS):
        lines += [
            f'{{ {t} (*f)({t}, {t}) = dlsym(lib, "lib_scalar_{i}");',
            f'long (*w)({t} (*)({t}, {t}), {t}) = dlsym(lib, "lib_wide_{i}");',
            f'printf("{i} %ld %ld %ld\\n", (long)f(100, 100), w(own_scalar_{i}, 100), own_wide_{i}(f, -3)); }}',
        ]
    return "\n".join([*lines, "return 0; }"])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the ABI of x86-64")
def test_records_cross_to_code_of_the_system_compiler_and_back(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs gcc or clang to make the other side")
    library = tmp_path / "lib.so"
    source = tmp_path / "lib.c"
    source.write_text(HEADER + "\n" + functions("lib"))
    subprocess.run([compiler, "-w", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    program = tmp_path / "main.c"
    program.write_text(main_text(library))
    reference = tmp_path / "reference"
    subprocess.run([compiler, "-w", "-O0", "-o", reference, program, "-ldl"], check=True)
    wanted = subprocess.run([reference], capture_output=True, text=True, check=False)
    assert wanted.returncode == 0
    out = tmp_path / "out.json"
    subprocess.run([sys.executable, HERE / "run_cases.py", out, program], check=True)
    found = json.loads(out.read_text())[str(program)]
    for level in "02":
        status, output = found[level]
        assert status == 0, output
        assert output.splitlines() == wanted.stdout.splitlines(), f"-O{level}"
    assert all(line.split()[1:] == ["1"] * 5 for line in wanted.stdout.splitlines()[: len(TYPES)])
