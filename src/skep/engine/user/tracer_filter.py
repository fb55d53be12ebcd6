"""The seccomp filter of a traced command: the system calls that someone asked for stop it, all others run at full speed.

Classic BPF over struct seccomp_data: number at 0, architecture at 4, first argument at 16 (seccomp(2)).
"""

from __future__ import annotations

from struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LOAD, _IF_EQUAL, _IF_ABOVE, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x06
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF05EE9  # its low half tells our filter from one of the command's own (FILTER_MARK, tracer.h)
_X86_64 = 0xC000003E
_PRCTL, _SET_NAME = 157, 15
# setuid, setgid, setreuid, setregid, setresuid, setresgid: what they change is kept, so the loop must see them
WATCHED = frozenset((105, 106, 113, 114, 117, 119))


def make_filter(calls: Iterable[int] | None) -> bytes:
    """Instructions (struct sock_filter) that stop the tracee at these calls (None: at all); other architectures never stop."""
    code = [(_LOAD, 0, 0, 4), (_IF_EQUAL, 1, 0, _X86_64), (_RETURN, 0, 0, _ALLOW)]
    if calls is None:
        return _packed([*code, (_RETURN, 0, 0, _TRACE)])
    wanted = sorted({*calls, *WATCHED})
    code.append((_LOAD, 0, 0, 0))
    for first, last in _ranges(wanted):
        code += [(_IF_AT_LEAST, 0, 2, first), (_IF_ABOVE, 1, 0, last), (_RETURN, 0, 0, _TRACE)]
    if _PRCTL not in wanted:
        code += [(_IF_EQUAL, 0, 3, _PRCTL), (_LOAD, 0, 0, 16), (_IF_EQUAL, 0, 1, _SET_NAME), (_RETURN, 0, 0, _TRACE)]
    return _packed([*code, (_RETURN, 0, 0, _ALLOW)])


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _packed(code: list[tuple[int, int, int, int]]) -> bytes:
    return b"".join(pack("=HBBI", *row) for row in code)
