"""Without privilege: which capability is missing, and that nothing but PrivilegeError comes out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skep.engine import privileges

ROOT = Path(__file__).resolve().parents[3]


def test_capabilities_are_those_of_the_status_file() -> None:
    text = Path("/proc/self/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("CapEff:"))
    assert privileges.effective_capabilities() == int(line.split()[1], 16)


def test_sys_admin_stands_for_bpf_and_perfmon_but_not_for_net_admin() -> None:
    only_admin = 1 << 21
    assert privileges.has_capability("CAP_BPF", only_admin)
    assert privileges.has_capability("CAP_PERFMON", only_admin)
    assert not privileges.has_capability("CAP_NET_ADMIN", only_admin)


@pytest.mark.kernel
def test_unprivileged_user_is_told_what_lacks(as_nobody: tuple[str, ...]) -> None:
    code = (
        "from skep.engine.kernel import KernelEngine\n"
        "from skep.engine.privileges import check_privilege\n"
        "from skep.errors import PrivilegeError\n"
        "from skep.object.model import MapSpec\n"
        "for action in (check_privilege, lambda: KernelEngine().create_map(MapSpec('h', 1, 4, 8, 1))):\n"
        "    try:\n"
        "        action()\n"
        "    except PrivilegeError as error:\n"
        "        print(error.missing, error)\n"
    )
    done = subprocess.run(
        [*as_nobody, sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        text=True,
        capture_output=True,
        cwd="/",
        check=False,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done
    assert lines[0].startswith(
        "['CAP_BPF', 'CAP_PERFMON'] the kernel engine needs CAP_BPF and CAP_PERFMON, which this process (uid 65534)"
    )
    assert "run as root (sudo), or give the interpreter the capabilities: setcap cap_bpf,cap_perfmon+ep" in lines[0]
    assert "cannot create map 'h'" in lines[1]
