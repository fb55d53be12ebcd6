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
    return {row["name"]: row for group in ("features", "map_types", "program_types", "user_engine") for row in found[group]}


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
    assert json.loads(done.stdout)["engine"] == "kernel"
    assert rows["privilege for bpf"]["state"] == "yes"
    assert rows["map type hash"]["state"] == "yes"
    assert (rows["kernel BTF"]["state"] == "yes") == os.path.exists("/sys/kernel/btf/vmlinux")
    assert (rows["kprobe PMU"]["state"] == "yes") == os.path.exists("/sys/bus/event_source/devices/kprobe/type")


@pytest.mark.kernel
def test_plain_output_names_kernel_and_user_and_merges_equal_answers(skep: Skep) -> None:
    lines = skep("doctor").stdout.splitlines()
    system = os.uname()
    assert lines[0].endswith(
        f"on Linux {system.release}, {system.machine}, as uid {os.geteuid()}: programs run in the kernel engine"
    )
    assert sum(line.startswith("  yes           hash, array, ") for line in lines) == 1


def test_without_privilege_it_names_the_capabilities_and_the_user_engine(skep: Skep, as_nobody: tuple[str, ...]) -> None:
    done = skep("doctor", before=as_nobody)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].endswith(": programs run in the user engine")
    assert "  no            privilege for bpf: this process lacks CAP_BPF, CAP_PERFMON\n" in done.stdout
    assert (
        "                fix: run as root (sudo), or give the interpreter the capabilities: setcap cap_bpf,cap_perfmon+ep "
        in done.stdout
    )
    assert "\nThe user engine\n" in done.stdout
    assert "  no            commands that gain privilege: a traced command cannot gain privilege (no_new_privs)" in done.stdout


def test_status_is_about_the_engine_that_is_asked_for(skep: Skep, as_nobody: tuple[str, ...]) -> None:
    by_word = skep("doctor", "--json", "--engine", "kernel", before=as_nobody)
    assert (by_word.returncode, json.loads(by_word.stdout)["engine"]) == (1, None)
    by_environment = skep("doctor", env={"SKEP_ENGINE": "user"})
    assert by_environment.returncode == 0
    assert by_environment.stdout.splitlines()[0].endswith(": programs run in the user engine")


def test_user_engine_is_found_to_trace_commands_and_processes(skep: Skep) -> None:
    rows = answers(skep("doctor", "--json").stdout)
    for name in ("trace a command (-c)", "trace a process that runs (-p)", "read the memory of processes"):
        assert rows[name]["state"] == "yes", rows[name]
    assert rows["all of the kernel"]["state"] == "no"


def test_without_btf_it_works_the_same(skep: Skep) -> None:
    done = skep("doctor", "--engine", "user", env={"SKEP_BTF": "/nonexistent"})
    assert (done.returncode, done.stderr) == (0, "")


def test_where_ptrace_is_forbidden_it_says_so(skep: Skep, without_ptrace: tuple[str, ...]) -> None:
    done = skep("doctor", "--engine", "user", before=without_ptrace)
    assert (done.returncode, done.stderr) == (1, "")
    row = "  no            trace a command (-c), trace a process that runs (-p): cannot trace the command '/"
    assert row in done.stdout
    assert "EPERM (Operation not permitted); this system does not let processes trace others" in done.stdout
    assert "fix: start the container with --cap-add=SYS_PTRACE\n" in done.stdout
