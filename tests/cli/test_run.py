"""`skep run` around a script: arguments, ends, exit statuses, the command of -c. No BPF program takes part here."""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap
from typing import TYPE_CHECKING

import pytest
from waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Skep

    Script = Callable[[str], str]
    Words = tuple[str, ...]

FOREVER = """
import time
print("ready", flush=True)
while True:
    time.sleep(10)
"""


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def write(text: str) -> str:
        path = tmp_path / "script.py"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture(params=["kernel", "user"])
def engine(request: pytest.FixtureRequest) -> Words:
    """Words for `skep run`: the command of -c is started by the supervisor, or traced by the user engine."""
    return ("--engine", request.param)


def running(marker: str) -> list[list[bytes]]:
    """The words of the processes whose command line holds the marker."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                if any(marker.encode() in word for word in words) and int(name) != os.getpid():
                    found.append(words)
            except OSError:
                continue
    return found


def test_script_is_main_with_its_own_arguments_and_folder(skep: Skep, script: Script, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'beside'")
    path = script("import sys, beside\nprint(__name__, sys.argv, __file__, beside.NAME, sys.modules['__main__'].beside.NAME)")
    done = skep("run", path, "-c", "x", "--engine", "y")
    assert done.stdout == f"__main__ {[path, '-c', 'x', '--engine', 'y']} {path} beside beside\n"
    assert (done.stderr, done.returncode) == ("", 0)


def test_import_bcc_is_skeps_even_beside_a_folder_named_bcc(skep: Skep, script: Script, tmp_path: Path) -> None:
    (tmp_path / "bcc").mkdir()
    done = skep("run", script("import bcc\nfrom bcc import BPF\nimport skep\nprint(bcc.BPF is BPF, issubclass(BPF, skep.BPF))"))
    assert (done.stdout, done.stderr) == ("True True\n", "")


@pytest.mark.parametrize(
    ("text", "status", "stderr"),
    [
        ("raise SystemExit(7)", 7, ""),
        ("import sys; sys.exit('gone')", 1, "gone\n"),
        ("exit()", 0, ""),
        ("import os; os._exit(9)", 9, ""),
    ],
)
def test_exit_status_is_the_scripts(skep: Skep, script: Script, text: str, status: int, stderr: str) -> None:
    done = skep("run", script(text))
    assert (done.returncode, done.stderr) == (status, stderr)


def test_scripts_own_exception_shows_the_scripts_frames_only(skep: Skep, script: Script) -> None:
    path = script("def f():\n    raise ValueError('boom')\n\nf()\n")
    done = skep("run", path)
    assert done.returncode == 1
    assert done.stderr == (
        "Traceback (most recent call last):\n"
        f'  File "{path}", line 4, in <module>\n    f()\n'
        f"  File \"{path}\", line 2, in f\n    raise ValueError('boom')\n"
        "ValueError: boom\n"
    )


def test_syntax_error_of_a_script_is_shown_as_python_shows_it(skep: Skep, script: Script) -> None:
    path = script("x = (\n")
    done = skep("run", path)
    assert done.returncode == 1
    assert done.stderr == f"  File \"{path}\", line 1\n    x = (\n        ^\nSyntaxError: '(' was never closed\n"


def test_error_of_skep_in_a_script_is_one_line_and_its_place(skep: Skep, script: Script) -> None:
    path = script("from skep.errors import SkepError\n\nraise SkepError('no such thing')\n")
    done = skep("run", path)
    assert (done.returncode, done.stderr) == (1, f"skep: error: no such thing\nskep: raised at {path}:3\n")


def test_debug_shows_the_traceback_of_an_error(skep: Skep, script: Script) -> None:
    done = skep("run", script("from skep.errors import SkepError\nraise SkepError('no such thing')\n"), env={"SKEP_DEBUG": "1"})
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("skep.errors.SkepError: no such thing\n")


def test_missing_script_is_an_error_without_traceback(skep: Skep) -> None:
    done = skep("run", "/nonexistent/script.py")
    assert done.returncode == 1
    assert done.stderr == "skep: error: cannot read the script '/nonexistent/script.py': No such file or directory\n"


def in_time(skep: Skep, *words: str, until: str) -> subprocess.CompletedProcess[str]:
    """`skep run -d` with a time that is long enough for the script to print `until`: a busy machine needs more of it."""
    for seconds in ("1.5", "10", "60"):
        done = skep("run", "-d", seconds, *words)
        if until in done.stdout:
            break
    return done


def test_duration_ends_the_script_with_status_0(skep: Skep, script: Script) -> None:
    done = in_time(skep, script(FOREVER), until="ready")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")


def test_duration_reaches_the_script_as_keyboard_interrupt(skep: Skep, script: Script) -> None:
    text = "import time\ntry:\n    time.sleep(200)\nexcept KeyboardInterrupt:\n    print('last')\n    raise SystemExit(3)"
    done = in_time(skep, script(text), until="last")
    assert (done.stdout, done.returncode) == ("last\n", 3)


@pytest.mark.parametrize("duration", ["0", "-1", "x", "nan"])
def test_duration_that_is_no_time_is_refused(skep: Skep, duration: str) -> None:
    done = skep("run", f"-d{duration}", "x.py")
    assert done.returncode == 2
    assert "argument -d" in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_runs_finally_and_atexit_and_sets_the_status(skep: Skep, script: Script, number: int, status: int) -> None:
    loop = textwrap.indent(FOREVER, "    ")
    path = script(f"import atexit\natexit.register(print, 'atexit')\ntry:{loop}finally:\n    print('finally')\n")
    process = skep.start("run", path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, err, process.returncode) == ("finally\natexit\n", "", status)


def test_reader_that_goes_away_is_no_traceback(skep: Skep, script: Script) -> None:
    path = script("while True:\n    print('line', flush=True)\n")
    process = skep.start("run", path)
    assert process.stdout is not None
    assert process.stdout.readline() == "line\n"
    process.stdout.close()
    assert process.wait(PATIENCE) == 141
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


def test_command_starts_when_the_script_waits_and_ends_it(skep: Skep, engine: Words, script: Script, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = script(
        "import os, time\n"
        "deadline = time.monotonic() + 0.5\n"
        "while time.monotonic() < deadline:\n    pass\n"  # computing, as a compiler does
        f"print('before', os.path.exists({str(mark)!r}), flush=True)\n"
        f"try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('after', os.path.exists({str(mark)!r}))\n"
    )
    done = skep("run", *engine, "-c", f"touch {mark}", path)
    assert (done.stdout, done.stderr, done.returncode) == ("before False\nafter True\n", "", 0)


def test_command_is_split_in_words_and_no_shell_reads_it(skep: Skep, engine: Words, script: Script) -> None:
    done = skep("run", *engine, "-c", """printf '%s|' 'a b' $HOME "c;d" """, script(FOREVER))
    assert done.stdout == "ready\na b|$HOME|c;d|"


def test_process_group_of_the_command_ends_with_the_script(skep: Skep, engine: Words, script: Script) -> None:
    marker = f"86{os.getpid()}.5"
    process = skep.start("run", *engine, "-c", f"sh -c 'sleep {marker} & sleep {marker}'", script(FOREVER))
    eventually(lambda: [words[0] for words in running(marker)].count(b"sleep") == 2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert running(marker) == []


def test_command_ends_even_when_skep_is_killed(skep: Skep, engine: Words, script: Script) -> None:
    marker = f"87{os.getpid()}.5"
    process = skep.start("run", *engine, "-c", f"sleep {marker}", script(FOREVER))
    eventually(lambda: any(words[0] == b"sleep" for words in running(marker)))
    process.kill()
    process.communicate()
    eventually(lambda: not running(marker))


def test_command_that_does_not_exist_is_told_before_the_script_starts(skep: Skep, engine: Words, script: Script) -> None:
    done = skep("run", *engine, "-c", "no-such-command -x", script(FOREVER), env={"PATH": "/bin:/usr/bin"})
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == "skep: error: -c: there is no command 'no-such-command' (PATH is /bin:/usr/bin)\n"


def test_command_that_cannot_start_is_an_error(skep: Skep, engine: Words, script: Script, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF and no more")
    broken.chmod(0o755)
    done = skep("run", *engine, "-c", str(broken), script(FOREVER))
    assert (done.stdout, done.returncode) == ("ready\n", 1)
    assert done.stderr == f"skep: error: -c: cannot start '{broken}': ENOEXEC (Exec format error)\n"


def test_command_that_was_never_started_is_told(skep: Skep, engine: Words, script: Script) -> None:
    done = skep("run", *engine, "-c", "true", script("print('done')"))
    assert (done.stdout, done.returncode) == ("done\n", 1)
    assert done.stderr == "skep: error: -c: 'true' was not started: the script ended before it waited for events\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [("", "-c: the command is empty"), ("sh -c 'x", '-c: cannot split "sh -c \'x" into words: No closing quotation')],
)
def test_command_that_is_no_command_is_an_error(skep: Skep, script: Script, command: str, message: str) -> None:
    done = skep("run", "--engine", "kernel", "-c", command, script(FOREVER))
    assert (done.stdout, done.stderr, done.returncode) == ("", f"skep: error: {message}\n", 1)


def test_script_started_with_interrupts_ignored_still_ends_in_time(skep: Skep, script: Script) -> None:
    """A shell without job control starts `skep run ... &` with SIGINT ignored."""
    for seconds in ("1.5", "10", "60"):  # what a busy machine needs to begin
        words = " ".join(f"'{word}'" for word in (*skep.command, "run", "-d", seconds, script(FOREVER)))
        shell = ["sh", "-c", f"{words} & wait $!"]
        done = subprocess.run(shell, env=skep.environment, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
        if done.stdout:
            break
    assert (done.stdout, done.stderr, done.returncode) == ("ready\n", "", 0)


def test_pid_is_refused_with_the_kernel_engine(skep: Skep, script: Script) -> None:
    done = skep("run", "--engine", "kernel", "-p", "1", script(FOREVER))
    assert done.returncode == 1
    assert done.stderr == (
        "skep: error: -p 1: only the user engine traces one process; the kernel engine sees every process of the machine "
        "(filter in the program, with bpf_get_current_pid_tgid()). Give --engine user, or leave -p out\n"
    )


def test_fork_of_the_script_does_not_end_the_time(skep: Skep, engine: Words, script: Script) -> None:
    text = """
import os, sys, time
if os.fork() == 0:
    sys.exit(5)
print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
try:
    time.sleep(200)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = in_time(skep, *engine, script(text), until="interrupted")
    assert (done.stdout, done.stderr, done.returncode) == ("5\ninterrupted\n", "", 0)


def test_script_that_leaves_a_child_behind_ends_the_supervisor(skep: Skep, engine: Words, script: Script) -> None:
    marker = f"88{os.getpid()}.5"
    text = """
import os, time
if os.fork() == 0:
    os.closerange(0, 3)
    time.sleep(3)
    os._exit(0)
time.sleep(2)
os._exit(4)
"""
    done = skep("run", *engine, "-d", "60", "-c", f"sleep {marker}", script(text))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 4)
    eventually(lambda: not running(marker))


def test_script_that_becomes_another_program_is_that_program(skep: Skep, script: Script) -> None:
    done = skep("run", "-d", "120", script("import os\nos.execvp('echo', ['echo', 'other'])\n"))
    assert (done.stdout, done.stderr, done.returncode) == ("other\n", "", 0)


def test_error_of_the_script_shows_the_script_s_frames_only(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import skep.bcc.utils as utils\n\n\nclass File:\n    def flush(self):\n        1 // 0\n\n\nutils.printb(b'', File())\n"
    )
    done = skep("run", "script.py", cwd=tmp_path)
    assert [line for line in done.stderr.splitlines() if line.startswith("  File")] == [
        '  File "script.py", line 9, in <module>',
        '  File "script.py", line 6, in flush',
    ]
    assert done.stderr.endswith("ZeroDivisionError: integer division or modulo by zero\n")
    assert "skep/bcc/utils.py" in skep("run", "script.py", cwd=tmp_path, env={"SKEP_DEBUG": "1"}).stderr


def test_fault_of_skep_s_own_is_one_line_that_asks_for_a_report(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("from skep.bcc import utils\nutils.printb(b'5', None)\n")
    done = skep("run", "script.py", cwd=tmp_path)
    assert done.stderr.startswith("skep: error: this is a fault of Skep itself (utils.py:")
    assert done.stderr.endswith(
        "): AttributeError: 'NoneType' object has no attribute 'flush'; please report it, with what SKEP_DEBUG=1 shows\n"
        "skep: raised at script.py:2\n"
    )
    assert done.returncode == 1
    assert "Traceback" in skep("run", "script.py", cwd=tmp_path, env={"SKEP_DEBUG": "1"}).stderr


@pytest.mark.parametrize("duration", ["0", "-1", "nan", "inf", "x"])
def test_duration_is_a_time(skep: Skep, script: Script, duration: str) -> None:
    done = skep("run", f"-d{duration}", script(FOREVER))
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: argument -d: {duration} is not a time in seconds above 0\n")


def test_file_that_is_no_script_is_named(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_bytes(b"\0\1\2")
    done = skep("run", "x.py", cwd=tmp_path)
    assert done.stderr == "skep: error: 'x.py' is no Python script: source code string cannot contain null bytes\n"
