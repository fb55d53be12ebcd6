"""Records of tracepoints: C declarations laid out as each format file says, and TRACEPOINT_PROBE programs on real events."""

from __future__ import annotations

import ctypes
import os
import subprocess

import pytest

from skep import BPF
from skep.btf import kernel_btf
from skep.compiler import compile_source
from skep.compiler.checker import Checker
from skep.compiler.diagnostics import Diagnostics
from skep.compiler.kernel_types import KernelTypes
from skep.compiler.types import RecordType
from skep.engine.kernel.tracefs import Tracefs
from skep.errors import CompileError
from skep.tracepoints import record_members

FORMAT = """name: ev
ID: 1
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:__data_loc char[] name;\toffset:8;\tsize:4;\tsigned:0;
\tfield:__rel_loc char[] other;\toffset:12;\tsize:4;\tsigned:0;
\tfield:char comm[TASK_COMM_LEN];\toffset:16;\tsize:16;\tsigned:0;
\tfield:bool flag;\toffset:32;\tsize:1;\tsigned:0;
\tfield:dev_t dev;\toffset:36;\tsize:4;\tsigned:0;
\tfield:const char * text;\toffset:40;\tsize:8;\tsigned:0;
\tfield:unsigned long args[6];\toffset:48;\tsize:48;\tsigned:0;
\tfield:int narrow;\toffset:96;\tsize:8;\tsigned:0;

print fmt: "%s", REC->comm
"""


def record(category: str, event: str, format: str) -> dict[str, tuple[int, int]]:
    """(offset, size) of each member of the record that a format file makes."""
    diagnostics = Diagnostics()
    checker = Checker(diagnostics, KernelTypes(kernel_btf, lambda c, e: record_members(format)), target="bpf")
    type = checker.parse_type(f"struct tracepoint__{category}__{event}")
    assert diagnostics.errors == 0, (event, diagnostics.render())
    assert isinstance(type, RecordType)
    return {m.name: (m.offset, m.type.size) for m in type.record.members}


def test_a_format_file_becomes_members_at_its_offsets() -> None:
    members = record("c", "ev", FORMAT)
    assert {name: place for name, place in members.items() if not name.startswith("__pad")} == {
        "__do_not_use__": (0, 8), "data_loc_name": (8, 4), "rel_loc_other": (12, 4), "comm": (16, 16), "flag": (32, 1),
        "dev": (36, 4), "text": (40, 8), "args": (48, 48), "narrow": (96, 8),
    }  # fmt: skip


def _name(declaration: str) -> str:
    if declaration.endswith(")"):  # a pointer to a function
        return declaration.partition("(*")[2].partition(")")[0]
    words = declaration.split()
    location = words[0].strip("_") + "_" if words[0] in ("__data_loc", "__rel_loc") else ""
    return location + words[-1].partition("[")[0]


@pytest.mark.kernel
def test_every_tracepoint_of_this_kernel_is_laid_out_as_its_format_says() -> None:
    tracefs = Tracefs()
    wrong = []
    checked = 0
    try:
        for tracepoint in tracefs.tracepoints():
            category, event = tracepoint.split(":")
            try:
                format = tracefs.format(category, event)
            except FileNotFoundError:
                continue  # probes that others made may go while this reads
            members = record(category, event, format)
            for line in format.splitlines():
                parts = [part.strip() for part in line.split(";")]
                if not parts[0].startswith("field:"):
                    continue
                facts = dict(part.split(":") for part in parts[1:] if part)
                place = int(facts["offset"]), int(facts["size"])
                name = _name(parts[0].removeprefix("field:"))
                if place[0] >= 8 and members.get(name) != place:
                    wrong.append((tracepoint, name, place, members.get(name)))
                checked += 1
    finally:
        tracefs.close()
    assert wrong == []
    assert checked > 1000


PROGRAMS = r"""
struct event { u32 pid, other; char file[64]; char comm[16]; u64 number; };
BPF_HASH(out, u32, struct event);
BPF_ARRAY(pid, u32, 1);
static int mine(u32 tgid) { int zero = 0; u32 *p = pid.lookup(&zero); return p && *p == tgid; }
static int parent(void) { return ((struct task_struct *)bpf_get_current_task())->real_parent->tgid; }
TRACEPOINT_PROBE(sched, sched_process_exec) {
    struct event e = {};
    u32 k = 0;
    char start[4] = {};
    if (!mine(parent())) return 0;
    e.pid = args->pid;
    e.other = args->old_pid;
    TP_DATA_LOC_READ_STR(e.file, filename, sizeof(e.file));
    TP_DATA_LOC_READ_CONST(start, filename, 4);
    e.number = start[1];
    out.update(&k, &e);
    return 0;
}
TRACEPOINT_PROBE(sched, sched_process_exit) {
    struct event e = {};
    u32 k = 1;
    if (!mine(parent())) return 0;
    __builtin_memcpy(e.comm, args->comm, sizeof(e.comm));
    e.pid = args->pid;
    e.other = args->comm[1];
    out.update(&k, &e);
    return 0;
}
int opened(struct tracepoint__syscalls__sys_enter_openat *args) {
    struct event e = {.pid = args->dfd, .other = args->flags, .number = args->__syscall_nr};
    u32 k = 2;
    if (!mine(bpf_get_current_pid_tgid() >> 32)) return 0;
    e.comm[0] = args->filename[1];
    bpf_probe_read_user_str(e.file, sizeof(e.file), args->filename);
    out.update(&k, &e);
    return 0;
}
"""


@pytest.mark.kernel
def test_tracepoint_programs_read_the_fields_of_their_record() -> None:
    bpf = BPF(text=PROGRAMS)
    try:
        assert sorted(link.hook.target for link in bpf.links) == [
            "sched:sched_process_exec", "sched:sched_process_exit", "syscalls:sys_enter_openat",
        ]  # fmt: skip
        bpf["pid"][0] = ctypes.c_uint32(os.getpid())
        child = subprocess.Popen(["/bin/true"], stdin=subprocess.DEVNULL)
        child.wait()
        os.close(os.open("/tmp", os.O_RDONLY))
        found = {key.value: value for key, value in bpf["out"].items()}
    finally:
        bpf.cleanup()
    execed, exited, opened = found[0], found[1], found[2]
    assert (execed.pid, execed.other, execed.file, execed.number) == (child.pid, child.pid, b"/bin/true", ord("b"))
    assert (exited.pid, exited.other, exited.comm) == (child.pid, ord("r"), b"true")
    assert (ctypes.c_int32(opened.pid).value, opened.other, opened.file) == (-100, os.O_RDONLY | os.O_CLOEXEC, b"/tmp")
    assert opened.comm == b"t"


def test_an_unknown_tracepoint_is_named_in_the_error() -> None:
    with pytest.raises(CompileError, match="this kernel has no tracepoint 'sched:nothing'"):
        compile_source("TRACEPOINT_PROBE(sched, nothing) { return args->x; }", tracepoint_fields=lambda category, event: None)
