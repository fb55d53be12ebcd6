"""The view of an arena: pages that programs and Python share (Linux 6.9)."""

from __future__ import annotations

from skep.errors import MapError
from skep.maps.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap
    from typing import Any

    from numpy.typing import NDArray


class Arena(View):
    """Memory of `max_entries` pages; a page is there when a program allocated it, or when Python first touches it."""

    _memory: mmap | None = None

    @property
    def memory(self) -> mmap:
        """The pages, mapped; pointers that programs store are offsets into it in their lower 32 bits."""
        if self._memory is None:
            self._memory = self.handle.memory(writable=True)
            if self._memory is None:
                raise MapError(f"arena {self.name!r} cannot be mapped", map_name=self.name)
        return self._memory

    def live(self, dtype: Any = "u1", count: int = -1, offset: int = 0) -> NDArray[Any]:
        """A numpy array of `count` elements (-1: to the end) in the arena's memory, from byte `offset` on."""
        import numpy

        found: NDArray[Any] = numpy.frombuffer(self.memory, dtype, count, offset)
        return found

    def close(self) -> None:
        """Unmap the memory when no array uses it any more, and close the map when it is this view's own."""
        self._memory = None
        super().close()
