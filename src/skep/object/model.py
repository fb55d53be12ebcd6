"""The object as data: what the compiler (or clang) made and what an engine loads.

Comes from `skep.object.read`; goes to `skep.engine`. No file here owns an fd. These are plain slotted classes, not
dataclasses: importing `dataclasses` costs 12 ms, a quarter of a warm start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.btf import Btf


class ProgramKind:
    """What a program is loaded as: program type, what its context is, and what it is bound to.

    `context` names the shape of the first argument (the "context model"): "kprobe", "kretprobe", "syscall_enter",
    "syscall_exit", "tracepoint", "raw_tracepoint", "fentry", "fexit", "lsm", "xdp", "skb", "perf_event", ...
    `target` is the BTF name to bind to at load (fentry: the function's; LSM: bpf_lsm_X; tp_btf: btf_trace_X), else "".
    `flags` are load flags that the kind needs (BPF_F_SLEEPABLE, BPF_F_XDP_HAS_FRAGS).
    """

    __slots__ = ("context", "expected_attach_type", "flags", "name", "target", "type")

    def __init__(
        self, name: str, type: int, context: str, *, expected_attach_type: int = 0, target: str = "", flags: int = 0
    ) -> None:
        self.name = name
        self.type = type
        self.context = context
        self.expected_attach_type = expected_attach_type
        self.target = target
        self.flags = flags

    def _key(self) -> tuple[object, ...]:
        return (self.name, self.type, self.context, self.expected_attach_type, self.target, self.flags)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProgramKind) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"ProgramKind{self._key()!r}"


class StructOps:
    """A table of functions that the kernel calls (sections `.struct_ops`, `.struct_ops.link`), as an object file fills it in.

    `type_name` is the kernel's struct, `members` are (name, bytes) of the object's struct, `functions` are programs by member.
    """

    __slots__ = ("functions", "members", "type_name")

    def __init__(self, type_name: str, members: list[tuple[str, bytes]], functions: dict[str, str]) -> None:
        self.type_name = type_name
        self.members = members
        self.functions = functions


class MapSpec:
    """A map as an object file describes it; sizes in bytes, `key_type`/`value_type` are BTF ids in the object (0: none).

    `initial` is the content of a data section (`.rodata`, `.data`, `.bss`), written before the programs load;
    `frozen` maps are frozen then. `values` are (index, name) of the maps or programs that are put in before the
    first program is attached. `record_type` is the BTF id of the records of a perf or ring buffer (0: unknown).
    `sharing`: "public" when other objects of this process may use the map by its name, "extern" when it is such a map of
    another object (its type is 0 here), else "". `operations` is what a struct_ops map registers (None: any other map).
    """

    __slots__ = (
        "flags", "frozen", "initial", "inner", "key_size", "key_type", "map_extra", "max_entries", "name", "numa_node",
        "operations", "pin_path", "record_type", "sharing", "type", "value_size", "value_type", "values",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        type: int,
        key_size: int,
        value_size: int,
        max_entries: int,
        *,
        flags: int = 0,
        key_type: int = 0,
        value_type: int = 0,
        record_type: int = 0,
        map_extra: int = 0,
        numa_node: int | None = None,
        inner: MapSpec | None = None,
        pin_path: str = "",
        initial: bytes | None = None,
        frozen: bool = False,
        operations: StructOps | None = None,
    ) -> None:
        self.name = name
        self.type = type
        self.key_size = key_size
        self.value_size = value_size
        self.max_entries = max_entries
        self.flags = flags
        self.key_type = key_type
        self.value_type = value_type
        self.record_type = record_type
        self.map_extra = map_extra
        self.numa_node = numa_node
        self.inner = inner
        self.pin_path = pin_path
        self.initial = initial
        self.frozen = frozen
        self.operations = operations
        self.values: list[tuple[int, str]] = []
        self.sharing = ""

    def __repr__(self) -> str:
        return f"MapSpec({self.name!r}, type={self.type}, key={self.key_size}, value={self.value_size}, max={self.max_entries})"


class Relocation:
    """One instruction that needs an address at load: `kind` is "map" (fd), "map_value" (fd and offset), "kfunc" (a call).

    64-bit loads of what the kernel has: "kfunc_id", "ksym" (a variable with a type), "ksym_address" (a plain number).
    `weak`: it may be missing, and is 0 then.
    """

    __slots__ = ("insn", "kind", "offset", "symbol", "weak")

    def __init__(self, insn: int, kind: str, symbol: str, offset: int = 0, *, weak: bool = False) -> None:
        self.insn = insn
        self.kind = kind
        self.symbol = symbol
        self.offset = offset
        self.weak = weak

    def __repr__(self) -> str:
        return f"Relocation({self.insn}, {self.kind!r}, {self.symbol!r}, {self.offset})"


class ProgramSpec:
    """One entry program, its subprograms already appended and calls between them resolved.

    `instructions` are 8-byte units; `insn` numbers everywhere count these units (ldimm64 is two). `functions` is
    (insn, BTF id of the FUNC) per subprogram, `lines` is (insn, file_name_off, line_off, line_col) as in the kernel's
    bpf_line_info. `kind` is what the section name asks for (None: unknown). `uses_registers`: the code reads the
    registers of a pt_regs context, so it must be compiled again for a hook whose context is another.
    """

    __slots__ = ("functions", "instructions", "kind", "lines", "name", "relocations", "section", "uses_registers")

    def __init__(
        self,
        name: str,
        section: str,
        instructions: bytes,
        *,
        kind: ProgramKind | None = None,
        relocations: list[Relocation] | None = None,
        functions: list[tuple[int, int]] | None = None,
        lines: list[tuple[int, int, int, int]] | None = None,
        uses_registers: bool = False,
    ) -> None:
        self.name = name
        self.section = section
        self.instructions = instructions
        self.kind = kind
        self.relocations = relocations or []
        self.functions = functions or []
        self.lines = lines or []
        self.uses_registers = uses_registers

    def __repr__(self) -> str:
        return f"ProgramSpec({self.name!r}, {self.section!r}, {len(self.instructions) // 8} insns)"


class Object:
    """A whole object file: maps and programs by name, its BTF (None: without), licence and the bytes it came from."""

    __slots__ = ("btf", "data", "license", "maps", "programs")

    def __init__(
        self,
        data: bytes,
        *,
        license: str,
        btf: Btf | None,
        maps: Mapping[str, MapSpec],
        programs: Mapping[str, ProgramSpec],
    ) -> None:
        self.data = data
        self.license = license
        self.btf = btf
        self.maps = dict(maps)
        self.programs = dict(programs)
