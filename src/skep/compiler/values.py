"""Expressions of one function to LLVM IR: operators, conversions, conditions, records, initialisers.

Lvalues are in `places`, calls and builtins in `call_values`. A record's value is the address of its bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from skep.compiler import constants, tree
from skep.compiler import types as ct
from skep.compiler.abi import llvm_type
from skep.compiler.asm_lowering import AsmLowering
from skep.compiler.asm_operands import OpaqueAsm
from skep.compiler.blocks import Blocks
from skep.compiler.builtin_values import BuiltinValues
from skep.compiler.call_values import CallValues
from skep.compiler.diagnostics import NO_FLOATING_POINT
from skep.compiler.places import Place
from skep.compiler.types import Type

if TYPE_CHECKING:
    from skep.compiler.function_emitter import FunctionEmitter

_COMPARE = {
    "==": ("eq", "eq", "oeq"), "!=": ("ne", "ne", "une"), "<": ("slt", "ult", "olt"), ">": ("sgt", "ugt", "ogt"),
    "<=": ("sle", "ule", "ole"), ">=": ("sge", "uge", "oge"),
}  # fmt: skip
_INT_OPS = {"+": "add", "-": "sub", "*": "mul", "&": "and", "|": "or", "^": "xor", "<<": "shl"}
_SHIFTS = {"shl", "lshr", "ashr"}
_CALLED = _SHIFTS | {"mul"}  # what LLVM takes from a run-time library for 128 bits
_FLOAT_OPS = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}


class Values:
    """`scalar`, `aggregate`, `discard` and `condition` are the entries for expressions."""

    def __init__(self, function: FunctionEmitter) -> None:
        self.f = function
        self.m = function.m
        self.places = function.places
        self.blocks = Blocks(function)
        self.calls = CallValues(self)
        self.builtins = BuiltinValues(self)
        self.assembly: AsmLowering | None = None

    # --- entries

    def discard(self, node: tree.Node) -> None:
        """Evaluate for the effects."""
        if isinstance(node.type, ct.VoidType) or ct.is_scalar(node.type):
            self.scalar(node)
        elif isinstance(node.type, ct.RecordType):
            self.aggregate(node)

    def scalar(self, node: tree.Node) -> str:
        """The value of a scalar (or void) expression, as an LLVM operand."""
        saved = self.f.token
        self.f.token = node.token
        result: str = self._methods[type(node)](self, node)
        self.f.token = saved
        return result

    def typed(self, node: tree.Node) -> str:
        return f"{llvm_type(node.type)} {self.scalar(node)}"

    # --- aggregates

    def aggregate(self, node: tree.Node) -> str:
        """The address of a record's (or array's) bytes."""
        self.f.token = node.token
        match node:
            case tree.VarRef() | tree.MemberRef() | tree.Deref() | tree.CompoundLiteral() | tree.StringData():
                place = self.places.place(node)
                if place.space == "wire" and isinstance(node.type, ct.RecordType):
                    self.m.error(f"'{node.type}' is read field by field, or copied by bpf_skb_load_bytes()", node, "packet")
                if place.space != "direct":
                    return self.places.probe(place, node.type.size, node.type.align)
                return self.places.address(place)
            case tree.Assign():
                value = self.aggregate(node.value)
                target = self.places.place(node.target)
                if target.space != "direct":
                    return self.places.store(target, value, node)
                address = self.places.address(target)
                self.copy(address, value, node.type)
                return address
            case tree.Conditional():
                return self._conditional_record(node)
            case tree.Comma():
                self.discard(node.left)
                return self.aggregate(node.right)
            case tree.StatementExpr():
                assert node.value is not None
                slot = self.f.temporary(node.type.size, node.type.align)
                self._enter(node.block)
                self.copy(slot, self.aggregate(node.value), node.type)
                self.f.close_scope(node.block)
                return slot
            case tree.CallFunction() | tree.CallPointer() | tree.CallBuiltin():
                return self.calls.record(node)
            case tree.Convert():
                return self.aggregate(node.operand)
        raise AssertionError(node)

    def _conditional_record(self, node: tree.Conditional) -> str:
        f = self.f
        slot = f.temporary(node.type.size, node.type.align)
        yes, no, end = f.fresh("then"), f.fresh("else"), f.fresh("endif")
        self.condition(node.condition, yes, no)
        f.label(yes)
        assert node.then is not None
        self.copy(slot, self.aggregate(node.then), node.type)
        f.jump(end)
        f.label(no)
        self.copy(slot, self.aggregate(node.otherwise), node.type)
        f.label(end)
        return slot

    def copy(self, to: str, source: str, type: Type, align: int = 0) -> None:
        align = align or max(type.align, 1)
        if type.size:
            self.blocks.copy(to, source, str(type.size), align, align)

    def _part_address(self, base: str, offset: int, type: Type) -> tuple[str, int]:
        align = max(min(type.align, (offset & -offset) or 16), 1)
        return (self.f.value(f"getelementptr inbounds i8, ptr {base}, i64 {offset}") if offset else base), align

    def load_part(self, base: str, text: str, offset: int, type: Type) -> str:
        """A piece of a record, as it travels in a register."""
        address, align = self._part_address(base, offset, type)
        return self.f.value(f"load {text}, ptr {address}, align {align}")

    def store_part(self, base: str, text: str, offset: int, value: str, type: Type) -> None:
        address, align = self._part_address(base, offset, type)
        self.f.emit(f"store {text} {value}, ptr {address}, align {align}")

    def zero(self, to: str, size: int, align: int) -> None:
        if size:
            self.blocks.fill(to, "0", str(size), align)

    def initialise(self, slot: str, type: Type, init: tree.Init) -> None:
        """Fill an object: zeros first where the initialiser leaves any, then each value."""
        stores = init.items
        single = len(stores) == 1 and stores[0][2].size == type.size and stores[0][1] is None
        if init.zero and not single:
            self.zero(slot, type.size, type.align)
        known: dict[int, str] = {}  # a range stores one expression many times: it is evaluated once
        for offset, member, part, node in stores:
            place = Place(slot, "direct", part, max(min(part.align, (offset & -offset) or part.align), 1))
            place.offset = offset
            place.member = member
            if isinstance(part, ct.RecordType | ct.ArrayType):
                source = known[id(node)] = known.get(id(node)) or self.aggregate(node)
                address = self.places.address(place)
                self.copy(address, source, part, min(place.align, node.type.align))
            else:
                value = known[id(node)] = known.get(id(node)) or self.scalar(node)
                self.places.store(place, value, node)

    # --- leaves

    def const(self, node: tree.Const) -> str:
        if isinstance(node.type, ct.PointerType):
            return f"inttoptr (i64 {node.value} to ptr)"
        if isinstance(node.type, ct.FloatType):
            if node.type.width == 16:
                return f"0xK{constants.long_double_bits(node.value):020X}"
            return f"0x{struct.unpack('<Q', struct.pack('<d', node.value))[0]:016X}"
        return str(int(node.value))

    def lvalue(self, node: tree.Node) -> str:
        if not ct.is_scalar(node.type):
            return self.aggregate(node)
        return self.places.load(self.places.place(node), node)

    def address_of(self, node: tree.AddressOf) -> str:
        return self.places.lvalue_address(node.operand)

    def map_ref(self, node: tree.MapRef) -> str:
        return f"@{node.map.name}"

    # --- operators

    def convert(self, node: tree.Convert) -> str:
        to, source = node.type, node.operand.type
        if isinstance(to, ct.VoidType):
            self.discard(node.operand)
            return ""
        value = self.scalar(node.operand)
        return self.convert_value(value, source, to)

    def convert_value(self, value: str, source: Type, to: Type) -> str:
        f = self.f
        lt, ls = llvm_type(to), llvm_type(source)
        if isinstance(to, ct.IntType) and to.rank == ct.BOOL_RANK:
            if isinstance(source, ct.IntType) and source.rank == ct.BOOL_RANK:
                return value
            return f.value(f"zext i1 {self.truth(value, source)} to i8")
        if isinstance(to, ct.FloatType):
            if isinstance(source, ct.FloatType):
                if to.width == source.width:
                    return value
                return self._real(f"{'fpext' if to.width > source.width else 'fptrunc'} {ls} {value} to {lt}")
            return self._real(f"{'sitofp' if ct.integer(source).signed else 'uitofp'} {ls} {value} to {lt}")
        if isinstance(source, ct.FloatType):
            return self._real(f"{'fptosi' if ct.integer(to).signed else 'fptoui'} {ls} {value} to {lt}")
        if isinstance(to, ct.PointerType):
            if isinstance(source, ct.PointerType):
                return value
            it = ct.integer(source)
            return f.value(f"inttoptr i64 {self.f.resize(value, it.bits, 64, it.signed)} to ptr")
        if isinstance(source, ct.PointerType):
            return self.f.resize(f.value(f"ptrtoint ptr {value} to i64"), 64, ct.integer(to).bits, False)
        have, want = ct.integer(source), ct.integer(to)
        return self.f.resize(value, have.bits, want.bits, have.signed)

    def _real(self, text: str) -> str:
        """An instruction on floating-point numbers; BPF only copies them."""
        if self.m.bpf:
            self.m.error(NO_FLOATING_POINT, self.f.token, "float")
        return self.f.value(text)

    def truth(self, value: str, type: Type) -> str:
        """A scalar as an i1: is it not zero?"""
        t = llvm_type(type)
        if isinstance(type, ct.FloatType):
            return self._real(f"fcmp une {t} {value}, {self._float_zero(type)}")
        return self.f.value(f"icmp ne {t} {value}, {'null' if t == 'ptr' else 0}")

    @staticmethod
    def _float_zero(type: ct.FloatType) -> str:
        return "0xK00000000000000000000" if type.width == 16 else "0.0"

    def unary(self, node: tree.Unary) -> str:
        value = self.scalar(node.operand)
        t = llvm_type(node.type)
        if isinstance(node.type, ct.FloatType):
            return self._real(f"fneg {t} {value}")
        if node.op == "~":
            return self.f.value(f"xor {t} {value}, -1")
        return self.f.value(f"sub {'nsw ' if ct.integer(node.type).signed else ''}{t} 0, {value}")

    def binary(self, node: tree.Binary) -> str:
        left, right = self.scalar(node.left), self.scalar(node.right)
        return self.arithmetic(node.op, left, right, node.type, node.right.type, tree.const_int(node.right))

    def arithmetic(self, op: str, left: str, right: str, type: Type, right_type: Type, constant: int | None) -> str:
        t = llvm_type(type)
        if isinstance(type, ct.FloatType):
            return self._real(f"{_FLOAT_OPS[op]} {t} {left}, {right}")
        it = ct.integer(type)
        if op in ("<<", ">>"):
            right = self.f.resize(right, ct.integer(right_type).bits, it.bits, False)
            return self._integer_op("shl" if op == "<<" else "ashr" if it.signed else "lshr", t, left, right, constant)
        if op in "+-*" and it.signed:
            return self.f.value(f"{_INT_OPS[op]} nsw {t} {left}, {right}")
        if op in "/%":
            if it.signed and self.m.bpf and not (constant and constant > 0 and constant & (constant - 1) == 0):
                return self.signed_division(op, left, right, t)
            word = ("s" if it.signed else "u") + ("div" if op == "/" else "rem")
            return self._integer_op(word, t, left, right, constant)
        return self._integer_op(_INT_OPS[op], t, left, right, None)

    def _integer_op(self, operation: str, type: str, left: str, right: str, constant: int | None) -> str:
        simple = constant is not None and constant > 0 and (operation in _SHIFTS or constant & (constant - 1) == 0)
        if type == "i128" and self.m.bpf and operation in _CALLED and not simple:
            return self.f.value(f"call i128 {self.m.wide(operation)}(i128 {left}, i128 {right})")
        return self.f.value(f"{operation} {type} {left}, {right}")

    def signed_division(self, op: str, left: str, right: str, t: str) -> str:
        """BPF below v4 divides unsigned numbers only: divide the magnitudes, then set the sign."""
        f = self.f

        def magnitude(value: str) -> tuple[str, str]:
            negative = f.value(f"icmp slt {t} {value}, 0")
            return negative, f.value(f"select i1 {negative}, {t} {f.value(f'sub {t} 0, {value}')}, {t} {value}")

        (left_negative, a), (right_negative, b) = magnitude(left), magnitude(right)
        result = f.value(f"{'udiv' if op == '/' else 'urem'} {t} {a}, {b}")
        flip = f.value(f"xor i1 {left_negative}, {right_negative}") if op == "/" else left_negative
        return f.value(f"select i1 {flip}, {t} {f.value(f'sub {t} 0, {result}')}, {t} {result}")

    def compare_bit(self, node: tree.Compare) -> str:
        type = node.left.type
        if node.op in ("==", "!=") and tree.const_int(node.right) == 0 and _shifts_out(node.left):
            return self._above(node.left, "ugt" if node.op == "!=" else "ule")
        left, right = self.scalar(node.left), self.scalar(node.right)
        signed, unsigned, floating = _COMPARE[node.op]
        t = llvm_type(type)
        if isinstance(type, ct.FloatType):
            return self._real(f"fcmp {floating} {t} {left}, {right}")
        is_signed = ct.is_integer(type) and ct.integer(type).signed
        return self.f.value(f"icmp {signed if is_signed else unsigned} {t} {left}, {right}")

    def _above(self, node: tree.Node, compare: str) -> str:
        """`x >> 16` as a condition: the verifier learns the range of x from a comparison with x, and nothing from the shift."""
        assert isinstance(node, tree.Binary)
        bound = (1 << (tree.const_int(node.right) or 0)) - 1
        return self.f.value(f"icmp {compare} {llvm_type(node.type)} {self.scalar(node.left)}, {bound}")

    def compare(self, node: tree.Compare) -> str:
        return self.f.value(f"zext i1 {self.compare_bit(node)} to i32")

    def logical(self, node: tree.Logical) -> str:
        f = self.f
        yes, no, end = f.fresh("true"), f.fresh("false"), f.fresh("endlogic")
        self.condition(node, yes, no)
        f.label(yes)
        f.jump(end)
        f.label(no)
        f.label(end)
        return f.value(f"phi i32 [ 1, %{yes} ], [ 0, %{no} ]")

    def condition(self, node: tree.Node, yes: str, no: str, metadata: str = "") -> None:
        """Branch on an expression, with the short circuit of && and ||."""
        f = self.f
        f.token = node.token
        if isinstance(node, tree.Logical):
            middle = f.fresh("and" if node.op == "&&" else "or")
            self.condition(node.left, middle if node.op == "&&" else yes, no if node.op == "&&" else middle)
            f.label(middle)
            self.condition(node.right, yes, no, metadata)
            return
        f.emit(f"br i1 {self.bit(node)}, label %{yes}, label %{no}{metadata}")
        f.terminated = True

    def bit(self, node: tree.Node) -> str:
        """An expression as an i1."""
        match node:
            case tree.Compare():
                return self.compare_bit(node)
            case tree.Convert() if ct.is_integer(node.type) and isinstance(node.operand, tree.Compare | tree.Logical):
                return self.bit(node.operand)
            case tree.Binary() if _shifts_out(node):
                return self._above(node, "ugt")
            case tree.CallBuiltin() if node.name == "expect":
                wanted = tree.const_int(node.args[1])
                condition = self.bit(node.args[0])
                if wanted is None:
                    return condition
                name = self.m.intrinsic("llvm.expect.i1", "i1 {}(i1, i1)")
                return self.f.value(f"call i1 {name}(i1 {condition}, i1 {'true' if wanted else 'false'})")
        return self.truth(self.scalar(node), node.type)

    def pointer_add(self, node: tree.PointerAdd) -> str:
        pointer, index = self.scalar(node.pointer), self.scalar(node.index)
        return self.step(pointer, index, node.type, node.negative)

    def step(self, pointer: str, index: str, type: Type, negative: bool) -> str:
        assert isinstance(type, ct.PointerType)
        size = type.to.size if type.to.complete or isinstance(type.to, ct.VoidType | ct.FunctionType) else 1
        if negative:
            index = self.f.value(f"sub i64 0, {index}")
        return self.f.value(f"getelementptr inbounds [{size} x i8], ptr {pointer}, i64 {index}")

    def pointer_diff(self, node: tree.PointerDiff) -> str:
        assert isinstance(node.left.type, ct.PointerType)
        left = self.f.value(f"ptrtoint ptr {self.scalar(node.left)} to i64")
        right = self.f.value(f"ptrtoint ptr {self.scalar(node.right)} to i64")
        difference = self.f.value(f"sub i64 {left}, {right}")
        size = node.left.type.to.size
        if size > 1:
            if size & (size - 1) == 0:
                return self.f.value(f"ashr exact i64 {difference}, {size.bit_length() - 1}")
            return self.arithmetic("/", difference, str(size), ct.LONG, ct.LONG, size)
        return difference

    def conditional(self, node: tree.Conditional) -> str:
        f = self.f
        void = isinstance(node.type, ct.VoidType)
        yes, no, end = f.fresh("then"), f.fresh("else"), f.fresh("endif")
        incoming: list[str] = []

        def leave(value: str) -> None:
            if not f.terminated:
                incoming.append(f"[ {value}, %{f.block} ]")
                f.jump(end)

        if node.then is None:  # GNU `a ?: b`: a is evaluated once
            value = self.scalar(node.condition)
            f.branch(self.truth(value, node.condition.type), yes, no)
            f.label(yes)
            leave(self.convert_value(value, node.condition.type, node.type))
        else:
            self.condition(node.condition, yes, no)
            f.label(yes)
            if void:
                self.discard(node.then)
            leave("" if void else self.scalar(node.then))
        f.label(no)
        if void:
            self.discard(node.otherwise)
        leave("" if void else self.scalar(node.otherwise))
        f.label(end)
        if void:
            return ""
        # a slot in memory would do, but LLVM then forgets that both values are of one width
        return f.value(f"phi {llvm_type(node.type)} {', '.join(incoming)}") if incoming else "poison"

    def comma(self, node: tree.Comma) -> str:
        self.discard(node.left)
        return self.scalar(node.right)

    def assign(self, node: tree.Assign) -> str:
        if isinstance(node.type, ct.RecordType):
            return self.aggregate(node)
        value = self.scalar(node.value)
        self.f.token = node.token
        return self.places.store(self.places.place(node.target), value, node)

    def compound_assign(self, node: tree.CompoundAssign) -> str:
        right = self.scalar(node.value)  # before the target, as clang does: a call in it does not keep the old value alive
        place = self.places.place(node.target)
        old = self.places.load(place, node.target)
        if node.compute is None:
            new = self.step(old, right, node.type, node.op == "-")
        else:
            wide = self.convert_value(old, node.target.type, node.compute)
            result = self.arithmetic(node.op, wide, right, node.compute, node.value.type, tree.const_int(node.value))
            new = self.convert_value(result, node.compute, node.target.type)
        stored = self.places.store(place, new, node)
        return old if node.post else stored

    def statement_expression(self, node: tree.StatementExpr) -> str:
        self._enter(node.block)
        value = self.scalar(node.value) if node.value is not None else ""
        self.f.close_scope(node.block)
        return value

    def _enter(self, block: tree.Block) -> None:
        """The statements of a statement expression; its scope stays open for its value."""
        self.f.open_scope(block)
        for item in block.items:
            self.f.statement(item)

    def call(self, node: tree.Node) -> str:
        return self.calls.scalar(node)

    def asm(self, node: tree.Asm) -> None:
        if self.m.bpf and (node.template.strip() or node.labels):
            if self.assembly is None:
                self.assembly = AsmLowering(self)
            self.assembly.emit(node)
        else:
            OpaqueAsm(self).emit(node)

    _methods: dict[type[tree.Node], Any] = {  # noqa: RUF012
        tree.Const: const, tree.StringData: lvalue, tree.VarRef: lvalue, tree.Deref: lvalue, tree.MemberRef: lvalue,
        tree.CompoundLiteral: lvalue, tree.AddressOf: address_of, tree.MapRef: map_ref, tree.Convert: convert, tree.Unary: unary,
        tree.Binary: binary, tree.Compare: compare, tree.Logical: logical, tree.PointerAdd: pointer_add,
        tree.PointerDiff: pointer_diff, tree.Conditional: conditional, tree.Comma: comma, tree.Assign: assign,
        tree.CompoundAssign: compound_assign, tree.StatementExpr: statement_expression, tree.CallFunction: call,
        tree.CallPointer: call, tree.CallHelper: call, tree.CallBuiltin: call,
    }  # fmt: skip


def _shifts_out(node: tree.Node) -> bool:
    """Is it an unsigned number, shifted right by so few bits that the bound below which nothing remains is an immediate?"""
    if not isinstance(node, tree.Binary) or node.op != ">>" or not ct.is_integer(node.type) or ct.integer(node.type).signed:
        return False
    return 0 < (tree.const_int(node.right) or 0) < min(ct.integer(node.type).bits, 32)
