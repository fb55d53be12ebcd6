"""The user-space engine: the same bytecode, run as machine code without privilege."""
