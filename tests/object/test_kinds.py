"""The tables of kinds against the kernel's own enums, and the names that ask for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from skep.btf import kernel_btf
from skep.btf import types as bt
from skep.errors import UnsupportedError
from skep.object import kind_for_section, kind_for_type
from skep.object.kinds import _SECTIONS, ATTACH_TYPES, MAP_TYPES, PROGRAM_TYPES


@pytest.mark.skipif(not Path("/sys/kernel/btf/vmlinux").exists(), reason="this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")
@pytest.mark.parametrize(
    ("enum", "prefix", "table"),
    [
        ("bpf_map_type", "BPF_MAP_TYPE_", MAP_TYPES),
        ("bpf_prog_type", "BPF_PROG_TYPE_", PROGRAM_TYPES),
        ("bpf_attach_type", "BPF_", ATTACH_TYPES),
    ],
)
def test_numbers_are_the_kernels(enum: str, prefix: str, table: dict[str, int]) -> None:
    found = kernel_btf().type(kernel_btf().find(enum, "enum") or 0)
    assert isinstance(found, bt.Enum)
    kernels = {name.removeprefix(prefix).lower(): value for name, value in found.values if name.startswith(prefix)}
    limit = dict(found.values)[f"__MAX_{prefix.rstrip('_') if enum != 'bpf_attach_type' else 'BPF_ATTACH_TYPE'}"]
    assert {name: value for name, value in table.items() if value < limit} == {
        name: value for name, value in kernels.items() if name in table
    }
    assert set(kernels.values()) - {limit} <= set(table.values())


@pytest.mark.parametrize(
    ("section", "name", "type", "context", "attach_type", "target", "flags"),
    [
        ("kprobe/do_sys_open", "kprobe", 2, "kprobe", 0, "", 0),
        ("kprobe", "kprobe", 2, "kprobe", 0, "", 0),
        ("?kretprobe/x", "kretprobe", 2, "kretprobe", 0, "", 0),
        ("uprobe.s//bin/sh:main", "uprobe.s", 2, "kprobe", 0, "", 16),
        ("kprobe.multi/tcp_*", "kprobe.multi", 2, "kprobe", 42, "", 0),
        ("tracepoint/syscalls/sys_enter_execve", "tracepoint", 5, "tracepoint", 0, "", 0),
        ("tp/sched/sched_switch", "tp", 5, "tracepoint", 0, "", 0),
        ("raw_tp/sys_enter", "raw_tp", 17, "raw_tracepoint", 0, "", 0),
        ("tp_btf/sched_switch", "tp_btf", 26, "tp_btf", 23, "btf_trace_sched_switch", 0),
        ("fentry/vfs_read", "fentry", 26, "fentry", 24, "vfs_read", 0),
        ("fexit.s/vfs_read", "fexit.s", 26, "fexit", 25, "vfs_read", 16),
        ("lsm/file_open", "lsm", 29, "lsm", 27, "bpf_lsm_file_open", 0),
        ("iter/task", "iter", 26, "iter", 28, "bpf_iter_task", 0),
        ("xdp", "xdp", 6, "xdp", 37, "", 0),
        ("xdp.frags", "xdp.frags", 6, "xdp", 37, "", 32),
        ("xdp/devmap", "xdp/devmap", 6, "xdp", 33, "", 0),
        ("cgroup_skb/egress", "cgroup_skb/egress", 8, "skb", 1, "", 0),
        ("sk_msg", "sk_msg", 16, "sk_msg", 7, "", 0),
        ("tc", "tc", 3, "skb", 0, "", 0),
    ],
)
def test_section_names(
    section: str, name: str, type: int, context: str, attach_type: int, target: str, flags: int
) -> None:  # fmt: skip
    kind = kind_for_section(section, "function")
    assert kind is not None
    assert (kind.name, kind.type, kind.context, kind.expected_attach_type, kind.target, kind.flags) == (
        name, type, context, attach_type, target, flags,
    )  # fmt: skip


@pytest.mark.parametrize("section", ["", ".text", "kprobes", "xdpx", "whatever/x", "sk_msg/x", "prog"])
def test_other_sections_ask_for_nothing(section: str) -> None:
    assert kind_for_section(section, "function") is None


@pytest.mark.parametrize(
    ("function", "name", "target"),
    [
        ("kprobe__do_sys_open", "kprobe", ""),
        ("tracepoint__syscalls__sys_enter_execve", "tracepoint", ""),
        ("raw_tracepoint__sys_enter", "raw_tracepoint", ""),
        ("syscall__execve", "kprobe", ""),
        ("kfunc__vmlinux__vfs_read", "fentry", "vfs_read"),
        ("kretfunc__vfs_read", "fexit", "vfs_read"),
        ("lsm__file_open", "lsm", "bpf_lsm_file_open"),
    ],
)
def test_function_names_of_bcc(function: str, name: str, target: str) -> None:
    kind = kind_for_section(".text", function)
    assert kind is not None
    assert (kind.name, kind.target) == (name, target)


def test_program_types_have_a_kind() -> None:
    for number in range(1, len(PROGRAM_TYPES)):
        assert kind_for_type(number).type == number
    assert kind_for_type(PROGRAM_TYPES["kprobe"]).name == "kprobe"
    assert kind_for_type(PROGRAM_TYPES["raw_tracepoint"]).context == "raw_tracepoint"
    for number in (0, 99, -1):
        with pytest.raises(UnsupportedError, match="not a program type"):
            kind_for_type(number)


def test_the_table_names_only_known_types() -> None:
    for pattern, type, _, attach_type, _ in _SECTIONS:
        assert type in PROGRAM_TYPES, pattern
        assert not attach_type or attach_type in ATTACH_TYPES, pattern
    assert len({row[0] for row in _SECTIONS}) == len(_SECTIONS)
