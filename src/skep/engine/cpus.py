"""The CPUs of this machine, as the kernel lists them."""

from __future__ import annotations


def cpu_list(text: str) -> list[int]:
    """The CPUs that a kernel list such as "0-3,8" names."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            cpus.extend(range(int(first), int(last or first) + 1))
    return cpus


def read_cpus(which: str) -> list[int]:
    """CPUs from /sys/devices/system/cpu: `which` is "possible" (what per-CPU maps are sized by) or "online"."""
    with open(f"/sys/devices/system/cpu/{which}") as file:
        return cpu_list(file.read())
