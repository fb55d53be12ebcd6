"""The view of stack trace maps: addresses by stack id (Linux 4.6), or build ids and offsets (4.17)."""

from __future__ import annotations

import ctypes

from skep.errors import MapError
from skep.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class StackTrace(Table):
    """Stacks by the id that `get_stackid` gives; a value's addresses are `value.ip`, or `value.trace` with build ids."""

    MAX_DEPTH = 127  # sysctl kernel.perf_event_max_stack
    BPF_F_STACK_BUILD_ID = 1 << 5
    # of enum bpf_stack_build_id_status
    BPF_STACK_BUILD_ID_EMPTY, BPF_STACK_BUILD_ID_VALID, BPF_STACK_BUILD_ID_IP = range(3)

    def walk(self, stack_id: Any, resolve: Callable[[Any], Any] | None = None) -> Iterator[Any]:
        """The addresses of a stack, the innermost first, or what `resolve(address)` makes of them.

        With build ids the elements are structs (status, build_id, offset), and the walk ends before the first that has none.
        A negative id, an error of `get_stackid`, raises MapKeyError as an unknown one does.
        """
        number = getattr(stack_id, "value", stack_id)
        if isinstance(number, int) and number < 0:
            raise self._missing(number)
        return self._frames(self[stack_id], resolve)

    def _frames(self, stack: Any, resolve: Callable[[Any], Any] | None) -> Iterator[Any]:
        for frame in self._addresses(stack):
            if self.flags & self.BPF_F_STACK_BUILD_ID:
                if frame.status != self.BPF_STACK_BUILD_ID_VALID:
                    return
            elif not frame:
                return
            yield frame if resolve is None else resolve(frame)

    def _addresses(self, stack: Any) -> Any:
        for name in ("ip", "trace"):
            found = getattr(stack, name, None)
            if found is not None:
                return found
        if isinstance(stack, ctypes.Array):  # of a libbpf-style text: __uint(value_size, 127 * sizeof(u64))
            raw = bytes(stack)
            return list(memoryview(raw).cast("Q"))
        raise MapError(
            f"the values of stack map {self.name!r} are {type(stack).__name__}: give get_table a leaftype with a member `ip`",
            map_name=self.name,
        )
