"""Random programs of csmith's: Skep's result against the system compiler's.

Needs csmith and its headers (Debian: csmith, libcsmith-dev) and clang or gcc. Exit status 1 if a program differs.
"""

from __future__ import annotations

import argparse
import collections
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from run_cases import SYSTEM_HEADERS, run, system_compilers

HEADERS = "/usr/include/csmith"
DIFFERENT = ("refused", "crash of LLVM", "killed", "other result")
SECONDS = 5  # of CPU time for one run; slower programs are left out
LEFT_OUT = f"left out (they take over {SECONDS} s, or the reference's results with and without optimisation differ)"
_OPTIONS = (
    (),
    ("--no-packed-struct",),
    ("--max-funcs", "4", "--max-block-depth", "3"),
    ("--max-struct-fields", "6", "--max-union-fields", "7", "--max-pointer-depth", "4"),
    ("--builtins", "--disable-builtin-kinds", "x86", "--inline-function"),
    # Without unions: csmith hashes a union's float while the padding of a struct lies there, which nothing determines (seed 1175)
    ("--float", "--no-unions"),
)
_BATCH = 20


def reference(path: Path, compiler: str) -> tuple[int, str] | None:
    """Status and output that the system's compiler gives with and without optimisation; None where it is slow or disagrees."""
    results = set()
    for level in ("-O0", "-O2"):
        program = path.with_suffix(f".{level[1:]}")
        command = [compiler, "-w", "-fwrapv", "-fno-strict-aliasing", level, f"-I{HEADERS}", "-o", program, path, "-lm"]
        try:
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return None
            limited = ["sh", "-c", f'ulimit -t {SECONDS}; exec "$0"', program]
            done = subprocess.run(limited, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        finally:
            program.unlink(missing_ok=True)
        if done.returncode in (-signal.SIGKILL, -signal.SIGXCPU):
            return None
        results.add((done.returncode, done.stdout.decode("latin-1")))
    return results.pop() if len(results) == 1 else None


def missing() -> str:
    """What is to be installed first, or nothing."""
    if shutil.which("csmith") is None or not Path(HEADERS).is_dir():
        return "needs csmith and its headers (Debian: apt-get install csmith libcsmith-dev)"
    return "" if system_compilers() else "needs clang or gcc to compare with"


def generate(seed: int, shape: tuple[str, ...], folder: Path) -> Path:
    """One program of csmith's; options that it does not have are an error."""
    path = folder / f"csmith{seed}.c"
    made = subprocess.run(
        ["csmith", "--seed", str(seed), *shape, "-o", path],
        cwd=folder,  # it writes platform.info where it stands
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if made.returncode or not path.exists():
        raise RuntimeError(f"csmith {' '.join(shape)} with seed {seed} made no program: {made.stdout}{made.stderr}")
    return path


def compare(seeds: range, shapes: tuple[tuple[str, ...], ...] = _OPTIONS, keep: Path | None = None) -> collections.Counter[str]:
    """How many programs gave what; says which differ."""
    compiler, *others = system_compilers()
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        paths = [generate(seed, shapes[seed % len(shapes)], Path(name)) for seed in seeds]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            wanted = dict(zip(paths, pool.map(lambda p: reference(p, compiler), paths), strict=True))
        counts[LEFT_OUT] += sum(w is None for w in wanted.values())
        paths = [p for p in paths if wanted[p] is not None]
        found = run(paths, [0, 2], flags=(f"-I{HEADERS}", *SYSTEM_HEADERS), seconds=SECONDS * 4)
        for path in paths:
            wrong = difference(found[str(path)], wanted[path])
            if wrong is None:
                counts["same"] += 1
                continue
            kind, text = wrong
            counts[kind] += 1
            print(f"{path.stem} ({' '.join(shapes[int(path.stem[6:]) % len(shapes)])}) {kind}: {text}", flush=True)
            for other in others:
                print(f"  {other}: {reference(path, other)}", flush=True)
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, keep)
    return counts


def difference(results: dict[str, object], wanted: object) -> tuple[str, str] | None:
    """(kind, text) of the first level whose result is another than the wanted one."""
    for level in ("0", "2"):
        status, output = results[level]  # type: ignore[misc]
        if (status, output) != wanted:
            kind = (
                "refused" if status is None else "crash of LLVM" if status == 254 else "killed" if status < 0 else "other result"
            )
            return kind, f"-O{level}: {output[-2000:]!r}, expected {wanted}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=100, help="how many programs to compare; those left out do not count")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the programs that differ")
    options = parser.parse_args()
    if missing():
        print(missing())
        return 2
    counts: collections.Counter[str] = collections.Counter()
    seed, compared = options.seed, 0
    while compared < options.n:
        seeds = range(seed, seed + min(_BATCH, options.n - compared))
        counts += compare(seeds, keep=options.keep)
        seed = seeds.stop
        compared = sum(counts[kind] for kind in ("same", *DIFFERENT))
        print(f"{compared} of {options.n}", file=sys.stderr, flush=True)
    different = sum(counts[kind] for kind in DIFFERENT)
    which = "".join(f", {counts[kind]} {kind}" for kind in DIFFERENT if counts[kind])
    print(
        f"csmith: seeds {options.seed} to {seed - 1}: {compared} programs compared with {Path(system_compilers()[0]).name}, "
        f"{counts['same']} the same, {different} different{which}; {counts[LEFT_OUT]} more {LEFT_OUT}"
    )
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
