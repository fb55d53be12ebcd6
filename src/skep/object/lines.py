"""The C line of an instruction, from an object's line information."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.object.model import Object, ProgramSpec


def source_line(spec: ProgramSpec, owner: Object, insn: int) -> str:
    """`text @ file:line` of the C line that an instruction comes from, or an empty string."""
    found = None
    for row in spec.lines:
        if row[0] > insn:
            break
        found = row
    if found is None or owner.btf is None:
        return ""
    _, file_offset, line_offset, line_column = found
    return f"{owner.btf.string(line_offset).strip()} @ {owner.btf.string(file_offset)}:{line_column >> 10}"
