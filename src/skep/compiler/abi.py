"""How arguments and results travel in calls: x86-64 hosts as their ABI says (System V psABI, 3.2.3), others by pointer.

Comes in: C types; goes out: the LLVM types of what is passed, with the offsets of a record's pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skep.compiler import types as ct
from skep.compiler.types import Type

Parts = list[tuple[str, int]]  # (LLVM type, offset in the record)


def llvm_type(t: Type) -> str:
    """The LLVM type of a scalar value; aggregates are handled by address."""
    match t:
        case ct.IntType():
            return f"i{t.bits}"
        case ct.EnumType():
            return f"i{t.definition.underlying.bits}"
        case ct.FloatType():
            return {4: "float", 8: "double"}.get(t.width, "x86_fp80")
        case ct.VoidType():
            return "void"
    return "ptr"


class Passed:
    """One argument or result. `parts` are its pieces in registers (of a scalar: one at offset 0); None: it is in memory.

    `text` is the LLVM type with its attributes where there is one value or pointer to pass.
    """

    __slots__ = ("parts", "record", "text")

    def __init__(self, parts: Parts | None, text: str, record: bool) -> None:
        self.parts = parts
        self.text = text
        self.record = record


class Signature:
    """`hidden`: the result goes through a first pointer argument, whose type and attributes `result.text` are."""

    __slots__ = ("hidden", "params", "result", "returns")

    def __init__(self, returns: Type, params: Sequence[Type], *, sysv: bool) -> None:
        self.result = _result(returns, sysv)
        self.hidden = self.result.record and self.result.parts is None
        left = {"int": 6 - self.hidden, "sse": 8}
        self.params = [_argument(t, left, sysv) for t in params]
        parts = self.result.parts
        if not self.result.record:
            self.returns = self.result.text
        elif not parts:
            self.returns = "void"
        else:
            self.returns = parts[0][0] if len(parts) == 1 else "{" + ", ".join(t for t, _ in parts) + "}"


def _extended(t: Type) -> str:
    """Small integers are widened by the caller: compilers rely on it, whatever the document says."""
    text = llvm_type(t)
    if ct.is_integer(t) and t.size < 4:
        return f"{text} {'signext' if ct.integer(t).signed else 'zeroext'}"
    return text


def _result(t: Type, sysv: bool) -> Passed:
    if not isinstance(t, ct.RecordType):
        attribute = _extended(t).split(" ")[::-1] if sysv else [llvm_type(t)]
        return Passed([(llvm_type(t), 0)], " ".join(attribute), False)
    if not sysv:
        return Passed(None, "ptr", True)
    leaves = list(_leaves(t, 0)) if t.size == 16 else []
    if len(leaves) == 1 and isinstance(leaves[0][1], ct.FloatType):
        return Passed([("x86_fp80", 0)], "", True)  # a long double alone comes back in st0
    parts = register_parts(t)
    return Passed(parts, f"ptr sret([{t.size} x i8]) align {max(t.align, 1)}" if parts is None else "", True)


def _argument(t: Type, left: dict[str, int], sysv: bool) -> Passed:
    if not isinstance(t, ct.RecordType):
        for name, count in _needed([(llvm_type(t), 0)] * (2 if t.size == 16 and ct.is_integer(t) else 1)).items():
            left[name] = max(left[name] - count, 0)
        return Passed([(llvm_type(t), 0)], _extended(t) if sysv else llvm_type(t), False)
    if not sysv:
        return Passed(None, "ptr", True)
    parts = register_parts(t)
    if parts is not None:
        needed = _needed(parts)
        if all(left[name] >= count for name, count in needed.items()):
            for name, count in needed.items():
                left[name] -= count
            return Passed(parts, "", True)
    return Passed(None, f"ptr byval([{t.size} x i8]) align {max(t.align, 8)}", True)


def _needed(parts: Parts) -> dict[str, int]:
    """How many registers of each kind the pieces take."""
    found = {"int": 0, "sse": 0}
    for text, _ in parts:
        if text in ("float", "double", "<2 x float>"):
            found["sse"] += 1
        elif text != "x86_fp80":
            found["int"] += 1
    return found


def registers_needed(t: Type) -> tuple[int, int] | None:
    """(integer, SSE) registers that an argument takes if enough are free; None where it is always in memory."""
    if isinstance(t, ct.RecordType):
        parts = register_parts(t)
        if parts is None:
            return None
        needed = _needed(parts)
        return needed["int"], needed["sse"]
    if isinstance(t, ct.FloatType):
        return (0, 1) if t.width <= 8 else None
    return (2 if t.size == 16 else 1), 0


def register_parts(t: ct.RecordType) -> Parts | None:
    """The eightbytes of a record as LLVM types, None if it travels in memory."""
    if t.size > 16:
        return None
    halves: list[list[tuple[int, Type]]] = [[], []]
    for bit, leaf, width in _pieces(t):
        if width is None:
            if isinstance(leaf, ct.FloatType) and leaf.width == 16:
                return None
            if bit % (_alignment(leaf) * 8):
                return None  # packed: not where its type would be
            for half in range(bit // 64, (bit + leaf.size * 8 - 1) // 64 + 1):
                halves[half].append((bit, leaf))
        else:
            for half in range(bit // 64, (bit + width - 1) // 64 + 1):
                halves[half].append((bit, ct.INT))
    parts: Parts = []
    for i, pieces in enumerate(halves[: -(-t.size // 8)]):
        size = min(t.size - i * 8, 8)
        if not pieces:
            continue  # padding alone takes no register
        if any(not isinstance(leaf, ct.FloatType) for _, leaf in pieces):
            parts.append((f"i{size * 8}", i * 8))
        elif any(leaf.size == 8 for _, leaf in pieces):
            parts.append(("double", i * 8))
        else:
            parts.append(("<2 x float>" if size == 8 else "float", i * 8))
    return parts


def _alignment(t: Type) -> int:
    return max(t.align, 1)


def _leaves(t: Type, offset: int) -> Iterator[tuple[int, Type]]:
    for bit, leaf, _ in _pieces(t, offset * 8):
        yield bit // 8, leaf


def _pieces(t: Type, at: int = 0) -> Iterator[tuple[int, Type, int | None]]:
    """The scalars of a type: (bit position, type, width of a bit-field)."""
    if isinstance(t, ct.RecordType):
        for m in t.record.members:
            if m.bits is not None:
                if m.name:
                    yield at + m.offset * 8 + m.bit_offset, m.type, m.bits
            else:
                yield from _pieces(m.type, at + m.offset * 8)
    elif isinstance(t, ct.ArrayType) and t.size:
        for i in range(t.count or 0):
            yield from _pieces(t.of, at + i * t.of.size * 8)
    elif t.size:
        yield at, t, None
