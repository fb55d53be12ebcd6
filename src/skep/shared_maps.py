"""Maps that BPF objects share: those that a text makes public, and those that `BPF(maps=...)` puts in place of its own.

In: MapSpecs and another object's map. Out: a handle of one's own for the same map; MapError when the two are not alike.
"""

from __future__ import annotations

from skep.arguments import near
from skep.errors import MapError
from skep.object.model import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.engine import Engine, MapHandle

_F_MMAPABLE = 1 << 10  # how a map is looked at from outside, not what it is

# The public maps of this process by name, the oldest first. It is state of the process as open files are: BPF_TABLE("extern")
# names a map of another object and nothing else.
_public: dict[str, list[MapHandle]] = {}


def publish(handle: MapHandle) -> None:
    """Let other objects of this process use a map by its name, until `withdraw`."""
    _public.setdefault(handle.spec.name, []).append(handle)


def withdraw(handle: MapHandle) -> None:
    left = [other for other in _public.pop(handle.spec.name, ()) if other is not handle]
    if left:
        _public[handle.spec.name] = left


def open_extern(engine: Engine, spec: MapSpec) -> MapHandle:
    """The public map of another object that a text names with BPF_TABLE("extern", ...)."""
    owners = _public.get(spec.name)
    if not owners:
        raise MapError(
            f'map {spec.name!r} is of another BPF object ("extern"), and no object of this process has a public map of that '
            f"name{near(spec.name, _public) if _public else ''}; make one with BPF_TABLE_PUBLIC(..., {spec.name}, ...) first, "
            "and keep it",
            map_name=spec.name,
        )
    return share(engine, spec, owners[0])


def share(engine: Engine, spec: MapSpec, given: Any) -> MapHandle:
    """A handle for a map of another object, given as its view or its handle, which must be what `spec` describes."""
    handle: MapHandle = getattr(given, "handle", given)
    found = getattr(handle, "spec", None)
    if found is None:
        raise MapError(
            f"map {spec.name!r} is to be replaced by {given!r}: give the map of another BPF object, such as other[{spec.name!r}]",
            map_name=spec.name,
        )
    if found.operations is not None or spec.operations is not None:
        raise MapError(
            f"map {found.name!r} is a struct_ops: it is of its own object's programs and cannot be shared", map_name=spec.name
        )
    any_size = not spec.type or spec.max_entries in (0, found.max_entries)  # perf buffers and ring buffers are made larger
    differing = [
        f"{what} is {shown(theirs)}, wanted {shown(wanted)}"
        for what, wanted, theirs, shown in (
            ("type", spec.type or found.type, found.type, _type_name),
            ("key_size", spec.key_size, found.key_size, str),
            ("value_size", spec.value_size, found.value_size, str),
            ("max_entries", handle.max_entries if any_size else spec.max_entries, handle.max_entries, str),
            ("flags", _flags(spec if spec.type else found), _flags(found), hex),
        )
        if wanted != theirs
    ]
    if differing:
        raise MapError(f"map {found.name!r} cannot be map {spec.name!r}: {', '.join(differing)}", map_name=spec.name)
    if not spec.type:  # the text that names an extern map knows its key and value only
        seen = MapSpec(
            spec.name, found.type, spec.key_size, spec.value_size, found.max_entries,
            flags=found.flags, key_type=spec.key_type, value_type=spec.value_type, record_type=spec.record_type,
        )  # fmt: skip
        return engine.share_map(seen, handle)
    return engine.share_map(spec, handle)


def _type_name(type: int) -> str:
    from skep.object.kinds import map_type_name

    return map_type_name(type)


def _flags(spec: MapSpec) -> int:
    return spec.flags & ~_F_MMAPABLE
