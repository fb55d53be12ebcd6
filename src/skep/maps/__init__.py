"""Python views of maps: which class shows which kind.

In: a MapHandle and the BPF object that it belongs to. Out: a mapping of ctypes keys and values.
"""

from __future__ import annotations

from skep.errors import UnsupportedError
from skep.maps.array import Array, ProgArray
from skep.maps.events import PerfEventArray, RingBuf
from skep.maps.percpu import PerCpuArray, PerCpuHash
from skep.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.engine import MapHandle
    from skep.maps.table import Owner

# include/uapi/linux/bpf.h, enum bpf_map_type
MAP_VIEWS: dict[int, type[Table]] = {
    1: Table,  # hash
    2: Array,
    3: ProgArray,
    4: PerfEventArray,
    5: PerCpuHash,
    6: PerCpuArray,
    9: Table,  # lru_hash
    10: PerCpuHash,  # lru_percpu_hash
    27: RingBuf,
}


def open_view(handle: MapHandle, bpf: Owner, *, key_type: Any = None, leaf_type: Any = None) -> Table:
    """The Python view of a live map; `key_type` and `leaf_type` replace the types that the object names."""
    view = MAP_VIEWS.get(handle.spec.type)
    if view is None:
        from skep.object.kinds import map_type_name

        raise UnsupportedError(
            f"map {handle.spec.name!r} is a {map_type_name(handle.spec.type)}, which has no Python view yet; "
            f"its fd is {handle.fd}",
            needs="a newer Skep",
        )
    return view(handle, bpf, key_type=key_type, leaf_type=leaf_type)
