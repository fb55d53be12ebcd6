"""The view of stack trace maps: addresses by stack id (Linux 4.6), or build ids and offsets (4.17)."""

from __future__ import annotations

import ctypes

from skep.errors import MapError
from skep.maps.codec import Codec
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
        raise MapError(
            f"the values of stack map {self.name!r} are {type(stack).__name__}: give get_table a leaftype with a member `ip`",
            map_name=self.name,
        )

    def _leaf_codec(self, leaf_type: Any) -> Codec:
        size = self.handle.spec.value_size
        if not self.handle.spec.value_type and getattr(leaf_type, "_type_", None) is ctypes.c_ubyte:  # it takes no BTF
            leaf_type = _with_build_ids(size) if self.flags & self.BPF_F_STACK_BUILD_ID else stack_type(size)
        return Codec(leaf_type, size, self.name, "value")


class bpf_stack_build_id(ctypes.Structure):
    """A frame as include/uapi/linux/bpf.h has it; `ip` is there instead of `offset` when status is BPF_STACK_BUILD_ID_IP."""

    _fields_ = (("status", ctypes.c_int32), ("build_id", ctypes.c_ubyte * 20), ("offset", ctypes.c_uint64))


def stack_type(size: int) -> Any:
    """BCC's struct bpf_stacktrace, for values of `size` bytes."""
    return type("bpf_stacktrace", (ctypes.Structure,), {"_fields_": (("ip", ctypes.c_uint64 * (size // 8)),)})


def _with_build_ids(size: int) -> Any:
    frames = bpf_stack_build_id * (size // ctypes.sizeof(bpf_stack_build_id))
    return type("bpf_stacktrace_buildid", (ctypes.Structure,), {"_fields_": (("trace", frames),)})
