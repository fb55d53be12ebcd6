"""`skep cc`: the compiler by itself, from a C file to an object, assembly, LLVM IR or preprocessed text."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from skep.errors import CompileError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SUFFIXES = {"object": ".o", "asm": ".s", "ir": ".ll"}  # where the result goes without -o; preprocessed text goes to stdout
_HEAD = 1024  # bytes that tell a text from other data


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.run and options.target != "host":
        raise SkepError("--run needs --target host: a BPF program runs where it is attached (skep run)")
    if options.arguments and not options.run:
        raise SkepError(f"one C file at a time; {options.arguments[0]!r} would be an argument of --run")
    text = _read(options.file)
    file = "<stdin>" if options.file == "-" else options.file
    from skep.compiler import compile_source, run_on_host

    if options.run:
        status = run_on_host(text, file=file, cflags=options.cflags, arguments=options.arguments, opt_level=options.optimize)
        if status < 0:
            raise SkepError(f"--run: the program was ended by {signal.Signals(-status).name} ({signal.strsignal(-status)})")
        return status
    try:
        compiled = compile_source(
            text, file=file, cflags=options.cflags, target=options.target, emit=options.emit, opt_level=options.optimize
        )
    except CompileError as error:
        if not options.json:
            raise
        _print_json(error.diagnostics, str(error))
        return 1
    if options.json:
        _print_json(compiled.items)
    elif compiled.diagnostics:
        print(compiled.diagnostics.rstrip("\n"), file=sys.stderr)
    _write(compiled.data, options.output or _default_output(options.file, options.emit))
    return 0


def _print_json(items: Sequence[Any], failure: str = "") -> None:
    """One line a message; a failure without a place in the text is a line, too."""
    import json

    from skep.compiler.diagnostics import as_dict

    for item in items:
        print(json.dumps(as_dict(item)), file=sys.stderr)
    if failure and not any(item.severity == "error" for item in items):
        print(json.dumps({"severity": "error", "code": "", "message": failure}), file=sys.stderr)


class _Flag(argparse.Action):
    """-I, -D and -U in one list: a later -U undoes an earlier -D."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: object, option: str | None = None) -> None:
        namespace.cflags = [*namespace.cflags, f"{option}{values}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="skep cc", description="Compile a C file in BCC's dialect to a BPF object file.")
    parser.set_defaults(emit="object", cflags=[])
    add = parser.add_argument
    add("file", metavar="FILE.c", help="the C file; - is standard input")
    add("arguments", metavar="ARGS", nargs="*", default=[], help="with --run: arguments of main()")
    add(
        "-o",
        dest="output",
        metavar="OUT",
        help="where the result goes; - is standard output (default: FILE.o, FILE.s or FILE.ll here)",
    )
    add("--target", choices=("bpf", "host"), default="bpf", help="the machine to compile for (default: bpf)")
    add("--run", action="store_true", help="with --target host: call main() and exit with its result")
    add("-E", dest="emit", action="store_const", const="preprocessed", help="write the preprocessed text (to standard output)")
    add("-S", dest="emit", action="store_const", const="asm", help="write assembly")
    add("--emit-llvm", dest="emit", action="store_const", const="ir", help="write LLVM IR")
    add("--json", action="store_true", help="print errors and warnings as JSON, one a line, to standard error")
    add("-v", dest="cflags", action="append_const", const="-v", help="say which kernel headers are taken as empty, too")
    add("-I", dest="cflags", metavar="DIR", action=_Flag, help="look for #include files in this folder")
    add("-D", dest="cflags", metavar="NAME=V", action=_Flag, help="define a macro")
    add("-U", dest="cflags", metavar="NAME", action=_Flag, help="undefine a macro")
    add(
        "-O",
        dest="optimize",
        metavar="N",
        type=int,
        choices=range(4),
        default=2,
        help="how much to optimise, 0 to 3 (default: 2)",
    )
    return parser


def _read(path: str) -> str:
    try:
        if path == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                data = file.read()
    except OSError as error:
        raise SkepError(f"cannot read {path!r}: {error.strerror}") from None
    if b"\0" in data[:_HEAD]:
        what = "an ELF file (skep disasm shows a compiled program)" if data.startswith(b"\x7fELF") else "binary data"
        raise SkepError(f"{path!r} is {what}, not a C text")
    return data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def _default_output(source: str, emit: str) -> str:
    suffix = SUFFIXES.get(emit)
    if suffix is None or source == "-":
        return "-"
    return os.path.splitext(os.path.basename(source))[0] + suffix


def _write(data: bytes, path: str) -> None:
    try:
        if path == "-":
            sys.stdout.buffer.write(data)
            return
        with open(path, "wb") as file:
            file.write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SkepError(f"cannot write {'standard output' if path == '-' else repr(path)}: {error.strerror}") from None
