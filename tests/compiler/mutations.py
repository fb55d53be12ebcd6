"""Damages C texts at random and gives them to the front end, which must accept or refuse them, and do so soon.

As a script, `mutations.py [-n COUNT] [--seed N]` runs longer and prints what went wrong.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

if TYPE_CHECKING:
    from skep.compiler import Frames

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAMS = ROOT / "bench" / "programs"
SECONDS = 10  # of processor time: a busy machine makes nothing an endless loop
_EXCEPTION = 254  # the exit status of a process of LLVM's that raised
_PIECE = 250
_INSERTED = (
    "( ) { } [ ] ; , . -> ++ -- & * + - ~ ! / % << >> < > <= >= == != ^ | && || ? : = += <<= ... # ## 0 1 "
    "-1 0x7fffffff 1.5 'a' \"s\" int char long struct union enum void unsigned static extern typedef const "
    "volatile if else while do for switch case default goto break continue return sizeof _Alignof "
    "_Generic _Static_assert _Alignas typeof __attribute__ asm x y a b main s struct_s T "
    "__builtin_offsetof __builtin_va_arg __int128 float double _Bool 99999999999999999999 0x 1e999 \\"
).split(" ")


# words that may stand for each other: the text stays C more often, and reaches the checker, the emitter and LLVM
_KINDS = [
    frozenset(kind.split())
    for kind in (
        "+ - * / % << >> & | ^ < > <= >= == != && || ,",
        "= += -= *= /= %= <<= >>= &= |= ^=",
        "int long short char unsigned signed float double _Bool __int128 void u8 u16 u32 u64 s32 s64 size_t",
        "! ~ - + * & ++ -- sizeof",
        "break; continue; return;",
        ". ->",
        "struct union",
        "static extern const volatile",
    )
]
_NUMBERS = (
    "0 1 2 -1 3 7 8 31 32 33 63 64 127 128 255 256 65535 0x7fffffff 0x80000000 0xffffffff 0x100000000 -2147483648 "
    "0x7fffffffffffffff 0x8000000000000000 0xffffffffffffffff 1u 1l 1ull 'a' 1.5 1e10f (char)-1 (_Bool)2 sizeof(int)"
).split(" ")
_NAME = re.compile(r"[A-Za-z_]\w*")
# what the texts in tests leave to their test, by the words that need it
_LEFT_OUT = {
    "put(": "BPF_ARRAY(out, u64, 16); static void put(int i, u64 v) { u64 *p = out.lookup(&i); if (p) *p = v; }\n",
    "mine(": "static int mine(void) { return bpf_get_current_pid_tgid() >> 32 == 7; }\n",
    "m.": "BPF_HASH(m);\n",
    "cursor": "#include <bcc/proto.h>\n",
    "struct ip_t": "#include <bcc/proto.h>\n",
}
_BLOCK = re.compile(r"^```c\b.*\n(?s:(.*?))^```", re.MULTILINE)


def _texts_of_tests(path: Path) -> Iterator[str]:
    """The strings of a test's module that are C with a function in it."""
    tree = ast.parse(path.read_text())
    pieces = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in pieces else None
        if isinstance(text, str) and re.search(r"\) *\{.*;.*\}", text, re.DOTALL):
            yield "".join(missing for word, missing in _LEFT_OUT.items() if word in text and missing[:11] not in text) + text


@cache
def corpus(target: str) -> list[list[str]]:
    """The words of each text to damage: our cases for the host; examples, bench programs, documents and tests for BPF."""
    texts: list[str] = []
    if target == "host":
        texts += [text for path in sorted((HERE / "cases").glob("*.c")) if "#include <" not in (text := path.read_text())]
    else:
        for path in [*sorted((ROOT / "examples").glob("*.c")), *sorted(PROGRAMS.glob("*.c"))]:
            texts.append(path.read_text())
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
            texts += _BLOCK.findall(path.read_text())
        for path in sorted(HERE.glob("test_*.py")):
            texts += _texts_of_tests(path)
    return [words(text) for text in texts]


def words(text: str) -> list[str]:
    """The text cut where the lexer cuts it, with the blanks between."""
    from skep.compiler.lexer import tokenize
    from skep.compiler.source import SourceFile

    tokens = [t for t in tokenize(SourceFile("x", text)) if t.kind != "eof"]
    ends = [t.pos for t in tokens[1:]] + [len(text)]
    return [text[t.pos : end] for t, end in zip(tokens, ends, strict=True)]


def alike(parts: list[str], at: int, rng: random.Random) -> str:
    """Something that could stand instead of one word: of its kind, or another name, number or string of the text."""
    word = parts[at].strip()
    blank = parts[at][len(parts[at].rstrip()) :]
    fitting = [kind for kind in _KINDS if word in kind]
    if fitting:
        return rng.choice(sorted(rng.choice(fitting))) + (blank or " ")
    if word[:1].isdigit():
        return rng.choice(_NUMBERS) + blank
    if _NAME.fullmatch(word):
        near = parts[max(0, at - 200) : at + 200]
        return rng.choice([p for p in near if _NAME.fullmatch(p.strip())]).strip() + (blank or " ")
    return parts[at]


def mutate(parts: list[str], rng: random.Random, others: Sequence[list[str]] = ()) -> str:
    """A few random changes: words for words of their kind in half of the texts, any damage in the others.

    Pieces come from the text itself, or from `others`.
    """
    parts = list(parts)
    if rng.randrange(2):
        for _ in range(rng.choice((1, 1, 2, 3, 6))):
            at = rng.randrange(len(parts))
            parts[at] = alike(parts, at, rng)
        return "".join(parts)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(parts))
        match rng.randrange(7):
            case 0:
                del parts[at]
            case 1:
                parts.insert(at, parts[at])
            case 2:
                other = rng.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            case 3:
                parts.insert(at, " " + rng.choice(_INSERTED) + " ")
            case 4:
                parts[at] = " " + rng.choice(_INSERTED) + " "
            case 5:
                del parts[at : at + rng.randrange(20)]
            case _:
                source = rng.choice(others) if others and rng.randrange(2) else parts
                start = rng.randrange(len(source))
                parts[at:at] = source[start : start + rng.randrange(12)]
        if not parts:
            return ""
    return "".join(parts)


class Slow(BaseException):
    """The front end took too long."""


def _alarm(*_: object) -> None:
    raise Slow


def front(text: str, target: str) -> tuple[str | None, str, Frames]:
    """What is wrong with how the front end takes the text, or None; and the LLVM IR, "" for a text that it refuses."""
    from skep.compiler import Flags, front_end
    from skep.compiler.diagnostics import Diagnostics
    from skep.compiler.source import SourceFile
    from skep.engine.formats import tracepoint_members
    from skep.errors import CompileError

    old = signal.signal(signal.SIGPROF, _alarm)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    diagnostics = Diagnostics()
    flags = Flags((f"-I{PROGRAMS}",))
    try:
        ir, frames, _ = front_end(SourceFile("mutant.c", text), diagnostics, flags, target, None, tracepoint_members)
        diagnostics.render()
    except CompileError as error:
        return None if str(error).strip() else "an error without a text", "", {}
    except Slow:
        return "an endless loop: " + "".join(traceback.format_exc().splitlines(keepends=True)[-9:]), "", {}
    except Exception:
        return traceback.format_exc(), "", {}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
    return None, ir, frames


def back(ir: str, target: str) -> tuple[str | None, bytes]:
    """What is wrong with how LLVM takes the IR, in a process of its own: a signal, the time, IR that it cannot read.

    And the object, b"" where LLVM refuses.
    """
    from skep.llvm import _load, _work

    _load()
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as result:
        source.write(ir.encode())
        source.seek(0)
        pid = os.fork()
        if not pid:
            os.dup2(said.fileno(), 2)
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                os._exit(_work(source.fileno(), result.fileno(), target, "object", 2, []))
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(_EXCEPTION)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        messages = said.read().decode("utf-8", "replace")
        result.seek(0)
        data = result.read()
    if status == -signal.SIGPROF:
        return f"LLVM took more than {SECONDS} s", b""
    if status < 0 or status == _EXCEPTION:
        return f"{messages}\nLLVM: status {status}", b""
    return None, data if status == 0 else b""


def after(data: bytes, frames: Frames) -> str | None:
    """What is wrong with how Skep reads a BPF object of its own, or None."""
    from skep.compiler.diagnostics import Diagnostics
    from skep.compiler.stack import check_stack
    from skep.errors import CompileError

    try:
        check_stack(data, frames, Diagnostics())
    except CompileError as error:
        return None if str(error).strip() else "an error without a text"
    except Exception:
        return traceback.format_exc()
    return None


def attempt(text: str, target: str, *, llvm: bool = False) -> str | None:
    """What is wrong with how Skep takes the text, or None."""
    wrong, ir, frames = front(text, target)
    if not llvm or not ir or wrong is not None:
        return wrong
    wrong, data = back(ir, target)
    return after(data, frames) if data and target == "bpf" else wrong


def mutants(target: str, count: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    texts = corpus(target)
    for _ in range(count):
        yield mutate(rng.choice(texts), rng, texts)


def hunt(target: str, count: int, seed: int, sample: int) -> list[tuple[str, str]]:
    """(what is wrong, text) of `count` mutants; one of `sample` goes through LLVM too."""
    found = []
    for number, text in enumerate(mutants(target, count, seed)):
        wrong = attempt(text, target, llvm=number % sample == 0)
        if wrong is not None:
            found.append((wrong, text))
    return found


def pieces(target: str, count: int, seed: int, sample: int) -> list[tuple[str, int, int, int]]:
    """The work of `hunt` in parts for several processes."""
    return [(target, min(_PIECE, count - at), seed + at, sample) for at in range(0, count, _PIECE)]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", default="host,bpf", help="host, bpf or both, each with its half")
    parser.add_argument("--llvm", type=int, default=4, metavar="N", help="one of N goes through LLVM")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "skep-mutants")
    options = parser.parse_args()
    targets = options.target.split(",")
    halves = [pieces(target, options.n // len(targets), options.seed, options.llvm) for target in targets]
    work = [piece for together in zip(*halves, strict=True) for piece in together]  # a run that is ended early has seen each
    seen: dict[str, int] = {}
    done = 0
    with ProcessPoolExecutor() as pool:
        for piece in as_completed([pool.submit(hunt, *arguments) for arguments in work]):
            done += 1
            for wrong, text in piece.result():
                lines = [line.strip() for line in wrong.strip().splitlines()]
                places = [line for line in lines if line.startswith("File ")]
                key = " | ".join([*places[-1:], lines[-1][:150]])
                if key not in seen:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    kept = options.keep / f"{options.seed}-{len(seen)}.c"
                    kept.write_text(text)
                    print(f"--- {kept}\n" + "\n".join(wrong.strip().splitlines()[-7:]), flush=True)
                seen[key] = seen.get(key, 0) + 1
            if done % 20 == 0:
                print(f"{done} of {len(work)} parts", file=sys.stderr, flush=True)
    print(f"{sum(piece[1] for piece in work)} mutants, {sum(seen.values())} went wrong in {len(seen)} ways")
    return int(bool(seen))


if __name__ == "__main__":
    sys.exit(main())
