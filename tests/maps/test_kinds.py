"""Every kind of map, declared in the dialect and used by a program in the running kernel."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import PATIENCE

from skep import BPF, maps
from skep.engine.kernel import syscall
from skep.errors import MapError, MapKeyError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

_GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
_XDP_ABORTED, _XDP_DROP, _XDP_REDIRECT = 0, 1, 4
_AF_XDP = 44


SINCE = {"cgrp_storage": (6, 2), "arena": (6, 9)}  # what the kernels of tests/vm do not all have


def refused(kind: str, **options: object) -> bool:
    """Whether this kernel is older than the kind; then the error must say so."""
    if tuple(map(int, os.uname().release.split(".")[:2])) >= SINCE.get(kind, (0, 0)):
        return False
    with pytest.raises(MapError, match=f"{kind}.* or this kernel does not know it"):
        maps.create(kind, **options)
    return True


def cgroup2_mounts() -> list[str]:
    return [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"]


TABLES = r"""
struct lpm { u32 bits; u8 data[4]; };
BPF_HASH(hash, u32, u64);
BPF_ARRAY(array, u64, 4);
BPF_PERCPU_HASH(cpu_hash, u32, u64);
BPF_PERCPU_ARRAY(cpu_array, u32, 4);
BPF_LRU_HASH(lru, u32, u64, 64);
BPF_LRU_PERCPU_HASH(cpu_lru, u32, u64, 64);
BPF_LPM_TRIE(lpm, struct lpm, u32, 8);
BPF_QUEUE(queue, u32, 4);
BPF_STACK(stack, u32, 4);
BPF_BLOOM_FILTER(bloom, u32, 64);
BPF_ARRAY(inner, u64, 2);
BPF_ARRAY_OF_MAPS(by_index, "inner", 2);
BPF_HASH_OF_MAPS(by_key, u32, "inner", 4);

int touch(struct __sk_buff *skb) {
    u32 seven = 7, zero = 0, one = 1, two = 2;
    u64 seventy = 70, *value;
    struct lpm address = {32, {10, 1, 2, 3}};
    hash.increment(seven, 5);
    hash.atomic_increment(seven);
    array.increment(one, 3);
    cpu_hash.increment(seven, 2);
    cpu_array.increment(two);
    lru.update(&seven, &seventy);
    cpu_lru.update(&seven, &seventy);
    u32 *net = lpm.lookup(&address);
    if (net)
        array.increment(zero, *net);
    queue.push(&seven);
    queue.push(&one);
    stack.push(&seven);
    stack.push(&one);
    bloom.push(&seven);
    value = cpu_hash.lookup_percpu(&seven, bpf_get_smp_processor_id());
    if (value)
        array.increment(two, *value);
    void *map = by_index.lookup(&zero);
    if (map && (value = bpf_map_lookup_elem(map, &one)))
        *value += 9;
    map = by_key.lookup(&seven);
    if (map && (value = bpf_map_lookup_elem(map, &zero)))
        *value += 4;
    return bloom.peek(&seven) == 0 ? 1 : 2;
}
"""


@pytest.fixture(scope="module")
def touched() -> Iterator[BPF]:
    with BPF(text=TABLES) as bpf:
        bpf["lpm"][8, [10, 0, 0, 0]] = 11
        bpf["lpm"][24, [10, 1, 2, 0]] = 22
        bpf["by_index"][0] = bpf["by_key"][7] = bpf["inner"]
        assert bpf.load_func("touch", BPF.SCHED_CLS).handle.test_run(bytes(64))[0] == 1  # the bloom filter knows the 7
        yield bpf


# the objects of the fixture stay open until the end of the module, so the check of open fds comes too early for its first test
@pytest.fixture(autouse=True)
def _early(touched: BPF) -> None:
    pass


def test_hashes(touched: BPF) -> None:
    assert [(key.value, leaf.value) for key, leaf in touched["hash"].items()] == [(7, 6)]
    assert touched["lru"][7].value == 70
    assert touched["cpu_hash"].sum(7).value == 2
    assert touched["cpu_lru"].sum(7).value == 70


def test_arrays_and_longest_prefixes(touched: BPF) -> None:
    assert [leaf.value for leaf in touched["array"].values()] == [22, 3, 2, 0]
    assert touched["cpu_array"].sum(2).value == 1
    assert sorted((key.bits, leaf.value) for key, leaf in touched["lpm"].items()) == [(8, 11), (24, 22)]
    assert touched["lpm"][32, [10, 9, 9, 9]].value == 11
    assert len(touched["lpm"]) == 2


def test_queues_stacks_and_bloom_filters(touched: BPF) -> None:
    queue, stack, bloom = touched["queue"], touched["stack"], touched["bloom"]
    assert (queue.peek().value, stack.peek().value) == (7, 1)
    assert ([leaf.value for leaf in queue.values()], [leaf.value for leaf in stack.values()]) == ([7, 1], [1, 7])
    with pytest.raises(MapKeyError, match="queue 'queue' is empty"):
        queue.pop()
    for number in range(4):
        queue.push(number)
    with pytest.raises(MapError, match="the map is full"):
        queue.push(4)
    queue.push(4, queue.BPF_EXIST)  # the oldest goes
    assert queue.pop().value == 1
    queue.clear()
    assert (7 in bloom, 8 in bloom) == (True, False)
    bloom.add(8)
    assert 8 in bloom
    with pytest.raises(MapError, match="not listed"):
        list(bloom)


def test_maps_in_maps(touched: BPF) -> None:
    assert [leaf.value for leaf in touched["inner"].values()] == [4, 9]
    id = touched["inner"].map_id
    assert [(key.value, leaf.value) for key, leaf in touched["by_index"].items()] == [(0, id)]
    assert [(key.value, leaf.value) for key, leaf in touched["by_key"].items()] == [(7, id)]
    with maps.from_id(id) as again:
        assert [leaf.value for leaf in again.values()] == [4, 9]
    with maps.create("hash", key=4, value=4, max_entries=1) as other, pytest.raises(MapError, match="do not fit this kind"):
        touched["by_index"][1] = other


REDIRECTS = r"""
BPF_DEVMAP(devices, 4);
BPF_DEVMAP_HASH(device_hash, 4);
BPF_CPUMAP(cpus, 1);
BPF_XSKMAP(xsks, 4);
int to_device(struct xdp_md *ctx) { return devices.redirect_map(1, 0); }
int to_device_hash(struct xdp_md *ctx) { return device_hash.redirect_map(9, 0); }
int to_cpu(struct xdp_md *ctx) { return cpus.redirect_map(0, 0); }
int to_xsk(struct xdp_md *ctx) { return xsks.redirect_map(2, XDP_DROP); }
"""


def test_xdp_programs_redirect_to_devices_cpus_and_af_xdp_sockets() -> None:
    with BPF(text=REDIRECTS) as bpf, socket.socket(_AF_XDP, socket.SOCK_RAW, 0) as xsk:

        def run() -> list[int]:
            names = ("to_device", "to_device_hash", "to_cpu", "to_xsk")
            return [bpf.load_func(name, BPF.XDP).handle.test_run(bytes(64))[0] for name in names]

        assert run() == [_XDP_ABORTED, _XDP_ABORTED, _XDP_ABORTED, _XDP_DROP]
        bpf["devices"][1] = bpf["device_hash"][9] = "lo"
        bpf["cpus"][0] = 192
        bpf["xsks"][2] = xsk
        assert run() == [_XDP_REDIRECT] * 4
        loopback = socket.if_nametoindex("lo")
        assert [(key.value, leaf.value) for key, leaf in bpf["devices"].items()] == [(1, loopback)]
        assert [(key.value, leaf.value) for key, leaf in bpf["device_hash"].items()] == [(9, loopback)]
        assert bpf["cpus"][0].value == 192
        with pytest.raises(MapError, match="there is no network device 'nosuch0'"):
            bpf["devices"][0] = "nosuch0"
        for name in ("devices", "cpus", "xsks"):
            bpf[name].clear()
        del bpf["device_hash"][9]
        assert run() == [_XDP_ABORTED, _XDP_ABORTED, _XDP_ABORTED, _XDP_DROP]


SOCKETS = r"""
BPF_SOCKMAP(by_index, 4);
BPF_SOCKHASH(by_key, u32, 4);
int to_index(struct sk_msg_md *msg) { return by_index.msg_redirect_map(msg, 0, BPF_F_INGRESS); }
int to_key(struct sk_msg_md *msg) { u32 key = 5; return by_key.msg_redirect_hash(msg, &key, BPF_F_INGRESS); }
"""


@pytest.mark.parametrize(("program", "map", "target", "source"), [("to_index", "by_index", 0, 1), ("to_key", "by_key", 5, 6)])
def test_messages_go_to_the_socket_of_a_sockmap(program: str, map: str, target: int, source: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, BPF(text=SOCKETS) as bpf:
        pairs = []
        for _ in range(2):
            client = socket.create_connection(server.getsockname())
            pairs.append((client, server.accept()[0]))
        (sender, its_peer), (_, other) = pairs
        loaded = bpf.load_func(program, BPF.SK_MSG, attach_type=7)  # BPF_SK_MSG_VERDICT
        attr = ctypes.create_string_buffer(struct.pack("=IIII", bpf[map].map_fd, loaded.fd, 7, 0), 20)
        assert syscall.bpf(syscall.PROG_ATTACH, attr) == 0
        bpf[map][target] = other
        bpf[map][source] = sender.fileno()
        sender.sendall(b"redirected")
        other.settimeout(PATIENCE)
        assert other.recv(64) == b"redirected"  # a socket that it is not connected to
        del bpf[map][source]
        sender.sendall(b"straight")
        its_peer.settimeout(PATIENCE)
        assert its_peer.recv(64) == b"straight"
        for pair in pairs:
            for one in pair:
                one.close()


def test_sockets_of_a_reuseport_group_and_of_a_hash_show_their_cookies() -> None:
    with (
        socket.socket() as group,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connected,
        maps.create("reuseport_sockarray", value=ctypes.c_uint64, max_entries=2) as array,
        maps.create("sockhash", key=ctypes.c_uint32, value=ctypes.c_uint64, max_entries=2) as table,
    ):
        group.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        group.bind(("127.0.0.1", 0))
        group.listen()
        array[1] = group
        table[3] = connected
        cookies = [struct.unpack("=Q", one.getsockopt(socket.SOL_SOCKET, 57, 8))[0] for one in (group, connected)]  # SO_COOKIE
        assert [(key.value, leaf.value) for key, leaf in array.items()] == [(1, cookies[0])]
        assert [(key.value, leaf.value) for key, leaf in table.items()] == [(3, cookies[1])]


ON_CALL = r"""
BPF_ARRAY(me, u32, 1);
BPF_ARRAY(seen, u64, 4);
BPF_TASK_STORAGE(calls, u64);
BPF_CGROUP_ARRAY(cgroups, 2);
BPF_PERF_ARRAY(counters, 1024);
BPF_ARRAY(counter, struct bpf_perf_event_value, 1);
BPF_STACK_TRACE(stacks, 64);
BPF_STACK_TRACE(kernel_stacks, 64);  // of its own: two stacks that meet in one bucket are an error (EEXIST)
BPF_STACK_TRACE_BUILDID(build_ids, 64);
BPF_HASH(ids, u32, int);
BPF_USER_RINGBUF(commands, 1);

static long take(void *dynptr, void *context) {
    u32 value = 0;
    int slot = 3;
    bpf_dynptr_read(&value, sizeof(value), dynptr, 0, 0);
    seen.increment(slot, value);
    return 0;
}

int on_call(struct bpf_raw_tracepoint_args *ctx) {
    int zero = 0, one = 1, two = 2;
    u32 *pid = me.lookup(&zero), key = 0;
    if (!pid || *pid != bpf_get_current_pid_tgid() >> 32 || ctx->args[1] != GETPPID)
        return 0;
    u64 first = 40, *mine = calls.task_storage_get(bpf_get_current_task_btf(), &first, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (mine)
        *mine += 2;
    if (cgroups.check_current_task(1) == 1)
        seen.increment(one);
    u64 count = counters.perf_read(CUR_CPU_IDENTIFIER);
    if ((s64)count >= 0 || (s64)count < -256)
        seen.update(&two, &count);
    struct bpf_perf_event_value *value = counter.lookup(&zero);
    if (value)
        counters.perf_counter_value(CUR_CPU_IDENTIFIER, value, sizeof(*value));
    int id = stacks.get_stackid(ctx, BPF_F_USER_STACK);
    ids.update(&key, &id);
    key = 1;
    id = kernel_stacks.get_stackid(ctx, 0);
    ids.update(&key, &id);
    key = 2;
    id = build_ids.get_stackid(ctx, BPF_F_USER_STACK);
    ids.update(&key, &id);
    long drained = bpf_user_ringbuf_drain(&commands, take, 0, 0);
    if (drained > 0)
        seen.increment(zero, drained);
    return 0;
}
"""


def test_what_a_program_sees_of_the_process_that_runs() -> None:
    with BPF(text=ON_CALL, cflags=[f"-DGETPPID={_GETPPID}"]) as bpf:
        ring, seen = bpf["commands"], bpf["seen"]
        bpf["me"][0] = os.getpid()
        ring.output((5).to_bytes(4, "little"))
        with ring.reserve(4) as record:
            record.data[:] = (6).to_bytes(4, "little")
        ring.reserve(4).discard()
        with pytest.raises(ZeroDivisionError), ring.reserve(4):
            raise ZeroDivisionError
        assert ring.pending() == 4 * 16
        cgroups = cgroup2_mounts()
        if cgroups:
            bpf["cgroups"].update({0: cgroups[0], 1: cgroups[0]})
            del bpf["cgroups"][0]
        bpf["counters"].open_perf_event(1, 0)  # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK
        bpf.attach_raw_tracepoint("sys_enter", "on_call")
        for _ in range(1000):
            os.getppid()
        bpf.detach_raw_tracepoint("sys_enter")
        assert bpf["calls"][os.getpid()].value == 40 + 2 * 1000
        drained, in_cgroup, nanoseconds, sum_of_commands = (leaf.value for leaf in seen.values())
        assert (drained, sum_of_commands, ring.pending()) == (2, 11, 0)
        assert in_cgroup == (1000 if cgroups else 0)
        assert nanoseconds > 0
        assert bpf["counter"][0].counter >= nanoseconds
        ids = {key.value: leaf.value for key, leaf in bpf["ids"].items()}
        stacks = bpf["stacks"]
        assert min(ids.values()) >= 0
        assert all(address >> 63 for address in bpf["kernel_stacks"].walk(ids[1]))
        assert list(stacks.walk(ids[0], resolve=hex)) == [hex(address) for address in stacks.walk(ids[0])]
        assert len(list(bpf["kernel_stacks"].walk(ids[1]))) >= 2
        found = list(bpf["build_ids"].walk(ids[2]))
        assert found
        assert all(frame.status == stacks.BPF_STACK_BUILD_ID_VALID and any(frame.build_id) for frame in found)
        with pytest.raises(KeyError, match="no entry for key -14"):
            stacks.walk(-14)
        if cgroups:
            del bpf["cgroups"][1]
        with pytest.raises(MapError, match="perf_event_open"):
            bpf["counters"].open_perf_event(1, 1 << 40)


IN_CGROUP = r"""
BPF_SK_STORAGE(packets, u64);
BPF_CGROUP_STORAGE(bytes, u64);
BPF_PERCPU_CGROUP_STORAGE(cpu_bytes, u64);
int on_packet(struct __sk_buff *skb) {
    u64 zero = 0, *count = bytes.get_local_storage(0);
    __sync_fetch_and_add(count, skb->len);
    count = cpu_bytes.get_local_storage(0);
    *count += skb->len;
    struct bpf_sock *sk = skb->sk;
    if (!sk || !(sk = bpf_sk_fullsock(sk)))
        return 1;
    count = packets.sk_storage_get(sk, &zero, BPF_SK_STORAGE_GET_F_CREATE);
    if (count)
        *count += 1;
    return 1;
}
"""


@pytest.fixture
def cgroup() -> Iterator[str]:
    mounts = cgroup2_mounts()
    if not mounts:
        pytest.skip("no cgroup2 is mounted")
    folder = f"{mounts[0]}/skep-test-{os.getpid()}"
    os.mkdir(folder)
    yield folder
    os.rmdir(folder)


def test_storage_of_sockets_and_cgroups(cgroup: str) -> None:
    with (
        BPF(text=IN_CGROUP) as bpf,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        # a socket belongs to the cgroup of the process that makes it
        code = (
            "import os, socket, sys\n"
            "open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))\n"
            "made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "made.connect(('127.0.0.1', int(sys.argv[2])))\n"
            "socket.send_fds(socket.socket(fileno=int(sys.argv[3])), [b'.'], [made.fileno()])\n"
            "sys.stdin.read()\n"
        )
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-c", code, cgroup, str(receiver.getsockname()[1]), str(theirs.fileno())]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[theirs.fileno()])
        fd = os.open(cgroup, os.O_RDONLY)
        loaded = bpf.load_func("on_packet", BPF.CGROUP_SKB, attach_type=1)  # BPF_CGROUP_INET_EGRESS
        attr = ctypes.create_string_buffer(struct.pack("=IIII", fd, loaded.fd, 1, 0), 20)
        assert syscall.bpf(syscall.PROG_ATTACH, attr) == 0
        try:
            with ours, theirs, socket.socket(fileno=socket.recv_fds(ours, 1, 1)[1][0]) as sent:
                for _ in range(3):
                    sent.send(b"x" * 100)
                assert bpf["packets"][sent].value == 3
                assert bpf["packets"].get(sender) is None
                bpf["packets"][sender] = 9
                assert bpf["packets"].pop(sender).value == 9
                with pytest.raises(MapError, match="cannot be listed: ask for the value of one object, a socket or its fd"):
                    bpf["packets"].items()
            ((key, leaf),) = bpf["bytes"].items()
            assert (key.cgroup_inode_id, leaf.value) == (os.stat(cgroup).st_ino, 3 * 128)
            ((_, leaves),) = bpf["cpu_bytes"].items()
            assert sum(leaves) == 3 * 128
        finally:
            os.close(fd)
            child.communicate(timeout=PATIENCE)


def test_storage_of_tasks_inodes_and_cgroups_from_python(tmp_path: Path, cgroup: str) -> None:
    child = subprocess.Popen(["sleep", "60"])
    path = tmp_path / "file"
    path.write_text("")
    try:
        for kind, key in (("task_storage", child.pid), ("inode_storage", path), ("cgrp_storage", cgroup)):
            if refused(kind, value=ctypes.c_uint64):
                continue
            with maps.create(kind, value=ctypes.c_uint64) as table:
                assert key not in table
                table.update([(key, 5)])
                assert (table[key].value, key in table, table.get(key).value) == (5, True, 5)
                del table[key]
                with pytest.raises(MapKeyError):
                    table[key]
                assert table.get(key) is None
        with (
            maps.create("task_storage", value=ctypes.c_uint64) as table,
            pytest.raises(MapError, match="is not there, or no process id: No such process"),
        ):
            table[2**22 + 1]
    finally:
        child.kill()
        child.wait()


def test_an_arena_is_memory() -> None:
    if refused("arena", max_entries=4):
        return
    with maps.create("arena", max_entries=4) as arena:
        words = arena.live("u8")
        assert (len(words), words.sum()) == (4 * 512, 0)
        words[3] = 7
        assert arena.memory[24] == 7
        del words


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("hash", {"key": ctypes.c_uint32, "value": ctypes.c_uint64}), ("array", {"value": ctypes.c_uint64}),
        ("prog_array", {}), ("perf_event_array", {}), ("percpu_hash", {"key": 4, "value": ctypes.c_uint32}),
        ("percpu_array", {"value": ctypes.c_uint64}), ("stack_trace", {}), ("cgroup_array", {}),
        ("lru_hash", {"key": ctypes.c_uint32, "value": 16}), ("lru_percpu_hash", {"key": ctypes.c_uint32, "value": 8}),
        ("lpm_trie", {"key": 8, "value": ctypes.c_uint32}), ("devmap", {}), ("sockmap", {}), ("cpumap", {}), ("xskmap", {}),
        ("sockhash", {"key": 4}), ("cgroup_storage", {"key": ctypes.c_uint64, "value": ctypes.c_uint64}),
        ("reuseport_sockarray", {"value": ctypes.c_uint64}), ("queue", {"value": 4}), ("stack", {"value": 4}),
        ("percpu_cgroup_storage", {"key": ctypes.c_uint64, "value": ctypes.c_uint64}), ("sk_storage", {"value": ctypes.c_uint64}),
        ("devmap_hash", {"key": 4}), ("ringbuf", {}), ("inode_storage", {"value": ctypes.c_uint64}),
        ("task_storage", {"value": ctypes.c_uint64}), ("bloom_filter", {"value": 4}), ("user_ringbuf", {}),
        ("cgrp_storage", {"value": ctypes.c_uint64}), ("arena", {}),
    ],
)  # fmt: skip
def test_each_kind_is_created_found_by_id_frozen_and_closed(kind: str, options: dict[str, object]) -> None:
    entries = 0 if "storage" in kind else 1 if kind == "cpumap" else 4096 if kind.endswith("ringbuf") else 4
    if refused(kind, max_entries=entries, **options):
        return
    with maps.create(kind, max_entries=entries, **options) as made:
        assert made.map_type_name == kind
        assert made.info()["type"] == made.ttype
        with maps.from_id(made.map_id) as found:
            assert (type(found), found.map_id) == (type(made), made.map_id)
            assert found.handle.spec.key_size == made.handle.spec.key_size
        if kind not in ("xskmap", "struct_ops"):
            made.freeze()
            assert made.info()["frozen"] == 1
    assert made.map_fd == -1
    with pytest.raises(MapError, match="is closed"):
        made.info()
