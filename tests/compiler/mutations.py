"""Damages C texts at random and gives them to the front end, which must accept or refuse them, and do so soon.

As a script, `mutations.py [-n COUNT] [--seed N]` runs longer and prints what went wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

HERE = Path(__file__).resolve().parent
CORPUS = {
    "host": [path for path in sorted((HERE / "cases").glob("*.c")) if "#include <" not in path.read_text()],
    "bpf": sorted((HERE.parents[1] / "examples").glob("*.c")),
}
SECONDS = 10
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


def mutate(parts: list[str], rng: random.Random) -> str:
    """A few random changes: words for words of their kind in half of the texts, any damage in the others."""
    parts = list(parts)
    if rng.randrange(2):
        for _ in range(rng.choice((1, 2, 3, 5, 8))):
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
                end = at + rng.randrange(12)
                target = rng.randrange(len(parts))
                parts[target:target] = parts[at:end]
        if not parts:
            return ""
    return "".join(parts)


class Slow(BaseException):
    """The front end took too long."""


def _alarm(*_: object) -> None:
    raise Slow


def front(text: str, target: str) -> tuple[str | None, str]:
    """What is wrong with how the front end takes the text, or None; and the LLVM IR, "" for a text that it refuses."""
    from skep.compiler import Flags, front_end
    from skep.compiler.diagnostics import Diagnostics
    from skep.compiler.source import SourceFile
    from skep.errors import CompileError

    old = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    diagnostics = Diagnostics()
    try:
        ir = front_end(SourceFile("mutant.c", text), diagnostics, Flags(()), target, None, None)[0]
        diagnostics.render()
    except CompileError as error:
        return None if str(error).strip() else "an error without a text", ""
    except Slow:
        return "an endless loop: " + "".join(traceback.format_exc().splitlines(keepends=True)[-9:]), ""
    except Exception:
        return traceback.format_exc(), ""
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    return None, ir


def back(ir: str, target: str) -> str | None:
    """What is wrong with how LLVM takes the IR, in a process of its own: a signal, the time, IR that it cannot read."""
    from skep.llvm import _load, _work

    _load()
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as said, open(os.devnull, "wb") as result:
        source.write(ir.encode())
        source.seek(0)
        pid = os.fork()
        if not pid:
            os.dup2(said.fileno(), 2)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS)
            try:
                os._exit(_work(source.fileno(), result.fileno(), target, "object", 2, []))
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(_EXCEPTION)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        messages = said.read().decode("utf-8", "replace")
    if status == -signal.SIGALRM:
        return f"LLVM took more than {SECONDS} s"
    return f"{messages}\nLLVM: status {status}" if status < 0 or status == _EXCEPTION else None


def attempt(text: str, target: str, *, llvm: bool = False) -> str | None:
    """What is wrong with how Skep takes the text, or None."""
    wrong, ir = front(text, target)
    return back(ir, target) if llvm and ir and wrong is None else wrong


def mutants(paths: list[Path], count: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    texts = [words(path.read_text()) for path in paths]
    for _ in range(count):
        yield mutate(rng.choice(texts), rng)


def hunt(target: str, paths: list[Path], count: int, seed: int, sample: int) -> list[tuple[str, str]]:
    """(what is wrong, text) of `count` mutants; one of `sample` goes through LLVM too."""
    found = []
    for number, text in enumerate(mutants(paths, count, seed)):
        wrong = attempt(text, target, llvm=number % sample == 0)
        if wrong is not None:
            found.append((wrong, text))
    return found


def pieces(target: str, paths: list[Path], count: int, seed: int, sample: int) -> list[tuple[str, list[Path], int, int, int]]:
    """The work of `hunt` in parts for several processes."""
    return [(target, paths, min(_PIECE, count - at), seed + at, sample) for at in range(0, count, _PIECE)]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", default="host,bpf", help="host, bpf or both, each with its half")
    parser.add_argument("--llvm", type=int, default=20, metavar="N", help="one of N goes through LLVM")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "skep-mutants")
    options = parser.parse_args()
    targets = options.target.split(",")
    work = [
        piece
        for target in targets
        for piece in pieces(target, CORPUS[target], options.n // len(targets), options.seed, options.llvm)
    ]
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
    print(f"{sum(piece[2] for piece in work)} mutants, {sum(seen.values())} went wrong in {len(seen)} ways")
    return int(bool(seen))


if __name__ == "__main__":
    sys.exit(main())
