"""The user-space engine: the same bytecode, run as machine code without privilege."""

from __future__ import annotations

from skep.engine.user.program import TIME_LIMIT, Program

__all__ = ["Program", "execute"]


def execute(bytecode: bytes, memory: bytes = b"", *, time_limit: float = TIME_LIMIT) -> int:
    """Run raw bytecode with r1 = the memory (0 without), r2 = its length; gives r0.

    Raises InvalidInstruction, MemoryFault or TimeLimit (after `time_limit` seconds), all of them ExecutionErrors.
    """
    from skep.engine.user.program import Environment

    with Program(bytes(bytecode), environment=Environment(time_limit)) as program:
        return program.run(bytes(memory))
