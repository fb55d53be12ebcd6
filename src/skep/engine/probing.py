"""Answers of probes for `skep doctor`: yes, no with the fix, or inconclusive with the reason. Not on the warm path."""

from __future__ import annotations

from collections.abc import Callable

from skep.engine import privileges
from skep.errors import PrivilegeError, SkepError

YES, NO, INCONCLUSIVE = "yes", "no", "inconclusive"


class Feature:
    """One answer: `state` is yes, no or inconclusive; `reason` says why, `fix` what to do; `since` is the first kernel."""

    __slots__ = ("fix", "name", "reason", "since", "state")

    def __init__(self, name: str, since: str, state: str, reason: str = "", fix: str = "") -> None:
        self.name = name
        self.since = since
        self.state = state
        self.reason = reason
        self.fix = fix

    def __repr__(self) -> str:
        return f"Feature({self.name!r}, {self.state!r}, {self.reason!r})"


class No(Exception):
    """A probe's "no": reason and fix."""

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.fix = fix


class Unknown(Exception):
    """A probe that cannot tell, with the reason."""


def answer(name: str, since: str, probe: Callable[[], str | None]) -> Feature:
    try:
        detail = probe()
    except No as no:
        return Feature(name, since, NO, str(no), no.fix)
    except PrivilegeError as error:
        missing = [capability for capability in error.missing if capability in privileges.CAPABILITIES]
        return Feature(name, since, INCONCLUSIVE, f"not permitted: {', '.join(error.missing)}", privileges.fix_for(missing))
    except Unknown as error:
        return Feature(name, since, INCONCLUSIVE, str(error))
    except (SkepError, OSError) as error:
        return Feature(name, since, INCONCLUSIVE, str(error).splitlines()[0])
    return Feature(name, since, YES, detail or "")
