"""BCC's `bcc.table`: the kinds of maps by number and name, and a histogram's dictionary. The views are in `skep.maps`."""

from __future__ import annotations

from skep.maps.histogram import LINEAR_SLOTS, LOG2_SLOTS, STARS, dictionary
from skep.object.kinds import MAP_TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

stars_max, log2_index_max, linear_index_max = STARS, LOG2_SLOTS, LINEAR_SLOTS
map_type_name = {number: name.upper() for name, number in MAP_TYPES.items() if number}
globals().update({f"BPF_MAP_TYPE_{name}": number for number, name in map_type_name.items()})


def get_table_type_name(ttype: int) -> str:
    """The name of a kind of map in the kernel's headers, "PERCPU_HASH"; "<unknown>" for another number."""
    return map_type_name.get(ttype, "<unknown>")


def get_json_hist(vals: list[int], val_type: str, section_bucket: tuple[str, Any] | None = None) -> dict[str, Any]:
    """The dictionary that `print_json_hist` prints of the counts of slots; `section_bucket` is its section's name and value."""
    found = dictionary(vals, val_type)
    if section_bucket:
        found[section_bucket[0]] = section_bucket[1]
    return found
