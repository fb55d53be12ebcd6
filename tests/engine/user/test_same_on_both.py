"""The same scripts on both engines over the same command: the same maps, events and lines."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from skep import BPF

if TYPE_CHECKING:
    from collections.abc import Callable

# What the command does is known to the last call of the kinds that are looked at.
WORK = """
import os, sys, time
for _ in range(25):
    os.getppid()
with open("/dev/null", "wb", 0) as file:
    for size in (1, 10, 100, 1000, 1, 7):
        file.write(b"skep" * size)
for name in ("/nowhere/skep-1", "/nowhere/skep-2", "/nowhere/" + "x" * 100):
    try:
        os.open(name, os.O_RDONLY)
    except OSError:
        pass
for number in (1, 2):
    child = os.fork()
    if not child:
        for _ in range(10 * number):
            os.getppid()
        os._exit(number)
    os.waitpid(child, 0)
os.waitpid(os.posix_spawn(sys.argv[1], [sys.argv[1], "one", "two"], {}), 0)
time.sleep(0.002)
time.sleep(0.003)
os.kill(os.getpid(), 0)
"""


MINE = """
static __always_inline int mine(void) { u64 name[2] = {}; bpf_get_current_comm(name, sizeof(name)); return name[0] == %#xULL; }
#define MINE mine()
#define NAME "%s"
"""


class Script:
    """A text (its programs find their hooks by their names), what else to do before, and what is compared afterwards."""

    def __init__(
        self, name: str, text: str, found: Callable[[BPF, list[Any]], Any], before: Callable[[BPF, list[Any]], None] | None = None
    ) -> None:
        self.name = name
        self.text = text
        self.found = found
        self.before = before


def ranked(counts: dict[int, Any]) -> list[Any]:
    """Values in the order of the process ids, which are others in each run."""
    return [counts[pid] for pid in sorted(counts)]


def plain(table: Any) -> dict[Any, Any]:
    return {key.value: value.value for key, value in table.items()}


def attach(kind: str, call: str, function: str) -> Callable[[BPF, list[Any]], None]:
    def run(b: BPF, events: list[Any]) -> None:
        getattr(b, f"attach_{kind}")(event=b.get_syscall_fnname(call), fn_name=function)

    return run


def open_perf(table: str, fields: tuple[str, ...]) -> Callable[[BPF, list[Any]], None]:
    def run(b: BPF, events: list[Any]) -> None:
        def on_event(cpu: int, data: Any, size: int) -> None:
            event = b[table].event(data)
            events.append(tuple(getattr(event, field) for field in fields))

        b[table].open_perf_buffer(on_event)

    return run


def open_ring(table: str, fields: tuple[str, ...]) -> Callable[[BPF, list[Any]], None]:
    def run(b: BPF, events: list[Any]) -> None:
        def on_event(ctx: Any, data: Any, size: int) -> None:
            event = b[table].event(data)
            events.append(tuple(getattr(event, field) for field in fields))

        b[table].open_ring_buffer(on_event)

    return run


def read_perf(b: BPF, events: list[Any]) -> list[Any]:
    while b.perf_buffer_poll(0):
        pass
    b.perf_buffer_consume()
    return sorted(events)


def read_rings(b: BPF, events: list[Any]) -> list[Any]:
    b.ring_buffer_consume()
    return events


def all_of(*steps: Callable[[BPF, list[Any]], None]) -> Callable[[BPF, list[Any]], None]:
    def run(b: BPF, events: list[Any]) -> None:
        for step in steps:
            step(b, events)

    return run


def read_lines(b: BPF, events: list[Any]) -> list[bytes]:
    name = f"s{os.getpid():07d} ".encode()
    lines = []
    while True:
        fields = b.trace_fields(nonblocking=True)
        if fields[0] is None:
            return lines
        if fields[5].startswith(name):
            lines.append(fields[5])


def differences(b: BPF, events: list[Any]) -> Any:
    took = [pair.value for pair in b["took"].values()]
    assert all(1_000_000 < time < 60_000_000_000 for time in took), took
    return len(took)


def load_tails(b: BPF, events: list[Any]) -> None:
    for number, name in ((39, "on_getpid"), (110, "on_getppid"), (62, "on_kill")):
        b["tails"][number] = b.load_func(name, BPF.RAW_TRACEPOINT)
    b.attach_raw_tracepoint("sys_enter", "dispatch")


SCRIPTS = [
    Script(
        "hash by process, kprobe",
        """
        BPF_HASH(calls, u32);
        int count(struct pt_regs *ctx) {
            u32 pid = bpf_get_current_pid_tgid() >> 32;
            if (MINE) calls.increment(pid);
            return 0;
        }""",
        lambda b, _: ranked(plain(b["calls"])),
        attach("kprobe", "getppid", "count"),
    ),
    Script(
        "array and histogram, tracepoint with arguments",
        """
        BPF_ARRAY(sums, u64, 3); BPF_HISTOGRAM(sizes);
        TRACEPOINT_PROBE(syscalls, sys_enter_write) {
            if (!MINE) return 0;
            int bytes = 0, calls = 1, fds = 2;
            sums.increment(bytes, args->count); sums.increment(calls); sums.increment(fds, args->fd);
            sizes.increment(bpf_log2l(args->count));
            return 0;
        }""",
        lambda b, _: ([value.value for value in b["sums"].values()], plain(b["sizes"])),
    ),
    Script(
        "per-CPU array, raw tracepoint sys_enter",
        """
        BPF_PERCPU_ARRAY(calls, u64, 512);
        RAW_TRACEPOINT_PROBE(sys_enter) {
            int id = ctx->args[1];
            if (MINE && (id == 110 || id == 62)) calls.increment(id);
            return 0;
        }""",
        lambda b, _: {number: sum(b["calls"][number]) for number in (62, 110)},
    ),
    Script(
        "perf output of file names, syscall__ arguments",
        """
        struct event { int flags; char comm[16]; char name[40]; };
        BPF_PERF_OUTPUT(events);
        int syscall__openat(struct pt_regs *ctx, int folder, const char __user *name, int flags) {
            struct event event = {};
            if (!MINE) return 0;
            bpf_probe_read_user_str(event.name, sizeof(event.name), name);
            if (event.name[0] != '/' || event.name[1] != 'n') return 0;
            event.flags = flags & 3;
            bpf_get_current_comm(event.comm, sizeof(event.comm));
            events.perf_submit(ctx, &event, sizeof(event));
            return 0;
        }""",
        read_perf,
        all_of(attach("kprobe", "openat", "syscall__openat"), open_perf("events", ("flags", "comm", "name"))),
    ),
    Script(
        "ring buffer output of executed files",
        """
        struct event { u64 length; char comm[16]; char name[64]; };
        BPF_RINGBUF_OUTPUT(events, 8);
        TRACEPOINT_PROBE(sched, sched_process_exec) {
            if (!MINE) return 0;
            struct event *event = events.ringbuf_reserve(sizeof(struct event));
            if (!event) return 0;
            __builtin_memset(event, 0, sizeof(*event));
            event->length = args->data_loc_filename >> 16;
            TP_DATA_LOC_READ_STR(event->name, filename, sizeof(event->name));
            bpf_get_current_comm(event->comm, sizeof(event->comm));
            events.ringbuf_submit(event, 0);
            return 0;
        }""",
        read_rings,
        open_ring("events", ("length", "comm", "name")),
    ),
    Script(
        "tail calls by number of the system call",
        """
        BPF_PROG_ARRAY(tails, 512); BPF_HASH(calls, u32);
        int dispatch(struct bpf_raw_tracepoint_args *ctx) {
            if (MINE) tails.call(ctx, ctx->args[1]);
            return 0;
        }
        int on_getpid(struct bpf_raw_tracepoint_args *ctx) { u32 key = 1; calls.increment(key); return 0; }
        int on_getppid(struct bpf_raw_tracepoint_args *ctx) { u32 key = 2; calls.increment(key); return 0; }
        int on_kill(struct bpf_raw_tracepoint_args *ctx) { u32 key = 3; calls.increment(key, 10); return 0; }
        """,
        lambda b, _: {key: value for key, value in plain(b["calls"]).items() if key != 1},
        load_tails,
    ),
    Script(
        "time from enter to exit",
        """
        BPF_HASH(begun, u64); BPF_HASH(took, u64);
        TRACEPOINT_PROBE(syscalls, sys_enter_clock_nanosleep) {
            u64 now = bpf_ktime_get_ns(), id = bpf_get_current_pid_tgid();
            if (MINE) begun.update(&id, &now);
            return 0;
        }
        TRACEPOINT_PROBE(syscalls, sys_exit_clock_nanosleep) {
            u64 id = bpf_get_current_pid_tgid(), *then = begun.lookup(&id), key;
            if (!then) return 0;
            key = *then; u64 time = bpf_ktime_get_ns() - key;
            took.update(&key, &time); begun.delete(&id);
            return 0;
        }""",
        differences,
    ),
    Script(
        "return values, kretprobe",
        """
        BPF_HASH(results, int); BPF_HASH(opened, u64);
        int enter(struct pt_regs *ctx, int folder, const char __user *name) {
            char text[9] = {}; u64 id = bpf_get_current_pid_tgid();
            bpf_probe_read_user(text, 9, name);
            if (MINE && text[1] == 'n' && text[8] == '/') opened.increment(id);
            return 0;
        }
        int leave(struct pt_regs *ctx) {
            u64 id = bpf_get_current_pid_tgid(); int result = PT_REGS_RC(ctx);
            if (!MINE || !opened.lookup(&id)) return 0;
            opened.delete(&id); results.increment(result);
            return 0;
        }""".replace("int enter", "int syscall__enter"),
        lambda b, _: plain(b["results"]),
        all_of(attach("kprobe", "openat", "syscall__enter"), attach("kretprobe", "openat", "leave")),
    ),
    Script(
        "registers of a system call, PT_REGS_PARM",
        """
        BPF_HASH(sizes, u64); BPF_HASH(begins, u32);
        int count(struct pt_regs *ctx) {
            if (!MINE) return 0;
            struct pt_regs *regs = (struct pt_regs *)PT_REGS_PARM1(ctx), copy = {};
            bpf_probe_read_kernel(&copy, sizeof(copy), regs);
            u64 size = PT_REGS_PARM3(&copy); u32 word = 0;
            sizes.increment(size);
            bpf_probe_read_user(&word, 4, (void *)PT_REGS_PARM2(&copy));
            begins.increment(word);
            return 0;
        }""",
        lambda b, _: (plain(b["sizes"]), plain(b["begins"])),
        attach("kprobe", "write", "count"),
    ),
    Script(
        "results by number, raw tracepoint sys_exit",
        """
        struct key { s64 id; s64 result; };
        BPF_HASH(results, struct key);
        RAW_TRACEPOINT_PROBE(sys_exit) {
            struct pt_regs *regs = (struct pt_regs *)ctx->args[0]; struct key key = {};
            if (!MINE) return 0;
            bpf_probe_read_kernel(&key.id, sizeof(key.id), &regs->orig_ax);
            key.result = ctx->args[1];
            if (key.id == 1 || key.id == 62) results.increment(key);
            return 0;
        }""",
        lambda b, _: {(key.id, key.result): value.value for key, value in b["results"].items()},
    ),
    Script(
        "forks and ends of processes",
        """
        struct end { char comm[16]; u32 group_dead; };
        BPF_HASH(forks, u32); BPF_HASH(children, u32); BPF_HASH(ends, struct end);
        TRACEPOINT_PROBE(sched, sched_process_fork) {
            u32 parent = args->parent_pid, child = args->child_pid, one = 1;
            if (MINE) { forks.increment(parent); children.increment(child); }
            return 0;
        }
        TRACEPOINT_PROBE(sched, sched_process_exit) {
            struct end end = {};
            if (!MINE) return 0;
            bpf_get_current_comm(end.comm, sizeof(end.comm));
            ends.increment(end);
            return 0;
        }""",
        lambda b, _: (
            ranked(plain(b["forks"])), ranked(plain(b["children"])), {key.comm: value.value for key, value in b["ends"].items()},
        ),
    ),
    Script(
        "arguments of executed commands",
        """
        struct event { char words[4][16]; };
        BPF_PERF_OUTPUT(events);
        int syscall__execve(struct pt_regs *ctx, const char __user *path, const char __user *const __user *argv) {
            struct event event = {};
            if (!MINE) return 0;
            for (int at = 0; at < 4; at++) {
                const char *word = 0;
                bpf_probe_read_user(&word, sizeof(word), &argv[at]);
                if (!word) break;
                bpf_probe_read_user_str(event.words[at], sizeof(event.words[at]), word);
            }
            events.perf_submit(ctx, &event, sizeof(event));
            return 0;
        }""",
        lambda b, events: sorted([[bytes(word).partition(b"\0")[0] for word in words] for (words,) in read_perf(b, events)]),
        all_of(attach("kprobe", "execve", "syscall__execve"), open_perf("events", ("words",))),
    ),
    Script(
        "printed lines",
        """
        int show(struct pt_regs *ctx, int fd, const char __user *from, size_t size) {
            char text[5] = {};
            if (!MINE) return 0;
            bpf_probe_read_user(text, 4, from);
            bpf_trace_printk(NAME " %s %d %d\\n", text, fd, (int)size);
            return 0;
        }""".replace("int show", "int syscall__show"),
        read_lines,
        attach("kprobe", "write", "syscall__show"),
    ),
    Script(
        "queue and stack",
        """
        BPF_QUEUE(first, u64, 4); BPF_STACK(last, u64, 8);
        TRACEPOINT_PROBE(syscalls, sys_enter_write) {
            u64 size = args->count;
            if (!MINE) return 0;
            first.push(&size, BPF_EXIST); last.push(&size, 0);
            return 0;
        }""",
        lambda b, _: ([b["first"].pop().value for _ in range(4)], [b["last"].pop().value for _ in range(6)]),
    ),
    Script(
        "a loop over a map of the program's",
        """
        BPF_HASH(sizes, u64); BPF_ARRAY(total, u64, 2);
        static long add(void *map, u64 *size, u64 *calls, u64 *sum) { *sum += *size * *calls; return 0; }
        TRACEPOINT_PROBE(syscalls, sys_enter_write) {
            u64 size = args->count; if (MINE) sizes.increment(size); return 0;
        }
        TRACEPOINT_PROBE(syscalls, sys_enter_kill) {
            u64 sum = 0; int zero = 0, one = 1; long visited;
            if (!MINE) return 0;
            visited = bpf_for_each_map_elem(&sizes, add, &sum, 0);
            total.update(&zero, &sum); total.increment(one, visited);
            return 0;
        }""",
        lambda b, _: [value.value for value in b["total"].values()],
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command under names that begin with eight letters that no other process's name begins with."""
    folder = tmp_path_factory.mktemp("command")
    name = f"s{os.getpid():07d}"
    for link, target in ((name, os.path.realpath(sys.executable)), (f"{name}-true", shutil.which("true"))):
        assert target
        (folder / link).symlink_to(target)
    return [str(folder / name), "-IS", "-c", WORK, str(folder / f"{name}-true")]


def run(script: Script, engine: str, command: list[str]) -> Any:
    """What a script finds over the command."""
    name = os.path.basename(command[0])
    text = f"{MINE % (int.from_bytes(name.encode(), 'little'), name)}{script.text}"
    events: list[Any] = []
    with BPF(text=text, engine=engine) as b:
        if script.before:
            script.before(b, events)
        assert b.trace_command(command).wait(60) == 0
        return script.found(b, events)


@pytest.mark.kernel
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_both_engines_find_the_same(script: Script, command: list[str]) -> None:
    kernel, user = run(script, "kernel", command), run(script, "user", command)
    assert user == kernel
    assert user


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_user_engine_finds_something_without_privilege(script: Script, command: list[str]) -> None:
    assert run(script, "user", command)
