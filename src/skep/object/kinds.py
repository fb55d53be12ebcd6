"""Names to numbers: ELF section names and function names to `ProgramKind`, map type names to map types.

The section names are libbpf's, the function names BCC's. Numbers are those of the kernel's enums
bpf_prog_type, bpf_attach_type and bpf_map_type.
"""

from __future__ import annotations

from skep.errors import UnsupportedError
from skep.object.model import ProgramKind


def _numbered(names: str) -> dict[str, int]:
    return {name: number for number, name in enumerate(names.split())}


BPF_F_SLEEPABLE, BPF_F_XDP_HAS_FRAGS = 1 << 4, 1 << 5
BPF_F_RDONLY, BPF_F_WRONLY = 1 << 3, 1 << 4  # of a map's fd (4.15); programs are not concerned

MAP_TYPES = _numbered(
    "unspec hash array prog_array perf_event_array percpu_hash percpu_array stack_trace cgroup_array lru_hash "
    "lru_percpu_hash lpm_trie array_of_maps hash_of_maps devmap sockmap cpumap xskmap sockhash cgroup_storage "
    "reuseport_sockarray percpu_cgroup_storage queue stack sk_storage devmap_hash struct_ops ringbuf inode_storage "
    "task_storage bloom_filter user_ringbuf cgrp_storage arena"
)
PROGRAM_TYPES = _numbered(
    "unspec socket_filter kprobe sched_cls sched_act tracepoint xdp perf_event cgroup_skb cgroup_sock lwt_in lwt_out "
    "lwt_xmit sock_ops sk_skb cgroup_device sk_msg raw_tracepoint cgroup_sock_addr lwt_seg6local lirc_mode2 "
    "sk_reuseport flow_dissector cgroup_sysctl raw_tracepoint_writable cgroup_sockopt tracing struct_ops ext lsm "
    "sk_lookup syscall netfilter"
)
ATTACH_TYPES = _numbered(
    "cgroup_inet_ingress cgroup_inet_egress cgroup_inet_sock_create cgroup_sock_ops sk_skb_stream_parser "
    "sk_skb_stream_verdict cgroup_device sk_msg_verdict cgroup_inet4_bind cgroup_inet6_bind cgroup_inet4_connect "
    "cgroup_inet6_connect cgroup_inet4_post_bind cgroup_inet6_post_bind cgroup_udp4_sendmsg cgroup_udp6_sendmsg "
    "lirc_mode2 flow_dissector cgroup_sysctl cgroup_udp4_recvmsg cgroup_udp6_recvmsg cgroup_getsockopt "
    "cgroup_setsockopt trace_raw_tp trace_fentry trace_fexit modify_return lsm_mac trace_iter cgroup_inet4_getpeername "
    "cgroup_inet6_getpeername cgroup_inet4_getsockname cgroup_inet6_getsockname xdp_devmap cgroup_inet_sock_release "
    "xdp_cpumap sk_lookup xdp sk_skb_verdict sk_reuseport_select sk_reuseport_select_or_migrate perf_event "
    "trace_kprobe_multi lsm_cgroup struct_ops netfilter tcx_ingress tcx_egress trace_uprobe_multi cgroup_unix_connect "
    "cgroup_unix_sendmsg cgroup_unix_recvmsg cgroup_unix_getpeername cgroup_unix_getsockname netkit_primary netkit_peer "
    "trace_kprobe_session trace_uprobe_session"
)

# Patterns: "x" is exactly x, "x+" is x alone or with something after a slash.
# Then: program type, context model, attach type ("": none), what the BTF target's name starts with (None: no BTF target).
_SECTIONS: tuple[tuple[str, str, str, str, str | None], ...] = (
    ("socket+", "socket_filter", "skb", "", None),
    ("sk_reuseport/migrate", "sk_reuseport", "sk_reuseport", "sk_reuseport_select_or_migrate", None),
    ("sk_reuseport", "sk_reuseport", "sk_reuseport", "sk_reuseport_select", None),
    ("kprobe.multi+", "kprobe", "kprobe", "trace_kprobe_multi", None),
    ("kretprobe.multi+", "kprobe", "kretprobe", "trace_kprobe_multi", None),
    ("kprobe.session+", "kprobe", "kprobe", "trace_kprobe_session", None),
    ("uprobe.multi+", "kprobe", "kprobe", "trace_uprobe_multi", None),
    ("uretprobe.multi+", "kprobe", "kretprobe", "trace_uprobe_multi", None),
    ("uprobe.session+", "kprobe", "kprobe", "trace_uprobe_session", None),
    ("uprobe.multi.s+", "kprobe", "kprobe", "trace_uprobe_multi", None),
    ("uretprobe.multi.s+", "kprobe", "kretprobe", "trace_uprobe_multi", None),
    ("uprobe.session.s+", "kprobe", "kprobe", "trace_uprobe_session", None),
    ("kprobe+", "kprobe", "kprobe", "", None),
    ("kretprobe+", "kprobe", "kretprobe", "", None),
    ("uprobe+", "kprobe", "kprobe", "", None),
    ("uretprobe+", "kprobe", "kretprobe", "", None),
    ("uprobe.s+", "kprobe", "kprobe", "", None),
    ("uretprobe.s+", "kprobe", "kretprobe", "", None),
    ("ksyscall+", "kprobe", "kprobe", "", None),
    ("kretsyscall+", "kprobe", "kretprobe", "", None),
    ("usdt+", "kprobe", "kprobe", "", None),
    ("usdt.s+", "kprobe", "kprobe", "", None),
    ("tc/ingress", "sched_cls", "skb", "tcx_ingress", None),
    ("tc/egress", "sched_cls", "skb", "tcx_egress", None),
    ("tcx/ingress", "sched_cls", "skb", "tcx_ingress", None),
    ("tcx/egress", "sched_cls", "skb", "tcx_egress", None),
    ("netkit/primary", "sched_cls", "skb", "netkit_primary", None),
    ("netkit/peer", "sched_cls", "skb", "netkit_peer", None),
    ("tc+", "sched_cls", "skb", "", None),
    ("classifier+", "sched_cls", "skb", "", None),
    ("action+", "sched_act", "skb", "", None),
    ("tracepoint+", "tracepoint", "tracepoint", "", None),
    ("tp+", "tracepoint", "tracepoint", "", None),
    ("raw_tracepoint+", "raw_tracepoint", "raw_tracepoint", "", None),
    ("raw_tp+", "raw_tracepoint", "raw_tracepoint", "", None),
    ("raw_tracepoint.w+", "raw_tracepoint_writable", "raw_tracepoint", "", None),
    ("raw_tp.w+", "raw_tracepoint_writable", "raw_tracepoint", "", None),
    ("tp_btf+", "tracing", "tp_btf", "trace_raw_tp", "btf_trace_"),
    ("fentry+", "tracing", "fentry", "trace_fentry", ""),
    ("fentry.s+", "tracing", "fentry", "trace_fentry", ""),
    ("fexit+", "tracing", "fexit", "trace_fexit", ""),
    ("fexit.s+", "tracing", "fexit", "trace_fexit", ""),
    ("fmod_ret+", "tracing", "fmod_ret", "modify_return", ""),
    ("fmod_ret.s+", "tracing", "fmod_ret", "modify_return", ""),
    ("iter+", "tracing", "iter", "trace_iter", "bpf_iter_"),
    ("iter.s+", "tracing", "iter", "trace_iter", "bpf_iter_"),
    ("freplace+", "ext", "freplace", "", ""),
    ("lsm+", "lsm", "lsm", "lsm_mac", "bpf_lsm_"),
    ("lsm.s+", "lsm", "lsm", "lsm_mac", "bpf_lsm_"),
    ("lsm_cgroup+", "lsm", "lsm", "lsm_cgroup", "bpf_lsm_"),
    ("syscall", "syscall", "syscall", "", None),
    ("xdp/devmap", "xdp", "xdp", "xdp_devmap", None),
    ("xdp.frags/devmap", "xdp", "xdp", "xdp_devmap", None),
    ("xdp/cpumap", "xdp", "xdp", "xdp_cpumap", None),
    ("xdp.frags/cpumap", "xdp", "xdp", "xdp_cpumap", None),
    ("xdp.frags", "xdp", "xdp", "xdp", None),
    # The attach type is said although it is optional: tail calls between programs that say it and others that do not
    # are refused by newer kernels.
    ("xdp+", "xdp", "xdp", "xdp", None),
    ("perf_event+", "perf_event", "perf_event", "", None),
    ("lwt_in", "lwt_in", "skb", "", None),
    ("lwt_out", "lwt_out", "skb", "", None),
    ("lwt_xmit", "lwt_xmit", "skb", "", None),
    ("lwt_seg6local", "lwt_seg6local", "skb", "", None),
    ("sockops", "sock_ops", "sock_ops", "cgroup_sock_ops", None),
    ("sk_skb/stream_parser", "sk_skb", "skb", "sk_skb_stream_parser", None),
    ("sk_skb/stream_verdict", "sk_skb", "skb", "sk_skb_stream_verdict", None),
    ("sk_skb/verdict", "sk_skb", "skb", "sk_skb_verdict", None),
    ("sk_skb", "sk_skb", "skb", "", None),
    ("sk_msg", "sk_msg", "sk_msg", "sk_msg_verdict", None),
    ("lirc_mode2", "lirc_mode2", "lirc_mode2", "lirc_mode2", None),
    ("flow_dissector", "flow_dissector", "skb", "flow_dissector", None),
    ("cgroup_skb/ingress", "cgroup_skb", "skb", "cgroup_inet_ingress", None),
    ("cgroup_skb/egress", "cgroup_skb", "skb", "cgroup_inet_egress", None),
    ("cgroup/skb", "cgroup_skb", "skb", "", None),
    ("cgroup/sock_create", "cgroup_sock", "sock", "cgroup_inet_sock_create", None),
    ("cgroup/sock_release", "cgroup_sock", "sock", "cgroup_inet_sock_release", None),
    ("cgroup/sock", "cgroup_sock", "sock", "cgroup_inet_sock_create", None),
    ("cgroup/post_bind4", "cgroup_sock", "sock", "cgroup_inet4_post_bind", None),
    ("cgroup/post_bind6", "cgroup_sock", "sock", "cgroup_inet6_post_bind", None),
    ("cgroup/bind4", "cgroup_sock_addr", "sock_addr", "cgroup_inet4_bind", None),
    ("cgroup/bind6", "cgroup_sock_addr", "sock_addr", "cgroup_inet6_bind", None),
    ("cgroup/connect4", "cgroup_sock_addr", "sock_addr", "cgroup_inet4_connect", None),
    ("cgroup/connect6", "cgroup_sock_addr", "sock_addr", "cgroup_inet6_connect", None),
    ("cgroup/connect_unix", "cgroup_sock_addr", "sock_addr", "cgroup_unix_connect", None),
    ("cgroup/sendmsg4", "cgroup_sock_addr", "sock_addr", "cgroup_udp4_sendmsg", None),
    ("cgroup/sendmsg6", "cgroup_sock_addr", "sock_addr", "cgroup_udp6_sendmsg", None),
    ("cgroup/sendmsg_unix", "cgroup_sock_addr", "sock_addr", "cgroup_unix_sendmsg", None),
    ("cgroup/recvmsg4", "cgroup_sock_addr", "sock_addr", "cgroup_udp4_recvmsg", None),
    ("cgroup/recvmsg6", "cgroup_sock_addr", "sock_addr", "cgroup_udp6_recvmsg", None),
    ("cgroup/recvmsg_unix", "cgroup_sock_addr", "sock_addr", "cgroup_unix_recvmsg", None),
    ("cgroup/getpeername4", "cgroup_sock_addr", "sock_addr", "cgroup_inet4_getpeername", None),
    ("cgroup/getpeername6", "cgroup_sock_addr", "sock_addr", "cgroup_inet6_getpeername", None),
    ("cgroup/getpeername_unix", "cgroup_sock_addr", "sock_addr", "cgroup_unix_getpeername", None),
    ("cgroup/getsockname4", "cgroup_sock_addr", "sock_addr", "cgroup_inet4_getsockname", None),
    ("cgroup/getsockname6", "cgroup_sock_addr", "sock_addr", "cgroup_inet6_getsockname", None),
    ("cgroup/getsockname_unix", "cgroup_sock_addr", "sock_addr", "cgroup_unix_getsockname", None),
    ("cgroup/sysctl", "cgroup_sysctl", "sysctl", "cgroup_sysctl", None),
    ("cgroup/getsockopt", "cgroup_sockopt", "sockopt", "cgroup_getsockopt", None),
    ("cgroup/setsockopt", "cgroup_sockopt", "sockopt", "cgroup_setsockopt", None),
    ("cgroup/dev", "cgroup_device", "cgroup_device", "cgroup_device", None),
    ("struct_ops+", "struct_ops", "struct_ops", "", None),
    ("struct_ops.s+", "struct_ops", "struct_ops", "", None),
    ("sk_lookup", "sk_lookup", "sk_lookup", "sk_lookup", None),
    ("netfilter", "netfilter", "netfilter", "netfilter", None),
)
_BY_PATTERN = {row[0]: row for row in _SECTIONS}

# BCC names its hooks in the function: prefix, the section it stands for, and whether a module's name comes before the target.
_FUNCTIONS = (
    ("kprobe__", "kprobe+", False),
    ("kretprobe__", "kretprobe+", False),
    ("syscall__", "kprobe+", False),
    ("tracepoint__", "tracepoint+", False),
    ("raw_tracepoint__", "raw_tracepoint+", False),
    ("kfunc__", "fentry+", True),
    ("kretfunc__", "fexit+", True),
    ("kmod_ret__", "fmod_ret+", True),
    ("lsm__", "lsm+", False),
    ("bpf_iter__", "iter+", False),
)
# What a bare program type means; the sections that stand for the types that several sections share.
_BY_TYPE = {
    "kprobe": "kprobe+", "tracepoint": "tracepoint+", "raw_tracepoint": "raw_tracepoint+", "sched_cls": "tc+",
    "raw_tracepoint_writable": "raw_tracepoint.w+", "xdp": "xdp+", "cgroup_skb": "cgroup/skb", "sk_skb": "sk_skb",
    "cgroup_sock": "cgroup/sock", "sk_reuseport": "sk_reuseport",
}  # fmt: skip


def kind_for_section(section: str, function: str = "") -> ProgramKind | None:
    """What the section's name asks for, or else the function's (BCC's `kprobe__x` and the like); None if neither says."""
    section = section.removeprefix("?")  # libbpf: do not load by default
    row = _BY_PATTERN.get(section) or _BY_PATTERN.get(section + "+")
    if row:
        return _kind(row, "")
    head, slash, target = section.partition("/")
    row = _BY_PATTERN.get(head + "+")
    if slash and row:
        return _kind(row, target)
    for prefix, pattern, has_module in _FUNCTIONS:
        if function.startswith(prefix):
            target = function[len(prefix) :]
            return _kind(_BY_PATTERN[pattern], target.partition("__")[2] or target if has_module else target)
    return None


def kind_for_type(type: int) -> ProgramKind:
    """The kind for a bare program type number, as in `load_func("f", BPF.RAW_TRACEPOINT)`."""
    name = next((name for name, number in PROGRAM_TYPES.items() if number == type), "unspec")
    pattern = _BY_TYPE.get(name)
    row = _BY_PATTERN[pattern] if pattern else next((row for row in _SECTIONS if row[1] == name), None)
    if row is None:
        raise UnsupportedError(f"{type} is not a program type that this Skep knows", needs="a newer Skep")
    return _kind(row, "")


def _kind(row: tuple[str, str, str, str, str | None], target: str) -> ProgramKind:
    pattern, type, context, attach, btf_prefix = row
    return ProgramKind(
        pattern.rstrip("+"),
        PROGRAM_TYPES[type],
        context,
        expected_attach_type=ATTACH_TYPES[attach] if attach else 0,
        target=btf_prefix + target if target and btf_prefix is not None else "",
        flags=_flags(pattern),
    )


def _flags(pattern: str) -> int:
    if pattern.startswith("xdp.frags"):
        return BPF_F_XDP_HAS_FRAGS
    return BPF_F_SLEEPABLE if pattern.endswith(".s+") or pattern == "syscall" else 0


def map_types(names: str) -> frozenset[int]:
    """The numbers of map types given by their names, with spaces between."""
    return frozenset(MAP_TYPES[name] for name in names.split())


PER_CPU = map_types("percpu_hash percpu_array lru_percpu_hash percpu_cgroup_storage")  # a value for each possible CPU
LPM_KEY_SIZES = 5, 260  # bytes, least and most: u32 prefix length, data (kernel/bpf/lpm_trie.c)


def map_type_name(number: int) -> str:
    """The map type as the kernel's headers name it."""
    return next((name for name, known in MAP_TYPES.items() if known == number), f"map of type {number}")


def program_type_name(number: int) -> str:
    """The program type as the kernel's headers name it."""
    return next((name for name, known in PROGRAM_TYPES.items() if known == number), f"type {number}")
