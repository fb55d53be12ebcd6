"""Symbols of files, processes and the kernel, against nm, ctypes and /proc; none of it needs a privilege."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import subprocess
from pathlib import Path

import numpy
import pytest

from skep.arguments import as_address
from skep.errors import PrivilegeError, SkepError
from skep.symbols.binary import Binary
from skep.symbols.kallsyms import KernelSymbols, address_of
from skep.symbols.libraries import find_binary, is_library
from skep.symbols.names import SymbolNames
from skep.symbols.process import ProcessSymbols
from skep.symbols.usdt import probes

SHELL = os.path.realpath(shutil.which("sh") or "")


def test_functions_are_those_that_nm_lists() -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("nm (binutils) is not installed")
    path = find_binary("c")
    listed = subprocess.run([nm, "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split() for line in listed]
    expected = {(name.partition("@")[0], int(address, 16)) for address, kind, name in rows if kind in "TtiWw"}
    binary = Binary(path)
    found = {(function.name, function.address) for function in binary.functions()}
    assert len(found) > 1000
    assert {pair for pair in expected if pair not in found} <= {pair for pair in expected if pair[0].startswith("_")}
    for name in ("malloc", "getpid", "labs"):
        address = binary.address(name)
        assert address is not None
        resolved = binary.resolve(address + 1)
        assert resolved is not None
        assert resolved[1] == 1
        assert (resolved[0], address) in found
        assert binary.address_of_offset(binary.file_offset(address)) == address
    assert binary.address("no_such_function") is None
    assert binary.resolve(1) is None


def test_names_mean_what_the_linker_and_the_shell_mean() -> None:
    assert is_library(find_binary("c"), "c")
    assert find_binary("sh") == SHELL
    assert find_binary(SHELL) == SHELL
    assert find_binary("c", os.getpid()) == find_binary("c")
    assert find_binary(SHELL, os.getpid()) == SHELL
    assert [is_library(f"/lib/{name}", "m") for name in ("libm.so.6", "libm-2.36.so", "libmount.so.1", "libm.a", "m.so")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    for name in ("nosuchlibrary", "/no/such/file", "no/such/file"):
        with pytest.raises(SkepError, match="there is no library or program"):
            find_binary(name)
    with pytest.raises(SkepError, match="cannot be looked at"):
        find_binary("nosuch", 1 << 22)


def test_addresses_of_a_process_are_resolved_by_its_files() -> None:
    symbols = ProcessSymbols(os.getpid())
    address = ctypes.cast(ctypes.CDLL(None).getppid, ctypes.c_void_p).value
    assert address is not None
    found = symbols.resolve(address + 3)
    assert found is not None
    assert found[0] in ("getppid", "__getppid")
    assert found[1] == 3
    assert is_library(found[2], "c")
    assert symbols.resolve(8) is None
    assert ProcessSymbols(1 << 22).resolve(address) is None  # no such process
    assert SymbolNames.sym(address, os.getpid(), show_module=True, show_offset=True).endswith(
        b"+0x0 [%s]" % os.path.basename(found[2]).encode()
    )
    assert SymbolNames.sym(8, os.getpid()) == b"[unknown]"


def test_cpp_names_are_shown_as_written() -> None:
    from skep.symbols.names import demangled

    assert demangled("_ZN4skep3runEi") in ("skep::run(int)", "_ZN4skep3runEi")  # the second without a C++ runtime
    assert demangled("_Znonsense") == "_Znonsense"


def test_an_address_may_be_of_ctypes_or_numpy_or_have_a_sign() -> None:
    address = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
    assert address
    name = SymbolNames.sym(address, os.getpid())
    assert b"getpid" in name
    for given in (ctypes.c_uint64(address), ctypes.c_void_p(address), numpy.uint64(address)):
        assert SymbolNames.sym(given, numpy.int32(os.getpid())) == name
    assert as_address(-(2**62)) == 2**64 - 2**62


def test_the_kernels_symbols_or_why_they_are_hidden(tmp_path: Path) -> None:
    hidden = Path("/proc/kallsyms").read_text().startswith("0000000000000000 ")
    if hidden:
        with pytest.raises(PrivilegeError) as caught:
            address_of("vfs_read")
        assert caught.value.missing == ["CAP_SYSLOG"]
    else:
        assert address_of("vfs_read") == KernelSymbols().address("vfs_read")
    file = tmp_path / "kallsyms"
    file.write_text("0000000000001000 T first\n0000000000002000 t second\t[overlay]\n0000000000001800 T between\n")
    symbols = KernelSymbols(str(file))
    assert symbols.resolve(0x1801) == ("between", 1, "kernel")
    assert symbols.resolve(0x2010) == ("second", 16, "overlay")
    assert symbols.resolve(0xFFF) is None
    assert symbols.resolve(2**64 - 14) is None  # -EFAULT
    assert symbols.address("second") == 0x2000
    file.write_text("0000000000000000 T first\n")
    with pytest.raises(PrivilegeError):
        KernelSymbols(str(file))


def test_damaged_files_are_errors_and_nothing_else(tmp_path: Path) -> None:
    source = Path(SHELL).read_bytes()
    numbers = random.Random(7)
    whole = 0
    for _ in range(120):
        data = bytearray(source)
        for _ in range(numbers.randrange(1, 12)):
            area = 64 if numbers.random() < 0.3 else len(data)
            data[numbers.randrange(area)] = numbers.randrange(256)
        if numbers.random() < 0.3:
            del data[numbers.randrange(len(data)) :]
        path = tmp_path / "damaged"
        path.write_bytes(data)
        try:
            binary = Binary(str(path))
            binary.functions()
            binary.address("main")
            binary.resolve(0x1234)
            probes(str(path))
            whole += 1
        except SkepError:
            pass
    assert whole > 10
    for data in (b"", b"\x7fELF", b"#!/bin/sh\n"):
        (tmp_path / "none").write_bytes(bytes(data))
        with pytest.raises(SkepError, match="not a 64-bit little-endian ELF file"):
            Binary(str(tmp_path / "none"))
    with pytest.raises(SkepError, match="cannot read"):
        Binary(str(tmp_path / "missing"))
