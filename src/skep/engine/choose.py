"""Which engine runs the programs: by name, by SKEP_ENGINE, else by what this process may do."""

from __future__ import annotations

import os
import sys

from skep.errors import PrivilegeError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.engine import Engine

_SAID: list[str] = []


def engine_name(name: str | None = None, *, traces: bool = False) -> str:
    """The engine that a name ("auto", None: SKEP_ENGINE, else auto) means for this process: "kernel" or "user".

    When `auto` means "user", stderr says so, once, with what there is to do for it; not that, when the caller `traces` something.
    """
    name = name or os.environ.get("SKEP_ENGINE") or "auto"
    if name not in ("auto", "kernel", "user"):
        raise UnsupportedError(f"there is no engine {name!r}: use 'auto', 'kernel' or 'user'", needs="one of these names")
    if name != "auto":
        return name
    from skep.engine.privileges import check_privilege

    try:
        check_privilege()
    except PrivilegeError as error:
        if not _SAID:
            todo = "" if traces else "; it sees what is traced: `skep run` with -c CMD or -p PID, or trace_command() in a script"
            _SAID.append(f"skep: the user engine runs this: the kernel engine needs {' and '.join(error.missing)}{todo}")
            print(_SAID[0], file=sys.stderr)
        return "user"
    return "kernel"


def open_engine(name: str | None = None) -> Engine:
    """The engine of that name ("kernel", "user", "auto"; None: SKEP_ENGINE, else auto); `auto` says on stderr if it is "user"."""
    engine: Any
    if engine_name(name) == "user":
        from skep.engine.user.engine import UserEngine

        engine = UserEngine()
    else:
        from skep.engine.kernel import KernelEngine
        from skep.engine.privileges import check_privilege

        check_privilege()
        engine = KernelEngine()
    return engine  # type: ignore[no-any-return]
