"""Perf counters in a perf event array, for programs that read them (`perf_read`, `perf_counter_value`). Linux 4.3."""

from __future__ import annotations

import errno
import os

from skep.arguments import as_number
from skep.errors import MapError
from skep.interrupts import Uninterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.maps.array import Array


def open_counters(table: Array, type: int, config: int, pid: int) -> None:
    """Put a counter into the slot of each online CPU; the slots hold them, until the map is closed."""
    type = as_number(type, "a counter's type")
    config = as_number(config, "a counter's config", most=(1 << 64) - 1)
    pid = as_number(pid, "pid", -1, (1 << 31) - 1)
    engine = table.bpf.engine
    opened = 0
    for cpu in engine.online_cpus:
        if cpu >= table.max_entries:
            raise MapError(f"map {table.name!r} has {table.max_entries} slots, none for CPU {cpu}", map_name=table.name)
        with Uninterrupted():
            try:
                fd = engine.open_counter(type, config, pid, cpu)
            except OSError as error:
                if error.errno == errno.ENODEV:  # went offline since it was listed
                    continue
                raise MapError(f"map {table.name!r}: {error.strerror}", errno=error.errno or 0, map_name=table.name) from error
            try:
                table.handle.update(table._pack_key(cpu), fd.to_bytes(4, "little"))
            finally:
                os.close(fd)
        opened += 1
    if not opened:
        raise MapError(f"map {table.name!r}: no CPU has the counter {type}:{config}", map_name=table.name)
