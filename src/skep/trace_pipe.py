"""Lines that programs print (bpf_trace_printk): taken apart into fields, and printed.

In: a function that reads the next line of trace_pipe. Out: fields, or text on stdout.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Fields = tuple[bytes, int, int, bytes, float, bytes]

_LINES_AT_ONCE = 500  # of trace_pipe, when more come without an end


def read_fields(read_line: Callable[[bool], bytes | None], nonblocking: bool) -> Fields | None:
    """The fields of the next line that has them; None when there is none."""
    while True:
        line = read_line(nonblocking)
        if line is None:
            return None
        fields = parse_trace_line(line)
        if fields is not None:
            return fields


def print_lines(read_line: Callable[[bool], bytes | None], fmt: str | None) -> None:
    """Print lines until there are none; `fmt` is filled with their fields.

    Lines that wait together are written together: a program that traces system calls sees each write, and would answer
    every line with another.
    """
    lines: list[str] = []
    try:
        while True:
            line = read_line(True)
            if line is None or len(lines) >= _LINES_AT_ONCE:
                _write_lines(lines)
            if line is None:
                line = read_line(False)
            if line is None:
                return
            if fmt is None:
                lines.append(line.decode(errors="replace"))
                continue
            fields = parse_trace_line(line)
            if fields is not None:
                texts = [field.decode(errors="replace") if isinstance(field, bytes) else field for field in fields]
                lines.append(fmt.format(*texts))
    finally:
        _write_lines(lines)


def parse_trace_line(line: bytes) -> Fields | None:
    """(task, pid, cpu, flags, seconds, message) of a line of trace_pipe, or None for another kind of line (lost events).

    The task's name is right-aligned in 16 columns and may hold spaces and dashes, so it is cut by column.
    The message follows the address or function that called bpf_trace_printk.
    """
    head, _, rest = line[17:].partition(b": ")
    fields = head.split()
    if line.startswith(b"CPU:") or len(fields) != 4:
        return None
    pid, cpu, flags, seconds = fields
    try:
        return line[:16].lstrip(), int(pid), int(cpu.strip(b"[]")), flags, float(seconds), rest.partition(b": ")[2]
    except ValueError:
        return None


def _write_lines(lines: list[str]) -> None:
    if lines:
        text = "\n".join(lines) + "\n"
        lines.clear()
        sys.stdout.write(text)
        sys.stdout.flush()
