"""CONFIG_* of the running kernel as macros, as include/generated/autoconf.h has them; read when a text mentions one."""

from __future__ import annotations

from skep.compiler.kconfig import read_config


def config_macros() -> dict[str, str]:
    """The bodies of the macros by name; none where neither /proc/config.gz nor /boot has the configuration."""
    found = {}
    for line in (read_config() or "").splitlines():
        name, given, value = line.strip().partition("=")
        if given and name.startswith("CONFIG_"):
            if value == "m":
                name += "_MODULE"
            found[name] = " 1" if value in ("y", "m") else f" {value}"
    return found
