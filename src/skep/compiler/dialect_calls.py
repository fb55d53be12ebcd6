"""Calls of BCC's functions that are neither helpers nor in the text: bodies in C from the dialect's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import ast, dialect, programs, tree
from skep.compiler.conversions import number, poison
from skep.compiler.types import PointerType

if TYPE_CHECKING:
    from skep.compiler.calls import Calls


class DialectCalls:
    """`call` is the entry: a checked tree, or None for a name that is not the dialect's."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.c = calls.c
        self.e = calls.e

    def call(self, node: ast.Call, name: str) -> tree.Node | None:
        if name in dialect.USDT_READS:
            return self._usdt(node, name)
        if name == "bpf_num_cpus":
            self.calls.take(node, 0)
            return number(node, possible_cpus())
        row = dialect.FUNCTIONS.get(name)
        if row is None:
            return None
        params, text = row
        args = self.calls.take(node, len(params))
        if args is None or any(isinstance(a, tree.Poison) for a in args):
            return poison(node)
        values = list(zip(params, args, strict=True))
        if "SKB" in text:
            packet = self._packet(node, name)
            if packet is None:
                return poison(node)
            values.append(("SKB", packet))
        return self.calls.with_arguments(node, node.first, text, name, values)

    def _packet(self, node: ast.Call, name: str) -> tree.Node | None:
        function = self.c.function
        var = programs.packet_of(function) if function is not None else None
        if var is None:
            self.c.error(f"{name}() works on a packet: give the function its 'struct __sk_buff *'", node, code="packet")
            return None
        return tree.VarRef(node.first, node.last, var.type, var)

    def _usdt(self, node: ast.Call, name: str) -> tree.Node:
        params, text = dialect.USDT_READS[name]
        args = self.calls.take(node, len(params) + 1)
        if args is None or any(isinstance(a, tree.Poison) for a in args):
            return poison(node)
        number = tree.const_int(args[0])
        if number is None:
            self.c.error("the number of a USDT argument must be an integer constant", node.args[0], code="constant")
            return poison(node)
        for i, what in ((1, "the context"), (2, "the variable that it fills")):
            if not isinstance(args[i].type, PointerType):
                hint = f"; write '&{s.name}'" if isinstance(s := node.args[i], ast.Name) and i == 2 else ""
                self.c.error(
                    f"{name}() wants a pointer to {what}, not '{args[i].type}'{hint}", node.args[i], code="type"
                )  # fmt: skip
                return poison(node)
        within = self.c.function.name if self.c.function is not None else ""
        reader = f"_bpf_readarg_{within}_{number}"
        if not isinstance(self.c.lookup(reader), tree.Function):
            self.c.error(
                f"no '{reader}' in this text: the USDT class puts it before the text for the function that "
                f"enable_probe(..., fn_name='{within}') names (BPF's usdt_contexts); or the probe has no argument {number}",
                node, code="usdt",
            )  # fmt: skip
            return poison(node)
        values = list(zip(params, args[1:], strict=True))
        return self.calls.with_arguments(node, node.first, text.replace("READ", reader), name, values)


def possible_cpus() -> int:
    """How many CPUs this machine can have: per-CPU maps have a value for each (Documentation/admin-guide/cputopology.rst)."""
    with open("/sys/devices/system/cpu/possible") as file:
        ranges = [part.split("-") for part in file.read().strip().split(",")]
    return sum(int(part[-1]) - int(part[0]) + 1 for part in ranges)
