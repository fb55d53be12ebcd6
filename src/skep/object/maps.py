"""The maps of an object file: `.maps` definitions in BTF and data sections, to `MapSpec`s."""

from __future__ import annotations

from skep.btf.reader import Btf
from skep.btf.types import Array, DataSec, DeclTag, Enum, Pointer, Struct, Var
from skep.elf import ALLOCATED, EXECUTABLE, FUNCTION, LOCAL, NOBITS, PROGBITS, SECTION
from skep.errors import ObjectError
from skep.object.kinds import MAP_TYPES
from skep.object.model import MapSpec, StructOps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.types import Member
    from skep.elf import Elf, Section

BPF_F_RDONLY_PROG, BPF_F_MMAPABLE = 1 << 7, 1 << 10
PIN_FOLDER = "/sys/fs/bpf"
PIN_TAG, PUBLIC_TAG, EXTERN_TAG = "skep:pin:", "skep:public", "skep:extern"  # of Skep's compiler
MAX_DATA_SECTION = 256 << 20  # a damaged size must not become an allocation
_U32 = 0xFFFFFFFF

_MAPS_OF_MAPS = (MAP_TYPES["array_of_maps"], MAP_TYPES["hash_of_maps"])
# Their slots hold file descriptors: the kernel takes only 4-byte keys and values, and objects may leave them out.
_FD_ARRAYS = (MAP_TYPES["prog_array"], MAP_TYPES["perf_event_array"])
_STRUCT_OPS = (".struct_ops", ".struct_ops.link")
_NUMBERS = {"type", "max_entries", "map_flags", "key_size", "value_size", "numa_node", "pinning", "map_extra"}


def read_maps(elf: Elf, btf: Btf | None, record_types: dict[str, int]) -> tuple[dict[str, MapSpec], dict[int, dict[int, str]]]:
    """Maps by name, and for relocations: map name by offset in each section that defines maps."""
    maps: dict[str, MapSpec] = {}
    places: dict[int, dict[int, str]] = {}
    for section in elf.sections:
        if section.name == ".maps" and section.type == PROGBITS:
            if btf is None:
                raise ObjectError("section .maps without BTF: compile with -g, so that the map definitions can be read")
            places[section.index] = _defined_maps(section, btf, maps)
            _initial_values(elf, section, btf, maps, places[section.index])
        elif section.name == "maps" and section.size:
            raise ObjectError(
                "section maps holds definitions in the old bpf_map_def form; declare the maps in section .maps "
                "(libbpf 0.2 and newer, BTF-defined maps) and compile again"
            )
    for name, type_id in record_types.items():
        if name in maps:
            maps[name].record_type = type_id
    for section in elf.sections:
        if is_data(section):
            maps[section.name] = _data_map(elf, section, btf)
        elif section.name in _STRUCT_OPS and section.size:
            _function_tables(elf, section, btf, maps)
    return maps, places


def _function_tables(elf: Elf, section: Section, btf: Btf | None, maps: dict[str, MapSpec]) -> None:
    """The variables of a section `.struct_ops`: each is a struct of the kernel's that it registers."""
    if btf is None:
        raise ObjectError(f"section {section.name} without BTF: compile with -g, so that its structs can be read")
    named = {offset: symbol for offset, _, symbol in elf.relocations(section)}
    for variable, start in _variables(btf, section.name):
        struct = btf.type(btf.strip(variable.target))
        if not isinstance(struct, Struct) or not struct.name:
            raise ObjectError(f"{variable.name} in section {section.name}: {struct!r}; a struct of the kernel's belongs there")
        data = section.data[start : start + struct.size]
        if len(data) != struct.size:
            raise ObjectError(f"{variable.name} is outside section {section.name}")
        members, functions = [], {}
        for member in struct.members:
            at = member.bit_offset // 8
            end = at + (
                btf.size_of(member.type_id) if not member.bit_size else (member.bit_offset % 8 + member.bit_size + 7) // 8
            )
            members.append((member.name, data[at:end]))
            inside = [symbol for offset, symbol in named.items() if start + at <= offset < start + end]
            if inside and (inside[0].type != FUNCTION or inside[0].binding == LOCAL or end - at != 8):
                raise ObjectError(
                    f"{variable.name}.{member.name} is initialised with {inside[0].name or 'an address'}, which is no program "
                    'of this object; give it a function with SEC("struct_ops/...") that is not static'
                )
            if inside:
                functions[member.name] = inside[0].name
        maps[variable.name] = MapSpec(
            variable.name,
            MAP_TYPES["struct_ops"],
            4,
            struct.size,
            1,
            value_type=struct.id,
            operations=StructOps(struct.name, members, functions),
        )


def is_data(section: Section) -> bool:
    """Whether programs find their variables or constants here."""
    return (
        section.type in (PROGBITS, NOBITS)
        and section.flags & (ALLOCATED | EXECUTABLE) == ALLOCATED
        and section.size > 0
        and section.name.startswith((".rodata", ".data", ".bss"))
    )


def _data_map(elf: Elf, section: Section, btf: Btf | None) -> MapSpec:
    for _, _, symbol in elf.relocations(section):
        raise ObjectError(
            f"section {section.name}: a variable is initialised with the address of {symbol.name or 'another object'}, "
            "which BPF data cannot hold; set it in the program, or use an index instead of a pointer"
        )
    if section.size > MAX_DATA_SECTION:
        raise ObjectError(f"section {section.name} has {section.size} bytes; at most {MAX_DATA_SECTION} are accepted")
    constant = section.name.startswith(".rodata")
    return MapSpec(
        section.name,
        MAP_TYPES["array"],
        4,
        section.size,
        1,
        flags=BPF_F_MMAPABLE | (BPF_F_RDONLY_PROG if constant else 0),
        value_type=(btf.find(section.name, "datasec") or 0) if btf else 0,
        initial=section.data if section.type == PROGBITS else bytes(section.size),
        frozen=constant,
    )


def _defined_maps(section: Section, btf: Btf, maps: dict[str, MapSpec]) -> dict[int, str]:
    places = {}
    tags = _tags(btf)
    for variable, offset in _variables(btf, ".maps"):
        definition = btf.type(btf.strip(variable.target))
        if not isinstance(definition, Struct):
            raise ObjectError(f"map {variable.name}: defined by {definition!r}, expected a struct")
        if not 0 <= offset <= section.size - definition.size:
            raise ObjectError(f"map {variable.name}: its definition is outside section .maps")
        said = tags.get(variable.id, [])
        spec = maps[variable.name] = _map(variable.name, definition, btf, inner=False, extern=EXTERN_TAG in said)
        spec.sharing = "extern" if EXTERN_TAG in said else "public" if PUBLIC_TAG in said else ""
        for tag in said:
            if tag.startswith(PIN_TAG):
                spec.pin_path = tag[len(PIN_TAG) :]
        places[offset] = variable.name
    return places


def _initial_values(elf: Elf, section: Section, btf: Btf, maps: dict[str, MapSpec], places: dict[int, str]) -> None:
    """`.values = {[1] = &inner}`: a relocation for each slot that holds something."""
    starts = {}
    for variable, offset in _variables(btf, ".maps"):
        definition = btf.type(btf.strip(variable.target))
        assert isinstance(definition, Struct)
        starts.update({offset + m.bit_offset // 8: variable.name for m in definition.members if m.name == "values"})
    for offset, _, symbol in elf.relocations(section):
        start = max((start for start in starts if start <= offset), default=-1)
        if start < 0 or (offset - start) % 8:
            raise ObjectError(f"section .maps: something other than the values of a map is initialised at byte {offset}")
        name = symbol.name
        if symbol.type == SECTION and symbol.section == section.index:
            name = places.get(int.from_bytes(section.data[offset : offset + 8], "little"), "")
        wanted = "program" if maps[starts[start]].type == MAP_TYPES["prog_array"] else "map"
        if (symbol.type == FUNCTION) != (wanted == "program") or (wanted == "map" and name not in maps):
            raise ObjectError(f"map {starts[start]}: its value {name or symbol.name!r} is not a {wanted} of this object")
        maps[starts[start]].values.append(((offset - start) // 8, name))


def _tags(btf: Btf) -> dict[int, list[str]]:
    """What Skep's compiler says of maps beyond their definitions, by the BTF id of the variable."""
    found: dict[int, list[str]] = {}
    for id in btf.ids("decl_tag"):
        tag = btf.type(id)
        if isinstance(tag, DeclTag):
            found.setdefault(tag.target, []).append(tag.name)
    return found


def _variables(btf: Btf, section: str) -> list[tuple[Var, int]]:
    id = btf.find(section, "datasec")
    if id is None:
        return []
    found = btf.type(id)
    assert isinstance(found, DataSec)
    variables = []
    for type_id, offset, _ in found.vars:
        variable = btf.type(type_id)
        if not isinstance(variable, Var):
            raise ObjectError(f"BTF section {section}: {variable!r} where a variable belongs")
        variables.append((variable, offset))
    return variables


def _map(name: str, definition: Struct, btf: Btf, *, inner: bool, extern: bool = False) -> MapSpec:
    numbers: dict[str, int] = {}
    key_type = value_type = 0
    inner_map = None
    for member in definition.members:
        if member.name in _NUMBERS:
            numbers[member.name] = _number(name, member, btf)
        elif member.name in ("key", "value"):
            target = _pointed_to(name, member.name, member.type_id, btf)
            if member.name == "key":
                key_type = target
            else:
                value_type = target
            numbers[f"{member.name}_size"] = btf.size_of(target)
        elif member.name == "values":
            inner_map = _values(name, member, btf, nested=inner)
        else:
            known = ", ".join((*sorted(_NUMBERS), "key", "value", "values"))
            raise ObjectError(f"map {name}: unknown field {member.name!r}; this Skep knows {known}")
    type = numbers.get("type", 0)
    if not type and not extern:
        raise ObjectError(f"map {name}: the definition says no type")
    sizes = [numbers.get("key_size", 0), numbers.get("value_size", 0)]
    if type in _FD_ARRAYS:
        sizes = [size or 4 for size in sizes]
    if type in _MAPS_OF_MAPS:
        sizes[1] = sizes[1] or 4
        if inner_map is None:
            raise ObjectError(f"map {name}: a map of maps needs __array(values, struct ...) that says what it holds")
    if max(*sizes, numbers.get("max_entries", 0)) > _U32:
        raise ObjectError(f"map {name}: a size does not fit in 32 bits")
    if inner and numbers.get("pinning"):
        raise ObjectError(f"map {name}: an inner map cannot be pinned")
    return MapSpec(
        name,
        type,
        sizes[0],
        sizes[1],
        numbers.get("max_entries", 0),
        flags=numbers.get("map_flags", 0),
        key_type=key_type,
        value_type=value_type,
        map_extra=numbers.get("map_extra", 0),
        numa_node=numbers.get("numa_node"),
        inner=inner_map if type in _MAPS_OF_MAPS else None,
        pin_path=f"{PIN_FOLDER}/{name}" if _pinning(name, numbers) else "",
    )


def _pinning(name: str, numbers: dict[str, int]) -> bool:
    value = numbers.get("pinning", 0)
    if value not in (0, 1):
        raise ObjectError(f"map {name}: pinning {value} is unknown; 0 is none, 1 is by name")
    return bool(value)


def _number(map_name: str, member: Member, btf: Btf) -> int:
    """`__uint` hides a number in the length of an array behind a pointer, `__ulong` in the value of an enum."""
    found = btf.type(btf.strip(member.type_id))
    if isinstance(found, Enum) and found.values:
        return found.values[0][1]
    if isinstance(found, Pointer):
        array = btf.type(btf.strip(found.target))
        if isinstance(array, Array):
            return array.length
    raise ObjectError(f"map {map_name}: field {member.name} is {found!r}; write it with __uint({member.name}, N)")


def _pointed_to(map_name: str, field: str, type_id: int, btf: Btf) -> int:
    found = btf.type(btf.strip(type_id))
    if not isinstance(found, Pointer):
        raise ObjectError(f"map {map_name}: field {field} is {found!r}; write it with __type({field}, ...)")
    return found.target


def _values(map_name: str, member: Member, btf: Btf, *, nested: bool) -> MapSpec | None:
    array = btf.type(btf.strip(member.type_id))
    if not isinstance(array, Array):
        raise ObjectError(f"map {map_name}: field values is {array!r}; write it with __array(values, ...)")
    definition = btf.type(btf.strip(_pointed_to(map_name, "values", array.element, btf)))
    if not isinstance(definition, Struct):
        return None  # a prog array names a function type here
    if nested:
        raise ObjectError(f"map {map_name}: maps nest only once")
    return _map(f"{map_name}.inner", definition, btf, inner=True)
