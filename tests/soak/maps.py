"""Two processes whose programs write maps and two that read them: no crash, no torn value, no entry lost, memory flat.

usage: maps.py [--seconds N]    needs root; prints what was read and written; exit code 1 when something is wrong
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "src"))

from skep import BPF

STEADY, ENTRIES = 512, 4096
HOT, WORDS = 4, 30  # values under a lock: few and long, so that one is often being written when it is read
RUNS = 2000  # of a program in one system call
SLACK = 8 << 20  # bytes that a reader's memory may grow by after its first second

TEXT = """
struct locked { struct bpf_spin_lock lock; u32 a; u64 b[WORDS]; };
BPF_HASH(locked, u32, struct locked, HOT);         // values that are written and read under their lock
BPF_ARRAY(words, u64, STEADY);                     // 8 bytes, written with one store
BPF_HASH(steady, u32, u64, ENTRIES);               // the keys below STEADY stay, the others come and go
BPF_LRU_HASH(recent, u32, u64, STEADY);
BPF_PERCPU_ARRAY(written, u64, 1);

static int step(u32 random) {
    u32 key = random % STEADY, hot = random % HOT, coming = STEADY + random % (ENTRIES - STEADY), zero = 0;
    struct locked *value = locked.lookup(&hot);
    if (value) {
        bpf_spin_lock(&value->lock);
        value->a = random;
        for (int i = 0; i < WORDS; i++)
            value->b[i] = random;
        bpf_spin_unlock(&value->lock);
    }
    u64 word = (u64)random << 32 | random, *place = words.lookup(&key);
    if (place)
        *(volatile u64 *)place = word;
    steady.update(&key, &word);
    if (random & 1 << 20)
        steady.update(&coming, &word);
    else
        steady.delete(&coming);
    recent.update(&random, &word);
    written.increment(zero);
    return 0;
}

int write_one(struct __sk_buff *skb) { return step(bpf_get_prandom_u32()); }
int write_other(struct __sk_buff *skb) { return step(bpf_get_prandom_u32() * 2654435761U); }
"""


def resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def writer(bpf: BPF, name: str, end: float) -> dict[str, int]:
    program = bpf.load_func(name, BPF.SCHED_CLS).handle
    runs = 0
    while time.monotonic() < end:
        program.test_run(bytes(64), repeat=RUNS)
        runs += RUNS
    return {"runs": runs}


def reader(bpf: BPF, end: float) -> dict[str, int]:
    locked, words, steady, recent = (bpf[name] for name in ("locked", "words", "steady", "recent"))
    live = words.live()
    keys = set(range(STEADY))
    begin, first, rounds, torn, lost, values = time.monotonic(), 0, 0, 0, 0, 0
    while time.monotonic() < end:
        array = locked.to_numpy()["value"]
        torn += int((array["b"] != array["a"][:, None]).any(axis=1).sum())
        for _, leaf in locked.items():
            torn += any(one != leaf.a for one in leaf.b)
        for number in range(1000):
            leaf = locked[number % HOT]
            torn += any(one != leaf.a for one in leaf.b)
        for array in (words.to_numpy()["value"], live.copy(), steady.to_numpy()["value"]):
            torn += int(((array >> 32) != (array & 0xFFFFFFFF)).sum())
            values += len(array)
        found = [key.value for key in steady]
        lost += len(keys - set(found)) + len(found) - len(set(found))
        values += len(found) + len(recent.items())
        rounds += 1
        if not first and time.monotonic() - begin > 1:
            first = resident()
    grown = resident() - first if first else 0
    del live
    return {"rounds": rounds, "values": values, "torn": torn, "lost": lost, "grown": grown}


def in_process(work: Callable[[], dict[str, int]]) -> tuple[int, int]:
    """A child that does the work and sends its result: (pid, fd to read from)."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            os.write(sink, json.dumps(work()).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(sink)
    return pid, source


def soak(seconds: float) -> dict[str, Any]:
    with BPF(text=TEXT, cflags=[f"-D{name}={globals()[name]}" for name in ("STEADY", "ENTRIES", "HOT", "WORDS")]) as bpf:
        for name in ("write_one", "write_other"):
            bpf.load_func(name, BPF.SCHED_CLS)
        import numpy

        keys = numpy.arange(STEADY, dtype="u4")
        bpf["locked"].update({key: bpf["locked"].Leaf() for key in range(HOT)})
        bpf["steady"].update_from(keys, keys.astype("u8") * 0)
        names = ("locked", "words", "steady", "recent")
        before = {name: bpf[name].info()["memlock"] for name in names}
        end = time.monotonic() + seconds
        writers = [in_process(lambda name=name: writer(bpf, name, end)) for name in ("write_one", "write_other")]
        readers = [in_process(lambda: reader(bpf, end)) for _ in range(2)]
        results = []
        for pid, source in writers + readers:
            with open(source, "rb") as pipe:
                data = pipe.read()
            _, status = os.waitpid(pid, 0)
            results.append({"status": status, **(json.loads(data) if data else {})})
        after = {name: bpf[name].info()["memlock"] for name in names}
        return {
            "writers": results[:2],
            "readers": results[2:],
            "written": bpf["written"].sum(0).value,
            "memlock_before": before,
            "memlock_after": after,
        }


def wrong(result: dict[str, Any]) -> list[str]:
    """What should not be, in words."""
    found = [f"a process ended with status {one['status']}" for one in result["writers"] + result["readers"] if one["status"]]
    if found:
        return found
    for one in result["readers"]:
        found += [f"{one[what]} values {what}" for what in ("torn", "lost") if one[what]]
        if one["grown"] > SLACK:
            found.append(f"a reader grew by {one['grown']} bytes")
        if not one["rounds"]:
            found.append("a reader read nothing")
    if result["written"] != sum(one["runs"] for one in result["writers"]):
        found.append(
            f"{result['written']} runs were counted in the map, the writers made {[one['runs'] for one in result['writers']]}"
        )
    if result["memlock_before"] != result["memlock_after"]:
        found.append(f"the maps' memory changed: {result['memlock_before']}, then {result['memlock_after']}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    result = soak(parser.parse_args().seconds)
    print(json.dumps(result, indent=2))
    problems = wrong(result)
    for problem in problems:
        print(f"wrong: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
