"""What bpf_trace_printk() and its kin print: a format that the kernel would refuse at run time, when nobody looks at the
helper's result, is a warning. The rules are those of bpf_bprintf_prepare() in kernel/bpf/helpers.c.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skep.compiler import ast, tree
from skep.compiler import types as ct
from skep.compiler.types import PointerType

if TYPE_CHECKING:
    from skep.compiler.checker import Checker

# helpers by what the format is among their arguments
FORMATS = {"trace_printk": 0, "trace_vprintk": 0, "snprintf": 2, "seq_printf": 1}
_END = r"(?=[\s!-/:-@\[-`{-~\0]|$)"
_POINTER = rf"p(?:[ku]s{_END}|[KxsSB]|[iI][46]|(?!%(?!%)){_END})"
_PLACE = re.compile(rf"%(?:%|[0+\- ]*(?:[1-9][0-9]*)?(?:{_POINTER}|(?P<text>s)|c|(?P<length>l*)(?P<number>[diuxX])))")
_WRITTEN = re.compile(r"%[-+ #0-9.*]*(?:hh?|ll?|z|j|t|p)?[^\s\0]?")
_KNOWN = "%d %i %u %x %ld %lu %lx %lld %llu %llx %p %s %c"


def format_of(node: tree.Node) -> tree.StringData | None:
    """The text behind a helper's argument: a literal, or a constant array that one initialises."""
    while isinstance(node, tree.Convert):
        node = node.operand
    if not isinstance(node, tree.AddressOf):
        return None
    place = node.operand
    if isinstance(place, tree.VarRef) and place.var.type.complete and isinstance(place.var.type, ct.ArrayType):
        init = place.var.init
        if place.var.type.of.quals & ct.CONST and init is not None and len(init.items) == 1:
            place = init.items[0][3]
    return place if isinstance(place, tree.StringData) else None


def check_format(checker: Checker, helper: str, text: tree.StringData, args: list[tree.Node] | None, node: ast.Call) -> None:
    """Warn of letters that the kernel does not know, and of values that do not fit them (`args` None: not known here)."""
    format = text.data.decode("utf-8", "replace").partition("\0")[0]
    at = 0
    places: list[re.Match[str]] = []
    while (at := format.find("%", at)) >= 0:
        found = _PLACE.match(format, at)
        if found is None or len(found["length"] or "") > 2:
            written = _WRITTEN.match(format, at)
            spelled = written[0] if written else "%"
            what = f"does not know '{spelled}'; it knows {_KNOWN}"
            if spelled == "%":
                what = "takes '%' for the start of a place for a value; write '%%'"
            checker.warning(f"bpf_{helper}() {what}", text, code="printk-format")
            return
        at = found.end()
        if found[0] != "%%":
            places.append(found)
    if args is None:
        return
    for place, arg, source in zip(places, args, node.args[-len(args) :] if args else [], strict=False):
        _check_value(checker, place, arg, source)
    used = len(places)
    if used != len(args):
        checker.warning(
            f"the text has {used} place{'s' * (used != 1)} for values, and {len(args)} {'are' if len(args) != 1 else 'is'} given",
            text, code="printk-format",
        )  # fmt: skip


def _check_value(checker: Checker, place: re.Match[str], arg: tree.Node, source: ast.Node) -> None:
    if place["text"] and not isinstance(arg.type, PointerType):
        checker.warning(f"'{place[0]}' prints a string, and this is '{arg.type}'", source, code="printk-format")
    elif place["number"] and not place["length"] and ct.is_integer(arg.type) and arg.type.size == 8:
        checker.warning(
            f"'{place[0]}' prints 32 bits of this '{arg.type}'; '{place[0][:-1]}ll{place['number']}' prints all 64",
            source, code="printk-format",
        )  # fmt: skip
