"""Maps whose entries are objects of the kernel's, used by programs: sockets of a group, cgroups, inodes."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import PATIENCE

from skep import BPF
from skep.errors import AttachError, MapError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

RELEASE = tuple(map(int, os.uname().release.split(".")[:2]))
_GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
_SO_ATTACH_REUSEPORT_EBPF = 52

BY_FIRST_BYTE = r"""
struct {
    __uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
    __uint(max_entries, 4);
    __type(key, u32);
    __type(value, u64);
} group SEC(".maps");

SEC("sk_reuseport") int choose(struct sk_reuseport_md *ctx)
{
    u8 *first = ctx->data + 8;  // behind the UDP header
    if ((void *)(first + 1) > ctx->data_end)
        return SK_DROP;
    u32 key = *first - '0';
    return bpf_sk_select_reuseport(ctx, &group, &key, 0) ? SK_DROP : SK_PASS;
}
"""


def test_a_program_chooses_the_socket_of_a_reuseport_group() -> None:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    with BPF(text=BY_FIRST_BYTE) as b, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        port = 0
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(("127.0.0.1", port))
            one.settimeout(PATIENCE)
            port = one.getsockname()[1]
        for index, one in enumerate(sockets):
            b["group"][index] = one
        program = b.load_func("choose", 21)  # BPF_PROG_TYPE_SK_REUSEPORT
        sockets[0].setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_EBPF, struct.pack("=i", program.fd))
        for text in (b"2 two", b"0 zero", b"1 one", b"3 nobody", b"2 again"):
            sender.sendto(text, ("127.0.0.1", port))
        assert [sockets[index].recv(64) for index in (0, 1, 2, 2)] == [b"0 zero", b"1 one", b"2 two", b"2 again"]
        sockets[2].close()  # a closed socket leaves the map by itself
        assert [key.value for key in b["group"]] == [0, 1]
    for one in sockets:
        one.close()


@pytest.fixture
def cgroup() -> Iterator[str]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"]
    if not mounts:
        pytest.skip("no cgroup2 is mounted")
    path = f"{mounts[0]}/skep-objects-{os.getpid()}"
    os.mkdir(path)
    try:
        yield path
    finally:
        os.rmdir(path)


CALLS_OF_CGROUPS = r"""
BPF_CGRP_STORAGE(calls, u64);
const volatile u32 wanted;

SEC("tp_btf/sys_enter") int BPF_PROG(count, struct pt_regs *regs, long id)
{
    if (bpf_get_current_pid_tgid() >> 32 != wanted || id != GETPPID)
        return 0;
    u64 zero = 0, *calls_made = calls.cgrp_storage_get(bpf_get_current_task_btf()->cgroups->dfl_cgrp, &zero, 1);
    if (calls_made)
        __sync_fetch_and_add(calls_made, 1);
    return 0;
}
"""
CHILD = """
import os, sys
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
sys.stdin.readline()
for _ in range(7):
    os.getppid()
"""


def test_a_program_counts_the_calls_of_a_cgroup(cgroup: str) -> None:
    if RELEASE < (6, 2):
        with pytest.raises(MapError, match="this kernel does not know it"):
            BPF(text=CALLS_OF_CGROUPS)
        return
    with (
        subprocess.Popen([sys.executable, "-c", CHILD, cgroup], stdin=subprocess.PIPE) as child,
        BPF(text=CALLS_OF_CGROUPS, cflags=[f"-DGETPPID={_GETPPID}"], globals={"wanted": child.pid}) as b,
    ):
        assert cgroup not in b["calls"]
        child.communicate(b"go\n", timeout=PATIENCE)
        assert b["calls"][cgroup].value == 7
        del b["calls"][cgroup]
        assert b["calls"].get(cgroup) is None


OPENS_OF_INODES = r"""
BPF_INODE_STORAGE(opens, u64);
const volatile u32 wanted;

LSM_PROBE(file_open, struct file *file)
{
    if (bpf_get_current_pid_tgid() >> 32 != wanted)
        return 0;
    u64 zero = 0, *made = opens.inode_storage_get(file->f_inode, &zero, 1);
    if (made)
        __sync_fetch_and_add(made, 1);
    return 0;
}
"""


def test_a_security_program_counts_how_often_a_file_is_opened(tmp_path: Path) -> None:
    if not BPF.support_lsm():  # this machine's kernel refuses the type; Debian's in the VM takes it
        with pytest.raises(AttachError, match=r"cannot attach to lsm:file_open: .* refuses programs of type lsm"):
            BPF(text=OPENS_OF_INODES)
        return
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_text("")
    with BPF(text=OPENS_OF_INODES, globals={"wanted": os.getpid()}) as b:
        for _ in range(3):
            path.read_text()
        with path.open() as file:
            before = b["opens"][file].value
            assert before == 4
            assert b["opens"][path].value == before + 1  # the view opened it as well
        other.write_text("")
        del b["opens"][path]
        assert b["opens"][path].value == 1
        path.unlink()
        with pytest.raises(MapError, match="is not there, or no file, its fd or its path"):
            b["opens"][path]
