"""Objects that clang writes: what is read of them, and that the kernel takes it."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest

from skep.bytecode import decode
from skep.errors import ObjectError, UnsupportedError
from skep.object import read_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.object import Object

PROGRAM = 'SEC("raw_tp/x") int program(void *ctx) { return 0; }\n'


def member_names(found: Object, type_id: int) -> list[str]:
    assert found.btf is not None
    return [member.name for member in found.btf.type(found.btf.strip(type_id)).members]  # type: ignore[attr-defined]


def function_names(found: Object, program: str) -> list[str]:
    assert found.btf is not None
    return [found.btf.type(id).name for _, id in found.programs[program].functions]


@pytest.mark.kernel
def test_the_kernel_loads_everything(compiled: Callable[..., Object], everything_source: str, kernel: object) -> None:
    programs = kernel.load_object(compiled(everything_source))  # type: ignore[attr-defined]
    assert set(programs) == {"first", "second", "third"}


@pytest.mark.kernel
def test_the_kernel_loads_an_object_without_debug_information(compiled: Callable[..., Object], kernel: object) -> None:
    text = """
    static volatile u32 counter = 5;
    static __noinline int leaf(int x) { counter += x; return counter; }
    SEC("tp/syscalls/sys_enter_execve") int program(void *ctx) { return leaf(3); }
    char _license[] SEC("license") = "GPL";
    """
    found = compiled(text, "-g0")
    assert found.btf is None
    assert found.programs["program"].functions == []
    assert kernel.load_object(found)  # type: ignore[attr-defined]


def test_maps_are_as_declared(compiled: Callable[..., Object], everything_source: str) -> None:
    found = compiled(everything_source)
    assert found.license == "GPL"
    counts, events, outer = (found.maps[name] for name in ("counts", "events", "outer"))
    assert (counts.type, counts.key_size, counts.value_size, counts.max_entries) == (1, 4, 32, 1024)
    assert member_names(found, counts.value_type) == ["pid", "comm", "time"]
    assert events.record_type
    assert member_names(found, events.record_type) == ["pid", "comm", "time"]
    assert (outer.type, outer.value_size, outer.pin_path) == (12, 4, "/sys/fs/bpf/outer")
    assert outer.inner is not None
    assert (outer.inner.type, outer.inner.value_size, outer.inner.max_entries) == (2, 8, 8)
    assert ".skep" not in found.maps


def test_data_sections_are_maps_with_their_content(compiled: Callable[..., Object], everything_source: str) -> None:
    found = compiled(everything_source)
    sections = {name: spec for name, spec in found.maps.items() if name.startswith(".")}
    assert {name: (spec.initial, spec.frozen, spec.flags) for name, spec in sections.items()} == {
        ".data": (struct.pack("<Q", 7), False, 1 << 10),
        ".rodata": (struct.pack("<I", 3), True, 1 << 10 | 1 << 7),
        ".rodata.str1.1": (b"hello %d\n\0", True, 1 << 10 | 1 << 7),
        ".bss": (bytes(24), False, 1 << 10),
    }
    assert found.btf is not None
    assert found.btf.size_of(sections[".bss"].value_type) == 24


def test_each_program_gets_the_functions_that_it_reaches_once(compiled: Callable[..., Object], everything_source: str) -> None:
    found = compiled(everything_source)
    assert sorted(function_names(found, "first")) == ["first", "hidden_function", "leaf"]
    assert sorted(function_names(found, "second")) == ["callback", "global_function", "leaf", "second", "weak_function"]
    assert function_names(found, "third") == ["third", "leaf"]
    assert [program for program in found.programs.values() if program.uses_registers] == [found.programs["third"]]


def test_calls_and_callbacks_lead_to_the_start_of_functions(compiled: Callable[..., Object], everything_source: str) -> None:
    for program in compiled(everything_source).programs.values():
        starts = {start for start, _ in program.functions}
        position = 0
        reached = {0}
        for insn in decode(program.instructions):
            if insn.code == 0x85 and insn.src == 1:
                reached.add(position + insn.imm + 1)
            elif insn.wide and insn.src == 4:
                reached.add(position + (insn.imm & 0xFFFFFFFF) + 1)
            position += 2 if insn.wide else 1
        assert reached == starts


def test_relocations_point_at_loads_and_lines_at_instructions(compiled: Callable[..., Object], everything_source: str) -> None:
    found = compiled(everything_source)
    assert found.btf is not None
    program = found.programs["second"]
    wide, position = set(), 0
    for insn in decode(program.instructions):
        if insn.wide:
            wide.add(position)
        position += 2 if insn.wide else 1
    assert {relocation.insn for relocation in program.relocations} < wide
    assert {(r.kind, r.symbol, r.offset) for r in program.relocations} == {
        ("map_value", ".rodata.str1.1", 0), ("map_value", ".rodata", 0), ("map_value", ".bss", 0), ("map_value", ".bss", 16),
        ("map_value", ".data", 0),
    }  # fmt: skip
    assert [line[0] for line in program.lines] == sorted({line[0] for line in program.lines})
    assert {start for start, _ in program.functions} <= {line[0] for line in program.lines}
    texts = [found.btf.string(line[2]) for line in program.lines]
    assert any("bpf_trace_printk" in text for text in texts)


def test_hidden_functions_become_static(compiled: Callable[..., Object], everything_source: str) -> None:
    btf = compiled(everything_source).btf
    assert btf is not None
    linkages = {
        name: btf.type(btf.find(name, "func") or 0).linkage  # type: ignore[attr-defined]
        for name in ("hidden_function", "leaf", "global_function", "weak_function")
    }
    assert linkages == {"hidden_function": 0, "leaf": 0, "global_function": 1, "weak_function": 1}


def test_text_alone_holds_programs(compiled: Callable[..., Object]) -> None:
    found = compiled("static __noinline int low(int x) { return x + 1; } int high(void *c) { return low((long)c); }")
    assert list(found.programs) == ["high"]
    assert found.programs["high"].kind is None
    assert len(found.programs["high"].functions) in (1, 2)


def test_a_local_function_beside_its_program_is_a_subprogram(compiled: Callable[..., Object]) -> None:
    found = compiled(
        'static __noinline SEC("raw_tp/x") int low(int x) { return x * 3; }\n'
        'SEC("raw_tp/x") int program(void *ctx) { return low(4) + low(5); }\n'
    )
    assert list(found.programs) == ["program"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "struct task { int pid; } __attribute__((preserve_access_index));\n"
            'SEC("raw_tp/x") int program(struct task *t) { return t->pid; }',
            ObjectError,
            "program program has CO-RE relocations",
        ),
        (
            'extern int CONFIG_HZ SEC(".kconfig"); SEC("raw_tp/x") int p(void *c) { return CONFIG_HZ; }',
            UnsupportedError,
            "'CONFIG_HZ', an extern kernel configuration variable",
        ),
        ('int nowhere(void); SEC("raw_tp/x") int p(void *c) { return nowhere(); }', UnsupportedError, "'nowhere'"),
        ('struct { u32 a, b, c, d; } old SEC("maps") = {1, 4, 4, 1};' + PROGRAM, ObjectError, "BTF-defined maps"),
        ('struct { __uint(max_entries, 4); } bad SEC(".maps");' + PROGRAM, ObjectError, "map bad: the definition says no type"),
        ('struct { __uint(type, 1); __uint(colour, 4); } bad SEC(".maps");' + PROGRAM, ObjectError, "unknown field 'colour'"),
        ('struct { __uint(type, 12); __uint(max_entries, 4); } bad SEC(".maps");' + PROGRAM, ObjectError, "a map of maps needs"),
        ('int (*table[2])(void *) = {0, 0}; int other; int *pointer = &other;' + PROGRAM, ObjectError, "the address of other"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_said(compiled: Callable[..., Object], text: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        compiled(text)


def test_a_call_of_a_kernel_function_is_left_to_the_loader(compiled: Callable[..., Object]) -> None:
    text = (
        'extern int first(void) SEC(".ksyms"); extern void second(void *) SEC(".ksyms");'
        'SEC("raw_tp/x") int p(void *c) { second(c); return first(); }'
    )
    found = compiled(text).programs["p"].relocations
    assert [(relocation.kind, relocation.symbol) for relocation in found] == [("kfunc", "second"), ("kfunc", "first")]


def test_initial_programs_of_a_prog_array_go_into_its_values(compiled: Callable[..., Object]) -> None:
    text = """
    int target(void *ctx);
    struct { __uint(type, 3); __uint(max_entries, 2); __uint(key_size, 4); __array(values, int(void *)); }
        jumps SEC(".maps") = { .values = { [1] = (void *)&target } };
    SEC("raw_tp/x") int target(void *ctx) { return 0; }
    """
    assert compiled(text).maps["jumps"].values == [(1, "target")]


def test_maps_without_btf_are_refused(compiled: Callable[..., Object]) -> None:
    text = 'struct { __uint(type, 1); } m SEC(".maps"); SEC("raw_tp/x") int p(void *c) { return !bpf_map_lookup_elem(&m, 0); }'
    with pytest.raises(ObjectError, match=r"without BTF: compile with -g"):
        compiled(text, "-g0")


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"not an object", bytes(1000), b"\x7fELF\x02\x01\x01" + bytes(60)])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ObjectError):
        read_object(data)


def test_every_truncation_is_refused_or_read(clang_object: Callable[..., bytes], everything_source: str) -> None:
    data = clang_object(everything_source)
    for size in range(0, len(data), 101):
        with pytest.raises(ObjectError):
            read_object(data[:size])


@pytest.mark.parametrize("seed", range(10))
def test_damaged_objects_raise_only_skeps_errors(clang_object: Callable[..., bytes], everything_source: str, seed: int) -> None:
    data = clang_object(everything_source)
    source = random.Random(seed)
    refused = 0
    for _ in range(100):
        damaged = bytearray(data)
        for _ in range(source.choice((1, 1, 2, 8, 64))):
            at = source.randrange(len(damaged))
            damaged[at] = source.choice((0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)))
        try:
            read_object(bytes(damaged))
        except (ObjectError, UnsupportedError):
            refused += 1
    assert refused > 0
