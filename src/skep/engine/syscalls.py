"""System calls by name: the kernel function that serves one, and the tracepoints at its start and end."""

from __future__ import annotations

import os

# what CONFIG_ARCH_HAS_SYSCALL_WRAPPER puts before the name: x86-64 since 4.17, arm64 since 4.19
_PREFIXES = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"}
_STRIPPED = ("__x64_sys_", "__arm64_sys_", "__se_sys_", "__do_sys_", "sys_")
# System calls whose SYSCALL_DEFINE has another name than the call (arch/*/entry/syscalls/*.tbl). The functions that have
# the plain names (__x64_sys_stat, __x64_sys_uname) serve 32-bit or ancient programs and never run for 64-bit ones.
_DEFINED_AS = {
    "stat": "newstat", "fstat": "newfstat", "lstat": "newlstat", "fstatat": "newfstatat", "uname": "newuname",
    "sendfile": "sendfile64", "umount2": "umount",
}  # fmt: skip


def syscall_prefix() -> str:
    """What stands before a system call's name in its function's name on this machine."""
    return _PREFIXES.get(os.uname().machine, "sys_")


def syscall_of(function: str) -> str:
    """The system call that a function's name means: "execve" for "__x64_sys_execve", "sys_execve" and "execve"."""
    for prefix in _STRIPPED:
        if function.startswith(prefix):
            return function[len(prefix) :]
    return function


def has_syscall_prefix(function: str) -> bool:
    """Whether the name says by its form that it is a system call's function."""
    return function.startswith(_STRIPPED)


def defined_names(call: str) -> tuple[str, ...]:
    """Names under which the kernel may define a system call, the more specific first."""
    other = _DEFINED_AS.get(call)
    return (other, call) if other else (call,)
