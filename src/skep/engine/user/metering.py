"""What a program may cost: which loops need no look at the clock because their bound is known and small.

Costs are in instructions, roughly. A loop that is not bounded well pays its cost out of an allowance each time it jumps back.
"""

from __future__ import annotations

from skep.bytecode import instruction as isa
from skep.engine.user import helpers as tables
from skep.engine.user.validate import CALL, CALLX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.engine.user.analysis import Analysis
    from skep.engine.user.flow import Loop

FIRST_ALLOWANCE = 1 << 20  # before the first look at the clock: below a millisecond
_UNMETERED = 1 << 26  # what may run without looking: some 30 ms
_LIMITS = (_UNMETERED, 1 << 20, 0)  # of a loop that is not metered, tried until the whole function costs little enough
_CALL = 200  # a helper's cost
_TEXT = 1 << 16  # of one that reads texts, a byte with a system call
_MANY = 1 << 40
MOST = 1 << 30  # that is paid at once


class Meter:
    """The cost of one function; `weights` of the loops (by head) that are metered; `metered`: it or a callee is.

    `pays`: even without loops it costs much, so that its calls are paid for.
    """

    __slots__ = ("cost", "metered", "pays", "weights")

    def __init__(self, analysis: Analysis, callees: dict[int, Meter]) -> None:
        self.cost = 0
        self.weights: dict[int, int] = {}
        self.metered = bool(analysis.flow.stray)
        costs = {}
        for at in analysis.states:
            block = analysis.flow.blocks[at]
            cost = len(block.positions)
            for position in block.positions:
                insn = analysis.unit.code.insns[position]
                assert insn is not None
                if insn.code == CALL and insn.src == isa.PSEUDO_CALL:
                    cost += callees[position + 1 + insn.imm].cost
                elif insn.code in (CALL, CALLX):
                    helper = analysis.helper(insn.imm) if insn.code == CALL else None
                    reads_text = helper is not None and helper.looks
                    cost += _CALL + (_TEXT if reads_text else 0) + analysis.bytes.get(position, 0) // (1 if reads_text else 8)
                    if insn.code == CALLX:
                        cost += max((callees[start].cost for start in analysis.function.calls if start in callees), default=0)
                    if insn.imm in tables.CALLING:
                        self.metered = True
            costs[at] = cost
        outermost = [loop for loop in analysis.flow.loops.values() if loop.parent is None]
        for limit in _LIMITS:
            self.weights.clear()
            self.cost = min(self._loops(outermost, costs, limit) + sum(costs.values()), _MANY)
            if self.cost <= _UNMETERED:
                break
        self.pays = self.cost > _UNMETERED
        self.metered = self.metered or self.pays or bool(self.weights)
        self.metered = self.metered or any(callees[start].metered for start in analysis.function.calls if start in callees)

    def _loops(self, loops: list[Loop], costs: dict[int, int], limit: int) -> int:
        """What loops cost beyond one run of each of their blocks."""
        total = 0
        for loop in loops:
            body = sum(costs.get(at, 0) for at in loop.body) + self._loops(loop.inner, costs, limit)
            if loop.trips is None or loop.trips * body > limit:
                self.weights[loop.head] = min(body, _UNMETERED)
                total += min(body, _MANY)
            else:
                total += loop.trips * body
        return total
