"""BPF bytecode: decode, encode, print in the kernel's syntax; `assembler` makes it of text."""

from __future__ import annotations

from skep.bytecode.instruction import Instruction, decode, encode
from skep.bytecode.printer import disassemble

__all__ = ["Instruction", "decode", "disassemble", "encode"]
