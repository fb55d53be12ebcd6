"""Thread-local variables: each thread of a host program has its own; BPF has none."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from skep.compiler import compile_source, run_on_host
from skep.errors import CompileError

TEXT = """
int printf(const char *, ...);
int pthread_create(unsigned long *, void *, void *(*)(void *), void *);
int pthread_join(unsigned long, void **);
__thread int a = 3; static _Thread_local int b[4]; extern __thread int c; _Thread_local int c = 9;
static int next(void) { static __thread int n; return ++n; }
static void *other(void *p) { a += 10; b[1] = 7; c++; next(); next(); *(int *)p = a + b[1] + c + next(); return 0; }
int main(void) {
    unsigned long thread; int its;
    a++; b[1] = a; next();
    if (pthread_create(&thread, 0, other, &its) || pthread_join(thread, 0)) return 1;
    printf("%d %d %d %d %d\\n", a, b[1], c, next(), its);
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="the object is linked with cc")
@pytest.mark.parametrize("level", [0, 2])
def test_each_thread_has_its_own(tmp_path: Path, level: int) -> None:
    (tmp_path / "a.o").write_bytes(compile_source(TEXT, target="host", opt_level=level).data)
    subprocess.run(["cc", "-o", tmp_path / "a", tmp_path / "a.o", "-lpthread"], check=True)
    assert subprocess.run([tmp_path / "a"], check=True, capture_output=True, text=True).stdout == "4 4 9 2 33\n"


@pytest.mark.parametrize(
    ("target", "text", "said"),
    [
        ("bpf", "__thread int x; int f(void *c) { return x; }", "BPF has no thread-local variables: keep 'x' in a map"),
        ("bpf", "int f(void *c) { static _Thread_local int x; return x; }", "BPF has no thread-local variables"),
        ("host", "int main(void) { __thread int x; return 0; }", "'x' is a thread's own: it has to be static, extern or outside"),
        ("host", "__thread int x; int *p = &x;", "a static object needs a constant initialiser"),
    ],
)
def test_where_none_can_be(target: str, text: str, said: str) -> None:
    with pytest.raises(CompileError, match=re.escape(said)):
        compile_source(text, target=target)


def test_a_program_that_is_run_here_has_none() -> None:
    with pytest.raises(CompileError, match="--run has no thread-local variables: make an object"):
        run_on_host("__thread int x; int main(void) { return x; }")
