"""The lexer: tokens and their places, literals' values, and how slips are explained."""

from __future__ import annotations

import re
import time

import pytest

from skep.compiler.diagnostics import Diagnostics
from skep.compiler.lexer import tokenize
from skep.compiler.source import SourceFile, Token, decode_char, decode_string, literal_warnings, where
from skep.errors import CompileError


def lex(text: str) -> tuple[list[Token], str]:
    diagnostics = Diagnostics()
    return tokenize(SourceFile("a.c", text), diagnostics), diagnostics.render()


def kinds(text: str) -> list[tuple[str, str]]:
    tokens, problems = lex(text)
    assert problems == ""
    assert (tokens[-1].kind, tokens[-1].pos) == ("eof", len(text))
    return [(token.kind, token.text) for token in tokens[:-1]]


def texts(text: str) -> list[str]:
    return [token.text for token in lex(text)[0][:-1]]


def test_longest_punctuator_wins() -> None:
    source = "x+++++y a->b ... <<= >>= .. ## != && ||"
    assert [text for _, text in kinds(source)] == (
        ["x", "++", "++", "+", "y", "a", "->", "b", "...", "<<=", ">>=", ".", ".", "##", "!=", "&&", "||"]
    )


def test_digraphs_stand_for_punctuators_and_keep_their_spelling() -> None:
    tokens, _ = lex("a<:1:> <%%> %: %:%:")
    assert [token.text for token in tokens[:-1]] == ["a", "[", "1", "]", "{", "}", "#", "##"]
    assert [token.value for token in tokens if token.value] == ["<:", ":>", "<%", "%>", "%:", "%:%:"]


def test_pp_numbers_take_everything_that_may_belong_to_a_number() -> None:
    numbers = ["0x1p-3", "1.e+5.3", ".5f", "1e+", "10ULL", "0b11"]
    assert kinds(" ".join(numbers)) == [("num", number) for number in numbers]


def test_prefixes_belong_to_literals_only() -> None:
    assert kinds("u8\"a\" L'b' u8 U\"c\" x\"d\"") == [
        ("str", 'u8"a"'), ("char", "L'b'"), ("id", "u8"), ("str", 'U"c"'), ("id", "x"), ("str", '"d"'),
    ]  # fmt: skip


def test_comments_are_white_space_and_quotes_hide_them() -> None:
    assert kinds('a/* \' " */b // c " \'\n"/* s */"') == [("id", "a"), ("id", "b"), ("str", '"/* s */"')]
    tokens, _ = lex("a/**/b\nc")
    assert [(token.space, token.bol) for token in tokens[:3]] == [(True, True), (True, False), (True, True)]


def test_comment_over_several_lines_begins_no_new_line() -> None:
    tokens, _ = lex("a /* \n */ b")
    assert not tokens[1].bol


def test_splices_join_lines_and_positions_stay_those_of_the_text() -> None:
    text = 'ab\\\ncd = "x\\\r\ny"; e'
    tokens, _ = lex(text)
    assert [token.text for token in tokens[:-1]] == ["abcd", "=", '"xy"', ";", "e"]
    assert where(tokens[4])[2:] == (3, 5)
    assert text[tokens[4].pos] == "e"


def test_positions_count_lines_and_characters_from_one() -> None:
    tokens, _ = lex("int\n\tx = 'é';\n")
    assert [where(token)[2:] for token in tokens[:-1]] == [(1, 1), (2, 2), (2, 4), (2, 6), (2, 9)]


def test_universal_character_names_and_dollars_are_part_of_names() -> None:
    assert kinds(r"$a \u00e9t été a$b") == [("id", "$a"), ("id", r"\u00e9t"), ("id", "été"), ("id", "a$b")]


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r'"a\n\0\x41\101\e"', ("", b"a\n\0AA\x1b")),
        (r'"\xff\377"', ("", b"\xff\xff")),
        ('"é"', ("", "é".encode())),
        (r'u8"\u00e9"', ("u8", "é".encode())),
        (r'u"\U0001F600a"', ("u", [0xD83D, 0xDE00, 0x61])),
        (r'L"\U0001F600"', ("L", [0x1F600])),
        ('"\udcff"', ("", b"\xff")),
    ],
)
def test_string_values(literal: str, value: tuple[str, bytes | list[int]]) -> None:
    assert decode_string(lex(literal)[0][0]) == value


@pytest.mark.parametrize(
    ("literal", "value"),
    [("'a'", 97), (r"'\377'", -1), (r"'\0'", 0), ("'ab'", 0x6162), (r"L'\377'", 255), (r"'\''", 39), ("'hello'", 0x656C6C6F)],
)
def test_character_values(literal: str, value: int) -> None:
    assert decode_char(lex(literal)[0][0]) == value


@pytest.mark.parametrize(
    ("literal", "message"),
    [
        (r'"\x"', "'\\x' needs hexadecimal digits after it"),
        (r'"\400"', "escape sequence '\\400' is larger than a character here (at most 0xff)"),
        (r'"\ud800"', "'\\ud800' is not a Unicode character"),
        ("''", "empty character constant"),
    ],
)
def test_bad_literals_say_what_is_wrong(literal: str, message: str) -> None:
    token = lex(literal)[0][0]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        (decode_char if token.kind == "char" else decode_string)(token)


@pytest.mark.parametrize(
    ("literal", "warnings"),
    [
        (r'"\q\n\8\q"', ["\\q", "\\8"]),
        (r'"\(\{\[\%"', []),
        (r"'\y'", ["\\y"]),
        (r'"\\q"', []),
        ("'hello'", ["5 characters"]),
        ("'four'", []),
    ],
)
def test_literals_with_a_value_all_the_same_are_warned_of(literal: str, warnings: list[str]) -> None:
    found = literal_warnings(lex(literal)[0][0])
    assert len(found) == len(warnings)
    assert all(word in text for word, text in zip(warnings, found, strict=True))


def test_an_unknown_escape_is_its_character() -> None:
    assert decode_string(lex(r'"a\qb"')[0][0]) == ("", b"aqb")


def test_missing_quote_is_one_error_at_the_opening_quote() -> None:
    tokens, problems = lex('f() {\n\tbpf_trace_printk("Executing a program);\n}\n')
    assert problems == (
        "a.c:2:19: error: missing closing '\"'\n"
        '    2 |         bpf_trace_printk("Executing a program);\n'
        "      |                          ^"
    )
    assert [token.text for token in tokens[4:-1]] == ["bpf_trace_printk", "(", '"Executing a program"', ")", ";", "}"]


def test_missing_quote_keeps_a_comment_and_a_brace_out_of_the_string() -> None:
    assert texts('{ puts("a, b); } // end\nx') == ["{", "puts", "(", '"a, b"', ")", ";", "}", "x"]


def test_string_broken_by_a_python_newline_is_explained_and_read_whole() -> None:
    tokens, problems = lex('printk("Hello\n");\nx;')
    assert problems.splitlines()[0] == (
        "a.c:1:8: error: missing closing '\"'; a line ends inside this string: in a Python string write '\\\\n' for '\\n', "
        "or put r before its quotes"
    )
    assert [token.text for token in tokens[:-1]] == ["printk", "(", r'"Hello\n"', ")", ";", "x", ";"]
    assert problems.count("error") == 1


def test_missing_single_quote_leaves_a_number_behind() -> None:
    tokens, problems = lex("x = 'a;\ny")
    assert 'missing closing "\'"' in problems
    assert [token.text for token in tokens[:-1]] == ["x", "=", "0", ";", "y"]


def test_typographic_quotes_are_named_once() -> None:
    tokens, problems = lex("printk(“hi there”);")
    assert problems.splitlines()[0] == "a.c:1:8: error: '“' is a typographic quote; C strings need '\"'"
    assert problems.count("error") == 1
    assert tokens[2].text == '"hi there"'


def test_stray_characters_are_errors_and_dropped() -> None:
    tokens, problems = lex("a @ b \\ c \u00a0")
    assert [token.text for token in tokens[:-1]] == ["a", "b", "c"]
    assert [line for line in problems.splitlines() if "error" in line] == [
        "a.c:1:3: error: stray character '@' in the program",
        "a.c:1:7: error: stray '\\' in the program; it joins lines only as the last character of a line",
        "a.c:1:11: error: stray character U+00A0 in the program",
    ]


def test_unterminated_comment_ends_the_compilation_with_its_place() -> None:
    with pytest.raises(CompileError) as caught:
        lex("int a;\n  /* no end\nint b;")
    assert str(caught.value).splitlines()[0] == "a.c:2:3: error: missing '*/' at the end of this comment"


def test_a_megabyte_takes_less_than_a_second() -> None:
    text = "static int f(struct bar *p, u64 value) {\n    return p->y[3] + 0x10; /* c */\n}\n" * 14000
    start = time.process_time()
    tokens = tokenize(SourceFile("big.c", text))
    assert time.process_time() - start < len(text) / 1e6
    assert len(tokens) == 14000 * 24 + 1
