"""Perf events: a program that runs at each sample of a counter (4.9), on every CPU or with one process."""

from __future__ import annotations

import errno

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

_INHERIT, _FREQUENCY = 1 << 1, 1 << 10  # bits of struct perf_event_attr


def attach(engine: KernelEngine, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
    """Attach to the counter `hook.target`, "TYPE:CONFIG" as numbers of struct perf_event_attr.

    Options: `period` (counts) or `frequency` (samples a second), or `attr` (a whole perf_event_attr); `pid` (-1: all), `cpu` (-1:
    every CPU), `group` (an fd or -1).
    """
    kind = kind_for_section("perf_event")
    assert kind is not None
    rung = Rung(f"perf event {hook.target}", kind, lambda: None, lambda program: _attach_all(engine, program, hook))
    return climb(hook, (rung,), load, lambda: [])


def _attach_all(engine: KernelEngine, program: ProgramHandle, hook: Hook) -> KernelLink:
    cpu = hook.options.get("cpu", -1)
    cpus = [cpu] if cpu >= 0 else engine.online_cpus
    links: list[KernelLink] = []
    try:
        for cpu in cpus:
            links.append(_attach_cpu(program, hook, cpu))
    except BaseException:
        for link in links:
            link.close()
        raise

    def close() -> None:
        for link in links:
            link.close()

    return KernelLink(f"{links[0].how[:-1]}, {len(links)} CPU{'s' * (len(links) > 1)})", (), close)


def _attach_cpu(program: ProgramHandle, hook: Hook, cpu: int) -> KernelLink:
    options = hook.options
    pid, group, attr = options.get("pid", -1), options.get("group", -1), options.get("attr")
    if attr is not None:
        fd = syscall.perf_event_open_attr(attr, cpu=cpu, pid=pid, group=group)
    else:
        type, config = (int(number, 0) for number in hook.target.split(":"))
        period, frequency = options.get("period", 0), options.get("frequency", 0)
        flags = (_FREQUENCY if frequency else 0) | (_INHERIT if pid > 0 else 0)
        fd = syscall.perf_event_open(
            type, config, pid=pid, cpu=cpu, sample_type=0, sample_period=frequency or period, wakeup_events=0, flags=flags,
            group=group,
        )  # fmt: skip
    if fd < 0:
        reason = {
            -errno.ENOENT: "this machine has no such counter (a virtual machine often has no hardware counters)",
            -errno.ENODEV: "this machine has no such counter (a virtual machine often has no hardware counters)",
            -errno.EOPNOTSUPP: "this machine's counter cannot sample",
            -errno.ESRCH: f"there is no process {pid}",
            -errno.EPERM: "not permitted; it needs CAP_PERFMON",
            -errno.EACCES: "not permitted; it needs CAP_PERFMON",
        }.get(fd)
        text = f"perf_event_open on CPU {cpu}: {errno_text(fd)}"
        raise Refused(f"{text}: {reason}" if reason else text)
    return link_perf_event(program, fd, f"perf event {hook.target} (perf event")
