"""Random programs of csmith's: Skep's result against the system compiler's.

Needs csmith and its headers (Debian: csmith, libcsmith-dev) and clang or gcc. Exit status 1 if a program differs.
"""

from __future__ import annotations

import argparse
import collections
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from run_cases import SYSTEM_HEADERS, run, system_compilers

HEADERS = "/usr/include/csmith"
DIFFERENT = ("refused", "crash of LLVM", "killed", "other result")
SECONDS = 5  # for one run; slower programs are left out
_OPTIONS = (
    (),
    ("--no-packed-struct",),
    ("--max-funcs", "4", "--max-block-depth", "3"),
    ("--unions", "--bitfields", "--max-struct-fields", "6"),
    ("--int128", "--uint128", "--builtins"),
    ("--float",),
)


def reference(path: Path, compiler: str) -> tuple[int, str] | None:
    """Status and output that the system's compiler gives with and without optimisation; None where it is slow or disagrees."""
    results = set()
    for level in ("-O0", "-O2"):
        program = path.with_suffix(f".{level[1:]}")
        command = [compiler, "-w", "-fwrapv", "-fno-strict-aliasing", level, f"-I{HEADERS}", "-o", program, path, "-lm"]
        try:
            if subprocess.run(command, capture_output=True, check=False, timeout=120).returncode:
                return None
            done = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return None
        finally:
            program.unlink(missing_ok=True)
        results.add((done.returncode, done.stdout.decode("latin-1")))
    return results.pop() if len(results) == 1 else None


def missing() -> str:
    """What is to be installed first, or nothing."""
    if shutil.which("csmith") is None or not Path(HEADERS).is_dir():
        return "needs csmith and its headers (Debian: apt-get install csmith libcsmith-dev)"
    return "" if system_compilers() else "needs clang or gcc to compare with"


def compare(seeds: range, shapes: tuple[tuple[str, ...], ...] = _OPTIONS, keep: Path | None = None) -> collections.Counter[str]:
    """How many programs gave what; says which differ."""
    compiler = system_compilers()[0]
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = []
        for seed in seeds:
            path = folder / f"csmith{seed}.c"
            made = subprocess.run(
                ["csmith", "--seed", str(seed), *shapes[seed % len(shapes)], "-o", path],
                cwd=folder,  # it writes platform.info where it stands
                capture_output=True,
                check=False,
                timeout=60,
            )
            if made.returncode or not path.exists():
                counts["not generated"] += 1
            else:
                paths.append(path)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            wanted = dict(zip(paths, pool.map(lambda p: reference(p, compiler), paths), strict=True))
        counts["left out (slow, or the reference disagrees with itself)"] += sum(w is None for w in wanted.values())
        paths = [p for p in paths if wanted[p] is not None]
        found = run(paths, [0, 2], flags=(f"-I{HEADERS}", *SYSTEM_HEADERS), seconds=SECONDS * 4)
        slowest = 0.0
        for path in paths:
            results = found[str(path)]
            slowest = max(slowest, float(str(results.get("seconds", 0))))
            differs = ""
            for level in ("0", "2"):
                status, output = results[level]  # type: ignore[misc]
                if (status, output) != wanted[path]:
                    kind = (
                        "refused"
                        if status is None
                        else "crash of LLVM"
                        if status == 254
                        else "killed"
                        if status < 0
                        else "other result"
                    )
                    differs = f"{path.stem} -O{level}: {kind}: {output[-2000:]!r}, expected {wanted[path]}"
                    counts[kind] += 1
                    break
            if differs:
                print(differs)
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, keep)
            else:
                counts["same"] += 1
    print(", ".join(f"{name}: {count}" for name, count in counts.items()), f"(slowest front end {slowest:.2f} s)")
    return counts


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the programs that differ")
    options = parser.parse_args()
    if missing():
        print(missing())
        return 2
    counts = compare(range(options.seed, options.seed + options.n), keep=options.keep)
    return int(any(counts[k] for k in DIFFERENT))


if __name__ == "__main__":
    sys.exit(main())
