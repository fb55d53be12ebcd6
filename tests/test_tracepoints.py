"""Records of tracepoints as C: names as BCC gives them, places as the kernel has them."""

from __future__ import annotations

import pytest

from skep.compiler import compile_source
from skep.engine.formats import tracepoint_members
from skep.engine.kernel.tracefs import Tracefs
from skep.tracepoints import record_members

FORMAT = """name: made_up
ID: 1
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;
\tfield:int dfd;\toffset:16;\tsize:8;\tsigned:0;
\tfield:const char * const * argv;\toffset:24;\tsize:8;\tsigned:0;
\tfield:char comm[TASK_COMM_LEN];\toffset:32;\tsize:16;\tsigned:0;
\tfield:__data_loc char[] name;\toffset:48;\tsize:4;\tsigned:0;
\tfield:__rel_loc unsigned long[] list;\toffset:52;\tsize:4;\tsigned:0;
\tfield:bool flag;\toffset:56;\tsize:1;\tsigned:0;
\tfield:void (*call)(void *);\toffset:64;\tsize:8;\tsigned:0;
\tfield:void __seg_gs * ptr;\toffset:72;\tsize:8;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:80;\tsize:4;\tsigned:0;

print fmt: "field:not one; %d", REC->dfd
"""


def test_members_have_bcc_s_names_and_explicit_gaps() -> None:
    assert record_members(FORMAT).split("; ") == [
        "u64 __do_not_use__",
        "s32 __syscall_nr",
        "char __pad_2[4]",
        "u64 dfd",
        "const char * const * argv",
        "char comm[16]",
        "int data_loc_name",
        "int rel_loc_list",
        "u8 flag",
        "char __pad_9[7]",
        "u64 call",
        "void * ptr",
        "__u8 saddr[4];",
    ]


@pytest.mark.kernel
def test_a_tracepoint_that_does_not_exist() -> None:
    assert tracepoint_members("sched", "no_such_event") is None


@pytest.mark.kernel
def test_members_lie_where_the_kernel_puts_them() -> None:
    tracefs = Tracefs()
    try:
        names = [name.split(":") for name in tracefs.tracepoints()[::5]]
        formats = {(category, event): tracefs.format(category, event) for category, event in names if "__" not in category}
    finally:
        tracefs.close()
    checks = []
    for number, ((category, event), text) in enumerate(formats.items()):
        tag = f"struct tracepoint__{category}__{event}"
        checks.append(f"int f{number}({tag} *args) {{ return 0; }}")
        for line in text.splitlines():
            if not line.startswith("\tfield:") or "common_" in line:
                continue
            declaration, offset, size = (part.strip().partition(":")[2] for part in line.split(";")[:3])
            name = declaration.partition("(*")[2].partition(")")[0] or declaration.split()[-1].partition("[")[0]
            if "_loc " in declaration:
                name = declaration.split()[0].strip("_") + "_" + name
            what = f'"{category}:{event} {name}"'
            checks.append(f"_Static_assert(__builtin_offsetof({tag}, {name}) == {offset}, {what});")
            checks.append(f"_Static_assert(sizeof((({tag} *)0)->{name}) == {size}, {what});")
    assert len(checks) > 1000
    for start in range(0, len(checks), 500):
        block = "\n".join(checks[start : start + 500])
        assert compile_source(block, tracepoint_fields=lambda category, event: record_members(formats[category, event])).data
