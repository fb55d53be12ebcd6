"""tests/maps/programs.o as a BPF object, and the system call that its programs wait for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skep
from skep import BPF

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = Path(__file__).parent / "maps" / "programs.o"
_GETPPID = {"x86_64": 110, "aarch64": 173}


def open_sample(**options: Any) -> BPF:
    """A new BPF object of the sample's programs, with nothing attached."""
    return BPF(object=skep.load_object(PATH), **options)


def attach(bpf: BPF, function: str) -> Callable[[int], None]:
    """Attach a program so that it sees this process's getppid calls only; what comes back makes that many of them."""
    control = bpf["control"]
    control[0], control[1], control[2] = os.getpid(), _GETPPID[os.uname().machine], 0
    bpf.attach_raw_tracepoint("sys_enter", function)

    def call(times: int) -> None:
        for _ in range(times):
            os.getppid()

    return call
