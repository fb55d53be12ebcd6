"""kprobe and kretprobe: the perf PMU (4.17), a tracefs event, for system calls their tracepoints, then fentry or fexit (5.5).

The rungs after the second serve kernels without kprobes: the program is loaded with a context of another shape.
"""

from __future__ import annotations

import errno
import os

from skep.engine.errnos import errno_text
from skep.engine.kernel import raw_tracepoint, syscall, tracepoint
from skep.engine.kernel.ladder import KernelLink, Refused, Rung, climb, link_perf_event, near_names
from skep.engine.syscalls import defined_names, has_syscall_prefix, syscall_of, syscall_prefix
from skep.errors import UnsupportedError
from skep.object.kinds import kind_for_section
from skep.object.model import ProgramKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skep.engine import Hook, ProgramHandle
    from skep.engine.kernel import KernelEngine

PMU = "/sys/bus/event_source/devices/kprobe"
_EXIT = {"kprobe": ("enter", False), "kretprobe": ("exit", True)}
_TRACEPOINT_TYPE = 5


def attach(engine: KernelEngine, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
    """Attach to the start (`kprobe`, option `offset`) or the return (`kretprobe`, `maxactive`) of the function `hook.target`."""
    side, is_return = _EXIT[hook.family]
    function, offset, maxactive = hook.target, hook.options.get("offset", 0), hook.options.get("maxactive", 0)
    kind = kind_for_section(hook.family)
    assert kind is not None
    functions = _function_names(function)
    rungs = [
        Rung(
            "perf kprobe PMU",
            kind,
            lambda: _require_pmu(maxactive),
            lambda program: _attach_pmu(program, functions, offset, is_return),
        ),
        Rung(
            "tracefs kprobe_events",
            kind,
            lambda: _require_kprobe_events(engine),
            lambda program: _attach_tracefs(engine, program, functions, offset, f"r{maxactive or ''}" if is_return else "p"),
        ),
    ]
    if offset == 0:
        event = _syscall_event(engine, syscall_of(function), side)
        rungs.append(
            Rung(
                f"tracepoint syscalls:{event or f'sys_{side}_{syscall_of(function)}'}",
                ProgramKind(f"syscall_{side}", _TRACEPOINT_TYPE, f"syscall_{side}"),
                lambda: _require_event(event, function),
                lambda program: _attach_syscall(engine, program, event),
            )
        )
        # last although it is faster to run: it needs the kernel's BTF, which costs more than all of the rung above
        kind = kind_for_section(f"{'fexit' if is_return else 'fentry'}/{function}")
        assert kind is not None
        rungs.append(Rung(kind.context, kind, lambda: _require_function(engine, function), raw_tracepoint.attach_bound))
    return climb(hook, rungs, load, lambda: _near(engine, function))


def _require_function(engine: KernelEngine, function: str) -> None:
    from skep.btf import kernel_btf

    if not engine.tracefs.exists("available_filter_functions"):
        raise Refused("not in this kernel (CONFIG_FUNCTION_TRACER is off)")
    try:
        known = kernel_btf().find(function, "func") is not None
    except UnsupportedError as error:
        raise Refused(str(error)) from None
    if not known:
        raise Refused(f"no function {function} in the kernel's BTF")


def _attach_syscall(engine: KernelEngine, program: ProgramHandle, event: str) -> KernelLink:
    try:
        return tracepoint.attach_event(engine, program, "syscalls", event)
    except Refused as refusal:
        if refusal.errno != errno.EEXIST:
            raise
    # it is there under the call's other name (stat and newstat are one system call here): it must not run twice
    return KernelLink(f"tracepoint syscalls:{event} (attached there already)", ())


def _function_names(function: str) -> tuple[str, ...]:
    """The name as given, then the name that the same system call's function has on this machine."""
    full = syscall_prefix() + syscall_of(function)
    return (function,) if full == function else (function, full)


def _require_pmu(maxactive: int) -> None:
    if maxactive:
        raise Refused("it has no maxactive")
    if not os.path.exists(f"{PMU}/type"):
        raise Refused(f"not in this kernel (no {PMU})")


def _attach_pmu(program: ProgramHandle, functions: tuple[str, ...], offset: int, is_return: bool) -> KernelLink:
    from ctypes import addressof, create_string_buffer

    with open(f"{PMU}/type") as file:
        type = int(file.read())
    config = 0
    if is_return:
        with open(f"{PMU}/format/retprobe") as file:  # "config:0"
            config = 1 << int(file.read().partition(":")[2])
    result = -errno.ENOENT
    for function in functions:
        name = create_string_buffer(function.encode())
        result = syscall.perf_event_open(
            type, config, cpu=0, sample_type=0, sample_period=0, wakeup_events=0, config1=addressof(name), config2=offset
        )
        if result >= 0:
            family = "kretprobe" if is_return else "kprobe"
            return link_perf_event(program, result, f"{family} {_place(function, offset)} (perf kprobe PMU")
        if result not in (-errno.ENOENT, -errno.EINVAL):
            break
    raise Refused(_probe_error(result, functions, offset))


def _require_kprobe_events(engine: KernelEngine) -> None:
    if not engine.tracefs.exists("kprobe_events"):
        raise Refused("not in this kernel (CONFIG_KPROBE_EVENTS is off)")


def _attach_tracefs(
    engine: KernelEngine, program: ProgramHandle, functions: tuple[str, ...], offset: int, kind: str
) -> KernelLink:
    """`kind` is the letter of the event's definition: p, r, or r and maxactive (4.12)."""
    family = "kretprobe" if kind[0] == "r" else "kprobe"
    number = errno.ENOENT
    for function in functions:
        # a group of its own: nobody's event has this name, and what a killed process left is easy to tell
        group = f"skep_{os.getpid()}_{os.urandom(4).hex()}"
        event = "".join(c if c.isalnum() else "_" for c in function)[:40]
        try:
            engine.tracefs.append("kprobe_events", f"{kind}:{group}/{event} {_place(function, offset)}\n")
        except OSError as error:
            number = error.errno or errno.EIO
            if number == errno.EACCES:
                raise Refused(f"kprobe_events cannot be written: {errno_text(number)}; it needs CAP_DAC_OVERRIDE") from error
            if number in (errno.ENOENT, errno.EINVAL):
                continue
            break

        def remove(group: str = group, event: str = event) -> None:
            engine.tracefs.append("kprobe_events", f"-:{group}/{event}\n")

        return tracepoint.attach_event(
            engine, program, group, event, how=f"{family} {_place(function, offset)} (tracefs kprobe_events", cleanup=remove
        )
    raise Refused(_probe_error(-number, functions, offset))


def _place(function: str, offset: int) -> str:
    return f"{function}+{offset:#x}" if offset else function


def _probe_error(result: int, functions: tuple[str, ...], offset: int) -> str:
    names = " or ".join(functions)
    if result == -errno.EINVAL and not _exist(functions):  # what tracefs says of an unknown symbol on 6.12
        return f"no such function in this kernel: {names}: {errno_text(result)}"
    reasons = {
        -errno.ENOENT: f"no such function in this kernel: {names}",
        -errno.EINVAL: f"the kernel does not probe {names}"
        + (f" at offset {offset:#x}: no instruction starts there, or it is not probed" if offset else ": forbidden or unknown"),
        -errno.EILSEQ: f"offset {offset:#x} is inside an instruction of {names}",
        -errno.EADDRNOTAVAIL: f"several functions are named {names}",
        -errno.EPERM: "not permitted; it needs CAP_PERFMON, and a kernel without lockdown=confidentiality",
        -errno.EACCES: "not permitted; it needs CAP_PERFMON",
    }
    reason = reasons.get(result)
    return f"{reason}: {errno_text(result)}" if reason else errno_text(result)


def _syscall_event(engine: KernelEngine, call: str, side: str) -> str:
    """The tracepoint of a system call, sys_enter_X or sys_exit_X; an empty string when there is none."""
    for name in defined_names(call):
        if "/" not in name and engine.tracefs.exists(f"events/syscalls/sys_{side}_{name}/id"):
            return f"sys_{side}_{name}"
    return ""


def _require_event(event: str, function: str) -> None:
    if not event:
        if has_syscall_prefix(function):
            raise Refused("this kernel has no such tracepoint: the name is no system call, or CONFIG_FTRACE_SYSCALLS is off")
        raise Refused(f"{function} is not the function of a system call")


def _near(engine: KernelEngine, function: str) -> list[str]:
    """Functions that can be probed and system calls, with names like this one."""
    if os.path.exists(PMU) or engine.tracefs.exists("kprobe_events"):
        return near_names(function, _functions())
    # nothing but system calls can be attached to here
    prefix = syscall_prefix()
    events = engine.tracefs.folders("events/syscalls")
    calls = [name.removeprefix("sys_enter_") for name in events if name.startswith("sys_enter_")]
    return [prefix + call for call in near_names(syscall_of(function), calls)]


def _exist(functions: tuple[str, ...]) -> bool:
    return any(name in functions for name in _functions())


def _functions() -> Iterator[str]:
    with open("/proc/kallsyms") as symbols:
        for line in symbols:
            fields = line.split()
            if fields[1] in "tTwW":
                yield fields[2]
