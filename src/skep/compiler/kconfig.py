"""What `extern ... __kconfig` variables are on this kernel: its version and the settings that it was built with."""

from __future__ import annotations

import gzip
import platform
import re
from collections.abc import Callable

from skep.compiler import tree
from skep.compiler import types as ct
from skep.compiler.source import Token

_TRISTATE = {"n": 0, "y": 1, "m": 2}
_PLACES = ("/proc/config.gz", "/boot/config-{release}")


def _version() -> tuple[int, int, int]:
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", platform.release())
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def _code() -> int:
    major, minor, patch = _version()
    return major << 16 | minor << 8 | min(patch, 255)


_VIRTUAL: dict[str, Callable[[], int]] = {
    "LINUX_KERNEL_VERSION": _code,
    "LINUX_HAS_SYSCALL_WRAPPER": lambda: int(platform.machine() in ("x86_64", "aarch64", "s390x", "riscv64")),
    "LINUX_HAS_BPF_COOKIE": lambda: int(_version() >= (5, 15, 0)),
}


def read_config() -> str | None:
    """The text of the running kernel's configuration, where it is to be had."""
    for place in _PLACES:
        path = place.format(release=platform.release())
        try:
            with gzip.open(path, "rt", errors="replace") if path.endswith(".gz") else open(path, errors="replace") as file:
                return file.read()
        except OSError:
            continue
    return None


def initial(var: tree.Variable, token: Token) -> tree.Init:
    """The value as an initialiser. Raises ValueError that says what is wrong."""
    init = tree.Init(token, var.type, True)
    value = _value(var, var.name)
    if isinstance(value, bytes):
        assert isinstance(var.type, ct.ArrayType)
        data = value[: var.type.size - 1] + b"\0"
        init.items.append((0, None, var.type, tree.StringData(token, token, ct.ArrayType(ct.CHAR, len(data)), data)))
    else:
        type = ct.integer(var.type)
        init.items.append((0, None, var.type, tree.Const(token, token, var.type.unqualified(), type.wrap(value))))
    return init


def _value(var: tree.Variable, name: str) -> int | bytes:
    text = isinstance(var.type, ct.ArrayType) and ct.is_integer(var.type.of) and var.type.of.size == 1 and var.type.complete
    if not text and not ct.is_integer(var.type):
        raise ValueError(f"a __kconfig variable is a number, a bool or an array of char, not '{var.type}'")
    if name in _VIRTUAL and not text:
        return _VIRTUAL[name]()
    if not name.startswith("CONFIG_"):
        raise ValueError(f"'{name}' is no __kconfig variable; there are CONFIG_... and {', '.join(_VIRTUAL)}")
    config = read_config()
    found = re.search(rf"^{re.escape(name)}=(.*)$", config, re.MULTILINE) if config is not None else None
    if found is None:
        if var.attributes.get("weak"):
            return b"" if text else 0
        if config is None:
            places = " nor ".join(place.format(release=platform.release()) for place in _PLACES)
            raise ValueError(f"this kernel does not show its configuration: there is neither {places}; declare '{name}' __weak")
        raise ValueError(f"this kernel's configuration does not set '{name}'; declare it __weak to read 0 then")
    setting = found[1].strip()
    if setting[:1] == '"':
        if not text:
            raise ValueError(f"'{name}' is the string {setting} on this kernel, not '{var.type}'")
        return setting[1:-1].replace('\\"', '"').encode()
    if text:
        raise ValueError(f"'{name}' is {setting} on this kernel, not a string")
    if setting in _TRISTATE:
        plain_char = isinstance(var.type, ct.IntType) and var.type.size == 1 and var.type.rank != ct.BOOL_RANK
        value = ord(setting) if plain_char else _TRISTATE[setting]
        return min(value, 1) if isinstance(var.type, ct.IntType) and var.type.rank == ct.BOOL_RANK else value
    return int(setting, 0)
