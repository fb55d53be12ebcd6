"""What only the finished object shows: BPF's stack limit, 512 bytes over a whole chain of calls (kernel: MAX_BPF_STACK), and
calls through pointers that LLVM could not resolve.
"""

from __future__ import annotations

from struct import iter_unpack

from skep.compiler.diagnostics import Diagnostics
from skep.compiler.source import Token
from skep.errors import CompileError, ObjectError

LIMIT = 512
CALL_REGISTER = 0x8D
WORTH_NAMING = 32  # bytes


def check_stack(data: bytes, frames: dict[str, list[tuple[int, str, Token]]], diagnostics: Diagnostics) -> None:
    """Raises CompileError for each program whose chain of calls needs too much, naming its largest locals."""
    from skep.object import read_object
    from skep.object.stack import stack_use

    try:
        programs = read_object(data).programs
    except ObjectError as problem:
        for _, name, token in frames.get("", ()):  # objects with addresses in them; LLVM may have got rid of some
            if b"\0" + name.encode() + b"\0" in data:
                diagnostics.error(
                    f"'{name}' holds addresses of other objects, and BPF has no data that a loader could write them into; "
                    "write an array of arrays, as in `char names[][16]`, or choose with switch", token, code="data-address",
                )  # fmt: skip
        diagnostics.raise_if_errors()
        raise CompileError(f"the program compiles to what cannot be loaded: {problem}") from problem
    for program in programs.values():
        if any(opcode == CALL_REGISTER for opcode, *_ in iter_unpack("<BBhi", program.instructions)):
            at = next((t for name, items in frames.items() if name == program.name for _, what, t in items if what == ""), None)
            diagnostics.error(
                f"'{program.name}' calls a function through a pointer that is not known before it runs, and BPF has no such "
                "call; choose with if or switch", at or next(iter(frames.values()))[0][2], code="function-pointer",
            )  # fmt: skip
            continue
        use, depth = stack_use(program)
        if depth <= LIMIT:
            continue
        locals_ = sorted((item for items in frames.values() for item in items), key=lambda item: -item[0])
        at = next((t for name, items in frames.items() if name == program.name for _, what, t in items if what == ""), None)
        notes = [
            diagnostics.note(f"'{name}' takes {size} bytes", token)
            for size, name, token in locals_
            if name and size >= WORTH_NAMING
        ][:3]
        if at is None:
            at = locals_[0][2]
        calls = f" in its chain of calls ({use} of its own)" if use != depth else ""
        diagnostics.error(
            f"'{program.name}' needs {depth} bytes of stack{calls}, and BPF has {LIMIT}; "
            "keep large data in a BPF_PERCPU_ARRAY and use the pointer that lookup() gives",
            at, notes=notes, code="stack",
        )  # fmt: skip
    diagnostics.raise_if_errors()
