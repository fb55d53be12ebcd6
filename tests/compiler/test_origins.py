"""Where pointers come from decides how they are read (DESIGN.md, D3): each row runs in the kernel and reads the right value."""

# ruff: noqa: E501 - the C texts of its tables are on one line each

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Any

import pytest

from skep.compiler import compile_source
from skep.errors import CompileError, VerifierError
from skep.object import read_object

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = "BPF_ARRAY(out, u64, 16);\nstatic void put(int i, u64 v) { out.update(&i, &v); }\n"
TASK = "struct task_struct *t = (struct task_struct *)bpf_get_current_task();"
ANY, USER, KERNEL = 4, 112, 113  # bpf_probe_read, _user, _kernel
PROBES = {ANY, USER, KERNEL}


def comm(pid: int | str = "self") -> int:
    """The first 8 bytes of a process's name as a number."""
    with open(f"/proc/{pid}/comm", "rb") as file:
        return int.from_bytes(file.read().rstrip(b"\n")[:8].ljust(8, b"\0"), "little")


# name: (declarations before f, body, values in out, helper reads that the body becomes)
ROWS: dict[str, tuple[str, str, Callable[[], list[int]], list[int]]] = {
    "local": ("", "u64 v = 7, *p = &v; *p += 1; put(0, *p);", lambda: [8], []),
    "local array": ("", "u32 a[4] = {1, 2, 3, 4}; u32 *p = a + 1; put(0, p[2] + *p);", lambda: [6], []),
    "struct on the stack": (
        "struct s { int a; struct { u64 b[2]; } in; };",
        "struct s s = {1, {{2, 3}}}; struct s *p = &s, **q = &p; put(0, (*q)->in.b[1] + p->a);",
        lambda: [4],
        [],
    ),
    "ternary of locals": ("", "u64 a = 1, b = 2; u64 *p = bpf_get_smp_processor_id() > 999 ? &a : &b; put(0, *p);", lambda: [2], []),
    "ternary of a local and null": (
        "",
        "u64 a = 5; u64 *p = bpf_get_smp_processor_id() < 999 ? &a : NULL; if (p) put(0, *p);",
        lambda: [5],
        [],
    ),
    "map value": ("", "int k = 3; u64 *p = out.lookup(&k); if (p) { *p = 9; put(0, p[0] + 1); }", lambda: [10, 0, 0, 9], []),
    "map value or a local": (
        "",
        "int k = 3; u64 l = 4, *p = out.lookup(&k); if (!p) p = &l; *p += 2; put(0, *p);",
        lambda: [2, 0, 0, 2],
        [],
    ),
    "current task": ("", TASK + " put(0, t->tgid);", lambda: [os.getpid()], [KERNEL]),
    "chain of arrows": (
        "",
        TASK + " put(0, t->real_parent->tgid); put(1, t->mm->exe_file->f_inode->i_ino);",
        lambda: [os.getppid(), os.stat("/proc/self/exe").st_ino],
        [KERNEL] * 6,
    ),
    "arrows, then dots": (
        "",
        TASK + " put(0, t->nsproxy->uts_ns->ns.inum); put(1, t->thread_info.cpu < 4096);",
        lambda: [os.stat("/proc/self/ns/uts").st_ino, 1],
        [KERNEL] * 4,
    ),
    "parentheses, stars and brackets": (
        "",
        TASK + " struct task_struct **tt = &t; put(0, (*tt)->tgid); put(1, (*t).tgid); put(2, t[0].tgid); put(3, (&*t)->tgid);"
        " put(4, (*tt)[0].real_parent[0].tgid);",
        lambda: [os.getpid()] * 4 + [os.getppid()],
        [KERNEL] * 6,
    ),
    "macro": (
        "#define PARENT(t) ((t)->real_parent)\n#define TGID(x) x->tgid\n",
        TASK + " put(0, TGID(PARENT(t)));",
        lambda: [os.getppid()],
        [KERNEL, KERNEL],
    ),
    "array in a kernel struct": (
        "",
        TASK + " u64 v = 0; for (int i = 0; i < 8; i++) v |= (u64)(u8)t->comm[i] << 8 * i; put(0, v); put(1, t->comm[1]);",
        lambda: [comm(), comm() >> 8 & 0xFF],
        [KERNEL] * 9,
    ),
    "array copied by a helper": (
        "",
        TASK + " u64 v[2] = {}; bpf_probe_read_kernel(v, sizeof(t->comm), t->comm); put(0, v[0]);",
        lambda: [comm()],
        [KERNEL],
    ),
    "array copied by memcpy": ("", TASK + " char c[8]; __builtin_memcpy(c, t->comm, 8); put(0, *(u64 *)c);", lambda: [comm()], [KERNEL]),
    "whole struct copied": (
        "",
        TASK + " struct list_head l = t->tasks; put(0, l.next == t->tasks.next); struct thread_info i; i = t->thread_info;"
        " put(1, i.cpu < 4096);",
        lambda: [1, 1],
        [KERNEL] * 3,
    ),
    "string": ("", TASK + " char c[16] = {}; bpf_probe_read_kernel_str(c, 16, &t->comm); put(0, *(u64 *)c);", lambda: [comm()], []),
    "union in a kernel struct": (
        "",
        TASK + " put(0, t->thread_pid->numbers[0].nr); put(1, t->exit_code == 0 && t->se.run_node.__rb_parent_color != 3);",
        lambda: [_nspid(), 1],
        [KERNEL] * 4,
    ),
    "pointer in a local struct": (
        "struct s { struct task_struct *t; int n; };",
        TASK + " struct s s = {t, 1}, *p = &s; put(0, s.t->tgid); put(1, p->t->real_parent->tgid + p->n);",
        lambda: [os.getpid(), os.getppid() + 1],
        [KERNEL] * 3,
    ),
    "kernel pointer and map value in a local struct": (
        "struct s { u32 n; struct task_struct *t; u64 *v; };",
        TASK + " int k = 3; u64 *m = out.lookup(&k); if (!m) return 9; struct s s = {1, t, m}; *s.v += 5; put(0, s.t->tgid + s.n); put(1, *s.v);",
        lambda: [os.getpid() + 1, 5, 0, 5],
        [KERNEL],
    ),
    "copies of a struct with both": (
        "struct s { u32 n; struct task_struct *t; u64 *v; };",
        TASK + " int k = 3; u64 *m = out.lookup(&k); if (!m) return 9; struct s s = {1, t, m}; struct s c = s, d; d = c; d.n += 2; *d.v += 5; ++*c.v; put(0, d.t->tgid + d.n); put(1, *d.v);",
        lambda: [os.getpid() + 3, 6, 0, 6],
        [KERNEL],
    ),
    "array of structs with both": (
        "struct s { u32 n; struct task_struct *t; u64 *v; };",
        TASK + " int k = 3; u64 *m = out.lookup(&k); if (!m) return 9; struct s s = {1, t, m}; struct s a[2] = {s, {2, t, m}}; *a[1].v += 5; u32 i = bpf_get_smp_processor_id() > 999;"
        " ++*a[i].v; put(0, a[1].t->tgid + a[i].n); put(1, *a[0].v);",
        lambda: [os.getpid() + 1, 6, 0, 6],
        [KERNEL],
    ),
    "pointer to a struct with both": (
        "struct s { u32 n; struct task_struct *t; u64 *v; };"
        " static __noinline int both(struct s *p) { *p->v += p->n; return p->t->tgid; }",
        TASK + " int k = 3; u64 *m = out.lookup(&k); if (!m) return 9; struct s s = {1, t, m}; struct s *p = &s; *p->v += 5; put(0, both(p)); put(1, *p->v + p->t->real_parent->tgid);",
        lambda: [os.getpid(), 6 + os.getppid(), 0, 6],
        [KERNEL] * 3,
    ),
    "struct with both, inside another": (
        "struct s { u32 n; struct task_struct *t; u64 *v; };" " struct o { u64 first; struct s in; struct s *to; };",
        TASK + " int k = 3; u64 *m = out.lookup(&k); if (!m) return 9; struct s s = {1, t, m}; struct o o = {1, s, &s}, *p = &o; *o.in.v += 5; ++*p->in.v; ++*p->to->v; put(0, p->in.t->tgid);"
        " put(1, o.to->t->tgid + *p->to->v);",
        lambda: [os.getpid(), os.getpid() + 7, 0, 7],
        [KERNEL, KERNEL],
    ),
    "context of a callback with both": (
        "struct s { u32 n; struct task_struct *t; u64 *v; };" " static int each(u32 i, void *c) { struct s *p = c; *p->v += i + p->n; put(0, p->t->tgid); return 0; }",
        TASK + " int k = 3; u64 *m = out.lookup(&k); if (!m) return 9; struct s s = {1, t, m}; bpf_loop(4, each, &s, 0); put(1, *m);",
        lambda: [os.getpid(), 10, 0, 10],
        [KERNEL],
    ),
    "union beside a map value": (
        "struct s { union { struct task_struct *t; u64 number; }; u64 *v; };",
        TASK + " int k = 3; u64 *m = out.lookup(&k); if (!m) return 9; struct s s = {.number = (u64)t, .v = m}; *s.v = 5;"
        " put(0, s.t->tgid);",
        lambda: [os.getpid(), 0, 0, 5],
        [KERNEL],
    ),
    "part of a struct by a cast": (
        "struct s { u32 n; struct task_struct *t; u64 *v; };",
        TASK + " int k = 3; u64 *m = out.lookup(&k); if (!m) return 9; struct s s = {1, t, m}; u64 *w = (u64 *)&s; struct task_struct *x = (struct task_struct *)((u64 *)&s)[1];"
        " put(0, x->tgid); put(1, ((struct s *)w)->n);",
        lambda: [os.getpid(), 1],
        [KERNEL],
    ),
    "pointers in a local array": (
        "",
        TASK + " struct task_struct *a[2] = {t, t->real_parent}; put(0, a[0]->tgid); put(1, a[1]->tgid);",
        lambda: [os.getpid(), os.getppid()],
        [KERNEL] * 3,
    ),
    "pointer kept in a map": (
        "BPF_HASH(m, u32, struct task_struct *);",
        TASK + " u32 k = 1; m.update(&k, &t); struct task_struct **p = m.lookup(&k); if (p) { put(0, (*p)->tgid);"
        " struct task_struct *q = *p; put(1, q->real_parent->tgid); }",
        lambda: [os.getpid(), os.getppid()],
        [ANY, ANY, ANY],
    ),
    "pointer in a struct in a map": (
        "struct v { u64 n; struct task_struct *t; }; BPF_HASH(m, u32, struct v);",
        TASK + " u32 k = 1; struct v v = {2, t}; m.update(&k, &v); struct v *p = m.lookup(&k); if (p) { p->n++;"
        " put(0, p->t->tgid); put(1, p->n); }",
        lambda: [os.getpid(), 3],
        [ANY],
    ),
    "cast from an integer": (
        "",
        "u64 a = bpf_get_current_task(); put(0, ((struct task_struct *)a)->tgid); struct task_struct *t = (void *)a;"
        " put(1, t->tgid); u64 b = a + 0; struct task_struct *p = (struct task_struct *)(b | 0); put(2, p->tgid);",
        lambda: [os.getpid()] * 3,
        [KERNEL] * 3,
    ),
    "container_of": (
        "",
        TASK + " struct list_head *l = t->tasks.next->prev; struct task_struct *q = container_of(l, struct task_struct, tasks);"
        " put(0, q == t); put(1, q->tgid); struct thread_info *ti = &t->thread_info;"
        " put(2, container_of(ti, struct task_struct, thread_info)->tgid);",
        lambda: [1, os.getpid(), os.getpid()],
        [KERNEL] * 4,
    ),
    "container_of a local": (
        "struct s { int a, b; };",
        "struct s s = {1, 2}; int *b = &s.b; put(0, container_of(b, struct s, b)->a);",
        lambda: [1],
        [],
    ),
    "offsetof arithmetic": (
        "",
        TASK + " put(0, *(int *)((char *)t + offsetof(struct task_struct, tgid))); u32 *p = (u32 *)&t->pid; put(1, *(p + 1));",
        lambda: [os.getpid(), os.getpid()],
        [KERNEL, KERNEL],
    ),
    "function of a kernel pointer": (
        "static int tgid(struct task_struct *t) { return t->tgid; }",
        TASK + " put(0, tgid(t)); put(1, tgid(t->real_parent));",
        lambda: [os.getpid(), os.getppid()],
        [KERNEL] * 3,
    ),
    "function of stack and kernel pointers": (
        "static u64 sum(int *p) { return p[0] + p[1]; }",
        TASK + " int l[2] = {3, 4}; put(0, sum(l)); put(1, sum(&t->pid));",
        lambda: [7, 2 * os.getpid()],
        [KERNEL, KERNEL],
    ),
    "noinline function of stack and kernel pointers": (
        "static __noinline u64 sum(int *p, int n) { return p[0] + p[1] + n; }",
        TASK + " int l[2] = {3, 4}; put(0, sum(l, 1)); put(1, sum(&t->pid, 0));",
        lambda: [8, 2 * os.getpid()],
        [KERNEL, KERNEL],
    ),
    "global function of a stack pointer": (
        "struct s { int a, b; }; __noinline u64 sum(struct s *p) { return p ? p->a + p->b : 0; }",
        "struct s s = {3, 4}; put(0, sum(&s));",
        lambda: [7],
        [],
    ),
    "function that gives a kernel pointer": (
        "static struct task_struct *up(struct task_struct *t) { if (!t) return NULL; return t->real_parent; }",
        TASK + " put(0, up(t)->tgid); struct task_struct *p = up(up(t)); if (p) put(1, p->tgid);",
        lambda: [os.getppid(), _parent(os.getppid())],
        [KERNEL] * 5,
    ),
    "function that writes through its pointer": (
        "static void fill(struct task_struct *t, u64 *n, struct task_struct **up) { *n = t->tgid; *up = t->real_parent; }",
        TASK + " u64 n; struct task_struct *p; fill(t, &n, &p); put(0, n); put(1, p->tgid);",
        lambda: [os.getpid(), os.getppid()],
        [KERNEL] * 3,
    ),
    "pointer that changes in a loop": (
        "",
        TASK + " int n = 0; for (int i = 0; i < 20; i++) { if (!t || t->tgid <= 1) break; t = t->real_parent; n++; } put(0, n);",
        lambda: [_depth()],
        None,  # as often as LLVM unrolls
    ),
    "read by the program itself": (
        "",
        TASK + " struct task_struct *p; bpf_probe_read_kernel(&p, sizeof(p), &t->real_parent); put(0, p->tgid);",
        lambda: [os.getppid()],
        [KERNEL, KERNEL],
    ),
    "statement expression and comma": (
        "",
        TASK + " put(0, ({ struct task_struct *p = t->real_parent; p; })->tgid); put(1, (put(2, 5), t)->tgid);",
        lambda: [os.getppid(), os.getpid(), 5],
        [KERNEL] * 3,
    ),
    "BTF pointer": (
        "",
        "struct task_struct *t = bpf_get_current_task_btf(); put(0, t->tgid); put(1, t->real_parent->real_parent->tgid);"
        " put(2, t->nsproxy->uts_ns->ns.inum);",
        lambda: [os.getpid(), _parent(os.getppid()), os.stat("/proc/self/ns/uts").st_ino],
        [],
    ),
    "BTF pointer where the verifier knows no more": (
        "static u64 at(struct task_struct *t, int i) { return (u8)t->comm[i]; }",
        "struct task_struct *t = bpf_get_current_task_btf(); u32 i = bpf_get_smp_processor_id() & 0; put(0, at(t, i));"
        " put(1, *(int *)((char *)t + offsetof(struct task_struct, tgid))); struct list_head *l = &t->tasks;"
        " put(2, container_of(l, struct task_struct, tasks)->tgid); put(3, t->mm->exe_file->f_path.dentry->d_name.name[0]);",
        lambda: [comm() & 0xFF, os.getpid(), os.getpid(), os.path.basename(os.path.realpath("/proc/self/exe")).encode()[0]],
        [KERNEL] * 4,
    ),
    "BTF pointer or a local": (
        "",
        "struct task_struct *t = bpf_get_current_task_btf(); int one[40] = {1}; int *p = (int *)&t->tgid;"
        " if (bpf_get_smp_processor_id() > 999) p = one; put(0, *p);",
        lambda: [os.getpid()],
        [KERNEL],
    ),
}  # fmt: skip


def _nspid() -> int:
    """This process's pid in the first namespace is what NSpid gives first."""
    with open("/proc/self/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith("NSpid:")))


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def _depth() -> int:
    pid, steps = os.getpid(), 0
    while pid > 1:
        pid = _parent(pid)
        steps += 1
    return steps


@pytest.mark.kernel
@pytest.mark.parametrize("name", ROWS)
def test_a_pointer_is_read_as_its_origin_needs(program: Callable[..., Any], name: str) -> None:
    before, body, expected, reads = ROWS[name]
    made = program(f"{OUT}{before}\nint f(struct bpf_raw_tracepoint_args *ctx) {{ {body} return 0; }}")
    assert made.run() == 0
    values = expected()
    assert made.out[: len(values)] == values
    if reads is not None:
        assert [call for call in made.helpers() if call in PROBES] == reads


@pytest.mark.kernel
def test_bit_fields_of_a_kernel_struct(program: Callable[..., Any]) -> None:
    made = program(
        f"{OUT}int f(void *ctx) {{ {TASK} put(0, t->in_execve); put(1, t->sched_reset_on_fork); put(2, t->in_iowait);"
        " struct task_struct *b = bpf_get_current_task_btf(); put(3, b->in_execve); put(4, b->sched_reset_on_fork); return 0; }"
    )
    policy = os.sched_getscheduler(0)
    os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    try:
        assert made.run() == 0
    finally:
        os.sched_setscheduler(0, policy & ~os.SCHED_RESET_ON_FORK, os.sched_param(0))
    assert made.out[:5] == [0, 1, 0, 0, 1]


@pytest.mark.kernel
def test_copies_and_comparisons_of_kernel_memory(program: Callable[..., Any]) -> None:
    made = program(
        f"{OUT}int f(void *ctx) {{ {TASK} char c[16]; __builtin_memmove(c, t->comm, 16); put(0, __builtin_memcmp(c, t->comm, 16));"
        " c[0]++; put(1, __builtin_memcmp(t->comm, c, 16) < 0); put(2, __builtin_memcmp(c, t->comm, 16)); int k = 9;"
        " void *p = out.lookup(&k); if (p) __builtin_memcpy(p, t->comm, 8); return 0; }"
    )
    assert made.run() == 0
    assert made.out[:3] == [0, 1, 1]
    assert made.out[9] == comm()


@pytest.mark.kernel
def test_arguments_of_a_raw_tracepoint(program: Callable[..., Any]) -> None:
    """An argument may be a kernel's or a user's address: bpf_probe_read reads both."""
    made = program(
        OUT + "struct s { u32 a; char *text; };\n"
        "int f(struct bpf_raw_tracepoint_args *ctx) { struct s *p = (struct s *)ctx->args[1]; put(0, p->a); put(1, p->text[1]);"
        " put(2, ctx->args[0]); const char __user *u = (const char *)p->text; put(3, *u); return 0; }"
    )
    text = ctypes.create_string_buffer(b"abc")
    data = ctypes.create_string_buffer(struct.pack("=I4xQ", 77, ctypes.addressof(text)))
    assert made.run(args=(5, ctypes.addressof(data))) == 0
    assert made.out[:4] == [77, ord("b"), 5, ord("a")]
    assert [call for call in made.helpers() if call in PROBES] == [ANY, ANY, ANY, ANY, USER]


@pytest.mark.kernel
def test_user_pointers_stay_user_pointers_through_their_structs(program: Callable[..., Any]) -> None:
    made = program(
        OUT + "struct s { u32 a; char *text; struct s *next; };\n"
        "static u32 first(struct s *s) { return s->a; }\n"
        "int f(struct bpf_raw_tracepoint_args *ctx) { struct s __user *p = (struct s __user *)ctx->args[0]; put(0, first(p->next));"
        " put(1, p->next->text[0]); return 0; }"
    )
    text = ctypes.create_string_buffer(b"abc")
    second = ctypes.create_string_buffer(struct.pack("=I4xQQ", 77, ctypes.addressof(text), 0))
    one = ctypes.create_string_buffer(struct.pack("=I4xQQ", 1, 0, ctypes.addressof(second)))
    assert made.run(args=(ctypes.addressof(one),)) == 0
    assert made.out[:2] == [77, ord("a")]
    assert {call for call in made.helpers() if call in PROBES} == {USER}


PACKET = (
    bytes.fromhex("0102030405060708090a0b0c0800")
    + bytes([0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
    + bytes(30)
)


@pytest.mark.kernel
@pytest.mark.parametrize(("section", "context"), [("xdp", "xdp_md"), ("tc", "__sk_buff")])
def test_packet_pointers_are_read_directly_within_their_bounds(program: Callable[..., Any], section: str, context: str) -> None:
    made = program(
        OUT + "#include <linux/if_ether.h>\n#include <linux/ip.h>\n"
        f"int f(struct {context} *ctx) {{ void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;"
        " struct ethhdr *eth = data; if (data + sizeof(*eth) > end) return 0; if (eth->h_proto != bpf_htons(0x0800)) return 0;"
        " struct iphdr *ip = data + sizeof(*eth); if ((void *)(ip + 1) > end) return 0;"
        " put(0, ip->protocol); put(1, bpf_ntohl(ip->daddr)); put(2, ip->ihl); put(3, ip->version); ip->ttl--; put(4, end - data);"
        " return 2; }"
    )
    result, after = made.packet(data=PACKET, section=section)
    assert result == 2
    assert made.out[:5] == [6, 0x0A000002, 5, 4, len(PACKET)]
    assert after[22] == 63
    assert not PROBES & set(made.helpers())


@pytest.mark.kernel
def test_a_packet_without_a_bounds_check_is_the_verifiers_error(program: Callable[..., Any]) -> None:
    made = program("int f(struct xdp_md *ctx) { char *p = (void *)(long)ctx->data; return *p; }")
    with pytest.raises(VerifierError):
        made.load(section="xdp")


@pytest.mark.kernel
def test_context_fields_in_branches_are_loaded_from_the_context_itself(program: Callable[..., Any]) -> None:
    """The verifier: "dereference of modified ctx ptr"."""
    made = program(
        OUT + "static u32 pick(struct __sk_buff *s, int w) { return w ? s->protocol : s->len; }\n"
        "int f(struct __sk_buff *skb) { u32 *p; u32 v; if (skb->len > 100) v = skb->ifindex; else if (skb->len > 40) v = skb->len;"
        " else v = skb->protocol; put(0, v); put(1, pick(skb, v & 1)); put(2, skb->cb[1]); skb->cb[2] = v; put(3, skb->cb[2]);"
        " switch (v) { case 50: put(4, skb->mark); break; case 64: put(4, skb->len + skb->gso_segs); break; default: put(4, skb->hash); }"
        " struct __sk_buff *alias = skb; if (v == 64) skb->mark = 9; else skb->priority = 9; put(5, alias->mark); return 0; }"
    )
    assert made.packet(section="tc")[0] == 0
    assert made.out[:6] == [64, 64, 0, 64, 64, 9]


@pytest.mark.kernel
def test_registers_are_read_from_a_kprobe_context(program: Callable[..., Any]) -> None:
    made = program(
        OUT + "static u64 second(struct pt_regs *ctx) { return PT_REGS_PARM2(ctx); }\n"
        "int f(struct pt_regs *ctx) { u64 a = PT_REGS_PARM1(ctx); if (a > 100) a = PT_REGS_RC(ctx); put(0, a + second(ctx));"
        " struct task_struct *t = (struct task_struct *)PT_REGS_PARM3(ctx); put(1, t->tgid + ctx->ip + ctx->sp); return 0; }"
        "int g(struct pt_regs *ctx, struct task_struct *t, int n, char c, u64 *p) { put(0, t->tgid + n + c + *p); return 0; }"
    )
    for name in "fg":
        assert made.load(name, "kprobe/x").fd >= 0
    assert [call for call in made.helpers() if call in PROBES] == [ANY]
    assert [call for call in made.helpers("g") if call in PROBES] == [ANY, ANY]
    assert made.object.programs["f"].uses_registers
    assert made.object.programs["g"].uses_registers


def test_arguments_of_fentry_and_lsm_are_pointers_the_verifier_knows() -> None:
    compiled = compile_source(
        'SEC("fentry/vfs_read") int f(unsigned long long *ctx) { struct file *p = (struct file *)ctx[0]; return p->f_inode->i_ino; }\n'
        'SEC("lsm/file_open") int g(unsigned long long *ctx) { struct file *p = (void *)ctx[0]; return -(p->f_flags & 1); }'
    )
    for name in "fg":
        code = read_object(compiled.data).programs[name].instructions
        assert not [imm for op, _, _, imm in struct.iter_unpack("<BBhi", code) if op == 0x85]


@pytest.mark.parametrize(
    "body",
    [
        "struct task_struct *t = (struct task_struct *)bpf_get_current_task(); t->tgid = 1;",
        "struct task_struct *t = (struct task_struct *)bpf_get_current_task(); t->comm[0]++;",
        "int *p = (int *)12345; *p = 1;",
        "int __user *p = (int __user *)ctx->args[0]; *p = 1;",
        "struct task_struct *t = (struct task_struct *)bpf_get_current_task(); __builtin_memset(t->comm, 0, 8);",
        "struct task_struct *t = (struct task_struct *)bpf_get_current_task(); __builtin_memcpy(t->comm, t->comm + 1, 8);",
    ],
)
def test_writing_through_a_kernel_or_user_pointer_is_an_error(body: str) -> None:
    with pytest.raises(CompileError, match="BPF cannot write through this pointer"):
        compile_source(f"int f(struct bpf_raw_tracepoint_args *ctx) {{ {body} return 0; }}")
