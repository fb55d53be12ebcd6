"""The expression of `#if` and `#elif`: fully expanded tokens to a value, in 64-bit arithmetic as C11 6.10.1 asks.

`defined` and the `__has_...` operators are already replaced by numbers.
"""

from __future__ import annotations

from skep.compiler.source import Token, decode_char

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.compiler.diagnostics import Diagnostics

    Value = tuple[int, bool]  # the number, and whether it is unsigned

_MASK = (1 << 64) - 1
_SIGN = 1 << 63
_SUFFIXES = frozenset(("", "u", "l", "ul", "lu", "ll", "ull", "llu"))

# binding strength of each binary operator
_PRECEDENCE = {
    "*": 10, "/": 10, "%": 10, "+": 9, "-": 9, "<<": 8, ">>": 8, "<": 7, ">": 7, "<=": 7, ">=": 7,
    "==": 6, "!=": 6, "&": 5, "^": 4, "|": 3, "&&": 2, "||": 1,
}  # fmt: skip


def _wrap(number: int, unsigned: bool) -> int:
    number &= _MASK
    return number if unsigned or number < _SIGN else number - _MASK - 1


def _divide(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": lambda a, b: a - b * _divide(a, b),
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "&": lambda a, b: a & b,
    "^": lambda a, b: a ^ b,
    "|": lambda a, b: a | b,
}
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_UNARY: dict[str, Callable[[int], int]] = {"+": lambda a: a, "-": lambda a: -a, "~": lambda a: ~a}


class _BadExpressionError(Exception):
    def __init__(self, message: str, token: Token) -> None:
        super().__init__(message)
        self.token = token


def evaluate(tokens: list[Token], directive: Token, diagnostics: Diagnostics) -> int:
    """The value of the expression; an error is reported and counts as 0. `directive` is the word "if" or "elif"."""
    try:
        if not tokens:
            raise _BadExpressionError(f"#{directive.text} needs an expression", directive)
        return _Parser(tokens, directive).whole()
    except RecursionError:
        diagnostics.error(
            f"the expression of this #{directive.text} is nested too deeply", directive, code="preprocessor-expression"
        )
    except _BadExpressionError as error:
        diagnostics.error(str(error), error.token, code="preprocessor-expression")
    return 0


class _Parser:
    """Evaluates while it parses; `live` is false in operands that C does not evaluate, where errors do not count."""

    __slots__ = ("at", "directive", "tokens")

    def __init__(self, tokens: list[Token], directive: Token) -> None:
        self.tokens = tokens
        self.directive = directive
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def whole(self) -> int:
        value = self.comma(True)
        if self.at < len(self.tokens):
            raise self.unexpected()
        return value[0]

    def unexpected(self) -> _BadExpressionError:
        token, before, where = self.tokens[self.at], self.tokens[self.at - 1], f"#{self.directive.text}"
        if token.text == "(" and before.kind == "id":
            return _BadExpressionError(f"'{before.text}' is not a macro that takes arguments, or is not defined", before)
        if token.text == "=":
            return _BadExpressionError(f"'=' in {where}: did you mean '=='?", token)
        return _BadExpressionError(f"missing operator before '{token.text}' in {where}", token)

    # comma: conditional ("," conditional)*
    def comma(self, live: bool) -> Value:
        value = self.conditional(live)
        while self.peek() == ",":
            self.at += 1
            value = self.conditional(live)
        return value

    # conditional: binary ("?" comma ":" conditional)?
    def conditional(self, live: bool) -> Value:
        condition = self.binary(1, live)
        if self.peek() != "?":
            return condition
        question = self.tokens[self.at]
        self.at += 1
        true = bool(condition[0])
        first = self.comma(live and true)
        if self.peek() != ":":
            raise _BadExpressionError("'?' without ':'", question)
        self.at += 1
        second = self.conditional(live and not true)
        unsigned = first[1] or second[1]
        return _wrap((first if true else second)[0], unsigned), unsigned

    # binary: unary (operator unary)*, by precedence climbing
    def binary(self, minimum: int, live: bool) -> Value:
        left = self.unary(live)
        while (strength := _PRECEDENCE.get(self.peek(), 0)) >= minimum:
            operator = self.tokens[self.at]
            self.at += 1
            if operator.text in ("&&", "||"):
                decided = bool(left[0]) == (operator.text == "||")
                right = self.binary(strength + 1, live and not decided)
                left = (int(bool(left[0]) if decided else bool(right[0])), False)
            else:
                left = _apply(operator, left, self.binary(strength + 1, live), live)
        return left

    # unary: ("+" | "-" | "~" | "!") unary | primary
    def unary(self, live: bool) -> Value:
        operator = self.peek()
        if operator == "!":
            self.at += 1
            return int(not self.unary(live)[0]), False
        if operator in _UNARY:
            self.at += 1
            number, unsigned = self.unary(live)
            return _wrap(_UNARY[operator](number), unsigned), unsigned
        return self.primary(live)

    # primary: number | character | identifier | "(" comma ")"
    def primary(self, live: bool) -> Value:
        if self.at == len(self.tokens):
            last = self.tokens[-1]
            raise _BadExpressionError(f"#{self.directive.text} ends where a value is expected", last)
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == "num":
            return _number(token)
        if token.kind == "id":
            return 0, False
        if token.kind == "char":
            try:
                return decode_char(token), False
            except ValueError as error:
                raise _BadExpressionError(str(error), token) from None
        if token.text == "(":
            value = self.comma(live)
            if self.peek() != ")":
                raise self.unexpected() if self.at < len(self.tokens) else _BadExpressionError("missing ')' for this '('", token)
            self.at += 1
            return value
        what = "a string" if token.kind == "str" else f"'{token.text}'"
        raise _BadExpressionError(f"{what} cannot stand here in #{self.directive.text}", token)


def _apply(operator: Token, left: Value, right: Value, live: bool) -> Value:
    text = operator.text
    if text in ("<<", ">>"):
        return _shift(left, right[0] if text == "<<" else -right[0])
    unsigned = left[1] or right[1]
    a, b = _wrap(left[0], unsigned), _wrap(right[0], unsigned)
    if text in _COMPARISONS:
        return int(_COMPARISONS[text](a, b)), False
    if text in ("/", "%") and b == 0:
        if live:
            raise _BadExpressionError("division by zero", operator)
        return 0, unsigned
    return _wrap(_ARITHMETIC[text](a, b), unsigned), unsigned


def _shift(value: Value, left: int) -> Value:
    # counts out of range are undefined in C; GCC and clang shift everything out, and a negative count the other way
    number, unsigned = value
    if left >= 64:
        return 0, unsigned
    return (_wrap(number << left, unsigned) if left >= 0 else number >> -left), unsigned


def _number(token: Token) -> Value:
    text = token.text.lower()
    digits = text.rstrip("ul")
    suffix = text[len(digits) :]
    try:
        if suffix not in _SUFFIXES or "_" in digits:
            raise ValueError
        if digits.startswith("0x"):
            number = int(digits[2:], 16)
        elif digits.startswith("0b"):
            number = int(digits[2:], 2)
        else:
            number = int(digits, 8 if digits.startswith("0") else 10)
    except ValueError:
        kind = "a floating constant" if "." in text or ("e" in text and not text.startswith("0x")) else "not an integer"
        raise _BadExpressionError(f"'{token.text}' is {kind}; #if takes integers", token) from None
    if number > _MASK:
        raise _BadExpressionError(f"'{token.text}' does not fit into 64 bits", token)
    return number, "u" in suffix or number >= _SIGN
