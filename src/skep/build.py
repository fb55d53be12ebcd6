"""C text to an object, through the cache on disk: a text that was compiled before starts without the compiler.

In: text, file name, flags, contexts. Out: an Object; the compiler's warnings go to stderr, on a warm start too.
"""

from __future__ import annotations

import os
import sys

from skep._version import VERSION
from skep.object import read_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.object.model import Object


def build(
    text: str, *, file: str = "<text>", cflags: Sequence[str] = (), contexts: Mapping[str, str] | None = None, target: str = "bpf"
) -> Object:
    """Compile `text`, or take the object from the cache. Raises CompileError."""
    from skep.cache import Cache

    contexts = contexts or {}
    cache = Cache()
    key = ""
    if cache.enabled and not _depends_on_files(text, cflags):
        key = cache.key("object", *_identity(text, file, cflags, contexts, target))
        entry = cache.get(key)
        if entry is not None:
            diagnostics, _, data = entry.partition(b"\0")
            _report(diagnostics.decode())
            return read_object(data)
    from skep.compiler import compile_source

    compiled = compile_source(text, file=file, cflags=cflags, contexts=contexts, target=target)
    built = read_object(compiled.data)
    if key:
        cache.put(key, compiled.diagnostics.encode() + b"\0" + compiled.data)
    _report(compiled.diagnostics)
    return built


def _depends_on_files(text: str, cflags: Sequence[str]) -> bool:
    """Whether files of the user's may be part of the text: their changes would not be seen by the key."""
    return '#include "' in text.replace("# ", "#") or any(flag.startswith(("-I", "-i")) for flag in cflags)


def _identity(text: str, file: str, cflags: Sequence[str], contexts: Mapping[str, str], target: str) -> list[bytes]:
    """Everything that the result depends on. The file name is in the line information and the warnings."""
    from skep.btf.kernel_id import kernel_identity

    btf = os.environ.get("SKEP_BTF")
    parts = [
        VERSION,
        _compiler_state(),
        target,
        file,
        *cflags,
        "",
        *(f"{name}={contexts[name]}" for name in sorted(contexts)),
        "",
    ]
    return [
        kernel_identity(btf) if btf else kernel_identity(),
        *(part.encode("utf-8", "surrogateescape") for part in parts),
        text.encode("utf-8", "surrogateescape"),
    ]


def _compiler_state() -> str:
    """The newest change of the compiler's files: an edited or upgraded compiler must not meet its old results."""
    newest = 0
    for folder in ("compiler", "compiler/headers", "object"):
        try:
            with os.scandir(os.path.join(os.path.dirname(__file__), folder)) as entries:
                newest = max(newest, *(entry.stat().st_mtime_ns for entry in entries if entry.name.endswith((".py", ".h"))))
        except (OSError, ValueError):  # inside a zip, or an empty folder: the version tells
            continue
    return str(newest)


def _report(diagnostics: str) -> None:
    if diagnostics:
        print(diagnostics, file=sys.stderr)
