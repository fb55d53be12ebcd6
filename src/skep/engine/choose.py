"""Which engine runs the programs: by name, by SKEP_ENGINE, else by what this process may do."""

from __future__ import annotations

import os

from skep.errors import PrivilegeError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.engine import Engine


def open_engine(name: str | None = None) -> Engine:
    """The engine of that name ("kernel", "user", "auto"; None: SKEP_ENGINE, else auto)."""
    name = name or os.environ.get("SKEP_ENGINE") or "auto"
    if name == "user":
        raise UnsupportedError(
            "engine 'user' is not there yet: it will run programs without privilege",
            needs="a newer Skep, or engine='kernel' as root",
        )
    if name not in ("auto", "kernel"):
        raise UnsupportedError(f"there is no engine {name!r}: use 'auto', 'kernel' or 'user'", needs="one of these names")
    from skep.engine.kernel.privileges import check_privilege

    try:
        check_privilege()
    except PrivilegeError as error:
        raise PrivilegeError(
            f"{error}; Skep's user engine, which will run this without privilege, is not there yet", missing=error.missing
        ) from None
    from skep.engine.kernel import KernelEngine

    engine: Any = KernelEngine()
    return engine  # type: ignore[no-any-return]
