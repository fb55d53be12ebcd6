"""Numbers, characters and strings of the checker: their types and bytes (C11 6.4.4, 6.4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skep.compiler import ast, constants, tree
from skep.compiler import types as ct
from skep.compiler.conversions import poison
from skep.compiler.source import Token, decode_char, decode_string, literal_warnings
from skep.compiler.types import ArrayType

if TYPE_CHECKING:
    from skep.compiler.checker import Checker

_ELEMENT = {"": ct.CHAR, "u8": ct.CHAR, "L": ct.INT, "u": ct.USHORT, "U": ct.UINT}
_CHARACTER = {"": ct.INT, "L": ct.INT, "u": ct.USHORT, "U": ct.UINT, "u8": ct.UCHAR}


def numeral(checker: Checker, node: ast.Number) -> tree.Node:
    try:
        type, value = constants.parse_number(node.first.text)
    except ValueError as error:
        checker.error(str(error), node, code="number")
        type, value = ct.INT, 0
    if isinstance(type, ct.FloatType) and checker.bpf:
        checker.no_floating_point(node)
        return poison(node)
    return tree.Const(node.first, node.last, type, value)


def character(checker: Checker, node: ast.Character) -> tree.Node:
    try:
        value = decode_char(node.first)
        _literal_warnings(checker, node.first)
    except ValueError as error:
        checker.error(str(error), node, code="escape")
        value = 0
    prefix = node.first.text.split("'")[0]
    type = _CHARACTER[prefix]
    return tree.Const(node.first, node.last, type, type.wrap(value))


def string(checker: Checker, node: ast.String) -> tree.StringData:
    prefix = next((p for token in node.tokens if (p := token.text.partition('"')[0])), "")
    elements: list[int] = []
    for token in node.tokens:
        try:
            own, value = decode_string(token, prefix)
            _literal_warnings(checker, token)
        except ValueError as error:
            checker.error(str(error), token, code="escape")
            continue
        if own != prefix:
            checker.error(f"a string with prefix {own} is joined to one with {prefix}", token, code="string")
        elements += value
    of = _ELEMENT[prefix]
    elements.append(0)
    data = b"".join((e & ((1 << of.bits) - 1)).to_bytes(of.size, "little") for e in elements)
    return tree.StringData(node.first, node.last, ArrayType(of, len(elements)), data)


def _literal_warnings(checker: Checker, token: Token) -> None:
    for message in literal_warnings(token) if "\\" in token.text or token.kind == "char" else ():
        checker.warning(message, token, code="unknown-escape-sequence" if "escape" in message else "multichar")
