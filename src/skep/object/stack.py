"""How much stack a linked program uses: the deepest access below r10 in each function, added up over calls."""

from __future__ import annotations

from struct import iter_unpack

from skep.object.model import ProgramSpec

_ROUND = 32  # the verifier adds up frames in 32-byte steps (check_max_stack_depth, kernel/bpf/verifier.c)


def stack_use(program: ProgramSpec) -> tuple[int, int]:
    """(bytes of the entry function's own frame, bytes of the deepest chain of calls, rounded as the verifier does)."""
    code = program.instructions
    starts = sorted(insn for insn, _ in program.functions) or [0]
    ends = [*starts[1:], len(code) // 8]
    frames: dict[int, int] = {}
    calls: dict[int, set[int]] = {}
    insns = list(iter_unpack("<BBhi", code))
    for start, end in zip(starts, ends, strict=True):
        frames[start], calls[start] = _frame(insns, start, end)
    if len(starts) == 1:
        return frames[0], frames[0]
    return frames[0], _deepest(0, frames, calls, ())


def _deepest(start: int, frames: dict[int, int], calls: dict[int, set[int]], above: tuple[int, ...]) -> int:
    own = -(-max(frames[start], 1) // _ROUND) * _ROUND
    below = [
        _deepest(callee, frames, calls, (*above, start)) for callee in calls[start] if callee in frames and callee not in above
    ]
    return own + max(below, default=0)


def _frame(insns: list[tuple[int, ...]], start: int, end: int) -> tuple[int, set[int]]:
    lowest = 0
    calls: set[int] = set()
    copies = 0  # registers that hold r10
    at = start
    while at < end:
        code, registers, offset, imm = insns[at]
        dst, src = registers & 15, registers >> 4
        kind = code & 7
        if code == 0x18:  # ldimm64; a callback's address is a call too
            if src == 4:
                calls.add(at + imm + 1)
            at += 1
            copies &= ~(1 << dst)
        elif (kind == 1 and src == 10) or (kind in (2, 3) and dst == 10):
            lowest = min(lowest, offset)
        elif code == 0xBF and src == 10 and offset == 0:
            copies |= 1 << dst
            at += 1
            continue
        elif code == 0x07 and copies >> dst & 1:
            lowest = min(lowest, imm)
        elif code == 0x85 and src == 1:
            calls.add(at + imm + 1)
        if kind in (0, 1, 4, 7):
            copies &= ~(1 << dst)
        at += 1
    return -lowest, calls
