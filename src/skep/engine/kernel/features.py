"""What this kernel and this process can do, found out by trying: plain data for `skep doctor`. Not on the warm path.

Each probe says yes, no (with the fix) or inconclusive (with the reason); `since` is a fact of the kernel's history.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from ctypes import create_string_buffer

from skep.engine import privileges
from skep.engine.cpus import read_cpus
from skep.engine.errnos import errno_text
from skep.engine.kernel import kprobe, syscall
from skep.engine.kernel.map_create import create_map
from skep.engine.kernel.programs import load_program
from skep.engine.kernel.tracefs import Tracefs
from skep.engine.probing import Feature, No, Unknown, answer
from skep.errors import MapError, UnsupportedError, VerifierError
from skep.object.kinds import MAP_TYPES, PROGRAM_TYPES, kind_for_section, kind_for_type
from skep.object.model import MapSpec, Object, ProgramKind, ProgramSpec, Relocation

# first kernel with each map and program type (include/uapi/linux/bpf.h through its releases)
_MAP_SINCE = {
    "hash": "3.19", "array": "3.19", "prog_array": "4.2", "perf_event_array": "4.3", "percpu_hash": "4.6", "percpu_array": "4.6",
    "stack_trace": "4.6", "cgroup_array": "4.8", "lru_hash": "4.10", "lru_percpu_hash": "4.10", "lpm_trie": "4.11",
    "array_of_maps": "4.12", "hash_of_maps": "4.12", "devmap": "4.14", "sockmap": "4.14", "cpumap": "4.15", "xskmap": "4.18",
    "sockhash": "4.18", "cgroup_storage": "4.19", "reuseport_sockarray": "4.19", "percpu_cgroup_storage": "4.20", "queue": "4.20",
    "stack": "4.20", "sk_storage": "5.2", "devmap_hash": "5.4", "struct_ops": "5.6", "ringbuf": "5.8", "inode_storage": "5.10",
    "task_storage": "5.11", "bloom_filter": "5.16", "user_ringbuf": "6.1", "cgrp_storage": "6.2", "arena": "6.9",
}  # fmt: skip
_PROGRAM_SINCE = {
    "socket_filter": "3.19", "kprobe": "4.1", "sched_cls": "4.1", "sched_act": "4.1", "tracepoint": "4.7", "xdp": "4.8",
    "perf_event": "4.9", "cgroup_skb": "4.10", "cgroup_sock": "4.10", "lwt_in": "4.10", "lwt_out": "4.10", "lwt_xmit": "4.10",
    "sock_ops": "4.13", "sk_skb": "4.14", "cgroup_device": "4.15", "sk_msg": "4.17", "raw_tracepoint": "4.17",
    "cgroup_sock_addr": "4.17", "lwt_seg6local": "4.18", "lirc_mode2": "4.18", "sk_reuseport": "4.19", "flow_dissector": "4.20",
    "cgroup_sysctl": "5.2", "raw_tracepoint_writable": "5.2", "cgroup_sockopt": "5.3", "tracing": "5.5", "struct_ops": "5.6",
    "ext": "5.6", "lsm": "5.7", "sk_lookup": "5.9", "syscall": "5.14", "netfilter": "6.4",
}  # fmt: skip

_BTF_STORAGE = ("sk_storage", "inode_storage", "task_storage", "cgrp_storage")
# key size, value size, max_entries, flags where they are not 4, 4, 1, 0
_MAP_SHAPES = {
    "stack_trace": (4, 8, 1, 0),
    "lpm_trie": (8, 4, 1, 1),
    "cgroup_storage": (8, 4, 0, 0),
    "percpu_cgroup_storage": (8, 4, 0, 0),
    "queue": (0, 4, 1, 0),
    "stack": (0, 4, 1, 0),
    "bloom_filter": (0, 4, 1, 0),
    "ringbuf": (0, 0, 4096, 0),
    "user_ringbuf": (0, 0, 4096, 0),
    "arena": (0, 0, 1, 1 << 10),
}
# expected attach types that a type needs, as a section that asks for them
_PROGRAM_SECTIONS = {
    "cgroup_sock_addr": "cgroup/connect4",
    "cgroup_sockopt": "cgroup/getsockopt",
    "tracing": "tp_btf/sys_enter",
    "lsm": "lsm/file_open",
}
_NOT_BY_ITSELF = ("struct_ops", "ext")  # these bind to a type or to another program

_OWNER = Object(b"", license="GPL", btf=None, maps={}, programs={})
_RETURN_0 = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)
_RETURN_1 = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0)


def probe_map_type(name: str) -> Feature:
    """Whether a map of this type can be made."""

    def probe() -> None:
        if name == "struct_ops":
            raise Unknown("needs the type of the kernel's structure that it replaces")
        if name in _BTF_STORAGE:
            _probe_storage(MAP_TYPES[name])
            return
        key, value, entries, flags = _MAP_SHAPES.get(name, (4, 4, 1, 0))
        inner = MapSpec("inner", MAP_TYPES["array"], 4, 4, 1) if name.endswith("_of_maps") else None
        spec = MapSpec("probe", MAP_TYPES[name], key, value, entries, flags=flags, inner=inner)
        try:
            create_map(spec, max(read_cpus("possible")) + 1, 0).close()
        except MapError as error:
            if error.errno == errno.EINVAL:
                raise No("this kernel does not know the type, or was built without it", "a newer kernel") from error
            raise

    return answer(f"map type {name}", _MAP_SINCE[name], probe)


def _probe_storage(type: int) -> None:
    # Local storage is refused without BTF for key and value, so the probe brings a blob of one type, int.
    strings = b"\0int\0"
    types = struct.pack("<IIII", 1, 1 << 24, 4, 1 << 24 | 32)
    blob = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings
    from skep.engine.kernel.programs import load_btf

    fd = load_btf(blob)
    if not fd:
        raise Unknown("the kernel takes no BTF from this process")
    try:
        spec = MapSpec("probe", type, 4, 4, 0, flags=1, key_type=1, value_type=1)
        try:
            create_map(spec, 1, fd).close()
        except MapError as error:
            if error.errno == errno.EINVAL:
                raise No("this kernel does not know the type, or was built without it", "a newer kernel") from error
            raise
    finally:
        os.close(fd)


def probe_program_type(name: str) -> Feature:
    """Whether a program of this type can be loaded."""

    def probe() -> None:
        if name in _NOT_BY_ITSELF:
            raise Unknown("such programs bind to a kernel type or to another program")
        section = _PROGRAM_SECTIONS.get(name)
        kind = kind_for_section(section) if section else kind_for_type(PROGRAM_TYPES[name])
        assert kind is not None
        _load(kind)

    return answer(f"program type {name}", _PROGRAM_SINCE[name], probe)


def _load(kind: ProgramKind, instructions: bytes = b"") -> None:
    for code in (instructions,) if instructions else (_RETURN_0, _RETURN_1):  # some hooks accept only 1
        try:
            load_program(ProgramSpec("probe", "", code), kind, {}, _OWNER, 0).close()
            return
        except VerifierError as error:
            refusal = error
        except UnsupportedError as error:
            fix = "boot with lsm=...,bpf" if kind.context == "lsm" else "a kernel that is built with this type"
            raise No(str(error), fix) from error
    if "invalid func" in refusal.log or "unknown func" in refusal.log or "unknown opcode" in refusal.log:
        raise No(str(refusal).splitlines()[0], "a newer kernel")
    if "not allowed" in refusal.log or "not supported" in refusal.log:
        raise No(str(refusal).splitlines()[0], "another kernel")
    raise Unknown(str(refusal).splitlines()[0])


def _btf() -> str:
    path = "/sys/kernel/btf/vmlinux"
    if not os.path.exists(path):
        raise No(f"no {path}", "a kernel with CONFIG_DEBUG_INFO_BTF=y")
    return f"{os.stat(path).st_size} bytes"


def _batch() -> None:
    with create_map(MapSpec("probe", MAP_TYPES["hash"], 4, 4, 1), 1, 0) as map:
        if map.parts() is None:
            raise No("maps have no batch calls", "a newer kernel; maps are read key by key until then")


def _perf_link() -> None:
    # bpf_link of a perf event: a bad fd is EBADF where the attach type is known, EINVAL where not
    with load_program(ProgramSpec("probe", "", _RETURN_0), kind_for_type(PROGRAM_TYPES["tracepoint"]), {}, _OWNER, 0) as program:
        attr = create_string_buffer(struct.pack("=IiII", program.fd, -1, 41, 0), 24)
        result = syscall.bpf(syscall.LINK_CREATE, attr)
    if result != -errno.EBADF:
        raise No(f"LINK_CREATE gives {errno_text(result)}", "a newer kernel; ioctl is used instead")


def _kprobe_pmu() -> None:
    if not os.path.exists(f"{kprobe.PMU}/type"):
        raise No(
            f"no {kprobe.PMU}", "a kernel with CONFIG_KPROBES and CONFIG_KPROBE_EVENTS; system calls work through tracepoints"
        )


def _tracefs() -> str:
    tracefs = Tracefs()
    tracefs.close()
    return tracefs.how


def _kprobe_events() -> None:
    tracefs = Tracefs()
    try:
        if not tracefs.exists("kprobe_events"):
            raise No("tracefs has no kprobe_events", "a kernel with CONFIG_KPROBE_EVENTS")
    finally:
        tracefs.close()


def _syscall_tracepoints() -> None:
    tracefs = Tracefs()
    try:
        if not tracefs.exists("events/syscalls/sys_enter_execve/id"):
            raise No("tracefs has no events/syscalls", "a kernel with CONFIG_FTRACE_SYSCALLS")
    finally:
        tracefs.close()


def _fentry() -> None:
    kind = kind_for_section("fentry/vfs_read")
    assert kind is not None
    _load(kind)


def _helper(number: int) -> Callable[[], None]:
    """A probe that calls a helper with no arguments set: the verifier complains of the arguments where it knows the helper."""

    def probe() -> None:
        code = struct.pack("<BBhi", 0x85, 0, 0, number) + _RETURN_0
        try:
            load_program(ProgramSpec("probe", "", code), kind_for_type(PROGRAM_TYPES["kprobe"]), {}, _OWNER, 0).close()
        except VerifierError as error:
            if "invalid func" in error.log or "unknown func" in error.log:
                raise No(f"helper {number} is not known", "a newer kernel") from error

    return probe


def _bounded_loops() -> None:
    # r0 = 10; while (--r0) ; return 0
    loop = struct.pack("<BBhi", 0xB7, 0, 0, 10) + struct.pack("<BBhi", 0x07, 0, 0, -1) + struct.pack("<BBhi", 0x55, 0, -2, 0)
    _load(kind_for_type(PROGRAM_TYPES["xdp"]), loop + _RETURN_0)


def _instructions_v4() -> None:
    # a 32-bit sign-extending move, BPF_MOVSX: opcode of a move with offset 8
    code = struct.pack("<BBhi", 0xB7, 1, 0, 1) + struct.pack("<BBhi", 0xBF, 0x10, 8, 0) + _RETURN_0
    try:
        _load(kind_for_type(PROGRAM_TYPES["xdp"]), code)
    except Unknown as error:
        raise No(str(error), "a newer kernel; compile for -mcpu=v3") from error


def _data_sections() -> None:
    # a load of a map value's address: what .rodata, .data and .bss need
    spec = MapSpec("probe", MAP_TYPES["array"], 4, 8, 1)
    code = struct.pack("<BBhiBBhi", 0x18, 1, 0, 0, 0, 0, 0, 0) + _RETURN_0
    program = ProgramSpec("probe", "", code, relocations=[Relocation(0, "map_value", "probe", 0)])
    with create_map(spec, 1, 0) as map:
        load_program(program, kind_for_type(PROGRAM_TYPES["xdp"]), {"probe": map}, _OWNER, 0).close()


def _privilege() -> str:
    missing = privileges.missing_for_bpf()
    if missing:
        raise No(f"this process lacks {', '.join(missing)}", privileges.fix_for(missing))
    lockdown = privileges.lockdown()
    parts = [
        f"unprivileged_bpf_disabled={privileges.unprivileged_bpf_disabled()}",
        f"perf_event_paranoid={privileges.perf_event_paranoid()}",
        f"lockdown={lockdown or 'unknown'}",
    ]
    if lockdown == "confidentiality":
        raise No("the kernel is locked down (confidentiality): programs may not read kernel memory", "boot without lockdown")
    return ", ".join(parts)


# name, first kernel, probe
_FEATURES: tuple[tuple[str, str, Callable[[], str | None]], ...] = (
    ("privilege for bpf", "", _privilege),
    ("kernel BTF", "5.4", _btf),
    ("tracefs", "4.1", _tracefs),
    ("syscall tracepoints", "4.14", _syscall_tracepoints),
    ("kprobe PMU", "4.17", _kprobe_pmu),
    ("kprobe_events", "4.1", _kprobe_events),
    ("bpf link for perf events", "5.15", _perf_link),
    ("fentry and fexit", "5.5", _fentry),
    ("data sections", "5.2", _data_sections),
    ("bounded loops", "5.3", _bounded_loops),
    ("bpf_loop", "5.17", _helper(181)),
    ("ring buffer helpers", "5.8", _helper(131)),
    ("probe_read_kernel", "5.5", _helper(113)),
    ("batch calls for maps", "5.6", _batch),
    ("instruction set v4", "6.6", _instructions_v4),
)


def probe_features() -> list[Feature]:
    """What tracing needs, in the order in which it matters."""
    return [answer(name, since, probe) for name, since, probe in _FEATURES]


def probe_map_types() -> list[Feature]:
    """Every map type."""
    return [probe_map_type(name) for name in _MAP_SINCE]


def probe_program_types() -> list[Feature]:
    """Every program type."""
    return [probe_program_type(name) for name in _PROGRAM_SINCE]
