"""What tests of the tracer are made of: a program that logs its events, a tracer that runs it, processes to trace."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from waiting import PATIENCE, eventually

from skep.engine import Hook
from skep.engine.user.events import resolve
from skep.engine.user.layout import Env
from skep.engine.user.syscalls_x86_64 import system_calls
from skep.engine.user.tracer import Tracer
from skep.native import NativeCode, compile_file

PYTHON = (sys.executable, "-S", "-c")
GETPPID = "tracepoint/syscalls:sys_enter_getppid"
# a process that makes a system call all the time, in two threads, and counts its rounds and signals in a file
BUSY = """
import mmap, os, signal, sys, threading, time
memory = memoryview(mmap.mmap(int(sys.argv[1]), 16)).cast("Q")
def count(*_): memory[1] += 1
signal.signal(signal.SIGUSR1, count)
def work():
    while True: os.getppid(); time.sleep(0.0005)
threading.Thread(target=work, daemon=True).start()
parent = os.getppid()
while os.getppid() == parent:
    memory[0] += 1
"""
RUNTIME = Path(__file__).resolve().parents[1] / "src/skep/engine/user/runtime"
ENTRIES = 8
ROWS = 1 << 16
NUMBERS = {name: number for name, (number, _) in system_calls().items()}
NAMES = {number: name for name, number in NUMBERS.items()}

_TEXT = """
#include "%s/env.h"
struct row { u32 entry, pid, tgid, uid, gid, cpu, parent, size; char comm[16]; u64 words[48]; };
struct row rows[%d] = {{1}};
u64 total = 0;
u64 crash = 0;
static u64 note(u32 entry, u64 *ctx, struct skep_env *env)
{
	struct row *row = &rows[total++ & %d];
	struct skep_task *task = env->task;
	row->entry = entry;
	row->pid = task->pid;
	row->tgid = task->tgid;
	row->uid = task->uid;
	row->gid = task->gid;
	row->cpu = task->cpu;
	row->parent = task->parent;
	row->size = env->ctx_size;
	__builtin_memcpy(row->comm, task->comm, 16);
	for (u64 i = 0; i < 48 && i * 8 < env->ctx_size; i++)
		row->words[i] = ctx[i];
	if (crash) {
		env->fault = crash;
		env->fault_insn = 7;
		env->fault_address = 0xdead;
	}
	return 0;
}
%s
"""


class Row(ctypes.Structure):
    """One event, as the program saw it."""

    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("entry", "pid", "tgid", "uid", "gid", "cpu", "parent", "size")),
        ("comm", ctypes.c_char * 16),
        ("words", ctypes.c_uint64 * 48),
    ]

    @property
    def signed(self):
        """The words as signed numbers."""
        return [ctypes.c_int64(word).value for word in self.words]

    @property
    def bytes(self):
        return bytes(self.words)[: self.size]


@functools.cache
def _log_object() -> bytes:
    entries = "\n".join(
        f"u64 entry{i}(void *ctx, struct skep_env *env) {{ return note({i}, ctx, env); }}" for i in range(ENTRIES)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.c")
        path.write_text(_TEXT % (RUNTIME, ROWS, ROWS - 1, entries))
        return compile_file(str(path))


class Log:
    """Machine code with entries that log; `rows` are what they saw."""

    def __init__(self):
        self.code = NativeCode(_log_object())

    def entry(self, number):
        return self.code.address(f"entry{number}")

    @property
    def total(self):
        return ctypes.c_uint64.from_address(self.code.address("total")).value

    @property
    def rows(self):
        """In the order in which they came; of more than ROWS, the last ones in no order."""
        return (Row * min(self.total, ROWS)).from_address(self.code.address("rows"))

    def crash(self):
        ctypes.c_uint64.from_address(self.code.address("crash")).value = 1


class Trace:
    """A tracer with logging programs at some hooks, written "family/target"; `rows(i)` are what the i-th saw."""

    def __init__(self, *hooks, needs_cpu=False, **options):
        self.log = Log()
        self.env = Env()
        self.tracer = Tracer(self.env)
        try:
            self.programs = [self.add(hook, needs_cpu=needs_cpu, number=i, **options) for i, hook in enumerate(hooks)]
        except BaseException:
            self.tracer.close()
            raise
        self.others = []

    def add(self, hook, *, number, needs_cpu=False, **options):
        family, _, target = hook.partition("/")
        event = resolve(Hook(family, target, **options))
        return self.tracer.attach_program(event, self.log.entry(number), needs_cpu=needs_cpu)

    def run(self, *argv, **options):
        """Run a command to the end of all of its processes: the wait status of its first."""
        pid = self.tracer.start(argv, **options)
        status = self.ended(pid)
        eventually(lambda: self.tracer.tracees == 0)
        return status

    def ended(self, pid):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for item in self.tracer.wait(deadline - time.monotonic()):
                if item.what == "ended" and item.pid == pid:
                    return item.status
                self.others.append(item)
        raise AssertionError(f"{pid} has not ended: {state(pid)}, {self.tracer.tracees} tracees")

    def rows(self, number):
        return [row for row in self.log.rows if row.entry == number]

    def calls(self, number=0):
        """Counts by name of system call, of a raw_syscalls or syscalls record."""
        found = {}
        for row in self.rows(number):
            name = NAMES.get(row.words[1], str(row.words[1]))
            found[name] = found.get(name, 0) + 1
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tracer.close()


def state(pid):
    """The letter of a process's state, or an empty string."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def tracer_of(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("TracerPid:"):
            return int(line.split()[1])
    raise AssertionError


def exit_status(status):
    return os.waitstatus_to_exitcode(status)


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Busy:
    """A process that is not the tracer's own."""

    def __init__(self):
        with tempfile.TemporaryFile() as file:
            file.truncate(16)
            self.memory = memoryview(mmap.mmap(file.fileno(), 16)).cast("Q")
            self.process = subprocess.Popen([*PYTHON, BUSY, str(file.fileno())], pass_fds=[file.fileno()])
        self.pid = self.process.pid
        self.assert_running()

    @property
    def signals(self):
        return self.memory[1]

    def assert_running(self):
        before = self.memory[0]
        eventually(lambda: self.memory[0] > before + 20)

    def assert_untouched(self):
        self.assert_running()
        assert tracer_of(self.pid) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class open_pipe:
    def __enter__(self):
        self.ends = os.pipe()
        return self.ends

    def __exit__(self, *_):
        for fd in self.ends:
            os.close(fd)
