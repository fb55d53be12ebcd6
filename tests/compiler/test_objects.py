"""Compiled objects are ordinary BPF objects: bpftool (libbpf) loads them, llvm-objdump shows code with its C lines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from skep.compiler import compile_source

TEXT = """#include <linux/sched.h>
BPF_HASH(counts, u32, u64);
BPF_PERF_OUTPUT(events);
BPF_RINGBUF_OUTPUT(ring, 8);
BPF_ARRAY(pairs, struct { u64 a; char n[8]; }, 4);
BPF_HASH(inner, u32, u64, 5);
BPF_ARRAY_OF_MAPS(outer, "inner", 4);
BPF_STACK_TRACE(stacks, 64);
struct record { u32 pid; char comm[16]; };
const volatile int limit = 3;
static u64 total;
int visible = 4;
static __noinline int half(struct record *r) { return r->pid / 2; }
__noinline int triple(int x) { return x * 3; }
static int step(u32 i, u64 *n) { *n += i; return 0; }
SEC("raw_tp/sys_enter") int one(struct bpf_raw_tracepoint_args *ctx) {
    struct record r = {.pid = bpf_get_current_pid_tgid()};
    bpf_get_current_comm(&r.comm, sizeof(r.comm));
    u32 k = half(&r) + triple(limit);
    counts.increment(k);
    u64 n = 0;
    bpf_loop(3, step, &n, 0);
    total += n + visible;
    events.perf_submit(ctx, &r, sizeof(r));
    ring.ringbuf_output(&r, sizeof(r), 0);
    return stacks.get_stackid(ctx, 0) < 0;
}
SEC("xdp") int two(struct xdp_md *ctx) { if (total > 5) return XDP_DROP; return triple(1) == 3 ? XDP_PASS : XDP_DROP; }
SEC("tracepoint/syscalls/sys_enter_getpid") int three(void *ctx) { total++; return 0; }
SEC("tc") int four(struct __sk_buff *skb) { return skb->len > 10 ? 0 : 2; }
int probed(struct pt_regs *ctx, int fd, struct file *file) { return PT_REGS_PARM1(ctx) == fd && file->f_flags; }
"""


def tool(name: str) -> str:
    """Debian has bpftool where only root's PATH looks."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("objects") / "sample.o"
    path.write_bytes(compile_source(TEXT, file="sample.c").data)
    return path


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.kernel
def test_bpftool_loads_programs_and_maps(compiled: Path, tmp_path: Path) -> None:
    """In a mount namespace of its own, so that nothing is left in anybody's bpffs."""
    bpftool, unshare = tool("bpftool"), tool("unshare")
    folder = tmp_path / "bpffs"
    folder.mkdir()
    script = (
        f"mount -t bpf bpf {folder} && {bpftool} prog loadall {compiled} {folder}/p pinmaps {folder}/m && cd {folder} && ls p m"
        f" && {bpftool} -j map show pinned {folder}/m/counts && {bpftool} prog dump xlated pinned {folder}/p/one linum"
    )
    output = run(unshare, "--mount", "sh", "-c", script)
    names = output.split("{", 1)[0].split()
    assert {"one", "two", "three", "four", "probed"} <= set(names)
    assert {"counts", "events", "ring", "pairs", "outer", "stacks", "sample_bss", "sample_data", "sample_rodata"} <= set(names)
    shown = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    assert (shown["type"], shown["bytes_key"], shown["bytes_value"], shown["max_entries"]) == ("hash", 4, 8, 10240)
    assert "counts.increment(k)" in output  # line information came through the kernel
    assert "int half(struct record * r)" in output  # so did the functions' types


def test_llvm_objdump_shows_code_with_its_c_lines(compiled: Path) -> None:
    output = run(tool("llvm-objdump"), "-dS", str(compiled))
    for text in (
        "<one>:",
        "<half>:",
        "<triple>:",
        "<step>:",
        "call 14",
        "; static __noinline int half",
        "total += n + visible;",
        "exit",
    ):
        assert text in output


def test_bpftool_reads_the_types(compiled: Path) -> None:
    output = run(tool("bpftool"), "btf", "dump", "file", str(compiled))
    for text in (
        "STRUCT 'record' size=20 vlen=2", "FUNC 'half' type_id", "VAR 'counts' type_id", "DATASEC '.maps'", "DATASEC '.rodata'",
        "VAR 'visible' type_id", "DECL_TAG 'skep:uses_registers' type_id",
    ):  # fmt: skip
        assert text in output, text


def test_equal_texts_make_equal_objects(compiled: Path) -> None:
    assert compile_source(TEXT, file="sample.c").data == compiled.read_bytes()


EVERYTHING = """
extern const void vfs_read __ksym;
extern const void no_such_symbol __ksym __weak;
extern const int no_such_variable __ksym __weak;
extern struct task_struct *bpf_task_from_pid(int pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern int no_such_kfunc(int) __ksym __weak;
struct state { u32 a; u64 b; };
const volatile int limit = 5;
const char greeting[] = "hello";
static const u16 table[4] = {10, 20, 30, 40};
int hits;
static u64 total = 3;
struct state state = {.b = 9};
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16); __type(key, struct state); __type(value, u64); } out
    SEC(".maps");
__weak int helper(int x) { return x + limit; }
SEC("tc") int f(struct __sk_buff *skb) {
    hits++; total += table[skb->len & 3] + greeting[skb->len & 3]; state.a = helper(total);
    struct state k = state;
    u64 v = (u64)&vfs_read + (u64)&no_such_symbol + bpf_ksym_exists(&no_such_variable);
    if (bpf_ksym_exists(no_such_kfunc)) v += no_such_kfunc(3);
    if (bpf_ksym_exists(bpf_task_from_pid)) v++;
    bpf_map_update_elem(&out, &k, &v, 0);
    return 0;
}
"""


@pytest.mark.kernel
def test_libbpf_loads_maps_global_data_and_what_the_kernel_has(tmp_path: Path) -> None:
    """With bpftool, in a mount namespace of its own that has a bpffs."""
    bpftool, unshare = shutil.which("bpftool", path="/usr/sbin:/usr/bin:/sbin:/bin"), shutil.which("unshare")
    if bpftool is None or unshare is None:
        pytest.skip("bpftool or unshare is not installed")
    (tmp_path / "x.o").write_bytes(compile_source(EVERYTHING).data)
    (tmp_path / "bpffs").mkdir()
    script = 'mount -t bpf bpf "$1" && "$2" prog load "$3" "$1/f" >/dev/null && "$2" prog show pinned "$1/f"'
    words = ("sh", "-c", script, "sh", str(tmp_path / "bpffs"), bpftool, str(tmp_path / "x.o"))
    done = subprocess.run([unshare, "--mount", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sched_cls  name f " in done.stdout
    assert len(done.stdout.partition("map_ids ")[2].split()[0].split(",")) == 5  # out, .bss, .data, .rodata, .rodata.cst8
