"""The records of tracepoints: the kernel's own formats, or without privilege the user engine's table of them."""

from __future__ import annotations

from skep.errors import SkepError
from skep.interrupts import Uninterrupted


def tracepoint_members(category: str, event: str) -> str | None:
    """The C members of a tracepoint's record on this kernel; None when there is no such tracepoint."""
    from skep.engine.kernel.tracefs import Tracefs
    from skep.tracepoints import record_members

    with Uninterrupted():
        try:
            tracefs = Tracefs()
        except SkepError:  # without privilege: the user engine's records have the kernel's layout
            from skep.engine.user.records import record_format

            text = record_format(category, event)
            return None if text is None else record_members(text)
        try:
            return record_members(tracefs.format(category, event))
        except FileNotFoundError:
            return None
        finally:
            tracefs.close()
