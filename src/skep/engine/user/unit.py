"""What is known of a program besides its code: its context, its maps, and which functions end or move what they are given."""

from __future__ import annotations

from skep.engine.user import helpers as tables
from skep.engine.user.validate import CALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from skep.engine.user.facts import Context, MapFacts
    from skep.engine.user.validate import Code


class Unit:
    """What the analysis of a program knows besides its code: the context, the maps, and where they are referred to.

    `maps` are MapFacts by index; `references` is the map's index by instruction. `ranges` False: bounds of numbers prove nothing
    (what every program costs when only constant offsets are believed).
    """

    __slots__ = ("code", "context", "ending", "maps", "moving", "ranges", "references", "releasing")

    def __init__(self, code: Code, context: Context, maps: list[MapFacts], references: dict[int, int], ranges: bool) -> None:
        self.code = code
        self.context = context
        self.maps = maps
        self.references = references
        self.ranges = ranges
        moves = {number for number, helper in tables.of_context(context.name) if helper.moves} | {tables.TAIL_CALL}
        # functions after which the packet may lie elsewhere, arguments may be no records any more, no record or slice is one
        self.moving = _functions_that_call(code, moves) if context.packet is not None else frozenset()
        self.releasing = _functions_that_call(code, tables.RELEASING)
        self.ending = _functions_that_call(code, tables.ENDING)

    def callers(self, start: int) -> set[int]:
        """A function, and all that may be running below it: those that call it, and those that call them."""
        found = {start}
        for caller in reversed(self.code.order):  # callees first
            if self.code.functions[caller].calls & found:
                found.add(caller)
        return found


def _functions_that_call(code: Code, helpers: Collection[int]) -> frozenset[int]:
    """Functions that call one of these helpers, or call one that does."""
    found: set[int] = set()
    for start in reversed(code.order):  # callees first
        function = code.functions[start]
        insns = code.insns[start : function.end]
        if function.calls & found or any(i is not None and i.code == CALL and i.src == 0 and i.imm in helpers for i in insns):
            found.add(start)
    return frozenset(found)
