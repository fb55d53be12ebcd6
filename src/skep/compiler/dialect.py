"""BCC's dialect as tables: map declarations, map methods, macros. A new map kind, method or macro is a row here.

Method bodies are C, checked like a user's text: MAP is the map, KEY and VALUE are its types, arguments have the names
given in `params`. The meaning of each is BCC's (docs/reference_guide.md of iovisor/bcc).
"""

from __future__ import annotations

from typing import Any

from skep.compiler import libbpf
from skep.object.kinds import MAP_TYPES as MAP_TYPES

# macro: (map kind, "" = the macro's own type string; parameters for the parser; fixed key; fixed value; flags)
# parameter kinds: name, type, expr, string; "?" marks an optional one
_KEYED = (("name", "name"), ("key", "type?"), ("leaf", "type?"), ("size", "expr?"))
_INDEXED = (("name", "name"), ("leaf", "type?"), ("size", "expr?"))
_SIZED = (("name", "name"), ("size", "expr"))
_NAMED = (("name", "name"),)
_STORAGE = (("name", "name"), ("leaf", "type"))
_TABLE = (("type", "string"), ("key", "type"), ("leaf", "type"), ("name", "name"), ("size", "expr"))
_QUEUESTACK = (("type", "string"), ("name", "name"), ("leaf", "type"), ("size", "expr"), ("flags", "expr?"))
NO_PREALLOC, STACK_BUILD_ID = 1, 1 << 5

MAP_MACROS: dict[str, tuple[str, tuple[tuple[str, str], ...], str, str, int]] = {
    "BPF_HASH": ("hash", _KEYED, "", "", 0),
    "BPF_PERCPU_HASH": ("percpu_hash", _KEYED, "", "", 0),
    "BPF_LRU_HASH": ("lru_hash", _KEYED, "", "", 0),
    "BPF_LRU_PERCPU_HASH": ("lru_percpu_hash", _KEYED, "", "", 0),
    "BPF_LPM_TRIE": ("lpm_trie", _KEYED, "", "", NO_PREALLOC),
    "BPF_ARRAY": ("array", _INDEXED, "int", "", 0),
    "BPF_PERCPU_ARRAY": ("percpu_array", _INDEXED, "int", "", 0),
    "BPF_HISTOGRAM": ("histogram", (("name", "name"), ("key", "type?"), ("size", "expr?")), "", "", 0),
    "BPF_PERF_OUTPUT": ("perf_event_array", _NAMED, "int", "u32", 0),
    "BPF_PERF_ARRAY": ("perf_event_array", _SIZED, "int", "u32", 0),
    "BPF_RINGBUF_OUTPUT": ("ringbuf", (("name", "name"), ("pages", "expr")), "-", "-", 0),
    "BPF_PROG_ARRAY": ("prog_array", _SIZED, "u32", "u32", 0),
    "BPF_CGROUP_ARRAY": ("cgroup_array", _SIZED, "int", "u32", 0),
    "BPF_STACK_TRACE": ("stack_trace", _SIZED, "int", "struct bpf_stacktrace", 0),
    "BPF_QUEUE": ("queue", (("name", "name"), ("leaf", "type"), ("size", "expr"), ("flags", "expr?")), "-", "", 0),
    "BPF_STACK": ("stack", (("name", "name"), ("leaf", "type"), ("size", "expr"), ("flags", "expr?")), "-", "", 0),
    "BPF_BLOOM_FILTER": ("bloom_filter", (("name", "name"), ("leaf", "type"), ("size", "expr")), "-", "", 0),
    "BPF_USER_RINGBUF": ("user_ringbuf", (("name", "name"), ("pages", "expr")), "-", "-", 0),
    "BPF_QUEUESTACK": ("", _QUEUESTACK, "-", "", 0),
    "BPF_QUEUESTACK_PUBLIC": ("", _QUEUESTACK, "-", "", 0),
    "BPF_QUEUESTACK_SHARED": ("", _QUEUESTACK, "-", "", 0),
    "BPF_QUEUESTACK_PINNED": ("", (*_QUEUESTACK[:4], ("flags", "expr"), ("path", "string")), "-", "", 0),
    "BPF_DEVMAP": ("devmap", _SIZED, "int", "int", 0),
    "BPF_DEVMAP_HASH": ("devmap_hash", _SIZED, "int", "int", 0),
    "BPF_CPUMAP": ("cpumap", _SIZED, "int", "u32", 0),
    "BPF_XSKMAP": ("xskmap", (*_SIZED, ("path", "string?")), "int", "int", 0),
    "BPF_STACK_TRACE_BUILDID": ("stack_trace", _SIZED, "int", "struct bpf_stacktrace_buildid", STACK_BUILD_ID),
    "BPF_SOCKMAP": ("sockmap", _SIZED, "u32", "int", 0),
    "BPF_SOCKHASH": ("sockhash", (("name", "name"), ("key", "type?"), ("size", "expr?")), "", "int", 0),
    "BPF_SK_STORAGE": ("sk_storage", _STORAGE, "int", "", NO_PREALLOC),
    "BPF_INODE_STORAGE": ("inode_storage", _STORAGE, "int", "", NO_PREALLOC),
    "BPF_TASK_STORAGE": ("task_storage", _STORAGE, "int", "", NO_PREALLOC),
    "BPF_CGRP_STORAGE": ("cgrp_storage", _STORAGE, "int", "", NO_PREALLOC),
    "BPF_CGROUP_STORAGE": ("cgroup_storage", _STORAGE, "struct bpf_cgroup_storage_key", "", 0),
    "BPF_PERCPU_CGROUP_STORAGE": ("percpu_cgroup_storage", _STORAGE, "struct bpf_cgroup_storage_key", "", 0),
    "BPF_ARRAY_OF_MAPS": ("array_of_maps", (("name", "name"), ("inner", "string"), ("size", "expr")), "int", "int", 0),
    "BPF_HASH_OF_MAPS": (
        "hash_of_maps",
        (("name", "name"), ("key", "type?"), ("inner", "string"), ("size", "expr?")),
        "",
        "int",
        0,
    ),
    "BPF_TABLE": ("", _TABLE, "", "", 0),
    "BPF_TABLE_PUBLIC": ("", _TABLE, "", "", 0),
    "BPF_TABLE_SHARED": ("", (*_TABLE, ("flags", "expr?")), "", "", 0),
    "BPF_F_TABLE": ("", (*_TABLE, ("flags", "expr")), "", "", 0),
    "BPF_TABLE_PINNED": ("", (*_TABLE, ("path", "string"), ("flags", "expr?")), "", "", 0),
}
# exported to the other BPF objects of the process; type string "extern" is such a map of another object, of a kind not known here
PUBLIC = {"BPF_TABLE_PUBLIC", "BPF_TABLE_SHARED", "BPF_QUEUESTACK_PUBLIC", "BPF_QUEUESTACK_SHARED"}
EXTERN = "extern"
DEFAULT_SIZE = {"histogram": 64}
DEFAULT_KEY = {"BPF_SOCKHASH": "u32", "BPF_HASH_OF_MAPS": "int"}
# structs that BCC's own header defines
RECORDS = {
    "bpf_stacktrace": "u64 ip[127];",
    "bpf_stacktrace_buildid": "struct bpf_stack_build_id trace[127];",
}
TABLE_TYPES = {
    "prog": "prog_array",
    "perf_output": "perf_event_array",
    "perf_array": "perf_event_array",
    "stacktrace": "stack_trace",
}

LOST_SECTION, LOST_PREFIX = ".data.lost", "__skep_lost_"  # for each ring buffer, how many records found no room (LOST)
KEYLESS = {"ringbuf", "user_ringbuf", "queue", "stack", "bloom_filter"}
VALUELESS = {"ringbuf", "user_ringbuf"}
# maps without a size: their entries are part of what they belong to
STORAGES = {"sk_storage", "inode_storage", "task_storage", "cgrp_storage", "cgroup_storage", "percpu_cgroup_storage"}
ARRAYS = {"array", "percpu_array"}

# method: (parameters, body). Parameter kinds: key* value* (pointers to the map's types), key (by value), ctx, data
# (pointer to a record), value (any), int. "name=text" gives a default.
METHODS: dict[str, tuple[tuple[tuple[str, str], ...], str]] = {
    "lookup": ((("key", "key*"),), "(VALUE *)bpf_map_lookup_elem(MAP, key)"),
    "lookup_or_try_init": (
        (("key", "key*"), ("leaf", "value*")),
        "({ VALUE *_leaf = bpf_map_lookup_elem(MAP, key);"
        " if (!_leaf) { bpf_map_update_elem(MAP, key, leaf, 1); _leaf = bpf_map_lookup_elem(MAP, key); } _leaf; })",
    ),
    "lookup_or_init": (
        (("key", "key*"), ("leaf", "value*")),
        "({ VALUE *_leaf = bpf_map_lookup_elem(MAP, key);"
        " if (!_leaf) { bpf_map_update_elem(MAP, key, leaf, 1); _leaf = bpf_map_lookup_elem(MAP, key);"
        " if (!_leaf) return 0; } _leaf; })",
    ),
    "update": ((("key", "key*"), ("leaf", "value*")), "(int)bpf_map_update_elem(MAP, key, leaf, 0)"),
    "insert": ((("key", "key*"), ("leaf", "value*")), "(int)bpf_map_update_elem(MAP, key, leaf, 1)"),
    "delete": ((("key", "key*"),), "(int)bpf_map_delete_elem(MAP, key)"),
    "increment": (
        (("key", "key"), ("by", "int=1")),
        "({ VALUE *_leaf = bpf_map_lookup_elem(MAP, &key); if (_leaf) *_leaf += by;"
        " else { VALUE _first = by; bpf_map_update_elem(MAP, &key, &_first, 1); } })",
    ),
    "atomic_increment": (
        (("key", "key"), ("by", "int=1")),
        "({ VALUE *_leaf = bpf_map_lookup_elem(MAP, &key); if (_leaf) __sync_fetch_and_add(_leaf, by);"
        " else { VALUE _first = by; if (bpf_map_update_elem(MAP, &key, &_first, 1)) {"
        " _leaf = bpf_map_lookup_elem(MAP, &key); if (_leaf) __sync_fetch_and_add(_leaf, by); } } })",
    ),
    "perf_submit": (
        (("ctx", "ctx"), ("data", "data"), ("size", "int")),
        "(int)bpf_perf_event_output(ctx, MAP, 0xffffffffULL, data, size)",
    ),
    "perf_submit_skb": (
        (("ctx", "ctx"), ("skb_len", "int"), ("data", "data"), ("size", "int")),
        "(int)bpf_perf_event_output(ctx, MAP, (unsigned long long)skb_len << 32 | 0xffffffffULL, data, size)",
    ),
    "perf_read": ((("cpu", "int"),), "bpf_perf_event_read(MAP, cpu)"),
    "perf_counter_value": (
        (("cpu", "int"), ("data", "value"), ("size", "int")),
        "(int)bpf_perf_event_read_value(MAP, cpu, data, size)",
    ),
    "ringbuf_output": (
        (("data", "data"), ("size", "int"), ("flags", "int=0")),
        "({ int _error = bpf_ringbuf_output(MAP, data, size, flags); if (_error) __sync_fetch_and_add(&LOST, 1); _error; })",
    ),
    "ringbuf_reserve": (
        (("size", "int"),),
        "({ void *_record = bpf_ringbuf_reserve(MAP, size, 0); if (!_record) __sync_fetch_and_add(&LOST, 1); _record; })",
    ),
    "ringbuf_submit": ((("data", "data"), ("flags", "int=0")), "bpf_ringbuf_submit(data, flags)"),
    "ringbuf_discard": ((("data", "data"), ("flags", "int=0")), "bpf_ringbuf_discard(data, flags)"),
    "ringbuf_query": ((("flags", "int"),), "bpf_ringbuf_query(MAP, flags)"),
    "call": ((("ctx", "ctx"), ("index", "int")), "(void)bpf_tail_call(ctx, MAP, index)"),
    "get_stackid": ((("ctx", "ctx"), ("flags", "int")), "(int)bpf_get_stackid(ctx, MAP, flags)"),
    "check_current_task": ((("index", "int"),), "(int)bpf_current_task_under_cgroup(MAP, index)"),
    "redirect_map": ((("index", "int"), ("flags", "int=0")), "(int)bpf_redirect_map(MAP, index, flags)"),
    "sock_map_update": (
        (("ctx", "ctx"), ("key", "key*"), ("flags", "int")),
        "(int)bpf_sock_map_update(ctx, MAP, (void *)key, flags)",
    ),
    "sk_redirect_map": ((("skb", "ctx"), ("key", "int"), ("flags", "int")), "(int)bpf_sk_redirect_map(skb, MAP, key, flags)"),
    "msg_redirect_map": ((("msg", "ctx"), ("key", "int"), ("flags", "int")), "(int)bpf_msg_redirect_map(msg, MAP, key, flags)"),
    "sock_hash_update": (
        (("ctx", "ctx"), ("key", "key*"), ("flags", "int")),
        "(int)bpf_sock_hash_update(ctx, MAP, (void *)key, flags)",
    ),
    "sk_redirect_hash": (
        (("skb", "ctx"), ("key", "key*"), ("flags", "int")),
        "(int)bpf_sk_redirect_hash(skb, MAP, (void *)key, flags)",
    ),
    "msg_redirect_hash": (
        (("msg", "ctx"), ("key", "key*"), ("flags", "int")),
        "(int)bpf_msg_redirect_hash(msg, MAP, (void *)key, flags)",
    ),
    "sk_storage_get": (
        (("sk", "value"), ("leaf", "value*"), ("flags", "int")),
        "(VALUE *)bpf_sk_storage_get(MAP, sk, (void *)leaf, flags)",
    ),
    "sk_storage_delete": ((("sk", "value"),), "(int)bpf_sk_storage_delete(MAP, sk)"),
    "inode_storage_get": (
        (("inode", "value"), ("leaf", "value*"), ("flags", "int")),
        "(VALUE *)bpf_inode_storage_get(MAP, inode, (void *)leaf, flags)",
    ),
    "inode_storage_delete": ((("inode", "value"),), "(int)bpf_inode_storage_delete(MAP, inode)"),
    "task_storage_get": (
        (("task", "value"), ("leaf", "value*"), ("flags", "int")),
        "(VALUE *)bpf_task_storage_get(MAP, task, (void *)leaf, flags)",
    ),
    "task_storage_delete": ((("task", "value"),), "(int)bpf_task_storage_delete(MAP, task)"),
    "cgrp_storage_get": (
        (("cgroup", "value"), ("leaf", "value*"), ("flags", "int")),
        "(VALUE *)bpf_cgrp_storage_get(MAP, cgroup, (void *)leaf, flags)",
    ),
    "cgrp_storage_delete": ((("cgroup", "value"),), "(int)bpf_cgrp_storage_delete(MAP, cgroup)"),
    "lookup_percpu": ((("key", "key*"), ("cpu", "int")), "(VALUE *)bpf_map_lookup_percpu_elem(MAP, key, cpu)"),
    "get_local_storage": ((("flags", "int"),), "(VALUE *)bpf_get_local_storage(MAP, flags)"),
    "push": ((("leaf", "value*"), ("flags", "int=0")), "(int)bpf_map_push_elem(MAP, leaf, flags)"),
    "pop": ((("leaf", "value*"),), "(int)bpf_map_pop_elem(MAP, (void *)leaf)"),
    "peek": ((("leaf", "value*"),), "(int)bpf_map_peek_elem(MAP, (void *)leaf)"),
}
# on an array every index exists, so nothing is inserted
ARRAY_METHODS: dict[str, str] = {
    "increment": "({ VALUE *_leaf = bpf_map_lookup_elem(MAP, &key); if (_leaf) *_leaf += by; })",
    "atomic_increment": "({ VALUE *_leaf = bpf_map_lookup_elem(MAP, &key); if (_leaf) __sync_fetch_and_add(_leaf, by); })",
}
# which map kinds a method is for; methods not named here are for every map with keys
METHOD_KINDS: dict[str, tuple[str, ...]] = {
    "perf_submit": ("perf_event_array",), "perf_submit_skb": ("perf_event_array",), "perf_read": ("perf_event_array",),
    "perf_counter_value": ("perf_event_array",), "ringbuf_output": ("ringbuf",), "ringbuf_reserve": ("ringbuf",),
    "ringbuf_submit": ("ringbuf",), "ringbuf_discard": ("ringbuf",), "ringbuf_query": ("ringbuf",), "call": ("prog_array",),
    "get_stackid": ("stack_trace",), "check_current_task": ("cgroup_array",),
    "redirect_map": ("devmap", "devmap_hash", "cpumap", "xskmap"),
    "sock_map_update": ("sockmap",), "sk_redirect_map": ("sockmap",), "msg_redirect_map": ("sockmap",),
    "sock_hash_update": ("sockhash",), "sk_redirect_hash": ("sockhash",), "msg_redirect_hash": ("sockhash",),
    "sk_storage_get": ("sk_storage",), "sk_storage_delete": ("sk_storage",), "inode_storage_get": ("inode_storage",),
    "inode_storage_delete": ("inode_storage",), "task_storage_get": ("task_storage",), "task_storage_delete": ("task_storage",),
    "get_local_storage": ("cgroup_storage", "percpu_cgroup_storage"),
    "cgrp_storage_get": ("cgrp_storage",), "cgrp_storage_delete": ("cgrp_storage",),
    "lookup_percpu": ("percpu_hash", "percpu_array", "lru_percpu_hash"),
    "push": ("queue", "stack", "bloom_filter"), "pop": ("queue", "stack"), "peek": ("queue", "stack", "bloom_filter"),
}  # fmt: skip

# functions of BCC's that are no helpers: (parameters, body); SKB is the packet of the function at hand, FUNCTION its name
_SWAPPED = "sizeof({0}) == 2 ? __builtin_bswap16({0}) : sizeof({0}) == 4 ? __builtin_bswap32({0}) : {0}".format
_STORE = "({{ {0} _value = {1}; bpf_skb_store_bytes(skb, (unsigned long)off, &_value, sizeof(_value), 0); }})".format
_WIDE_LOAD = "(__builtin_bpf_load_word(skb, {0}) << 32 | __builtin_bpf_load_word(skb, {0} + 4))".format
# the bytes around a field of `bsz` bits, `bofs` bits into the byte at `off`; the field in their lowest bits
_FIELD = (
    "unsigned long _at = (unsigned long)off; unsigned int _bits = bofs + bsz, _size = _bits <= 8 ? 8 : _bits <= 16 ? 16 :"
    " _bits <= 32 ? 32 : 64, _low = _size - _bits; unsigned long long _mask = bsz < 64 ? (1ULL << bsz) - 1 : ~0ULL;"
    " unsigned long long _word = _size == 8 ? __builtin_bpf_load_byte(pkt, _at) : _size == 16 ? __builtin_bpf_load_half(pkt, _at)"
    " : _size == 32 ? __builtin_bpf_load_word(pkt, _at) : "
    + _WIDE_LOAD("_at").replace("skb", "pkt") + ";"
)  # fmt: skip
FUNCTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "load_byte": (("skb", "off"), "__builtin_bpf_load_byte(skb, (unsigned long)off)"),
    "load_half": (("skb", "off"), "__builtin_bpf_load_half(skb, (unsigned long)off)"),
    "load_word": (("skb", "off"), "__builtin_bpf_load_word(skb, (unsigned long)off)"),
    "load_dword": (("skb", "off"), _WIDE_LOAD("(unsigned long)off")),
    "bpf_store_byte": (("skb", "off", "val"), _STORE("unsigned char", "val")),
    "bpf_store_half": (("skb", "off", "val"), _STORE("unsigned short", "__builtin_bswap16(val)")),
    "bpf_store_word": (("skb", "off", "val"), _STORE("unsigned int", "__builtin_bswap32(val)")),
    "bpf_store_dword": (("skb", "off", "val"), _STORE("unsigned long long", "__builtin_bswap64(val)")),
    "bpf_dext_pkt": (("pkt", "off", "bofs", "bsz"), "({ " + _FIELD + " _word >> _low & _mask; })"),
    "bpf_dins_pkt": (
        ("pkt", "off", "bofs", "bsz", "val"),
        "({ " + _FIELD + " _word = _word & ~(_mask << _low) | ((unsigned long long)val & _mask) << _low;"
        " _word = __builtin_bswap64(_word << 64 - _size); bpf_skb_store_bytes(pkt, _at, &_word, _size / 8, 0); })",
    ),
    "incr_cksum_l3": (
        ("off", "oldval", "newval"),
        f"(int)bpf_l3_csum_replace(SKB, (unsigned long)off, {_SWAPPED('oldval').replace('sizeof(oldval)', 'sizeof(newval)')},"
        f" {_SWAPPED('newval')}, sizeof(newval))",
    ),
    "incr_cksum_l4": (
        ("off", "oldval", "newval", "pseudo"),
        f"(int)bpf_l4_csum_replace(SKB, (unsigned long)off, {_SWAPPED('oldval').replace('sizeof(oldval)', 'sizeof(newval)')},"
        f" {_SWAPPED('newval')}, (pseudo & 1) << 4 | sizeof(newval))",
    ),
}
# reading an argument of a USDT probe: the function _bpf_readarg_FUNCTION_N stands in the text that the USDT class prepends
USDT_READS: dict[str, tuple[tuple[str, ...], str]] = {
    "bpf_usdt_readarg": (("ctx", "target"), "READ(ctx, target, sizeof(*target))"),
    "bpf_usdt_readarg_p": (
        ("ctx", "buffer", "size"),
        "({ unsigned long long _address = 0; READ(ctx, &_address, sizeof(_address));"
        " bpf_probe_read_user(buffer, size, (void *)_address); })",
    ),
}

# registers by machine: PT_REGS_PARM1.., the system call's arguments, result, instruction and stack pointers
REGISTERS: dict[str, dict[str, Any]] = {
    "x86_64": {
        "PARM": ("di", "si", "dx", "cx", "r8", "r9"), "SYSCALL": ("di", "si", "dx", "r10", "r8", "r9"),
        "RC": "ax", "IP": "ip", "SP": "sp", "FP": "bp", "RET": "sp",
    },
    "aarch64": {
        "PARM": tuple(f"regs[{i}]" for i in range(6)), "SYSCALL": tuple(f"regs[{i}]" for i in range(6)),
        "RC": "regs[0]", "IP": "pc", "SP": "sp", "FP": "regs[29]", "RET": "regs[30]",
    },
}  # fmt: skip
# struct pt_regs where there is no BTF: arch/*/include/asm/ptrace.h, stable since it is what uprobes and perf hand out
PT_REGS = {
    "x86_64": ("r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss").split(),
    "aarch64": ["regs[31]", "sp", "pc", "pstate"],
}


def version_macros(release: str) -> dict[str, str]:
    """LINUX_VERSION_CODE of a release such as "6.12.111+deb12-cloud-amd64", with the sublevel cut at 255 as the kernel's is."""
    numbers = []
    for part in release.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        numbers.append(int(digits or 0))
    major, minor, sublevel = ([*numbers, 0, 0, 0])[:3]
    return {
        "KERNEL_VERSION": "(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))",
        "LINUX_VERSION_CODE": f" {(major << 16) + (minor << 8) + min(sublevel, 255)}",
    }


def register_macros(machine: str) -> dict[str, str]:
    """PT_REGS_PARM1(ctx) and its kin for a machine, as bodies of macros."""
    registers = REGISTERS[machine]
    read = "(x) (((struct pt_regs *)(x))->{})".format
    found = {f"PT_REGS_PARM{i + 1}": read(name) for i, name in enumerate(registers["PARM"])}
    found |= {f"PT_REGS_PARM{i + 1}_SYSCALL": read(name) for i, name in enumerate(registers["SYSCALL"])}
    found |= {f"PT_REGS_{name}": read(registers[name]) for name in ("RC", "IP", "SP", "FP", "RET")}
    found |= {f"{name}_CORE": body for name, body in found.items() if not name.endswith("_SYSCALL")}
    found |= {f"{name.removesuffix('SYSCALL')}CORE_SYSCALL": found[name] for name in list(found) if name.endswith("_SYSCALL")}
    found["PT_REGS_SYSCALL_REGS"] = f"(x) ((struct pt_regs *)(((struct pt_regs *)(x))->{registers['PARM'][0]}))"
    found["PT_REGS_SYSCALL_CTX"] = f"(x) ((struct pt_regs *)(((struct pt_regs *)(x))->{registers['PARM'][0]}))"
    return found


_LOG2 = (
    "({{ {type} __v = (v); unsigned int __r, __s; {head} __s = (__v > 0xFF) << 3; __v >>= __s; __r |= __s; __s = "
    "(__v > 0xF) << 2;"
    " __v >>= __s; __r |= __s; __s = (__v > 0x3) << 1; __v >>= __s; __r |= __s; __r |= (__v >> 1); {tail} }})"
)
_LOG2_32 = _LOG2.format(type="unsigned int", head="__r = (__v > 0xFFFF) << 4; __v >>= __r;", tail="__r;")
_LOG2_64 = _LOG2.format(
    type="unsigned long long",
    head="__r = (__v > 0xFFFFFFFFULL) << 5; __v >>= __r; __s = (__v > 0xFFFF) << 4; __v >>= __s; __r |= __s;",
    tail="__r + 1;",
)
# text after the name in a #define; each is lexed when a program first uses it
MACROS: dict[str, str] = {
    "__bpf__": " 1", "__BPF__": " 1", "__BPF_CPU_VERSION__": " 3", "__BPF_FEATURE_ALU32": " 1", "__BPF_FEATURE_JMP32": " 1",
    "__BPF_FEATURE_JMP_EXT": " 1", "__WINT_TYPE__": " int", "__WINT_MAX__": " 2147483647", "__BIGGEST_ALIGNMENT__": " 8",
    "__KERNEL__": " 1", "__BPF_TRACING__": " 1", "KBUILD_MODNAME": ' "bcc"',
    "CC_USING_FENTRY": " 1", "CONFIG_CC_IS_CLANG": " 1", "__TARGET_ARCH_x86": " 1",
    "NULL": " ((void *)0)", "true": " 1", "false": " 0", "offsetof": "(t, m) __builtin_offsetof(t, m)",
    "container_of": "(p, t, m) ((t *)((char *)(p) - __builtin_offsetof(t, m)))",
    "likely": "(x) __builtin_expect(!!(x), 1)", "unlikely": "(x) __builtin_expect(!!(x), 0)",
    "__user": ' __attribute__((btf_type_tag("user")))', "__kernel": "", "__percpu": "", "__rcu": "", "__force": "", "__iomem": "",
    "__maybe_unused": " __attribute__((unused))", "__packed": " __attribute__((packed))", "__weak": " __attribute__((weak))",
    "__aligned": "(n) __attribute__((aligned(n)))", "SEC": "(n) __attribute__((section(n), used))",
    "__uint": "(name, val) int (*name)[val]", "__type": "(name, val) typeof(val) *name",
    "__ulong": "(name, val) enum { ___cat2(__unique_value_, __COUNTER__) = (val) } name",
    "__array": "(name, val) typeof(val) *name[]",
    "barrier": '() asm volatile("" ::: "memory")', "READ_ONCE": "(x) (*(const volatile typeof(x) *)&(x))",
    "WRITE_ONCE": "(x, v) (*(volatile typeof(x) *)&(x) = (v))",
    "min": "(a, b) ({ typeof(a) __min_a = (a); typeof(b) __min_b = (b); __min_a < __min_b ? __min_a : __min_b; })",
    "max": "(a, b) ({ typeof(a) __max_a = (a); typeof(b) __max_b = (b); __max_a > __max_b ? __max_a : __max_b; })",
    "min_t": "(t, a, b) ({ t __min_a = (a); t __min_b = (b); __min_a < __min_b ? __min_a : __min_b; })",
    "max_t": "(t, a, b) ({ t __max_a = (a); t __max_b = (b); __max_a > __max_b ? __max_a : __max_b; })",
    "ARRAY_SIZE": "(a) (sizeof(a) / sizeof((a)[0]))",
    "memcpy": "(d, s, n) __builtin_memcpy(d, s, n)", "memset": "(d, c, n) __builtin_memset(d, c, n)",
    "memmove": "(d, s, n) __builtin_memmove(d, s, n)",
    "bpf_htons": "(x) ((__be16)__builtin_bswap16(x))", "bpf_ntohs": "(x) ((__u16)__builtin_bswap16(x))",
    "bpf_htonl": "(x) ((__be32)__builtin_bswap32(x))", "bpf_ntohl": "(x) ((__u32)__builtin_bswap32(x))",
    "bpf_htonll": "(x) ((__be64)__builtin_bswap64(x))", "bpf_ntohll": "(x) ((__u64)__builtin_bswap64(x))",
    "bpf_hton128": "(x) ___swap128(x)", "bpf_ntoh128": "(x) ___swap128(x)",
    "___swap128": "(x) ({ unsigned __int128 __v = (x); (unsigned __int128)__builtin_bswap64(__v) << 64"
    " | __builtin_bswap64(__v >> 64); })",
    # include/linux/kconfig.h: an option that is not there is a name, which is no 1
    "IS_BUILTIN": "(option) ___is_one(option)", "IS_MODULE": "(option) ___is_one(option##_MODULE)",
    "IS_ENABLED": "(option) (IS_BUILTIN(option) || IS_MODULE(option))", "IS_REACHABLE": "(option) IS_ENABLED(option)",
    "___is_one": "(value) ___is_one_(value)", "___is_one_": "(value) ___second_(___one_##value 1, 0)", "___one_1": " 0,",
    "___second_": "(...) ___second(__VA_ARGS__)", "___second": "(a, b, ...) b",
    "MASK": "(n) ((n) < 64 ? (1ULL << (n)) - 1 : ~0ULL)",
    "MASK128": "(n) ((n) < 128 ? ((unsigned __int128)1 << (n)) - 1 : ~(unsigned __int128)0)",
    "BPF_PACKET_HEADER": ' __attribute__((packed)) __attribute__((deprecated("packet")))',
    "cursor_advance": "(cursor, length) ({ void *__at = (cursor); (cursor) += (length); __at; })",
    "bpf_cpu_to_be64": "(x) ((__be64)__builtin_bswap64(x))", "bpf_be64_to_cpu": "(x) ((__u64)__builtin_bswap64(x))",
    "htons": "(x) bpf_htons(x)", "ntohs": "(x) bpf_ntohs(x)", "htonl": "(x) bpf_htonl(x)", "ntohl": "(x) bpf_ntohl(x)",
    "lock_xadd": "(p, v) ((void)__sync_fetch_and_add(p, v))",
    "bpf_log2": "(v) " + _LOG2_32, "bpf_log2l": "(v) " + _LOG2_64, "CUR_CPU_IDENTIFIER": " 0xffffffffULL",
    "TRACEPOINT_PROBE": "(category, event) int tracepoint__##category##__##event(struct tracepoint__##category##__##event *args)",
    "RAW_TRACEPOINT_PROBE": "(event) int raw_tracepoint__##event(struct bpf_raw_tracepoint_args *ctx)",
    # functions of the kernel's with typed arguments
    "KFUNC_PROBE": "(event, args...) int BPF_PROG(kfunc__vmlinux__##event, ##args)",
    "KRETFUNC_PROBE": "(event, args...) int BPF_PROG(kretfunc__vmlinux__##event, ##args)",
    "MODULE_KFUNC_PROBE": "(module, event, args...) int BPF_PROG(kfunc__##module##__##event, ##args)",
    "MODULE_KRETFUNC_PROBE": "(module, event, args...) int BPF_PROG(kretfunc__##module##__##event, ##args)",
    "KMOD_RET": "(event, args...) int BPF_PROG(kmod_ret__##event, ##args)",
    "LSM_PROBE": "(event, args...) int BPF_PROG(lsm__##event, ##args)",
    "BPF_ITER": "(target) int bpf_iter__##target(struct bpf_iter__##target *ctx)",
    # a dynamic array of a tracepoint's record: its field holds the length (high half) and the place in the record
    "TP_DATA_LOC_READ_CONST": "(dst, field, length) ((void)bpf_probe_read_kernel((void *)(dst), length,"
    " (char *)args + (args->data_loc_##field & 0xffff)))",
    "TP_DATA_LOC_READ": "(dst, field) TP_DATA_LOC_READ_CONST(dst, field, (unsigned int)args->data_loc_##field >> 16)",
    "TP_DATA_LOC_READ_STR": "(dst, field, length) ((void)bpf_probe_read_kernel_str((void *)(dst), length,"
    " (char *)args + (args->data_loc_##field & 0xffff)))",
    "PAGE_SIZE": " 4096UL", "PAGE_SHIFT": " 12", "PAGE_MASK": " (~(PAGE_SIZE - 1))", "U64_MAX": " (~0ULL)",
    # where x86-64's kernel addresses begin, without KASLR (arch/x86/include/asm/page_64_types.h)
    "__PAGE_OFFSET_BASE_L4": " 0xffff888000000000UL", "__PAGE_OFFSET_BASE_L5": " 0xff11000000000000UL",
    "__START_KERNEL_map": " 0xffffffff80000000UL", "PAGE_OFFSET": " __PAGE_OFFSET_BASE_L4",
    **libbpf.MACROS,
}  # fmt: skip
