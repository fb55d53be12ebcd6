"""The operands of an `asm` statement, checked: constraints, types, clobbers. Also `asm` that goes to LLVM as it is.

For BPF this is asm without instructions (a barrier), on the host all; LLVM's complaints about it lead back to the statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skep.compiler import tree
from skep.compiler import types as ct
from skep.compiler.abi import llvm_type
from skep.compiler.diagnostics import closest
from skep.compiler.inline_asm import Operand, place_in

if TYPE_CHECKING:
    from skep.compiler.emitter import Emitter
    from skep.compiler.values import Values

_CLOBBER = re.compile(r"(?:memory|cc|[rw](?:[0-9]|10))$")
_OPERAND = re.compile(r"%(?:%|(?P<modifier>[a-zA-Z]?)(?P<which>[0-9]+|\[[^\]]*\])|=)")


@dataclass(slots=True)
class Checked:
    """One operand of BPF assembly. `tied`: the input that an output starts with; `tied_to`: the output of such an input."""

    name: str
    kind: str
    value: tree.Node
    output: bool
    reads: bool
    number: int | None = None
    function: tree.Function | None = None
    maybe_constant: bool = False
    is_place: bool = False
    is_tied: bool = False
    tied_to: int = 0
    tied: tree.Node | None = None

    def shown(self) -> Operand:
        return Operand(self.name, self.kind, self.output, self.number)


def check_operands(m: Emitter, v: Values, node: tree.Asm) -> list[Checked] | None:
    """The operands with their kinds; None where one of them is an error."""
    found: list[Checked] = []
    for output, operands in ((True, node.outputs), (False, node.inputs)):
        for name, constraint, value in operands:
            error = _operand(found, name, constraint, value, output, len(node.outputs))
            if error:
                m.error(f"{error} (asm operand {len(found)})", value, "asm")
                return None
    for clobber in node.clobbers:
        if not _CLOBBER.match(clobber):
            m.error(f'asm clobber \'{clobber}\' is no register of BPF\'s: "r0" to "r9", "memory"', node.token, "asm")
            return None
    return found


def _operand(found: list[Checked], name: str, constraint: str, value: tree.Node, output: bool, outputs: int) -> str:
    """Append one operand; gives what is wrong with it."""
    letters = constraint.lstrip("=+").replace("&", "").replace("%", "")
    if output and constraint[:1] not in ("=", "+"):
        return f'the constraint "{constraint}" of an output begins with = or +'
    if not output and constraint[:1] in ("=", "+"):
        return f'the constraint "{constraint}" is an output\'s'
    if letters.isdecimal() and not output:
        return _tied(found, name, int(letters), value, outputs)
    if not letters or set(letters) - (set("rwmg") if output else set("rwinmgX")):
        return f'the constraint "{constraint}" is none of BPF\'s: r, w (32 bits), m{"" if output else ", i, n"}'
    letters = letters.replace("g", "rim").replace("X", "rim")
    number = tree.const_int(value)
    if number is None and isinstance(value, tree.Const) and isinstance(value.value, int):
        number = value.value  # a helper's number, NULL
    checked = Checked(name, "", value, output, constraint[:1] == "+")
    constant = set(letters) & set("in") and not output
    registers = set(letters) & set("rw")
    if constant and (number is not None or not registers):
        checked.kind, checked.number, checked.function = "i", number, _function(value)
    elif registers:
        checked.kind = "r" if "r" in letters else "w"
        if checked.kind == "r" and not output:
            value = checked.value = _whole(value)
        checked.maybe_constant = bool(constant)
    else:
        checked.kind = "m"
        found.append(checked)
        return ""
    if not ct.is_scalar(value.type) or isinstance(value.type, ct.FloatType) or value.type.size > 8:
        return f"a value of type '{value.type}' does not fit into a register of BPF's"
    if checked.kind == "w" and value.type.size > 4:
        return f"a value of type '{value.type}' does not fit into 32 bits: the constraint must be \"r\""
    plain = isinstance(value, tree.VarRef) and value.var.storage == "local" and not value.type.quals & ct.VOLATILE
    checked.is_place = not output and plain and value.type.size >= 4
    found.append(checked)
    return ""


def _tied(found: list[Checked], name: str, index: int, value: tree.Node, outputs: int) -> str:
    """An input with a digit stands in the same register as an output."""
    if index >= outputs or found[index].kind not in ("r", "w"):
        return f'the constraint "{index}" names no output in a register'
    if not ct.is_scalar(value.type) or isinstance(value.type, ct.FloatType) or value.type.size > 8:
        return f"a value of type '{value.type}' does not fit into a register of BPF's"
    target = found[index]
    target.tied = value
    found.append(Checked(name, target.kind, value, False, False, is_tied=True, tied_to=index))
    return ""


def _whole(node: tree.Node) -> tree.Node:
    """What a cast to 8 or 16 bits was made of: clang leaves the bits above in the register, and bpf_cmp_likely() uses that."""
    while isinstance(node, tree.Convert) and ct.is_integer(node.type) and node.type.size < 4 and ct.is_integer(node.operand.type):
        if ct.integer(node.type).rank == ct.BOOL_RANK or not node.type.size < node.operand.type.size <= 8:
            break
        node = node.operand
    return node


def _function(node: tree.Node) -> tree.Function | None:
    while isinstance(node, tree.Convert | tree.AddressOf):
        node = node.operand
    return node.function if isinstance(node, tree.FunctionRef) else None


class OpaqueAsm:
    """`emit` hands a statement to LLVM as it is."""

    def __init__(self, values: Values) -> None:
        self.v = values
        self.f = values.f
        self.m = values.f.m

    def emit(self, node: tree.Asm) -> None:
        f, v = self.f, self.v
        if node.labels:
            self.m.error("asm goto works for BPF only", node.token, "asm")
            return
        checked = check_operands(self.m, v, node) if self.m.bpf else None
        text = self._template(node)
        if text is None or (self.m.bpf and checked is None):
            return
        constraints: list[str] = []
        args: list[str] = []
        results: list[tuple[tree.Node, str]] = []
        tied: list[tuple[int, tree.Node]] = []
        for i, (_, constraint, value) in enumerate(node.outputs):
            # "w" would tell LLVM that the upper half is zero
            letters = checked[i].kind.replace("w", "r") if checked is not None else constraint.lstrip("=+&")
            early = "&" if "&" in constraint else ""
            if letters == "m":
                constraints.append("=*m")
                args.append(f"ptr elementtype({llvm_type(value.type)}) {f.places.lvalue_address(value)}")
                continue
            constraints.append(f"={early}{letters}")
            results.append((value, llvm_type(value.type)))
            if "+" in constraint:
                tied.append((i, value))
        for i, (_, constraint, value) in enumerate(node.inputs, len(node.outputs)):
            letters = checked[i].kind.replace("w", "r") if checked is not None and not checked[i].is_tied else constraint
            if letters == "m":
                constraints.append("*m")
                args.append(f"ptr elementtype({llvm_type(value.type)}) {f.places.lvalue_address(value)}")
                continue
            constraints.append("r" if letters == "i" and self.m.bpf else letters)
            args.append(v.typed(value))
        for i, value in tied:
            constraints.append(str(i))
            args.append(v.typed(value))
        constraints += [f"~{{{c}}}" for c in node.clobbers]
        returns = "void"
        if len(results) == 1:
            returns = results[0][1]
        elif results:
            returns = "{" + ", ".join(t for _, t in results) + "}"
        effects = "sideeffect " if node.volatile else ""
        self.m.asm_places.append((node.token, node.template))
        place = self.m.debug.node(f"!{{i64 {len(self.m.asm_places)}}}")
        # the !dbg that `emit` adds comes last
        call = f'call {returns} asm {effects}"{text}", "{",".join(constraints)}"({", ".join(args)}), !srcloc {place}'
        if returns == "void":
            f.emit(call)
            return
        result = f.value(call)
        for i, (target, _) in enumerate(results):
            value_text = result if len(results) == 1 else f.value(f"extractvalue {returns} {result}, {i}")
            f.places.store(f.places.place(target), value_text, target)

    def _template(self, node: tree.Asm) -> str | None:
        """GNU's %0 and %[name] as LLVM's $0, and the characters that LLVM's strings escape."""
        names = [name for name, _, _ in (*node.outputs, *node.inputs)]
        out: list[str] = []
        at = 0
        for match in () if node.basic else _OPERAND.finditer(node.template):
            out.append(_escaped(node.template[at : match.start()]))
            at = match.end()
            which = match.group("which")
            if which is None:
                out.append("%" if match.group() == "%%" else "${:uid}")
                continue
            index = self._index(node, which, names, match)
            if index is None:
                return None
            modifier = match.group("modifier")
            out.append(f"${{{index}:{modifier}}}" if modifier else f"${index}")
        out.append(_escaped(node.template[at:]))
        return "".join(out)

    def _index(self, node: tree.Asm, which: str, names: list[str], match: Any) -> int | None:
        name = which[1:-1]
        if which[0] != "[" and int(which) < len(names):
            return int(which)
        if which[0] == "[" and name in names:
            return names.index(name)
        if which[0] == "[":
            near = closest(name, [n for n in names if n])
            message = f"no operand has the name '{name}'" + (f"; did you mean '{near}'?" if near else "")
        else:
            message = f"'%{which}': this asm has {len(names)} operands, counted from 0"
        self.m.error(message, place_in(node.strings, match.start(), match.end()), "asm")
        return None


def _escaped(text: str) -> str:
    return "".join(
        "$$" if c == "$" else "".join(f"\\{b:02X}" for b in c.encode()) if not " " <= c <= "~" or c in '"\\' else c for c in text
    )
