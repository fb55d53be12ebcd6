"""A whole program to one LLVM module: its functions, what they refer to, and which of the runtime's C files it needs."""

from __future__ import annotations

from skep.engine.user.analysis import Analysis
from skep.engine.user.helpers import HOLDING
from skep.engine.user.metering import Meter
from skep.engine.user.translate import write_function
from skep.engine.user.unit import Unit
from skep.engine.user.validate import CALL
from skep.engine.user.values import join

TYPE_CHECKING = False

if TYPE_CHECKING:
    from skep.engine.user.facts import MapFacts
    from skep.engine.user.values import Value

_SIX_WORDS = "{ i32, i32, i32, i32, i32, i32 }"
_DECLARED = (
    *(f"declare i{width} @llvm.bswap.i{width}(i{width})" for width in (16, 32, 64)),
    "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
    "declare void @skep_fault(ptr, i64, i64, i64, i64) nounwind",
    "declare i64 @skep_refuel(ptr) nounwind",
    "declare i64 @skep_allowed(ptr, ptr, ptr, i64, ptr, i64, i64, i64, i64) nounwind",
    "@regions = external global i64",
)
# What the run has reserved is given back however it ends; a tail call goes on in another program's entry.
_WRAPPER = """declare void @skep_release(ptr) nounwind
define i64 @entry(ptr %ctx, ptr %env) nounwind null_pointer_is_valid {
  %result = call i64 @main(ptr %ctx, ptr %env)
  call void @skep_release(ptr %env)
  ret i64 %result
}"""
_CLOSING = ('!0 = !{!"branch_weights", i32 1048576, i32 1}', "!1 = !{}")


class Module:
    """Collects what the functions refer to while they are written; `text` is the module, `files` the runtime files it needs."""

    __slots__ = (
        "_declared",
        "_given",
        "_maps",
        "_shapes",
        "cleared",
        "depth",
        "files",
        "holds",
        "meters",
        "text",
        "unit",
        "writes_context",
    )

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.writes_context = False
        self.cleared: set[int] = set()  # functions whose frame is cleared when they begin
        self.depth = unit.code.depth
        self.files = {"core.c"}
        self.holds = any(
            insn is not None and insn.code == CALL and not insn.src and insn.imm in HOLDING for insn in unit.code.insns
        )
        if self.holds:
            self.files.add("ringbuf.c")
        self.meters: dict[int, Meter] = {}
        self._declared: dict[str, str] = {}
        self._maps: set[int] = set()
        self._shapes: dict[str, MapFacts] = {}
        self._given: dict[int, list[Value]] = {}
        self.text = self._write()

    def _write(self) -> str:
        analyses: dict[int, Analysis] = {}
        for start in self.unit.code.order:
            given = self._given.get(start)
            if start and given is None:
                continue  # every call of it is in code that is never reached
            analysis = analyses[start] = Analysis(self.unit, self.unit.code.functions[start], given)
            for target, values in analysis.arguments.items():
                known = self._given.get(target)
                if known is not None:
                    values = [join(a, b) for a, b in zip(known, values, strict=True)]
                self._given[target] = values
        self.cleared.update(*[analysis.frames for analysis in analyses.values()])
        self.writes_context = any(analysis.writes_context for analysis in analyses.values())
        for start in reversed(analyses):
            self.meters[start] = Meter(analyses[start], self.meters)
        bodies = [
            write_function(self, analysis, self.meters[start], self._given[start] if start else None)
            for start, analysis in analyses.items()
        ]
        maps = [f"@map_{index} = external global i64" for index in sorted(self._maps)]
        shapes = [f"{name} = internal constant {_SIX_WORDS} {_shape(facts, name)}" for name, facts in self._shapes.items()]
        wrapper = [_WRAPPER] if self.holds else []
        return "\n".join([*_DECLARED, *maps, *shapes, *self._declared.values(), *bodies, *wrapper, *_CLOSING])

    def given(self, target: int) -> list[Value]:
        """What is known of a function's arguments."""
        return self._given[target]

    def map(self, index: int) -> str:
        """The name of a map."""
        self._maps.add(index)
        return f"@map_{index}"

    def values(self, index: int) -> str:
        """The instruction that loads where a map's values are."""
        return f"load ptr, ptr getelementptr (i8, ptr {self.map(index)}, i64 24), align 8, !invariant.load !1"

    def shape(self, ref: int) -> str:
        """The name of a map's constant shape; -1 - index is the shape of the maps in a map of maps."""
        name = f"@shape_{ref}" if ref >= 0 else f"@inner_{-1 - ref}"
        if name not in self._shapes:
            facts = self.unit.maps[ref] if ref >= 0 else self.unit.maps[-1 - ref].inner
            assert facts is not None
            self._shapes[name] = facts
        return name

    def facts_of_shape(self, name: str) -> MapFacts:
        """The map that a shape is of."""
        return self._shapes[name]

    def uses(self, name: str, file: str) -> None:
        """Note that a function of the runtime's is called."""
        kind = "ptr, i64, i64, i64, i64, i64" if name.startswith("helper_") else "ptr, ptr, ptr, i64, i64, i64"
        self._declared[name] = f"declare i64 @{name}({kind}) nounwind"
        self.files.add(file)


def translate(unit: Unit) -> Module:
    """A program as LLVM IR."""
    return Module(unit)


def _shape(facts: MapFacts, name: str) -> str:
    entries = 0 if name.startswith("@inner") else facts.max_entries
    words = (facts.type, facts.key_size, facts.value_size, entries, facts.flags, facts.stride)
    return "{ " + ", ".join(f"i32 {word}" for word in words) + " }"
