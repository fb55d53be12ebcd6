"""The control flow of one function: basic blocks in order, dominators, natural loops, live registers."""

from __future__ import annotations

from skep.bytecode import instruction as isa
from skep.engine.user.validate import CALL, CALLX, EXIT, MAY_GOTO, jump_target, successors
from skep.errors import InvalidInstruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.bytecode.instruction import Instruction
    from skep.engine.user.validate import Code, Function

_MEMBERS = 100_000  # blocks of all loops together, an inner loop's counted again for each loop around it
_ARGUMENTS = 0b111110  # r1 to r5
_SCRATCH = 0b111111  # r0 to r5: what a call overwrites


class Block:
    """Instructions that run one after the other: positions, what may follow, and which registers are read later."""

    __slots__ = ("at", "before", "defined", "live", "next", "positions")

    def __init__(self, at: int) -> None:
        self.at = at
        self.positions: list[int] = []
        self.next: list[int] = []
        self.before: list[int] = []
        self.live = 0  # at its begin, a bit for each register
        self.defined = 0  # what it writes, a bit for each register


class Loop:
    """A natural loop: its blocks by position, the blocks that jump back to its head, the loops inside."""

    __slots__ = ("body", "defined", "head", "inner", "latches", "parent", "trips")

    def __init__(self, head: int) -> None:
        self.head = head
        self.body: set[int] = {head}
        self.latches: list[int] = []
        self.defined = 0  # registers that are written in it, as bits
        self.inner: list[Loop] = []
        self.parent: Loop | None = None
        self.trips: int | None = None  # how often its head runs at most each time that it is entered


class Flow:
    """The blocks of a function in reverse postorder, its loops by their head; `stray`: jumps back that form no natural loop."""

    __slots__ = ("blocks", "idom", "loops", "order", "rank", "start", "stray")

    def __init__(self, code: Code, function: Function) -> None:
        self.start = function.start
        self.blocks = _blocks(code, function)
        self.order = _reverse_postorder(self.blocks, self.start)
        self.rank = {at: number for number, at in enumerate(self.order)}
        self.idom = _dominators(self)
        self.loops, self.stray = _loops(self)
        _liveness(code, self)
        for loop in self.loops.values():
            for at in loop.body:
                loop.defined |= self.blocks[at].defined

    def dominates(self, above: int, below: int) -> bool:
        """Whether every way to `below` goes through `above`."""
        while self.rank[below] > self.rank[above]:
            below = self.idom[below]
        return below == above


def _blocks(code: Code, function: Function) -> dict[int, Block]:
    """The blocks that can be reached."""
    leaders = {function.start}
    for at in range(function.start, function.end):
        insn = code.insns[at]
        if insn is not None:
            target = jump_target(at, insn)
            if target is not None:
                leaders |= {target, at + 1}
            elif insn.code == EXIT:
                leaders.add(at + 1)
    blocks: dict[int, Block] = {}
    work = [function.start]
    while work:
        start = work.pop()
        if start in blocks:
            continue
        block = blocks[start] = Block(start)
        at = start
        while True:
            insn = code.insns[at]
            assert insn is not None
            block.positions.append(at)
            targets = successors(at, insn)
            if len(targets) != 1 or targets[0] in leaders:
                block.next = list(dict.fromkeys(targets))
                break
            at = targets[0]
        work += block.next
    for block in blocks.values():
        for following in block.next:
            blocks[following].before.append(block.at)
    return blocks


def _reverse_postorder(blocks: dict[int, Block], start: int) -> list[int]:
    order: list[int] = []
    seen = {start}
    work: list[tuple[int, int]] = [(start, 0)]
    while work:
        at, tried = work.pop()
        following = blocks[at].next
        if tried < len(following):
            work.append((at, tried + 1))
            if following[tried] not in seen:
                seen.add(following[tried])
                work.append((following[tried], 0))
        else:
            order.append(at)
    return order[::-1]


def _dominators(flow: Flow) -> dict[int, int]:
    """Immediate dominators (Cooper, Harvey and Kennedy's iteration)."""
    rank = flow.rank
    idom = {flow.start: flow.start}
    changed = True
    while changed:
        changed = False
        for at in flow.order[1:]:
            found = -1
            for before in flow.blocks[at].before:
                if before not in idom:
                    continue
                if found < 0:
                    found = before
                    continue
                other = before
                while other != found:
                    while rank[other] > rank[found]:
                        other = idom[other]
                    while rank[found] > rank[other]:
                        found = idom[found]
            if idom.get(at) != found:
                idom[at] = found
                changed = True
    return idom


def _loops(flow: Flow) -> tuple[dict[int, Loop], set[tuple[int, int]]]:
    loops: dict[int, Loop] = {}
    members = 0
    stray: set[tuple[int, int]] = set()
    for at in flow.order:
        for head in flow.blocks[at].next:
            if flow.rank[head] > flow.rank[at]:
                continue
            if not flow.dominates(head, at):
                stray.add((at, head))
                continue
            loop = loops.setdefault(head, Loop(head))
            loop.latches.append(at)
            work = [at]
            while work:
                member = work.pop()
                if member not in loop.body:
                    loop.body.add(member)
                    members += 1
                    work += flow.blocks[member].before
            if members > _MEMBERS:
                text = f"instruction {flow.start}: this function's loops are too many, one in another, to be followed"
                raise InvalidInstruction(text, insn=flow.start)
    by_size = sorted(loops.values(), key=lambda loop: len(loop.body))
    for number, loop in enumerate(by_size):
        for larger in by_size[number + 1 :]:
            if loop.head in larger.body:
                loop.parent = larger
                larger.inner.append(loop)
                break
    return loops, stray


def _liveness(code: Code, flow: Flow) -> None:
    effects = {}
    for at, block in flow.blocks.items():
        uses = defines = 0
        for position in block.positions:
            insn = code.insns[position]
            assert insn is not None
            read, written = uses_of(insn), defines_of(insn)
            uses |= read & ~defines
            defines |= written
        effects[at] = uses, defines
        block.defined = defines
    changed = True
    while changed:
        changed = False
        for at in reversed(flow.order):
            block = flow.blocks[at]
            live = 0
            for following in block.next:
                live |= flow.blocks[following].live
            uses, defines = effects[at]
            live = uses | live & ~defines
            if live != block.live:
                block.live = live
                changed = True


def uses_of(insn: Instruction) -> int:
    """The registers that an instruction reads, as bits."""
    group, by_register = insn.code & 7, insn.code & isa.X
    dst, src = 1 << insn.dst, 1 << insn.src
    if group in (isa.ALU, isa.ALU64):
        operation = insn.code & 0xF0
        if operation in (isa.NEG, isa.END):
            return dst
        read = src if by_register else 0
        return read if operation == isa.MOV else read | dst
    if group == isa.LD:
        return 0
    if group == isa.LDX:
        return src
    if group == isa.ST:
        return dst
    if group == isa.STX:
        if insn.code & 0xE0 != isa.ATOMIC:
            return dst | src
        if insn.imm == isa.LOAD_ACQUIRE:
            return src
        return dst | src | (insn.imm == isa.CMPXCHG)
    if insn.code == CALL:
        return _ARGUMENTS
    if insn.code == CALLX:
        return _ARGUMENTS | dst
    if insn.code == EXIT:
        return 1
    if insn.code == MAY_GOTO or insn.code & 0xF0 == isa.JA:
        return 0
    return dst | (src if by_register else 0)


def defines_of(insn: Instruction) -> int:
    """The registers that an instruction writes, as bits."""
    group = insn.code & 7
    if group in (isa.ALU, isa.ALU64, isa.LD, isa.LDX):
        return 1 << insn.dst
    if group == isa.STX and insn.code & 0xE0 == isa.ATOMIC:
        if insn.imm == isa.LOAD_ACQUIRE:
            return 1 << insn.dst
        if insn.imm == isa.CMPXCHG:
            return 1
        return 1 << insn.src if insn.imm & isa.FETCH else 0
    return _SCRATCH if insn.code in (CALL, CALLX) else 0
