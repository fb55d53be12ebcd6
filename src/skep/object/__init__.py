"""Object files as data: `read_object` for what our compiler and clang write, and the kinds of programs and maps."""

from __future__ import annotations

from skep.object.kinds import MAP_TYPES, PROGRAM_TYPES, kind_for_section, kind_for_type
from skep.object.model import MapSpec, Object, ProgramKind, ProgramSpec, Relocation
from skep.object.reader import read_object

__all__ = [
    "MAP_TYPES",
    "PROGRAM_TYPES",
    "MapSpec",
    "Object",
    "ProgramKind",
    "ProgramSpec",
    "Relocation",
    "kind_for_section",
    "kind_for_type",
    "read_object",
]
