"""Perf buffers: one ring of perf records per online CPU. In: the engine's perf rings. Out: a reader of all of them."""

from __future__ import annotations

import errno

from skep.buffers import require_callable
from skep.buffers.cursor import PerfCursor
from skep.buffers.reader import Reader
from skep.errors import MapError
from skep.interrupts import Uninterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.buffers.poller import Poller
    from skep.engine import Engine, MapHandle


def open_perf_reader(
    engine: Engine,
    handle: MapHandle,
    readers: dict[str, Any],
    poller: Poller,
    callback: Callable[[int, int, int], object] | None,
    page_cnt: int,
    lost_cb: Callable[[int], object] | None,
    wakeup_events: int,
    time: bool,
    least: int,
) -> Reader:
    """The reader of a map's perf buffer. One that is open already hands over its rings, or what is left in them."""
    name = handle.spec.name
    if not isinstance(page_cnt, int) or page_cnt < 1 or page_cnt & (page_cnt - 1):
        near = f"; use {1 << max(page_cnt - 1, 0).bit_length()}" if isinstance(page_cnt, int) else ""
        raise MapError(f"perf buffer {name!r}: page_cnt must be a power of two, not {page_cnt!r}{near}", map_name=name)
    if page_cnt >= 1 << 31:
        raise MapError(f"perf buffer {name!r}: page_cnt={page_cnt} is more than any memory has", map_name=name)
    if not isinstance(wakeup_events, int) or not 0 <= wakeup_events < 1 << 32:
        raise MapError(f"perf buffer {name!r}: wakeup_events is a number of records, not {wakeup_events!r}", map_name=name)
    if callback is not None:
        require_callable(callback, "callback(cpu, data, size)", name)
    if lost_cb is not None:
        require_callable(lost_cb, "lost_cb(count)", name)
    before: Reader | None = readers.get(name)
    if before is not None:
        before.poller.require()

    def open_ring(cpu: int) -> PerfCursor | None:
        try:
            return PerfCursor(engine.open_perf_ring(handle, cpu, page_cnt, wakeup_events, time), time)
        except OSError as error:
            if error.errno == errno.ENODEV:  # went offline since it was listed
                return None
            raise MapError(str(error.strerror), errno=error.errno or 0, map_name=name) from error

    def follow(reader: Reader) -> None:
        """Open rings for the CPUs that went online; what came from those that went offline is read to the end."""
        for cursor in tuple(reader.cursors):
            if isinstance(cursor, PerfCursor) and cursor.detached():
                reader.retire(cursor)
        known = {cursor.cpu for cursor in reader.cursors}
        for cpu in engine.online_cpus:
            if cpu not in known:
                with Uninterrupted():
                    opened = open_ring(cpu)
                    if opened is not None:
                        reader.add(opened)

    options = (page_cnt, wakeup_events, time)
    reader = Reader(name, readers, poller, callback, lost_cb=lost_cb, options=options, follow=follow, least=least)
    if before is not None and before.options == options:
        reader.take_over(before, keep=True)
        readers[name] = reader
        return reader
    try:
        follow(reader)
    except BaseException:
        reader.close()
        if before is not None:
            for cursor in before.cursors:  # the new rings took their places
                if isinstance(cursor, PerfCursor):
                    cursor.install()
        raise
    if before is not None:
        reader.take_over(before, keep=False)
    readers[name] = reader
    return reader
