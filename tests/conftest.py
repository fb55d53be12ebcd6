"""What all tests share: the `kernel` marker, a cache folder of their own, the fd-leak check, processes to look at.

SKEP_REQUIRE_KERNEL=1 (CI, where the kernel allows bpf): a kernel test that is skipped for any reason fails the run.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skep.engine.kernel.privileges import fix_for, missing_for_bpf

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_KERNEL = os.environ.get("SKEP_REQUIRE_KERNEL", "0") not in ("", "0")
NOBODY = 65534
# User ids that nothing else on a machine has, so that a count per user id is the test's own.
FIRST_UID, SECOND_UID = 61_201, 61_202


class KernelTestsRan:
    """Collects the kernel tests that were skipped, and fails the run for them."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and "kernel" in report.keywords:
            self.skipped.append(f"{report.nodeid}: {_reason(report)}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skipped.append(f"{report.nodeid}: all of it: {_reason(report)}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self.skipped:
            terminalreporter.write_line(f"SKEP_REQUIRE_KERNEL=1, but skipped: {line}", red=True)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


def pytest_configure(config: pytest.Config) -> None:
    cache = tempfile.mkdtemp(prefix="skep-test-cache-")
    os.environ["SKEP_CACHE_DIR"] = cache
    config.add_cleanup(lambda: shutil.rmtree(cache, ignore_errors=True))
    if REQUIRE_KERNEL:
        config.pluginmanager.register(KernelTestsRan())


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = missing_for_bpf() if item.get_closest_marker("kernel") else []
    if missing:
        reason = f"needs {' and '.join(missing)}: {fix_for(missing)}"
        if REQUIRE_KERNEL:
            pytest.fail(f"SKEP_REQUIRE_KERNEL=1, but this test {reason}", pytrace=False)
        pytest.skip(reason)


def open_files() -> dict[int, str]:
    """What this process has open, by fd."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the fd of this listing
    return found


@pytest.fixture(autouse=True)
def _no_fd_is_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """A kernel test must close what it opened: programs, maps and links live as long as their fd."""
    if request.node.get_closest_marker("kernel") is None:
        yield
        return
    before = open_files()
    yield
    left = {fd: name for fd, name in open_files().items() if before.get(fd) != name}
    if left:
        gc.collect()  # a failed test's traceback, or a cycle, may still hold the object; that is no leak of ours
        left = {fd: name for fd, name in open_files().items() if before.get(fd) != name}
    assert not left, f"left open: {left}"


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
        output = process.communicate(timeout=60)
        assert process.returncode == 0, (command, process.returncode, output)
        return process.pid

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def workload() -> Iterator[Workload]:
    started = Workload()
    yield started
    started.close()


class Skep:
    """The `skep` command, as a process of its own."""

    command = (sys.executable, "-m", "skep.cli")

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}

    def __call__(
        self, *words: str, env: dict[str, str] | None = None, before: tuple[str, ...] = (), cwd: Path = ROOT, timeout: float = 60
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
        return subprocess.Popen(
            [*self.command, *words],
            cwd=cwd,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture(scope="session")
def skep() -> Skep:
    return Skep()


@pytest.fixture
def as_nobody() -> tuple[str, ...]:
    """A command prefix that takes all privilege for bpf away."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not installed")
    # Reading every file stays allowed: the interpreter may be in root's home.
    keep = "-all,+dac_read_search"
    user = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    return ("setpriv", *user, f"--inh-caps={keep}", f"--ambient-caps={keep}")
