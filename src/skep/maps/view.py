"""What every Python view of a map has, whatever its kind: attributes, pin, freeze, info, the text forms of its values."""

from __future__ import annotations

from skep.arguments import as_path
from skep.errors import MapError
from skep.maps.codec import Codec, type_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from skep.buffers.poller import Poller
    from skep.engine import Engine, MapHandle
    from skep.object.model import Object

    class Owner(Protocol):
        """What a view knows of the BPF object that it belongs to."""

        engine: Engine
        object: Object
        perf_buffers: Poller
        ring_buffers: Poller


BPF_F_LOCK = 4


class View:
    """One live map: `Leaf` is the ctypes type of its values, `bpf` the object that it belongs to, `handle` its bytes.

    A map of `skep.maps.create` and its kin belongs to nobody else: close it, or use it as a context manager.
    """

    def __init__(self, handle: MapHandle, bpf: Owner, *, key_type: Any = None, leaf_type: Any = None) -> None:
        spec = handle.spec
        self.handle = handle
        self.bpf = bpf
        self.name = spec.name
        self.ttype = spec.type
        self.flags = spec.flags
        self.max_entries = spec.max_entries
        btf = bpf.object.btf
        # a value with a bpf_spin_lock is copied under its lock (5.1), so it is never torn
        self.lock = BPF_F_LOCK if btf is not None and spec.value_type and _has_lock(btf, spec.value_type) else 0
        self._leaves = self._leaf_codec(type_of(btf, spec.value_type, spec.value_size) if leaf_type is None else leaf_type)
        self.Leaf = self._leaves.ctype

    def _leaf_codec(self, leaf_type: Any) -> Codec:
        return Codec(leaf_type, self.handle.spec.value_size, self.name, "value")

    @property
    def map_fd(self) -> int:
        return self.handle.fd

    def get_fd(self) -> int:
        return self.handle.fd

    @property
    def map_id(self) -> int:
        """The kernel's number of this map, as `bpftool map` shows it (Linux 4.13)."""
        return int(self.handle.info()["id"])

    @property
    def map_type_name(self) -> str:
        """The kind, as the kernel names it: "percpu_hash"."""
        from skep.object.kinds import map_type_name

        return map_type_name(self.ttype)

    def info(self) -> dict[str, int | str]:
        """What the kernel says of the map: id, type, sizes in bytes, max_entries, flags, memlock, frozen (Linux 4.13)."""
        return self.handle.info()

    def pin(self, path: str) -> None:
        """Give the map a name in a bpffs: it lives until that file is removed (Linux 4.4); `skep.maps.open_pinned` opens it."""
        self.handle.pin(as_path(path, f"what map {self.name!r} is pinned as"))

    def freeze(self) -> None:
        """Refuse writes from user space from now on; programs still write (Linux 5.2)."""
        self.handle.freeze()

    def leaf_sprintf(self, leaf: Any) -> bytes:
        """A value as BCC writes it: `0x2a`, `{ 0x1 [ 0x2 0x3 ] "text" }`."""
        from skep.maps.text import print_value

        return print_value(self._leaves.ctype, self._leaves.pack(leaf))

    def leaf_scanf(self, text: str | bytes) -> Any:
        """The value that a text in the form of `leaf_sprintf` stands for; numbers may be decimal, 0x... or octal."""
        return self._scan(self._leaves, text)

    def _scan(self, codec: Codec, text: str | bytes) -> Any:
        from skep.maps.text import scan_value

        return codec.ctype.from_buffer_copy(scan_value(codec.ctype, text, f"the {codec.side} of map {self.name!r}"))

    def close(self) -> None:
        """Close the map's fd, when the map is this view's own (`skep.maps.create`, ...); those of a BPF object stay open."""
        close = getattr(self.bpf, "close_standalone", None)
        if close is not None:
            close(self)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.map_type_name} of {self.Leaf.__name__}, {self.max_entries} entries>"

    def _repr_html_(self) -> str:
        """The first entries as a table, for notebooks; the title alone where a kind shows none."""
        from skep.maps.html import html_table

        return html_table(self)

    # A map is itself, whatever it holds: Mapping would compare all entries, and never find two ctypes objects equal
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce_ex__(self, _protocol: object) -> Any:
        raise MapError(
            f"map {self.name!r} cannot be copied or pickled: dict(table.items()) is a copy; another process opens it by a pin",
            map_name=self.name,
        )


def _has_lock(btf: Any, type_id: int) -> bool:
    from skep.btf.types import Struct

    found = btf.type(btf.strip(type_id))
    if not isinstance(found, Struct):
        return False
    members = (btf.type(btf.strip(member.type_id)) for member in found.members)
    return any(isinstance(member, Struct) and member.name == "bpf_spin_lock" for member in members)
