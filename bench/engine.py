"""The user engine beside native code: bench/engine_programs, compiled by Skep to bytecode and by clang -O2 for this machine.

One process, rounds interleaved, CPU time of this thread, medians. "proved": as the engine runs them; "checked": nothing is
believed of numbers' bounds, so every access at a varying offset is checked while it runs. Results and memory are compared first.

  bench/engine.py [--json] [--rounds N] [NAME...]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "src"))

from skep.compiler import compile_source  # noqa: E402
from skep.engine.user import jit  # noqa: E402
from skep.engine.user.engine import _MAPS  # noqa: E402
from skep.engine.user.facts import Context  # noqa: E402
from skep.engine.user.program import Environment, Program  # noqa: E402
from skep.object import read_object  # noqa: E402

PROGRAMS = os.path.join(HERE, "engine_programs")
MEMORY = 65536
CLANG = shutil.which("clang-19") or "clang"
BARS = {"proved": 1.0, "checked": 1.3, "worst": 4.0, "run_ns": 20.0, "start_ms": 1.0}
LOOP = """
typedef unsigned long long u64;
u64 loop(u64 (*entry)(void *, void *), void *context, void *env, u64 count)
{
	u64 i, last = 0;
	for (i = 0; i < count; i++)
		last = entry(context, env);
	return last;
}
"""


class Native:
    """A program compiled by clang, as a function of the same shape."""

    def __init__(self, name: str, folder: str) -> None:
        library = os.path.join(folder, f"{name}.so")
        wrapper = f'#include "{name}.c"\nunsigned long long entry(void *c, void *e) {{ return (unsigned)program(c); }}\n{LOOP}'
        command = [
            CLANG,
            "-O2",
            "-DNATIVE",
            "-fno-strict-aliasing",
            "-w",
            "-shared",
            "-fPIC",
            f"-I{PROGRAMS}",
            "-x",
            "c",
            "-",
            "-o",
            library,
        ]
        subprocess.run(command, input=wrapper, text=True, check=True)
        self.library = ctypes.CDLL(library)
        self.entry = ctypes.cast(self.library.entry, ctypes.c_void_p).value
        self.loop: Any = self.library.loop
        self.loop.restype = ctypes.c_uint64
        self.loop.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_uint64]


def build(name: str, *, ranges: bool) -> Program:
    """A program in the user engine."""
    path = os.path.join(PROGRAMS, f"{name}.c")
    with open(path) as file:
        compiled = read_object(compile_source(file.read(), file=path).data)
    spec = compiled.programs["program"]
    maps = {name: _MAPS[map.type](map, 1) for name, map in compiled.maps.items()}
    names = list(maps)
    code = bytearray(spec.instructions)
    references = {}
    for relocation in spec.relocations:
        code[relocation.insn * 8 + 1] |= 1 << 4  # BPF_PSEUDO_MAP_FD
        references[relocation.insn] = names.index(relocation.symbol)
    return Program(
        bytes(code),
        context=Context("bench", MEMORY),
        maps=list(maps.values()),
        references=references,
        ranges=ranges,
        environment=Environment(60),
    )


def memory_of(name: str) -> bytes:
    source = random.Random(name)
    data = bytearray(source.randbytes(MEMORY))
    if name == "packets":
        for number in range(64):
            at = number * 128
            kind = source.choice([b"\x08\x00\x45", b"\x08\x00\x46", b"\x81\x00\x00\x07\x08\x00\x45", b"\x86\xdd\x60"])
            data[at + 12 : at + 12 + len(kind)] = kind
            data[at + 10 + len(kind) + 10] = 6
    if name == "strings":
        data[:4096] = bytes(source.choice(b"skep ") for _ in range(4096))
    return bytes(data)


def measure(name: str, rounds: int, folder: str) -> dict[str, float]:
    native = Native(name, folder)
    programs = {"proved": build(name, ranges=True), "checked": build(name, ranges=False)}
    for map in programs["proved"].maps:  # the native code uses the engine's own maps
        ctypes.c_void_p.in_dll(native.library, map.name).value = map.address
    ways = {"native": native.entry, **{kind: program.entry for kind, program in programs.items()}}
    buffers, results = {}, {}
    for kind, entry in ways.items():
        buffer = buffers[kind] = ctypes.create_string_buffer(memory_of(name), MEMORY)
        env = programs[kind if kind != "native" else "proved"].environment
        env.env.ctx_size = MEMORY
        results[kind] = native.loop(entry, buffer, env.address, 1), buffer.raw
    assert results["native"] == results["proved"] == results["checked"], name
    times: dict[str, list[float]] = {kind: [] for kind in ways}
    counts = {}
    for kind, entry in ways.items():
        env = programs[kind if kind != "native" else "proved"].environment
        count = 1
        while True:
            started = time.thread_time_ns()
            native.loop(entry, buffers[kind], env.address, count)
            if time.thread_time_ns() - started > 4_000_000:
                break
            count *= 2
        counts[kind] = count
    for _ in range(rounds):
        for kind, entry in ways.items():
            env = programs[kind if kind != "native" else "proved"].environment
            started = time.thread_time_ns()
            native.loop(entry, buffers[kind], env.address, counts[kind])
            times[kind].append((time.thread_time_ns() - started) / counts[kind])
    median = {kind: statistics.median(found) for kind, found in times.items()}
    return {
        "native_ns": median["native"],
        "proved": median["proved"] / median["native"],
        "checked": median["checked"] / median["native"],
    }


def starts(name: str) -> tuple[float, float]:
    """Milliseconds to a running program: compiled anew, and from the cache (medians)."""
    first, second = [], []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o700)
            os.environ["SKEP_CACHE_DIR"] = folder
            code = (
                read_object(compile_source('SEC("syscall") int program(void *c) { return 1; }').data)
                .programs["program"]
                .instructions
            )
            jit.compile_program(code[:8] + code, Context("warm", 8), [], {})  # the runtime's own files
            for times in (first, second):
                started = time.perf_counter()
                Program(code, context=Context("bench", 8)).close()
                times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(first), statistics.median(second)


def per_run() -> tuple[float, float]:
    """Nanoseconds for a trivial program: in a batch, and by a call from Python (without the loop around it)."""
    program = build("trivial", ranges=True)
    program.context.size = 8
    small = Program(
        read_object(compile_source('SEC("syscall") int program(void *c) { return 1; }').data).programs["program"].instructions,
        context=Context("small", 8),
    )
    contexts = bytes(8 * 100_000)
    best = math.inf
    for _ in range(15):
        started = time.thread_time_ns()
        small.run_batch(contexts, 8)
        best = min(best, (time.thread_time_ns() - started) / 100_000)
    run, one = small.run, bytes(8)
    single = math.inf
    for _ in range(15):
        started = time.thread_time_ns()
        for _ in range(100_000):
            pass
        empty = time.thread_time_ns() - started
        started = time.thread_time_ns()
        for _ in range(100_000):
            run(one)
        single = min(single, (time.thread_time_ns() - started - empty) / 100_000)
    return best, single


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    names = options.names or sorted(name[:-2] for name in os.listdir(PROGRAMS) if name.endswith(".c") and name != "trivial.c")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            rows[name] = measure(name, options.rounds, folder)
            if not options.json:
                row = rows[name]
                print(
                    f"{name:12} {row['native_ns']:12.1f} ns  proved {row['proved']:5.2f}  checked {row['checked']:5.2f}",
                    flush=True,
                )
    means = {kind: math.exp(statistics.fmean(math.log(row[kind]) for row in rows.values())) for kind in ("proved", "checked")}
    worst = max(max(row["proved"], row["checked"]) for row in rows.values())
    batch, call = per_run()
    compiled, cached = starts("trivial")
    figures = {**means, "worst": worst, "run_ns": batch, "call_ns": call, "compile_ms": compiled, "start_ms": cached}
    if options.json:
        print(json.dumps({"programs": rows, "figures": figures, "bars": BARS}, indent=1))
    else:
        print(f"geometric means: proved {means['proved']:.2f}, checked {means['checked']:.2f}; worst {worst:.2f}")
        print(f"trivial program: {batch:.1f} ns a run in a batch, {call:.1f} ns a call from Python")
        print(f"start: {compiled:.1f} ms compiled anew, {cached:.2f} ms from the cache")
    return int(any(figures[bar] > limit for bar, limit in BARS.items()))


if __name__ == "__main__":
    sys.exit(main())
