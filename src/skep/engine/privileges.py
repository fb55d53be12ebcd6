"""What this process may do: capabilities, the kernel's switches for unprivileged users, lockdown.

Read from /proc and /sys only when asked; out come names of capabilities and PrivilegeError.
"""

from __future__ import annotations

import os

from skep.errors import PrivilegeError

# include/uapi/linux/capability.h; CAP_BPF and CAP_PERFMON since 5.8, CAP_SYS_ADMIN stands for both
CAPABILITIES = {
    "CAP_DAC_OVERRIDE": 1, "CAP_DAC_READ_SEARCH": 2, "CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SYS_RESOURCE": 24,
    "CAP_PERFMON": 38, "CAP_BPF": 39,
}  # fmt: skip
_IMPLIED = {"CAP_BPF": "CAP_SYS_ADMIN", "CAP_PERFMON": "CAP_SYS_ADMIN"}

# bpf_prog_load() in kernel/bpf/syscall.c: is_perfmon_prog_type, is_net_admin_prog_type
_PERFMON_TYPES = frozenset((2, 5, 7, 17, 24, 26, 27, 28, 29))
_NET_ADMIN_TYPES = frozenset((3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 21, 22, 23, 25, 27, 28, 30))


def effective_capabilities() -> int:
    """The effective set of this thread, as bits."""
    try:
        with open("/proc/thread-self/status", "rb") as status:
            for line in status:
                if line.startswith(b"CapEff:"):
                    return int(line.split()[1], 16)
    except OSError:  # no /proc: root has them all, as far as can be told
        return (1 << 64) - 1 if os.geteuid() == 0 else 0
    return 0


def has_capability(name: str, effective: int | None = None) -> bool:
    """Whether the process has the capability, or CAP_SYS_ADMIN where the kernel takes that instead."""
    bits = effective_capabilities() if effective is None else effective
    if bits >> CAPABILITIES[name] & 1:
        return True
    implied = _IMPLIED.get(name)
    return implied is not None and bool(bits >> CAPABILITIES[implied] & 1)


def _missing(names: tuple[str, ...]) -> list[str]:
    effective = effective_capabilities()
    return [name for name in names if not has_capability(name, effective)]


def missing_for_bpf() -> list[str]:
    """What lacks for maps and tracing programs: a part of CAP_BPF and CAP_PERFMON; empty when all is there."""
    return _missing(("CAP_BPF", "CAP_PERFMON"))


def missing_for_program(type: int) -> list[str]:
    """What lacks to load a program of this type."""
    needed: tuple[str, ...] = ("CAP_BPF",)
    if type in _PERFMON_TYPES:
        needed += ("CAP_PERFMON",)
    if type in _NET_ADMIN_TYPES:
        needed += ("CAP_NET_ADMIN",)
    return _missing(needed)


def fix_for(missing: list[str]) -> str:
    """What to do about missing capabilities."""
    names = ",".join(name.lower() for name in missing)
    return f"run as root (sudo), or give the interpreter the capabilities: setcap {names}+ep $(readlink -f $(command -v python3))"


def check_privilege() -> None:
    """Raise PrivilegeError when this process may not use bpf(2) for tracing."""
    missing = missing_for_bpf()
    if missing:
        raise PrivilegeError(
            f"the kernel engine needs {' and '.join(missing)}, which this process (uid {os.geteuid()}) does not have; "
            + fix_for(missing)
            + "; or run it without privilege, on processes that it traces: engine='user' (SKEP_ENGINE=user)",
            missing=missing,
        )


def _read_number(path: str) -> int | None:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def unprivileged_bpf_disabled() -> int | None:
    """0: users may load socket filters; 1: never, until reboot; 2: no (default since 5.16); None: not told."""
    return _read_number("/proc/sys/kernel/unprivileged_bpf_disabled")


def perf_event_paranoid() -> int | None:
    """kernel.perf_event_paranoid; None: not told."""
    return _read_number("/proc/sys/kernel/perf_event_paranoid")


def lockdown() -> str:
    """ "none", "integrity" or "confidentiality"; an empty string when securityfs does not tell."""
    try:
        with open("/sys/kernel/security/lockdown") as file:
            text = file.read()
    except OSError:
        return ""
    return text.partition("[")[2].partition("]")[0]
