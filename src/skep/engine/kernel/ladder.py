"""Attaching climbs a ladder: the first rung that the kernel allows is taken, a failure lists all with their reasons.

A hook family's file makes the rungs; here is what they have in common: climbing, links, near names.
"""

from __future__ import annotations

import os
import struct
from ctypes import create_string_buffer

from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.errors import AttachError, CompileError, ObjectError, PrivilegeError, SkepError, UnsupportedError, VerifierError
from skep.interrupts import Uninterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from skep.engine import Hook, ProgramHandle
    from skep.object.model import ProgramKind

_BPF_PERF_EVENT = 41  # enum bpf_attach_type


class KernelLink:
    """One attached program; closing it detaches."""

    __slots__ = ("_cleanup", "_fds", "_process", "how")

    def __init__(self, how: str, fds: Sequence[int], cleanup: Callable[[], None] | None = None) -> None:
        self.how = how
        self._fds = list(fds)
        self._cleanup = cleanup
        self._process = os.getpid()

    @property
    def fd(self) -> int:
        """The link's fd (for the oldest rungs: the perf event's); -1 when closed."""
        return self._fds[0] if self._fds else -1

    def bind(self, link: int, how: str) -> None:
        """The perf event that this link is has become one of the bpf link `link`."""
        self._fds.insert(0, link)
        self.how = how

    def close(self) -> None:
        """Detach: the fds first, then what they were made from (a tracefs event is busy while a perf fd is open)."""
        fds, self._fds = self._fds, []
        syscall.close_all(fds)
        cleanup, self._cleanup = self._cleanup, None
        if cleanup is not None and self._process == os.getpid():  # a forked child has copies of the fds and nothing else
            cleanup()

    def __del__(self) -> None:
        self.close()

    def info(self) -> dict[str, int] | None:
        """Type, id and program id of a bpf link; None for a perf event without one."""
        data = syscall.object_info(self.fd, 64)
        if isinstance(data, int):
            return None
        return dict(zip(("type", "id", "prog_id"), struct.unpack_from("=III", data), strict=True))

    def __enter__(self) -> KernelLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Refused(Exception):
    """This rung cannot be taken; the text is the reason, `errno` the kernel's number where there is one."""

    errno = 0


class Rung:
    """One way to attach: `check` raises Refused before anything is compiled, `attach` raises it when the kernel says no."""

    __slots__ = ("attach", "check", "kind", "label")

    def __init__(
        self, label: str, kind: ProgramKind, check: Callable[[], None], attach: Callable[[ProgramHandle], KernelLink]
    ) -> None:
        self.label = label
        self.kind = kind
        self.check = check
        self.attach = attach


def climb(
    hook: Hook, rungs: Sequence[Rung], load: Callable[[ProgramKind], ProgramHandle], near: Callable[[], list[str]]
) -> KernelLink:
    """The link of the first rung that works; `near` gives similar names when none does."""
    attempts: list[tuple[str, str]] = []
    refusal: SkepError | None = None
    for rung in rungs:
        try:
            with Uninterrupted():
                rung.check()
        except Refused as reason:
            attempts.append((rung.label, str(reason)))
            continue
        try:
            program = load(rung.kind)
        except PrivilegeError:
            raise
        except (VerifierError, CompileError, ObjectError, UnsupportedError) as error:
            if not isinstance(error, UnsupportedError):  # that is the kernel's fault, not the program's
                refusal = refusal or error
            attempts.append((rung.label, str(error)))
            continue
        try:
            with Uninterrupted():
                return rung.attach(program)
        except Refused as reason:
            refusal = None  # a later rung was possible and failed by itself: the list of all tells more
            attempts.append((rung.label, str(reason)))
    if refusal is not None:
        raise refusal
    with Uninterrupted():
        candidates = near()
    text = f"cannot attach to {hook}"
    if len(attempts) == 1:
        text += f": {attempts[0][0]}: {attempts[0][1]}"
    else:
        text += "; tried:" + "".join(f"\n  {label}: {reason}" for label, reason in attempts)
    if candidates:
        text += f"\n  did you mean {', '.join(candidates)}?"
    raise AttachError(text, attempts=attempts, candidates=candidates)


def link_perf_event(
    program: ProgramHandle, perf_fd: int, how: str, cleanup: Callable[[], None] | None = None, cookie: int | None = None
) -> KernelLink:
    """Bind a program to a perf event (owned from now on): a bpf link (5.15), or the two ioctls of older kernels.

    `cookie` is what bpf_get_attach_cookie() gives; only the link has one.
    """
    event = KernelLink(f"{how}, ioctl)", (perf_fd,), cleanup)
    try:
        attr = create_string_buffer(struct.pack("=IIIIQ", program.fd, perf_fd, _BPF_PERF_EVENT, 0, cookie or 0), 24)
        link = syscall.bpf(syscall.LINK_CREATE, attr)
        if link >= 0:
            event.bind(link, f"{how}, bpf link)")
            return event
        result = link
        if cookie is None:
            result = syscall.ioctl(perf_fd, syscall.PERF_EVENT_IOC_SET_BPF, program.fd)
        if result == 0:
            result = syscall.ioctl(perf_fd, syscall.PERF_EVENT_IOC_ENABLE)
            if result == 0:
                return event
    except BaseException:
        event.close()
        raise
    event.close()
    refusal = Refused(
        f"the event opens, but the program cannot be bound to it: link {errno_text(link)}, ioctl {errno_text(result)}"
    )
    refusal.errno = -result
    raise refusal


def near_names(name: str, candidates: Iterable[str], limit: int = 3) -> list[str]:
    """The few candidates that are most likely meant: a slip of two letters, or names that contain this one."""
    found: list[tuple[int, str]] = []
    head, tail, length = name[:3], name[-3:], len(name)
    allowed = max(1, min(2, length // 3))
    for candidate in candidates:
        if abs(len(candidate) - length) <= allowed and (candidate.startswith(head) or candidate.endswith(tail)):
            distance = _distance(name, candidate)
            if 0 < distance <= allowed:
                found.append((distance, candidate))
        elif length >= 4 and name in candidate:
            found.append((3 + len(candidate) - length, candidate))
    found.sort()
    return list(dict.fromkeys(candidate for _, candidate in found))[:limit]


def _distance(a: str, b: str) -> int:
    """Edits from a to b; a swap of neighbours is one."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = above
    return row[-1]
