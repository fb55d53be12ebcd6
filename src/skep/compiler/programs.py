"""What a function is as a program: the section it goes to and the shape of its context, by its name, SEC() or parameter.

BCC names programs by prefix (`kprobe__`, `tracepoint__`, ...), libbpf by section; both say the same things.
"""

from __future__ import annotations

from skep.compiler import types as ct
from skep.compiler.tree import Function, Variable
from skep.compiler.types import PointerType, RecordType

# BCC's name prefix: (section prefix, rest of the name is: "name" one word, "path" parts joined by '/', "module" MODULE__name)
_PREFIXES = {
    "kprobe__": ("kprobe/", "name"), "kretprobe__": ("kretprobe/", "name"), "tracepoint__": ("tracepoint/", "path"),
    "raw_tracepoint__": ("raw_tracepoint/", "name"), "kfunc__": ("fentry/", "module"), "kretfunc__": ("fexit/", "module"),
    "kmod_ret__": ("fmod_ret/", "name"), "lsm__": ("lsm/", "name"), "bpf_iter__": ("iter/", "name"),
}  # fmt: skip
_CONTEXT_RECORDS = {
    "bpf_raw_tracepoint_args": "raw_tracepoint", "__sk_buff": "socket", "xdp_md": "xdp", "bpf_perf_event_data": "perf_event",
    "bpf_sock_ops": "sockops", "sk_msg_md": "sk_msg", "bpf_sysctl": "cgroup/sysctl", "bpf_sockopt": "cgroup/getsockopt",
    "bpf_sock_addr": "cgroup/connect4", "bpf_cgroup_dev_ctx": "cgroup/dev", "bpf_sk_lookup": "sk_lookup",
}  # fmt: skip
# section prefix -> context model, where it is not the prefix itself
_MODELS = {
    "raw_tp": "raw_tracepoint", "tp": "tracepoint", "uprobe": "kprobe", "uretprobe": "kretprobe", "kprobe.multi": "kprobe",
    "kretprobe.multi": "kretprobe", "ksyscall": "kprobe", "kretsyscall": "kretprobe", "usdt": "kprobe", "socket": "skb",
    "tc": "skb",
    "classifier": "skb", "action": "skb", "cgroup_skb": "skb", "lwt_in": "skb", "lwt_out": "skb", "lwt_xmit": "skb",
    "sk_skb": "skb", "tcx": "skb", "netkit": "skb",
}  # fmt: skip
STRUCT_OPS = (".struct_ops", ".struct_ops.link")  # sections of structs of functions that the kernel calls
KSYMS = ".ksyms"  # the section of functions that the kernel has
REGISTER_MODELS = frozenset({"kprobe", "kretprobe"})
SYSCALL_MODELS = frozenset({"syscall_enter", "syscall_exit"})
# contexts that hold a probed function's arguments, but no registers: a kprobe's function is compiled for them as well
ARGUMENT_MODELS = SYSCALL_MODELS | {"fentry", "fexit"}
# their contexts hold arguments whose types the verifier knows
BTF_MODELS = frozenset({"fentry", "fexit", "fmod_ret", "lsm", "lsm_cgroup", "tp_btf", "iter", "struct_ops", "freplace"})
# programs that may read user memory; others have only bpf_probe_read_kernel (bpf_base_func_proto)
TRACING_MODELS = REGISTER_MODELS | SYSCALL_MODELS | BTF_MODELS | {"tracepoint", "raw_tracepoint", "perf_event"}


def is_program(function: Function) -> bool:
    """A function that is loaded by itself: in a section, or visible outside with a context (or nothing) as its parameter."""
    if function.body is None:
        return False
    if function.section:
        return not function.section.startswith(".text")
    if function.linkage == "static" or function.inlining:
        return False
    return not function.params or isinstance(function.params[0].type, PointerType)


def section_of(function: Function) -> str:
    """The ELF section of a program."""
    if function.section:
        return function.section
    for prefix, (section, rest) in _PREFIXES.items():
        if function.name.startswith(prefix) and len(function.name) > len(prefix):
            name = function.name[len(prefix) :]
            if rest == "path":
                return section + name.replace("__", "/")
            return section + (_in_module(name) if rest == "module" else name)
    tag = context_tag(function)
    if tag.startswith("tracepoint__"):
        return "tracepoint/" + tag[12:].replace("__", "/", 1)
    return _CONTEXT_RECORDS.get(tag, "kprobe")


def _in_module(name: str) -> str:
    """`vmlinux__F` is the kernel's function F, `MODULE__F` is `MODULE:F`, as in libbpf; a bare name is the kernel's."""
    module, parted, function = name.partition("__")
    if not parted or not module:
        return name
    return function if module == "vmlinux" else f"{module}:{function}"


def context_tag(function: Function) -> str:
    """The struct tag of the first parameter, "" if it is no pointer to a struct."""
    if function.params:
        type = function.params[0].type
        if isinstance(type, PointerType) and isinstance(type.to, RecordType):
            return type.to.record.tag
    return ""


def has_context(function: Function) -> bool:
    """Is the first parameter a program's context, as the kernel tells from its name (btf_get_prog_ctx_type)?"""
    tag = context_tag(function)
    return tag == "pt_regs" or tag in _CONTEXT_RECORDS or tag.startswith("tracepoint__")


def context_model(section: str) -> str:
    """The shape of the context that a section's programs get."""
    prefix = section.lstrip("?").split("/", 1)[0].removesuffix(".s")
    return _MODELS.get(prefix, prefix)


def other_context(function: Function) -> str:
    """The struct that a program's section gives it, where the program declares another one; "" where that may be right."""
    tag = context_tag(function)
    model = context_model(section_of(function))
    given = next((t for t, section in _CONTEXT_RECORDS.items() if context_model(section) == model), "")
    # sections of cgroups have one of several
    return given if given and tag != given and tag in _CONTEXT_RECORDS and model != "cgroup" else ""


def is_syscall_function(function: Function) -> bool:
    """Do the parameters after the context stand for a system call's, behind the wrapper's pt_regs?

    Since Linux 4.17 x86-64's system call functions take one argument, the caller's registers (commit fa697140f9a2).
    """
    if arguments_from(function) == "syscall":
        return True
    return function.name.startswith(("syscall__", "kprobe____x64_sys_", "kprobe__sys_", "kprobe____arm64_sys_"))


def arguments_from(function: Function) -> str:
    """Where a macro's parameters come from: "context" (elements of it), "syscall", "result"; "" is registers."""
    return str(function.attributes.get("skep_arguments", ""))


def packet_of(function: Function) -> Variable | None:
    """The parameter that is the packet's socket buffer; a program's context may be declared as `void *`."""
    found = next((p for p in function.params if pointer_to(p.type, "__sk_buff")), None)
    if found is None and function.linkage != "static" and function.params:
        context = function.params[0].type
        if isinstance(context, PointerType) and isinstance(context.to, ct.VoidType):
            return function.params[0]
    return found


def pointer_to(type: ct.Type, tag: str) -> bool:
    return isinstance(type, PointerType) and isinstance(type.to, RecordType) and type.to.record.tag == tag
