"""A program into the kernel: relocations patched, BTF and line information attached, refusals explained.

In: ProgramSpec, the ProgramKind of the hook, live maps. Out: KernelProgram, or VerifierError, PrivilegeError, UnsupportedError.
"""

from __future__ import annotations

import errno
import os
import struct
from ctypes import addressof, c_char, create_string_buffer

from skep.engine.errnos import ENOTSUPP, errno_text
from skep.engine.kernel import syscall
from skep.engine.kernel.maps import kernel_name
from skep.engine.kernel.relocations import Relocated, Target
from skep.errors import SkepError, UnsupportedError
from skep.object.kinds import program_type_name
from skep.object.lines import source_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from mmap import mmap

    from skep.engine import MapHandle
    from skep.object.model import Object, ProgramKind, ProgramSpec

_RAW_TRACEPOINT, _SYSCALL = 17, 31  # these take a context in, and give none back

_ATTR_SIZE = 144
_LOG_SIZE = 64 * 1024
_LOG_LIMIT = ((1 << 32) - 1) >> 2  # a larger log_size is EINVAL


class KernelProgram:
    """One loaded program; it stays in the kernel until the fd and every link are closed."""

    __slots__ = ("fd", "kind", "name")

    def __init__(self, name: str, kind: ProgramKind, fd: int) -> None:
        self.name = name
        self.kind = kind
        self.fd = fd

    def info(self) -> dict[str, int | str | bytes]:
        """What the kernel says: type, id, tag, name, verified_insns; run_cnt and run_time_ns with kernel.bpf_stats_enabled=1."""
        data = syscall.object_info(self.fd, 232)
        if isinstance(data, int):
            raise SkepError(f"cannot ask for the info of program {self.name!r}: {errno_text(data)}")
        type, id, tag = struct.unpack_from("=II8s", data)
        run_time, run_count, misses, verified = struct.unpack_from("=QQQI", data, 192)
        name = data[64:80].rstrip(b"\0").decode()
        return {
            "type": type, "id": id, "tag": tag, "name": name,
            "run_time_ns": run_time, "run_cnt": run_count, "recursion_misses": misses, "verified_insns": verified,
        }  # fmt: skip

    def test_run(self, data: bytes = b"", ctx: bytes = b"", repeat: int = 0) -> tuple[int, bytes, bytes, int]:
        """Run once (or `repeat` times) on given input: (return value, data after, context after, nanoseconds a run); 4.12.

        Packet programs want at least 14 bytes of data; raw tracepoint programs take only a context and no repeat.
        """
        if self.fd < 0:
            raise SkepError(f"program {self.name!r} is closed")
        data_in = create_string_buffer(data, max(len(data), 1))
        data_out = (c_char * (len(data) + 512 if data else 1))()  # programs may make a packet longer (headroom is 256)
        ctx_in = create_string_buffer(ctx, max(len(ctx), 1))
        ctx_out = (c_char * max(len(ctx), 1))()
        wants_ctx_out = bool(ctx) and self.kind.type not in (_RAW_TRACEPOINT, _SYSCALL)
        attr = create_string_buffer(
            struct.pack(
                "=IIIIQQIIIIQQIII4x",
                self.fd,
                0,
                len(data),
                len(data_out) if data else 0,
                addressof(data_in) if data else 0,
                addressof(data_out) if data else 0,
                repeat,
                0,
                len(ctx),
                len(ctx) if wants_ctx_out else 0,
                addressof(ctx_in) if ctx else 0,
                addressof(ctx_out) if wants_ctx_out else 0,
                0,
                0,
                0,
            ),
            80,
        )
        result = syscall.bpf(syscall.PROG_TEST_RUN, attr)
        if result < 0:
            hint = {
                -ENOTSUPP: "; this program type cannot be run by hand",
                -errno.EINVAL: "; packet programs want 14 bytes of data or more, raw tracepoint programs a context and no repeat",
            }.get(result, "")
            raise SkepError(f"test run of program {self.name!r} ({self.kind.name}): {errno_text(result)}{hint}")
        retval, _, out_size = struct.unpack_from("=III", attr, 4)
        duration, _, ctx_size = struct.unpack_from("=III", attr, 36)
        context = ctx_out.raw[:ctx_size] if wants_ctx_out else ctx_in.raw[: len(ctx)]
        return retval, data_out.raw[:out_size] if data else b"", context, duration

    def close(self) -> None:
        """Close the fd."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> KernelProgram:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load_btf(data: bytes | mmap) -> int:
    """BPF_BTF_LOAD of an object's BTF (4.18): an fd; or 0 when the kernel refuses it, told on stderr with SKEP_DEBUG=1."""
    blob = (c_char * len(data)).from_buffer_copy(data)

    def attempt(log_size: int) -> tuple[int, str]:
        log = (c_char * max(log_size, 1))()
        attr = create_string_buffer(
            struct.pack("=QQIII", addressof(blob), addressof(log) if log_size else 0, len(data), log_size, 1 if log_size else 0),
            32,
        )
        return syscall.bpf(syscall.BTF_LOAD, attr), log.value.decode("utf-8", "replace")

    fd, log = attempt(0)
    if fd >= 0 or not os.environ.get("SKEP_DEBUG"):
        return max(fd, 0)
    size = _LOG_SIZE
    number = fd
    while size <= _LOG_LIMIT:
        fd, log = attempt(size)
        if fd != -errno.ENOSPC:
            break
        size *= 4
    if fd >= 0:
        return fd
    os.write(2, f"skep: the kernel refuses the object's BTF ({errno_text(number)}); going on without it\n{log}\n".encode())
    return 0


def load_program(
    spec: ProgramSpec, kind: ProgramKind, maps: Mapping[str, MapHandle], owner: Object, btf_fd: int
) -> KernelProgram:
    """Load one program as `kind`; first without a log (a log that does not fit would fail a good program), then with."""
    relocated = Relocated(spec, maps)
    try:
        target = Target(kind)
        try:
            return _load(spec, kind, owner, btf_fd, relocated, target)
        finally:
            target.close()
    finally:
        relocated.close()


def _load(
    spec: ProgramSpec, kind: ProgramKind, owner: Object, btf_fd: int, relocated: Relocated, target: Target
) -> KernelProgram:
    code = relocated.code
    fds = create_string_buffer(struct.pack(f"={len(relocated.modules) + 1}i", 0, *relocated.modules))
    instructions = (c_char * len(code)).from_buffer(code)
    license_ = create_string_buffer(owner.license.encode())
    typed = btf_fd > 0 and bool(spec.functions)
    functions = create_string_buffer(
        b"".join([struct.pack("=II", *row) for row in spec.functions]) if typed else b"", 8 * max(len(spec.functions), 1)
    )
    lines = create_string_buffer(
        b"".join([struct.pack("=IIII", *row) for row in spec.lines]) if typed else b"", 16 * max(len(spec.lines), 1)
    )

    def attempt(log: syscall.Buffer | None) -> tuple[int, int]:
        attr = create_string_buffer(
            struct.pack(
                "=IIQQIIQII16sIIIIQIIQIIIIQ",
                kind.type,
                len(code) // 8,
                addressof(instructions),
                addressof(license_),
                1 if log is not None else 0,
                len(log) if log is not None else 0,
                addressof(log) if log is not None else 0,
                0,
                kind.flags,
                kernel_name(spec.name),
                0,
                kind.expected_attach_type,
                btf_fd if typed else 0,
                8 if typed else 0,
                addressof(functions) if typed else 0,
                len(spec.functions) if typed else 0,
                16 if typed and spec.lines else 0,
                addressof(lines) if typed and spec.lines else 0,
                len(spec.lines) if typed else 0,
                target.id,
                target.fd,
                0,
                addressof(fds) if relocated.modules else 0,
            ),
            _ATTR_SIZE,
        )
        result = syscall.prog_load(attr)
        return result, struct.unpack_from("=I", attr, 140)[0]

    fd, _ = attempt(None)
    if fd >= 0:
        return KernelProgram(spec.name, kind, fd)
    first = fd
    log = (c_char * _LOG_SIZE)()
    while True:
        fd, true_size = attempt(log)
        if fd >= 0:
            return KernelProgram(spec.name, kind, fd)
        if fd != -errno.ENOSPC or len(log) >= _LOG_LIMIT:
            break
        log = (c_char * min(max(true_size, 2 * len(log)), _LOG_LIMIT))()  # the size that fits is told since 6.4
    raise _refusal(spec, kind, owner, -first, log.value.decode("utf-8", "replace"))


def _refusal(spec: ProgramSpec, kind: ProgramKind, owner: Object, number: int, log: str) -> SkepError:
    type_name = program_type_name(kind.type)
    if number == errno.EPERM and not log.strip():
        from skep.engine import privileges
        from skep.errors import PrivilegeError

        missing = privileges.missing_for_program(kind.type)
        if missing:
            return PrivilegeError(
                f"loading program {spec.name!r} ({type_name}) needs {' and '.join(missing)}; {privileges.fix_for(missing)}",
                missing=missing,
            )
        lockdown = privileges.lockdown()
        if lockdown == "confidentiality":
            return PrivilegeError(
                f"loading program {spec.name!r} ({type_name}) is refused by the kernel's lockdown (confidentiality): "
                "boot without lockdown=confidentiality",
                missing=["lockdown"],
            )
        return UnsupportedError(
            f"this kernel ({os.uname().release}) refuses programs of type {type_name} ({kind.name}) with EPERM, although no "
            "capability is missing: it was built or is run without what this type needs",
            needs="a kernel that allows this program type; another hook for the same purpose may work",
        )
    if not log.strip() and number in (errno.EINVAL, ENOTSUPP, errno.E2BIG):
        text = f"the kernel does not take program {spec.name!r} as {type_name} ({kind.name}): {errno_text(number)}"
        if number != errno.E2BIG:
            text += "; it does not know this program type, or the type does not fit its attach type"
        return UnsupportedError(text, needs="a newer kernel, or one with this program type configured")
    from skep.engine.kernel.verifier import verifier_error

    return verifier_error(spec.name, kind.name, log, number, lambda insn: source_line(spec, owner, insn))
