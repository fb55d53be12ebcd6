"""Compiles and runs C files with Skep, many in one session: `run_cases.py OUT [-O LEVELS] [-t SECONDS] FILE...`.

Each file has its own process, forked after LLVM is loaded; OUT gets JSON: file to {level: [status, output] or [None, error]}.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback
from glob import glob
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

SYSTEM_HEADERS = tuple(
    f"-I{d}"
    for d in ("/usr/include", "/usr/include/x86_64-linux-gnu", *sorted(glob("/usr/lib/gcc/x86_64-linux-gnu/*/include"))[-1:])
)


def system_compilers() -> list[str]:
    """The compilers to compare with, the best first."""
    return [*filter(None, map(shutil.which, ("clang-19", "clang", "gcc")))]


def front_end_text(path: Path, flags: tuple[str, ...]) -> str:
    """The LLVM IR of one file."""
    from skep.compiler import Flags, front_end
    from skep.compiler.diagnostics import Diagnostics
    from skep.compiler.source import SourceFile

    source = SourceFile(str(path), path.read_text(), directory=str(path.parent))
    return front_end(source, Diagnostics(), Flags(flags), "host", None, None)[0]


def _child(path: Path, levels: list[int], report: int, flags: tuple[str, ...], seconds: int) -> None:
    """Front end once, then one process a level; writes the result as JSON to `report`."""
    from skep.errors import SkepError
    from skep.llvm import _work

    started = time.perf_counter()
    found: dict[str, object] = {}
    try:
        text = front_end_text(path, flags)
    except SkepError as error:
        errors = [repr(d) for d in getattr(error, "diagnostics", ()) if d.severity == "error"] or [
            f"{type(error).__name__}: {error}"
        ]
        found = {str(level): [None, "\n".join(errors)] for level in levels}
    except BaseException:
        found = {str(level): [None, "crash of the front end\n" + traceback.format_exc()] for level in levels}
    else:
        front = time.perf_counter() - started
        for level in levels:
            with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as ir:
                ir.write(text.encode())
                ir.seek(0)
                pid = os.fork()
                if not pid:
                    os.dup2(output.fileno(), 1)
                    os.dup2(output.fileno(), 2)
                    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
                    signal.alarm(4 * seconds)  # for one that waits
                    try:
                        os._exit(_work(ir.fileno(), 1, "host", "run", level, [str(path)]))
                    except BaseException:
                        traceback.print_exc()
                        sys.stderr.flush()
                        os._exit(254)
                _, status = os.waitpid(pid, 0)
                output.seek(0)
                found[str(level)] = [os.waitstatus_to_exitcode(status), output.read().decode("latin-1")]
        found["seconds"] = round(front, 4)
    with os.fdopen(report, "w") as out:
        json.dump(found, out)


def run(paths: list[Path], levels: list[int], *, flags: tuple[str, ...] = (), seconds: int = 20) -> dict[str, dict[str, object]]:
    """Run all files, as many at a time as there are CPUs."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    import skep.compiler.checker
    import skep.compiler.emitter
    import skep.compiler.preprocessor  # noqa: F401  (loaded once, before the forks)

    results: dict[str, dict[str, object]] = {}
    waiting = list(paths)
    running = 0
    with selectors.DefaultSelector() as selector:
        while waiting or running:
            while waiting and running < (os.cpu_count() or 1):
                path = waiting.pop(0)
                read, write = os.pipe()
                pid = os.fork()
                if not pid:
                    _child(path, levels, write, flags, seconds)
                    os._exit(0)
                os.close(write)
                selector.register(read, selectors.EVENT_READ, (path, pid, []))
                running += 1
            for key, _ in selector.select():
                path, pid, parts = key.data
                part = os.read(key.fd, 1 << 16)
                parts.append(part)
                if part:
                    continue
                selector.unregister(key.fd)
                os.close(key.fd)
                os.waitpid(pid, 0)
                running -= 1
                text = b"".join(parts)
                results[str(path)] = json.loads(text) if text else {str(n): [None, "no result"] for n in levels}
    return results


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("-O", default="02")
    parser.add_argument("-t", type=int, default=20)
    parser.add_argument("--flag", action="append", default=[])
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    found = run(options.files, [int(n) for n in options.O], flags=(*options.flag, *SYSTEM_HEADERS), seconds=options.t)
    Path(options.out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
