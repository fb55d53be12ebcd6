"""`skep demo`: counts the execve calls of a short workload of its own, per user id, in the kernel or in the user engine.

Goes out: the counts, the engine and the way the program was attached; exit status 1 when a count is not what was run.
"""

from __future__ import annotations

import argparse
import os
import shutil

from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep import BPF

PROGRAM = r"""
struct caller {
    u32 pid;                   // other processes run on this machine too: Python takes the demo's own
    u32 uid;
};
BPF_HASH(counts, struct caller);

int count_execve(void *ctx) {
    struct caller caller = {};
    caller.pid = bpf_get_current_pid_tgid() >> 32;
    caller.uid = bpf_get_current_uid_gid() & 0xFFFFFFFF;
    counts.increment(caller);
    return 0;
}
"""

NOBODY = 65534


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="skep demo", description="Run some commands, as root under two user ids, and count their execve calls."
    )
    parser.parse_args(arguments)
    from skep import BPF
    from skep.engine.choose import engine_name

    engine = engine_name(traces=True)
    own = os.geteuid()
    workload: dict[int, tuple[str, ...]] = {own: ("true", "id", "uname", "date", "ls")}
    if own == 0:
        workload[NOBODY] = ("true", "id", "uname")
    with BPF(text=PROGRAM, engine=engine) as b:
        b.attach_kprobe(event=b.get_syscall_fnname("execve"), fn_name="count_execve")
        print("execve calls per user id, counted by a BPF program:", flush=True)
        pids = {_run(b, uid, _find(name)) for uid, names in workload.items() for name in names}
        counts = dict.fromkeys(workload, 0)
        for caller, count in b["counts"].items():
            if caller.pid in pids:
                counts[caller.uid] = counts.get(caller.uid, 0) + count.value
        for uid, names in workload.items():
            print(f"  ID {uid}: {counts[uid]}  ({', '.join(names)})")
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


def _run(b: BPF, uid: int, path: str) -> int:
    """Run one command under a user id, where the program sees it, to its end; its process id."""
    user = None if uid == os.geteuid() else uid
    with open(os.devnull, "r+b") as null, b.trace_command([path], stdin=null, stdout=null, stderr=null, user=user) as command:
        status = command.wait()
    if status:
        raise SkepError(f"{path} under user id {uid} ended with status {status}")
    return command.pid
