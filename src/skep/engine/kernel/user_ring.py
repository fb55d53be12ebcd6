"""The memory of a user ring buffer (Linux 6.1): user space produces, so the producer's page and the data may be written."""

from __future__ import annotations

import errno
import mmap

from skep.engine.errnos import errno_text
from skep.engine.kernel.maps import ring_size
from skep.errors import MapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.engine import MapHandle

_PAGE = mmap.PAGESIZE


class UserRing:
    """`memory` is the producer's page and the data, mapped twice; `producer` and `consumer` are views of the positions."""

    __slots__ = ("_consumer_page", "consumer", "memory", "producer", "size")

    def __init__(self, size: int, consumer: mmap.mmap, memory: mmap.mmap) -> None:
        self.size = size
        self._consumer_page = consumer
        self.memory = memory
        self.consumer = memoryview(consumer)[:8].cast("Q")
        self.producer = memoryview(memory)[:8].cast("Q")

    def close(self) -> None:
        """Unmap; views of `memory` must be released before."""
        self.consumer.release()
        self.producer.release()
        self.memory.close()
        self._consumer_page.close()


def map_user_ring(map: MapHandle) -> UserRing:
    """Map the consumer's page, which may only be read, and the rest."""
    if map.fd < 0:  # mmap of fd -1 is memory of this process alone
        raise MapError(f"map {map.spec.name!r} is closed", errno=errno.EBADF, map_name=map.spec.name)
    size = ring_size(map.spec.max_entries)
    try:
        consumer = mmap.mmap(map.fd, _PAGE, prot=mmap.PROT_READ)
        try:
            memory = mmap.mmap(map.fd, _PAGE + 2 * size, offset=_PAGE)
        except BaseException:
            consumer.close()
            raise
    except OSError as error:
        number = error.errno or errno.EIO
        raise MapError(
            f"cannot map user ring buffer {map.spec.name!r}: {errno_text(number)}", errno=number, map_name=map.spec.name
        ) from error
    return UserRing(size, consumer, memory)
