"""The compiler: C text in BCC's dialect to a BPF object (or C text to code for this machine).

Passes, one module each: lexer, preprocessor, parser, checker, (origins,) emitter; LLVM does the rest in `skep.llvm`.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence

from skep.compiler.diagnostics import Diagnostic, Diagnostics
from skep.compiler.source import SourceFile, Token
from skep.errors import CompileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf import Btf


class Compiled:
    """What a compilation gives: `data` (ELF object, or text for other `emit`), warnings rendered and as they are."""

    __slots__ = ("data", "diagnostics", "items")

    def __init__(self, data: bytes, diagnostics: Diagnostics, *, quiet: bool = False) -> None:
        self.data = data
        self.diagnostics = "" if quiet else diagnostics.render()
        self.items: list[Diagnostic] = [] if quiet else diagnostics.in_order()


class Flags:
    """The compiler flags that programs give: -D, -U, -I; -w: no warnings; -v: notes, too; others of clang's are accepted."""

    def __init__(self, flags: Sequence[str]) -> None:
        self.defines: list[str] = []
        self.undefines: list[str] = []
        self.include_dirs: list[str] = []
        self.quiet = False
        self.verbose = False
        self.lenient: dict[
            str, bool
        ] = {}  # by the name of clang's warning: what is an error without it becomes a warning, or nothing
        words = list(flags)
        while words:
            word = words.pop(0)
            if word[:2] in ("-D", "-U", "-I"):
                argument = word[2:] or (words.pop(0) if words else "")
                if not argument:
                    raise CompileError(f"cflags: '{word}' needs an argument")
                {"D": self.defines, "U": self.undefines, "I": self.include_dirs}[word[1]].append(argument)
            elif word == "-w":
                self.quiet = True
            elif word == "-v":
                self.verbose = True
            elif word.startswith("-Wno-"):
                self.lenient[word[5:].removeprefix("error=")] = word.startswith("-Wno-error=")
            elif not word.startswith(("-W", "-O", "-g", "-f", "-m", "-std=")):
                raise CompileError(
                    f"cflags: '{word}' is not a flag that Skep knows; it takes -D, -U, -I, -w, -v and ignores -W..., -O..., -f..."
                )
        for define in self.defines:
            if define.partition("=")[0] == "BPF_LICENSE":
                raise CompileError("cflags: the licence is part of the program: write #define BPF_LICENSE in the text")


def compile_source(
    text: str,
    *,
    file: str = "<text>",
    cflags: Sequence[str] = (),
    contexts: Mapping[str, str] | None = None,
    target: str = "bpf",
    emit: str = "object",
    opt_level: int = 2,
    tracepoint_fields: Callable[[str, str], str | None] | None = None,
) -> Compiled:
    """Compile one text.

    `contexts` names the context model of programs that differs from what their section says ({"hello": "syscall_enter"}).
    `emit` is "object", "asm", "ir" (LLVM's, after optimisation) or "preprocessed". Raises CompileError.
    """
    diagnostics = Diagnostics()
    flags = Flags(cflags)
    source = SourceFile(file, text, directory=os.path.dirname(file) if os.path.isfile(file) else "")
    if emit == "preprocessed":
        from skep.compiler.preprocessor import print_tokens

        tokens, _, _ = _preprocess(source, diagnostics, flags, target)
        diagnostics.raise_if_errors()
        return Compiled(print_tokens(tokens).encode("utf-8", "surrogateescape"), diagnostics)

    from skep.llvm_server import start_worker

    with start_worker(target, emit, opt_level) as worker:
        ir, frames, assembly = front_end(source, diagnostics, flags, target, contexts, tracepoint_fields)
        data, messages, status = worker.finish(ir)
    if status or not data:
        _refuse_assembly(messages, assembly, diagnostics)
        raise CompileError(_backend_message(messages, status))
    if emit == "object" and target == "bpf":
        from skep.compiler.stack import check_stack

        check_stack(data, frames, diagnostics)
    return Compiled(data, diagnostics, quiet=flags.quiet)


def run_on_host(
    text: str, *, file: str = "<text>", cflags: Sequence[str] = (), arguments: Sequence[str] = (), opt_level: int = 2
) -> int:
    """Compile for this machine, call main with the arguments, give its exit status."""
    from skep.llvm import Worker

    diagnostics = Diagnostics()
    source = SourceFile(file, text, directory=os.path.dirname(file) if os.path.isfile(file) else "")
    with Worker("host", "run", opt_level, (file, *arguments)) as worker:
        ir, _, assembly = front_end(source, diagnostics, Flags(cflags), "host", None, None)
        if any(line.startswith("@") and " thread_local " in line for line in ir.splitlines()):
            raise CompileError(f"{file}: --run has no thread-local variables: make an object (-o) and link it with cc")
        if assembly:  # this worker's messages go to the terminal: another one says first whether LLVM takes the assembly
            with Worker("host", "object", opt_level) as trial:
                _, messages, status = trial.finish(ir)
            if status:
                _refuse_assembly(messages, assembly, diagnostics)
        _, _, status = worker.finish(ir)
    return status


Frames = dict[str, list[tuple[int, str, Token]]]
_RECURSION = 6000  # Python frames; what the parser lets through needs fewer, and a thread's 8 MiB of stack has room for them


def front_end(
    source: SourceFile,
    diagnostics: Diagnostics,
    flags: Flags,
    target: str,
    contexts: Mapping[str, str] | None,
    tracepoint_fields: Callable[[str, str], str | None] | None,
) -> tuple[str, Frames, list[tuple[Token, str]]]:
    """Everything before LLVM: gives the IR, the locals of each function for messages about the stack, and where asm stands."""
    from skep.compiler.checker import check
    from skep.compiler.emitter import Emitter
    from skep.compiler.kernel_types import KernelTypes

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _RECURSION))
    diagnostics.lenient = flags.lenient
    collecting = gc.isenabled()
    gc.disable()  # the trees only grow here: looking for garbage would take half of the time
    try:
        tokens, missing, license = _preprocess(source, diagnostics, flags, target)
        kernel = KernelTypes(_kernel_btf, tracepoint_fields)
        unit = check(tokens, diagnostics, kernel, target=target, missing_headers=missing)
        if license:
            unit.license = license
        emitter = Emitter(unit, diagnostics, source, target=target, machine=platform.machine(), contexts=contexts or {})
        return emitter.module(), emitter.frames, emitter.asm_places
    except RecursionError:
        raise CompileError(
            f"{source.name}: error: types or expressions in this text are nested too deep", diagnostics.items
        ) from None
    finally:
        sys.setrecursionlimit(limit)
        if collecting:
            gc.enable()


def _kernel_btf() -> Btf:
    from skep.btf import kernel_btf

    return kernel_btf()


def _preprocess(
    source: SourceFile, diagnostics: Diagnostics, flags: Flags, target: str
) -> tuple[list[Token], list[tuple[str, Token]], str]:
    from skep.compiler import dialect, host, predefined
    from skep.compiler.preprocessor import Preprocessor

    macros = dict(predefined.COMMON)
    if target == "bpf":
        macros |= dialect.MACROS
        macros |= dialect.register_macros(platform.machine())
        macros |= dialect.version_macros(platform.release())
        if "CONFIG_" in source.text and "__kconfig" not in source.text:  # where they are names of libbpf's variables
            from skep.compiler.kernel_config import config_macros

            macros |= config_macros()
    else:
        macros |= host.MACROS
    preprocessor = Preprocessor(
        diagnostics, include_dirs=flags.include_dirs, builtin_macros=macros, defines=flags.defines, undefines=flags.undefines
    )
    tokens = preprocessor.run(source)
    for name, token in preprocessor.missing_headers if flags.verbose else ():
        diagnostics.remark(
            f"kernel header <{name}> is taken as empty: types come from the kernel's BTF", token, code="missing-header"
        )
    return tokens, preprocessor.missing_headers, preprocessor.macro_text("BPF_LICENSE")


def _refuse_assembly(messages: str, places: list[tuple[Token, str]], diagnostics: Diagnostics) -> None:
    """Raises CompileError at the asm statements that LLVM refused, if it refused any: (place, template)."""
    import re

    lines = messages.splitlines()
    for at, line in enumerate(lines):
        # what its code generator refuses has the statement's number, what its assembler refuses is shown below the message
        shown = re.search(r"error: <inline asm>:(\d+):\d+: (.*)", line)
        numbered = re.search(r"error: (.*) at line (\d+)$", line)
        if shown is not None:
            text = lines[at + 1].strip() if at + 1 < len(lines) else ""
            token = next((token for token, template in places if _makes(template, int(shown[1]), text)), places[0][0])
            diagnostics.error(f"LLVM refuses this assembly: {shown[2]}", token, code="asm")
        elif numbered is not None and 0 < int(numbered[2]) <= len(places):
            diagnostics.error(f"LLVM refuses this assembly: {numbered[1]}", places[int(numbered[2]) - 1][0], code="asm")
    diagnostics.raise_if_errors()


def _makes(template: str, number: int, text: str) -> bool:
    """Can this line of assembly come out of a template's line?"""
    import re

    lines = template.split("\n")
    pieces = re.split(r"%(?:[a-zA-Z]?(?:\d+|\[\w*\])|[%=])", lines[number - 1].strip() if number <= len(lines) else "")
    return re.fullmatch(".*".join(map(re.escape, pieces)), text) is not None


def _backend_message(messages: str, status: int) -> str:
    """What LLVM said, shortened to its last words; a crash of the worker is named."""
    lines = [line for line in messages.strip().splitlines() if line.strip()]
    said = lines[-1] if lines else f"the worker ended with status {status}"
    for line in lines:
        if "error:" in line or "LLVM ERROR" in line:
            said = line
            break
    if any(name in said for name in ("__udivti3", "__divti3", "__umodti3", "__modti3")):
        said += " BPF has no division of 128-bit numbers: divide 64-bit ones, or shift"
    return f"LLVM could not make code of this program: {said}"
