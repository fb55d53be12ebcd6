"""Macros of the preprocessor: a definition's parsing, and one call's replacement list with `#`, `##` and variadics.

Follows C11 6.10.3, plus GNU's `args...` and `, ## args`, and __VA_OPT__.
"""

from __future__ import annotations

from skep.compiler.lexer import passes, single_token
from skep.compiler.source import Expansion, Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.compiler.diagnostics import Diagnostics

# what an item of a prepared body does
_TEXT, _ARGUMENT, _STRINGIFY, _PASTE, _OPTIONAL, _STRINGIFY_OPTIONAL = range(6)


class Item:
    """One step of a prepared body: a token, a parameter (`index`), `#` of one, `##`, or the `items` of __VA_OPT__."""

    __slots__ = ("index", "items", "op", "token")

    def __init__(self, op: int, token: Token, index: int = 0, items: list[Item] | None = None) -> None:
        self.op = op
        self.token = token
        self.index = index
        self.items = items or []


class Macro:
    """A definition. `params` is None for an object-like macro; a variadic one's last parameter takes the rest.

    `items` is None if the body can be copied as it stands. `dynamic` makes the token of __LINE__ and the like.
    `builtin` macros may be redefined in silence. `active`: its replacement is being scanned, and its name stays as it is.
    """

    __slots__ = ("active", "body", "builtin", "dynamic", "items", "name", "params", "token", "variadic")

    def __init__(
        self,
        name: str,
        token: Token,
        body: list[Token],
        *,
        params: tuple[str, ...] | None = None,
        variadic: bool = False,
        items: list[Item] | None = None,
        builtin: bool = False,
        dynamic: Callable[[Token], Token | None] | None = None,
    ) -> None:
        self.name = name
        self.token = token
        self.body = body
        self.params = params
        self.variadic = variadic
        self.items = items
        self.builtin = builtin
        self.dynamic = dynamic
        self.active = False

    def same_as(self, other: Macro) -> bool:
        """Whether C11 6.10.3p2 allows one to redefine the other: equal parameters, tokens and places of white space."""
        if self.params != other.params or self.variadic != other.variadic or len(self.body) != len(other.body):
            return False
        return all(
            a.text == b.text and (a.space == b.space or i == 0)
            for i, (a, b) in enumerate(zip(self.body, other.body, strict=True))
        )


class Argument:
    """One argument of a call: the tokens as written, and fully expanded when first asked for.

    `omitted`: the call does not have this variadic argument at all, not even an empty one.
    """

    __slots__ = ("_expand", "_expanded", "omitted", "tokens")

    def __init__(self, tokens: list[Token], expand: Callable[[list[Token]], list[Token]], omitted: bool) -> None:
        self.omitted = omitted
        self.tokens = tokens
        self._expand = expand
        self._expanded: list[Token] | None = None

    def expanded(self) -> list[Token]:
        if self._expanded is None:
            self._expanded = self._expand(self.tokens)
        return self._expanded


def parse_definition(line: list[Token], directive: Token, diagnostics: Diagnostics, builtin: bool = False) -> Macro | None:
    """The macro that the tokens after `#define` describe; None, with an error reported, if they describe none."""
    if not line or line[0].kind != "id":
        diagnostics.error("#define needs the name of a macro", line[0] if line else directive, code="bad-define")
        return None
    name = line[0]
    if name.text in ("defined", "__VA_ARGS__", "__VA_OPT__"):
        diagnostics.error(f"'{name.text}' cannot be a macro's name", name, code="bad-define")
        return None
    params: tuple[str, ...] | None = None
    variadic = False
    start = 1
    if len(line) > 1 and line[1].text == "(" and not line[1].space:
        parsed = _parse_parameters(line, diagnostics)
        if parsed is None:
            return None
        params, variadic, start = parsed
    body = [token for token in line[start:] if token.kind != "other" or passes(token, diagnostics)]
    items = _prepare(body, params, variadic, diagnostics)
    return Macro(name.text, name, body, params=params, variadic=variadic, items=items, builtin=builtin)


def _parse_parameters(line: list[Token], diagnostics: Diagnostics) -> tuple[tuple[str, ...], bool, int] | None:
    """parameters: "(" [id ("," id)*] [","] ["..." | id "..."] ")"; returns names, variadic, where the body starts."""
    names: list[str] = []
    variadic = False
    at = 2
    expect_name = True
    while at < len(line):
        token = line[at]
        at += 1
        if token.text == ")" and (not expect_name or not names):
            return tuple(names), variadic, at
        if variadic:
            diagnostics.error("'...' must be the last parameter", line[at - 2], code="bad-define")
            return None
        if token.text == "," and not expect_name:
            expect_name = True
        elif token.text == "..." and expect_name:
            names.append("__VA_ARGS__")
            variadic, expect_name = True, False
        elif token.text == "..." and line[at - 2].kind == "id":
            variadic = True
        elif token.kind == "id" and expect_name:
            if token.text in names:
                diagnostics.error(f"parameter '{token.text}' is there twice", token, code="bad-define")
                return None
            names.append(token.text)
            expect_name = False
        else:
            what = "the name of a parameter" if expect_name else "',' or ')'"
            diagnostics.error(f"expected {what} in the parameters of macro '{line[0].text}'", token, code="bad-define")
            return None
    diagnostics.error(f"missing ')' after the parameters of macro '{line[0].text}'", line[1], line[-1], code="bad-define")
    return None


def _prepare(body: list[Token], params: tuple[str, ...] | None, variadic: bool, diagnostics: Diagnostics) -> list[Item] | None:
    """The body as items; None if copying it is all there is to do, and for a body with an error."""
    places = {name: index for index, name in enumerate(params or ())}
    if params is None and not any(token.text == "##" for token in body):
        return None
    items: list[Item] = []
    at = 0
    while at < len(body):
        token = body[at]
        at += 1
        if token.kind == "punct" and token.text == "##":
            items.append(Item(_PASTE, token))
        elif token.kind == "punct" and token.text == "#" and params is not None:
            following = body[at] if at < len(body) else token
            if following.text == "__VA_OPT__" and variadic:
                end = _closing(body, at + 1)
                inner = _prepare(body[at + 2 : end], params, variadic, diagnostics) if end else None
                if inner is None:
                    diagnostics.error("'__VA_OPT__' needs '(' and ')' after it", following, code="bad-define")
                    return None
                items.append(Item(_STRINGIFY_OPTIONAL, token, items=inner))
                at = end + 1
                continue
            if following.kind != "id" or following.text not in places:
                diagnostics.error("'#' in this macro is not followed by one of its parameters", token, code="bad-define")
                return None
            items.append(Item(_STRINGIFY, token, places[following.text]))
            at += 1
        elif token.kind == "id" and token.text in places:
            items.append(Item(_ARGUMENT, token, places[token.text]))
        elif token.text == "__VA_OPT__" and variadic:
            end = _closing(body, at)
            inner = _prepare(body[at + 1 : end], params, variadic, diagnostics) if end else None
            if inner is None:
                diagnostics.error("'__VA_OPT__' needs '(' and ')' after it", token, code="bad-define")
                return None
            items.append(Item(_OPTIONAL, token, items=inner))
            at = end + 1
        else:
            if token.text == "__VA_ARGS__" and token.kind == "id":
                diagnostics.error("'__VA_ARGS__' has a meaning only in a macro with '...'", token, code="bad-define")
            items.append(Item(_TEXT, token))
    for edge in items[:1] + items[-1:]:
        if edge.op == _PASTE:
            diagnostics.error("'##' cannot be at an end of a macro's text", edge.token, code="bad-define")
            return None
    return items


def _closing(body: list[Token], at: int) -> int:
    """The index of the ')' that closes the '(' at `at`; 0 if there is none."""
    depth = 0
    for index in range(at, len(body)):
        text = body[index].text
        if text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
        if depth == 0:
            return index if index > at else 0
    return 0


def replacement(macro: Macro, call: Token, arguments: list[Argument], diagnostics: Diagnostics) -> list[Token]:
    """The tokens that take the place of one call, ready to be scanned again."""
    expansion = Expansion(macro.name, call)
    if macro.items is None:
        result = [_copy(token, token.space, expansion) for token in macro.body]
    else:
        result = _Call(macro, arguments, expansion, diagnostics).substitute(macro.items)
    if result:
        result[0].space = call.space
    return result


def _copy(token: Token, space: bool, expansion: Expansion | None) -> Token:
    return Token(token.kind, token.text, token.file, token.pos, space, False, token.hide, expansion, token.value)


class _Call:
    """One call's substitution (C11 6.10.3.1 to 6.10.3.3); an empty operand of `##` plays the placemarker."""

    __slots__ = ("arguments", "diagnostics", "expansion", "macro")

    def __init__(self, macro: Macro, arguments: list[Argument], expansion: Expansion, diagnostics: Diagnostics) -> None:
        self.macro = macro
        self.arguments = arguments
        self.expansion = expansion
        self.diagnostics = diagnostics

    def substitute(self, items: list[Item]) -> list[Token]:
        result: list[Token] = []
        left_empty = pasting = False
        for at, item in enumerate(items):
            if item.op == _PASTE:
                pasting = True
                continue
            beside_paste = pasting or (at + 1 < len(items) and items[at + 1].op == _PASTE)
            if pasting and self._is_gnu_comma(items, at, result):
                # GNU: `, ## args` drops the comma if the call leaves the arguments out, and pastes nothing otherwise
                right = self._operand(item, True)
                result += right
                if self.arguments[-1].omitted:
                    result.pop()
                pasting, left_empty = False, not right
                continue
            right = self._operand(item, beside_paste)
            if not pasting:
                result += right
                left_empty = not right
            elif left_empty or not right:
                result += right
                left_empty = left_empty and not right
            else:
                result[-1:] = self._paste(result[-1], right[0], items[at - 1].token)
                result += right[1:]
            pasting = False
        return result

    def _is_gnu_comma(self, items: list[Item], at: int, result: list[Token]) -> bool:
        if not self.macro.variadic or items[at].op != _ARGUMENT or items[at].index != len(self.arguments) - 1:
            return False
        before = items[at - 2]
        return before.op == _TEXT and before.token.text == "," and bool(result) and (at < 3 or items[at - 3].op != _PASTE)

    def _operand(self, item: Item, raw: bool) -> list[Token]:
        """What one item stands for; parameters beside `##` are taken as written."""
        token = item.token
        if item.op == _TEXT:
            return [_copy(token, token.space, self.expansion)]
        if item.op == _STRINGIFY:
            return [self._string(self.arguments[item.index].tokens, token)]
        if item.op == _ARGUMENT:
            argument = self.arguments[item.index]
            return self._take(argument.tokens if raw else argument.expanded(), token.space)
        inner = self.substitute(item.items) if self.arguments[-1].expanded() else []
        if item.op == _STRINGIFY_OPTIONAL:
            return [self._string(inner, token)]
        if inner:
            inner[0].space = token.space
        return inner

    def _take(self, tokens: list[Token], space: bool) -> list[Token]:
        """Copies of an argument's tokens; they keep their own place, for errors."""
        result = [_copy(token, token.space, token.expansion) for token in tokens]
        if result:
            result[0].space = space
        return result

    def _string(self, tokens: list[Token], operator: Token) -> Token:
        pieces: list[str] = []
        for token in tokens:
            if token.space and pieces:
                pieces.append(" ")
            text = token.value if isinstance(token.value, str) else token.text
            if token.kind in ("str", "char"):
                text = text.replace("\\", "\\\\").replace('"', '\\"')
            pieces.append(text)
        text = "".join(pieces)
        if (len(text) - len(text.rstrip("\\"))) % 2:
            text = text[:-1]  # a stray backslash would take the closing quote with it; GCC and clang drop it too
        text = f'"{text}"'
        return Token("str", text, operator.file, operator.pos, operator.space, expansion=self.expansion)

    def _paste(self, left: Token, right: Token, operator: Token) -> list[Token]:
        made = single_token(_spelling(left) + _spelling(right))
        if made is None:
            at_operator = Token("punct", "##", operator.file, operator.pos, expansion=self.expansion)
            self.diagnostics.error(
                f"'##' of '{left.text}' and '{right.text}' does not make one token", at_operator, code="bad-paste"
            )
            return [left, right]
        return [Token(made[0], made[1], operator.file, operator.pos, left.space, expansion=self.expansion)]


def _spelling(token: Token) -> str:
    return token.value if isinstance(token.value, str) else token.text
