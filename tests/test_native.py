"""Machine code linked into this process: objects of our own compiler, of clang, and damaged ones."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys

import pytest

from skep.errors import ObjectError
from skep.native import NativeCode, compile_file, load

TEXT = """
extern long write(int, const void *, unsigned long);
extern int twice(int);
static const char *names[] = {"zero", "one", "two"};
static int counter;
int table[4] = {10, 20, 30, 40};
const char *name(int i) { return names[i]; }
int count(int step) { counter += step; return counter; }
void shift(int n) { __builtin_memmove(table, table + 1, n); }
long say(int fd) { return write(fd, names[1], 3); }
int imported(int x) { return twice(x) + 1; }
double pick(int x) { switch (x) { case 0: return 1.5; case 1: return 2.5; case 2: return 7.25; case 3: return 9.5; } return -1; }
"""
DOUBLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: 2 * x)
IMPORTS = {"twice": ctypes.cast(DOUBLE, ctypes.c_void_p).value or 0}


@pytest.fixture(params=["skep", "clang-19"])
def code(request, tmp_path):
    source = tmp_path / "part.c"
    source.write_text(TEXT)
    if request.param == "skep":
        data = compile_file(str(source))
    elif shutil.which(request.param):
        subprocess.run([request.param, "-O2", "-fPIC", "-c", source, "-o", tmp_path / "part.o"], check=True)
        data = (tmp_path / "part.o").read_bytes()
    else:
        pytest.skip("clang-19 is not installed")
    with NativeCode(data, IMPORTS) as native:
        yield native


def test_constants_variables_tables_and_imports_are_linked(code):
    name = code.function("name", ctypes.c_char_p, ctypes.c_int)
    assert [name(i) for i in range(3)] == [b"zero", b"one", b"two"]
    count = code.function("count", ctypes.c_int, ctypes.c_int)
    assert (count(2), count(3)) == (2, 5)
    pick = code.function("pick", ctypes.c_double, ctypes.c_int)
    assert [pick(i) for i in range(5)] == [1.5, 2.5, 7.25, 9.5, -1]
    assert code.function("imported", ctypes.c_int, ctypes.c_int)(20) == 41
    table = (ctypes.c_int * 4).from_address(code.address("table"))
    code.function("shift", None, ctypes.c_int)(12)
    assert list(table) == [20, 30, 40, 40]


def test_the_c_library_is_called(code):
    reading, writing = os.pipe()
    try:
        assert code.function("say", ctypes.c_long, ctypes.c_int)(writing) == 3
        assert os.read(reading, 10) == b"one"
    finally:
        os.close(reading)
        os.close(writing)


def test_no_page_can_be_written_and_run(code):
    with open("/proc/self/maps") as maps:
        ours = []
        for line in maps:
            start, end = (int(word, 16) for word in line.split()[0].split("-"))
            if start < code.base + code.size and end > code.base:
                ours.append(line.split()[1][:3])
    assert "r-x" in ours
    assert not any("w" in permissions and "x" in permissions for permissions in ours)


def test_unknown_names_and_damaged_objects_are_errors(tmp_path):
    source = tmp_path / "part.c"
    source.write_text(TEXT)
    data = compile_file(str(source))
    with pytest.raises(ObjectError, match="needs 'twice', which neither its imports nor the C library has"):
        NativeCode(data)
    with NativeCode(data, IMPORTS) as native, pytest.raises(ObjectError, match="no symbol 'missing'"):
        native.address("missing")
    for length in range(0, len(data), 97):
        with pytest.raises(ObjectError):
            NativeCode(data[:length], IMPORTS)


def test_a_second_start_needs_no_llvm_and_sees_changed_headers(tmp_path, monkeypatch):
    monkeypatch.setenv("SKEP_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "value.h").write_text("#define VALUE 1\n")
    source = tmp_path / "part.c"
    source.write_text('#include "value.h"\nint value(void) { return VALUE; }\n')
    script = (
        "import sys, ctypes; from skep.native import load\n"
        f"print(load({str(source)!r}).function('value', ctypes.c_int)(), 'skep.compiler' in sys.modules)"
    )

    def run():
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert run() == ["1", "True"]
    assert run() == ["1", "False"]
    (tmp_path / "value.h").write_text("#define VALUE 2\n")
    assert run() == ["2", "True"]


def test_warnings_in_our_own_c_are_errors(tmp_path):
    source = tmp_path / "part.c"
    source.write_text("int f(void) { int x; return g(); }\n")
    with pytest.raises(Exception, match="g"):
        load(str(source))
