"""Instructions per program, Skep's compiler against clang, over bench/programs/*.c; and does the kernel take Skep's objects.

Both compile the same text. Counted are 8-byte units of each program with the subprograms that it reaches, as loaded.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from skep.compiler import compile_source
from skep.errors import SkepError
from skep.object import read_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.object.model import Object

PROGRAMS = Path(__file__).resolve().parent / "programs"
CLANG = "clang-19"
MEAN_BAR, WORST_BAR = 1.05, 1.25


class Row:
    """One program of one file; `refused` is the verifier's message, None if it was loaded or not asked."""

    def __init__(self, file: str, program: str, skep: int, clang: int) -> None:
        self.file = file
        self.program = program
        self.skep = skep
        self.clang = clang
        self.refused: str | None = None

    @property
    def ratio(self) -> float:
        return self.skep / self.clang


def by_clang(path: Path, clang: str = CLANG) -> Object:
    """The object that clang makes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.o")
        command = [clang, "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-w", "-c", str(path), "-o", out]
        subprocess.run(command, check=True, capture_output=True, text=True)
        return read_object(Path(out).read_bytes())


def by_skep(path: Path) -> Object:
    return read_object(compile_source(path.read_text(), file=str(path)).data)


def load(object: Object) -> dict[str, str]:
    """Loads every program of an object into this kernel; gives the refused ones with what the verifier said."""
    from skep.engine.kernel import KernelEngine

    refused = {}
    with KernelEngine() as engine:
        maps = {}
        try:
            for name, spec in object.maps.items():
                maps[name] = engine.create_map(spec, object)
            for name, program in object.programs.items():
                assert program.kind is not None, program.section
                try:
                    engine.load_program(program, program.kind, maps, object).close()
                except SkepError as problem:
                    refused[name] = str(problem)
        finally:
            for opened in maps.values():
                opened.close()
    return refused


def measure(paths: Sequence[Path], *, clang: str = CLANG, kernel: bool = True) -> list[Row]:
    """One row for each program of the files."""
    rows = []
    for path in paths:
        ours, theirs = by_skep(path), by_clang(path, clang)
        refused = load(ours) if kernel else {}
        for name, program in sorted(ours.programs.items()):
            row = Row(path.stem, name, len(program.instructions) // 8, len(theirs.programs[name].instructions) // 8)
            row.refused = refused.get(name)
            rows.append(row)
    return rows


def geometric_mean(rows: Sequence[Row]) -> float:
    return math.exp(sum(math.log(row.ratio) for row in rows) / len(rows))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="C files (default: all of bench/programs)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--clang", default=CLANG, help=f"the compiler to compare with (default {CLANG})")
    parser.add_argument("--no-load", action="store_true", help="do not ask the kernel's verifier")
    args = parser.parse_args()
    if shutil.which(args.clang) is None:
        print(f"codegen: {args.clang} is not installed; Debian has it as package {args.clang}", file=sys.stderr)
        return 2
    rows = measure(args.files or sorted(PROGRAMS.glob("*.c")), clang=args.clang, kernel=not args.no_load)
    mean, worst = geometric_mean(rows), max(row.ratio for row in rows)
    refused = [row for row in rows if row.refused is not None]
    met = mean <= MEAN_BAR and worst <= WORST_BAR and not refused
    if args.json:
        table = [
            {
                "file": r.file,
                "program": r.program,
                "skep": r.skep,
                "clang": r.clang,
                "ratio": round(r.ratio, 3),
                "refused": r.refused,
            }
            for r in rows
        ]
        bars = {"mean": MEAN_BAR, "worst": WORST_BAR}
        print(
            json.dumps({"programs": table, "mean": round(mean, 4), "worst": round(worst, 3), "bars": bars, "met": met}, indent=1)
        )
        return 0 if met else 1
    for row in rows:
        verdict = "" if row.refused is None else "  REFUSED"
        print(f"{row.file:<14} {row.program:<14} {row.skep:>6} {row.clang:>6}  {row.ratio:>6.3f}{verdict}")
    files = len({row.file for row in rows})
    print(f"\n{len(rows)} programs of {files} files; instructions by Skep and by {args.clang}")
    print(f"geometric mean {mean:.4f} (bar {MEAN_BAR}), worst {worst:.3f} (bar {WORST_BAR}), refused {len(refused)}")
    for row in refused:
        print(f"\n{row.file}: {row.program}: {row.refused}")
    print("bars met" if met else "BARS NOT MET")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
