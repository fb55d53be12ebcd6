"""What tests and their fixtures are made of: the checkout, user ids, processes to look at, the `skep` command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE

from skep.llvm_server import _Kept

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534
# User ids that nothing else on a machine has, another test run neither, so that a count per user id is the test's own.
FIRST_UID = 61_000 + 2 * (os.getpid() % 1_500)
SECOND_UID = FIRST_UID + 1


def open_files() -> dict[int, str]:
    """What this process has open, by fd, but for the socket of the compiler's process, which is kept on purpose."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the fd of this listing
    if _Kept.server is not None:
        found.pop(_Kept.server.socket.fileno(), None)
    return found


def new_files(before: dict[int, str]) -> dict[int, str]:
    """What is open that was not open before, but for the pipe that multiprocessing keeps from its first pool on."""
    kept = getattr(resource_tracker._resource_tracker, "_fd", None)
    return {fd: name for fd, name in open_files().items() if before.get(fd) != name and fd != kept}


def own_children() -> set[str]:
    """The processes that this one started and that are there still (multiprocessing keeps one, for example)."""
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        return set(children.read().split())


def started_here() -> dict[int, str]:
    """Command lines of the processes that this test run started, also of those whose parents have ended.

    Python keeps one for `multiprocessing` until its own end.
    """
    mark = f"SKEP_CACHE_DIR={os.environ['SKEP_CACHE_DIR']}".encode()
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                if mark in Path("/proc", name, "environ").read_bytes():
                    found[int(name)] = Path("/proc", name, "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue  # ended, or another user's
    return {pid: command for pid, command in found.items() if "multiprocessing" not in command}


def as_user(uid: int) -> str:
    """Words for `skep run -c` that run the rest of the command under a user id; skips where that is not possible."""
    if os.geteuid() != 0:
        pytest.skip("needs root: runs a command under another user id")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not installed")
    return f"setpriv --reuid={uid} --regid={uid} --clear-groups"


class Workload:
    """Starts processes, under given user ids, and knows which ones were its own."""

    def __init__(self) -> None:
        self.pids: set[int] = set()
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *command: str, uid: int | None = None) -> subprocess.Popen[str]:
        """Start a command. Its path is looked up here: each try of execvp(3) along PATH would be an execve more."""
        path = shutil.which(command[0])
        assert path, command
        user = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
        process = subprocess.Popen(
            [path, *command[1:]],
            text=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **user,
        )
        self.pids.add(process.pid)
        self._running.append(process)
        return process

    def run(self, *command: str, uid: int | None = None) -> int:
        """Run a command to its end, which must be a success; its process id."""
        process = self.start(*command, uid=uid)
        output = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, (command, process.returncode, output)
        return process.pid

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()


class Skep:
    """The `skep` command, as a process of its own."""

    command = (sys.executable, "-m", "skep.cli")

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}

    def __call__(
        self, *words: str, env: dict[str, str] | None = None, before: tuple[str, ...] = (), cwd: Path = ROOT, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end. `before` is a command that runs the command, as setpriv does."""
        return subprocess.run(
            [*before, *self.command, *words],
            cwd=cwd,
            env={**self.environment, **(env or {})},
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )

    def start(self, *words: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
        """Start it; what still runs at the end of the test is killed."""
        return self.start_python(*self.command[1:], *words, cwd=cwd)

    def start_python(self, *words: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
        """Start the interpreter with Skep to import and its output unbuffered; it is killed at the end of the test, too."""
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=cwd,
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            process.wait()


def bench_figures(script: str, *options: str) -> Any:
    """What a script of bench/ prints with --json; a bar that is missed is no failure here."""
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / script, "--json", *options],
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)
