"""Text to bytecode; the printer and the kernel's notation are the judges, tests/conformance uses all of it."""

from __future__ import annotations

import pytest

from skep.bytecode import disassemble
from skep.bytecode.assembler import assemble
from skep.errors import ObjectError


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("add32 %r1, -4", "w1 += -4"),
        ("sdiv %r2, %r3", "r2 s/= r3"),
        ("movsx864 %r1, %r2", "r1 = (s8)r2"),
        ("ldxsh %r0, [%r1-2]", "r0 = *(s16 *)(r1 -2)"),
        ("stdw [%r10-8], 0xffffffff", "*(u64 *)(r10 -8) = -1"),
        ("lock cmpxchg [%r2+8], %r3", "r0 = atomic64_cmpxchg((u64 *)(r2 +8), r0, r3)"),
        ("strelw [%r2+4], %r3", "store_release((u32 *)(r2 +4), r3)"),
        ("jset32 %r1, 0x80000000, +1", "if w1 & 0x80000000 goto pc+1"),
        ("be32 %r4", "r4 = be32 r4"),
        ("swap16 %r4", "r4 = bswap16 r4"),
        ("lddw %r5, 0x1122334455667788", "r5 = 0x1122334455667788"),
        ("may_goto +2", "may_goto pc+2"),
        ("call kernel 1234", "call kernel-function#1234"),
    ],
)
def test_notation(text: str, printed: str) -> None:
    (line,) = disassemble(assemble(text))
    assert line.partition(") ")[2] == printed


def test_labels_count_units() -> None:
    """A 64-bit load takes two; `exit` is the first exit; comments and several labels on one line are nothing."""
    code = assemble("a: b: ja c  # over the load\nlddw %r0, 1\nc: jeq %r0, 0, exit\nja a\nexit\nexit")
    jumps = [line.partition(") ")[2] for line in disassemble(code)]
    assert [jumps[0], jumps[2], jumps[3]] == ["goto pc+2", "if r0 == 0x0 goto pc+1", "goto pc-5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mov %r0, 1\nmvo %r0, 1", "line 2: there is no instruction 'mvo'"),
        ("mov %r16, 1", r"line 1: .*'%r16' is no register"),
        ("mov %r0, 0x100000000", "does not fit into 32 bits"),
        ("ldxw %r0, %r1", "'%r1' is no memory operand"),
        ("ja nowhere", "there is no label 'nowhere'"),
        ("mov %r0", "line 1"),
    ],
)
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(ObjectError, match=message):
        assemble(text)
