"""The preprocessor: macros against GCC and clang, conditionals, includes, pragmas, and its errors."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from skep.compiler.diagnostics import Diagnostics
from skep.compiler.lexer import tokenize
from skep.compiler.preprocessor import Preprocessor, print_tokens
from skep.compiler.source import SourceFile, Token
from skep.errors import CompileError

CASES = sorted((Path(__file__).parent / "preprocessor").glob("*.c"))
COMPILERS = ["gcc", "clang"]


class Result:
    def __init__(self, text: str, name: str = "a.c", directory: str = "", **options: object) -> None:
        self.diagnostics = Diagnostics()
        self.preprocessor = Preprocessor(self.diagnostics, **options)  # type: ignore[arg-type]
        self.tokens = self.preprocessor.run(SourceFile(name, text, directory=directory))
        self.problems = self.diagnostics.render()
        self.heads = [line for line in self.problems.splitlines() if re.match(r"\S.*:\d+:\d+: (error|warning|note): ", line)]

    @property
    def text(self) -> str:
        assert self.problems == ""
        return " ".join(spell(self.tokens))


def lex(text: str) -> list[str]:
    return [token.text for token in tokenize(SourceFile("reference.c", text))[:-1]]


def spell(tokens: list[Token]) -> list[str]:
    """The spellings, pragmas as their line's tokens."""
    texts: list[str] = []
    for token in tokens[:-1]:
        texts += lex(f"#pragma {token.text}") if token.kind == "pragma" else [token.text]
    return texts


def reference(compiler: str, text: str, *options: str) -> list[str]:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed; it is the reference for macro expansion")
    command = [compiler, "-E", "-P", "-x", "c", "-std=gnu11", *options, "-"]
    return lex(subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_expands_to_the_same_tokens_as_gcc_and_clang(case: Path, compiler: str) -> None:
    text = case.read_text()
    assert spell(Result(text).tokens) == reference(compiler, text, "-undef")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_printed_text_lexes_to_the_same_tokens(case: Path) -> None:
    tokens = Result(case.read_text()).tokens
    assert lex(print_tokens(tokens)) == spell(tokens)


def test_system_headers_come_out_as_gcc_writes_them() -> None:
    text = "".join(f"#include <{name}>\n" for name in ("stdio.h", "stdlib.h", "signal.h", "inttypes.h", "tgmath.h", "pthread.h"))
    expected = reference("gcc", text)
    search = subprocess.run(["gcc", "-v", "-E", "-x", "c", "/dev/null"], capture_output=True, text=True, check=True).stderr
    directories = search[search.index("<...> search") : search.index("End of search")].split("\n")[1:-1]
    listing = subprocess.run(
        ["gcc", "-dM", "-E", "-std=gnu11", "-x", "c", "/dev/null"], capture_output=True, text=True, check=True
    )
    macros = dict(re.findall(r"#define (\w+)(.*)", listing.stdout))
    result = Result(
        text,
        include_dirs=[directory.strip() for directory in directories],
        builtin_macros=macros,
        has_attribute=lambda name: 1,
        has_builtin=lambda name: 1,
    )
    assert result.problems == ""
    assert result.preprocessor.missing_headers == []
    assert spell(result.tokens) == expected
    assert lex(print_tokens(result.tokens)) == expected


# macros given from outside


def test_builtin_macros_are_visible_and_give_way_in_silence() -> None:
    builtin = {"PT_REGS_PARM1": "(x) ((x)->di)", "NULL": " ((void *)0)", "PAGE_SIZE": " 4096"}
    text = "#ifdef NULL\n#define PAGE_SIZE 1\n#undef NULL\nPT_REGS_PARM1(c) PAGE_SIZE NULL\n#endif"
    assert Result(text, builtin_macros=builtin).text == "( ( c ) -> di ) 1 NULL"


def test_command_line_macros() -> None:
    result = Result("X Y Z F(2) G", defines=["X", "Y=1+2", "Z=", "F(a)=(a*a)", "G=3"], undefines=["G"])
    assert result.text == "1 1 + 2 ( 2 * 2 ) G"


def test_bad_command_line_macro_names_the_command_line() -> None:
    assert Result("", defines=["1X=2"]).heads == ["<command line>:1:9: error: #define needs the name of a macro"]


def test_file_macros_know_their_file(tmp_path: Path) -> None:
    (tmp_path / "in.h").write_text("__FILE__ __INCLUDE_LEVEL__ __BASE_FILE__ __LINE__\n")
    result = Result('#include "in.h"\n__FILE__ __INCLUDE_LEVEL__', name="main.c", directory=str(tmp_path))
    assert result.text == f'"{tmp_path}/in.h" 1 "main.c" 1 "main.c" 0'


def test_date_and_time_have_the_form_that_c_asks_for() -> None:
    date, clock = Result("__DATE__ __TIME__").tokens[:2]
    assert re.fullmatch(r'"[A-Z][a-z]{2} [ \d]\d \d{4}"', date.text)
    assert re.fullmatch(r'"\d\d:\d\d:\d\d"', clock.text)


def test_attributes_and_builtins_are_asked_for_in_conditions_only() -> None:
    text = """#if __has_attribute(__noinline__) && !__has_attribute(foo) && __has_builtin(__builtin_memcpy) && !__has_feature(x)
yes
#endif
__has_attribute"""
    known = {"noinline", "__builtin_memcpy"}
    result = Result(text, has_attribute=lambda name: name in known, has_builtin=lambda name: name in known)
    assert result.text == "yes __has_attribute"


# includes


def test_quoted_include_looks_beside_the_including_file_first(tmp_path: Path) -> None:
    for folder, content in (("a", "beside"), ("b", "path")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.h").write_text(content)
    (tmp_path / "a" / "top.h").write_text('#include "x.h"\n#include <x.h>\n')
    result = Result('#include "a/top.h"\n', directory=str(tmp_path), include_dirs=[str(tmp_path / "b")])
    assert result.text == "beside path"


def test_include_next_goes_on_behind_the_directory_of_the_file(tmp_path: Path) -> None:
    for folder, content in (("a", "#include_next <x.h>\none"), ("b", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.h").write_text(content)
    result = Result("#include <x.h>\n", include_dirs=[str(tmp_path / "a"), str(tmp_path / "b")])
    assert result.text == "two one"


def test_include_guards_and_pragma_once_keep_a_file_out(tmp_path: Path) -> None:
    (tmp_path / "guard.h").write_text("/* c */\n#ifndef G_H\n#define G_H\nguard\n#endif\n")
    (tmp_path / "once.h").write_text("#pragma once\nonce\n")
    text = '#include "guard.h"\n#include "once.h"\n' * 3
    assert Result(text, directory=str(tmp_path)).text == "guard once"


def test_unread_file_behind_its_guard_is_not_opened_again(tmp_path: Path) -> None:
    header = tmp_path / "guard.h"
    header.write_text("#ifndef G_H\n#define G_H\nguard\n#endif\n")
    diagnostics = Diagnostics()
    preprocessor = Preprocessor(diagnostics)
    guarded = '#include "guard.h"\n'
    first = preprocessor.run(SourceFile("a.c", guarded, directory=str(tmp_path)))
    header.write_text("changed")
    second = preprocessor.run(SourceFile("a.c", guarded, directory=str(tmp_path)))
    assert (spell(first), spell(second)) == (["guard"], [])


def test_header_name_from_a_macro(tmp_path: Path) -> None:
    (tmp_path / "x.h").write_text("in_x\n")
    text = '#define Q "x.h"\n#define A <x.h>\n#define MAKE(n) <n.h>\n#include Q\n#include A\n#include MAKE(x)\n'
    assert Result(text, directory=str(tmp_path), include_dirs=[str(tmp_path)]).text == "in_x in_x in_x"


def test_missing_kernel_header_is_remembered_and_no_error() -> None:
    result = Result('#include <linux/never_there.h>\n#include "vmlinux.h"\nint x;', find_header=lambda name: None)
    assert result.text == "int x ;"
    assert [(name, token.pos) for name, token in result.preprocessor.missing_headers] == [
        ("linux/never_there.h", 9),
        ("vmlinux.h", 40),
    ]


def test_missing_own_header_says_where_it_was_looked_for() -> None:
    result = Result('#include "mine.h"\n', directory="/src", include_dirs=["/inc"], find_header=lambda name: None)
    assert result.heads == ["a.c:1:10: error: header 'mine.h' not found; looked in: /src, /inc"]


def test_has_include_tells_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "x.h").write_text("")
    text = '#if __has_include("x.h") && !__has_include(<no/such/x.h>) && defined(__has_include)\nyes\n#endif'
    assert Result(text, directory=str(tmp_path), find_header=lambda name: None).text == "yes"


def test_a_file_that_includes_itself_stops_at_the_limit(tmp_path: Path) -> None:
    (tmp_path / "x.h").write_text('#include "x.h"\n')
    result = Result('#include "x.h"\n', directory=str(tmp_path))
    assert result.heads[0] == f"{tmp_path}/x.h:1:10: error: #include nested deeper than 200 files"
    assert result.diagnostics.errors == 1


def test_error_in_a_header_says_who_included_it(tmp_path: Path) -> None:
    (tmp_path / "x.h").write_text("#error bad\n")
    result = Result('\n#include "x.h"\n', directory=str(tmp_path))
    assert result.heads == [f"{tmp_path}/x.h:1:2: error: #error: bad", "a.c:2:10: note: included from here"]


def test_own_headers_are_found_under_uapi_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import skep.compiler.pp_files as files

    (tmp_path / "linux").mkdir()
    (tmp_path / "linux" / "x.h").write_text("")
    monkeypatch.setattr(files, "HEADERS", str(tmp_path))
    assert files.builtin_header("uapi/linux/x.h") == str(tmp_path / "linux" / "x.h")
    assert files.builtin_header("uapi/linux/y.h") is None
    assert files.builtin_header("../headers/linux/x.h") is None


# pragmas


def test_pragmas_become_tokens_and_macros_in_them_count() -> None:
    result = Result(
        '#define N 4\n#pragma unroll N // c\n#pragma clang loop unroll(full)\n#pragma other N\n_Pragma("a \\"b\\"") x'
    )
    assert [(token.kind, token.text) for token in result.tokens[:-1]] == [
        ("pragma", "unroll 4"),
        ("pragma", "clang loop unroll(full)"),
        ("pragma", "other N"),
        ("pragma", 'a "b"'),
        ("id", "x"),
    ]


# errors


@pytest.mark.parametrize(
    ("text", "heads"),
    [
        ("#if 1\n#else\n#else\n", [
            "a.c:1:2: error: #if without #endif", "a.c:2:2: note: its #else is here",
            "a.c:3:2: error: #else after #else", "a.c:2:2: note: the #else is here",
        ]),
        ("#endif\n#else\n", ["a.c:1:2: error: #endif without #if", "a.c:2:2: error: #else without #if"]),
        ("#if 1/0\n#endif", ["a.c:1:6: error: division by zero"]),
        ("#if\n#endif", ["a.c:1:2: error: #if needs an expression"]),
        ("#if 1 +\n#endif", ["a.c:1:7: error: #if ends where a value is expected"]),
        ("#if (1\n#endif", ["a.c:1:5: error: missing ')' for this '('"]),
        ("#if X = 1\n#endif", ["a.c:1:7: error: '=' in #if: did you mean '=='?"]),
        ("#if VERSION(4, 1) > 2\n#endif", ["a.c:1:5: error: 'VERSION' is not a macro that takes arguments, or is not defined"]),
        ("#if 1.5\n#endif", ["a.c:1:5: error: '1.5' is a floating constant; #if takes integers"]),
        ('#if "a"\n#endif', ["a.c:1:5: error: a string cannot stand here in #if"]),
        ("#if defined\n#endif", ["a.c:1:5: error: 'defined' needs a name"]),
        ("#if 1_000\n#endif", ["a.c:1:5: error: '1_000' is not an integer; #if takes integers"]),
        ("#error can't do \"that\n", ["a.c:1:2: error: #error: can't do \"that"]),
        ("#warning old\n", ["a.c:1:2: warning: #warning: old"]),
        ("#define\n", ["a.c:1:2: error: #define needs the name of a macro"]),
        ("#define defined\n", ["a.c:1:9: error: 'defined' cannot be a macro's name"]),
        ("#define f(a\n", ["a.c:1:10: error: missing ')' after the parameters of macro 'f'"]),
        ("#define f(a,a) a\n", ["a.c:1:13: error: parameter 'a' is there twice"]),
        ("#define f(a) #b\n", ["a.c:1:14: error: '#' in this macro is not followed by one of its parameters"]),
        ("#define f ## a\n", ["a.c:1:11: error: '##' cannot be at an end of a macro's text"]),
        ("#define f(a) __VA_ARGS__\n", ["a.c:1:14: error: '__VA_ARGS__' has a meaning only in a macro with '...'"]),
        ("#define f(...) __VA_OPT__ x\n", ["a.c:1:16: error: '__VA_OPT__' needs '(' and ')' after it"]),
        ("#define A 1\n#define A 2\n", [
            "a.c:2:9: warning: macro 'A' is defined again with another text", "a.c:1:9: note: the earlier definition is here",
        ]),
        ("#define f(a) a\nf(1", [
            "a.c:2:1: error: missing ')' after the arguments of macro 'f'", "a.c:1:9: note: 'f' is defined here",
        ]),
        ("#define f(a, b) a\nf(1);", [
            "a.c:2:1: error: macro 'f' takes 2 arguments, but 1 is given", "a.c:1:9: note: 'f' is defined here",
        ]),
        ("#define c(a, b) a##b\nint c(+, x);", [
            "a.c:2:5: error: '##' of '+' and 'x' does not make one token", "a.c:1:18: note: in expansion of macro 'c'",
        ]),
        ("#define S @\nS;", ["a.c:2:1: error: stray character '@' in the program", "a.c:1:11: note: in expansion of macro 'S'"]),
        ("#ifdef A && B\n#endif", ["a.c:1:10: warning: #ifdef takes one name; the rest of the line is ignored"]),
        ("#include linux/x.h\n", ['a.c:1:10: error: #include needs "file" or <file>']),
        ("#line x\n", ["a.c:1:2: error: #line needs a line number, and perhaps a file name in quotes"]),
        ("_Pragma(1)\n", ['a.c:1:1: error: _Pragma needs one string: _Pragma("unroll")']),
        ("#inclde <x.h>\n", ["a.c:1:1: error: '#inclde' is not a preprocessor directive; did you mean '#include'?"]),
    ],
)  # fmt: skip
def test_error_texts(text: str, heads: list[str]) -> None:
    assert Result(text).heads == heads


def test_python_comment_in_c_is_one_error_for_a_block() -> None:
    text = """BPF_HASH(counter);
int hello(void *ctx) {
   # bpf_get_current_uid_get() returns the UID (User ID) as well as the process's ID
   # of the current process. It isn't "masked
   # if it exists, it returns a pointer

   u64 uid;
}
"""
    result = Result(text)
    assert result.problems == (
        "a.c:3:4: error: '#' starts a preprocessor directive in C, and 'bpf_get_current_uid_get' is not one; "
        "comments are '// ...' or '/* ... */' (also in the 2 lines below)\n"
        "    3 |    # bpf_get_current_uid_get() returns the UID (User ID) as well as the process's ID\n"
        "      |    ^~~~~~~~~~~~~~~~~~~~~~~~~"
    )
    assert spell(result.tokens)[-5:] == ["{", "u64", "uid", ";", "}"]


def test_python_comment_that_reads_like_if_does_not_open_a_group() -> None:
    result = Result("int a;\n# if it exists, do that\nint b;\n")
    assert result.heads == ["a.c:2:1: error: '#' starts a preprocessor directive in C; comments are '// ...' or '/* ... */'"]
    assert spell(result.tokens) == ["int", "a", ";", "int", "b", ";"]


def test_directives_below_a_python_comment_still_count() -> None:
    result = Result("# the limit of it\n#define LIMIT 5\nLIMIT\n")
    assert len(result.heads) == 1
    assert spell(result.tokens) == ["5"]


def test_python_comment_behind_code_is_explained() -> None:
    result = Result("x = 1; # don't do that\ny;")
    assert result.heads == ["a.c:1:8: error: '#' does not start a comment in C; comments are '// ...' or '/* ... */'"]
    assert spell(result.tokens) == ["x", "=", "1", ";", "y", ";"]


def test_wrong_number_of_arguments_leaves_no_other_errors_behind() -> None:
    assert spell(Result("#define f(a, b) (a b)\nf(1) f(1, 2, 3);").tokens) == ["(", "1", ")", "(", "1", "2", ")", ";"]


def test_calls_nested_too_deep_are_an_error_and_no_traceback() -> None:
    result = Result("#define f(x) x\n" + "f(" * 400 + "1" + ")" * 400)
    assert result.heads[0].endswith("error: macro calls are nested deeper than 100 levels")


def test_condition_nested_too_deep_is_an_error_and_no_traceback() -> None:
    result = Result("#if " + "(" * 2000 + "1" + ")" * 2000 + "\n#endif")
    assert result.heads == ["a.c:1:2: error: the expression of this #if is nested too deeply"]


def test_macros_that_double_without_end_are_stopped() -> None:
    text = "".join(f"#define A{i} A{i + 1} A{i + 1}\n" for i in range(40)) + "A0"
    with pytest.raises(CompileError, match="macros expand to more than 1,000,000 tokens"):
        Result(text)


def test_printed_text_keeps_lines_and_spaces() -> None:
    text = "int f(void)\n{\n    return -x + g(1, 2);\n}\n"
    assert print_tokens(Result(text).tokens) == text


def test_printed_tokens_are_kept_apart_where_they_would_join() -> None:
    assert print_tokens(Result("#define M -\n#define E\n-M a E b x.E.5 /E/").tokens).strip() == "- - a b x. .5 / /"
