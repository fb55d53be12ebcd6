"""Skep: eBPF for Python. `from skep import BPF` is where to start."""

from __future__ import annotations

from skep._version import VERSION as __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from skep.bpf import BPF
    from skep.object.model import Object

__all__ = ["BPF", "__version__", "compile", "load_object"]


def __getattr__(name: str) -> object:
    if name == "BPF":
        from skep.bpf import BPF

        globals()["BPF"] = BPF
        return BPF
    raise AttributeError(f"module 'skep' has no attribute {name!r}")


def compile(text: str | bytes, *, cflags: Sequence[str] = (), target: str = "bpf") -> Object:
    """Compile C text to an Object; raises CompileError."""
    from skep.build import build

    return build(text if isinstance(text, str) else text.decode("utf-8", "surrogateescape"), cflags=cflags, target=target)


def load_object(source: str | PathLike[str] | bytes) -> Object:
    """Read a BPF object file, by path or from its bytes: Skep's own or clang's. `BPF(object=...)` loads it."""
    from skep.object import read_object

    if isinstance(source, bytes):
        return read_object(source)
    from skep.errors import ObjectError

    try:
        with open(source, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ObjectError(f"cannot read {str(source)!r}: {error.strerror}") from error
    try:
        return read_object(data)
    except ObjectError as error:
        raise ObjectError(f"{source}: {error}") from None
