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
    from skep.engine.formats import tracepoint_members

    compiled = compile_source(
        text, file=file, cflags=cflags, contexts=contexts, target=target, tracepoint_fields=tracepoint_members
    )
    built = read_object(compiled.data)
    if key:
        cache.put(key, compiled.diagnostics.encode() + b"\0" + compiled.data)
    _report(compiled.diagnostics)
    return built


def _depends_on_files(text: str, cflags: Sequence[str]) -> bool:
    """Whether files of the user's may be part of the result: the key would not see them change."""
    if "__has_include" in text or any(flag.startswith(("-I", "-i")) for flag in cflags):
        return True
    directives = (line.partition("#")[2].lstrip() for line in text.splitlines() if "#" in line)
    return any(line.startswith(("include", "import", "embed")) and "<" not in line for line in directives)


def _identity(text: str, file: str, cflags: Sequence[str], contexts: Mapping[str, str], target: str) -> list[bytes]:
    """Everything that the result depends on. The file name is in the line information and the warnings."""
    from skep.btf.kernel_id import kernel_identity

    btf = os.environ.get("SKEP_BTF")
    parts = [
        VERSION,
        compiler_state(),
        target,
        file,
        *cflags,
        "",
        *(f"{name}={contexts[name]}" for name in sorted(contexts)),
        "",
    ]
    if "bpf_num_cpus" in text:  # becomes a constant
        with open("/sys/devices/system/cpu/possible") as possible:
            parts.append(possible.read())
    return [
        kernel_identity(btf) if btf else kernel_identity(),
        *(part.encode("utf-8", "surrogateescape") for part in parts),
        text.encode("utf-8", "surrogateescape"),
    ]


def compiler_state() -> str:
    """The newest change of what makes objects: an edited or upgraded compiler must not meet its old results."""
    here = os.path.dirname(__file__)
    newest = max(_newest(os.path.join(here, folder)) for folder in ("compiler", "object"))
    return f"{newest} {_changed(os.path.join(here, 'llvm.py'))} {_changed(os.path.join(here, 'tracepoints.py'))}"


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:  # installed in a zip: the version has to do
        return 0


def _newest(folder: str) -> int:
    newest = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith((".py", ".h")):
                    newest = max(newest, entry.stat().st_mtime_ns)
                elif entry.name != "__pycache__" and entry.is_dir():
                    newest = max(newest, _newest(entry.path))
    except OSError:  # installed in a zip: the version has to do
        pass
    return newest


def _report(diagnostics: str) -> None:
    if diagnostics:
        print(diagnostics, file=sys.stderr)
