"""The macros of libbpf's headers (bpf_helpers.h, bpf_tracing.h, bpf_core_read.h) in Skep's words.

Layouts are the running kernel's, so a CO-RE read is a plain chain of arrows: the dialect reads each as its origin asks.
"""

from __future__ import annotations

_MOST = 12


def _choice(values: list[str]) -> str:
    """A macro body: the value for 0, 1, 2, ... arguments; the last one for all that are more."""
    return ", ".join(values[min(i, len(values) - 1)] for i in range(_MOST, -1, -1))


def _chains() -> dict[str, str]:
    names = "abcdefghijkl"[:_MOST]
    found = {}
    for n in range(1, _MOST + 1):
        params = ", ".join(names[:n])
        found[f"___arrow{n}"] = f"({params}) {'->'.join(names[:n])}"
        if n % 2 == 0:  # a type, a name, a type, a name, ...
            pairs = ", ".join(f"{names[i]} {names[i + 1]}" for i in range(0, n, 2))
            found[f"___pairs{n}"] = f"(name, {params}) BPF_PROG(name, {pairs})"
        found[f"___u64_{n}"] = f"({params}) {', '.join(f'(unsigned long long)({name})' for name in names[:n])}"
    return found


ENUMERATORS = {"LIBBPF_PIN_NONE": 0, "LIBBPF_PIN_BY_NAME": 1}  # no macros: a text that has libbpf's enum declares them

_PROGRAM = '(name, args...) __attribute__((skep_arguments("{}"))) name({} *ctx, ##args)'
_CORE = "___apply(___arrow, a, ##__VA_ARGS__)(a, ##__VA_ARGS__)"
_USER = '((typeof(*(src)) __attribute__((btf_type_tag("user"))) *)(src))'

MACROS: dict[str, str] = {
    **_chains(),
    "___nth": f"({', '.join(f'_{i}' for i in range(_MOST + 1))}, N, ...) N",
    "___count": f"(...) ___nth(_, ##__VA_ARGS__, {_choice([str(i) for i in range(_MOST + 1)])})",
    "___cat": "(a, b) a##b", "___cat2": "(a, b) ___cat(a, b)", "___apply": "(fn, ...) ___cat2(fn, ___count(__VA_ARGS__))",
    # programs with typed parameters
    "BPF_PROG": _PROGRAM.format("context", "unsigned long long"),
    "BPF_KPROBE": "(name, args...) name(struct pt_regs *ctx, ##args)",
    "BPF_UPROBE": "(name, args...) BPF_KPROBE(name, ##args)",
    "BPF_KRETPROBE": _PROGRAM.format("result", "struct pt_regs"),
    "BPF_URETPROBE": "(name, args...) BPF_KRETPROBE(name, ##args)",
    "BPF_KSYSCALL": _PROGRAM.format("syscall", "struct pt_regs"),
    "BPF_KPROBE_SYSCALL": "(name, args...) BPF_KSYSCALL(name, ##args)",
    "BPF_PROG2": "(name, ...) ___apply(___pairs, ##__VA_ARGS__)(name, ##__VA_ARGS__)",
    # reads
    "BPF_CORE_READ": f"(src, a, ...) ((src)->{_CORE})",
    "BPF_PROBE_READ": f"(src, a, ...) ((src)->{_CORE})",
    "BPF_CORE_READ_USER": f"(src, a, ...) ({_USER}->{_CORE})",
    "BPF_PROBE_READ_USER": f"(src, a, ...) ({_USER}->{_CORE})",
    "BPF_CORE_READ_INTO": f"(dst, src, a, ...) bpf_probe_read_kernel(dst, sizeof(*(dst)), &(src)->{_CORE})",
    "BPF_PROBE_READ_INTO": f"(dst, src, a, ...) bpf_probe_read_kernel(dst, sizeof(*(dst)), &(src)->{_CORE})",
    "BPF_CORE_READ_USER_INTO": f"(dst, src, a, ...) bpf_probe_read_user(dst, sizeof(*(dst)), &{_USER}->{_CORE})",
    "BPF_PROBE_READ_USER_INTO": f"(dst, src, a, ...) bpf_probe_read_user(dst, sizeof(*(dst)), &{_USER}->{_CORE})",
    "BPF_CORE_READ_STR_INTO": f"(dst, src, a, ...) bpf_probe_read_kernel_str(dst, sizeof(*(dst)), &(src)->{_CORE})",
    "BPF_PROBE_READ_STR_INTO": f"(dst, src, a, ...) bpf_probe_read_kernel_str(dst, sizeof(*(dst)), &(src)->{_CORE})",
    "BPF_CORE_READ_USER_STR_INTO": f"(dst, src, a, ...) bpf_probe_read_user_str(dst, sizeof(*(dst)), &{_USER}->{_CORE})",
    "BPF_PROBE_READ_USER_STR_INTO": f"(dst, src, a, ...) bpf_probe_read_user_str(dst, sizeof(*(dst)), &{_USER}->{_CORE})",
    "BPF_CORE_READ_BITFIELD": "(src, field) ((src)->field)", "BPF_CORE_READ_BITFIELD_PROBED": "(src, field) ((src)->field)",
    "BPF_CORE_WRITE_BITFIELD": "(dst, field, new) ((dst)->field = (new))",
    "BPF_KPROBE_READ_RET_IP": "(ip, ctx) bpf_probe_read_kernel(&(ip), sizeof(ip), (void *)PT_REGS_RET(ctx))",
    "BPF_KRETPROBE_READ_RET_IP": "(ip, ctx) bpf_probe_read_kernel(&(ip), sizeof(ip), (void *)(PT_REGS_FP(ctx) + sizeof(ip)))",
    "bpf_core_read": "(dst, sz, src) bpf_probe_read_kernel(dst, sz, (const void *)(src))",
    "bpf_core_read_str": "(dst, sz, src) bpf_probe_read_kernel_str(dst, sz, (const void *)(src))",
    "bpf_core_read_user": "(dst, sz, src) bpf_probe_read_user(dst, sz, (const void *)(src))",
    "bpf_core_read_user_str": "(dst, sz, src) bpf_probe_read_user_str(dst, sz, (const void *)(src))",
    # questions about the kernel's types
    "___field1": "(kind, field) __builtin_preserve_field_info(field, kind)",
    "___field2": "(kind, type, field) __builtin_preserve_field_info(((typeof(type) *)0)->field, kind)",
    "bpf_core_field_offset": "(...) ___apply(___field, __VA_ARGS__)(0, __VA_ARGS__)",
    "bpf_core_field_size": "(...) ___apply(___field, __VA_ARGS__)(1, __VA_ARGS__)",
    "bpf_core_field_exists": "(...) ___apply(___field, __VA_ARGS__)(2, __VA_ARGS__)",
    "bpf_core_type_exists": "(type) __builtin_preserve_type_info(*(typeof(type) *)0, 0)",
    "bpf_core_type_size": "(type) __builtin_preserve_type_info(*(typeof(type) *)0, 1)",
    "bpf_core_type_matches": "(type) __builtin_preserve_type_info(*(typeof(type) *)0, 2)",
    "bpf_core_enum_value_exists": "(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 0)",
    "bpf_core_enum_value": "(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 1)",
    "bpf_core_type_id_kernel": "(type) __builtin_btf_type_id(*(typeof(type) *)0, 1)",
    "bpf_core_type_id_local": "(type) __builtin_btf_type_id(*(typeof(type) *)0, 0)",
    "bpf_core_cast": "(ptr, type) ((typeof(type) *)bpf_rdonly_cast((ptr), bpf_core_type_id_kernel(type)))",  # Linux 6.2
    # iterators that the verifier follows, whatever the number of rounds (Linux 6.4)
    "__ksym": ' __attribute__((section(".ksyms")))', "__kconfig": ' __attribute__((section(".kconfig")))',
    "bpf_ksym_exists": "(sym) (!!(sym))",
    "bpf_for": (
        "(i, start, end) for (struct bpf_iter_num ___it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),"
        " *___p __attribute__((unused)) = (bpf_iter_num_new(&___it, (start), (end)), (void *)0);"
        " ({ int *___t = bpf_iter_num_next(&___it); ___t ? ((i) = *___t, (i) >= (start) && (i) < (end)) : ((i) = 0, 0); });)"
    ),
    "bpf_for_each": (
        "(type, cur, args...) for (struct bpf_iter_##type ___it __attribute__((aligned(8), cleanup(bpf_iter_##type##_destroy))),"
        " *___p __attribute__((unused)) = (bpf_iter_##type##_new(&___it, ##args), (void *)0);"
        " (((cur) = bpf_iter_##type##_next(&___it))); )"
    ),
    "bpf_repeat": (
        "(n) for (struct bpf_iter_num ___it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),"
        " *___p __attribute__((unused)) = (bpf_iter_num_new(&___it, 0, (n)), (void *)0); bpf_iter_num_next(&___it);)"
    ),
    # words about functions, variables, members and parameters
    "__hidden": ' __attribute__((visibility("hidden")))', "__naked": " __attribute__((naked))",
    **{f"__{tag}": f' __attribute__((btf_type_tag("{tag}")))' for tag in ("kptr", "kptr_untrusted", "percpu_kptr")},
    **{
        f"__arg_{tag}": f' __attribute__((btf_decl_tag("arg:{tag}")))'
        for tag in ("ctx", "nonnull", "nullable", "trusted", "untrusted", "arena")
    },
    "barrier_var": '(var) asm volatile("" : "+r"(var))', "__bpf_unreachable": "() __builtin_trap()",
    "bpf_tail_call_static": "(ctx, map, slot) bpf_tail_call(ctx, map, slot)",
    # numbers in the order of the network
    **{
        f"bpf_{one}": f"(x) bpf_{other}(x)"
        for one, other in (
            ("cpu_to_be16", "htons"), ("be16_to_cpu", "ntohs"), ("cpu_to_be32", "htonl"), ("be32_to_cpu", "ntohl"),
        )
    },
    **{f"__bpf_constant_{name}": f"(x) bpf_{name}(x)" for name in ("htons", "ntohs", "htonl", "ntohl")},
    # printing: up to three values in registers, more in an array
    "bpf_printk": (
        "(fmt, ...) ___nth(_, ##__VA_ARGS__, " + _choice(["___printk"] * 4 + ["___vprintk"]) + ")(fmt, ##__VA_ARGS__)"
    ),
    "___printk": "(fmt, ...) ({ static const char _fmt[] = fmt; bpf_trace_printk(_fmt, sizeof(_fmt), ##__VA_ARGS__); })",
    "___vprintk": (
        "(fmt, ...) ({ static const char _fmt[] = fmt;"
        " unsigned long long _values[] = { ___apply(___u64_, __VA_ARGS__)(__VA_ARGS__) };"
        " bpf_trace_vprintk(_fmt, sizeof(_fmt), _values, sizeof(_values)); })"
    ),
    "___values": "(...) unsigned long long _values[] = { ___apply(___u64_, ##__VA_ARGS__)(__VA_ARGS__) };",
    "___u64_0": "()",
    "BPF_SEQ_PRINTF": (
        "(seq, fmt, ...) ({ static const char _fmt[] = fmt; ___values(__VA_ARGS__)"
        " bpf_seq_printf(seq, _fmt, sizeof(_fmt), _values, sizeof(_values)); })"
    ),
    "BPF_SNPRINTF": (
        "(out, size, fmt, ...) ({ static const char _fmt[] = fmt; ___values(__VA_ARGS__)"
        " bpf_snprintf(out, size, _fmt, _values, sizeof(_values)); })"
    ),
}  # fmt: skip
