"""Tracepoints "category:event" through a perf event (4.7, syscalls:* since 4.14); the context is the event's record."""

from __future__ import annotations

import errno

from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.engine.kernel.ladder import KernelLink, Refused, Rung, climb, link_perf_event, near_names
from skep.errors import AttachError
from skep.object.kinds import kind_for_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.engine import Hook, ProgramHandle
    from skep.engine.kernel import KernelEngine
    from skep.object.model import ProgramKind


def attach(engine: KernelEngine, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
    """Attach to the tracepoint `hook.target`, "category:event"."""
    category, separator, event = hook.target.partition(":")
    if not separator or not category or not event or "/" in hook.target:
        raise AttachError(f"cannot attach to {hook}: a tracepoint is named category:event, such as sched:sched_switch")
    kind = kind_for_section("tracepoint")
    assert kind is not None
    rung = Rung(
        f"tracepoint {hook.target}",
        kind,
        lambda: require(engine, category, event),
        lambda program: attach_event(engine, program, category, event),
    )

    def near() -> list[str]:
        events = engine.tracefs.tracepoints()
        # the right event in the wrong category first, then slips in either
        return [name for name in events if name.endswith(f":{event}")] or near_names(hook.target, events)

    return climb(hook, (rung,), load, near)


def require(engine: KernelEngine, category: str, event: str) -> None:
    """Refused when this kernel has no such tracepoint."""
    if not engine.tracefs.exists(f"events/{category}/{event}/id"):
        if not engine.tracefs.exists(f"events/{category}"):
            raise Refused(f"this kernel has no tracepoint category {category!r}")
        raise Refused(f"this kernel has no event {event!r} in category {category!r}")


def attach_event(
    engine: KernelEngine,
    program: ProgramHandle,
    category: str,
    event: str,
    *,
    how: str = "",
    cleanup: Callable[[], None] | None = None,
) -> KernelLink:
    """Bind a loaded program to an event of tracefs; `cleanup` runs after the link is closed, or when this fails."""
    try:
        id = engine.tracefs.tracepoint_id(category, event)
        if id is None:
            raise Refused("the event is gone")
        fd = syscall.perf_event_open(syscall.PERF_TYPE_TRACEPOINT, id, cpu=0)
        if fd < 0:
            hint = "; it needs CAP_PERFMON" if fd in (-errno.EPERM, -errno.EACCES) else ""
            raise Refused(f"perf_event_open: {errno_text(fd)}{hint}")
    except BaseException:
        if cleanup is not None:
            cleanup()
        raise
    return link_perf_event(program, fd, how or f"tracepoint {category}:{event} (perf event", cleanup)
