"""struct_ops: a TCP congestion control made of programs, registered with this kernel and used by one loopback socket."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from waiting import eventually

import skep
from skep import BPF
from skep.engine.kernel import struct_ops
from skep.errors import AttachError, MapError, MapKeyError, ObjectError, SkepError, UnsupportedError

pytestmark = pytest.mark.kernel

FUNCTIONS = r"""
int starts;
long acknowledged;

SEC("struct_ops/begin") void BPF_PROG(begin, struct sock *sk) { __sync_fetch_and_add(&starts, 1); }
SEC("struct_ops/threshold") u32 BPF_PROG(threshold, struct sock *sk)
{
    struct tcp_sock *tp = (struct tcp_sock *)sk;
    return tp->snd_cwnd > 4 ? tp->snd_cwnd / 2 : 2;
}
SEC("struct_ops/avoid") void BPF_PROG(avoid, struct sock *sk, u32 ack, u32 count)
{
    struct tcp_sock *tp = (struct tcp_sock *)sk;
    __sync_fetch_and_add(&acknowledged, count);
    tp->snd_cwnd += 1;  // the kernel lets a congestion control write this
}
SEC("struct_ops/undo") u32 BPF_PROG(undo, struct sock *sk) { return ((struct tcp_sock *)sk)->snd_cwnd; }
"""
TABLE = """
SEC(".struct_ops%s") struct tcp_congestion_ops %s = {
    .init = (void *)begin, .ssthresh = (void *)threshold, .cong_avoid = (void *)avoid, .undo_cwnd = (void *)undo, .name = "%s",
};
"""
LINKS = tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 4)
MEMBERS = {"init": "begin", "ssthresh": "threshold", "cong_avoid": "avoid", "undo_cwnd": "undo"}


def text(name: str, link: str = "") -> str:
    return FUNCTIONS + TABLE % (link, name, name)


def available() -> list[str]:
    return Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()


def send_over_loopback(control: str, size: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sender:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
        sender.connect(server.getsockname())
        receiver, _ = server.accept()
        received = []
        with receiver:
            thread = threading.Thread(target=lambda: received.extend(iter(lambda: len(receiver.recv(1 << 16)), 0)))
            thread.start()
            sender.sendall(bytes(size))
            sender.shutdown(socket.SHUT_WR)
            thread.join()
        assert sum(received) == size


def test_a_congestion_control_serves_a_socket_until_it_is_detached() -> None:
    with BPF(text=text("skep_cc")) as b:
        table = b["skep_cc"]
        assert (table.registered, table.functions) == (True, MEMBERS)
        assert "skep_cc" in available()
        assert [link.hook.family for link in b.links] == ["struct_ops"]
        send_over_loopback("skep_cc", 2_000_000)
        assert b.globals["starts"] == 1
        assert b.globals["acknowledged"] > 0
        with pytest.raises(AttachError, match=r"'skep_cc' is registered already: detach_struct_ops\('skep_cc'\) first"):
            b.attach_struct_ops("skep_cc")
        b.detach_struct_ops("skep_cc")
        assert (table.registered, "skep_cc" in available()) == (False, False)
        if LINKS:
            b.attach_struct_ops("skep_cc")
            assert "skep_cc" in available()
    assert "skep_cc" not in available()


def test_without_links_it_is_registered_by_an_update_and_once_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(struct_ops, "F_LINK", 0)  # as before Linux 6.4
    with BPF(text=text("skep_cc2", link=".link")) as b:
        table = b["skep_cc2"]
        assert (table.state, b.links[0].how) == ("inuse", "struct_ops tcp_congestion_ops (map update)")
        send_over_loopback("skep_cc2", 100_000)
        assert b.globals["starts"] == 1
        b.detach_struct_ops("skep_cc2")
        assert (table.state, "skep_cc2" in available()) == ("tobefree", False)
        with pytest.raises(AttachError, match="can be registered once; make a new BPF object"):
            b.attach_struct_ops("skep_cc2")
    with BPF(text=text("skep_cc2")):
        assert "skep_cc2" in available()
    assert "skep_cc2" not in available()


def test_the_kernels_refusals_are_explained() -> None:
    with BPF(text=text("skep_twice")) as b:
        with pytest.raises(
            AttachError, match=r"'skep_twice' \(tcp_congestion_ops\): the kernel has one of this name already: EEX"
        ):
            BPF(text=text("skep_twice"))
        with pytest.raises(MapKeyError, match="there is no map 'skep_twic'"):
            b.attach_struct_ops("skep_twic")
        with pytest.raises(AttachError, match=r"map '.bss' is no struct_ops"):
            b.attach_struct_ops(".bss")
        with pytest.raises(
            MapError, match="'skep_twice' is a struct_ops: it is of its own object's programs and cannot be shared"
        ):
            BPF(text=text("skep_twice"), maps={"skep_twice": b["skep_twice"]})
        with pytest.raises(AttachError, match="struct_ops 'other' is not attached"):
            b.detach_struct_ops("other")
    with pytest.raises(AttachError, match=r"the kernel does not take these functions and values .*EINVAL"):
        BPF(text=text("skep_part").replace(".ssthresh = (void *)threshold,", ""))
    with pytest.raises(UnsupportedError, match="struct 'file_operations' cannot be filled by programs: this kernel"):
        BPF(text=FUNCTIONS + 'SEC(".struct_ops") struct file_operations files = { .open = (void *)begin };')
    assert not [name for name in available() if name.startswith("skep_")]


UNDO = ".undo_cwnd = (void *)undo"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (UNDO, ".undo_cwnd = (void *)&starts", r"skep_bad\.undo_cwnd is initialised with starts, which is no program"),
        ('SEC("struct_ops/undo")', 'SEC("xdp")', """program 'undo' of struct_ops 'skep_bad' needs SEC."struct_ops/undo"."""),
        (UNDO, ".flags = 1 << 20, " + UNDO, "the kernel does not take these functions"),
    ],
)
def test_what_the_text_gets_wrong_is_named(old: str, new: str, error: str) -> None:
    with pytest.raises(SkepError, match=error):
        BPF(text=text("skep_bad").replace(old, new))


def test_a_killed_process_leaves_nothing_registered() -> None:
    if not LINKS:  # what an update registered stays until the map's key is deleted
        return
    script = f"import skep, time\nb = skep.BPF(text={text('skep_dies')!r})\nprint('up', flush=True)\ntime.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        assert "skep_dies" in available()
        os.kill(child.pid, signal.SIGKILL)
    eventually(lambda: "skep_dies" not in available())


CLANG = """
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(x) __attribute__((section(x), used))
char _license[] SEC("license") = "GPL";
struct sock;
struct tcp_congestion_ops {  // fewer members, in another order: they go by their names
    char name[16];
    u32 (*undo_cwnd)(struct sock *sk);
    void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
    u32 (*ssthresh)(struct sock *sk);
    long future;
};
int calls;
SEC("struct_ops/thresh") u32 thresh(u64 *ctx) { return 10; }
SEC("struct_ops/avoid") void avoid(u64 *ctx) { __sync_fetch_and_add(&calls, 1); }
SEC("struct_ops/undo") u32 undo(u64 *ctx) { return 10; }
SEC(".struct_ops.link") struct tcp_congestion_ops skep_clang = {
    .ssthresh = (void *)thresh, .cong_avoid = (void *)avoid, .undo_cwnd = (void *)undo, .name = "skep_clang", FUTURE };
"""


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
def test_an_object_of_clang_is_laid_out_as_the_kernel_has_it(tmp_path: Path) -> None:
    def compiled(future: str) -> skep.object.Object:
        (tmp_path / "c.c").write_text(CLANG.replace(", FUTURE", future))
        command = ["clang", "-O2", "-g", "-target", "bpf", "-c", str(tmp_path / "c.c"), "-o", str(tmp_path / "c.o")]
        subprocess.run(command, check=True, capture_output=True)
        return skep.load_object(tmp_path / "c.o")

    with BPF(object=compiled("")) as b:
        assert b["skep_clang"].functions == {"ssthresh": "thresh", "cong_avoid": "avoid", "undo_cwnd": "undo"}
        send_over_loopback("skep_clang", 1_000_000)
        assert b.globals["calls"] > 0
    with pytest.raises(UnsupportedError, match=r"skep_clang\.future: this kernel's tcp_congestion_ops has no such member"):
        BPF(object=compiled(", .future = 1"))
    assert "skep_clang" not in available()


def test_a_table_without_type_information_is_refused() -> None:
    data = skep.compile(text("skep_static")).data
    with pytest.raises(ObjectError, match=r"section \.struct_ops without BTF: compile with -g"):
        skep.object.read_object(data.replace(b".BTF\0", b".BTX\0"))
