"""Atomic builtins (`__sync_*`, `__atomic_*`), as the checker sees them: which of LLVM's operations each spelling is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skep.compiler import ast, tree
from skep.compiler import types as ct
from skep.compiler.conversions import assignable, convert, number, poison
from skep.compiler.types import PointerType, Type

if TYPE_CHECKING:
    from skep.compiler.calls import Calls

# name without its family: (LLVM's operation, does the call give the new value?)
_UPDATES = {
    name: (op, new)
    for op in ("add", "sub", "and", "or", "xor", "nand")
    for name, new in (
        (f"fetch_{op}", False), (f"fetch_and_{op}", False), (f"{op}_fetch", True), (f"{op}_and_fetch", True)
    )
} | {"lock_test_and_set": ("xchg", False), "exchange_n": ("xchg", False)}  # fmt: skip
# LLVM's names of memory orders, by __ATOMIC_RELAXED and so on; what is not there is sequentially consistent
_LOADS = {0: "monotonic", 1: "acquire", 2: "acquire"}
_STORES = {0: "monotonic", 3: "release"}
_FENCES = {0: "", 1: "acquire", 2: "acquire", 3: "release", 4: "acq_rel"}  # by __ATOMIC_RELAXED and so on


class _Operation:
    """One call: `type` is what its first argument points to."""

    __slots__ = ("args", "calls", "name", "node", "type", "what")

    def __init__(self, calls: Calls, node: ast.Call, name: str, what: str, args: list[tree.Node], type: Type) -> None:
        self.calls = calls
        self.node = node
        self.name = name
        self.what = what
        self.args = args
        self.type = type

    def value(self, index: int) -> tree.Node:
        """An argument as a value of the type."""
        if index >= len(self.args):
            self.calls.c.error(f"{self.name}() needs more arguments", self.node, code="arguments")
            return convert(number(self.node, 0), self.type)
        context = f"argument {index + 1} of {self.name}()"
        return assignable(self.calls.c, self.args[index], self.type, context, self.node.args[index])

    def behind(self, pointer: tree.Node) -> tree.Node:
        return tree.Deref(pointer.token, pointer.last, self.type, pointer)

    def result(self, type: Type, name: str, args: list[Any]) -> tree.Node:
        return tree.CallBuiltin(self.node.first, self.node.last, type, name, args)

    def refused(self, why: str) -> tree.Node:
        self.calls.c.error(f"{self.name}() {why}", self.node, code="arguments")
        return poison(self.node)


def atomic(calls: Calls, node: ast.Call, name: str) -> tree.Node | None:
    """The value of an atomic builtin; None if there is none of this name."""
    args = [calls.e.value(a) for a in node.args]
    what = name.strip("_").partition("_")[2]
    if what in ("synchronize", "thread_fence", "signal_fence"):
        if len(args) != (what != "synchronize"):
            calls.c.error(
                f"{name}() takes {'no argument' if what == 'synchronize' else 'a memory order'}", node, code="arguments"
            )
            return poison(node)
        order = "" if what == "signal_fence" else _order(_FENCES, args)
        return tree.CallBuiltin(node.first, node.last, ct.VOID, "fence", [order, *args])
    update, rule = _UPDATES.get(what), _RULES.get(what)
    if update is None and rule is None:
        return None
    to = args[0].type.to.unqualified() if args and isinstance(args[0].type, PointerType) else None
    if to is None or not (ct.is_scalar(to) or rule is _flag):
        calls.c.error(
            f"{name}() works on a pointer to an integer, not '{args[0].type if args else 'nothing'}'", node, code="type"
        )
        return poison(node)
    operation = _Operation(calls, node, name, what, args, to)
    if calls.c.bpf and rule not in _PLAIN and what != "clear":
        size = 1 if what == "test_and_set" else to.size
        if size not in (4, 8):
            return operation.refused(
                f"would need an atomic instruction for {size} byte{'s'[: size > 1]}, and BPF has them for 4 and 8"
            )
        if update is not None and update[0] == "nand":
            return operation.refused("has no instruction in BPF: invert what __sync_fetch_and_and() gives, or loop with a bound")
    if update is None:
        assert rule is not None
        return rule(operation)
    return _update(operation, *update)


def _order(names: dict[int, str], args: list[tree.Node]) -> str:
    """The memory order that the last argument says, where it is a constant."""
    last = args[-1] if args else None
    return names.get(int(last.value), "seq_cst") if isinstance(last, tree.Const) else "seq_cst"


def _update(o: _Operation, update: str, new: bool) -> tree.Node:
    type = o.type
    if update != "xchg" and not ct.is_integer(type):
        if update not in ("add", "sub") or not isinstance(type, PointerType):
            return o.refused(f"works on a pointer to an integer, not '{o.args[0].type}'")
        o.type = ct.LONG  # the pointer is a number: what is added counts bytes
    return convert(o.result(o.type, "atomic_new" if new else "atomic_old", [update, o.args[0], o.value(1)]), type)


def _flag(o: _Operation) -> tree.Node:
    """__atomic_test_and_set and __atomic_clear: of a byte, whatever the pointer's type."""
    byte = convert(o.args[0], PointerType(ct.UCHAR))
    if o.what == "clear":
        return o.result(ct.VOID, "atomic_store", [byte, number(o.node, 0, ct.UCHAR), _order(_STORES, o.args[1:])])
    return convert(o.result(ct.UCHAR, "atomic_old", ["xchg", byte, number(o.node, 1, ct.UCHAR)]), ct.BOOL)


def _compare_and_swap(o: _Operation) -> tree.Node:
    return o.result(ct.BOOL if o.what.startswith("bool") else o.type, "cmpxchg", [o.args[0], o.value(1), o.value(2)])


def _compare_exchange(o: _Operation) -> tree.Node:
    by_value = o.what.endswith("_n")
    pointers = o.args[1 : 2 if by_value else 3]
    if len(o.args) != 6 or not all(isinstance(p.type, PointerType) and p.type.to.size == o.type.size for p in pointers):
        return o.refused("takes 6 arguments: two pointers to one type, the new value, whether it may fail, and two memory orders")
    new = o.value(2) if by_value else o.behind(o.args[2])
    return o.result(ct.BOOL, "compare_exchange", [o.args[0], o.args[1], new])


def _load(o: _Operation) -> tree.Node:
    return o.result(o.type, "atomic_load", [o.args[0], _order(_LOADS, o.args[1:])])


def _store(o: _Operation) -> tree.Node:
    if o.what == "lock_release":
        return o.result(ct.VOID, "atomic_store", [o.args[0], convert(number(o.node, 0), o.type), "release"])
    return o.result(ct.VOID, "atomic_store", [o.args[0], o.value(1), _order(_STORES, o.args[2:])])


def _exchange(o: _Operation) -> tree.Node:
    return _through_pointers(o)


def _through_pointers(o: _Operation) -> tree.Node:
    """__atomic_load, store and exchange without _n: values are behind pointers."""
    count = 4 if o.what == "exchange" else 3
    pointers = o.args[1 : count - 1]
    if len(o.args) != count or not all(isinstance(p.type, PointerType) and p.type.to.size == o.type.size for p in pointers):
        return o.refused(f"takes {count} arguments, pointers to one type and a memory order")
    places = [o.behind(p) for p in pointers]
    if o.what == "store":
        return o.result(ct.VOID, "atomic_store", [o.args[0], places[0], _order(_STORES, o.args[2:])])
    value = _load(o) if o.what == "load" else o.result(o.type, "atomic_old", ["xchg", o.args[0], places[0]])
    assigned = tree.Assign(o.node.first, o.node.last, o.type, places[-1], value)
    return tree.Convert(o.node.first, o.node.last, ct.VOID, assigned, True)


_RULES: dict[str, Callable[[_Operation], tree.Node]] = {
    **dict.fromkeys(("test_and_set", "clear"), _flag),
    **dict.fromkeys(("val_compare_and_swap", "bool_compare_and_swap"), _compare_and_swap),
    **dict.fromkeys(("compare_exchange", "compare_exchange_n"), _compare_exchange),
    **dict.fromkeys(("store_n", "lock_release"), _store),
    **dict.fromkeys(("load", "store"), _through_pointers),
    "load_n": _load,
    "exchange": _exchange,
}
_PLAIN = (_store, _load, _through_pointers)  # these are loads and stores of any size
