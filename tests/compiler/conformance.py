"""Runs a public C test suite on the host: Skep's output and status against the suite's own or the system compiler's.

`conformance.py FOLDER [--name NAME]` takes a checkout of c-testsuite, chibicc, or any folder of programs with a main()
each (c-torture's execute tests, LLVM's SingleSource/UnitTests); it prints a row of a table and each case that differs.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from run_cases import SYSTEM_HEADERS, run, system_compilers

Result = tuple[int, str]
SECONDS = 20
# what clang 19 made errors, and old programs do
LENIENT = tuple(f"-Wno-{name}" for name in ("int-conversion", "incompatible-function-pointer-types", "implicit-int"))
# first fitting row: what an error says, and why the case is outside
REASONS = (
    ("variable length", "variable length arrays"),
    ("computed goto", "computed goto"),
    ("asm", "assembly of the host"),
    ("assembly", "assembly of the host"),
    ("_Complex", "complex numbers"),
    ("'vector_size'|'alias'|'constructor'|'destructor'|'ifunc'", "attributes that only a host has"),
    ("nested function|does not start with|a function inside", "nested functions (GNU C; clang has none)"),
    ("unknown type name '_Decimal|_Float16|__fp16", "decimal and 16-bit floating point"),
)


def reference(path: Path, flags: tuple[str, ...]) -> Result | None:
    """What the system's first compiler makes of it; None where that refuses it, or where the result is not one thing."""
    compiler = system_compilers()[0]
    found: set[Result] = set()
    for level in ("-O0", "-O2"):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "program"
            command = [compiler, "-w", "-std=gnu11", level, *LENIENT, *flags, "-o", program, path, "-lm", "-lpthread"]
            try:
                if subprocess.run(command, capture_output=True, check=False, timeout=120).returncode:
                    return None
                done = subprocess.run(
                    [program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    timeout=SECONDS, check=False, cwd=folder,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return None
            found.add((done.returncode, done.stdout.decode("latin-1")))
    return found.pop() if len(found) == 1 else None


def references(paths: list[Path], flags: tuple[str, ...] = ()) -> dict[Path, Result | None]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(paths, pool.map(lambda path: reference(path, flags), paths), strict=True))


def c_testsuite(folder: Path) -> tuple[dict[Path, Result | None], tuple[str, ...]]:
    """tests/single-exec: each has its output beside it, and ends with 0."""
    paths = sorted((folder / "tests" / "single-exec").glob("*.c"))
    return {path: (0, Path(f"{path}.expected").read_text("latin-1")) for path in paths}, ()


def chibicc(folder: Path) -> tuple[dict[Path, Result | None], tuple[str, ...]]:
    """test/*.c with test/common in a library; lines that clang refuses (chibicc's own extensions) are taken out."""
    source, made = folder / "test", Path(tempfile.mkdtemp(prefix="skep-chibicc-"))
    for header in source.glob("*.h"):
        (made / header.name).write_text(header.read_text())
    # its declarations of printf() and the like differ from the library's, which clang takes for built in
    (made / "test.h").write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <stdarg.h>\n"
        "#define ASSERT(x, y) assert(x, y, #y)\nvoid assert(int expected, int actual, char *code);\n"
    )
    common = made / "common.c"
    common.write_text((source / "common").read_text().replace("exit(1);", ""))  # all of its assertions, not the first that fails
    library = made / "common.so"
    subprocess.run([system_compilers()[-1], "-w", "-fPIC", "-shared", "-o", library, common], check=True)
    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    import llvmlite.binding as llvm

    llvm.load_library_permanently(str(library))
    wanted: dict[Path, Result | None] = {}
    for path in sorted(source.glob("*.c")):
        lines = [
            line
            for line in path.read_text().splitlines()
            if not re.match(r"(int|void|char|long).*\b(printf|sprintf|vsprintf|strcmp|memcmp|exit)\(.*\);$", line)
        ]
        copy = made / path.name
        wanted[copy] = None
        for _ in range(40):
            copy.write_text("\n".join(lines))
            command = [
                system_compilers()[0],
                "-w",
                "-std=gnu11",
                "-ferror-limit=0",
                "-fno-color-diagnostics",
                *LENIENT,
                f"-I{made}",
            ]
            built = subprocess.run(
                [*command, "-o", made / "program", copy, common, "-lm", "-lpthread"], capture_output=True, text=True, check=False
            )
            refused = {int(n) for n in re.findall(re.escape(str(copy)) + r":(\d+):\d+: (?:fatal )?error", built.stderr)}
            if built.returncode == 0:
                done = subprocess.run([made / "program"], capture_output=True, timeout=SECONDS, check=False)
                wanted[copy] = (done.returncode, done.stdout.decode("latin-1"))
            if not refused:
                break
            for number in refused:
                print(f"{path.name}:{number}: clang refuses: {lines[number - 1].strip()[:80]}", file=sys.stderr)
                lines[number - 1] = ""
    return wanted, (f"-I{made}",)


def programs(folder: Path) -> tuple[dict[Path, Result | None], tuple[str, ...]]:
    """Any folder of C files; those without a main() of their own are parts of others."""
    paths = [path for path in sorted(folder.rglob("*.c")) if re.search(r"\bmain\s*\(", path.read_text("latin-1"))]
    return references(paths, (f"-I{folder}",)), (f"-I{folder}",)


SUITES: dict[str, Callable[[Path], tuple[dict[Path, Result | None], tuple[str, ...]]]] = {
    "c-testsuite": c_testsuite,
    "chibicc": chibicc,
    "programs": programs,
}


def why(status: int | None, output: str, wanted: Result) -> str:
    """The reason why a case fails, as the table has it."""
    if status is None:
        first = output.strip().splitlines()[0] if output.strip() else "no result"
        for words, reason in REASONS:
            if re.search(words, output):
                return reason
        return "refused: " + re.sub(r"^<.*?: error: |>$", "", first)[:100]
    if status == wanted[0]:
        return "another output"
    return f"another status: {status}, not {wanted[0]}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--suite", choices=SUITES, help="how to read the folder (default: by what is in it)")
    parser.add_argument("--name", help="the suite's name in the table")
    options = parser.parse_args()
    folder = options.folder.resolve()
    suite = options.suite
    if suite is None:
        suite = (
            "chibicc"
            if (folder / "chibicc.h").exists()
            else "c-testsuite"
            if (folder / "tests/single-exec").is_dir()
            else "programs"
        )
    wanted, flags = SUITES[suite](folder)
    left_out = [path for path, result in wanted.items() if result is None]
    paths = [path for path, result in wanted.items() if result is not None]
    found = run(paths, [0, 2], flags=(*LENIENT, *flags, *SYSTEM_HEADERS), seconds=SECONDS)
    reasons: collections.defaultdict[str, list[str]] = collections.defaultdict(list)
    for path in paths:
        for level in ("0", "2"):
            status, output = found[str(path)][level]  # type: ignore[misc]
            if (status, output) != wanted[path]:
                reasons[why(status, output, wanted[path])].append(path.name)  # type: ignore[arg-type]
                break
    failed = sum(map(len, reasons.values()))
    for reason, names in sorted(reasons.items(), key=lambda row: -len(row[1])):
        print(f"{reason}: {' '.join(names)}")
    if left_out:
        names = " ".join(path.name for path in left_out)
        print(f"left out, as {Path(system_compilers()[0]).name} refuses them or gives no one result: {names}")
    rest = "; ".join(f"{len(names)} {reason}" for reason, names in sorted(reasons.items(), key=lambda row: -len(row[1])))
    print(f"| {options.name or suite} | {len(wanted)} | {len(left_out)} | {len(paths) - failed} of {len(paths)} | {rest} |")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
