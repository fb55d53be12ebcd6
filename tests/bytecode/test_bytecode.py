"""Decoding, encoding and printing; the kernel's own disassembler (in the verifier's log) and LLVM's are the judges."""

from __future__ import annotations

import ctypes
import os
import random
import re
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from skep.btf import kernel_btf
from skep.btf import types as bt
from skep.bytecode import Instruction, decode, disassemble, encode
from skep.bytecode import instruction as isa
from skep.errors import ObjectError

if TYPE_CHECKING:
    from pathlib import Path

Insn = Instruction
ALU64, ALU, JMP, JMP32, X = isa.ALU64, isa.ALU, isa.JMP, isa.JMP32, isa.X
GET_TIME = Insn(JMP | isa.CALL, imm=5)
EXIT = Insn(JMP | isa.EXIT)


def program_of_everything() -> list[Instruction]:
    """A program that the verifier walks straight through, with every kind of instruction that it can."""
    binary = [isa.ADD, isa.SUB, isa.MUL, isa.DIV, isa.OR, isa.AND, isa.MOD, isa.XOR, isa.MOV]
    shifts = [isa.LSH, isa.RSH, isa.ARSH]
    jumps = [op for op in range(isa.JEQ, isa.JCOND, 0x10) if op not in (isa.CALL, isa.EXIT)]
    # Known values: each jump has one way then, and the verifier does not walk 2^44 of them.
    program = [Insn(ALU64 | isa.MOV, 7, imm=-5), Insn(ALU64 | isa.MOV, 8, imm=9)]
    for group in (ALU64, ALU):
        for op in binary:
            program += [GET_TIME, Insn(group | op, 0, imm=-7), Insn(group | op | X, 0, 7)]
        for op in shifts:
            program += [Insn(group | op, 0, imm=3)]
        program += [Insn(group | isa.NEG, 0)]
        program += [Insn(group | op, 0, off=1, imm=5) for op in (isa.DIV, isa.MOD)]
        program += [Insn(group | isa.MOV | X, 0, 7, off=bits) for bits in ((8, 16, 32) if group == ALU64 else (8, 16))]
    for bits in (16, 32, 64):
        program += [Insn(ALU | isa.END, 0, imm=bits), Insn(ALU | isa.END | X, 0, imm=bits), Insn(ALU64 | isa.END, 0, imm=bits)]
    for size in (isa.B, isa.H, isa.W, isa.DW):
        program += [Insn(isa.ST | isa.MEM | size, 10, off=-8, imm=-2), Insn(isa.STX | isa.MEM | size, 10, 7, -16)]
    program += [Insn(isa.ST | isa.MEM | isa.DW, 10, off=-8, imm=1), Insn(isa.ST | isa.MEM | isa.DW, 10, off=-16)]
    for size in (isa.B, isa.H, isa.W, isa.DW):
        program += [Insn(isa.LDX | isa.MEM | size, 1, 10, -8)]
    program += [Insn(isa.LDX | isa.MEMSX | size, 1, 10, -8) for size in (isa.B, isa.H, isa.W)]
    for size in (isa.W, isa.DW):
        for op in (isa.ADD, isa.OR, isa.AND, isa.XOR):
            program += [Insn(isa.STX | isa.ATOMIC | size, 10, 7, -8, op)]
            program += [Insn(isa.STX | isa.ATOMIC | size, 10, 8, -8, op | isa.FETCH)]
        program += [Insn(isa.STX | isa.ATOMIC | size, 10, 8, -8, op) for op in (isa.XCHG, isa.CMPXCHG)]
    program += [Insn(isa.STX | isa.ATOMIC | isa.DW, 1, 10, -8, isa.LOAD_ACQUIRE)]
    program += [Insn(isa.STX | isa.ATOMIC | isa.DW, 10, 7, -8, isa.STORE_RELEASE)]
    program += [Insn(isa.LOAD_64, 1, imm=0x1122334455667788), Insn(isa.LOAD_64, 1, imm=2**64 - 1)]
    for group in (JMP, JMP32):
        for op in jumps:
            program += [Insn(group | op, 7, off=0, imm=-9), Insn(group | op | X, 7, 8, off=0)]
    program += [Insn(JMP | isa.JA, off=0), Insn(JMP32 | isa.JA, imm=0), Insn(JMP | isa.JCOND, off=0)]
    return [*program, Insn(ALU64 | isa.MOV, 0, imm=0), EXIT]


def verifier_log(code: bytes) -> str:
    """Loads a socket filter and returns what the verifier says at level 2: every instruction that it walks."""
    log = ctypes.create_string_buffer(4 << 20)
    insns, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    attributes = ctypes.create_string_buffer(
        struct.pack(
            "<IIQQIIQ", isa_socket_filter(), len(code) // 8, ctypes.addressof(insns), ctypes.addressof(licence), 2, len(log),
            ctypes.addressof(log),
        ),
        144,
    )  # fmt: skip
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(321, 5, attributes, 144)  # bpf(BPF_PROG_LOAD) on x86-64
    text = log.value.decode()
    assert fd >= 0, (os.strerror(ctypes.get_errno()), text[-2000:])
    os.close(fd)
    return text


def isa_socket_filter() -> int:
    from skep.object import PROGRAM_TYPES

    return PROGRAM_TYPES["socket_filter"]


def helper_names() -> dict[int, str]:
    found = kernel_btf().type(kernel_btf().find("bpf_func_id", "enum") or 0)
    assert isinstance(found, bt.Enum)
    return {value: "bpf_" + name.removeprefix("BPF_FUNC_") for name, value in found.values}


@pytest.mark.kernel
def test_every_line_is_as_the_kernel_prints_it() -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("this test makes the bpf(2) call by x86-64's number")
    code = encode(program_of_everything())
    ours = {int(line.split(":")[0]): line.split(": ", 1)[1].strip() for line in disassemble(code, helpers=helper_names())}
    kernels = {}
    for line in verifier_log(code).splitlines():
        match = re.match(r"(\d+): (\([0-9a-f]{2}\) .*?)\s*(;.*)?$", line)
        if match:
            kernels[int(match[1])] = match[2]
    assert len(kernels) > 0.9 * len(ours), "the verifier should have walked the whole program"
    assert {number: ours[number] for number in kernels} == kernels


def test_objdump_sees_the_same_operations(tmp_path: Path) -> None:
    clang, objdump = shutil.which("clang"), shutil.which("llvm-objdump")
    if not clang or not objdump:
        pytest.skip("clang and llvm-objdump are not installed")
    (tmp_path / "a.c").write_text(
        "unsigned long f(unsigned long *p, int n) { unsigned long s = 0; for (int i = 0; i < n; i++) s += p[i] / 3; return s; }"
    )
    subprocess.run([clang, "-target", "bpf", "-O2", "-c", "a.c", "-o", "a.o"], cwd=tmp_path, check=True)
    text = subprocess.run([objdump, "-d", "--no-show-raw-insn", "a.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
    theirs = re.findall(r"^\s+(\d+):\s+(.*)", text.stdout, re.M)

    from skep.elf import Elf

    ours = disassemble(Elf((tmp_path / "a.o").read_bytes()).by_name[".text"].data)
    assert len(ours) == len(theirs) > 10
    for mine, (number, their) in zip(ours, theirs, strict=True):
        assert int(mine.split(":")[0]) == int(number)
        assert mine.split(") ", 1)[1] == in_the_kernels_syntax(their)


def in_the_kernels_syntax(line: str) -> str:
    """objdump writes an offset as "r1 + 0" where the kernel has "r1 +0", jumps as "+0x3 <label>", and "ll" after 64 bits."""
    line = re.sub(r" <.*>$", "", line).replace(" ll", "")
    line = re.sub(r"goto ([+-])(0x[0-9a-f]+|\d+)", lambda m: f"goto pc{m[1]}{int(m[2], 0)}", line)
    line = re.sub(r"\((r\d+) ([+-]) (\d+)\)", r"(\1 \2\3)", line)
    return re.sub(r"(==|!=|[<>]=?|&) (-?\d+) goto", lambda m: f"{m[1]} {int(m[2]) & 0xFFFFFFFF:#x} goto", line)


def test_symbols_replace_operands() -> None:
    code = encode([Insn(isa.LOAD_64, 1, 1), Insn(JMP | isa.CALL, 0, 1, imm=4), Insn(JMP | isa.CALL, imm=1), EXIT])
    assert disassemble(code, {0: "map[counts]", 2: "pc+4#leaf"}, {1: "bpf_map_lookup_elem"}) == [
        "   0: (18) r1 = map[counts]",
        "   2: (85) call pc+4#leaf",
        "   3: (85) call bpf_map_lookup_elem#1",
        "   4: (95) exit",
    ]


def test_encode_is_the_inverse_of_decode() -> None:
    program = program_of_everything()
    assert decode(encode(program)) == program
    assert [insn for insn in program if insn.wide] == [insn for insn in program if insn.code == 0x18]


def test_every_code_has_a_line() -> None:
    source = random.Random(1)
    for opcode in range(256):
        fields = struct.pack("<BBhi", opcode, source.randrange(256), source.randrange(-9, 9), source.randrange(-99, 99))
        code = fields + (bytes(8) if opcode == 0x18 else b"")
        (line,) = disassemble(code)
        assert line.startswith(f"   0: ({opcode:02x}) ")


@pytest.mark.parametrize("code", [b"\x95", b"\x18" + bytes(7), b"\x18" + bytes(7) + b"\x95" + bytes(7)])
def test_cut_off_bytecode_is_refused(code: bytes) -> None:
    with pytest.raises(ObjectError, match="bytecode"):
        decode(code)


@pytest.mark.parametrize("insn", [Insn(0xB7, imm=1 << 31), Insn(0xB7, off=1 << 15), Insn(256), Insn(0xB7, dst=16, src=16)])
def test_fields_that_do_not_fit_are_refused(insn: Instruction) -> None:
    with pytest.raises(ObjectError, match="does not fit"):
        encode([insn])
