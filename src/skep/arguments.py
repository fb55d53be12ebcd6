"""What class BPF is given: names as str or bytes, the text to compile; and what was meant by a name that is not there."""

from __future__ import annotations

import os
import sys

from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Text = str | bytes


def as_text(name: Text, what: str = "a name") -> str:
    if isinstance(name, str):
        return name
    if isinstance(name, bytes):
        return name.decode("utf-8", "surrogateescape")
    raise SkepError(f"{what} is str or bytes, not {type(name).__name__} {name!r}")


def as_number(value: Any, what: str, least: int = 0, most: int = 0xFFFFFFFF) -> int:
    """An integer in its range; the kernel would take what is beyond for another number."""
    try:
        number: int = value.__index__()
    except (AttributeError, TypeError):
        raise SkepError(f"{what} is a number, not {type(value).__name__} {value!r}") from None
    if not least <= number <= most:
        raise SkepError(f"{what} is a number from {least} to {most}, not {number}")
    return number


def as_address(value: Any) -> int:
    """An address: an integer, also of ctypes or numpy; a negative one is that of the same 64 bits, as ctypes takes it."""
    number = as_number(getattr(value, "value", value), "an address", -(1 << 63), (1 << 64) - 1)
    return number & (1 << 64) - 1


def as_pid(value: Any, least: int = -1) -> int:
    return as_number(value, "pid", least, (1 << 31) - 1)


def as_path(path: Any, what: str) -> str:
    """A path as text; the kernel would end it at a zero byte."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise SkepError(f"{what} is a path, not {type(path).__name__} {path!r}")
    found = os.fsdecode(path)
    try:
        os.fsencode(found)
    except UnicodeEncodeError:
        found = ""
    if not found or "\0" in found:
        raise SkepError(f"{what} is a path, not {path!r}")
    return found


def source_of(src_file: str, text: Text | None) -> tuple[str, str]:
    """(text, name for diagnostics)."""
    if text is not None and src_file:
        raise SkepError("BPF(...): give text or src_file, not both")
    if text is not None:
        return as_text(text, "text"), "<text>"
    if not src_file:
        raise SkepError("BPF(...): nothing to compile; give text= or src_file=")
    beside = os.path.join(os.path.dirname(sys.argv[0]), src_file)
    for path in (src_file, beside):
        try:
            with open(path, "rb") as file:
                return as_text(file.read()), path
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
            raise SkepError(f"cannot read the source file {path!r}: {getattr(error, 'strerror', error)}") from error
    raise SkepError(f"there is no source file {src_file!r}, neither here nor beside the script ({beside})")


def near(name: str, names: Iterable[str]) -> str:
    """What is there in place of a name that is not: the end of an error's text."""
    names = list(names)
    if not names:
        return "; there are none"
    from difflib import get_close_matches

    close = get_close_matches(str(name), names, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names[:10])}"
