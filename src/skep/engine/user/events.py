"""Hooks of the user engine: what each means to the tracing loop (runtime/tracer.c), or why it cannot be.

In: a hook. Out: an `Event`: the point, the system calls, the shape of the context, the kind that the program is loaded as.
"""

from __future__ import annotations

from skep.engine.syscalls import defined_names, has_syscall_prefix, syscall_of
from skep.errors import AttachError
from skep.object.kinds import kind_for_section
from skep.object.model import ProgramKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from skep.engine import Hook

RECORD, RAW, CALL, SAMPLE = range(4)  # enum context of runtime/tracer.h
ENTER, EXIT, EXEC, FORK, END, TIMER = range(6)

# tracepoint and raw tracepoint names that are no system calls
_POINTS = {
    "sched:sched_process_exec": EXEC, "sched:sched_process_fork": FORK, "sched:sched_process_exit": END,
    "raw_syscalls:sys_enter": ENTER, "raw_syscalls:sys_exit": EXIT,
}  # fmt: skip
# what the family of a system call's function sees, and how: fentry and fexit get the caller's registers and the result as a raw
# tracepoint does
_FUNCTIONS = {"kprobe": (ENTER, CALL), "kretprobe": (EXIT, CALL), "fentry": (ENTER, RAW), "fexit": (EXIT, RAW)}
_SOFTWARE, _CLOCKS = 1, (0, 1)  # PERF_TYPE_SOFTWARE; PERF_COUNT_SW_CPU_CLOCK, PERF_COUNT_SW_TASK_CLOCK
_SHORTEST = 100_000  # ns between samples: a stop takes some 10 000
_RAW_POINTS = {name.partition(":")[2]: point for name, point in _POINTS.items()}


class Event:
    """`point` of the loop; `calls`: numbers of system calls (None: all); `context`: its shape; `kind`: to load as."""

    __slots__ = ("calls", "context", "how", "kind", "period", "point")

    def __init__(
        self, point: int, context: int, kind: ProgramKind, how: str, *, calls: frozenset[int] | None = None, period: int = 0
    ) -> None:
        self.point = point
        self.context = context
        self.kind = kind
        self.how = how
        self.calls = calls
        self.period = period  # TIMER: nanoseconds


def resolve(hook: Hook) -> Event:
    """The event that a hook means; AttachError says what the user engine has instead."""
    family = _FAMILIES.get(hook.family)
    if family is None:
        raise AttachError(
            f"cannot attach to {hook}: the user engine has the hook families {', '.join(_FAMILIES)}; "
            "the kernel engine (as root) has more"
        )
    return family(hook)


def _kind(section: str) -> ProgramKind:
    kind = kind_for_section(section)
    assert kind is not None
    return kind


def _function(hook: Hook) -> Event:
    from skep.engine.user.syscalls_x86_64 import system_calls

    known = system_calls()
    side, context = _FUNCTIONS[hook.family]
    if hook.options.get("offset"):
        raise AttachError(f"cannot attach to {hook}+{hook.options['offset']:#x}: the user engine sees system calls begin and end")
    for name in defined_names(syscall_of(hook.target)):
        if name in known:
            number = frozenset((known[name][0],))
            section = hook.family if context == CALL else f"{hook.family}/{hook.target}"
            return Event(side, context, _kind(section), f"{hook.family} {hook.target} (ptrace)", calls=number)
    if has_syscall_prefix(hook.target):
        raise _unknown(hook, "no such system call on x86-64", (f"__x64_sys_{name}" for name in known))
    raise _unknown(
        hook,
        "the user engine traces processes from outside, so functions of the kernel do not exist for it, except those of system "
        "calls (__x64_sys_*); the kernel engine (as root) has them all",
        (f"__x64_sys_{name}" for name in known),
    )


def _tracepoint(hook: Hook) -> Event:
    from skep.engine.user.records import event_names

    category, _, name = hook.target.partition(":")
    how = f"tracepoint {hook.target} (ptrace)"
    point = _POINTS.get(hook.target)
    if point is not None:
        return Event(point, RECORD, _kind("tracepoint"), how)
    if category == "syscalls":
        from skep.engine.user.syscalls_x86_64 import system_calls

        for prefix, side in (("sys_enter_", ENTER), ("sys_exit_", EXIT)):
            call = system_calls().get(name.removeprefix(prefix)) if name.startswith(prefix) else None
            if call is not None:
                return Event(side, RECORD, _kind("tracepoint"), how, calls=frozenset((call[0],)))
    raise _unknown(
        hook,
        "the user engine has the tracepoints syscalls:*, raw_syscalls:*, sched:sched_process_exec, _fork and _exit; "
        "the kernel engine (as root) has them all",
        event_names(),
    )


def _raw_tracepoint(hook: Hook) -> Event:
    point = _RAW_POINTS.get(hook.target)
    if point is None:
        raise _unknown(
            hook,
            f"the user engine has the raw tracepoints {', '.join(sorted(_RAW_POINTS))}; the kernel engine (as root) has them all",
            _RAW_POINTS,
        )
    section = hook.family if hook.family == "raw_tracepoint" else f"{hook.family}/{hook.target}"
    kind = _kind(section)
    if point in (EXEC, FORK, END):  # their arguments are structs
        kind = ProgramKind(kind.name, kind.type, "process_tracepoint")
    return Event(point, RAW, kind, f"raw tracepoint {hook.target} (ptrace)")


def _sample(hook: Hook) -> Event:
    options = hook.options
    clocks = [f"{_SOFTWARE}:{clock:#x}" for clock in _CLOCKS]
    if hook.target not in clocks:
        raise AttachError(
            f"cannot attach to {hook}: the user engine samples by time only (PerfType.SOFTWARE with PerfSWConfig.CPU_CLOCK or "
            "TASK_CLOCK); the kernel engine (as root) has the other counters"
        )
    if options.get("pid", -1) > 0 or options.get("cpu", -1) >= 0:
        raise AttachError(f"cannot attach to {hook}: the user engine samples all that it traces: leave out pid= and cpu=")
    period = options.get("period", 0) or 10**9 // options["frequency"]
    how = f"every {period / 1e6:g} ms (timer and ptrace)"
    return Event(TIMER, SAMPLE, _kind("perf_event"), how, period=max(period, _SHORTEST))


def _unknown(hook: Hook, reason: str, names: Iterable[str]) -> AttachError:
    from difflib import get_close_matches

    near = get_close_matches(hook.target, list(names), 3)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return AttachError(f"cannot attach to {hook}: {reason}{meant}", attempts=[("ptrace", reason)], candidates=near)


_FAMILIES: dict[str, Callable[[Hook], Event]] = {
    "kprobe": _function,
    "kretprobe": _function,
    "tracepoint": _tracepoint,
    "raw_tracepoint": _raw_tracepoint,
    "fentry": _function,
    "fexit": _function,
    "tp_btf": _raw_tracepoint,
    "perf_event": _sample,
}
