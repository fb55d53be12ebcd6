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
_UNMETERED = 1 << 26  # what a bounded loop may cost without looking: some 30 ms
_CALL = 50  # a helper's cost
_MANY = 1 << 40


class Meter:
    """The cost of one function; `weights` of the loops (by head) that are metered; `metered`: it or a callee is."""

    __slots__ = ("cost", "metered", "weights")

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
                    cost += _CALL
                    if insn.imm in (tables.LOOP, tables.FOR_EACH):
                        self.metered = True
            costs[at] = cost
        loops = min(self._loops([loop for loop in analysis.flow.loops.values() if loop.parent is None], costs), _MANY)
        self.cost = min(loops + sum(costs.values()), _MANY)
        self.metered = self.metered or bool(self.weights)
        self.metered = self.metered or any(callees[start].metered for start in analysis.function.calls if start in callees)

    def _loops(self, loops: list[Loop], costs: dict[int, int]) -> int:
        """What loops cost beyond one run of each of their blocks."""
        total = 0
        for loop in loops:
            body = sum(costs.get(at, 0) for at in loop.body) + self._loops(loop.inner, costs)
            if loop.trips is None or loop.trips * body > _UNMETERED:
                self.weights[loop.head] = min(body, _UNMETERED)
                total += min(body, _MANY)
            else:
                total += loop.trips * body
        return total
