"""Errnos in words."""

from __future__ import annotations

import errno
import os

ENOTSUPP = 524  # kernel-internal (include/linux/errno.h), escapes through bpf(2); libc has no name for it


def errno_text(number: int) -> str:
    """`EINVAL (Invalid argument)`; accepts the negated errno too."""
    number = abs(number)
    if number == ENOTSUPP:
        return "ENOTSUPP (not supported by the kernel for this kind)"
    return f"{errno.errorcode.get(number, number)} ({os.strerror(number)})"
