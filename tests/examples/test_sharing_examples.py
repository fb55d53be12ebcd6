"""The examples of configuration and of maps that programs and processes share."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import FIRST_UID, ROOT
from waiting import PATIENCE

if TYPE_CHECKING:
    from support import Skep, Workload

pytestmark = pytest.mark.kernel


def run(skep: Skep, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=skep.environment,
        text=True,
        capture_output=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_config_measures_only_what_it_is_told_to(skep: Skep) -> None:
    for _ in range(10):  # on a busy machine a wait of 5 ms may take more than 50 ms
        lines = run(skep, "examples/config.py").splitlines()
        slow = [re.fullmatch(r"a wait of \d+ ms: (\d+) system calls took more than \d+ ms", line) for line in lines[:3]]
        counts = [int(found[1]) for found in slow if found]
        if counts == [1, 0, 1]:
            break
    assert counts == [1, 0, 1]
    assert re.fullmatch(r"\d+ system calls of \d+ kinds", lines[3])
    assert lines[4].startswith("variable 'wanted_pid' is in .rodata")


def test_two_programs_share_a_map(skep: Skep) -> None:
    found = re.fullmatch(r"sleep 0.2 lived (\d+) ms\n", run(skep, "examples/two_programs.py"))
    assert found
    assert int(found[1]) >= 200


def test_another_process_reads_the_counts_by_the_maps_id(skep: Skep, workload: Workload) -> None:
    counter = subprocess.Popen(
        [sys.executable, "examples/shared_map.py"], cwd=ROOT, env=skep.environment, text=True, stdout=subprocess.PIPE
    )
    try:
        assert counter.stdout is not None
        id = counter.stdout.readline().split()[-1]
        for _ in range(3):
            workload.run("true", uid=FIRST_UID)
        assert f"user id {FIRST_UID}: 3 programs\n" in run(skep, "examples/shared_map.py", id)
        counter.send_signal(signal.SIGINT)
        assert counter.wait(timeout=PATIENCE) == 0
    finally:
        counter.kill()
        counter.communicate()


def test_two_processes_count_into_a_map_and_a_third_prints_metrics(skep: Skep, workload: Workload) -> None:
    def started(*words: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "examples/metrics.py", *words]
        process = subprocess.Popen(command, cwd=ROOT, env=skep.environment, text=True, stdout=subprocess.PIPE)
        counting.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().split()[-1]

    counting: list[subprocess.Popen[str]] = []
    try:
        _, id = started("start")
        _, same = started("end", id)
        assert same == id
        for _ in range(3):
            workload.run("true", uid=FIRST_UID)
        lines = run(skep, "examples/metrics.py", "show", id).splitlines()
        assert lines[1] == "# TYPE processes_total counter"
        assert all(re.fullmatch(r'processes_total\{event="(start|end)",uid="\d+"\} \d+', line) for line in lines[2:])
        assert [line for line in lines if f'"{FIRST_UID}"' in line] == [
            f'processes_total{{event="end",uid="{FIRST_UID}"}} 3',
            f'processes_total{{event="start",uid="{FIRST_UID}"}} 3',
        ]
        for process in counting:
            process.send_signal(signal.SIGINT)
        assert [process.wait(timeout=PATIENCE) for process in counting] == [0, 0]
    finally:
        for process in counting:
            process.kill()
            process.communicate()
