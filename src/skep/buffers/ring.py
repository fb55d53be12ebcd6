"""Ring buffers: one ring that all CPUs share. In: the engine's memory of the ring. Out: its reader."""

from __future__ import annotations

from skep.buffers import require_callable
from skep.buffers.cursor import RingCursor
from skep.buffers.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.buffers.poller import Poller
    from skep.engine import Engine, MapHandle


def open_ring_reader(
    engine: Engine,
    handle: MapHandle,
    readers: dict[str, Any],
    poller: Poller,
    callback: Callable[[Any, int, int], object] | None,
    context: Any,
    least: int,
) -> Reader:
    """The reader of a ring buffer. One that is open already hands over its ring with the records in it."""
    name = handle.spec.name
    if callback is not None:
        require_callable(callback, "callback(ctx, data, size)", name)
    before: Reader | None = readers.get(name)
    reader = Reader(name, readers, poller, callback, context=context, stops=True, least=least)
    if before is not None:
        before.poller.require()
        reader.take_over(before, keep=True)
    else:
        reader.add(RingCursor(engine.map_ring(handle)))
    readers[name] = reader
    return reader
