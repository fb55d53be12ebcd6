"""Programs in machine code: ways in, memory that is shared, calls, what is proved and what is looked at while it runs."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from skep.bytecode import decode
from skep.bytecode.assembler import assemble
from skep.compiler import compile_source
from skep.engine.user import execute, jit, layout
from skep.engine.user.facts import XDP, Context, MapFacts
from skep.engine.user.module import Unit, translate
from skep.engine.user.program import Environment, Program
from skep.engine.user.validate import validate
from skep.errors import ExecutionError, InvalidInstruction, MemoryFault, TimeLimit
from skep.native import NativeCode

ROOT = Path(__file__).resolve().parents[3]
SUM = assemble("""
mov %r0, 0
ldxb %r3, [%r1+0]
add %r0, %r3
ldxb %r3, [%r1+7]
add %r0, %r3
exit
""")
EIGHT = Context("eight bytes", 8)


class Memory:
    """A map made by hand: `values` are what programs see, `regions` says so."""

    def __init__(self, type: int, key_size: int, value_size: int, entries: int) -> None:
        self.facts = MapFacts(type, key_size, value_size, entries)
        self.values = (ctypes.c_uint64 * (self.facts.stride // 8 * entries))()
        self.storage = ctypes.c_uint64()
        shape = layout.Shape(type, key_size, value_size, entries, 0, self.facts.stride)
        self.header = layout.MapHeader(shape, ctypes.addressof(self.values), storage=ctypes.addressof(self.storage))
        self.address = ctypes.addressof(self.header)

    def regions(self) -> list[tuple[int, int, int, int]]:
        return [(ctypes.addressof(self.values), ctypes.sizeof(self.values), self.facts.stride, self.facts.value_size)]

    def keep(self) -> object:
        return self


def with_maps(text: str, *maps: Memory, **options: object) -> Program:
    """`ldmap %r1, N` loads map N."""
    code, references, at = assemble(text), {}, 0
    for insn in decode(code):
        if insn.wide and insn.src:
            references[at] = insn.imm & 0xFFFFFFFF
        at += 2 if insn.wide else 1
    return Program(code, maps=maps, references=references, **options)  # type: ignore[arg-type]


def checks(
    text: str, context: Context = EIGHT, maps: list[MapFacts] | None = None, references: dict[int, int] | None = None
) -> int:
    """How many accesses of a program are looked at while it runs."""
    module = translate(Unit(validate(assemble(text)), context, maps or [], references or {}, True))
    return module.text.count("call void @skep_fault")


def test_header_and_mirror_have_the_same_layout() -> None:
    pairs = [("task", layout.Task), ("region", layout.Region), ("shape", layout.Shape), ("map", layout.MapHeader)]
    pairs += [("output", layout.Output), ("env", layout.Env)]
    wanted, lines = [], []
    for name, mirror in pairs:
        wanted.append(ctypes.sizeof(mirror))
        lines.append(f"sizeof(struct skep_{name})")
        for field, *_ in mirror._fields_:
            wanted.append(getattr(mirror, field).offset)
            lines.append(f"__builtin_offsetof(struct skep_{name}, {field})")
    text = f'#include "env.h"\nu64 places[] = {{ {", ".join(lines)} }};\nu64 count(void) {{ return {len(lines)}; }}\n'
    folder = ROOT / "src/skep/engine/user/runtime"
    with NativeCode(compile_source(text, cflags=[f"-I{folder}"], target="host").data) as code:
        places = (ctypes.c_uint64 * len(lines)).from_address(code.address("places"))
        assert list(places) == wanted


def test_run_is_a_built_in_function() -> None:
    with Program(SUM, context=EIGHT) as program:
        assert type(program.run).__name__ == "builtin_function_or_method"
        assert program.run(bytes(range(8))) == 7
        assert program.run(bytearray(range(1, 9))) == 9
        assert program.run(memoryview(b"\1" * 100)) == 2
        with pytest.raises(ValueError, match="a context of 7 bytes: eight bytes has 8"):
            program.run(bytes(7))
        with pytest.raises(TypeError, match="not str"):
            program.run("12345678")


def test_closed_program_raises() -> None:
    program = Program(SUM, context=EIGHT)
    run = program.run
    program.close()
    for context in (bytes(8), bytearray(8)):
        with pytest.raises(ExecutionError, match="closed"):
            run(context)


def test_function_outlives_the_handle() -> None:
    run = Program(SUM, context=EIGHT).run
    assert [run(bytes([n] * 8)) for n in range(3)] == [0, 2, 4]


def test_bytes_are_never_changed_and_bytearrays_are() -> None:
    with Program(assemble("stb [%r1+0], 7\nldxb %r0, [%r1+0]\nexit"), context=EIGHT) as program:
        fixed, changing = bytes(8), bytearray(8)
        assert program.run(fixed) == 7
        assert list(program.run_batch(fixed * 2, 8)) == [7, 7]
        assert fixed == bytes(8)
        assert program.run(changing) == 7
        assert changing[0] == 7


def test_batch() -> None:
    contexts = b"".join(bytes([n] * 8) for n in range(100))
    with Program(SUM, context=EIGHT) as program:
        assert list(program.run_batch(contexts, 8)) == [2 * n for n in range(100)]
        assert list(program.run_batch(b"", 8)) == []
        with pytest.raises(ValueError, match="801 bytes are not contexts of 8 bytes"):
            program.run_batch(contexts + b"x", 8)
    with Program(assemble("ldxb %r3, [%r1+0]\nadd %r1, %r3\nldxb %r0, [%r1+0]\nexit"), context=EIGHT) as program:
        with pytest.raises(MemoryFault):
            program.run_batch(contexts, 8)
        assert program.run(bytes(8)) == 0  # the fault is cleared


def test_memory_and_length() -> None:
    assert execute(assemble("mov %r0, %r2\nexit"), bytes(77)) == 77
    assert execute(assemble("mov %r0, %r1\nexit")) == 0
    assert execute(assemble("mov %r0, -1\nexit")) == 2**64 - 1


def test_fault_names_the_c_line() -> None:
    code = assemble("mov %r0, 0\nldxdw %r0, [%r0+64]\nexit")
    program = Program(code, source=lambda insn: f"return *p; @ {insn}.c:3")
    with pytest.raises(MemoryFault) as caught:
        program.run(b"")
    assert caught.value.source_line == "return *p; @ 1.c:3"
    assert caught.value.address == 64
    assert str(caught.value).startswith("instruction 1: return *p; @ 1.c:3: access of 8 bytes at 0x40")


def test_invalid_bytecode_is_refused_before_it_runs() -> None:
    with pytest.raises(InvalidInstruction) as caught:
        Program(assemble("mov %r0, 0\nexit") + b"\xff" + bytes(7))
    assert caught.value.insn == 2
    for data in (b"", bytes(7), assemble("exit")[:4]):
        with pytest.raises(InvalidInstruction, match="whole number"):
            execute(data)


@pytest.mark.parametrize("position", [1, 2, 4])
def test_reserved_fields_are_zero(position: int) -> None:
    """A source register, an offset or an immediate where an instruction has none."""
    refused = 0
    for text in (
        "exit",
        "neg %r0",
        "ja +0",
        "mov %r0, %r1",
        "ldxw %r0, [%r1+0]",
        "stxw [%r1+0], %r2",
        "callx %r1",
        "lddw %r0, 1",
    ):
        code = bytearray(assemble(text + "\nexit"))
        code[position] ^= 0x20 if position == 1 else 1
        try:
            validate(bytes(code))
        except InvalidInstruction:
            refused += 1
    assert refused >= 3


def test_tail_calls_end_after_33() -> None:
    counts, programs = Memory(2, 4, 8, 1), Memory(3, 4, 8, 2)
    text = """
    mov %r6, %r1
    stw [%r10-4], 0
    mov %r2, %r10
    add %r2, -4
    ldmap %r1, 0
    call 1
    jeq %r0, 0, out
    ldxdw %r3, [%r0+0]
    add %r3, 1
    stxdw [%r0+0], %r3
    mov %r1, %r6
    ldmap %r2, 1
    mov %r3, 1
    call 12
    out: mov %r0, 5
    exit
    """
    with with_maps(text, counts, programs) as program:
        assert program.run(b"") == 5  # nothing at this index
        programs.values[1] = program.entry
        assert program.run(b"") == 5
        assert counts.values[0] == 1 + 34
        assert program.run(b"") == 5  # counted anew
        assert counts.values[0] == 1 + 34 + 34


def test_fault_in_a_tail_called_program() -> None:
    programs = Memory(3, 4, 8, 1)
    with Program(assemble("mov %r1, 0\nldxb %r0, [%r1+0]\nexit")) as target:
        programs.values[0] = target.entry
        for text in (
            "ldmap %r2, 0\nmov %r3, 0\ncall 12\nmov %r0, 1\nexit",
            "call local f\nmov %r0, 1\nexit\nf: ldmap %r2, 0\nmov %r3, 0\ncall 12\nmov %r0, 1\nexit",
        ):
            with with_maps(text, programs) as program, pytest.raises(MemoryFault):
                program.run(b"")


LOOP = """
stdw [%r10-8], 0
mov %r1, {rounds}
ldfunc %r2, body
mov %r3, %r10
add %r3, -8
mov %r4, {flags}
call 181
ldxdw %r1, [%r10-8]
lsh %r1, 32
or %r0, %r1
exit
body: ldxdw %r3, [%r2+0]
add %r3, %r1
stxdw [%r2+0], %r3
mov %r0, 0
jlt %r1, 50, +1
mov %r0, 1
exit
"""


def test_loop_helper() -> None:
    assert execute(assemble(LOOP.format(rounds=10, flags=0))) == 45 << 32 | 10
    assert execute(assemble(LOOP.format(rounds=1000, flags=0))) == 1275 << 32 | 51
    assert execute(assemble(LOOP.format(rounds=0, flags=0))) == 0
    assert execute(assemble(LOOP.format(rounds=10, flags=1))) == 2**64 - 22  # -EINVAL
    assert execute(assemble(LOOP.format(rounds=(1 << 23) + 1, flags=0))) == 2**64 - 7  # -E2BIG


def test_call_of_a_function_by_its_address() -> None:
    text = "mov %r1, 20\nmov %r2, 22\nldfunc %r6, sum\ncallx %r6\nexit\nsum: mov %r0, %r1\nadd %r0, %r2\nexit"
    assert execute(assemble(text)) == 42


def test_for_each_over_an_array() -> None:
    array = Memory(2, 4, 16, 5)
    for n in range(5):
        array.values[2 * n] = n * n
    text = """
    stdw [%r10-8], 0
    ldmap %r1, 0
    ldfunc %r2, each
    mov %r3, %r10
    add %r3, -8
    mov %r4, 0
    call 164
    ldxdw %r1, [%r10-8]
    lsh %r1, 32
    or %r0, %r1
    exit
    each: ldxdw %r5, [%r3+0]
    ldxw %r0, [%r2+0]
    stxdw [%r3+8], %r0
    ldxdw %r0, [%r4+0]
    add %r0, %r5
    stxdw [%r4+0], %r0
    mov %r0, 0
    exit
    """
    with with_maps(text, array) as program:
        assert program.run(b"") == 30 << 32 | 5
    assert [array.values[2 * n + 1] for n in range(5)] == [0, 1, 2, 3, 4]


def test_helpers_tell_the_task_of_the_environment() -> None:
    environment = Environment()
    environment.task.pid, environment.task.tgid, environment.task.time = 7, 9, 12345
    with Program(assemble("call 14\nmov %r6, %r0\ncall 5\nlsh %r6, 16\nadd %r0, %r6\nexit"), environment=environment) as program:
        assert program.run(b"") == (((9 << 32 | 7) << 16) + 12345) % 2**64


def test_time_limit_is_of_one_run() -> None:
    """A long batch of short runs is no endless loop; a loop whose bound is not known is stopped in the middle."""
    text = "ldxdw %r3, [%r1+0]\nmov %r0, 0\nagain: add %r0, %r3\nmul %r0, 3\nsub %r3, 1\njne %r3, 0, again\nexit"
    with Program(assemble(text), context=EIGHT, environment=Environment(0.02)) as program:
        assert len(program.run_batch((2000).to_bytes(8, "little") * 20_000, 8)) == 20_000
        with pytest.raises(TimeLimit):
            program.run((0).to_bytes(8, "little"))


def test_loop_that_begins_with_the_program() -> None:
    """r1 is the context at first and a number later: both at the head of one loop."""
    text = "begin: mov %r6, %r1\nldxb %r0, [%r6+0]\nmov %r1, %r10\nstb [%r10+0], 1\nja begin"
    assert execute(assemble("begin: jeq %r1, 7, out\nldxb %r0, [%r1+3]\nmov %r1, 7\nja begin\nout: exit"), b"abcd") == ord("d")
    with pytest.raises(MemoryFault) as caught:
        execute(assemble(text), b"abcd")
    assert caught.value.insn == 3


def test_stop_from_outside() -> None:
    environment = Environment(60)
    environment.env.stop = 1
    with pytest.raises(TimeLimit):
        Program(assemble("ja -1\nexit"), environment=environment).run(b"")


PROVED = {
    "stack": "stdw [%r10-8], 1\nldxdw %r0, [%r10-8]\nexit",
    "context": "ldxdw %r0, [%r1+0]\nexit",
    "spilled-context": "stxdw [%r10-8], %r1\nldxdw %r3, [%r10-8]\nldxdw %r0, [%r3+0]\nexit",
    "masked-index": "ldxb %r3, [%r1+0]\nand %r3, 7\nadd %r1, %r3\nldxb %r0, [%r1+0]\nexit",
    "tested-index": "ldxb %r3, [%r1+0]\njgt %r3, 7, out\nadd %r1, %r3\nldxb %r0, [%r1+0]\nout: exit",
    "tested-copy": "ldxb %r3, [%r1+0]\nmov %r4, %r3\njgt %r4, 7, out\nadd %r1, %r3\nldxb %r0, [%r1+0]\nout: exit",
    "signed-test": "ldxdw %r3, [%r1+0]\njslt %r3, 0, out\njsgt %r3, 7, out\nadd %r1, %r3\nldxb %r0, [%r1+0]\nout: exit",
    "remainder": "ldxdw %r3, [%r1+0]\nmod %r3, 8\nadd %r1, %r3\nldxb %r0, [%r1+0]\nexit",
    "loop-not-equal": "mov %r3, 0\na: ldxb %r0, [%r1+0]\nadd %r1, 1\nadd %r3, 1\njne %r3, 8, a\nexit",
    "loop-pointer-end": "mov %r3, %r1\nadd %r3, 8\na: ldxw %r0, [%r1+0]\nadd %r1, 4\njne %r1, %r3, a\nexit",
    "loop-down": "mov %r3, 8\na: mov %r4, %r1\nadd %r4, %r3\nldxb %r0, [%r4-1]\nadd %r3, -1\njne %r3, 0, a\nexit",
    "loop-32-bits": "mov32 %r3, 0\na: mov %r4, %r1\nadd %r4, %r3\nldxb %r0, [%r4+0]\nadd32 %r3, 1\njlt32 %r3, 8, a\nexit",
    "loop-nested": "mov %r3, 0\no: mov %r4, 0\ni: mov %r5, %r3\nlsh %r5, 2\nadd %r5, %r4\nadd %r5, %r1\nldxb %r0, [%r5+0]\n"
    "add %r4, 1\njne %r4, 4, i\nadd %r3, 1\njne %r3, 2, o\nexit",
    "callee": "call local f\nexit\nf: ldxdw %r0, [%r1+0]\nexit",
    "callee-on-callers-stack": "stdw [%r10-8], 1\nmov %r1, %r10\nadd %r1, -8\ncall local f\nexit\nf: ldxdw %r0, [%r1+0]\nexit",
}


@pytest.mark.parametrize("name", PROVED)
def test_proved(name: str) -> None:
    assert checks(PROVED[name]) == 0


def test_map_values_are_proved_after_a_null_test() -> None:
    text = "stw [%r10-4], 0\nmov %r2, %r10\nadd %r2, -4\nldmap %r1, 0\ncall 1\n{test}ldxdw %r0, [%r0+8]\nout: exit"
    facts, references = [MapFacts(2, 4, 16, 4)], {3: 0}
    assert checks(text.format(test="jeq %r0, 0, out\n"), maps=facts, references=references) == 0
    assert checks(text.format(test=""), maps=facts, references=references) > 0


def test_packets_are_proved_after_a_test_of_the_end() -> None:
    text = "ldxw %r2, [%r1+0]\nldxw %r3, [%r1+4]\nmov %r4, %r2\nadd %r4, 14\nmov %r0, 1\n{test}ldxb %r0, [%r2+{at}]\nout: exit"
    assert checks(text.format(test="jgt %r4, %r3, out\n", at=13), XDP) == 0
    assert checks(text.format(test="jgt %r4, %r3, out\n", at=14), XDP) > 0
    assert checks(text.format(test="", at=0), XDP) > 0


def test_second_start_needs_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    code = assemble("mov %r0, 4711\nexit")
    assert execute(code) == 4711
    monkeypatch.setattr("skep.llvm_server.start_worker", None)
    assert execute(code) == 4711
    with pytest.raises(TypeError):
        execute(assemble("mov %r0, 4712\nexit"))


def test_key_of_the_cache_has_the_processor() -> None:
    assert "flags" in jit._processor() or "Features" in jit._processor() or os.uname().machine == jit._processor()


def test_unprivileged(as_nobody: tuple[str, ...]) -> None:
    text = "from skep.engine.user import execute; print(execute(bytes.fromhex('b70000002a0000009500000000000000')))"
    run = subprocess.run(
        [*as_nobody, sys.executable, "-c", text],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.stdout == "42\n", run.stderr


def test_close_while_another_thread_runs_a_batch() -> None:
    """The machine code stays until the batch has ended."""
    text = "mov %r3, 0\nagain: add %r3, 1\nldxb %r4, [%r1+0]\nadd %r3, %r4\njlt %r3, 20000, again\nmov %r0, 1\nexit"
    program = Program(assemble(text))
    begun, results = threading.Event(), []

    def batch() -> None:
        begun.set()
        results.append(program.run_batch(bytes(8 * 20000), 8))

    thread = threading.Thread(target=batch)
    thread.start()
    begun.wait()
    time.sleep(0.02)
    program.close()
    thread.join()
    with pytest.raises(ExecutionError, match="closed"):
        program.run(bytes(8))
    assert not results or set(results[0]) == {1}
