"""What tests of the command line share."""

from __future__ import annotations

import os
import sys

import pytest

# A way to run a process whose ptrace gives EPERM, as a container's seccomp policy does.
FORBID = """
import ctypes, os, struct, sys
rows = [(0x20, 0, 0, 0), (0x15, 0, 1, 101), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *row) for row in rows), 32)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.syscall(317, 1, 0, ctypes.byref(Program(4, ctypes.addressof(code)))) == 0
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def without_ptrace() -> tuple[str, ...]:
    """A command prefix that takes ptrace(2) away."""
    if os.uname().machine != "x86_64":
        pytest.skip("the number of ptrace is x86-64's")
    return (sys.executable, "-S", "-c", FORBID)
