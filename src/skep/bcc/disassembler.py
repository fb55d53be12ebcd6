"""BCC's `bcc.disassembler`: instructions as text."""

from __future__ import annotations

from skep.bytecode import disassemble


def disassemble_str(bpfstr: bytes) -> list[str]:
    """A line for each instruction."""
    return disassemble(bpfstr)


def disassemble_prog(func_name: bytes, bpfstr: bytes) -> str:
    """A program's lines below its name."""
    return "\n".join([f"Disassemble of BPF program {func_name!r}:", *disassemble(bpfstr)])
