"""Names of kernel functions: what system calls' functions are called here, and which functions a probe can go on."""

from __future__ import annotations

import os

from skep.engine.syscalls import syscall_prefix
from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# What system calls' functions begin with, by machine and ABI
_PREFIXES = (
    "sys_", "__x64_sys_", "__x32_compat_sys_", "__ia32_compat_sys_", "__arm64_sys_", "__s390x_sys_", "__s390_sys_",
    "__riscv_sys_",
)  # fmt: skip
_KPROBE_PMU = "/sys/bus/event_source/devices/kprobe/type"
_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_BLACKLIST = "/sys/kernel/debug/kprobes/blacklist"


def without_syscall_prefix(name: str) -> str | None:
    """`execve` for `sys_execve` or `__x64_sys_execve`; None for other functions."""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return None


def kprobe_functions(pattern: str) -> set[str]:
    """Functions whose whole name matches a regular expression and that a kprobe can go on.

    A kernel without kprobes has none but the functions of system calls, which their tracepoints stand in for.
    """
    import re

    try:
        matches = re.compile(pattern).fullmatch
    except re.error as error:
        raise SkepError(f"event_re={pattern!r} is no regular expression: {error}") from None
    if not os.path.exists(_KPROBE_PMU) and not any(os.path.exists(f"{folder}/kprobe_events") for folder in _TRACEFS):
        prefix = syscall_prefix()
        return {name for name in _symbols() if name.startswith(prefix) and matches(name)}
    named = _first_file(f"{folder}/available_filter_functions" for folder in _TRACEFS)
    names = {line.split(None, 1)[0] for line in named} if named is not None else set(_symbols())
    refused = {line.split()[-1] for line in _first_file((_BLACKLIST,)) or ()}
    return {name for name in names if matches(name) and name not in refused}


def _symbols() -> Iterable[str]:
    with open("/proc/kallsyms") as symbols:
        for line in symbols:
            _, kind, name = line.split(None, 3)[:3]
            if kind in "tTwW":
                yield name


def _first_file(paths: Iterable[str]) -> list[str] | None:
    for path in paths:
        try:
            with open(path) as file:
                return file.readlines()
        except OSError:
            continue
    return None


def tracepoints(pattern: str) -> list[str]:
    """Tracepoints, "category:event", whose names a regular expression matches at their start; by name."""
    import re

    from skep.engine.kernel.tracefs import Tracefs

    try:
        matches = re.compile(pattern).match
    except re.error as error:
        raise SkepError(f"tp_re={pattern!r} is no regular expression: {error}") from None
    tracefs = Tracefs()
    try:
        return sorted(name for name in tracefs.tracepoints() if matches(name))
    finally:
        tracefs.close()


def tracepoint_exists(category: str, event: str) -> bool:
    """Whether this kernel has a tracepoint."""
    from skep.engine.kernel.tracefs import Tracefs

    tracefs = Tracefs()
    try:
        return tracefs.exists(f"events/{category}/{event}/id")
    finally:
        tracefs.close()


def struct_has_field(struct: str, field: str) -> int:
    """1, 0, or -1 for a struct that the kernel's BTF does not have."""
    from skep.btf import kernel_btf
    from skep.btf.types import Struct

    btf = kernel_btf()
    id = btf.find(struct, "struct") or btf.find(struct, "union")
    todo = [id] if id else []
    for one in todo:  # grows by the anonymous members
        found = btf.type(btf.strip(one))
        for member in found.members if isinstance(found, Struct) else ():
            if member.name == field:
                return 1
            if not member.name:
                todo.append(member.type_id)
    return 0 if id else -1


def enum_has_value(enum: str, value: str) -> int:
    """1, 0, or -1 for an enum that the kernel's BTF does not have; "" means all enums without a name."""
    from skep.btf import kernel_btf
    from skep.btf.types import Enum

    btf = kernel_btf()
    if enum:
        id = btf.find(enum, "enum")
        if not id:
            return -1
        found = btf.type(id)
        return int(isinstance(found, Enum) and any(name == value for name, _ in found.values))
    place = btf.find_enumerator(value)
    return int(place is not None)


def can_load(section: str) -> bool:
    """Whether the kernel loads a program that does nothing as what a section says."""
    from skep.engine.kernel.programs import load_program
    from skep.object.kinds import kind_for_section
    from skep.object.model import Object, ProgramSpec

    kind = kind_for_section(section)
    assert kind is not None
    nothing = b"\xb7\0\0\0\0\0\0\0\x95\0\0\0\0\0\0\0"  # r0 = 0; exit
    owner = Object(b"", license="GPL", btf=None, maps={}, programs={})
    try:
        load_program(ProgramSpec("nothing", section, nothing), kind, {}, owner, 0).close()
    except SkepError:
        return False
    return True
