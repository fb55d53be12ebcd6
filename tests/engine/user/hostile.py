"""Programs that mean harm, or that are just wrong: each runs in a child process of its own, which must not die by a signal.

As a script it runs them all and prints a line for each: its name and what came of it. `ldmap %r1, N` takes map N of MAPS.
"""

# ruff: noqa: E501
from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "src"))

from skep.bytecode import decode
from skep.bytecode import instruction as isa
from skep.bytecode.assembler import assemble
from skep.engine.user.engine import _MAPS
from skep.engine.user.facts import MEMORY as MEMORY_CONTEXT
from skep.engine.user.jit import compile_program
from skep.engine.user.program import Environment, Program
from skep.errors import ExecutionError
from skep.object.model import MapSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.engine.user.maps import UserMap

MEMORY = bytes(range(64))
MAPS = [
    MapSpec("array", 2, 4, 16, 4),
    MapSpec("hash", 1, 4, 8, 8),
    MapSpec("ring", 27, 0, 0, 4096),
    MapSpec("programs", 3, 4, 4, 4),
    MapSpec("big", 2, 4, 65536, 1),
    MapSpec("constants", 2, 4, 64, 1, initial=bytes(64), frozen=True),
]
LOOKUP = """
stw [%r10-4], {key}
mov %r2, %r10
add %r2, -4
ldmap %r1, {map}
call 1
"""
ARRAY, HASH = LOOKUP.format(key=1, map=0), LOOKUP.format(key=1, map=1)
RESERVE = "ldmap %r1, 2\nmov %r2, 16\nmov %r3, 0\ncall 131\njeq %r0, 0, out\n"
SLICE = (
    "ldmap %r1, 2\nmov %r2, 16\nmov %r3, 0\nmov %r4, %r10\nadd %r4, -16\ncall 198\n"
    "mov %r1, %r10\nadd %r1, -16\nmov %r2, 0\nmov %r3, 16\ncall 203\njeq %r0, 0, out\n"
)
SUM_OF_64 = "mov %r0, 0\n" + "".join(f"ldxdw %r1, [%r10{at}]\nor %r0, %r1\n" for at in range(-200, -136, 8)) + "exit"
BAD, TIME, INVALID, MISALIGNED = "MemoryFault", "TimeLimit", "InvalidInstruction", "MemoryFault"
WILD = {
    "zero": "0", "one": "1", "page": "0x1000", "kernel": "0xffffffff81000000", "top": "0xffffffffffffffff",
    "last-page": "0xfffffffffffff000", "text": "0x400000", "non-canonical": "0x800000000000", "vsyscall": "0xffffffffff600000",
    "negative": "0x8000000000000000",
}  # fmt: skip

# name: (text, what is raised, or r0)
CASES: dict[str, tuple[str, str | int]] = {
    "memory-one-past": ("ldxb %r0, [%r1+64]\nexit", BAD),
    "memory-one-before": ("ldxb %r0, [%r1-1]\nexit", BAD),
    "memory-straddles": ("ldxdw %r0, [%r1+57]\nexit", BAD),
    "memory-write-past": ("stdw [%r1+64], 1\nmov %r0, 0\nexit", BAD),
    "memory-far": ("add %r1, 0x7fffffff\nldxb %r0, [%r1+0]\nexit", BAD),
    "memory-wraps-around": ("lddw %r3, 0xffffffffffffffc0\nadd %r1, %r3\nldxb %r0, [%r1+63]\nexit", BAD),
    "memory-index-from-memory": ("ldxb %r3, [%r1+63]\nlsh %r3, 8\nadd %r1, %r3\nldxb %r0, [%r1+0]\nexit", BAD),
    "memory-signed-index": ("mov32 %r3, -1\nmovsx3264 %r3, %r3\nadd %r1, %r3\nldxb %r0, [%r1+0]\nexit", BAD),
    "memory-loop-runs-over": ("mov %r3, 0\nagain: ldxb %r0, [%r1+0]\nadd %r1, 1\nadd %r3, 1\njne %r3, 65, again\nexit", BAD),
    "memory-loop-wrong-step": ("mov %r3, 0\nagain: ldxb %r0, [%r1+0]\nadd %r1, 3\nadd %r3, 3\njlt %r3, 190, again\nexit", BAD),
    "memory-length-off-by-one": (
        "mov %r3, %r1\nadd %r3, %r2\nagain: ldxb %r0, [%r1+0]\nadd %r1, 1\njle %r1, %r3, again\nexit", BAD),
    "memory-32-bit-test-of-64-bits": (
        "lddw %r3, 0x100000001\njgt32 %r3, 8, out\nadd %r1, %r3\nldxb %r0, [%r1+0]\nexit\nout: mov %r0, 0\nexit", BAD),
    "memory-signed-test-only": (
        "lddw %r3, 0xfffffffffffffff0\njsgt %r3, 8, out\nadd %r1, %r3\nldxb %r0, [%r1+0]\nexit\nout: mov %r0, 0\nexit", BAD),
    "memory-test-the-copy-after": (
        "ldxb %r3, [%r1+63]\nmov %r4, %r3\nadd %r3, 4096\njgt %r4, 63, out\nadd %r1, %r3\nldxb %r0, [%r1+0]\nexit\n"
        "out: mov %r0, 0\nexit", BAD),
    "memory-test-with-one-way": (
        "ldxb %r3, [%r1+63]\nlsh %r3, 8\njgt %r3, 8, on\non: mov %r4, %r10\nadd %r4, -512\nadd %r4, %r3\nldxb %r0, [%r4+0]\nexit",
        BAD),
    "map-null-test-with-one-way": (f"{LOOKUP.format(key=9, map=0)}jeq %r0, 0, on\non: ldxb %r0, [%r0+0]\nexit", BAD),
    "memory-pointer-multiplied": ("mul %r1, 3\nldxb %r0, [%r1+0]\nexit", BAD),
    "memory-pointer-cut-to-32-bits": ("mov32 %r1, %r1\nldxb %r0, [%r1+0]\nexit", BAD),
    "memory-pointer-negated": ("neg %r1\nldxb %r0, [%r1+0]\nexit", BAD),
    "memory-pointer-difference": ("mov %r3, %r10\nsub %r3, %r1\nldxb %r0, [%r3+0]\nexit", BAD),
    "memory-pointer-through-stack-changed": (
        "stxdw [%r10-8], %r1\nstb [%r10-3], 1\nldxdw %r3, [%r10-8]\nldxb %r0, [%r3+0]\nexit", BAD),
    "memory-pointer-through-stack-changed-by-index": (
        "stxdw [%r10-8], %r1\nldxb %r3, [%r1+0]\nand %r3, 7\nmov %r4, %r10\nadd %r4, %r3\nstb [%r4-8], 1\n"
        "ldxdw %r3, [%r10-8]\nldxb %r0, [%r3+0]\nexit", BAD),
    "memory-pointer-through-memory": ("stxdw [%r1+0], %r10\nldxdw %r3, [%r1+0]\nldxb %r0, [%r3+8]\nexit", BAD),
    "stack-below": ("stdw [%r10-520], 1\nmov %r0, 0\nexit", BAD),
    "stack-above": ("ldxdw %r0, [%r10+0]\nexit", BAD),
    "stack-straddles-top": ("ldxdw %r0, [%r10-4]\nexit", BAD),
    "stack-return-address": ("mov %r3, %r10\nadd %r3, 64\nstdw [%r3+0], 0x41414141\nmov %r0, 0\nexit", BAD),
    "stack-index": ("ldxb %r3, [%r1+63]\nlsh %r3, 4\nmov %r4, %r10\nsub %r4, %r3\nstdw [%r4-8], 1\nmov %r0, 0\nexit", BAD),
    "stack-loop-runs-down": ("mov %r3, %r10\nagain: add %r3, -8\nstdw [%r3+0], 0\nja again", BAD),
    "stack-loop-runs-up": ("mov %r3, %r10\nadd %r3, -512\nagain: stdw [%r3+0], 0\nadd %r3, 8\nja again", BAD),
    "stack-never-written": ("ldxdw %r0, [%r10-256]\nexit", 0),
    "stack-never-written-by-index": ("ldxb %r3, [%r1+8]\nmov %r4, %r10\nsub %r4, %r3\nldxdw %r0, [%r4-128]\nexit", 0),
    "stack-of-the-caller-above": (
        "mov %r1, %r10\ncall local f\nexit\nf: ldxdw %r0, [%r1+8]\nexit", BAD),
    "stack-of-a-function-that-is-gone": (
        "call local f\nldxdw %r0, [%r0+1024]\nexit\nf: mov %r0, %r10\nexit", BAD),
    "registers-never-written": ("mov %r0, %r7\nadd %r0, %r5\nexit", 0),
    "null-write": ("mov %r1, 0\nstdw [%r1+0], 1\nmov %r0, 0\nexit", BAD),
    "null-offset": ("mov %r1, 0\nldxdw %r0, [%r1+4096]\nexit", BAD),
    "endless-jump": ("ja -1\nexit", TIME),
    "endless-jump-32": ("ja32 -1\nexit", TIME),
    "endless-count": ("mov %r0, 0\nagain: add %r0, 1\nja again", TIME),
    "endless-step-over-the-end": ("mov %r3, 0\nagain: add %r3, 2\njne %r3, 7, again\nexit", TIME),
    "endless-wraps-at-32-bits": ("mov32 %r3, 0\nagain: add32 %r3, 2\njne32 %r3, 7, again\nexit", TIME),
    "endless-unsigned-below-nothing": ("mov %r3, 0\nagain: add %r3, 1\njge %r3, 0, again\nexit", TIME),
    "endless-down": ("mov %r3, 5\nagain: sub %r3, 2\njne %r3, 0, again\nexit", TIME),
    "endless-two-heads": ("ldxb %r3, [%r1+0]\njeq %r3, 0, b\na: add %r3, 1\nb: add %r3, 1\nja a\nexit", TIME),
    "endless-nested": (
        "mov %r3, 0\nouter: mov %r4, 0\ninner: add %r4, 1\njlt %r4, 1000, inner\nadd %r3, 0\njlt %r3, 1, outer\nexit", TIME),
    "endless-long-count": ("lddw %r3, 0x7fffffffffffffff\nagain: sub %r3, 1\njne %r3, 0, again\nexit", TIME),
    "endless-in-a-function": ("call local f\nexit\nf: ja -1\nexit", TIME),
    "endless-calls-without-a-loop": (
        "call local f1\nexit\n" + "".join(f"f{n}: " + f"call local f{n + 1}\n" * 60 + "exit\n" for n in range(1, 7)) + "f7: call 7\nexit", TIME),
    "endless-bounded-loops-nested": (
        "mov %r0, 0\n" + "".join(f"mov %r{n}, 0\nl{n}: add %r0, 1\n" for n in range(1, 6))
        + "".join(f"add %r{n}, 1\njne %r{n}, 3000, l{n}\n" for n in range(5, 0, -1)) + "exit", TIME),
    "loops-nested-too-deep": (
        "mov %r0, 0\n" + "".join(f"l{n}: add %r0, 1\n" for n in range(600)) + "".join(f"jlt %r0, {n}, l{n}\n" for n in range(599, -1, -1)) + "exit", INVALID),
    "endless-bounded-loops-in-a-row": (
        "mov %r0, 0\n" + "".join(
            f"mov %r1, 0\na{n}: mov %r2, 0\nb{n}: add %r0, %r2\nxor %r0, %r1\nadd %r2, 1\njne %r2, 4000, b{n}\nadd %r1, 1\njne %r1, 4000, a{n}\n"
            for n in range(300)) + "exit", TIME),
    "constant-written": ("ldmapvalue %r1, 5\nstdw [%r1+0], 1\nmov %r0, 0\nexit", INVALID),
    "constant-written-through-a-copy": ("ldmapvalue %r1, 5\nmov %r3, %r1\nadd %r3, 8\nmov %r4, 1\nlock add [%r3+0], %r4\nmov %r0, 0\nexit", INVALID),
    "stack-of-a-callee-that-never-ran": (
        "mov %r3, %r10\nmul %r3, 1\nldxdw %r0, [%r3-700]\njeq %r0, 77, f\nexit\nf: call local g\nexit\ng: stdw [%r10-8], 1\nmov %r0, 0\nexit", BAD),
    "stack-of-the-caller-never-written": (
        "mov %r1, %r10\nadd %r1, -64\ncall local f\nexit\nf: ldxdw %r0, [%r1+0]\nldxdw %r2, [%r1+8]\nor %r0, %r2\nexit", 0),
    "stack-of-the-caller-by-the-own-frame-pointer": (
        "stdw [%r10-8], 1\ncall local f\nexit\nf: ldxdw %r0, [%r10+504]\nexit", BAD),
    "stack-of-the-caller-by-a-helper": (
        "stdw [%r10-512], 1\ncall local f\nexit\nf: mov %r2, %r10\nldmap %r1, 0\ncall 1\njeq %r0, 0, out\nmov %r0, 3\nout: exit", BAD),
    "stack-of-the-caller-by-a-helper-and-a-number": (
        "stdw [%r10-512], 9\ncall local f\nexit\nf: mov %r2, %r10\nmul %r2, 1\nldmap %r1, 0\ncall 1\nexit", 0),
    "stack-of-the-caller-by-a-length": (
        "ldxb %r1, [%r1+63]\ncall local f\nexit\nf: mov %r2, %r1\nmov %r1, %r10\nadd %r1, -16\ncall 16\nexit", BAD),
    "stack-of-an-earlier-call": (
        "mov %r1, 1\ncall local f\nmov %r1, 0\ncall local f\nexit\n"
        "f: mov %r3, %r10\nmul %r3, 1\nldxdw %r0, [%r3-8]\njeq %r1, 0, out\nstdw [%r10-8], 77\nout: exit", 0),
    "stack-of-an-earlier-call-seen-by-a-callee": (
        "call local g\ncall local f\nexit\ng: stdw [%r10-8], 77\nmov %r0, 0\nexit\n"
        "f: mov %r1, %r10\nadd %r1, -8\ncall local h\nexit\nh: ldxdw %r0, [%r1+0]\nexit", 0),
    "stack-of-a-function-that-is-gone-below": (
        "call local f\nldxdw %r0, [%r0-8]\nexit\nf: stdw [%r10-8], 7\nmov %r0, %r10\nexit", BAD),
    "endless-calls": ("again: call local f\nja again\nexit\nf: mov %r0, 0\nexit", TIME),
    "endless-callbacks": (
        "again: mov %r1, 0x700000\nldfunc %r2, f\nmov %r3, 0\nmov %r4, 0\ncall 181\nja again\nexit\nf: mov %r0, 0\nexit", TIME),
    "callbacks-too-many": (
        "mov %r1, 0x7fffffff\nldfunc %r2, f\nmov %r3, 0\nmov %r4, 0\ncall 181\nexit\nf: mov %r0, 0\nexit", 2**64 - 7),
    "callback-that-faults": (
        "mov %r1, 9\nldfunc %r2, f\nmov %r3, 0\nmov %r4, 0\ncall 181\nexit\nf: ldxb %r0, [%r2+0]\nexit", BAD),
    "callback-is-a-number": ("mov %r1, 9\nmov %r2, 5\nmov %r3, 0\nmov %r4, 0\ncall 181\nexit", INVALID),
    "recursion": ("call local f\nexit\nf: call local f\nexit", INVALID),
    "recursion-of-two": ("call local f\nexit\nf: call local g\nexit\ng: call local f\nexit", INVALID),
    "recursion-through-a-callback": (
        "call local f\nexit\nf: mov %r1, 9\nldfunc %r2, f\nmov %r3, 0\nmov %r4, 0\ncall 181\nexit", INVALID),
    "calls-nine-deep": (
        "call local f1\nexit\n" + "".join(f"f{n}: call local f{n + 1}\nexit\n" for n in range(1, 9)) + "f9: mov %r0, 0\nexit", INVALID),
    "division-by-zero": ("mov %r0, 5\nmov %r3, 0\ndiv %r0, %r3\nexit", 0),
    "division-by-zero-32": ("mov %r0, 5\nmov %r3, 0\ndiv32 %r0, %r3\nexit", 0),
    "division-overflow": ("lddw %r0, 0x8000000000000000\nmov %r3, -1\nsdiv %r0, %r3\nexit", 1 << 63),
    "remainder-overflow": ("mov32 %r0, 0x80000000\nmov32 %r3, -1\nsmod32 %r0, %r3\nexit", 0),
    "shift-too-far": ("mov %r0, 1\nmov %r3, 200\nlsh %r0, %r3\nexit", 256),
    "shift-by-a-negative-number": ("mov %r0, 1\nmov %r3, -1\nlsh %r0, %r3\nexit", 1 << 63),
    "atomic-misaligned": ("mov %r3, 1\nlock add [%r10-9], %r3\nmov %r0, 0\nexit", MISALIGNED),
    "atomic-misaligned-exchange": ("mov %r3, 1\nlock xchg [%r10-12], %r3\nmov %r0, 0\nexit", MISALIGNED),
    "atomic-out-of-bounds": ("mov %r3, 1\nlock add [%r10+0], %r3\nmov %r0, 0\nexit", BAD),
    "atomic-null": ("mov %r1, 0\nmov %r3, 1\nlock fetch_add [%r1+0], %r3\nmov %r0, 0\nexit", BAD),
    "atomic-wild-compare": ("lddw %r1, 0x123456789abc0\nmov %r3, 1\nlock cmpxchg [%r1+0], %r3\nexit", BAD),
    "helper-unknown": ("call 4242\nexit", INVALID),
    "helper-negative": ("call -1\nexit", INVALID),
    "helper-wants-a-map": ("mov %r1, 7\nmov %r2, %r10\nadd %r2, -4\nstw [%r10-4], 0\ncall 1\nexit", INVALID),
    "helper-wild-key": ("lddw %r2, 0x4141414141414141\nldmap %r1, 0\ncall 1\nexit", BAD),
    "helper-null-key": ("mov %r2, 0\nldmap %r1, 0\ncall 1\nexit", BAD),
    "helper-key-past-stack": ("mov %r2, %r10\nadd %r2, -2\nldmap %r1, 0\ncall 1\nexit", BAD),
    "helper-wild-value": (
        "stw [%r10-4], 0\nmov %r2, %r10\nadd %r2, -4\nlddw %r3, 0x4141414141414141\nmov %r4, 0\nldmap %r1, 0\ncall 2\nexit", BAD),
    "helper-value-past-memory": (
        "mov %r3, %r1\nadd %r3, 56\nstw [%r10-4], 0\nmov %r2, %r10\nadd %r2, -4\nmov %r4, 0\nldmap %r1, 0\ncall 2\nexit", BAD),
    "helper-buffer-too-long": ("mov %r1, %r10\nadd %r1, -16\nmov %r2, 17\ncall 16\nexit", BAD),
    "helper-buffer-huge": ("mov %r1, %r10\nadd %r1, -16\nmov %r2, -1\ncall 16\nexit", BAD),
    "helper-buffer-wild": ("lddw %r1, 0x4141414141414141\nmov %r2, 16\ncall 16\nexit", BAD),
    "helper-print-format-wild": ("lddw %r1, 0x4141414141414141\nmov %r2, 8\ncall 6\nexit", BAD),
    "callx-wild": ("lddw %r3, 0x4141414141414141\ncallx %r3\nexit", INVALID),
    "callx-the-stack": ("mov %r3, %r10\ncallx %r3\nexit", INVALID),
    "map-unknown": ("ldmap %r1, 99\nmov %r0, 0\nexit", INVALID),
    "map-pointer-read": ("ldmap %r1, 0\nldxdw %r0, [%r1+24]\nexit", BAD),
    "map-pointer-written": ("ldmap %r1, 0\nstdw [%r1+24], 0\nmov %r0, 0\nexit", BAD),
    "map-pointer-moved": ("ldmap %r1, 0\nadd %r1, 8\nstw [%r10-4], 0\nmov %r2, %r10\nadd %r2, -4\ncall 1\nexit", INVALID),
    "map-value-not-tested": (LOOKUP.format(key=9, map=0) + "ldxdw %r0, [%r0+0]\nexit", BAD),
    "map-value-not-tested-hash": (HASH + "ldxdw %r0, [%r0+0]\nexit", BAD),
    "map-value-tested-the-wrong-way": (LOOKUP.format(key=9, map=0) + "jne %r0, 0, out\nldxdw %r0, [%r0+0]\nexit\nout: mov %r0, 0\nexit", BAD),
    "map-value-one-past": (ARRAY + "jeq %r0, 0, out\nldxb %r0, [%r0+16]\nexit\nout: mov %r0, 7\nexit", BAD),
    "map-value-one-before": (ARRAY + "jeq %r0, 0, out\nldxb %r0, [%r0-1]\nexit\nout: mov %r0, 7\nexit", BAD),
    "map-value-next-element": (ARRAY + "jeq %r0, 0, out\nadd %r0, 16\nldxdw %r0, [%r0+0]\nexit\nout: mov %r0, 7\nexit", BAD),
    "map-value-index": (
        "ldxb %r6, [%r1+63]\n" + ARRAY + "jeq %r0, 0, out\nadd %r0, %r6\nldxb %r0, [%r0+0]\nexit\nout: mov %r0, 7\nexit", BAD),
    "map-value-loop": (
        ARRAY + "jeq %r0, 0, out\nmov %r3, 0\nagain: stb [%r0+0], 1\nadd %r0, 1\nadd %r3, 1\njlt %r3, 17, again\nout: mov %r0, 7\nexit",
        BAD),
    "map-value-added-before-the-test": (LOOKUP.format(key=3, map=0) + "add %r0, 8\njeq %r0, 0, out\nldxdw %r0, [%r0+8]\nexit\nout: mov %r0, 7\nexit", BAD),
    "map-value-two-lookups": (
        ARRAY + "mov %r6, %r0\n" + LOOKUP.format(key=9, map=0) + "jeq %r6, 0, out\nldxdw %r0, [%r0+0]\nexit\nout: mov %r0, 7\nexit", BAD),
    "map-value-lookup-in-a-loop": (
        "mov %r7, 0\nmov %r8, 0\nagain: stxw [%r10-4], %r7\nmov %r2, %r10\nadd %r2, -4\nldmap %r1, 0\ncall 1\n"
        "jne %r7, 0, later\njeq %r0, 0, out\nlater: ldxdw %r8, [%r0+0]\nadd %r7, 1\njne %r7, 6, again\nout: mov %r0, 7\nexit", BAD),
    "map-values-of-a-hash": ("ldmapvalue %r1, 1\nldxdw %r0, [%r1+0]\nexit", INVALID),
    "map-values-of-a-ring": ("ldmapvalue %r1, 2\nldxdw %r0, [%r1+0]\nexit", INVALID),
    "map-value-moved-to-a-spilled-pointer-by-a-helper": (
        ARRAY + "jeq %r0, 0, out\nstxdw [%r10-16], %r0\nlddw %r3, 0x4141414141414140\nstxdw [%r10-24], %r3\nmov %r3, %r10\nadd %r3, -16\n"
        "sub %r3, %r0\nmov %r1, %r0\nadd %r1, %r3\nmov %r2, 8\nmov %r3, %r10\nadd %r3, -24\ncall 113\nldxdw %r3, [%r10-16]\n"
        "ldxdw %r0, [%r3+0]\nexit\nout: mov %r0, 7\nexit", BAD),
    "map-value-offset-too-large": ("ldmapvalue %r1, 0x1000000000\nldxdw %r0, [%r1+0]\nexit", BAD),
    "map-of-the-wrong-kind": ("stw [%r10-4], 0\nmov %r2, %r10\nadd %r2, -4\nldmap %r1, 2\ncall 1\nexit", INVALID),
    "map-programs-read": ("stw [%r10-4], 0\nmov %r2, %r10\nadd %r2, -4\nldmap %r1, 3\ncall 1\nexit", INVALID),
    "tail-call-of-nothing": ("ldmap %r2, 3\nmov %r3, 2\ncall 12\nmov %r0, 9\nexit", 9),
    "tail-call-far-index": ("ldmap %r2, 3\nmov %r3, -1\ncall 12\nmov %r0, 9\nexit", 9),
    "tail-call-through-an-array": ("ldmap %r2, 0\nmov %r3, 0\ncall 12\nmov %r0, 9\nexit", INVALID),
    "tail-call-without-context": ("mov %r1, 0\nldmap %r2, 3\nmov %r3, 0\ncall 12\nmov %r0, 9\nexit", INVALID),
    "record-past-its-end": (
        "ldmap %r1, 2\nmov %r2, 16\nmov %r3, 0\ncall 131\njeq %r0, 0, out\nstdw [%r0+16], 1\nmov %r1, %r0\nmov %r2, 0\ncall 133\n"
        "out: mov %r0, 7\nexit", BAD),
    "record-header": (
        "ldmap %r1, 2\nmov %r2, 16\nmov %r3, 0\ncall 131\njeq %r0, 0, out\nstw [%r0-8], -1\nmov %r1, %r0\nmov %r2, 0\ncall 133\n"
        "out: mov %r0, 7\nexit", BAD),
    "record-not-tested": ("ldmap %r1, 2\nmov %r2, 8192\nmov %r3, 0\ncall 131\nstdw [%r0+0], 1\nexit", BAD),
    "record-submitted-is-a-number": ("lddw %r1, 0x4141414141414141\nmov %r2, 0\ncall 132\nexit", INVALID),
    "record-submitted-twice": (
        "ldmap %r1, 2\nmov %r2, 16\nmov %r3, 0\ncall 131\njeq %r0, 0, out\nmov %r6, %r0\nmov %r1, %r6\nmov %r2, 0\ncall 132\n"
        "mov %r1, %r6\nmov %r2, 0\ncall 132\nout: mov %r0, 7\nexit", INVALID),
    "record-submitted-or-another": (
        "ldxb %r9, [%r1+1]\n" + RESERVE + "mov %r7, %r0\n" + RESERVE + "mov %r8, %r0\nmov %r6, %r7\njeq %r9, 0, one\nmov %r6, %r8\n"
        "one: mov %r1, %r6\nmov %r2, 0\ncall 132\nstdw [%r8+0], 5\nmov %r0, 9\nexit\nout: mov %r0, 7\nexit", BAD),
    "record-submitted-by-a-function": (
        RESERVE + "mov %r6, %r0\nmov %r1, %r0\ncall local f\nstdw [%r6+0], 5\nmov %r0, 9\nexit\nout: mov %r0, 7\nexit\n"
        "f: mov %r2, 0\ncall 132\nmov %r0, 0\nexit", BAD),
    "record-submitted-in-a-function-and-written": (
        RESERVE + "mov %r1, %r0\nmov %r2, %r0\ncall local f\nexit\nout: mov %r0, 7\nexit\n"
        "f: mov %r6, %r2\nmov %r2, 0\ncall 132\nstdw [%r6+0], 5\nmov %r0, 0\nexit", BAD),
    "record-submitted-in-a-loop": (
        RESERVE + "mov %r6, %r0\nmov %r7, 0\nagain: stdw [%r6+0], 5\nmov %r1, %r6\nmov %r2, 0\ncall 132\nadd %r7, 1\n"
        "jlt %r7, 3, again\nmov %r0, 9\nexit\nout: mov %r0, 7\nexit", INVALID),
    "record-submitted-in-a-callback": (
        RESERVE + "mov %r3, %r0\nmov %r1, 3\nldfunc %r2, f\nmov %r4, 0\ncall 181\nexit\nout: mov %r0, 7\nexit\n"
        "f: mov %r1, %r2\nmov %r2, 0\ncall 132\nmov %r0, 0\nexit", INVALID),
    "record-written-in-rounds-of-a-callback": (
        RESERVE + "mov %r6, %r0\nmov %r3, %r0\nmov %r1, 3\nldfunc %r2, f\nmov %r4, 0\ncall 181\nmov %r1, %r6\nmov %r2, 0\ncall 132\n"
        "mov %r0, 9\nexit\nout: mov %r0, 7\nexit\nf: stdw [%r2+8], 7\nmov %r0, 0\nexit", 9),
    "slice-of-a-submitted-record": (
        SLICE + "mov %r6, %r0\nmov %r1, %r10\nadd %r1, -16\nmov %r2, 0\ncall 199\nstdw [%r6+0], 5\nmov %r0, 9\nexit\n"
        "out: mov %r0, 7\nexit", BAD),
    "slice-submitted-as-a-record": (SLICE + "mov %r1, %r0\nmov %r2, 0\ncall 132\nmov %r0, 9\nexit\nout: mov %r0, 7\nexit", INVALID),
    "slice-submitted-as-a-record-by-a-function": (
        SLICE + "mov %r1, %r0\ncall local f\nmov %r1, %r10\nadd %r1, -16\nmov %r2, 0\nmov %r3, 16\ncall 203\njeq %r0, 0, out\n"
        "mov %r0, 9\nexit\nout: mov %r0, 7\nexit\nf: mov %r2, 0\ncall 132\nmov %r0, 0\nexit", 7),
    "key-of-an-element-written": (
        "ldmap %r1, 1\nldfunc %r2, f\nmov %r3, 0\nmov %r4, 0\ncall 164\nexit\nf: stw [%r2+0], 99\nmov %r0, 0\nexit", INVALID),
    "key-of-an-element-written-by-a-helper": (
        "ldmap %r1, 1\nldfunc %r2, f\nmov %r3, 0\nmov %r4, 0\ncall 164\nexit\nf: mov %r1, %r2\nmov %r2, 4\ncall 16\nmov %r0, 0\nexit", INVALID),
    "constant-written-by-a-helper": ("ldmapvalue %r1, 5\nmov %r2, 16\ncall 16\nexit", INVALID),
    "recursion-through-an-argument": ("ldfunc %r1, f\ncall local f\nexit\nf: callx %r1\nexit", INVALID),
    "recursion-through-a-callback-in-an-argument": (
        "ldfunc %r1, f\ncall local f\nexit\nf: mov %r2, %r1\nmov %r3, %r2\nmov %r1, 9\nmov %r4, 0\ncall 181\nexit", INVALID),
    "stack-too-short-for-a-function-in-an-argument": (
        "ldfunc %r1, g\ncall local f\nexit\nf: callx %r1\nexit\ng: stdw [%r10-512], 0x41414141\nmov %r0, 3\nexit", INVALID),
    "stack-of-the-caller-down-to-a-spilled-pointer": (
        "mov %r1, %r10\ncall local f\nexit\nf: mov %r6, %r1\n" + ARRAY + "jeq %r0, 0, out\nstxdw [%r10-8], %r0\nadd %r6, -520\n"
        "lddw %r3, 0x4141414141414140\nstxdw [%r6+0], %r3\nldxdw %r3, [%r10-8]\nldxdw %r0, [%r3+0]\nexit\nout: mov %r0, 7\nexit", BAD),
    "map-value-loop-to-a-bound-cut-to-32-bits": (
        ARRAY + "jeq %r0, 0, out\nmov %r6, %r0\nlddw %r4, 0x100000000\nmov %r3, 1000\nagain: mov %r5, %r6\nadd %r5, %r3\n"
        "ldxb %r0, [%r5-1000]\nadd %r3, -1\nmov32 %r7, %r4\njgt %r3, %r7, again\nmov %r0, 5\nexit\nout: mov %r0, 7\nexit", BAD),
    "stack-behind-a-string": (
        "stb [%r10-64], 0\nmov %r1, %r10\nadd %r1, -200\nmov %r2, 64\nmov %r3, %r10\nadd %r3, -64\ncall 115\n" + SUM_OF_64, 0),
    "stack-behind-a-dynptr-of-nothing": (
        "stdw [%r10-8], 0\nstdw [%r10-16], 0\nmov %r1, %r10\nadd %r1, -200\nmov %r2, 64\nmov %r3, %r10\nadd %r3, -16\nmov %r4, 0\n"
        "mov %r5, 0\ncall 201\n" + SUM_OF_64, 0),
    "endless-long-sums": (
        "mov %r6, 0\nmov %r7, 0\nagain: ldmapvalue %r1, 4\nmov %r2, 65536\nmov %r3, %r1\nmov %r4, 65536\nmov %r5, %r7\ncall 28\n"
        "mov %r7, %r0\nadd %r6, 1\njlt %r6, 250000, again\nmov %r0, %r7\nexit", TIME),
    "endless-down-from-an-empty-context": (
        "mov %r3, %r1\nadd %r3, 100\nagain: add %r3, -1\njge %r3, %r1, again\nmov %r0, 3\nexit", TIME),
    **{f"wild-read-{name}": (f"lddw %r3, {address}\nldxb %r0, [%r3+0]\nexit", BAD) for name, address in WILD.items()},
    **{f"wild-write-{name}": (f"lddw %r3, {address}\nstdw [%r3+0], 1\nmov %r0, 0\nexit", BAD) for name, address in WILD.items()},
}  # fmt: skip


def live_maps() -> list[UserMap]:
    live = [_MAPS[spec.type](spec, 1) for spec in MAPS]
    for map in live:
        if map.spec.initial is not None:
            map.update(bytes(4), map.spec.initial)
            map.freeze()
    return live


def references_of(code: bytes) -> dict[int, int]:
    references, at = {}, 0
    for insn in decode(code):
        if insn.wide and insn.src in (isa.PSEUDO_MAP_FD, isa.PSEUDO_MAP_VALUE):
            references[at] = insn.imm & 0xFFFFFFFF
        at += 2 if insn.wide else 1
    return references


def run(name: str) -> str:
    """What comes of one program: the exception's name, or r0."""
    text, wanted = CASES[name]
    code, limit = assemble(text), 0.05 if wanted == TIME else 60.0  # seconds: a busy machine does not end what would end
    try:
        with Program(code, maps=live_maps(), references=references_of(code), environment=Environment(limit)) as program:
            return str(program.run(b"" if "empty-context" in name else MEMORY))
    except ExecutionError as error:
        return type(error).__name__


def compile_ahead(name: str) -> None:
    """Into the cache, from the process whose LLVM is kept: a child alone would start LLVM for each program."""
    code = assemble(CASES[name][0])
    try:
        compile_program(code, MEMORY_CONTEXT, [map.facts for map in live_maps()], references_of(code))
    except ExecutionError:
        pass


def main() -> None:
    for name in sys.argv[1:] or CASES:
        sys.stdout.flush()
        compile_ahead(name)
        child = os.fork()
        if not child:
            try:
                print(f"{name}: {run(name)}", flush=True)
            except BaseException as error:
                print(f"{name}: {type(error).__name__}: {error}", flush=True)
            finally:
                os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            print(f"{name}: ended with status {status}", flush=True)


if __name__ == "__main__":
    main()
