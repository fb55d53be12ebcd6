"""Map operations of a program in the user engine beside the kernel's, on the same text: nanoseconds an operation.

Each program does one operation 64 times with keys that follow one another; both engines run it by test_run, in turn, and the
best of the rounds counts. The empty loop is taken off.

  bench/map_operations.py [--json] [--rounds N]     (as root; exit status 1 when a bar is missed)
"""

from __future__ import annotations

import argparse
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src"))

from skep import BPF

OPERATIONS = 64
ENTRIES = 1024
PACKET = bytes(64)
TEXT = """
BPF_HASH(hash, u32, u64, ENTRIES);
BPF_ARRAY(array, u64, ENTRIES);
BPF_PERCPU_HASH(percpu_hash, u32, u64, ENTRIES);
BPF_PERCPU_ARRAY(percpu_array, u64, ENTRIES);
BPF_TABLE("lru_hash", u32, u64, lru_hash, ENTRIES);
BPF_ARRAY(start, u32, 1);

#define PROGRAM(NAME, ...) \\
    int NAME(struct __sk_buff *skb) { \\
        int zero = 0; \\
        u32 *first = start.lookup(&zero), key, at; \\
        u64 sum = 0, value = 7; \\
        if (!first) \\
            return 0; \\
        at = *first; \\
        for (int i = 0; i < OPERATIONS; i++) { \\
            key = (at + i) & (ENTRIES - 1); \\
            __VA_ARGS__; \\
        } \\
        *first = at + OPERATIONS; \\
        return sum; \\
    }
#define LOOKUP(MAP) u64 *found = MAP.lookup(&key); if (found) sum += *found
PROGRAM(nothing, sum += key; asm volatile("" : "+r"(sum)))
PROGRAM(hash_lookup, LOOKUP(hash))
PROGRAM(hash_update, hash.update(&key, &value))
PROGRAM(array_lookup, LOOKUP(array))
PROGRAM(array_update, array.update((int *)&key, &value))
PROGRAM(lru_lookup, LOOKUP(lru_hash))
PROGRAM(lru_update, lru_hash.update(&key, &value))
PROGRAM(percpu_hash_lookup, LOOKUP(percpu_hash))
PROGRAM(percpu_hash_update, percpu_hash.update(&key, &value))
PROGRAM(percpu_array_lookup, LOOKUP(percpu_array))
"""
NAMES = (
    "hash_lookup", "hash_update", "array_lookup", "array_update", "lru_lookup", "lru_update", "percpu_hash_lookup",
    "percpu_hash_update", "percpu_array_lookup",
)  # fmt: skip
BARS = ("hash_lookup", "hash_update")  # at least as fast as the kernel's
MAPS = ("hash", "lru_hash", "percpu_hash")


def open_programs(engine: str) -> tuple[BPF, dict[str, object]]:
    """The programs loaded in an engine, their maps full."""
    bpf = BPF(text=TEXT, cflags=[f"-DENTRIES={ENTRIES}", f"-DOPERATIONS={OPERATIONS}"], engine=engine)
    for name in MAPS:
        table = bpf[name]
        for key in range(ENTRIES):
            table[table.Key(key)] = table.Leaf() if name.startswith("percpu") else table.Leaf(key)
    return bpf, {name: bpf.load_func(name, BPF.SCHED_CLS).handle for name in ("nothing", *NAMES)}


def measure(rounds: int, repeat: int) -> list[dict[str, object]]:
    """A row for each operation: nanoseconds in both engines, and how many times faster the user engine is."""
    opened = {engine: open_programs(engine) for engine in ("kernel", "user")}
    best: dict[tuple[str, str], float] = {}
    try:
        for _ in range(rounds):
            for name in ("nothing", *NAMES):
                for engine, (_, programs) in opened.items():
                    nanoseconds = programs[name].test_run(PACKET, repeat=repeat)[3]  # type: ignore[attr-defined]
                    key = engine, name
                    best[key] = min(best.get(key, float("inf")), nanoseconds)
    finally:
        for bpf, _ in opened.values():
            bpf.cleanup()
    rows = []
    for name in NAMES:
        row: dict[str, object] = {"operation": name}
        for engine in opened:
            row[f"{engine}_ns"] = max(best[engine, name] - best[engine, "nothing"], 1) / OPERATIONS
        row["ratio"] = row["kernel_ns"] / row["user_ns"]  # type: ignore[operator]
        rows.append(row)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeat", type=int, default=2000, help="runs in a round")
    options = parser.parse_args()
    rows = measure(options.rounds, options.repeat)
    missed = [row["operation"] for row in rows if row["operation"] in BARS and row["ratio"] < 1]  # type: ignore[operator]
    if options.json:
        print(json.dumps({"rows": rows, "missed": missed}, indent=2))
    else:
        print(f"{'operation':<22}{'kernel ns':>11}{'user ns':>9}{'kernel / user':>15}")
        for row in rows:
            bar = "  bar: 1" if row["operation"] in BARS else ""
            print(f"{row['operation']:<22}{row['kernel_ns']:>11.1f}{row['user_ns']:>9.1f}{row['ratio']:>15.2f}{bar}")
        print("FAILED: " + ", ".join(map(str, missed)) if missed else "all bars hold")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
