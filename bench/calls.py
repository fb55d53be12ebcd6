"""A function in line, as a subprogram, as a tail call: instructions, and ns a call by BPF_PROG_TEST_RUN.

usage: calls.py [--json] [--repeat N]    needs root. docs/calls.md says what it shows.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import struct
import sys
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "src"))

CALLS = 16  # of the function, one after the other
ROUNDS = 5

# The same few instructions of work in all three; `seed` comes from the packet, so that nothing is computed by the compiler
WORK = "{ value ^= value << 13; value ^= value >> 7; value ^= value << 17; return value; }"
TEXT = f"""
struct packet {{ u64 seed; u64 rest[8]; }};
BPF_PROG_ARRAY(steps, 3);
BPF_PERCPU_ARRAY(state, u64, 3);

static __always_inline u64 in_line(u64 value) {WORK}
static __attribute__((noinline)) u64 static_function(u64 value) {WORK}
__attribute__((noinline)) u64 global_function(u64 value) {WORK}

static __always_inline u64 seed_of(struct __sk_buff *skb)
{{
    u64 seed = 0;
    bpf_skb_load_bytes(skb, 16, &seed, sizeof(seed));
    return seed;
}}

SEC("socket") int nothing(struct __sk_buff *skb)
{{
    u64 value = seed_of(skb);
    return (u32)value;
}}
SEC("socket") int inlined(struct __sk_buff *skb)
{{
    u64 value = seed_of(skb);
    {"value = in_line(value); " * CALLS}
    return (u32)value;
}}
SEC("socket") int subprograms(struct __sk_buff *skb)
{{
    u64 value = seed_of(skb);
    {"value = static_function(value); " * CALLS}
    return (u32)value;
}}
SEC("socket") int globals_(struct __sk_buff *skb)
{{
    u64 value = seed_of(skb);
    {"value = global_function(value); " * CALLS}
    return (u32)value;
}}
// A tail call does not come back and takes no argument but the context: what goes on lies in a map.
#define TAIL_CALLS(first, step, index) \\
SEC("socket") int step(struct __sk_buff *skb) \\
{{ \\
    int zero = 0, one = 1; \\
    u64 *value = state.lookup(&zero), *left = state.lookup(&one); \\
    if (!value || !left) \\
        return 0; \\
    *value = in_line(*value); \\
    if (--*left) \\
        steps.call(skb, index); \\
    return (u32)*value; \\
}} \\
SEC("socket") int first(struct __sk_buff *skb) \\
{{ \\
    int zero = 0, one = 1; \\
    u64 *value = state.lookup(&zero), *left = state.lookup(&one); \\
    if (!value || !left) \\
        return 0; \\
    *value = seed_of(skb); \\
    *left = {CALLS}; \\
    steps.call(skb, index); \\
    return 0; \\
}}
TAIL_CALLS(tail_calls, step, 0)
// An index that the compiler does not know, as with one program for each system call; no packet has a mark here
TAIL_CALLS(tail_calls_anywhere, step_anywhere, skb->mark + 2)
SEC("socket") int endless(struct __sk_buff *skb)
{{
    int two = 2;
    u64 *count = state.lookup(&two);
    if (count)
        ++*count;
    steps.call(skb, 1);
    return 0;
}}
"""


def nested(depth: int) -> str:
    """A program with that many functions below it, each called by the one before."""
    functions = "".join(
        f"static __attribute__((noinline)) u64 f{level}(u64 value) {{ return f{level + 1}(value) + {level}; }}\n"
        for level in reversed(range(1, depth))
    )
    last = f"static __attribute__((noinline)) u64 f{depth}(u64 value) {{ return value * 3; }}\n"
    return f'{last}{functions}SEC("socket") int top(struct __sk_buff *skb) {{ return f1(skb->len); }}\n'


PROGRAMS = {
    "no call": "nothing",
    "always inline": "inlined",
    "subprogram (static)": "subprograms",
    "subprogram (global)": "globals_",
    "tail call, constant index": "tail_calls",
    "tail call, any index": "tail_calls_anywhere",
}
# Where the jumps of the two go
STEPS = {"tail call, constant index": (0, "step"), "tail call, any index": (2, "step_anywhere")}


def test_run(fd: int, packet: bytes, repeat: int) -> tuple[int, int]:
    """(what the program returned, ns a run): struct bpf_attr's `test`, with the packet as data."""
    from skep.engine.kernel import syscall

    data = ctypes.create_string_buffer(packet, len(packet))
    attr = ctypes.create_string_buffer(
        struct.pack("=IIIIQQIIIIQQ", fd, 0, len(packet), 0, ctypes.addressof(data), 0, repeat, 0, 0, 0, 0, 0), 80
    )
    result = syscall.bpf(syscall.PROG_TEST_RUN, attr)
    if result < 0:
        raise OSError(-result, f"BPF_PROG_TEST_RUN: {syscall.errno_text(result)}")
    fields = struct.unpack_from("=IIIIQQII", attr.raw)
    return fields[1], fields[7]


def instructions(fd: int) -> tuple[int, int]:
    """(instructions after the verifier, bytes of machine code), of struct bpf_prog_info."""
    from skep.engine.kernel import syscall

    info = syscall.object_info(fd, 32)
    assert isinstance(info, bytes)
    _, _, _, jited, xlated = struct.unpack_from("=IIQII", info)
    return xlated // 8, jited


def measure(repeat: int) -> dict[str, dict[str, Any]]:
    from skep import BPF

    found: dict[str, dict[str, Any]] = {}
    packet = bytes(16) + (0x1234567).to_bytes(8, "little") + bytes(40)
    with BPF(text=TEXT, engine="kernel") as b:
        functions = {name: b.load_func(program, BPF.SOCKET_FILTER) for name, program in PROGRAMS.items()}
        for index, name in STEPS.values():
            b["steps"][index] = name
        for name, function in functions.items():
            runs = [test_run(function.fd, packet, repeat) for _ in range(ROUNDS)]
            insns, jited = instructions(function.fd)
            found[name] = {"result": runs[0][0], "ns": min(ns for _, ns in runs), "instructions": insns, "machine_code": jited}
        for row, (_, name) in STEPS.items():
            insns, jited = instructions(b.load_func(name, BPF.SOCKET_FILTER).fd)
            found[row]["instructions"] += insns
            found[row]["machine_code"] += jited
    results = {row["result"] for name, row in found.items() if name != "no call"}
    assert len(results) == 1, found  # all of them compute the same
    return found


def limits() -> dict[str, int]:
    """How many programs a chain of tail calls runs, and how deep functions may call each other."""
    from skep import BPF
    from skep.errors import CompileError, VerifierError

    with BPF(text=TEXT, engine="kernel") as b:
        endless = b.load_func("endless", BPF.SOCKET_FILTER)
        b["steps"][1] = endless.fd
        test_run(endless.fd, bytes(64), 1)
        chain = int(b["state"].sum(2).value)
    depth = 1
    try:
        while depth < 64:
            with BPF(text=nested(depth), engine="kernel") as b:
                b.load_func("top", BPF.SOCKET_FILTER)
            depth += 1
    except (VerifierError, CompileError):
        pass
    return {"programs_in_a_chain": chain, "functions_below_a_program": depth - 1}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeat", type=int, default=200_000)
    options = parser.parse_args()
    found = measure(options.repeat)
    base = found["no call"]["ns"]
    for row in found.values():
        row["ns_per_call"] = round((row["ns"] - base) / CALLS, 2)
    if options.json:
        print(json.dumps({"calls": CALLS, "programs": found, "limits": limits()}, indent=2))
        return 0
    print(f"{f'{CALLS} calls':<28}{'ns a run':>10}{'ns a call':>11}{'instructions':>14}{'machine code':>14}")
    for name, row in found.items():
        print(f"{name:<28}{row['ns']:>10}{row['ns_per_call']:>11}{row['instructions']:>14}{row['machine_code']:>12} B")
    for name, number in limits().items():
        print(f"{name.replace('_', ' ')}: {number}")
    return 0


if __name__ == "__main__":
    from skep.errors import PrivilegeError

    try:
        sys.exit(main())
    except PrivilegeError as error:
        sys.exit(f"this measures the kernel: {error}")
