"""The parts of the `bcc` package that tools import beside class BPF."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from support import ROOT
from waiting import PATIENCE, eventually

from skep import BPF, compile
from skep.bcc import ArgString, Perf, PerfEventSampleFormat, PerfSWConfig, StrcmpRewrite, SymbolCache, disassembler, tcp
from skep.bcc.containers import filter_by_containers
from skep.bcc.exec import run_cmd
from skep.bcc.libbcc import lib
from skep.bcc.syscall import syscall_name
from skep.bcc.utils import detect_language, printb
from skep.errors import SkepError

if TYPE_CHECKING:
    from collections.abc import Callable


def run(script: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)


def test_every_module_that_tools_import_is_there() -> None:
    script = """
import skep.bcc; skep.bcc.install()
import bcc
from bcc import ArgString, Perf, PerfEventSampleFormat, StrcmpRewrite, SymbolCache, USDT, USDTException
from bcc import disassembler, lib, tcp, utils
from bcc.containers import filter_by_containers
from bcc.exec import run_cmd, cmd_ready, cmd_exited
from bcc.libbcc import lib as same
assert same is lib and bcc.utils is utils and utils.ArgString is ArgString
print("ok")
"""
    result = run(script)
    assert result.stdout == b"ok\n", result.stderr


def test_arguments_are_text_and_bytes() -> None:
    assert (str(ArgString("é")), bytes(ArgString("é"))) == ("é", "é".encode())


def test_tcp_names() -> None:
    assert [tcp.state2str(number) for number in (1, 10, 12, 99)] == ["ESTABLISHED", "LISTEN", "NEW_SYN_RECV", "99"]
    assert (tcp.flags2str(0x12), tcp.flags2str(0x80), tcp.flags2str(0)) == ("SYN|ACK", "CWR", "")


def test_a_command_waits_for_its_script() -> None:
    script = """
import os, time
from skep.bcc.exec import cmd_exited, cmd_ready, run_cmd
pid = run_cmd(["/bin/sh", "-c", "exit 3"])
time.sleep(0.05)
assert not cmd_exited() and os.readlink(f"/proc/{pid}/exe") == os.readlink("/proc/self/exe")
cmd_ready()
for _ in range(6000):
    if cmd_exited():
        break
    time.sleep(0.01)
assert cmd_exited()
print("ended")
"""
    assert run(script).stdout == b"ended\n"


def test_containers_filter_compiles_and_is_false_without_maps() -> None:
    program = "int f(void *ctx) { return container_should_be_filtered(); }"
    plain = filter_by_containers(SimpleNamespace(cgroupmap=None, mntnsmap=None))
    assert not compile(plain + program).maps
    both = filter_by_containers(SimpleNamespace(cgroupmap="/sys/fs/bpf/a", mntnsmap="/sys/fs/bpf/b"))
    assert {spec.pin_path for spec in compile(both + program).maps.values()} == {"/sys/fs/bpf/a", "/sys/fs/bpf/b"}


@pytest.mark.kernel
@pytest.mark.parametrize(("expression", "hits"), [('STRCMP("wanted", arg1)', 1), ('STRCMP("other", arg1)', 0)])
def test_strings_are_compared(expression: str, hits: int) -> None:
    found = StrcmpRewrite.rewrite_expr(expression, False, True, [], "", 4)
    assert found["probeid"] == 5
    assert found["expr"] == "streq_4(arg1)"
    text = f"""
{found["streq_functions"]}
BPF_ARRAY(count, u64, 1);
int syscall__f(struct pt_regs *ctx, int folder, unsigned long arg1) {{
    if (bpf_get_current_pid_tgid() >> 32 == {os.getpid()} && {found["expr"]})
        count.atomic_increment(0);
    return 0;
}}"""
    with BPF(text=text) as bpf:
        bpf.attach_kprobe(event=bpf.get_syscall_fnname("openat"), fn_name="syscall__f")
        try:
            os.open("wanted", os.O_RDONLY)
        except FileNotFoundError:
            pass
        assert bpf["count"][0].value == hits


def test_bytes_are_compared() -> None:
    found = StrcmpRewrite.rewrite_expr('STRCMP("{1, 2}", p) && p', True, False, [], "", 0)
    assert found["expr"] == "streq_0(p) && p"
    assert "wanted[] = {1, 2}" in found["streq_functions"]


def test_language_of_a_process() -> None:
    assert detect_language(["c", "python"], os.getpid()) == "python"
    assert detect_language(["c"], os.getpid()) is None
    assert detect_language(["c"], 1 << 30) is None
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        eventually(lambda: os.readlink(f"/proc/{child.pid}/exe").endswith("/sleep") and detect_language(["c"], child.pid))
        assert detect_language(["c", "python"], child.pid) == "c"
        child.kill()


def test_symbols_of_a_process_both_ways() -> None:
    address = ctypes.cast(ctypes.CDLL("libc.so.6").malloc, ctypes.c_void_p).value
    assert address
    cache = SymbolCache(os.getpid())
    name, offset, file = cache.resolve(address + 1, True)
    assert name is not None
    assert file is not None
    assert b"malloc" in name
    assert offset == 1
    assert b"libc" in file
    assert cache.resolve_name(file, "malloc") == address
    assert cache.resolve_name(file, "no_such_function") == -1
    assert cache.resolve(1, False) == (None, 1, None)


def test_disassembler_prints_instructions() -> None:
    code = b"\xb7\0\0\0\x01\0\0\0\x95\0\0\0\0\0\0\0"
    assert disassembler.disassemble_str(code) == ["   0: (b7) r0 = 1", "   1: (95) exit"]
    assert disassembler.disassemble_prog(b"f", code).splitlines()[0] == "Disassemble of BPF program b'f':"


def test_perf_event_attr_is_the_kernel_s() -> None:
    attr = Perf.perf_event_attr()
    assert attr.size == ctypes.sizeof(attr) == 120
    attr.exclude_kernel, attr.sample_freq, attr.text_poke = 1, 99, 1
    words = (ctypes.c_uint64 * 15).from_buffer(attr)
    assert words[2] == 99
    assert words[5] == 1 << 5 | 1 << 33


@pytest.mark.kernel
def test_attach_perf_event_raw_gives_addresses() -> None:
    text = """
BPF_ARRAY(seen, u64, 2);
int on_fault(struct bpf_perf_event_data *ctx) {
    if (bpf_get_current_pid_tgid() >> 32 == PID) {
        seen.atomic_increment(0);
        if (ctx->addr) seen.atomic_increment(1);
    }
    return 0;
}"""
    attr = Perf.perf_event_attr()
    attr.type, attr.config, attr.sample_period = Perf.PERF_TYPE_SOFTWARE, PerfSWConfig.PAGE_FAULTS, 1
    attr.sample_type, attr.exclude_kernel = PerfEventSampleFormat.ADDR, 1
    child = subprocess.Popen([sys.executable, "-c", "input(); bytearray(1 << 22)"], stdin=subprocess.PIPE)
    try:
        with BPF(text=text, cflags=[f"-DPID={child.pid}"]) as bpf:
            bpf.attach_perf_event_raw(attr=attr, fn_name=b"on_fault", pid=-1, cpu=-1)
            child.communicate(b"\n", timeout=PATIENCE)
            faults, addresses = (value.value for value in bpf["seen"].values())
            assert 0 < faults == addresses
            bpf.detach_perf_event(attr.type, attr.config)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: SymbolCache("x"), "pid is a number, not str 'x'"),
        (lambda: SymbolCache(os.getpid()).resolve(None, True), "an address is a number, not NoneType None"),
        (lambda: SymbolCache(os.getpid()).resolve_name("c", 5), "a name is str or bytes, not int 5"),
        (lambda: syscall_name("read"), "the number of a system call is a number, not str 'read'"),
        (lambda: tcp.flags2str("x"), "a TCP header's byte of flags is a number, not str 'x'"),
        (lambda: tcp.state2str([]), "a state of TCP is a number, not list []"),
        (lambda: printb("x"), "printb() prints bytes, not str 'x'"),
        (lambda: ArgString(b"x"), "ArgString takes str, not bytes b'x'"),
        (lambda: lib.bpf_table_fd(5, b"x"), "bpf_table_fd() takes the module of a BPF object, not 5"),
        (lambda: run_cmd("ls"), "run_cmd('ls'): a command is a list of words, such as ['sh', '-c', 'true']"),
        (lambda: Perf.perf_event_open("x"), "tpoint_id is a number, not str 'x'"),
        (lambda: Perf.perf_event_open(1, "x"), "pid is a number, not str 'x'"),
        (lambda: Perf.perf_custom_event_open(5), "perf_custom_event_open() takes a Perf.perf_event_attr(), not 5"),
    ],
)  # fmt: skip
def test_arguments_of_a_wrong_type_are_told(call: Callable[[], object], text: str) -> None:
    with pytest.raises(SkepError) as caught:
        call()
    assert str(caught.value) == text
