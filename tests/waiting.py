"""Waits of tests: for a condition, not for a time, so that a slow or busy machine makes them longer and not wrong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

PATIENCE = 60.0  # seconds after which something counts as hung; what is waited for takes milliseconds on a quiet machine


def eventually(condition: Callable[[], Result], what: object = None) -> Result:
    """Wait until a condition holds: its value; fails, with `what` was waited for, when it does not come true."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what or condition}"
        time.sleep(0.002)
    return result


def undisturbed(measured: Callable[[], Result], is_right: Callable[[Result], object]) -> Result:
    """What one of a few measurements found whose figures are as they should be: a busy machine disturbs some, hardly all."""
    tries = [measured()]
    while not is_right(tries[-1]):
        assert len(tries) < 6, tries
        tries.append(measured())
    return tries[-1]
