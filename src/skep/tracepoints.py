"""A tracepoint's format file as C: the members of the record that programs see as `struct tracepoint__category__event`."""

from __future__ import annotations

_COMMON = 8  # bytes of common_type, common_flags, common_preempt_count and common_pid, at the start of each record
_LOCATIONS = ("__data_loc", "__rel_loc")


def record_members(format: str) -> str:
    """C declarations named as by BCC: `data_loc_x` for dynamic arrays, integers by size and sign, gaps as `__pad_N`."""
    members = ["u64 __do_not_use__;"]
    end = _COMMON
    for declaration, offset, size, signed in _fields(format):
        if offset < _COMMON:
            continue
        if offset > end:
            members.append(f"char __pad_{len(members)}[{offset - end}];")
        members.append(_member(declaration, size, signed))
        end = offset + size
    return " ".join(members)


def _fields(format: str) -> list[tuple[str, int, int, bool]]:
    """(declaration, offset, size, signed) of each line `field:int x; offset:8; size:4; signed:1;`."""
    fields = []
    for line in format.splitlines():
        parts = [part.strip() for part in line.split(";")]
        if parts[0].startswith("field:"):
            facts = dict(part.split(":", 1) for part in parts[1:] if ":" in part)
            fields.append((parts[0][len("field:") :], int(facts["offset"]), int(facts["size"]), facts.get("signed") == "1"))
    return fields


def _member(declaration: str, size: int, signed: bool) -> str:
    words = [word for word in declaration.split() if not word.startswith("__seg_")]  # x86: a pointer to per-CPU data
    if words[0] in _LOCATIONS:
        return f"int {words[0].strip('_')}_{words[-1]};"
    # An integer's C type may be narrower than its place (arguments of system calls), or only known to its subsystem
    if size in (1, 2, 4, 8) and not declaration.endswith(("]", ")")) and "*" not in declaration and words[0] != "struct":
        return f"{'s' if signed else 'u'}{size * 8} {words[-1]};"
    name, bracket, _ = words[-1].partition("[")
    if bracket and words[-2:-1] == ["char"]:
        return f"char {name}[{size}];"  # its dimension may be a name
    if declaration.endswith(")"):
        return f"u64 {declaration.partition('(*')[2].partition(')')[0]};"  # a pointer to a function
    return " ".join(words) + ";"
