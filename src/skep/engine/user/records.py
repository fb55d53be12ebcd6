"""Records of tracepoints that the user engine makes itself, described as the kernel's format files do; no tracefs is read.

System calls are in syscalls_x86_64; the sched layouts are those of Linux 6.18, which runtime/tracer.c writes.
"""

from __future__ import annotations

# declaration, offset, size, signed
_COMMON = (
    ("unsigned short common_type", 0, 2, 0),
    ("unsigned char common_flags", 2, 1, 0),
    ("unsigned char common_preempt_count", 3, 1, 0),
    ("int common_pid", 4, 4, 1),
)
_RECORDS: dict[str, tuple[tuple[str, int, int, int], ...]] = {
    "raw_syscalls:sys_enter": (("long id", 8, 8, 1), ("unsigned long args[6]", 16, 48, 0)),
    "raw_syscalls:sys_exit": (("long id", 8, 8, 1), ("long ret", 16, 8, 1)),
    "sched:sched_process_exec": (
        ("__data_loc char[] filename", 8, 4, 0),
        ("pid_t pid", 12, 4, 1),
        ("pid_t old_pid", 16, 4, 1),
    ),
    "sched:sched_process_fork": (
        ("__data_loc char[] parent_comm", 8, 4, 0),
        ("pid_t parent_pid", 12, 4, 1),
        ("__data_loc char[] child_comm", 16, 4, 0),
        ("pid_t child_pid", 20, 4, 1),
    ),
    "sched:sched_process_exit": (
        ("char comm[16]", 8, 16, 0),
        ("pid_t pid", 24, 4, 1),
        ("int prio", 28, 4, 1),
        ("bool group_dead", 32, 1, 0),
    ),
}
_NUMBER = ("int __syscall_nr", 8, 4, 1)


def record_fields(category: str, event: str) -> tuple[tuple[str, int, int, int], ...] | None:
    """(declaration, offset, bytes, signed) of the fields after the common ones; None for an event that is not made here."""
    fields = _RECORDS.get(f"{category}:{event}")
    if fields is not None or category != "syscalls":
        return fields
    from skep.engine.user.syscalls_x86_64 import system_calls

    call = system_calls().get(event.removeprefix("sys_enter_").removeprefix("sys_exit_"))
    if call is None:
        return None
    if event.startswith("sys_exit_"):
        return (_NUMBER, ("long ret", 16, 8, 1))
    if not event.startswith("sys_enter_"):
        return None
    return (_NUMBER, *((declaration, 16 + 8 * i, 8, 0) for i, declaration in enumerate(call[1])))


def record_format(category: str, event: str) -> str | None:
    """The fields of an event in the text form of a format file; None for an event that is not made here."""
    fields = record_fields(category, event)
    if fields is None:
        return None
    return "".join(
        f"\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n"
        for declaration, offset, size, signed in (*_COMMON, *fields)
    )


def event_names() -> list[str]:
    """Every tracepoint that the user engine has, as "category:event"."""
    from skep.engine.user.syscalls_x86_64 import system_calls

    return [*_RECORDS, *(f"syscalls:sys_{side}_{call}" for call in system_calls() for side in ("enter", "exit"))]
