"""The harness of the helper tests: a body in C, run by hand on an engine; what it returned and what it left behind."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from map_parts import joined

from skep import BPF

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKET = bytes.fromhex(
    "ffffffffffff0200000000010800"  # Ethernet
    "450000340001400040060000"  # IPv4, TCP
    "0a0000010a000002"
    "303900500000000100000000501020000000"
    "0000"
) + bytes(range(34))
WORDS = struct.pack("=4Q", 7, (1 << 63) + 5, 1000, 0x1122334455667788)

# what a case's function may use: words of input, words of results
HEAD = """
#include <uapi/linux/bpf.h>
BPF_ARRAY(in, u64, 8);
BPF_ARRAY(out, u64, 32);
static inline void put(u32 at, u64 value) { out.update(&at, &value); }
static inline u64 arg(u32 at) { u64 *value = in.lookup(&at); return value ? *value : 0; }
"""
CONTEXTS = {
    "xdp": "struct xdp_md",
    "tc": "struct __sk_buff",
    "socket": "struct __sk_buff",
    "raw": "struct bpf_raw_tracepoint_args",
}
KINDS = {"xdp": BPF.XDP, "tc": BPF.SCHED_CLS, "socket": BPF.SOCKET_FILTER, "raw": BPF.RAW_TRACEPOINT}
Result = tuple[int, bytes, bytes, dict[str, dict[bytes, bytes]]]


class Case:
    """A body in C, with `ctx`; `kind` is the program's type, `inputs` what arg() gives in each of its runs."""

    def __init__(
        self,
        name: str,
        kind: str,
        body: str,
        *inputs: tuple[int, ...],
        before: str = "",
        data: bytes = PACKET,
        ctx: bytes = b"",
        texts: tuple[bytes, ...] = (),
    ) -> None:
        self.name = name
        self.kind = kind
        self.text = f"{HEAD}{before}\nint f({CONTEXTS[kind]} *ctx) {{\n{body}\nreturn 0;\n}}\n"
        self.inputs = inputs or ((),)
        self.ctx = ctx or (WORDS if kind == "raw" else b"")
        self.data = [data[:14] + text + bytes(46) for text in texts] or [data if kind != "raw" else b""]


def run(case: Case, engine: str) -> Iterator[tuple[tuple[int, ...], bytes, Result]]:
    """For each input: the result, data and context after, and all tables."""
    with BPF(text=case.text, engine=engine) as b:
        program = b.load_func("f", KINDS[case.kind]).handle
        for data in case.data:
            for words in case.inputs:
                for at in range(32):
                    b["out"][at] = 0
                for at in range(8):
                    b["in"][at] = (words + (0,) * 8)[at] & (1 << 64) - 1
                result, after, ctx, _ = program.test_run(data, case.ctx)
                yield words, data, (result, after, ctx, tables(b))


def tables(b: BPF) -> dict[str, dict[bytes, bytes]]:
    found = {}
    for name in b:
        handle = b._maps[name]
        parts = None if name.startswith(".") else handle.parts()
        if parts is not None:
            keys, values, count = joined(parts)
            width, size = handle.key_size, handle.value_size
            found[name] = {
                bytes(keys[at * width : (at + 1) * width]): bytes(values[at * size : (at + 1) * size]) for at in range(count)
            }
    return found


def one(body: str, kind: str = "raw", before: str = "") -> tuple[int, dict[int, int]]:
    """The result of a body on the user engine, and its words."""
    ((_, _, (result, _, _, found)),) = run(Case("", kind, body, before=before), "user")
    return result, {int.from_bytes(key, "little"): int.from_bytes(value, "little") for key, value in found["out"].items()}
