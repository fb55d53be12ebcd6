"""Maps without a C text: created from Python, or opened by the path of a pin, by id or by fd.

Out: the same views as `b["name"]` gives; each owns its map and closes it.
"""

from __future__ import annotations

import ctypes
import sys

from skep.arguments import as_number, as_path, as_text
from skep.buffers.poller import Poller
from skep.engine.choose import open_engine
from skep.errors import MapError
from skep.interrupts import Uninterrupted
from skep.maps import open_view
from skep.maps.codec import is_ctype
from skep.object.kinds import MAP_TYPES, map_types
from skep.object.model import MapSpec, Object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.btf import Btf
    from skep.engine import Engine, MapHandle
    from skep.maps.view import View

_KEYLESS = map_types("queue stack bloom_filter ringbuf user_ringbuf arena")
_VALUELESS = map_types("ringbuf user_ringbuf arena")
_KEYED = map_types(
    "hash percpu_hash lru_hash lru_percpu_hash lpm_trie hash_of_maps sockhash devmap_hash cgroup_storage percpu_cgroup_storage"
)
_STORAGES = map_types("sk_storage inode_storage task_storage cgrp_storage")
_UNSIZED = _STORAGES | map_types("cgroup_storage percpu_cgroup_storage perf_event_array")
# their slots hold fds of 4 bytes
_FDS = map_types(
    "prog_array perf_event_array cgroup_array array_of_maps hash_of_maps devmap devmap_hash cpumap xskmap sockmap sockhash"
)
_NEED_NO_PREALLOC = _STORAGES | map_types("lpm_trie")
_NO_BTF = map_types("prog_array perf_event_array cgroup_array array_of_maps hash_of_maps stack_trace xskmap sockmap sockhash")
_NO_PREALLOC, _MMAPABLE = 1, 1 << 10
_DEPTH = 127


class _Owner:
    """What a view knows of the BPF object that it belongs to, for a map that belongs to none."""

    def __init__(self, engine: Engine, btf: Btf | None) -> None:
        self.engine = engine
        self.object = Object(b"", license="", btf=btf, maps={}, programs={})
        self.perf_buffers = Poller("perf buffer", "table.open_perf_buffer(callback)")
        self.ring_buffers = Poller("ring buffer", "table.open_ring_buffer(callback)")
        self.handle: MapHandle | None = None

    def perf_buffer_poll(self, timeout: float = -1) -> int:
        return self.perf_buffers.poll(timeout)

    def ring_buffer_poll(self, timeout: float = -1) -> int:
        return self.ring_buffers.poll(timeout)

    def close_standalone(self, view: View) -> None:
        for name in ("close_perf_buffer", "close_ring_buffer"):
            close_buffer: Callable[[], None] | None = getattr(view, name, None)
            if close_buffer is not None:
                close_buffer()
        self.close_handle()

    def close_handle(self) -> None:
        """Close the map and the engine; calling it again does nothing."""
        handle, self.handle = self.handle, None
        if handle is not None:
            handle.close()
            self.engine.close()

    def __del__(self) -> None:  # when the view goes without having been closed
        if not sys.is_finalizing():  # the user engine's threads do not run any more then; all goes with the process
            self.close_handle()


def create(
    kind: str,
    *,
    key: Any = None,
    value: Any = None,
    max_entries: int = 0,
    name: str = "",
    flags: int = 0,
    inner: Any = None,
    map_extra: int = 0,
    numa_node: int | None = None,
    pin: str = "",
    engine: str | None = None,
) -> Any:
    """A new map as a view, which closes it: `create("hash", key=c_uint32, value=c_uint64, max_entries=1000)`.

    `kind` is the kernel's name ("percpu_array", "lpm_trie", ...). `key` and `value` are ctypes types, or sizes in bytes; an index
    or what a kind prescribes is left out. `max_entries` is in bytes for ring buffers, in pages for an arena. `inner` is a view of
    a map that those of a map of maps are like. With `pin` the map is pinned there, or taken from there when it is there.
    """
    kind = as_text(kind, "a kind of map")
    type = MAP_TYPES.get(kind)
    if not type:
        from difflib import get_close_matches

        near = get_close_matches(kind, MAP_TYPES, 1)
        raise MapError(f"no kind of map is named {kind!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    key_type, key_size = _side(type, "key", key)
    value_type, value_size = _side(type, "value", value)
    max_entries = as_number(max_entries, "max_entries")
    flags = as_number(flags, "flags")
    map_extra = as_number(map_extra, "map_extra", most=(1 << 64) - 1)
    if numa_node is not None:
        numa_node = as_number(numa_node, "numa_node", most=(1 << 31) - 1)
    if type in _NEED_NO_PREALLOC:
        flags |= _NO_PREALLOC
    if kind == "arena":
        flags |= _MMAPABLE
    if not max_entries and type not in _UNSIZED:
        raise MapError(f"a map of kind {kind} needs max_entries, the number of its entries")
    btf_data, ids = b"", [0, 0]
    if type not in _NO_BTF:
        from skep.btf.writer import btf_of

        sides = [one for one in (key_type, value_type) if one is not None]
        if sides:
            btf_data, found = btf_of(*sides)
            ids = [found.pop(0) if one is not None else 0 for one in (key_type, value_type)]
    spec = MapSpec(
        as_text(name, "name") or kind, type, key_size, value_size, max_entries, flags=flags, key_type=ids[0], value_type=ids[1],
        map_extra=map_extra, numa_node=numa_node, pin_path=as_path(pin, "pin") if pin else "", inner=_template(inner),
    )  # fmt: skip
    from skep.btf import Btf

    owner = _Owner(open_engine(engine), Btf(btf_data) if btf_data else None)
    return _opened(owner, lambda: owner.engine.create_map(spec, owner.object), key_type, value_type)


def open_pinned(path: str, *, engine: str | None = None) -> Any:
    """A view of the map that is pinned at `path`, with the types that it was made with; close it (Linux 4.4)."""
    return _open(as_path(path, "the place of a pinned map"), engine)


def from_id(id: int, *, engine: str | None = None) -> Any:
    """A view of the map with that id (`bpftool map`, `table.map_id`), with the types that it was made with (Linux 4.13)."""
    return _open(as_number(id, "the id of a map"), engine)


def _open(place: str | int, engine_name: str | None) -> Any:
    owner = _Owner(open_engine(engine_name), None)

    def handle() -> MapHandle:
        handle, owner.object.btf = owner.engine.open_map(place)
        return handle

    return _opened(owner, handle, None, None)


def _opened(owner: _Owner, handle: Callable[[], MapHandle], key_type: Any, value_type: Any) -> Any:
    with Uninterrupted():
        try:
            owner.handle = handle()
            return open_view(owner.handle, owner, key_type=key_type, leaf_type=value_type)
        except BaseException:
            owner.close_handle()
            owner.engine.close()
            raise


def _side(type: int, side: str, given: Any) -> tuple[Any, int]:
    """The ctypes type (None: not said) and the size in bytes of a key or a value."""
    if given is None:
        if side == "key":
            if type in _KEYLESS:
                return None, 0
            if type not in _KEYED:
                return ctypes.c_int if type in _STORAGES else ctypes.c_uint, 4
        elif type in _VALUELESS:
            return None, 0
        elif type in _FDS:
            return ctypes.c_uint, 4
        elif type == MAP_TYPES["stack_trace"]:
            from skep.maps.stacks import stack_type

            return stack_type(8 * _DEPTH), 8 * _DEPTH
        kind = next(name for name, number in MAP_TYPES.items() if number == type)
        raise MapError(f"a map of kind {kind} needs the type of its {side}: {side}=ctypes.c_uint64, for example")
    if isinstance(given, int):
        given = ctypes.c_ubyte * as_number(given, f"the size of a map's {side}", most=(1 << 31) - 1)
    elif not is_ctype(given):
        raise MapError(f"{side}= is a type of ctypes or a size in bytes, not {given!r}")
    size = ctypes.sizeof(given)
    if not size and type not in (_KEYLESS if side == "key" else _VALUELESS):
        raise MapError(f"{side}={given.__name__} has no bytes: keys and values have one or more")
    return given, size


def _template(inner: Any) -> MapSpec | None:
    """What a map of maps is told of the maps in it: the spec of a view, or of the map that is like them."""
    if inner is None:
        return None
    spec = getattr(getattr(inner, "handle", None), "spec", inner)
    if not isinstance(spec, MapSpec):
        raise MapError(f"inner= is a view of a map that the others are like, not {inner!r}")
    return MapSpec(spec.name, spec.type, spec.key_size, spec.value_size, spec.max_entries, flags=spec.flags)
