"""What all tests share: the `kernel` marker, a cache folder of their own, the fd-leak check, processes to look at.

SKEP_REQUIRE_KERNEL=1 (CI, where the kernel allows bpf): a kernel test that is skipped for any reason fails the run.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from typing import TYPE_CHECKING

import pytest
from support import NOBODY, Skep, Workload, open_files

from skep.engine.kernel.privileges import fix_for, missing_for_bpf
from skep.llvm_server import release

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIRE_KERNEL = os.environ.get("SKEP_REQUIRE_KERNEL", "0") not in ("", "0")


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
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs so, and commands inherit it
    if REQUIRE_KERNEL:
        config.pluginmanager.register(KernelTestsRan())


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = missing_for_bpf() if item.get_closest_marker("kernel") else []
    if missing:
        reason = f"needs {' and '.join(missing)}: {fix_for(missing)}"
        if REQUIRE_KERNEL:
            pytest.fail(f"SKEP_REQUIRE_KERNEL=1, but this test {reason}", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_fd_is_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """A kernel test must close what it opened: programs, maps and links live as long as their fd."""
    if request.node.get_closest_marker("kernel") is None:
        yield
        return
    release()
    before = open_files()
    yield
    release()  # the compiler's process is kept on purpose, with its socket
    left = {fd: name for fd, name in open_files().items() if before.get(fd) != name}
    if left:
        gc.collect()  # a failed test's traceback, or a cycle, may still hold the object; that is no leak of ours
        left = {fd: name for fd, name in open_files().items() if before.get(fd) != name}
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
