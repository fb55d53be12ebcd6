"""Bytecode to machine code: translated and compiled once, then taken from the cache on disk.

An object is position-free: maps and regions are symbols that linking fills in. Its key has everything that it depends on:
the bytes, the maps' shapes, the context, this engine's own files, and the processor.
"""

from __future__ import annotations

import os

from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skep.cache import Cache
    from skep.engine.user.facts import Context, MapFacts

_RUNTIME = os.path.join(os.path.dirname(__file__), "runtime")
_LEVELS = ((4_000, 2), (20_000, 1))  # LLVM's, up to so many instructions: it takes 0.2 ms for each at 2
_KNOWN: dict[str, str] = {}  # what does not change while the process runs: the processor, the engine's files


def compile_program(
    data: bytes, context: Context, maps: Sequence[MapFacts], references: Mapping[int, int], *, ranges: bool = True
) -> tuple[bytes, bool]:
    """(object, whether the program may write its context). Raises InvalidInstruction for what is no valid program."""
    from skep.cache import Cache

    cache = Cache()
    key = ""
    if cache.enabled:
        places = " ".join(f"{insn}:{index}" for insn, index in sorted(references.items()))
        key = cache.key(
            "user", _state(), _processor(), context.key(), str(ranges), places, data, *[facts.key() for facts in maps]
        )
        found = cache.get(key)
        if found is not None:
            return found[1:], bool(found[0])
    from skep.engine.user.module import translate
    from skep.engine.user.unit import Unit
    from skep.engine.user.validate import validate
    from skep.llvm_server import start_worker

    code = validate(data)
    level = next((level for limit, level in _LEVELS if len(code.insns) <= limit), 0)
    with start_worker("host", "jit", level) as worker:
        module = translate(Unit(code, context, list(maps), dict(references), ranges))
        texts = [module.text, *[_runtime(name, cache) for name in sorted(module.files)]]
        built, messages, status = worker.finish("\0".join(texts))
    if status or not built:
        said = messages.strip().splitlines()
        raise SkepError(f"LLVM could not make machine code of a program: {said[-1] if said else f'status {status}'}")
    if key:
        cache.put(key, bytes([module.writes_context]) + built)
    return built, module.writes_context


def _runtime(name: str, cache: Cache) -> str:
    """A C file of the runtime as LLVM IR without debug information, compiled when it has changed."""
    key = cache.key("user runtime", _state(), name)
    found = cache.get(key)
    if found is not None:
        return found.decode()
    from skep.compiler import compile_source

    path = os.path.join(_RUNTIME, name)
    with open(path, encoding="utf-8") as file:
        compiled = compile_source(file.read(), file=path, target="host", emit="ir", opt_level=0)
    if compiled.diagnostics:
        raise SkepError(f"{path} compiles with warnings:\n{compiled.diagnostics}")
    text = _without_debug_information(compiled.data.decode())
    cache.put(key, text.encode())
    return text


def _without_debug_information(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if line.startswith(("!", "target ")) or line.lstrip().startswith("#dbg_"):
            continue
        before, marker, _ = line.partition(", !dbg !")
        if not marker and " !dbg !" in line:
            before = line.partition(" !dbg !")[0] + " {"
        lines.append(before)
    return "\n".join(lines)


def _state() -> str:
    """The newest change of the engine's files and the compiler's."""
    state = _KNOWN.get("state")
    if state is None:
        from skep.build import compiler_state

        here = os.path.dirname(__file__)
        newest = 0
        for folder in (here, _RUNTIME, os.path.join(here, "..", "..", "bytecode")):
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name.endswith((".py", ".c", ".h")):
                            newest = max(newest, entry.stat().st_mtime_ns)
            except OSError:  # installed in a zip: the version has to do
                pass
        state = _KNOWN["state"] = f"{newest} {compiler_state()}"
    return state


def _processor() -> str:
    """What the machine code is made for: the processor's name and features."""
    processor = _KNOWN.get("processor")
    if processor is None:
        machine = os.uname().machine
        try:
            with open("/proc/cpuinfo", "rb", buffering=0) as file:
                first = file.read(8192).partition(b"\n\n")[0].decode("ascii", "replace").splitlines()
        except OSError:
            first = []
        words = ("model name", "vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU part", "CPU implementer")
        kept = [line for line in first if line.partition(":")[0].strip() in words]
        processor = _KNOWN["processor"] = "\n".join([machine, *kept])
    return processor
