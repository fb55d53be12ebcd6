"""Maps of 100,000 entries read and written whole: Skep against one system call an entry, bpftool's JSON and BCC, in one run.

usage: maps.py [--json] [--entries N] [--no-peers]    needs root; CPU time, the best of some rounds
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy
from peers import BCC_PYTHON, bcc_environment

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "src"))

from skep import maps  # noqa: E402
from skep.engine.kernel import syscall  # noqa: E402
from skep.engine.kernel.batch import Reading  # noqa: E402

KINDS = ("hash", "array", "percpu_hash")
ROUNDS = 10
NUMPY_BAR, ITEMS_BAR, BCC_BAR = 30, 4, 8  # times the entry-by-entry loop; times BCC's items() and items_lookup_batch()
CLEAR_BAR = 3  # ten times the entries may take this many times ten times the time

BCC = """
import json, sys, time, ctypes
from bcc import BPF
entries = int(sys.argv[1])
small = max(entries // 10, 1)
b = BPF(text=("BPF_HASH(h, u32, u64, %d); BPF_HASH(s, u32, u64, %d);" % (entries, small)).encode())

def timed(function):
    start = time.process_time()
    function()
    return (time.process_time() - start) * 1000

def fill(table, count):
    keys, leaves = (table.Key * count)(*range(count)), (table.Leaf * count)(*range(count))
    table.items_update_batch(keys, leaves)

table, found = b[b"h"], {}
fill(table, entries)
found["items"] = min(timed(table.items) for _ in range(2))
found["items_lookup_batch"] = min(timed(lambda: list(table.items_lookup_batch())) for _ in range(20))
fill(b[b"s"], small)
found["clear_tenth"] = timed(b[b"s"].clear)
print(json.dumps(found))
"""


class Attr(ctypes.Structure):
    """The attribute of an element call of bpf(2)."""

    _fields_ = (
        ("fd", ctypes.c_uint32), ("pad", ctypes.c_uint32), ("key", ctypes.c_uint64), ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )  # fmt: skip


LOOKUP, UPDATE, NEXT_KEY = 1, 2, 4
NUMBER = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
LIBC = ctypes.CDLL(None, use_errno=True)


def walk(table: Any) -> list[Any]:
    """All entries as ctypes objects by one system call for the key and one for its value, as a loop over ctypes does it."""
    found = []
    following, leaf_type, key_type = table.Key(), table.Leaf, table.Key
    step, read = Attr(table.map_fd), Attr(table.map_fd)
    step.value = ctypes.addressof(following)
    while LIBC.syscall(NUMBER, NEXT_KEY, ctypes.byref(step), 32) == 0:
        key, leaf = key_type.from_buffer_copy(following), leaf_type()
        read.key, read.value = ctypes.addressof(key), ctypes.addressof(leaf)
        if LIBC.syscall(NUMBER, LOOKUP, ctypes.byref(read), 32) == 0:
            found.append((key, leaf))
        step.key = ctypes.addressof(key)
    return found


def lookups(table: Any, keys: list[int]) -> list[Any]:
    """The values of known keys, one system call each."""
    found = []
    key = table.Key()
    attr = Attr(table.map_fd, 0, ctypes.addressof(key))
    for number in keys:
        leaf = table.Leaf()
        key.value = number
        attr.value = ctypes.addressof(leaf)
        if LIBC.syscall(NUMBER, LOOKUP, ctypes.byref(attr), 32) == 0:
            found.append((number, leaf))
    return found


def batch_calls(table: Any) -> None:
    """What the kernel takes to copy a map by BPF_MAP_LOOKUP_BATCH; large hash maps are not read so."""
    handle = table.handle
    reading = Reading(syscall.MAP_LOOKUP_BATCH, handle.key_size, handle.value_size, handle.max_entries)
    while not reading.ended and not reading.step(handle.fd):
        pass


def updates(table: Any, keys: list[int], leaves: list[Any]) -> None:
    """Write entries, one system call each."""
    key, leaf = table.Key(), table.Leaf()
    attr = Attr(table.map_fd, 0, ctypes.addressof(key), ctypes.addressof(leaf))
    for number, value in zip(keys, leaves, strict=True):
        key.value = number
        if isinstance(value, list):
            leaf[:] = value
        else:
            leaf.value = value
        LIBC.syscall(NUMBER, UPDATE, ctypes.byref(attr), 32)


def cpu_ms(function: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """CPU time of this process, the best of the rounds: other processes of the machine do not count."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
        del result
    return best * 1000


def command_ms(command: list[str]) -> float:
    """CPU time of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000


def measure_kind(kind: str, entries: int, bpftool: str | None) -> dict[str, float]:
    """CPU time in ms of each way to dump and fill one map."""
    options = {} if kind == "array" else {"key": ctypes.c_uint32}
    with maps.create(kind, value=ctypes.c_uint64, max_entries=entries, **options) as table:
        keys = numpy.arange(entries, dtype="u4")
        values = keys.astype("u8") * 3
        if kind.startswith("percpu"):
            values = numpy.stack([values] * table.bpf.engine.possible_cpus, axis=1)
        numbers, leaves = keys.tolist(), values.tolist()
        found = {
            "fill, one call an entry": cpu_ms(lambda: updates(table, numbers, leaves), 2),
            "fill, update_from()": cpu_ms(lambda: table.update_from(keys, values)),
            "dump, one call for a key, one for its value": cpu_ms(lambda: walk(table), 2),
            "dump, one call for a value": cpu_ms(lambda: lookups(table, numbers), 2),
            "dump, items()": cpu_ms(table.items),
            "dump, to_numpy()": cpu_ms(table.to_numpy, 2 * ROUNDS),
            "dump, the kernel's batch calls alone": cpu_ms(lambda: batch_calls(table)),
        }
        read = numpy.sort(table.to_numpy(), order="key")
        if not (len(read) == entries and (read["key"] == keys).all() and (read["value"] == values).all()):
            raise SystemExit(f"{kind}: what was read is not what was written")
        if bpftool:
            found["dump, bpftool -j"] = command_ms([bpftool, "-j", "map", "dump", "id", str(table.map_id)])
        if kind != "array":
            start = time.process_time()
            table.clear()
            found["clear()"] = (time.process_time() - start) * 1000
        return found


def clear_growth(entries: int) -> float:
    """How many times longer clear() takes for ten times the entries, per entry: medians, as single times are far off at times."""
    times = []
    for count in (max(entries // 10, 1), entries):
        with maps.create("hash", key=ctypes.c_uint32, value=ctypes.c_uint64, max_entries=count) as table:
            keys = numpy.arange(count, dtype="u4")
            rounds = []
            for _ in range(ROUNDS):
                table.update_from(keys, keys.astype("u8"))
                start = time.process_time()
                table.clear()
                rounds.append(time.process_time() - start)
            times.append(median(rounds) / count)
    return times[1] / times[0]


def bcc(entries: int) -> dict[str, float]:
    """BCC's figures; nothing where it is not installed or finds no kernel headers."""
    environment = bcc_environment()
    if environment is None:
        return {}
    done = subprocess.run([BCC_PYTHON, "-c", BCC, str(entries)], env=environment, capture_output=True, text=True, check=False)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 and done.stdout else {}


def measure(entries: int, peers: bool) -> dict[str, Any]:
    """All figures, and the bars with what was measured."""
    bpftool = shutil.which("bpftool") if peers else None
    figures = {kind: measure_kind(kind, entries, bpftool) for kind in KINDS}
    bars = []

    def bar(name: str, measured: float, at_least: float) -> None:
        bars.append({"bar": name, "measured": round(measured, 1), "at_least": at_least, "holds": measured >= at_least})

    for kind, found in figures.items():
        loop = found["dump, one call for a key, one for its value"]
        bar(f"{kind}: to_numpy() against the entry-by-entry loop", loop / found["dump, to_numpy()"], NUMPY_BAR)
        bar(f"{kind}: items() against the entry-by-entry loop", loop / found["dump, items()"], ITEMS_BAR)
    growth = clear_growth(entries)
    bars.append({"bar": "hash: clear(), time an entry with ten times the entries", "measured": round(growth, 2),
                 "at_most": CLEAR_BAR, "holds": growth <= CLEAR_BAR})  # fmt: skip
    peer = bcc(entries) if peers else {}
    if peer:
        figures["BCC, hash"] = {f"dump, {name}()": value for name, value in peer.items() if name.startswith("items")}
        figures["BCC, hash"]["clear() of a tenth"] = peer["clear_tenth"]
        bar("hash: items() against BCC's", peer["items"] / figures["hash"]["dump, items()"], BCC_BAR)
        bar("hash: to_numpy() against BCC's items_lookup_batch()",
            peer["items_lookup_batch"] / figures["hash"]["dump, to_numpy()"], BCC_BAR)  # fmt: skip
    return {"entries": entries, "figures": figures, "bars": bars}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--no-peers", action="store_true", help="without bpftool and BCC")
    options = parser.parse_args()
    result = measure(options.entries, not options.no_peers)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print(f"{options.entries} entries; ms of CPU time, millions of entries a second")
        for kind, found in result["figures"].items():
            for name, value in found.items():
                print(f"  {kind:12} {name:46} {value:9.2f} ms {options.entries / value / 1000:9.2f} M/s")
        for one in result["bars"]:
            limit = f"at least {one['at_least']}" if "at_least" in one else f"at most {one['at_most']}"
            print(f"{'holds' if one['holds'] else 'FAILS'}: {one['bar']}: {one['measured']} ({limit})")
    return 0 if all(one["holds"] for one in result["bars"]) else 1


if __name__ == "__main__":
    sys.exit(main())
