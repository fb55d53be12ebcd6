"""Damages C texts at random and gives them to the front end, which must accept or refuse them, and do so soon.

As a script, `mutations.py [-n COUNT] [--seed N] [--target bpf|host] FILE...` runs longer and prints what went wrong.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

SECONDS = 5
_INSERTED = (
    "( ) { } [ ] ; , . -> ++ -- & * + - ~ ! / % << >> < > <= >= == != ^ | && || ? : = += <<= ... # ## 0 1 "
    "-1 0x7fffffff 1.5 'a' \"s\" int char long struct union enum void unsigned static extern typedef const "
    "volatile if else while do for switch case default goto break continue return sizeof _Alignof "
    "_Generic _Static_assert _Alignas typeof __attribute__ asm x y a b main s struct_s T "
    "__builtin_offsetof __builtin_va_arg __int128 float double _Bool 99999999999999999999 0x 1e999 \\"
).split(" ")


def words(text: str) -> list[str]:
    """The text cut where the lexer cuts it, with the blanks between."""
    from skep.compiler.lexer import tokenize
    from skep.compiler.source import SourceFile

    tokens = [t for t in tokenize(SourceFile("x", text)) if t.kind != "eof"]
    ends = [t.pos for t in tokens[1:]] + [len(text)]
    return [text[t.pos : end] for t, end in zip(tokens, ends, strict=True)]


def mutate(parts: list[str], rng: random.Random) -> str:
    """A few random changes."""
    parts = list(parts)
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


def attempt(text: str, target: str) -> str | None:
    """What is wrong with how the front end takes the text, or None."""
    from skep.compiler import Flags, front_end
    from skep.compiler.diagnostics import Diagnostics
    from skep.compiler.source import SourceFile
    from skep.errors import CompileError

    old = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    diagnostics = Diagnostics()
    try:
        front_end(SourceFile("mutant.c", text), diagnostics, Flags(()), target, None, None)
        diagnostics.render()
    except CompileError as error:
        return None if str(error).strip() else "an error without a text"
    except Slow:
        return "an endless loop: " + "".join(traceback.format_exc().splitlines(keepends=True)[-9:])
    except Exception:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    return None


def mutants(paths: list[Path], count: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    texts = [words(path.read_text()) for path in paths]
    for _ in range(count):
        yield mutate(rng.choice(texts), rng)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", default="host")
    parser.add_argument("--keep", type=Path, default=Path("/tmp/mutants"))
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    seen: dict[str, int] = {}
    for number, text in enumerate(mutants(options.files, options.n, options.seed)):
        wrong = attempt(text, options.target)
        if wrong is None:
            continue
        lines = [line.strip() for line in wrong.strip().splitlines()]
        places = [line for line in lines if line.startswith("File ")]
        key = " | ".join([*places[-1:], lines[-1][:150]])
        if key not in seen:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"{options.target}{options.seed}-{number}.c").write_text(text)
            print(f"--- mutant {options.seed}-{number}\n" + "\n".join(wrong.strip().splitlines()[-7:]))
        seen[key] = seen.get(key, 0) + 1
    print(f"{options.n} mutants, {sum(seen.values())} went wrong in {len(seen)} ways")
    return int(bool(seen))


if __name__ == "__main__":
    sys.exit(main())
