"""`skep doctor`: its answers against what this kernel and this process are."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support import Skep


def answers(text: str) -> dict[str, dict[str, str]]:
    found = json.loads(text)
    return {row["name"]: row for group in ("features", "map_types", "program_types") for row in found[group]}


def test_every_no_has_a_reason_and_a_fix(skep: Skep) -> None:
    rows = answers(skep("doctor", "--json").stdout)
    assert len(rows) > 60
    for row in rows.values():
        assert row["state"] in ("yes", "no", "inconclusive")
        if row["state"] == "no":
            assert row["reason"]
            assert row["fix"]
        if row["state"] == "inconclusive":
            assert row["reason"]


@pytest.mark.kernel
def test_answers_are_true_of_this_kernel(skep: Skep) -> None:
    done = skep("doctor", "--json")
    rows = answers(done.stdout)
    assert done.returncode == 0
    assert json.loads(done.stdout)["kernel"] == os.uname().release
    assert rows["privilege for bpf"]["state"] == "yes"
    assert rows["map type hash"]["state"] == "yes"
    assert (rows["kernel BTF"]["state"] == "yes") == os.path.exists("/sys/kernel/btf/vmlinux")
    assert (rows["kprobe PMU"]["state"] == "yes") == os.path.exists("/sys/bus/event_source/devices/kprobe/type")


@pytest.mark.kernel
def test_plain_output_names_kernel_and_user_and_merges_equal_answers(skep: Skep) -> None:
    lines = skep("doctor").stdout.splitlines()
    system = os.uname()
    assert lines[0].endswith(f"on Linux {system.release}, {system.machine}, as uid {os.geteuid()}")
    assert sum(line.startswith("  yes           hash, array, ") for line in lines) == 1


def test_without_privilege_it_names_the_capabilities_and_fails(skep: Skep, as_nobody: tuple[str, ...]) -> None:
    done = skep("doctor", before=as_nobody)
    assert done.returncode == 1
    assert "  no            privilege for bpf: this process lacks CAP_BPF, CAP_PERFMON\n" in done.stdout
    assert (
        "                fix: run as root (sudo), or give the interpreter the capabilities: setcap cap_bpf,cap_perfmon+ep "
        in done.stdout
    )
    assert done.stderr == ""
