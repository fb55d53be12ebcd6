"""BPF assembly in C: reads the template of an `asm` statement, in the notation that clang takes, to a list of instructions.

Operands come as their kinds; what the instructions mean in LLVM's IR is in `asm_lowering`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from skep.compiler.diagnostics import closest
from skep.compiler.source import Token, decode_string

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST = re.compile(
    r"(?P<space>[ \t\r\v\f]+|//[^\n]*|\#[^\n]*|/\*(?s:.*?)\*/)"
    r"|(?P<end>[\n;])"
    r"|(?P<ref>%[a-zA-Z]?(?:[0-9]+|\[[^\]]*\]))"
    r"|(?P<sign>s(?:>>=|/=|%%?=|>=|<=|>|<))"
    r"|(?P<id>[A-Za-z_.$](?:[\w.$]|%=)*)"
    r"|(?P<near>[0-9]+[fb](?![\w]))"
    r"|(?P<num>0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)"
    r"|(?P<punct>>>=|<<=|==|!=|>=|<=|%%=|[-+*/&|^%]=|[-=<>&+*(),:\[\]])"
)
_REGISTER = re.compile(r"[rRwW](?:[0-9]|10)$")
_SIZES = {"u8": 8, "u16": 16, "u32": 32, "u64": 64, "s8": 8, "s16": 16, "s32": 32}
_ARITHMETIC = {
    "+=": "+", "-=": "-", "*=": "*", "/=": "/", "%=": "%", "%%=": "%", "&=": "&", "|=": "|", "^=": "^", "<<=": "<<",
    ">>=": ">>", "s>>=": "s>>", "s/=": "s/", "s%=": "s%", "s%%=": "s%",
}  # fmt: skip
_COMPARISONS = frozenset("== != < > <= >= s< s> s<= s>= &".split())
_SWAP = re.compile(r"(bswap|be|le)(16|32|64)$")
_FETCH = {"atomic_fetch_add": "+", "atomic_fetch_and": "&", "atomic_fetch_or": "|", "atomic_fetch_xor": "^"}
_EXCHANGE = {"xchg_64": ("xchg", 64), "xchg32_32": ("xchg", 32), "cmpxchg_64": ("cmpxchg", 64), "cmpxchg32_32": ("cmpxchg", 32)}
_LOCKED = ("+=", "&=", "|=", "^=")
_REFUSED = {
    "may_goto": "may_goto has no counterpart in LLVM's code for BPF v3; count the rounds, or use bpf_for() or bpf_loop()",
    "callx": "a call through a register cannot run as BPF",
    "nop": "BPF has no nop",
    "ja": "a jump is written 'goto +1' or 'goto label'",
    "addr_space_cast": "arenas are not supported",
    "load_acquire": "load_acquire is not supported; atomic_fetch_add() of zero is as strong",
    "store_release": "store_release is not supported; xchg_64() is as strong",
}
ACCEPTED = (
    "accepted are r1 = r2, w1 += 5, r1 = *(u32 *)(r2 + 8), *(u64 *)(r10 - 8) = r1, if r1 > 3 goto label, goto +1, "
    "call, exit and clang's other forms"
)


class AsmError(Exception):
    """What is wrong with a template, between two offsets of its text."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end


@dataclass(slots=True, frozen=True)
class Register:
    """A register of BPF's by its number, or an operand that stands in one by its place in the list."""

    number: int
    bits: int
    operand: bool = False


@dataclass(slots=True, frozen=True)
class Immediate:
    """A number, an operand with an "i" constraint (`operand` is its place in the list), or both added."""

    value: int
    operand: int = -1


@dataclass(slots=True, frozen=True)
class Memory:
    """Bytes at a register plus an offset; without a register: an operand with an "m" constraint."""

    bits: int
    signed: bool
    base: Register | None
    offset: Immediate


@dataclass(slots=True)
class Instruction:
    """One instruction between two offsets of the template; `target` is the index of another, or -1-n for the n-th C label."""

    kind: str
    start: int
    end: int = 0
    to: Register | None = None
    op: str = ""
    bits: int = 64
    value: Register | Immediate | None = None
    left: Register | Immediate | None = None
    memory: Memory | None = None
    name: str = ""
    target: int = 0

    @property
    def slots(self) -> int:
        """Its length as jumps count it."""
        return 2 if self.kind == "wide" else 1


@dataclass(slots=True, frozen=True)
class Operand:
    """`kind`: "r" and "w" a register of 64 and 32 bits, "i" a constant (`number` if it is known), "m" memory."""

    name: str
    kind: str
    written: bool
    number: int | None = None


def place_in(tokens: Sequence[Token], start: int, end: int) -> Token:
    """Where a part of the text of some string literals stands in the source: within one literal."""
    passed = 0
    for token in tokens:
        _, value = decode_string(token)
        length = len(value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value)
        if start < passed + length or token is tokens[-1]:
            quote = token.text.index('"') + 1
            at = [m.start() for m in _ELEMENT.finditer(token.text, quote, len(token.text) - 1)] + [len(token.text) - 1]
            first = at[min(start - passed, len(at) - 1)]
            last = at[min(max(end - passed, start - passed + 1), len(at) - 1)]
            return Token("other", token.text[first:last] or '"', token.file, token.pos + first, expansion=token.expansion)
        passed += length
    raise AssertionError(tokens)


_ELEMENT = re.compile(r"\\(?:[0-7]{1,3}|x[0-9a-fA-F]+|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|(?s:.))|(?s:.)")


class Reader:
    """`read` is the entry. `basic` asm has no operands: its '%' means itself."""

    def __init__(self, text: str, operands: Sequence[Operand], labels: Sequence[str], *, basic: bool) -> None:
        self.text = text
        self.operands = operands
        self.labels = labels
        self.basic = basic
        self.tokens: list[tuple[str, str, int, int]] = []
        self.at = 0
        self.named: dict[str, int] = {}  # label: index of the instruction that it stands before
        self.local: dict[str, list[int]] = {}  # 1: and its kin, which may stand more than once
        self.found: list[Instruction] = []
        self.jumps: list[tuple[Instruction, str, str, int, int]] = []

    def read(self) -> list[Instruction]:
        self._tokenise()
        while self.at < len(self.tokens):
            if self.tokens[self.at][0] == "end":
                self.at += 1
            elif not self._label():
                self._instruction()
        for jump in self.jumps:
            self._resolve(*jump)
        return self.found

    def _tokenise(self) -> None:
        at = 0
        while at < len(self.text):
            match = _FIRST.match(self.text, at)
            if match is None or (self.basic and match.lastgroup == "ref"):
                what = self.text[at : at + 2] if self.text[at] == "%" else self.text[at]
                hint = "; a '%' of its own is written '%%' here" if self.text[at] == "%" and not self.basic else ""
                raise AsmError(f"'{what}' means nothing in BPF assembly{hint}", at, at + len(what))
            kind = match.lastgroup or ""
            if kind != "space":
                self.tokens.append((kind, match.group(), at, match.end()))
                if not self.basic and match.group() in ("%=", "s%="):
                    raise AsmError("'%=' is a number here: write the remainder as '%%='", at, match.end())
            at = match.end()

    # --- tokens

    @property
    def _next(self) -> tuple[str, str, int, int]:
        if self.at < len(self.tokens):
            return self.tokens[self.at]
        end = len(self.text)
        return "end", "", max(end - 1, 0), end

    def _take(self) -> tuple[str, str, int, int]:
        token = self._next
        self.at += 1
        return token

    def _accept(self, text: str) -> bool:
        if self._next[1] == text:
            self.at += 1
            return True
        return False

    def _expect(self, text: str, where: str) -> None:
        if not self._accept(text):
            self._fail(f"expected '{text}' {where}")

    def _fail(self, message: str, token: tuple[str, str, int, int] | None = None) -> NoReturn:
        kind, text, start, end = token or self._next
        shown = "the end of the instruction" if kind == "end" else f"'{text}'"
        if kind == "end" and self.at:
            start, end = self.tokens[min(self.at, len(self.tokens)) - 1][2:]
        raise AsmError(f"{message}, found {shown}", start, end)

    # --- statements

    def _label(self) -> bool:
        kind, text, start, end = self._next
        if kind not in ("id", "num") or self.at + 1 >= len(self.tokens) or self.tokens[self.at + 1][1] != ":":
            return False
        if kind == "num":
            self.local.setdefault(text, []).append(len(self.found))
        elif text in self.named:
            raise AsmError(f"label '{text}' appears twice", start, end)
        self.named.setdefault(text, len(self.found))
        self.at += 2
        return True

    def _instruction(self) -> None:
        kind, text, start, end = self._next
        found = Instruction("", start)
        word = text.lower() if kind == "id" else ""
        if word.startswith("."):
            raise AsmError(f"the directive '{text}' cannot be compiled: write the instruction itself", start, end)
        if word in _REFUSED:
            raise AsmError(_REFUSED[word], start, end)
        method = {"if": self._if, "goto": self._goto, "gotol": self._goto, "call": self._call, "lock": self._lock}.get(word)
        if word == "exit":
            self.at += 1
            found.kind = "exit"
        elif method is not None:
            self.at += 1
            method(found)
        elif text == "*":
            self._store(found)
        else:
            found.to = self._register(f"an instruction ({ACCEPTED})", written=not self._moves_to_itself())
            self._set(found)
        if self._next[0] != "end":
            self._fail("expected the end of the instruction (a line or ';')")
        found.end = self.tokens[self.at - 1][3]
        self.found.append(found)

    def _set(self, found: Instruction) -> None:
        """What comes after the register that is written."""
        assert found.to is not None
        found.bits = found.to.bits
        token = self._take()
        if token[1] in _ARITHMETIC:
            found.kind, found.op = "alu", _ARITHMETIC[token[1]]
            found.value = self._value(found.bits)
            if isinstance(found.value, Immediate) and found.value.operand < 0:
                self._check_immediate(found, token)
            return
        if token[1] != "=":
            self._fail("expected '=', '+=' or another assignment", token)
        kind, text, start, _ = self._next
        swap = _SWAP.match(text) if kind == "id" else None
        if text == "-" and self._looks_like_register(1):
            self.at += 1
            found.kind, found.value = "neg", self._value(found.bits)
        elif swap is not None:
            self.at += 1
            found.kind, found.op, found.name = "swap", swap.group(1), swap.group(2)
            found.value = self._value(64)
            if not isinstance(found.value, Register) or found.bits != 64:
                raise AsmError(f"'{text}' works on a whole register: r1 = {text} r1", start, self.tokens[self.at - 1][3])
        elif text == "(":
            self._extend(found)
        elif text == "*":
            self._load(found)
        elif text in _FETCH or text in _EXCHANGE:
            self._atomic(found)
        elif kind == "id" and text in _REFUSED:
            raise AsmError(_REFUSED[text], start, self._next[3])
        else:
            found.kind, found.value = "move", self._value(found.bits, wide=True)
            if self._accept("ll"):
                if isinstance(found.value, Register) or found.bits != 64:
                    self._fail("'ll' is for a constant in a register of 64 bits", self.tokens[self.at - 1])
                found.kind = "wide"
                if isinstance(found.value, Immediate) and not -(1 << 63) <= found.value.value < 1 << 64:
                    raise AsmError("the number does not fit into 64 bits", start, self.tokens[self.at - 1][3])
            elif isinstance(found.value, Immediate):
                found.value = self._narrow(found.value, start)

    def _check_immediate(self, found: Instruction, token: tuple[str, str, int, int]) -> None:
        assert isinstance(found.value, Immediate)
        number = found.value.value
        if found.op in ("/", "%", "s/", "s%") and number == 0:
            raise AsmError("division by zero", token[2], self.tokens[self.at - 1][3])
        if found.op in ("<<", ">>", "s>>") and not 0 <= number < found.bits:
            raise AsmError(f"a shift of {found.bits} bits by {number}", token[2], self.tokens[self.at - 1][3])

    def _narrow(self, value: Immediate, start: int) -> Immediate:
        """A number as instructions hold it: 32 bits, and its sign is extended."""
        number = value.value
        if not -(1 << 31) <= number < 1 << 32:
            end = self.tokens[self.at - 1][3]
            raise AsmError(f"{number:#x} does not fit into 32 bits: load it with r1 = {number:#x} ll", start, end)
        return Immediate(number - (1 << 32) if number >> 31 == 1 else number, value.operand)

    def _extend(self, found: Instruction) -> None:
        self._expect("(", "")
        token = self._take()
        if token[1] not in ("s8", "s16", "s32"):
            self._fail("expected s8, s16 or s32 in a sign extension", token)
        self._expect(")", "after the type")
        found.kind, found.name = "extend", token[1][1:]
        found.value = self._value(found.bits)
        if not isinstance(found.value, Register):
            self._fail("expected a register after the type", self.tokens[self.at - 1])

    def _load(self, found: Instruction) -> None:
        found.kind = "load"
        bits, signed = self._type()
        if self._next[1].lower() == "skb":
            self.at += 1
            self._expect("[", "after 'skb'")
            found.kind, found.value, found.bits = "packet", self._value(64), bits
            self._expect("]", "after the offset")
            return
        found.memory = self._address(bits, signed)

    def _store(self, found: Instruction) -> None:
        found.kind = "store"
        bits, signed = self._type()
        found.memory = self._address(bits, signed)
        self._expect("=", "after the address")
        found.value = self._value(0)

    def _lock(self, found: Instruction) -> None:
        found.kind = "lock"
        bits, signed = self._type()
        found.memory = self._address(bits, signed)
        token = self._take()
        if token[1] not in _LOCKED or bits < 32:
            self._fail("expected += &= |= or ^= on u32 or u64 after 'lock'", token)
        found.op = token[1][0]
        found.bits = bits
        found.value = self._value(bits)

    def _atomic(self, found: Instruction) -> None:
        _, name, start, end = self._take()
        self._expect("(", f"after '{name}'")
        kind, bits = _EXCHANGE.get(name, ("fetch", 0))
        if not bits:
            self._expect("(", "before the type")
            bits, _ = self._type(star=False)
        if bits < 32 or bits != found.bits:
            raise AsmError(f"'{name}' works on 32 bits with w registers or on 64 bits with r registers", start, end)
        if name in _EXCHANGE:
            base = self._register("a register", bits=64)
            found.memory = Memory(bits, False, base, self._offset())
        else:
            found.memory = self._address(bits, False)
        self._expect(",", "after the address")
        if name.startswith("cmpxchg"):
            found.left = self._value(bits)
            self._expect(",", "after the value that is expected")
            zero = Register(0, bits)
            if found.to != zero or found.left != zero:
                raise AsmError(f"'{name}' compares with r0 and gives its result there", start, end)
        found.value = self._value(bits)
        if not isinstance(found.value, Register):
            self._fail("expected a register", self.tokens[self.at - 1])
        self._expect(")", "at the end")
        found.kind, found.op, found.bits = kind, _FETCH.get(name, ""), bits

    def _if(self, found: Instruction) -> None:
        found.kind = "if"
        left = self._register("a register after 'if'")
        found.left, found.bits = left, left.bits
        token = self._take()
        if token[1] not in _COMPARISONS:
            self._fail("expected a comparison: == != < > <= >= s< s> s<= s>= or &", token)
        found.op = token[1]
        found.value = self._value(left.bits)
        self._expect("goto", "after the comparison")
        self._target(found)

    def _goto(self, found: Instruction) -> None:
        found.kind = "goto"
        self._target(found)

    def _call(self, found: Instruction) -> None:
        found.kind = "call"
        kind, text, start, end = self._next
        if kind == "id" and not _REGISTER.match(text):
            self.at += 1
            found.name = text
            return
        found.value = self._value(64)
        if isinstance(found.value, Register):
            raise AsmError('a call through a register cannot run as BPF; the operand needs an "i" constraint', start, end)

    def _moves_to_itself(self) -> bool:
        """`%0 = %0` changes no input: bpf_nop_mov() is made so."""
        words = [token[1] for token in self.tokens[self.at : self.at + 3]]
        return len(words) == 3 and words[0] == words[2] and words[1] == "="

    # --- jumps

    def _target(self, found: Instruction) -> None:
        kind, text, start, end = self._take()
        if text in ("+", "-"):
            number = self._take()
            if number[0] != "num":
                self._fail("expected the number of instructions to jump over", number)
            self.jumps.append((found, "by", str(self._number(*number[1:]) * (-1 if text == "-" else 1)), start, number[3]))
        elif kind in ("id", "near", "ref"):
            self.jumps.append((found, kind, text, start, end))
        else:
            self._fail("expected where to jump: a label, 1f, 1b, %l[label] or +1", (kind, text, start, end))

    def _resolve(self, found: Instruction, kind: str, text: str, start: int, end: int) -> None:
        here = next(i for i, item in enumerate(self.found) if item is found)
        if kind == "ref":
            found.target = -1 - self._c_label(text, start, end)
        elif kind == "by":
            starts = [0]
            for item in self.found:
                starts.append(starts[-1] + item.slots)
            wanted = starts[here + 1] + int(text)
            if wanted not in starts:
                where = "into the middle of an instruction" if 0 <= wanted < starts[-1] else "out of the text of this asm"
                raise AsmError(f"'goto {'' if text[0] == '-' else '+'}{text}' jumps {where}", start, end)
            found.target = starts.index(wanted)
        elif kind == "near":
            places = self.local.get(text[:-1], ())
            if text[-1] == "f":
                after = [place for place in places if place > here]
                found.target = after[0] if after else -1
            else:
                found.target = max((place for place in places if place <= here), default=-1)
            if found.target < 0:
                way = "after" if text[-1] == "f" else "before"
                raise AsmError(f"no label '{text[:-1]}:' {way} this jump", start, end)
        elif text in self.named:
            found.target = self.named[text]
        else:
            near = closest(text, self.named)
            hint = f"; did you mean '{near}'?" if near else ""
            raise AsmError(f"no label '{text}' in this asm{hint} (a label of C is written %l[{text}])", start, end)

    def _c_label(self, text: str, start: int, end: int) -> int:
        word = text[1:]
        if not word.startswith("l"):
            raise AsmError(f"a jump to a label of C is written '%l{word}'", start, end)
        word = word[1:]
        if word.startswith("["):
            if word[1:-1] in self.labels:
                return self.labels.index(word[1:-1])
        elif 0 <= int(word) - len(self.operands) < len(self.labels):
            return int(word) - len(self.operands)
        raise AsmError(f"'{text}' is none of the labels that this asm goto lists", start, end)

    # --- parts of instructions

    def _looks_like_register(self, ahead: int) -> bool:
        kind, text, start, end = self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ("", "", 0, 0)
        if kind == "ref":
            return self.operands[self._operand(text, start, end)].kind in "rw"
        return kind == "id" and _REGISTER.match(text) is not None

    def _operand(self, text: str, start: int, end: int) -> int:
        word = text[1:]
        if word[0].isalpha():
            raise AsmError(
                f"BPF's operands have no modifier '{word[0]}' (a \"w\" constraint gives the 32-bit register)", start, end
            )
        if word[0] == "[":
            names = [operand.name for operand in self.operands]
            if word[1:-1] in names:
                return names.index(word[1:-1])
            near = closest(word[1:-1], [name for name in names if name])
            raise AsmError(f"no operand has the name '{word[1:-1]}'" + (f"; did you mean '{near}'?" if near else ""), start, end)
        if int(word) >= len(self.operands):
            raise AsmError(f"'{text}': this asm has {len(self.operands)} operands, counted from 0", start, end)
        return int(word)

    def _register(self, what: str, bits: int = 0, *, written: bool = False) -> Register:
        kind, text, start, end = self._take()
        if kind == "ref":
            index = self._operand(text, start, end)
            operand = self.operands[index]
            if operand.kind not in "rw":
                raise AsmError(f"'{text}' is no register: its constraint is \"{operand.kind}\"", start, end)
            if written and not operand.written:
                raise AsmError(f"'{text}' is an input, which asm must not change: make it an output (\"+r\")", start, end)
            found = Register(index, 64 if operand.kind == "r" else 32, True)
        elif kind == "id" and _REGISTER.match(text):
            found = Register(int(text[1:]), 64 if text[0] in "rR" else 32)
            if found.number == 10 and (written or found.bits == 32):
                raise AsmError(f"'{text}': the frame pointer r10 cannot be changed, and has no 32-bit half", start, end)
        else:
            self._fail(f"expected {what}", (kind, text, start, end))
        if bits and found.bits != bits:
            raise AsmError(f"'{text}' has {found.bits} bits, but {bits} are needed here", start, end)
        return found

    def _value(self, bits: int, *, wide: bool = False) -> Register | Immediate:
        """A register or a constant; `bits` is what a register must have, 0 for any."""
        if self._looks_like_register(0):
            return self._register("", bits)
        kind, text, start, end = self._next
        if kind not in ("num", "ref") and text not in ("-", "+"):
            if kind == "id" and wide:
                raise AsmError(f"'{text}' is not known here: give it as an operand, [{text}]\"i\"(&{text})", start, end)
            self._fail(f"expected a {'32-bit register (w0 to w9)' if bits == 32 else 'register'} or a number")
        return self._constant() if wide else self._narrow(self._constant(), start)

    def _constant(self) -> Immediate:
        """Numbers and "i" operands, added."""
        total, operand, sign = 0, -1, 1
        while True:
            while self._next[1] in ("-", "+"):
                sign = -sign if self._take()[1] == "-" else sign
            kind, text, start, end = self._take()
            if kind == "num":
                number = self._number(text, start, end)
                while self._accept("*"):
                    factor = self._take()
                    if factor[0] != "num":
                        self._fail("expected a number", factor)
                    number *= self._number(*factor[1:])
                total += sign * number
            elif kind == "ref":
                index = self._operand(text, start, end)
                known = self.operands[index].number
                if known is not None:
                    total += sign * known
                elif self.operands[index].kind == "i" and operand < 0 < sign:
                    operand = index
                else:
                    raise AsmError(f"'{text}' cannot be used here: a number or one operand with \"i\" is needed", start, end)
            else:
                self._fail("expected a number", (kind, text, start, end))
            if self._next[1] not in ("-", "+"):
                break
            sign = 1
        return Immediate(total, operand)

    @staticmethod
    def _number(text: str, start: int, end: int) -> int:
        try:
            return int(text, 8 if len(text) > 1 and text[0] == "0" and text.isdecimal() else 0)
        except ValueError:
            raise AsmError(f"'{text}' is no number", start, end) from None

    def _type(self, *, star: bool = True) -> tuple[int, bool]:
        """`*(u32 *)`; without the star `u32 *)`, as in atomic_fetch_add((u32 *)...)."""
        if star:
            self._expect("*", "before the type")
            self._expect("(", "before the type")
        token = self._take()
        if token[1] not in _SIZES:
            self._fail(f"expected one of {', '.join(_SIZES)}", token)
        self._expect("*", "after the type")
        self._expect(")", "after the type")
        return _SIZES[token[1]], token[1][0] == "s"

    def _address(self, bits: int, signed: bool) -> Memory:
        kind, text, start, end = self._next
        if kind == "ref":
            self.at += 1
            index = self._operand(text, start, end)
            if self.operands[index].kind != "m":
                raise AsmError(
                    f'a register stands in parentheses here: ({text} + 0); alone is for an operand with "m"', start, end
                )
            return Memory(bits, signed, None, Immediate(0, index))
        self._expect("(", "before the address")
        base = self._register("a register", bits=64)
        offset = self._offset()
        self._expect(")", "after the address")
        return Memory(bits, signed, base, offset)

    def _offset(self) -> Immediate:
        if self._next[1] not in ("+", "-"):
            return Immediate(0)
        start = self._next[2]
        offset = self._constant()
        if not -(1 << 15) <= offset.value < 1 << 15:
            raise AsmError(f"offset {offset.value} does not fit into 16 bits", start, self.tokens[self.at - 1][3])
        return offset
