"""What programs see of traced commands: the same system calls as strace, threads, children, facts about the task."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import own_children
from tracing import NAMES, NUMBERS, Trace, exit_status

ALL = "tracepoint/raw_syscalls:sys_enter"
SERIAL = ("sh", "-c", "cd /; for i in 1 2 3 4 5; do cat /etc/passwd > /dev/null; done; exec ls -l /usr/bin > /dev/null")
PYTHON = (sys.executable, "-S", "-c")


@pytest.fixture(autouse=True)
def _no_child_is_left():
    before = own_children()
    yield
    assert own_children() <= before


def strace_counts(tmp_path, *command):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    output = tmp_path / "counts"
    subprocess.run(["strace", "-f", "-c", "-U", "name,calls", "-o", output, *command], check=True, stdout=subprocess.DEVNULL)
    rows = [line.split() for line in output.read_text().splitlines()]
    counts = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit() and row[0] != "total"}
    return {_other_name(name): count for name, count in counts.items()}


def _other_name(name):
    return {"stat": "newstat", "fstat": "newfstat", "lstat": "newlstat", "uname": "newuname"}.get(name, name)


@pytest.mark.parametrize("filter", [True, False])
def test_every_system_call_is_seen_as_often_as_by_strace(tmp_path, filter):
    expected = strace_counts(tmp_path, *SERIAL)
    with Trace(ALL) as trace:
        assert trace.run(*SERIAL, filter=filter) == 0
        counts = trace.calls()
    # strace counts calls that return; what the shell's wait is interrupted by is a matter of timing
    for name in ("exit_group", "wait4", "rt_sigreturn"):
        counts.pop(name, None), expected.pop(name, None)
    assert counts == expected


def test_only_calls_that_were_asked_for_stop_the_command(tmp_path):
    expected = strace_counts(tmp_path, *SERIAL)
    with Trace("tracepoint/syscalls:sys_enter_openat", "kretprobe/__x64_sys_openat") as trace:
        assert trace.run(*SERIAL) == 0
        assert [program.runs for program in trace.programs] == [expected["openat"]] * 2
        # besides: forks, first stops of children, execs
        assert trace.tracer.stops < 2 * expected["openat"] + 60


def test_records_have_arguments_and_results(tmp_path):
    with Trace("tracepoint/syscalls:sys_enter_dup2", "tracepoint/syscalls:sys_exit_dup2") as trace:
        trace.run(*PYTHON, "import os; os.dup2(1, 77, inheritable=True); os.closerange(3, 90)")
        # Python calls dup3 without `inheritable`, dup2 with it
        enter, leave = trace.rows(0), trace.rows(1)
    assert [(row.words[1], row.words[2], row.words[3]) for row in enter] == [(NUMBERS["dup2"], 1, 77)]
    assert [(row.words[1], row.words[2], row.size) for row in leave] == [(NUMBERS["dup2"], 77, 24)]
    assert enter[0].words[0] >> 32 == enter[0].pid


def test_raw_tracepoints_have_registers_and_the_number_or_the_result():
    with Trace("raw_tracepoint/sys_enter", "raw_tracepoint/sys_exit") as trace:
        trace.run(*PYTHON, "import os; os.dup2(1, 77, inheritable=True)")
        enter = [row for row in trace.rows(0) if row.words[1] == NUMBERS["dup2"]]
        leave = [row for row in trace.rows(1) if row.words[6 + 15] == NUMBERS["dup2"]]
    # struct pt_regs: ax 10, si 13, di 14, orig_ax 15; the pointer to them is the first argument
    assert [(row.words[6 + 14], row.words[6 + 13], row.words[6 + 15]) for row in enter] == [(1, 77, NUMBERS["dup2"])]
    assert [(row.words[1], row.words[6 + 10]) for row in leave] == [(77, 77)]
    assert enter[0].words[0]


def test_a_probe_on_a_calls_function_has_the_callers_registers():
    with Trace("kprobe/__x64_sys_dup2", "kretprobe/sys_dup2") as trace:
        trace.run(*PYTHON, "import os; os.dup2(1, 77, inheritable=True)")
        (enter,), (leave,) = trace.rows(0), trace.rows(1)
    caller = 21  # words of struct pt_regs: the caller's lie behind the function's
    assert (enter.words[caller + 14], enter.words[caller + 13]) == (1, 77)
    assert enter.words[14] != 1  # di: the address of the caller's registers
    assert leave.words[10] == 77


def test_failed_calls_have_a_negative_result():
    with Trace("tracepoint/syscalls:sys_exit_dup2") as trace:
        trace.run(*PYTHON, "import os\ntry: os.dup2(555, 77, inheritable=True)\nexcept OSError: pass")
        assert [row.signed[2] for row in trace.rows(0)] == [-9]


def test_threads_share_a_tgid_and_have_their_own_pids():
    text = (
        "import os, threading\n"
        "def work():\n    for _ in range(50): os.getppid()\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]"
    )
    with Trace("tracepoint/syscalls:sys_enter_getppid", "tracepoint/sched:sched_process_exit") as trace:
        assert trace.run(*PYTHON, text) == 0
        calls, ends = trace.rows(0), trace.rows(1)
    assert len(calls) == 200
    assert len({row.tgid for row in calls}) == 1
    counts = {}
    for row in calls:
        counts[row.pid] = counts.get(row.pid, 0) + 1
    assert sorted(counts.values()) == [50] * 4
    assert calls[0].tgid not in counts
    # all end, and the last one says that its group is dead
    assert {row.pid for row in ends} == {*counts, calls[0].tgid}
    assert [row.bytes[32] for row in ends].count(1) == 1


def test_two_hundred_children_are_followed():
    script = "i=0; while [ $i -lt 200 ]; do /bin/true & i=$((i+1)); done; wait"
    hooks = [f"tracepoint/sched:sched_process_{name}" for name in ("fork", "exec", "exit")]
    with Trace(*hooks, "tracepoint/syscalls:sys_enter_exit_group") as trace:
        assert trace.run("sh", "-c", script) == 0
        forks, execs, ends, calls = (trace.rows(i) for i in range(4))
    assert (len(forks), len(execs), len(ends), len(calls)) == (200, 201, 201, 201)
    children = {int.from_bytes(row.bytes[20:24], "little") for row in forks}
    assert len(children) == 200
    assert {row.pid for row in execs} == children | {forks[0].pid}
    # a fork is seen before anything of the child
    order = [(row.entry, row.pid) for row in trace.log.rows]
    for row in forks:
        child = int.from_bytes(row.bytes[20:24], "little")
        assert order.index((0, row.pid)) < order.index((1, child))


def test_vfork_and_posix_spawn_are_followed():
    text = "import os\nfor i in range(5): os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)"
    with Trace("tracepoint/sched:sched_process_exec", "tracepoint/sched:sched_process_fork") as trace:
        assert trace.run(*PYTHON, text) == 0
        assert len(trace.rows(0)) == 6
        assert len(trace.rows(1)) == 5


def test_exec_from_a_thread_takes_over_the_process():
    text = (
        "import os, threading, time\n"
        "threading.Thread(target=lambda: time.sleep(60), daemon=True).start()\n"
        "threading.Thread(target=lambda: os.execv('/bin/sh', ['sh', '-c', 'exit 5'])).start()\n"
        "time.sleep(60)"
    )
    with Trace("tracepoint/sched:sched_process_exec", "tracepoint/syscalls:sys_exit_execve") as trace:
        pid = trace.tracer.start((*PYTHON, text))
        assert exit_status(trace.ended(pid)) == 5
        assert trace.tracer.tracees == 0
        rows, ends = trace.rows(0), trace.rows(1)
    last = rows[-1]
    words = [int.from_bytes(last.bytes[i : i + 4], "little") for i in (12, 16)]
    assert words[0] == pid
    assert words[1] not in (0, pid)
    assert (last.comm, last.pid, last.tgid) == (b"sh", pid, pid)
    assert [row.signed[2] for row in ends] == [0, 0]


def test_exec_records_have_the_path_and_fork_records_the_names():
    with Trace("tracepoint/sched:sched_process_exec", "tracepoint/sched:sched_process_fork") as trace:
        trace.run("sh", "-c", "/bin/true; cd /bin; ./true; true")
        execs, forks = trace.rows(0), trace.rows(1)

    def text(row, at):
        location = int.from_bytes(row.bytes[at : at + 4], "little")
        return row.bytes[location & 0xFFFF :][: location >> 16]

    assert [text(row, 8) for row in execs] == [os.fsencode(shutil.which("sh")) + b"\0", b"/bin/true\0", b"./true\0"][: len(execs)]
    assert [(text(row, 8), text(row, 16)) for row in forks] == [(b"sh\0", b"sh\0")] * 2


def test_names_are_those_of_the_moment():
    text = (
        "import ctypes, os\n"
        "os.getppid()\n"
        "ctypes.CDLL(None).prctl(15, b'renamed', 0, 0, 0)\n"
        "os.getppid()\n"
        "os.execv('/bin/sh', ['sh', '-c', 'umask 7'])"
    )
    with Trace("tracepoint/syscalls:sys_enter_getppid", "tracepoint/syscalls:sys_enter_umask") as trace:
        assert trace.run(*PYTHON, text) == 0
        names = [row.comm for row in trace.rows(0)]
        assert {row.comm for row in trace.rows(1)} == {b"sh"}
    assert names[:2] == [os.path.basename(sys.executable).encode(), b"renamed"]


def test_user_ids_change_with_setuid():
    if os.geteuid() != 0:
        pytest.skip("needs root: changes the user id")
    text = "import os; os.getppid(); os.setgid(61201); os.setuid(61202); os.getppid(); os.fork() or os.getppid()"
    with Trace("tracepoint/syscalls:sys_enter_getppid") as trace:
        trace.run(*PYTHON, text)
        assert {(row.uid, row.gid) for row in trace.rows(0)[:1]} == {(0, 0)}
        assert {(row.uid, row.gid) for row in trace.rows(0)[1:]} == {(61202, 61201)}


def test_the_cpu_is_the_tracees_own():
    cpus = sorted(os.sched_getaffinity(0))
    for cpu in cpus[:2]:
        text = f"import os; os.sched_setaffinity(0, [{cpu}]); os.getppid(); os.getppid()"
        with Trace("tracepoint/syscalls:sys_enter_getppid", needs_cpu=True) as trace:
            trace.run(*PYTHON, text)
            assert [row.cpu for row in trace.rows(0)] == [cpu, cpu]


@pytest.mark.parametrize("filter", [True, False])
@pytest.mark.parametrize("hook", ["tracepoint/syscalls:sys_exit_clone", "tracepoint/raw_syscalls:sys_exit"])
def test_a_call_ends_in_the_child_as_well(hook, filter):
    with Trace(hook) as trace:
        trace.run(*PYTHON, "import os; pid = os.fork(); pid and os.waitpid(pid, 0)", filter=filter)
        rows = [row for row in trace.rows(0) if row.words[1] == NUMBERS["clone"]]
    parent, child = sorted(rows, key=lambda row: row.pid)
    assert (parent.words[2], child.words[2]) == (child.pid, 0)


def test_programs_come_and_go_while_a_command_runs():
    text = "import os\nwhile True: os.getppid()"
    with Trace("tracepoint/syscalls:sys_enter_openat") as trace:
        pid = trace.tracer.start((*PYTHON, text))
        try:
            # its filter does not know this call: from here on every call of it stops
            added = trace.add("tracepoint/syscalls:sys_enter_getppid", number=1)
            while added.runs < 10:
                assert state_of(pid) in "RSt"
            trace.tracer.detach_program(added)
            runs = added.runs
            stops = trace.tracer.stops
            assert runs >= 10
            os.kill(pid, 0)
            assert added.runs == runs
            # the filter suffices again
            assert trace.tracer.stops - stops < 100_000
        finally:
            os.kill(pid, 9)
        assert exit_status(trace.ended(pid)) == -9


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_program_that_faults_runs_no_more_and_is_reported():
    with Trace("tracepoint/syscalls:sys_enter_getppid", "tracepoint/syscalls:sys_exit_getppid") as trace:
        trace.log.crash()
        assert trace.run(*PYTHON, "import os; os.getppid(); os.getppid()") == 0
        assert [program.runs for program in trace.programs] == [1, 1]
        faults = [item for item in [*trace.others, *trace.tracer.wait(0)] if item.what == "fault"]
    assert [item.program for item in faults] == trace.programs
    assert faults[0].detail[:3] == (1, 7, 0xDEAD)


def test_a_timer_samples_what_runs_and_leaves_alone_what_waits():
    text = (
        "import os, time\n"
        "end = time.process_time() + 0.4\n"
        "while time.process_time() < end: pass\n"
        "os.getppid(); time.sleep(0.3); os.getppid()"
    )
    with Trace("perf_event/1:0x0", period=5_000_000) as trace:
        trace.add("tracepoint/syscalls:sys_enter_getppid", number=1)
        assert trace.run(*PYTHON, text) == 0
        rows = trace.rows(0)
        kinds = [row.entry for row in trace.log.rows]
    first, second = (at for at, entry in enumerate(kinds) if entry == 1)
    busy, idle = first, second - first - 1
    assert busy > 20
    assert idle < busy / 4
    assert {row.words[21] for row in rows} == {5_000_000}
    assert all(row.words[16] for row in rows)  # the instruction pointer


def test_thirty_two_bit_programs_are_said_to_be_unseen(tmp_path):
    program = tmp_path / "small"
    program.write_bytes(elf32(b"\xb8\x14\0\0\0\xcd\x80\xb8\x01\0\0\0\xbb\x03\0\0\0\xcd\x80"))  # getpid, exit(3)
    program.chmod(0o755)
    try:
        subprocess.run([program], check=False)
    except OSError:
        pytest.skip("this kernel runs no 32-bit programs")
    for filter in (True, False):
        with Trace(ALL) as trace:
            assert exit_status(trace.run(str(program), filter=filter)) == 3
            assert [item.what for item in [*trace.others, *trace.tracer.wait(0)]] == ["compat"]
            assert trace.calls() == {"execve": 1}


def elf32(code):
    """The smallest program file for i386 that runs `code`."""
    base, head = 0x8048000, 84
    number = lambda value, size=4: value.to_bytes(size, "little")  # noqa: E731
    size = head + len(code)
    return (
        b"\x7fELF\x01\x01\x01" + bytes(9) + number(2, 2) + number(3, 2) + number(1) + number(base + head) + number(52)
        + bytes(8) + number(52, 2) + number(32, 2) + number(1, 2) + bytes(6)
        + number(1) + number(0) + number(base) * 2 + number(size) * 2 + number(5) + number(4096) + code
    )  # fmt: skip


def test_all_of_this_holds_for_a_user_without_privilege(as_nobody):
    if not as_nobody:
        pytest.skip("this user has no privilege to lose")
    parts = ("", "_processes", "_killed", "_refusals", "_files", "_keeper", "_containers")
    files = [str(Path(__file__).with_name(f"test_tracer{part}.py")) for part in parts]
    some = "True or stopped or threads or vfork or thread or attached or killed or terminal or error or refused or timer"
    result = subprocess.run(
        [*as_nobody, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", some, *files],
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "TMPDIR": "/tmp", "HOME": "/tmp"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout


def test_names_of_calls_are_one_to_one():
    assert len(NAMES) == len(NUMBERS)


OWN_FILTER = r"""
import ctypes, errno, os, struct
libc = ctypes.CDLL(None, use_errno=True)
# getuid: SECCOMP_RET_TRACE, getgid: SECCOMP_RET_ERRNO of EPERM, all else is allowed
code = struct.pack("=" + "HBBI" * 6, 0x20, 0, 0, 0, 0x15, 0, 1, 102, 6, 0, 0, 0x7FF00000, 0x15, 0, 1, 104, 6, 0, 0, 0x50001,
                   6, 0, 0, 0x7FFF0000)
text = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", 6, ctypes.addressof(text)))
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, program) == 0
for _ in range(3):
    assert libc.syscall(102) == -1 and ctypes.get_errno() == errno.ENOSYS
    assert libc.syscall(104) == -1 and ctypes.get_errno() == errno.EPERM
    os.getppid()
"""


@pytest.mark.parametrize("filter", [True, False])
@pytest.mark.parametrize("hook", [ALL, "tracepoint/syscalls:sys_enter_getppid"])
def test_a_filter_of_the_commands_own_does_what_it_does_without_a_tracer(hook, filter):
    """SECCOMP_RET_TRACE without a tracer is ENOSYS; a sandbox may count on it."""
    with Trace(hook) as trace:
        assert trace.run(*PYTHON, OWN_FILTER, filter=filter) == 0
        assert trace.calls()["getppid"] == 3
