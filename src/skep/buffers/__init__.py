"""Readers of perf buffers and ring buffers: from mapped memory to callbacks."""

from __future__ import annotations

from skep.errors import MapError


def require_callable(callback: object, what: str, name: str) -> None:
    """MapError when a buffer of map `name` is given something else to call."""
    if not callable(callback):
        raise MapError(f"the buffer {name!r} wants a function, {what}, not {type(callback).__name__} {callback!r}", map_name=name)
