"""libbpf's map definitions, `struct { __uint(type, ...); ... } m SEC(".maps")`: what is wrong in one, at its place in the text.

BTF has 32 bits for the length of an array, which is how `__uint` says a number: what is above them would be gone without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import dialect, tree
from skep.compiler import types as ct
from skep.compiler.diagnostics import closest
from skep.object.kinds import MAP_TYPES

if TYPE_CHECKING:
    from typing import Any

    from skep.compiler.checker import Checker
    from skep.compiler.types import Member, RecordType, Type

_NUMBERS = ("type", "max_entries", "map_flags", "key_size", "value_size", "numa_node", "pinning", "map_extra")
_MEMBERS = (*_NUMBERS, "key", "value", "values")
_SIZED = {"key_size": dialect.KEYLESS | {"arena"}, "value_size": dialect.VALUELESS | {"arena"}}  # and what has no such thing
_UNCOUNTED = dialect.STORAGES | {"perf_event_array", "struct_ops"}
_FDS = {"prog_array", "perf_event_array", "cgroup_array", "array_of_maps", "hash_of_maps"}  # 4 bytes, said or not
_EXTERN = "skep:extern"


def check_map(checker: Checker, var: tree.Variable) -> None:
    """Errors of the definition of a map, and of the one that it gives for maps in it."""
    if isinstance(var.type, ct.RecordType) and var.type.complete and var.attributes.get("btf_decl_tag") != _EXTERN:
        _Definition(checker, var.name, var.token).check(var.type)


class _Definition:
    def __init__(self, checker: Checker, name: str, token: Any, *, inner: bool = False) -> None:
        self.c = checker
        self.name = name
        self.token = token
        self.inner = inner

    def check(self, type: RecordType) -> None:
        numbers: dict[str, tuple[int, Member]] = {}
        sizes: dict[str, int] = {}
        for member in type.record.members:
            if member.name in _NUMBERS:
                number = self._number(member)
                if number is None:
                    return
                numbers[member.name] = number, member
            elif member.name in ("key", "value"):
                if not isinstance(member.type, ct.PointerType):
                    self._error(member, f"'{member.name}' is a '{member.type}': write it with __type({member.name}, ...)")
                    return
                sizes[member.name + "_size"] = member.type.to.size
            elif member.name == "values":
                self._values(member.type)
            else:
                near = closest(member.name, _MEMBERS)
                meant = f"did you mean '{near}'?" if near else f"there are {', '.join(_MEMBERS)}"
                self._error(member, f"'{member.name or member.type}' is nothing that a map has; {meant}", code="map-member")
                return
        self._check_sizes(numbers, sizes)

    def _check_sizes(self, numbers: dict[str, tuple[int, Member]], sizes: dict[str, int]) -> None:
        if "type" not in numbers or not numbers["type"][0]:
            at = numbers["type"][1] if "type" in numbers else self.token
            self._error(at, "the definition says no type: __uint(type, BPF_MAP_TYPE_HASH), for example", code="map-type")
            return
        kind = next((name for name, number in MAP_TYPES.items() if number == numbers["type"][0]), "")
        for name, size in sizes.items():
            said = numbers.get(name)
            if said is not None and said[0] != size:
                side = name.partition("_")[0]
                self._error(said[1], f"its {side} has {size} bytes by __type({side}, ...), and {said[0]} by {name}")
        if not kind:
            return  # of a kernel that is newer than this Skep
        for name, without in _SIZED.items():
            if name in numbers and not numbers[name][0] and kind not in without | _FDS:
                self._error(numbers[name][1], f"the {name.partition('_')[0]} of a map of kind {kind} has one byte or more")
        if "max_entries" in numbers and not numbers["max_entries"][0] and kind not in _UNCOUNTED:
            self._error(numbers["max_entries"][1], f"a map of kind {kind} needs room for at least one entry")
        if "pinning" in numbers and (numbers["pinning"][0] > 1 or (numbers["pinning"][0] and self.inner)):
            why = "a map in a map cannot be pinned" if self.inner else "0 (LIBBPF_PIN_NONE) or 1 (LIBBPF_PIN_BY_NAME)"
            self._error(numbers["pinning"][1], f"'pinning' is {numbers['pinning'][0]}: {why}")

    def _number(self, member: Member) -> int | None:
        """The number that `__uint` hides in the length of an array, or `__ulong` in an enum."""
        type, most = member.type, 32
        number = None
        if isinstance(type, ct.PointerType) and isinstance(type.to, ct.ArrayType):
            number = type.to.count
        elif isinstance(type, ct.EnumType) and type.definition.enumerators:
            number, most = type.definition.enumerators[0][1], 64 if member.name == "map_extra" else 32
        if number is None:
            self._error(member, f"'{member.name}' is a '{type}': write it with __uint({member.name}, N)")
        elif not 0 <= number < 1 << most:
            more = "; __ulong has 64" if member.name == "map_extra" and most == 32 else ""
            self._error(member, f"there are {most} bits for '{member.name}', not {number}{more}")
            number = None
        return number

    def _values(self, type: Type) -> None:
        """What a map of maps holds; a program array names a type of functions here."""
        pointer = type.of if isinstance(type, ct.ArrayType) else None
        if isinstance(pointer, ct.PointerType) and isinstance(pointer.to, ct.RecordType) and pointer.to.complete:
            _Definition(self.c, self.name, self.token, inner=True).check(pointer.to)

    def _error(self, at: Member | Any, message: str, code: str = "map-size") -> None:
        inner = "the maps in " if self.inner else ""
        self.c.error(f"{inner}map '{self.name}': {message}", getattr(at, "token", at) or self.token, code=code)
