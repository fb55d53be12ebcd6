"""Hooks on processes, counters and the network, through class BPF, on processes and devices of the tests'."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import PATIENCE

from skep import BPF
from skep.bcc import PerfSWConfig, PerfType
from skep.engine.kernel.features import probe_features
from skep.errors import AttachError, SkepError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

COUNT = "BPF_HASH(seen, u64, u64);\n"
LIBC = ctypes.CDLL(None)


def here(body: str, context: str = "struct pt_regs *ctx") -> str:
    """A text whose program f runs its body in this process alone."""
    return COUNT + f"int f({context}) {{ if (bpf_get_current_pid_tgid() >> 32 != {os.getpid()}) return 0; {body} return 0; }}"


def seen(b: BPF) -> dict[int, int]:
    return {key.value: value.value for key, value in b["seen"].items()}


@pytest.mark.parametrize("pid", [-1, os.getpid()])
def test_a_uprobe_reads_the_arguments_of_a_library_function(pid: int) -> None:
    with BPF(text=here("seen.increment(PT_REGS_PARM1(ctx));")) as b:
        b.attach_uprobe(name="c", sym="labs", fn_name="f", pid=pid)
        LIBC.labs(ctypes.c_long(-77))
        LIBC.labs(ctypes.c_long(-77))
        assert seen(b) == {(1 << 64) - 77: 2}
        assert b.num_open_uprobes() == 1
        assert "perf uprobe PMU" in b.links[0].how
        b.detach_uprobe(name="c", sym="labs", pid=pid)
        LIBC.labs(ctypes.c_long(-77))
        assert seen(b) == {(1 << 64) - 77: 2}
        assert b.num_open_uprobes() == 0


def test_a_uretprobe_reads_the_result() -> None:
    with BPF(text=here("seen.increment(PT_REGS_RC(ctx));")) as b:
        b.attach_uretprobe(name="c", sym="labs", fn_name="f")
        LIBC.labs(ctypes.c_long(-78))
        assert seen(b) == {78: 1}


PROGRAM = """
#include <string.h>
#include <unistd.h>
struct item { int n; char name[8]; };
__attribute__((noinline)) int one(struct item *p, int n) { asm volatile(""); return p->n + n; }
__attribute__((noinline)) int two(struct item *p) { asm volatile(""); return p->n; }
int (*keep)(struct item *, int) = one;
int main(void) {
    struct item i = {40, "skep"};
    char c;
    while (read(0, &c, 1) == 1) { one(&i, 2); two(&i); two(&i); write(1, &c, 1); }
    return 0;
}
"""


@pytest.fixture(scope="module", params=[(), ("-static", "-no-pie"), ("-shared-libgcc", "-pie")], ids=["default", "static", "pie"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A C program that calls one(item, 2) and two(item) twice for each byte on its standard input."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("program")
    (folder / "p.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O0", "-o", str(folder / "p"), str(folder / "p.c"), *request.param], check=True)
    return folder / "p"


class Running:
    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pid = self.process.pid

    def step(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"x")
        assert self.process.stdout.read(1) == b"x"


@pytest.fixture
def running(program: Path) -> Iterator[Running]:
    made = Running(program)
    yield made
    made.process.communicate(timeout=PATIENCE)


def test_uprobes_in_a_program_by_symbol_pattern_and_address(program: Path, running: Running) -> None:
    text = (
        "struct item { int n; char name[8]; };\n"
        + COUNT
        + "int f(struct pt_regs *ctx, struct item *p, int n) { seen.increment((u64)p->n << 32 | n); return 0; }"
        "int g(struct pt_regs *ctx, struct item *p) { char s[8]; bpf_probe_read_user_str(s, 8, p->name);"
        " seen.increment(s[0]); return 0; }"
    )
    with BPF(text=text) as b:
        b.attach_uprobe(name=str(program), sym="one", fn_name="f", pid=running.pid)
        b.attach_uprobe(name=str(program), sym_re="^two$", fn_name="g", pid=running.pid)
        running.step()
        assert seen(b) == {40 << 32 | 2: 1, ord("s"): 2}
        b.detach_uprobe(name=str(program), sym="two", pid=running.pid)
        symbols = subprocess.run(["nm", str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
        address = next(int(line.split()[0], 16) for line in symbols if line.endswith(" two"))
        assert b.get_user_addresses(str(program), "^two$") == {address}
        b.attach_uprobe(name=str(program), addr=address, fn_name="g", pid=running.pid)
        running.step()
        assert seen(b) == {40 << 32 | 2: 2, ord("s"): 4}
    running.step()  # nothing is left in it


def test_a_uprobe_for_one_process_leaves_another_alone(program: Path, running: Running) -> None:
    other = Running(program)
    try:
        with BPF(text=COUNT + "int f(void *ctx) { seen.increment(bpf_get_current_pid_tgid() >> 32); return 0; }") as b:
            b.attach_uprobe(name=str(program), sym="two", fn_name="f", pid=running.pid)
            other.step()
            running.step()
            assert seen(b) == {running.pid: 2}
    finally:
        other.process.communicate(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "c", "sym": "labz"}, "no symbol 'labz'; did you mean labs"),
        ({"name": "c", "sym_re": "^no_such_function$"}, "no function of 'c' matches"),
        ({"name": "nosuchlibrary", "sym": "f"}, "no library or program 'nosuchlibrary'"),
        ({"name": "c"}, "one of sym=, sym_re= and addr="),
        ({"name": "c", "sym_re": "("}, "no regular expression"),
        ({"name": "/etc/passwd", "sym": "f"}, "not a 64-bit little-endian ELF file"),
        ({"name": "c", "addr": 1 << 40}, "nothing at address"),
        ({"name": "c", "sym": "labs", "sym_off": -1}, "sym_off=-1"),
    ],
)
def test_a_place_that_is_not_there_is_said(arguments: dict[str, object], message: str) -> None:
    with BPF(text="int f(void *ctx) { return 0; }") as b:
        with pytest.raises(SkepError) as caught:
            b.attach_uprobe(fn_name="f", **arguments)
        assert message in str(caught.value)
        assert b.links == []


def test_a_perf_event_runs_its_program_at_samples() -> None:
    body = "seen.increment(ctx->sample_period); "
    with BPF(text=here(body, "struct bpf_perf_event_data *ctx")) as b:
        b.attach_perf_event(ev_type=PerfType.SOFTWARE, ev_config=PerfSWConfig.PAGE_FAULTS_MIN, fn_name="f", sample_period=1)
        with mmap.mmap(-1, 64 * 4096) as memory:
            memory[:] = bytes(len(memory))
        assert seen(b)[1] >= 64
        assert len(os.sched_getaffinity(0)) > 1 or "1 CPU" in b.links[0].how
        with pytest.raises(AttachError, match="already"):
            b.attach_perf_event(ev_type=PerfType.SOFTWARE, ev_config=PerfSWConfig.PAGE_FAULTS_MIN, fn_name="f", sample_period=1)
        b.detach_perf_event(PerfType.SOFTWARE, PerfSWConfig.PAGE_FAULTS_MIN)
        assert b.links == []


def test_a_perf_event_samples_a_process_by_frequency() -> None:
    with BPF(text=here("seen.increment(1);", "struct bpf_perf_event_data *ctx")) as b:
        clock = PerfSWConfig.CPU_CLOCK
        b.attach_perf_event(ev_type=PerfType.SOFTWARE, ev_config=clock, fn_name="f", sample_freq=997, pid=os.getpid())
        for _ in range(400):
            sum(range(20_000))
            if seen(b):
                break
        assert seen(b)


def test_a_counter_that_the_machine_lacks_is_said() -> None:
    with BPF(text="int f(struct bpf_perf_event_data *ctx) { return 0; }") as b:
        with pytest.raises(AttachError, match="perf_event_open on CPU"):
            b.attach_perf_event(ev_type=PerfType.SOFTWARE, ev_config=4000, fn_name="f", sample_period=1)
        with pytest.raises(SkepError, match="one of sample_period= and sample_freq="):
            b.attach_perf_event(ev_type=PerfType.SOFTWARE, ev_config=0, fn_name="f", sample_period=1, sample_freq=1)


def udp_to(port: int, data: bytes = b"skep") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ("127.0.0.1", port))


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A UDP socket on the loopback device."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(PATIENCE)
        yield made


def test_a_socket_filter_chooses_what_its_socket_reads(receiver: socket.socket) -> None:
    port = receiver.getsockname()[1]
    text = f"""
    #include <bcc/proto.h>
    int f(struct __sk_buff *skb) {{
        u8 *cursor = 0;
        struct ethernet_t *e = cursor_advance(cursor, sizeof(*e));
        struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
        if (e->type != 0x0800 || ip->nextp != 17) return 0;
        struct udp_t *udp = cursor_advance(cursor, sizeof(*udp));
        return udp->dport == {port} ? 44 : 0;
    }}
    """
    with BPF(text=text) as b:
        function = b.load_func("f", BPF.SOCKET_FILTER)
        BPF.attach_raw_socket(function, "lo")
        udp_to(port, b"skepskep")
        assert receiver.recv(16) == b"skepskep"
        with socket.fromfd(function.sock, socket.PF_PACKET, socket.SOCK_RAW, socket.IPPROTO_IP) as packets:
            packet = packets.recv(2048)
            assert packet[42:] == b"sk"  # 44 bytes are kept
            other = receiver.dup()
            other.close()
        with pytest.raises(AttachError, match="no packet socket on 'nosuchdevice'"):
            BPF.attach_raw_socket(function, "nosuchdevice")


IN_NAMESPACE = """
import ctypes, os, socket, subprocess
assert ctypes.CDLL(None).unshare(0x40000000) == 0  # CLONE_NEWNET
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
from skep import BPF
from skep.errors import AttachError
r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
r.bind(("127.0.0.1", 0))
port = r.getsockname()[1]
def arrives(seconds=60):
    r.settimeout(seconds)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"skep", ("127.0.0.1", port))
    try:
        return r.recv(16) == b"skep"
    except TimeoutError:
        return False
"""
DROP = """
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
BPF_ARRAY(count, u64, 1);
int f(struct CONTEXT *ctx) {
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;
    struct iphdr *ip = data + sizeof(*eth);
    struct udphdr *udp = (void *)(ip + 1);
    if ((void *)(udp + 1) > end || ip->protocol != 17) return PASS;
    count.increment(0);
    return DROP;
}
"""


def in_namespace(script: str) -> list[str]:
    """What a script prints in a network namespace of its own."""
    for tool in ("ip",):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", IN_NAMESPACE + script],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * PATIENCE,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_xdp_drops_packets_until_it_is_removed() -> None:
    text = DROP.replace("CONTEXT", "xdp_md").replace("PASS", "XDP_PASS").replace("return DROP", "return XDP_DROP")
    lines = in_namespace(f"""
with BPF(text={text!r}) as b:
    f = b.load_func("f", BPF.XDP)
    print(arrives())
    b.attach_xdp("lo", f, BPF.XDP_FLAGS_SKB_MODE)
    print(b.links[0].how, arrives(1), b["count"][0].value)
    try:
        with BPF(text={text!r}) as other:
            other.attach_xdp("lo", other.load_func("f", BPF.XDP), BPF.XDP_FLAGS_SKB_MODE)
    except AttachError as error:
        print(error)
    b.remove_xdp("lo", 0)
    print(arrives(), b["count"][0].value)
    try:
        b.attach_xdp("l0", f)
    except AttachError as error:
        print(str(error).splitlines()[0])
""")
    assert lines[:2] == ["True", "xdp lo (bpf link, generic mode) False 1"]
    assert "another program is attached" in lines[2]
    assert lines[3:] == ["True 1", "cannot attach to xdp:l0: xdp link: there is no network device 'l0'"]


def test_tc_drops_packets_on_either_way() -> None:
    text = DROP.replace("CONTEXT", "__sk_buff").replace("PASS", "-1").replace("return DROP", "return 2")
    lines = in_namespace(f"""
with BPF(text={text!r}) as b:
    for direction in ("ingress", "egress"):
        b.attach_tc("lo", "f", direction)
        print(b.links[0].how, arrives(1))
        b.detach_tc("lo", direction)
    print(arrives(), b["count"][0].value)
""")
    assert lines == ["tc_ingress lo (bpf link) False", "tc_egress lo (bpf link) False", "True 2"]


def test_tracepoints_by_a_pattern() -> None:
    names = BPF.get_tracepoints("syscalls:sys_enter_getp[gp]id$")
    assert names == [b"syscalls:sys_enter_getpgid", b"syscalls:sys_enter_getppid"]
    assert BPF.tracepoint_exists("syscalls", "sys_enter_getppid")
    assert not BPF.tracepoint_exists(b"syscalls", b"sys_enter_nothing")
    with BPF(text=here("seen.increment(1);", "void *ctx")) as b:
        b.attach_tracepoint(tp_re="syscalls:sys_enter_getp[gp]id$", fn_name="f")
        os.getppid()
        os.getpgid(0)
        assert seen(b) == {1: 2}
        assert b.num_open_tracepoints() == 2
        with pytest.raises(AttachError, match="no tracepoint matches"):
            b.attach_tracepoint(tp_re="^nothing:", fn_name="f")


def test_tp_btf_attaches_by_its_section() -> None:
    text = here("put_id(ctx[1]);", "unsigned long long *ctx").replace(
        "int f", 'static void put_id(u64 id) { seen.increment(id); }\nSEC("tp_btf/sys_enter") int f'
    )
    with BPF(text=text) as b:
        assert b.links[0].how == "tp_btf btf_trace_sys_enter (bpf link)"
        os.getppid()
        assert os.uname().machine != "x86_64" or seen(b)[110] == 1


def test_fentry_attaches_or_says_why_not() -> None:
    text = here("seen.increment(1);").replace("int f(struct pt_regs *ctx) {", "KFUNC_PROBE(vfs_read, struct file *file) {")
    try:
        b = BPF(text=text)
    except AttachError as error:
        attempts = error.attempts
    else:
        with b:
            b.attach_kfunc(fn_name="kfunc__vmlinux__vfs_read")
            assert b.links[0].how == "fentry vfs_read (bpf link)"
            Path("/proc/self/comm").read_bytes()
            assert seen(b)
        return
    assert [label for label, _ in attempts] == ["fentry link"]
    assert "EPERM" in attempts[0][1]


def test_symbols_of_the_kernel_and_of_processes(program: Path, running: Running) -> None:
    address = BPF.ksymname("vfs_read")
    assert BPF.ksymname(b"no_such_symbol") == -1
    assert BPF.ksym(address + 4, show_module=True, show_offset=True) == b"vfs_read+0x4 [kernel]"
    assert BPF.ksym(16) == b"[unknown]"
    labs = ctypes.cast(LIBC.labs, ctypes.c_void_p).value
    assert labs is not None
    assert BPF.sym(labs + 1, os.getpid(), show_offset=True).startswith(b"labs+0x1") or b"+0x1" in BPF.sym(
        labs + 1, os.getpid(), show_offset=True
    )
    with BPF(text=COUNT + "int f(struct pt_regs *ctx) { seen.increment(PT_REGS_IP(ctx)); return 0; }") as b:
        b.attach_uprobe(name=str(program), sym="one", fn_name="f", pid=running.pid)
        running.step()
        (ip,) = seen(b)
        assert b.sym(ip, running.pid, show_module=True) == b"one [p]"
    assert BPF.sym(8, running.pid) == b"[unknown]"


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of the test's own."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    root = next((Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)
    if root is None or not os.access(root, os.W_OK):
        pytest.skip("no cgroup2 that can be written is mounted")
    folder = root / f"skep-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    folder.rmdir()


def test_a_program_on_a_cgroup_sees_its_packets_alone(cgroup: Path, receiver: socket.socket) -> None:
    text = "BPF_ARRAY(count, u64, 1); int f(struct __sk_buff *skb) { count.increment(0); return 1; }"
    port = receiver.getsockname()[1]
    sender = f"import socket, sys; sys.stdin.read(); s = socket.socket(2, 2); s.sendto(b'in', ('127.0.0.1', {port}))"
    with BPF(text=text) as b:
        egress = 1  # BPF_CGROUP_INET_EGRESS
        function = b.load_func("f", BPF.CGROUP_SKB, attach_type=egress)
        fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        b.attach_func(function, fd, egress)
        assert b.links[0].how == "cgroup_inet_egress (BPF_PROG_ATTACH)"
        udp_to(port, b"out")
        assert receiver.recv(16) == b"out"
        assert b["count"][0].value == 0
        child = subprocess.Popen([sys.executable, "-c", sender], stdin=subprocess.PIPE)
        (cgroup / "cgroup.procs").write_text(str(child.pid))
        child.communicate(timeout=PATIENCE)
        assert receiver.recv(16) == b"in"
        assert b["count"][0].value == 1
        b.detach_func(function, fd, egress)
        assert b.links == []
        b.attach_func(function, fd, egress, 2)
        os.close(fd)  # the BPF object detaches by an fd of its own
        with pytest.raises(AttachError, match="the fd is no cgroup and no socket map"):
            b.attach_func(function, receiver.fileno(), egress)


def test_an_iterator_writes_for_every_task() -> None:
    text = """
    BPF_ITER(task) {
        struct task_struct *t = ctx->task;
        if (!t) return 0;
        u32 pids[2] = {t->tgid, t->pid};
        bpf_seq_write(ctx->meta->seq, pids, sizeof(pids));
        return 0;
    }
    """
    with BPF(text=text) as b:
        data = memoryview(b.read_iterator("bpf_iter__task")).cast("I").tolist()
        pairs = set(zip(data[::2], data[1::2], strict=True))
        assert (os.getpid(), os.getpid()) in pairs
        assert len(pairs) > 2
        assert b.links == []


def test_what_the_kernel_has_is_asked() -> None:
    assert BPF.kernel_struct_has_field("task_struct", "tgid") == 1
    assert BPF.kernel_struct_has_field(b"sock_common", b"skc_daddr") == 1  # of an anonymous member
    assert BPF.kernel_struct_has_field("task_struct", "no_such_member") == 0
    assert BPF.kernel_struct_has_field("no_such_struct", "x") == -1
    assert BPF.support_raw_tracepoint()
    assert BPF.support_kfunc() == any(f.name == "fentry and fexit" and f.state == "yes" for f in probe_features())
    assert BPF.support_lsm() in (True, False)
