"""`skep demo`: counts, in the kernel, the execve calls of a short workload of its own, per user id.

Goes out: the counts, the engine and the way the program was attached; exit status 1 when a count is not what was run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.maps.table import Table

PROGRAM = r"""
BPF_HASH(workload, u32, u8);   // the process ids to count, written by Python: other processes run on this machine too
BPF_HASH(counts);              // user id -> execve calls, written here

int count_execve(void *ctx) {
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 uid = bpf_get_current_uid_gid() & 0xFFFFFFFF;
    if (workload.lookup(&pid))
        counts.increment(uid);
    return 0;
}
"""

NOBODY = 65534


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="skep demo", description="Run some commands under two user ids and count their execve calls in the kernel."
    )
    parser.parse_args(arguments)
    from skep import BPF

    own = os.geteuid()
    workload: dict[int, tuple[str, ...]] = {own: ("true", "id", "uname", "date", "ls")}
    if own == 0:
        workload[NOBODY] = ("true", "id", "uname")
    with BPF(text=PROGRAM) as b:
        b.attach_kprobe(event=b.get_syscall_fnname("execve"), fn_name="count_execve")
        print("execve calls per user id, counted by a BPF program:")
        for uid, names in workload.items():
            for name in names:
                _run(uid, _find(name), b["workload"])
        counts = {uid.value: count.value for uid, count in b["counts"].items()}
        for uid, names in workload.items():
            print(f"  ID {uid}: {counts.get(uid, 0)}  ({', '.join(names)})")
        print(f"engine: {b.engine.name} (Linux {os.uname().release})")
        print(f"attached by: {b.links[0].how}")
    expected = {uid: len(names) for uid, names in workload.items()}
    if counts != expected:
        raise SkepError(f"the demo ran {expected} commands per user id, but its program counted {counts}")
    return 0


def _find(name: str) -> str:
    """The path of a command. execvp(3) would try each folder of PATH: an execve call for each."""
    path = shutil.which(name)
    if path is None:
        raise SkepError(f"the demo runs {name!r}, which is not on PATH ({os.environ.get('PATH', '')})")
    return path


def _run(uid: int, path: str, workload: Table) -> None:
    """Run one command under a user id: it starts only when its process id is in the map."""
    go_read, go_write = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(go_write)
            if uid != os.geteuid():
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            if os.read(go_read, 1):
                os.execv(path, [path])
        finally:
            os._exit(127)
    os.close(go_read)
    try:
        workload[workload.Key(pid)] = workload.Leaf(1)
        os.write(go_write, b"x")
    finally:
        os.close(go_write)
        _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SkepError(f"{path} under user id {uid} ended with status {os.waitstatus_to_exitcode(status)}")
