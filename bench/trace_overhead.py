"""Traced commands: how much slower they run under `skep run` (user engine) than alone, beside strace in the same run.

usage: trace_overhead.py [--json] [--rounds N] [--only WORD]    needs strace, no privilege; exit status 1: the bar is missed
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, os.pardir, "src")
BAR = 1.0  # time under Skep over time under strace

# One hooked call each: the command, the call.
COMMANDS = {
    "dd bs=1 (50 000 blocks)": ("read", "dd if=/dev/zero of=/dev/null bs=1 count=50000 status=none"),
    "shell loop (300 commands)": ("openat", "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done"),
    "shell loop, execve": ("execve", "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done"),
    "Python import (5 times)": (
        "openat",
        f"for i in 1 2 3 4 5; do {sys.executable} -I -c 'import asyncio, json, http.client, unittest, decimal'; done",
    ),
    "find": ("newfstatat", "find /usr/share/doc -name nothing"),
}
_ENTER = (
    "TRACEPOINT_PROBE(syscalls, sys_enter_{call}) "
    "{{ u32 pid = bpf_get_current_pid_tgid() >> 32; counts.increment(pid); return 0; }}"
)
_EXIT = "TRACEPOINT_PROBE(syscalls, sys_exit_{call}) {{ u64 pid = args->ret < 0; results.increment(pid); return 0; }}"
SCRIPT = """
import sys, time
from skep import BPF
b = BPF(text='''{text}''')
try:
    while True:
        time.sleep(10)
except KeyboardInterrupt:
    pass
print(sum(count.value for count in b["counts"].values()), file=sys.stderr)
"""


def script(call: str, *, results: bool) -> str:
    """A script that counts a call by process, with `results` its failures too."""
    parts = ["BPF_HASH(counts, u32, u64);", _ENTER.format(call=call)]
    if results:
        parts += ["BPF_HASH(results, u64, u64);", _EXIT.format(call=call)]
    return SCRIPT.format(text="\n".join(parts))


def timed(command: str, folder: str) -> list[str]:
    """Words that run a shell command and write down its time, so that the start of the tracer does not count."""
    path = os.path.join(folder, "time")
    return ["bash", "-c", f"from=$EPOCHREALTIME; {command} > /dev/null; to=$EPOCHREALTIME; echo $from $to > {path}"]


def run(words: list[str], folder: str) -> tuple[float, str]:
    """Milliseconds that the command took, and what the tracer said."""
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    result = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{words}: exit status {result.returncode}\n{result.stderr}")
    with open(os.path.join(folder, "time")) as file:
        start, end = map(float, file.read().split())
    return (end - start) * 1000, result.stderr


def ways(call: str, command: str, folder: str) -> dict[str, list[str]]:
    """Each way to run a command: its words."""
    words = timed(command, folder)
    found = {"alone": words}
    for name, results in (("skep", False), ("skep, result", True)):
        path = os.path.join(folder, f"{call}-{results}.py")
        with open(path, "w") as file:
            file.write(script(call, results=results))
        # the words of -c are split as a shell would
        quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
        found[name] = [sys.executable, "-m", "skep.cli", "run", "--engine", "user", "-c", quoted, path]
    found["strace"] = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={call}", "-o", "/dev/null", *words]
    return found


def main() -> int:
    """Run, print, and say whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="commands with this in their name")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        sys.exit("strace is not installed: it is what this compares with")
    table = {}
    for name, (call, command) in COMMANDS.items():
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            times: dict[str, list[float]] = {}
            counted = ""
            for round in range(options.rounds + 1):  # the first fills caches
                for way, words in ways(call, command, folder).items():
                    time, said = run(words, folder)
                    if round:
                        times.setdefault(way, []).append(time)
                    if way == "skep":
                        counted = said.split()[-1]
        # the least of the rounds: what else runs on the machine can only add
        best = {way: min(values) for way, values in times.items()}
        table[name] = {"call": call, "calls": int(counted), "ms": best, "ratio": best["skep"] / best["strace"]}
        table[name]["ratio_result"] = best["skep, result"] / best["strace"]
    met = all(row["ratio"] <= BAR and row["ratio_result"] <= BAR for row in table.values())
    if options.json:
        print(json.dumps({"commands": table, "bar": BAR, "met": met}))
        return not met
    columns = ("alone", "skep", "skep, result", "strace")
    print(
        f"{'':28}{'call':>11}{'calls':>8}"
        + "".join(f"{column:>14}" for column in columns)
        + f"{'skep/strace':>14}{'with result':>13}"
    )
    for name, row in table.items():
        print(
            f"{name:28}{row['call']:>11}{row['calls']:>8}"
            + "".join(f"{row['ms'][column]:>11.1f} ms" for column in columns)
            + f"{row['ratio']:>13.2f}x{row['ratio_result']:>12.2f}x"
        )
    print(f"bar: at most {BAR} times strace's time: {'met' if met else 'missed'}")
    return not met


if __name__ == "__main__":
    sys.exit(main())
