"""CONFIG_* of the running kernel as macros, as include/generated/autoconf.h has them; read when a text mentions one."""

from __future__ import annotations

import gzip


def config_macros(release: str) -> dict[str, str]:
    """The bodies of the macros by name; none where neither /proc/config.gz nor /boot has the configuration."""
    lines: list[str] = []
    try:
        with gzip.open("/proc/config.gz", "rt", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        try:
            with open(f"/boot/config-{release}", errors="replace") as file:
                lines = file.readlines()
        except OSError:
            return {}
    found = {}
    for line in lines:
        name, given, value = line.strip().partition("=")
        if given and name.startswith("CONFIG_"):
            if value == "m":
                name += "_MODULE"
            found[name] = " 1" if value in ("y", "m") else f" {value}"
    return found
