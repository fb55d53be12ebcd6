"""Time from text to object: Skep in a process that has compiled before, and `clang -O2 -g -target bpf`, in the same run.

The texts are C that both take: one of bench/programs with about 60 lines, and several of them in one text of about 600.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from skep.compiler import compile_source

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = Path(__file__).resolve().parent / "programs"
FLAGS = (f"-I{PROGRAMS}",)
SMALL = ("ratelimit",)
LARGE = ("opensnoop", "tcpconnect", "xdp_parse", "execsnoop", "runqlat", "percpu", "filetop")
BARS = {"60 lines": 60.0, "600 lines": 400.0}  # milliseconds
_FILE_LEVEL = re.compile(
    r"^#define (\w+)|^\} (\w+) SEC|^(?:struct|union|enum) (\w+) \{|"
    r"^(?:static |const |volatile )+[\w ]*?\**(\w+)(?:\[\w*\])?(?: = .*)?;$"
    r"|^(?:static |__always_inline |__noinline )*[a-z]\w* (\w+)\(.*\)$",
    re.MULTILINE,
)


def joined(names: tuple[str, ...]) -> str:
    """Several programs as one text: what each declares at file level gets its number."""
    texts = []
    for number, name in enumerate(names):
        text = (PROGRAMS / f"{name}.c").read_text().replace('#include "bench.h"\n', "")
        declared = {next(filter(None, match)) for match in _FILE_LEVEL.findall(text)}
        if len(names) > 1:
            text = re.sub(r"(?<![.>\w/])(" + "|".join(sorted(declared)) + r")\b", rf"\1_{number}", text)
        texts.append(text)
    return '#include "bench.h"\n' + "\n".join(texts)


def stages(text: str, file: str) -> dict[str, float]:
    """Milliseconds of each stage of one compilation; LLVM loads in the meantime."""
    from skep.compiler import Flags, _preprocess, front_end
    from skep.compiler.diagnostics import Diagnostics
    from skep.compiler.source import SourceFile
    from skep.llvm_server import start_worker

    found = {}
    with start_worker("bpf", "object", 2) as worker:
        started = time.perf_counter()
        source = SourceFile(file, text, directory=str(PROGRAMS))
        _preprocess(source, Diagnostics(), Flags(FLAGS), "bpf")
        found["preprocess"] = time.perf_counter() - started
        started = time.perf_counter()
        ir, *_ = front_end(source, Diagnostics(), Flags(FLAGS), "bpf", None, None)
        found["front end"] = time.perf_counter() - started
        started = time.perf_counter()
        worker.finish(ir)
        found["LLVM"] = time.perf_counter() - started
    return {name: round(seconds * 1000, 1) for name, seconds in found.items()}


def timed(work: Callable[[], object], rounds: int) -> dict[str, float]:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return {"median": round(statistics.median(times), 1), "least": round(min(times), 1), "most": round(max(times), 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--clang", default="clang-19")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if shutil.which(args.clang) is None:
        print(f"compile: {args.clang} is not installed; Debian has it as package {args.clang}", file=sys.stderr)
        return 2
    rows = []
    for label, names in (("60 lines", SMALL), ("600 lines", LARGE)):
        text = joined(names)
        file = str(PROGRAMS / "joined.c")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "joined.c")
            path.write_text(text)
            command = [
                args.clang,
                "-O2",
                "-g",
                "-target",
                "bpf",
                "-mcpu=v3",
                "-w",
                f"-I{PROGRAMS}",
                "-c",
                str(path),
                "-o",
                f"{folder}/o",
            ]
            clang = timed(lambda command=command: subprocess.run(command, check=True), args.rounds)  # type: ignore[misc]
        first = timed(lambda: compile_source(text, file=file, cflags=FLAGS), 1)["median"]  # noqa: B023
        skep = timed(lambda: compile_source(text, file=file, cflags=FLAGS), args.rounds)  # noqa: B023
        lines = text.count("\n") - 1
        rows.append(
            {
                "text": label,
                "lines": lines,
                "first": first,
                "skep": skep,
                "clang": clang,
                "bar": BARS[label],
                "stages": stages(text, file),
            }
        )
    met = all(row["skep"]["median"] <= row["bar"] for row in rows)  # type: ignore[index]
    if args.json:
        print(json.dumps({"unit": "ms", "rounds": args.rounds, "texts": rows, "met": met}, indent=1))
        return 0 if met else 1
    print(f"milliseconds, median of {args.rounds} (least to most)\n")
    for row in rows:
        s, c = row["skep"], row["clang"]
        print(f"{row['text']} ({row['lines']}): skep {s['median']} ({s['least']} to {s['most']}), bar {row['bar']:.0f}")  # type: ignore[index]
        print(f"    the first in this process {row['first']}; {args.clang} {c['median']} ({c['least']} to {c['most']})")  # type: ignore[index]
        print("    stages: " + ", ".join(f"{name} {ms}" for name, ms in row["stages"].items()))  # type: ignore[attr-defined]
    print("\nbars met" if met else "\nBARS NOT MET")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
