"""`__kconfig` variables: this kernel's version and settings, as constants."""

from __future__ import annotations

import os
import platform
import re
from typing import TYPE_CHECKING

import pytest

from skep.compiler import compile_source, kconfig
from skep.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Program


@pytest.mark.kernel
def test_the_kernels_version_is_a_constant(program: Callable[..., Program]) -> None:
    made = program("extern int LINUX_KERNEL_VERSION __kconfig;\nint f(void *ctx) { return LINUX_KERNEL_VERSION >> 8; }")
    major, minor = map(int, platform.release().split(".")[:2])
    assert made.run() == major << 8 | minor
    assert len(made.instructions()) == 2


@pytest.mark.kernel
@pytest.mark.skipif(not os.path.exists("/proc/config.gz"), reason="this kernel does not show its configuration")
def test_settings_of_each_kind(program: Callable[..., Program]) -> None:
    text = kconfig.read_config()
    assert text is not None
    hz = int(re.search(r"^CONFIG_HZ=(\d+)$", text, re.MULTILINE)[1])  # type: ignore[index]
    made = program("""
        extern unsigned CONFIG_HZ __kconfig;
        extern bool CONFIG_BPF_SYSCALL __kconfig;
        extern char CONFIG_BPF __kconfig;
        extern int CONFIG_NO_SUCH_THING __kconfig __weak;
        extern const char CONFIG_CC_VERSION_TEXT[4] __kconfig;
        BPF_ARRAY(out, u64, 5);
        static void put(int k, u64 value) { u64 *v = out.lookup(&k); if (v) *v = value; }
        int f(void *ctx) {
            put(0, CONFIG_HZ); put(1, CONFIG_BPF_SYSCALL); put(2, CONFIG_BPF); put(3, CONFIG_NO_SUCH_THING);
            put(4, CONFIG_CC_VERSION_TEXT[1]);
            return 0;
        }""")
    made.run()
    compiler = re.search(r'^CONFIG_CC_VERSION_TEXT="(.*)"$', text, re.MULTILINE)[1]  # type: ignore[index]
    assert made.out == [hz, 1, ord("y"), 0, ord(compiler[1])]


def test_what_is_not_set_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kconfig, "read_config", lambda: 'CONFIG_HZ=100\nCONFIG_NAME="x"\n')
    for declaration, message in (
        ("extern int CONFIG_NOTHING __kconfig;", "does not set 'CONFIG_NOTHING'; declare it __weak to read 0 then"),
        ("extern int CONFIG_NAME __kconfig;", "'CONFIG_NAME' is the string \"x\" on this kernel, not 'int'"),
        ("extern char CONFIG_HZ[8] __kconfig;", r"'CONFIG_HZ' is 100 on this kernel, not a string"),
        ("extern int *CONFIG_HZ __kconfig;", r"a number, a bool or an array of char, not 'int \*'"),
        ("extern int HZ __kconfig;", "'HZ' is no __kconfig variable"),
    ):
        with pytest.raises(CompileError, match=message):
            compile_source(declaration)
    monkeypatch.setattr(kconfig, "read_config", lambda: None)
    with pytest.raises(CompileError, match="this kernel does not show its configuration: there is neither"):
        compile_source("extern int CONFIG_HZ __kconfig;")
