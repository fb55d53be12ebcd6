"""What all tests share: the `kernel` marker, a cache folder of their own, the fd-leak check, processes to look at.

CI: SKEP_REQUIRE_TOOLS=1 fails a run in which a test was skipped that this user could run here; SKEP_REQUIRE_KERNEL=1 besides
for every kernel test that was skipped.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import tempfile
import time
from typing import TYPE_CHECKING

import pytest
from support import NOBODY, ROOT, Skep, Workload, new_files, open_files, started_here
from waiting import PATIENCE

from skep.btf import kernel_btf
from skep.engine.privileges import fix_for, missing_for_bpf
from skep.llvm_server import release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _wanted(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


REQUIRE_KERNEL = _wanted("SKEP_REQUIRE_KERNEL")


# Why a test may be skipped where all must run: (words of the reason, whether it holds for this user on this machine).
MAY_SKIP: tuple[tuple[str, Callable[[], bool]], ...] = (
    ("needs CAP_", lambda: bool(missing_for_bpf())),
    (r"(needs|only) root\b", lambda: os.geteuid() != 0),
    ("^root may", lambda: os.geteuid() == 0),
    ("no privilege to lose|is a user without privilege", lambda: os.geteuid() != 0),
    ("x86-64", lambda: os.uname().machine != "x86_64"),
    (r"^this kernel|no /proc/config\.gz|module overlay is not|table is Linux|cgroup2|two CPUs|no /sys/fs/bpf", lambda: True),
)


class TestsRan:
    """Fails the run for tests that were skipped without need (kernel tests: for any reason), and for processes left behind."""

    __test__ = False

    def __init__(self, kernel: bool) -> None:
        self.kernel = kernel
        self.skipped: list[str] = []
        self.left: dict[int, str] = {}

    def _note(self, report: pytest.TestReport | pytest.CollectReport, kernel: bool) -> None:
        reason = _reason(report)
        if kernel or not any(re.search(words, reason.removeprefix("Skipped: ")) and holds() for words, holds in MAY_SKIP):
            self.skipped.append(f"{report.nodeid}: {reason}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self._note(report, self.kernel and "kernel" in report.keywords)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._note(report, self.kernel)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        release()
        deadline = time.monotonic() + PATIENCE  # what was told to end may take a moment
        while (left := started_here()) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.left = left
        if self.skipped or self.left:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for pid, command in self.left.items():
            terminalreporter.write_line(f"still runs: process {pid}: {command}", red=True)
        for line in self.skipped:
            terminalreporter.write_line(f"must run here, but was skipped: {line}", red=True)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


def pytest_configure(config: pytest.Config) -> None:
    cache = tempfile.mkdtemp(prefix="skep-test-cache-")
    os.environ["SKEP_CACHE_DIR"] = cache
    config.add_cleanup(lambda: shutil.rmtree(cache, ignore_errors=True))
    path = [str(ROOT / "src"), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(path)  # commands import this checkout, too
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs so, and commands inherit it
    if REQUIRE_KERNEL or _wanted("SKEP_REQUIRE_TOOLS"):
        config.pluginmanager.register(TestsRan(REQUIRE_KERNEL))


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = missing_for_bpf() if item.get_closest_marker("kernel") else []
    if missing:
        reason = f"needs {' and '.join(missing)}: {fix_for(missing)}"
        if REQUIRE_KERNEL:
            pytest.fail(f"SKEP_REQUIRE_KERNEL=1, but this test {reason}", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _kernel_types() -> None:
    """The kernel's BTF stays mapped once it was used, with its fd: before fds are counted."""
    try:
        kernel_btf()
    except OSError:
        pass


@pytest.fixture(autouse=True)
def _no_fd_is_left_open() -> Iterator[None]:
    """A test must close what it opened: programs, maps and links live as long as their fd."""
    before = open_files()
    yield
    left = new_files(before)
    if left:
        gc.collect()  # a failed test's traceback, or a cycle, may still hold the object; that is no leak of ours
        left = new_files(before)
    assert not left, f"left open: {left}"


@pytest.fixture
def workload() -> Iterator[Workload]:
    started = Workload()
    yield started
    started.close()


@pytest.fixture
def skep() -> Iterator[Skep]:
    command = Skep()
    yield command
    command.close()


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
