"""uprobe and uretprobe: the perf PMU (4.17), a place in a file by its offset; the context is the process's registers."""

from __future__ import annotations

import errno
import os
from ctypes import addressof, create_string_buffer

from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.engine.kernel.ladder import KernelLink, Refused, Rung, climb, link_perf_event
from skep.object.kinds import kind_for_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.engine import Hook, ProgramHandle
    from skep.engine.kernel import KernelEngine
    from skep.object.model import ProgramKind

PMU = "/sys/bus/event_source/devices/uprobe"


def attach(engine: KernelEngine, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
    """Attach to a place in a file: `hook.target` is "PATH:0xOFFSET", with " of process PID" for one process alone.

    Option `semaphore`: the file offset of a counter that is above 0 while the probe is there (4.20); `cookie`:
    what the program is told with bpf_get_attach_cookie() (5.15).
    """
    place, _, pid = hook.target.partition(" of process ")
    path, _, offset = place.rpartition(":")
    kind = kind_for_section(hook.family)
    assert kind is not None
    rung = Rung(
        "perf uprobe PMU",
        kind,
        _require_pmu,
        lambda program: _attach_pmu(program, hook, path, int(offset, 16), int(pid or -1)),
    )
    return climb(hook, (rung,), load, lambda: [])


def _require_pmu() -> None:
    if not os.path.exists(f"{PMU}/type"):
        raise Refused(f"not in this kernel (no {PMU}): it needs Linux 4.17 with CONFIG_UPROBE_EVENTS")


def _attach_pmu(program: ProgramHandle, hook: Hook, path: str, offset: int, pid: int) -> KernelLink:
    with open(f"{PMU}/type") as file:
        type = int(file.read())
    name = create_string_buffer(os.fsencode(path))
    config = int(hook.family == "uretprobe") | hook.options.get("semaphore", 0) << 32  # format/retprobe, format/ref_ctr_offset
    fd = syscall.perf_event_open(
        type, config, pid=pid, cpu=0 if pid < 0 else -1, sample_type=0, sample_period=0, wakeup_events=0,
        config1=addressof(name), config2=offset,
    )  # fmt: skip
    if fd < 0:
        reason = {
            -errno.ENOENT: f"there is no file {path}",
            -errno.ESRCH: f"there is no process {pid}",
            -errno.EINVAL: f"no instruction that can be probed starts at {offset:#x}, or {path} is on a file system without mmap",
            -errno.EPERM: "not permitted; it needs CAP_PERFMON or CAP_SYS_ADMIN",
            -errno.EACCES: "not permitted; it needs CAP_PERFMON or CAP_SYS_ADMIN",
        }.get(fd)
        text = errno_text(fd)
        raise Refused(f"{reason}: {text}" if reason else text)
    how = f"{hook.family} {hook.target} (perf uprobe PMU"
    return link_perf_event(program, fd, how, cookie=hook.options.get("cookie"))
