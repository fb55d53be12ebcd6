"""What a user of the command line reads when a program is wrong: the exact texts, and never a traceback."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from skep.engine.kernel.tracefs import find_mount

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Skep

    RunText = Callable[[str, str], str]

pytestmark = pytest.mark.kernel  # the engine is opened before the text is compiled

HAS_KPROBES = os.path.exists("/sys/bus/event_source/devices/kprobe")


@pytest.fixture
def run_text(skep: Skep, tmp_path: Path) -> RunText:
    """Runs a BCC script around a C text and gives what it writes to stderr, as if the script were `script.py`."""

    def run(text: str, then: str = "") -> str:
        (tmp_path / "script.py").write_text(f'from bcc import BPF\n\nb = BPF(text=r"""{text}""")\n{then}')
        done = skep("run", "script.py", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
        return done.stderr

    return run


# The slips of the mission's document, and those that people make next.
SLIPS = {
    "hash sign for a comment": (
        """
# BPF_HASH is a BCC  macro that is used to create Hash.
BPF_HASH(counter_table);
""",
        """\
<text>:2:1: error: '#' starts a preprocessor directive in C, and 'BPF_HASH' is not one; comments are '// ...' or '/* ... */'
    2 | # BPF_HASH is a BCC  macro that is used to create Hash.
      | ^~~~~~~~~~
""",
    ),
    "several hash signs in a row": (
        """
int hello(void *ctx) {
   # bpf_get_current_uid_get() returns the UID (User ID) as well as the PID (process ID)
   # of the current process.
   return 0;
}
""",
        """\
<text>:3:4: error: '#' starts a preprocessor directive in C, and 'bpf_get_current_uid_get' is not one; \
comments are '// ...' or '/* ... */' (also in the line below)
    3 |    # bpf_get_current_uid_get() returns the UID (User ID) as well as the PID (process ID)
      |    ^~~~~~~~~~~~~~~~~~~~~~~~~
""",
    ),
    "missing quote": (
        """
int hello_execve(void *ctx){
    bpf_trace_printk("Executing a program);
    return 0;
}
""",
        """\
<text>:3:22: error: missing closing '"'
    3 |     bpf_trace_printk("Executing a program);
      |                      ^
""",
    ),
    "missing semicolon after a statement": (
        """
int hello(void *ctx){
    if (ctx) {
        bpf_trace_printk("Some other timer operation")
    }
    return 0;
}
""",
        """\
<text>:4:54: error: missing ';' after the statement
    4 |         bpf_trace_printk("Some other timer operation")
      |                                                      ^
""",
    ),
    "missing semicolon after return": (
        """
int ignore_opcode(void *ctx){
    return 0
}
""",
        """\
<text>:3:12: error: missing ';' after the return statement
    3 |     return 0
      |            ^
""",
    ),
    "helper that does not exist": (
        """
int hello(void *ctx) {
    u64 uid = bpf_get_current_uid_get();
    return 0;
}
""",
        """\
<text>:3:15: error: the kernel has no helper 'bpf_get_current_uid_get'; did you mean 'bpf_get_current_uid_gid'?
    3 |     u64 uid = bpf_get_current_uid_get();
      |               ^~~~~~~~~~~~~~~~~~~~~~~
""",
    ),
    "undeclared variable": (
        """
BPF_HASH(counts);
int hello(void *ctx) {
    u64 uid = 0;
    counts.increment(uit);
    return 0;
}
""",
        """\
<text>:5:22: error: 'uit' is not declared; did you mean 'uid'?
    5 |     counts.increment(uit);
      |                      ^~~
""",
    ),
    "wrong member": (
        """
struct data_t { int pid; char command[16]; };
int hello(void *ctx) {
    struct data_t data = {};
    data.comand[0] = 0;
    return 0;
}
""",
        """\
<text>:5:10: error: 'struct data_t' has no member 'comand'; did you mean 'command'?
    5 |     data.comand[0] = 0;
      |          ^~~~~~
<text>:2:1: note: 'struct data_t' is defined here
    2 | struct data_t { int pid; char command[16]; };
      | ^~~~~~
""",
    ),
    "value where a map method wants a pointer": (
        """
BPF_HASH(counts);
int hello(void *ctx) {
    u64 uid = 0;
    u64 *p = counts.lookup(uid);
    return p != 0;
}
""",
        """\
<text>:5:28: error: counts.lookup() wants a pointer to the key, 'u64 *', not 'u64' itself; write '&uid'
    5 |     u64 *p = counts.lookup(uid);
      |                            ^~~
""",
    ),
    "stack over 512 bytes": (
        """
BPF_HASH(sums);
int hello(void *ctx) {
    char buffer[600] = {};
    u64 key = 0, sum = 0;
    bpf_get_current_comm(buffer, sizeof(buffer));
    for (int i = 0; i < 600; i++)
        sum += buffer[i];
    sums.update(&key, &sum);
    return 0;
}
""",
        """\
<text>:3:5: error: 'hello' needs 616 bytes of stack, and BPF has 512; keep large data in a BPF_PERCPU_ARRAY and use the pointer \
that lookup() gives
    3 | int hello(void *ctx) {
      |     ^~~~~
<text>:4:10: note: 'buffer' takes 600 bytes
    4 |     char buffer[600] = {};
      |          ^~~~~~
""",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slip_in_the_c_text_is_explained_at_its_place(run_text: RunText, slip: str) -> None:
    text, expected = SLIPS[slip]
    assert run_text(text, "") == f"{expected}skep: raised at script.py:3\n"


def test_several_slips_are_told_in_one_run(run_text: RunText) -> None:
    told = run_text("\nint one(void *ctx) {\n    return 0\n}\nint two(void *ctx) {\n    return x;\n}\n", "")
    assert [line for line in told.splitlines() if "error:" in line] == [
        "<text>:3:12: error: missing ';' after the return statement",
        "<text>:6:12: error: 'x' is not declared",
    ]


def test_program_that_the_verifier_refuses_names_the_line_of_c(run_text: RunText) -> None:
    told = run_text(
        """
BPF_HASH(counts);
int hello(void *ctx) {
    u64 key = 1;
    u64 *value = counts.lookup(&key);
    *value += 1;
    return 0;
}
""",
        'b.attach_raw_tracepoint(tp="sys_enter", fn_name="hello")\n',
    ).splitlines()
    at = [line.startswith("skep: error: ") for line in told].index(True)  # the compiler may warn of it before
    assert told[at : at + 2] == [
        "skep: error: the kernel refuses program 'hello' (raw_tracepoint): R0 invalid mem access 'map_value_or_null'",
        "  C line:      *value += 1; @ <text>:6",
    ]
    assert "  hint:        a lookup may find nothing: test the pointer before it is used, `if (!value) return 0;`" in told
    assert told[-1] == "skep: raised at script.py:12"


def test_function_that_does_not_exist_lists_the_rungs_and_their_reasons(run_text: RunText) -> None:
    text = "int hello(void *ctx) { return 0; }"
    told = run_text(text, 'b.attach_kprobe(event="no_such_function_here", fn_name="hello")\n')
    assert told.startswith("skep: error: cannot attach to kprobe:no_such_function_here; tried:\n  perf kprobe PMU: ")
    assert "\n  tracefs kprobe_events: " in told
    if not HAS_KPROBES:
        assert told == (
            "skep: error: cannot attach to kprobe:no_such_function_here; tried:\n"
            "  perf kprobe PMU: not in this kernel (no /sys/bus/event_source/devices/kprobe)\n"
            "  tracefs kprobe_events: not in this kernel (CONFIG_KPROBE_EVENTS is off)\n"
            "  tracepoint syscalls:sys_enter_no_such_function_here: no_such_function_here is not the function of a system call\n"
            "  fentry: no function no_such_function_here in the kernel's BTF\n"
            "skep: raised at script.py:4\n"
        )


def test_program_that_does_not_exist_names_the_near_one(run_text: RunText) -> None:
    told = run_text("int hello(void *ctx) { return 0; }", 'b.attach_kprobe(event="x", fn_name="helo")\n')
    assert told == "skep: error: there is no program 'helo'; did you mean 'hello'?\nskep: raised at script.py:4\n"


def test_map_that_does_not_exist_names_the_near_one(run_text: RunText) -> None:
    told = run_text("BPF_HASH(counts);", 'b["count"]\n')
    assert told == "skep: error: there is no map 'count'; did you mean 'counts'?\nskep: raised at script.py:4\n"


def test_debug_shows_the_traceback_of_a_compiler_error(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("from bcc import BPF\nBPF(text='int')\n")
    done = skep("run", "script.py", cwd=tmp_path, env={"SKEP_DEBUG": "1"})
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "skep.errors.CompileError" in done.stderr


def test_cc_reports_errors_with_the_file_name_and_fails(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "slip.c").write_text("int hello(void *ctx) {\n    return uit;\n}\n")
    done = skep("cc", "slip.c", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "slip.c:2:12: error: 'uit' is not declared\n    2 |     return uit;\n      |            ^~~\n"
    assert not (tmp_path / "slip.o").exists()


def test_tracepoint_that_does_not_exist_names_the_near_one(run_text: RunText) -> None:
    told = run_text("int hello(void *ctx) { return 0; }", 'b.attach_tracepoint(tp="sched:sched_swich", fn_name="hello")\n')
    assert told == (
        "skep: error: cannot attach to tracepoint:sched:sched_swich: tracepoint sched:sched_swich: "
        "this kernel has no event 'sched_swich' in category 'sched'\n"
        "  did you mean sched:sched_switch?\n"
        "skep: raised at script.py:4\n"
    )


def test_raw_tracepoint_that_does_not_exist_names_the_near_one(run_text: RunText) -> None:
    told = run_text("int hello(void *ctx) { return 0; }", 'b.attach_raw_tracepoint(tp="sched_swich", fn_name="hello")\n')
    assert told == (
        "skep: error: cannot attach to raw_tracepoint:sched_swich: raw tracepoint sched_swich: "
        "this kernel has no tracepoint of that name: ENOENT (No such file or directory)\n"
        "  did you mean sched_switch?\n"
        "skep: raised at script.py:4\n"
    )


def test_capabilities_without_tracefs_name_the_missing_one(skep: Skep) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv (util-linux): gives a process some capabilities only")
    some = "-all,+bpf,+perfmon,+dac_read_search"
    before = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={some}", f"--ambient-caps={some}")
    done = skep("run", "-d", "5", "examples/hello_map.py", before=before)
    if find_mount():
        assert (done.stderr, done.returncode) == ("", 0)
        return
    assert done.stderr == (
        "skep: error: tracefs cannot be used: it is not mounted, and a private mount gives EPERM (Operation not permitted); it "
        "needs CAP_SYS_ADMIN; run as root (sudo), or give the interpreter the capabilities: setcap cap_sys_admin+ep "
        "$(readlink -f $(command -v python3))\nskep: raised at examples/hello_map.py:14\n"
    )
