"""The one place that makes system calls: bpf(2), perf_event_open(2), the mount calls that open a private tracefs.

In: commands and packed attribute buffers. Out: the result, or the negated errno; who asked knows what it means.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from ctypes import addressof, create_string_buffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Buffer = ctypes.Array[ctypes.c_char]

# include/uapi/asm-generic/unistd.h, arch/x86/entry/syscalls/syscall_64.tbl; calls since 5.1 have one number everywhere
_NUMBERS = {"x86_64": (321, 298), "aarch64": (280, 241)}
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432

MAP_CREATE, MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM, MAP_GET_NEXT_KEY, PROG_LOAD = range(6)
OBJ_PIN, OBJ_GET, PROG_ATTACH, PROG_DETACH, PROG_TEST_RUN, PROG_GET_NEXT_ID = range(6, 12)
MAP_GET_NEXT_ID, PROG_GET_FD_BY_ID, MAP_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD = range(12, 16)
RAW_TRACEPOINT_OPEN, BTF_LOAD, MAP_LOOKUP_AND_DELETE_ELEM, MAP_FREEZE = 17, 18, 21, 22
MAP_LOOKUP_BATCH, MAP_LOOKUP_AND_DELETE_BATCH, MAP_UPDATE_BATCH, MAP_DELETE_BATCH = 24, 25, 26, 27
BTF_GET_FD_BY_ID, BTF_GET_NEXT_ID = 19, 23
LINK_CREATE, LINK_GET_NEXT_ID, ITER_CREATE = 28, 31, 33

COMMAND_NAMES = {
    MAP_CREATE: "BPF_MAP_CREATE", PROG_LOAD: "BPF_PROG_LOAD", OBJ_PIN: "BPF_OBJ_PIN", OBJ_GET: "BPF_OBJ_GET",
    PROG_TEST_RUN: "BPF_PROG_TEST_RUN", OBJ_GET_INFO_BY_FD: "BPF_OBJ_GET_INFO_BY_FD", MAP_FREEZE: "BPF_MAP_FREEZE",
    RAW_TRACEPOINT_OPEN: "BPF_RAW_TRACEPOINT_OPEN", BTF_LOAD: "BPF_BTF_LOAD", LINK_CREATE: "BPF_LINK_CREATE",
    MAP_LOOKUP_ELEM: "lookup", MAP_UPDATE_ELEM: "update", MAP_DELETE_ELEM: "delete", MAP_GET_NEXT_KEY: "next key",
    MAP_LOOKUP_AND_DELETE_ELEM: "lookup and delete", MAP_LOOKUP_BATCH: "batch lookup", MAP_UPDATE_BATCH: "batch update",
    MAP_LOOKUP_AND_DELETE_BATCH: "batch lookup and delete", MAP_DELETE_BATCH: "batch delete",
}  # fmt: skip

# commands whose result is a new fd
_MAKES_FD = frozenset(
    (
        MAP_CREATE,
        PROG_LOAD,
        OBJ_GET,
        PROG_GET_FD_BY_ID,
        MAP_GET_FD_BY_ID,
        RAW_TRACEPOINT_OPEN,
        BTF_LOAD,
        LINK_CREATE,
        BTF_GET_FD_BY_ID,
        ITER_CREATE,
    )
)

_LOAD_ATTEMPTS = 20  # SIGSTOP cannot be blocked
_SIGSET_BYTES = 128  # glibc's and musl's sigset_t
_SIG_SETMASK = 2

PERF_TYPE_SOFTWARE, PERF_TYPE_TRACEPOINT = 1, 2
PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_SET_BPF = 0x2400, 0x2401, 0x40042408
PERF_SAMPLE_TIME, PERF_SAMPLE_RAW = 1 << 2, 1 << 10
PERF_FORMAT_TOTAL_TIME_ENABLED = 1 << 0
PERF_FORMAT_LOST = 1 << 4  # Linux 6.0
_USE_CLOCKID = 1 << 25  # of perf_event_attr's bits
_PERF_FLAG_FD_CLOEXEC = 8
_PERF_ATTR_SIZE = 112  # PERF_ATTR_SIZE_VER5 (4.1); below 72 the kernel ignores config2, a probe's offset

_releasing = ctypes.CDLL(None, use_errno=True)
_holding = ctypes.PyDLL(None, use_errno=True)  # keeps the GIL: half the price for calls that take a microsecond

_machine = os.uname().machine
_BPF, _PERF_EVENT_OPEN = _NUMBERS.get(_machine, (-1, -1))

_bpf = _releasing["syscall"]
_bpf.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_ulong)
_bpf.restype = ctypes.c_long
# Element calls are made a million times: their arguments are ctypes objects made once, which saves a quarter of the time.
# element_call(BPF, ELEMENT_COMMANDS[command], pointer to a struct of ELEMENT_SIZE bytes, ELEMENT_SIZE): 0 or -1 and last_errno()
element_call = _holding["syscall"]
element_call_releasing = _releasing["syscall"]
element_call.restype = element_call_releasing.restype = ctypes.c_long
last_errno = ctypes.get_errno
BPF = ctypes.c_long(_BPF)
ELEMENT_SIZE = ctypes.c_ulong(32)
ELEMENT_COMMANDS = {
    command: ctypes.c_long(command)
    for command in (MAP_LOOKUP_ELEM, MAP_UPDATE_ELEM, MAP_DELETE_ELEM, MAP_GET_NEXT_KEY, MAP_LOOKUP_AND_DELETE_ELEM)
}
_syscall = _releasing["syscall"]
_syscall.restype = ctypes.c_long
_pthread_sigmask = _releasing["pthread_sigmask"]


def safe_fd(fd: int) -> int:
    """The same file at an fd of 3 or more: 0 means "none" in bpf attributes, and 0..2 are what print() and tools write to."""
    if 0 <= fd < 3:
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        os.close(fd)
        return moved
    return fd


def bpf(command: int, attr: Buffer) -> int:
    """One bpf(2) call without the GIL: the result (an fd is 3 or more), or -errno."""
    while True:
        result: int = _bpf(_BPF, command, attr, len(attr))
        if result >= 0:
            return safe_fd(result) if command in _MAKES_FD else result
        number = ctypes.get_errno()
        # EINTR from PROG_TEST_RUN with repeats, or from a lock; Python runs its signal handlers before the next call
        if number != errno.EINTR:
            return -number


def prog_load(attr: Buffer) -> int:
    """BPF_PROG_LOAD: an fd or -errno.

    The verifier gives up with EAGAIN on any pending signal (4.20), so a 5 ms timer starves a load for ever: signals wait
    until it is over. Python's handler then runs in here, so that a KeyboardInterrupt does not lose the fd.
    """
    previous = create_string_buffer(_SIGSET_BYTES)
    _pthread_sigmask(_SIG_SETMASK, None, previous)
    fd = -1
    try:
        try:
            _pthread_sigmask(_SIG_SETMASK, create_string_buffer(b"\xff" * _SIGSET_BYTES, _SIGSET_BYTES), None)
            for _ in range(_LOAD_ATTEMPTS):
                fd = bpf(PROG_LOAD, attr)
                if fd != -errno.EAGAIN:
                    break
        finally:
            _pthread_sigmask(_SIG_SETMASK, previous, None)
    except BaseException:
        if fd >= 0:
            os.close(fd)
        raise
    return fd


def perf_event_open(
    type: int,
    config: int,
    *,
    cpu: int,
    pid: int = -1,
    sample_type: int = PERF_SAMPLE_RAW,
    sample_period: int = 1,
    read_format: int = 0,
    wakeup_events: int = 1,
    config1: int = 0,
    config2: int = 0,
    group: int = -1,
    flags: int = 0,
    clock: int = -1,
) -> int:
    """An event's fd (close-on-exec, 3 or more), or -errno; `flags` are the bits of perf_event_attr, `clock` its clockid."""
    import struct

    attr = create_string_buffer(
        struct.pack(
            "=IIQQQQQIIQQ16xIi",
            type,
            _PERF_ATTR_SIZE,
            config,
            sample_period,
            sample_type,
            read_format,
            flags | _USE_CLOCKID * (clock >= 0),
            wakeup_events,
            0,
            config1,
            config2,
            0,
            max(clock, 0),
        ),
        _PERF_ATTR_SIZE,
    )
    return _checked(_PERF_EVENT_OPEN, attr, pid, cpu, group, _PERF_FLAG_FD_CLOEXEC)


def perf_event_open_attr(attr: bytes, *, cpu: int, pid: int = -1, group: int = -1) -> int:
    """An event's fd as a whole struct perf_event_attr says, or -errno."""
    return _checked(_PERF_EVENT_OPEN, create_string_buffer(attr, len(attr)), pid, cpu, group, _PERF_FLAG_FD_CLOEXEC)


def ioctl(fd: int, request: int, argument: int = 0) -> int:
    """0, or -errno."""
    try:
        fcntl.ioctl(fd, request, argument)
    except OSError as error:
        return -(error.errno or errno.EIO)
    return 0


def open_filesystem(kind: bytes) -> int:
    """A new detached mount of file system `kind` (fsopen, fsmount; Linux 5.2): nobody else sees it. Its fd, or -errno."""
    context = _checked(_FSOPEN, kind, 1)
    if context < 0:
        return context
    try:
        result = _checked(_FSCONFIG, context, 6, None, None, 0, fd=False)  # FSCONFIG_CMD_CREATE
        return result if result < 0 else _checked(_FSMOUNT, context, 1, 0)
    finally:
        os.close(context)


def _checked(number: int, *arguments: int | bytes | Buffer | None, fd: bool = True) -> int:
    # syscall(2) is variadic: a C int in a 64-bit register would leave the upper half undefined
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = _syscall(ctypes.c_long(number), *wide)
    if result < 0:
        return -ctypes.get_errno()
    return safe_fd(result) if fd else result


def object_info(fd: int, size: int, prefill: bytes = b"") -> bytes | int:
    """`size` bytes of the info of a map, program, link or BTF fd (zeros where the kernel has less), or -errno."""
    import struct

    info = create_string_buffer(prefill, size) if prefill else create_string_buffer(size)
    attr = create_string_buffer(struct.pack("=IIQ", fd, size, addressof(info)), 16)
    result = bpf(OBJ_GET_INFO_BY_FD, attr)
    return info.raw if result >= 0 else result


def close_all(fds: Sequence[int]) -> None:
    """Close each fd."""
    for fd in fds:
        os.close(fd)


def supported_machine() -> bool:
    """Whether this architecture's system call numbers are known."""
    return _machine in _NUMBERS
