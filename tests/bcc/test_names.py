"""`import bcc` after `skep.bcc.install()`, in a process of its own: the finder stays for the life of a process."""

from __future__ import annotations

import os
import subprocess
import sys

from support import ROOT

from skep.bcc import BPFAttachType, BPFProgType, PerfHWConfig, PerfSWConfig, PerfType, XDPAction, XDPFlags
from skep.bcc.syscall import syscall_name, syscalls
from skep.bcc.utils import get_online_cpus, get_possible_cpus


def run(script: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "ascii"}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)


def test_bcc_is_skep_s_and_its_modules_exist_once() -> None:
    script = """
import skep.bcc
skep.bcc.install()
skep.bcc.install()
import bcc, bcc.syscall, sys
from bcc import BPF, PerfType
from bcc.utils import printb
import skep
assert bcc is skep.bcc and BPF is skep.BPF and sys.modules["bcc.utils"] is sys.modules["skep.bcc.utils"]
assert bcc.__name__ == "skep.bcc" and bcc.__spec__.name == "skep.bcc"
assert sum(type(finder).__module__ == "skep.bcc" for finder in sys.meta_path) == 1
print("ok")
"""
    assert run(script).stdout == b"ok\n"


def test_a_missing_part_is_named_as_the_script_named_it() -> None:
    errors = run("import skep.bcc; skep.bcc.install(); import bcc.nothing").stderr
    assert errors.splitlines()[-1] == b"ModuleNotFoundError: No module named 'bcc.nothing': Skep's bcc has no such part"


def test_without_install_there_is_no_bcc_of_skep_s() -> None:
    script = "import skep\ntry: import bcc\nexcept ImportError: print('none')\nelse: print(bcc.__name__)"
    assert run(script).stdout in (b"none\n", b"bcc\n")


def test_printb_keeps_bytes_and_order() -> None:
    script = "from skep.bcc.utils import printb; print('a', end=' '); printb(b'\\xff', nl=0); print('b'); printb(b'c')"
    assert run(script).stdout == b"a \xffb\nc\n"


def test_names_of_kinds_and_a_histograms_dictionary() -> None:
    import skep.bcc.table as table

    assert (table.get_table_type_name(5), table.get_table_type_name(999)) == ("PERCPU_HASH", "<unknown>")
    assert table.map_type_name[vars(table)["BPF_MAP_TYPE_RINGBUF"]] == "RINGBUF"
    assert (table.stars_max, table.log2_index_max, table.linear_index_max) == (40, 65, 1025)
    histogram = table.get_json_hist([0, 2, 0, 5, 0], "usecs", ("disk", "sda"))
    del histogram["ts"]
    assert histogram == {
        "val_type": "usecs",
        "data": [
            {"interval-start": 0, "interval-end": 1, "count": 2},
            {"interval-start": 2, "interval-end": 3, "count": 0},
            {"interval-start": 4, "interval-end": 7, "count": 5},
        ],
        "disk": "sda",
    }


def test_syscall_names() -> None:
    assert (syscall_name(-1), syscall_name(9999)) == (b"[unknown: -1]", b"[unknown: 9999]")
    if os.uname().machine == "x86_64":
        assert [syscall_name(number) for number in (0, 59, 222, 321, 334, 435)] == [
            b"read", b"execve", b"timer_create", b"bpf", b"rseq", b"clone3",
        ]  # fmt: skip
        assert 337 not in syscalls


def test_syscall_table_agrees_with_the_machine_s_header() -> None:
    import pytest

    header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
    if os.uname().machine != "x86_64" or not os.path.exists(header):
        pytest.skip("no asm/unistd_64.h on this machine")
    with open(header) as lines:
        words = [line.split() for line in lines if line.startswith("#define __NR_")]
    assert len(words) > 300
    assert {int(number): name.removeprefix("__NR_").encode() for _, name, number in words}.items() <= syscalls.items()


def test_cpus() -> None:
    assert set(os.sched_getaffinity(0)) <= set(get_online_cpus()) <= set(get_possible_cpus())


def test_constants_have_the_kernel_s_numbers() -> None:
    assert (BPFProgType.KPROBE, BPFProgType.RAW_TRACEPOINT, BPFProgType.CGROUP_SOCKOPT, BPFProgType.LSM) == (2, 17, 25, 29)
    assert (BPFAttachType.TRACE_FENTRY, BPFAttachType.SK_SKB_VERDICT) == (24, 38)
    assert (PerfType.RAW, PerfHWConfig.REF_CPU_CYCLES, PerfSWConfig.BPF_OUTPUT) == (4, 9, 10)
    assert (XDPAction.XDP_REDIRECT, XDPFlags.XDP_FLAGS_REPLACE) == (4, 16)
