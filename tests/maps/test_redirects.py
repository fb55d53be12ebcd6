"""Maps of devices, CPUs and AF_XDP sockets move packets: two veth pairs in a network namespace of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from support import ROOT

pytestmark = pytest.mark.kernel

# Frames of an ethertype for experiments (0x88b5) are sent into a0, so they come out of a1, where the XDP program is.
SCRIPT = r"""
import ctypes, json, mmap, os, socket, struct, subprocess
from skep import BPF, maps

libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x40000000) == 0  # CLONE_NEWNET
for pair in "ab":
    made = subprocess.run(["ip", "link", "add", f"{pair}0", "type", "veth", "peer", "name", f"{pair}1"], stderr=subprocess.PIPE)
    if b"Unknown device type" in made.stderr:
        raise SystemExit(77)
    made.check_returncode()
    for end in "01":
        open(f"/proc/sys/net/ipv6/conf/{pair}{end}/disable_ipv6", "w").write("1")
        subprocess.run(["ip", "link", "set", f"{pair}{end}", "up"], check=True)

TEXT = '''
BPF_DEVMAP(devices, 4);
BPF_DEVMAP_HASH(hashed, 4);
BPF_TABLE("cpumap", u32, struct bpf_cpumap_val, cpus, 4);
BPF_XSKMAP(sockets, 4);
BPF_ARRAY(ran_on, u64, 4);

static bool ours(struct xdp_md *ctx)
{
    struct ethhdr *eth = (void *)(long)ctx->data;
    return (void *)(eth + 1) <= (void *)(long)ctx->data_end && eth->h_proto == bpf_htons(0x88b5);
}

SEC("xdp") int to_device(struct xdp_md *ctx) { return ours(ctx) ? devices.redirect_map(1, 0) : XDP_PASS; }
SEC("xdp") int to_hashed(struct xdp_md *ctx) { return ours(ctx) ? hashed.redirect_map(77, 0) : XDP_PASS; }
SEC("xdp") int to_cpu(struct xdp_md *ctx) { return ours(ctx) ? cpus.redirect_map(1, 0) : XDP_PASS; }
SEC("xdp") int to_socket(struct xdp_md *ctx) { return ours(ctx) ? sockets.redirect_map(0, XDP_DROP) : XDP_PASS; }

SEC("xdp/cpumap") int on_cpu(struct xdp_md *ctx)
{
    if (ours(ctx))
        ran_on.increment(bpf_get_smp_processor_id());
    return XDP_PASS;
}
'''

HEAD = b"\2" * 6 + b"\3" * 6 + b"\x88\xb5"
frame = lambda text: (HEAD + text).ljust(60, b"\0")

def packet_socket(device):
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
    one.bind((device, 0x88b5))
    one.settimeout(60)
    return one

found = {}
with BPF(text=TEXT) as b, packet_socket("a0") as sender:
    def moved(function, text, receiver, mode=BPF.XDP_FLAGS_SKB_MODE):
        BPF.attach_xdp("a1", b.load_func(function, BPF.XDP), mode)
        sender.send(frame(text))
        try:
            return receiver() == frame(text)
        finally:
            b.remove_xdp("a1")

    b["devices"][1] = "b0"
    b["hashed"][77] = "b0"
    with packet_socket("b1") as receiver:
        found["devmap"] = moved("to_device", b"by index", lambda: receiver.recv(100))
        found["devmap_hash"] = moved("to_hashed", b"by key", lambda: receiver.recv(100))

    b["cpus"][1] = (64, b.load_func("on_cpu", BPF.XDP, attach_type=35))
    with packet_socket("a1") as receiver:
        found["cpumap"] = moved("to_cpu", b"by CPU", lambda: receiver.recv(100), BPF.XDP_FLAGS_DRV_MODE)
    found["ran_on"] = [b["ran_on"][cpu].value for cpu in range(4)]

    # An AF_XDP socket: frames of 2048 bytes, a fill ring that lends them to the kernel, a ring of those that were received
    with socket.socket(44, socket.SOCK_RAW) as xsk:
        memory = mmap.mmap(-1, 16 * 2048)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        xsk.setsockopt(283, 4, struct.pack("=QQIIII", address, len(memory), 2048, 0, 0, 0))
        for ring in (2, 5, 6):
            xsk.setsockopt(283, ring, struct.pack("=I", 8))
        offsets = struct.unpack("=16Q", xsk.getsockopt(283, 1, 128))
        received = mmap.mmap(xsk.fileno(), offsets[2] + 8 * 16, offset=0)
        fill = mmap.mmap(xsk.fileno(), offsets[10] + 8 * 8, offset=0x100000000)
        struct.pack_into("=8Q", fill, offsets[10], *range(0, 8 * 2048, 2048))
        struct.pack_into("=I", fill, offsets[8], 8)
        where = struct.pack("=HHIII", 44, 2, socket.if_nametoindex("a1"), 0, 0)  # XDP_COPY
        assert libc.bind(xsk.fileno(), where, len(where)) == 0, os.strerror(ctypes.get_errno())
        b["sockets"][0] = xsk

        def receive():
            import select
            assert select.select([xsk], [], [], 60)[0]
            at, size, _ = struct.unpack_from("=QII", received, offsets[2])
            return memory[at:at + size]

        found["xskmap"] = moved("to_socket", b"by queue", receive)
    found["left"] = [len(list(b[name].keys())) for name in ("devices", "hashed", "cpus")]
print(json.dumps(found))
"""


def test_packets_are_moved_to_devices_cpus_and_sockets() -> None:
    if shutil.which("ip") is None:
        pytest.skip("ip (iproute2) is not installed")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        text=True,
        capture_output=True,
        timeout=240,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("this kernel has no veth devices")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found == {
        "devmap": True, "devmap_hash": True, "cpumap": True, "ran_on": [0, 1, 0, 0], "xskmap": True, "left": [1, 1, 1],
    }  # fmt: skip
