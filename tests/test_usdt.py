"""USDT probes of a real program: arguments in registers, memory and constants, several places, semaphores, errors."""

from __future__ import annotations

import platform
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from waiting import PATIENCE

from skep import BPF
from skep.bcc import USDT, USDTException
from skep.errors import CompileError, SkepError
from skep.symbols.usdt import Argument, probes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from skep.symbols.binary import Binary

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="arguments of probes are read on x86-64")

# what <sys/sdt.h> makes of DTRACE_PROBE: a nop, and a note that says where it is and where its arguments are
PROGRAM = r"""
#include <stdio.h>
#include <unistd.h>
#define PROBE(provider, name, sema, arguments, ...) asm volatile( \
    "990: nop\n" \
    ".pushsection .note.stapsdt,\"\",\"note\"\n .balign 4\n .4byte 992f-991f, 994f-993f, 3\n" \
    "991: .asciz \"stapsdt\"\n 992: .balign 4\n" \
    "993: .8byte 990b, _.stapsdt.base, " sema "\n .asciz \"" provider "\"\n .asciz \"" name "\"\n .asciz \"" arguments "\"\n" \
    "994: .balign 4\n .popsection\n" \
    ".ifndef _.stapsdt.base\n .pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
    ".weak _.stapsdt.base\n .hidden _.stapsdt.base\n _.stapsdt.base: .space 1\n" \
    ".size _.stapsdt.base, 1\n .popsection\n .endif\n" \
    : : __VA_ARGS__)
unsigned short waiting __attribute__((section(".probes"), used));
int global = 4711;
struct { char c; short table[4]; } data = {'d', {10, -20, 30, 40}};
int main(void) {
    char c;
    const char *volatile kept = "skep text";
    while (read(0, &c, 1) == 1) {
        const char *text = kept;
        long i = 2 + (*(volatile const char *)text == 0); /* a page that nobody touched cannot be read */
        PROBE("skep", "mixed", "0", "-4@%0 8@%1 4@$7 -8@$-9 4@global(%%rip) -2@2+data(%%rip) -2@2(%2,%3,2)",
              "r"(-c), "r"(text), "r"(&data), "r"(i));
        PROBE("skep", "twice", "0", "4@%0 1@%b1", "a"(1), "c"(c));
        PROBE("skep", "twice", "0", "4@%1 1@%b0", "b"(c), "d"(2));
        PROBE("skep", "counted", "waiting", "4@%0", "m"(global));
        PROBE("other", "same", "0", "4@$1", "i"(0));
        PROBE("skep", "same", "0", "4@$2 8f@%%xmm0", "i"(0));
        PROBE("skep", "widths", "0", "-4@%0", "r"(70000));
        PROBE("skep", "widths", "0", "-1@%b0", "q"((char)-c));
        char answer = waiting ? '1' : '0';
        write(1, &answer, 1);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("usdt")
    (folder / "p.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O1", "-pie", "-fPIE", "-o", str(folder / "p"), str(folder / "p.c")], check=True)
    subprocess.run(["cc", "-xc", "-", "-o", str(folder / "plain")], input=b"int main(void) { return 0; }", check=True)
    return folder / "p"


class Running:
    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pid = self.process.pid

    def step(self, byte: bytes = b"x") -> bytes:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(byte)
        return self.process.stdout.read(1)


@pytest.fixture
def running(program: Path) -> Iterator[Running]:
    made = Running(program)
    yield made
    made.process.communicate(timeout=PATIENCE)


def test_probes_of_a_file_are_listed(program: Path) -> None:
    found = {str(probe): probe for probe in probes(str(program))}
    assert list(found) == ["skep:mixed", "skep:twice", "skep:counted", "other:same", "skep:same", "skep:widths"]
    assert [len(probe.places) for probe in found.values()] == [1, 2, 1, 1, 1, 2]
    code = program.read_bytes()
    for probe in found.values():
        for place in probe.places:
            assert code[probe.binary.file_offset(place.address)] == 0x90  # nop
        assert bool(probe.semaphore) == (probe.name == "counted")
    listed = {probe.name: probe for probe in USDT(path=str(program)).enumerate_probes()}
    assert (listed[b"twice"].num_locations, listed[b"twice"].num_arguments, listed[b"twice"].provider) == (2, 2, b"skep")
    assert listed[b"mixed"].get_location(0).get_argument(0).c_type == "signed int"
    assert USDT(path=str(program)).get_probe_arg_ctype("mixed", 5) == "signed short"


TEXT = """
struct event { int a; u64 b; int c; long d; int e; short f, g; char text[16]; };
BPF_ARRAY(out, struct event, 1);
int on_mixed(struct pt_regs *ctx) {
    int zero = 0;
    struct event *e = out.lookup(&zero);
    if (!e) return 0;
    bpf_usdt_readarg(1, ctx, &e->a); bpf_usdt_readarg(2, ctx, &e->b); bpf_usdt_readarg(3, ctx, &e->c);
    bpf_usdt_readarg(4, ctx, &e->d); bpf_usdt_readarg(5, ctx, &e->e); bpf_usdt_readarg(6, ctx, &e->f);
    bpf_usdt_readarg(7, ctx, &e->g); bpf_usdt_readarg_p(2, ctx, &e->text, sizeof(e->text) - 6);
    return 0;
}
"""


@pytest.mark.kernel
@pytest.mark.parametrize("by_pid", [True, False], ids=["process", "file"])
def test_arguments_are_read_where_the_program_has_them(program: Path, running: Running, by_pid: bool) -> None:
    probe = USDT(pid=running.pid) if by_pid else USDT(path=str(program))
    probe.enable_probe(probe="mixed", fn_name="on_mixed")
    with BPF(text=TEXT, usdt_contexts=[probe]) as b:
        running.step(b"A")
        e = b["out"][0]
        assert (e.a, e.c, e.d, e.e, e.f, e.g, e.text) == (-65, 7, -9, 4711, 10, 30, b"skep text")
        assert probe.enumerate_active_probes()[0][1] == b"on_mixed"
        assert (f"of process {running.pid}" in b.links[0].hook.target) == by_pid


@pytest.mark.kernel
def test_a_probe_in_several_places_reads_each_as_its_own(program: Path, running: Running) -> None:
    text = """
    BPF_HASH(seen, u64, u64);
    int f(struct pt_regs *ctx) {
        u32 number = 0; char c = 0;
        bpf_usdt_readarg(1, ctx, &number); bpf_usdt_readarg(2, ctx, &c);
        seen.increment((u64)number << 8 | (u8)c);
        return 0;
    }
    """
    other = Running(program)
    try:
        contexts = [USDT(pid=running.pid), USDT(pid=other.pid)]
        for context in contexts:
            context.enable_probe("skep:twice", "f")
        with BPF(text=text, usdt_contexts=contexts) as b:
            running.step(b"A")
            other.step(b"B")
            seen = {key.value: value.value for key, value in b["seen"].items()}
            assert seen == {1 << 8 | 65: 1, 2 << 8 | 65: 1, 1 << 8 | 66: 1, 2 << 8 | 66: 1}
            assert b.num_open_uprobes() == 4
    finally:
        other.process.communicate(timeout=PATIENCE)


@pytest.mark.kernel
def test_an_argument_is_as_wide_as_at_its_widest_place(running: Running) -> None:
    text = """
BPF_HASH(seen, int, u64);
int f(struct pt_regs *ctx) {
    int value;
    short small;
    if (!bpf_usdt_readarg(1, ctx, &value) && bpf_usdt_readarg(1, ctx, &small))
        seen.atomic_increment(value);
    return 0;
}"""
    probe = USDT(pid=running.pid)
    probe.enable_probe("widths", "f")
    with BPF(text=text, usdt_contexts=[probe]) as b:
        running.step(b"A")
        assert {key.value: value.value for key, value in b["seen"].items()} == {70000: 1, -65: 1}


@pytest.mark.kernel
def test_a_semaphore_is_up_while_the_probe_is_enabled(running: Running) -> None:
    assert running.step() == b"0"
    probe = USDT(pid=running.pid)
    probe.enable_probe("counted", "f")
    with BPF(text="int f(void *ctx) { return 0; }", usdt_contexts=[probe]):
        assert running.step() == b"1"
    assert running.step() == b"0"


def test_a_probe_that_is_not_there_or_ambiguous_is_said(program: Path) -> None:
    probe = USDT(path=str(program))
    with pytest.raises(USDTException, match=r"no USDT probe 'mixd' .*did you mean 'mixed'"):
        probe.enable_probe("mixd", "f")
    with pytest.raises(USDTException, match="several probes 'same': name one of other:same, skep:same"):
        probe.enable_probe("same", "f")
    with pytest.raises(USDTException, match="give pid= or path="):
        USDT()
    with pytest.raises(SkepError, match="no library or program"):
        USDT(path="/nonexistent/program")
    with pytest.raises(SystemExit):
        probe.enable_probe_or_bail("nothing", "f")
    probe.enable_probe("other:same", "f")
    assert probes(str(program.with_name("plain"))) == []


@pytest.mark.kernel
def test_what_cannot_be_read_gives_minus_one_and_what_is_not_there_an_error(program: Path, running: Running) -> None:
    text = "BPF_ARRAY(out, long, 2); int f(struct pt_regs *ctx) {{ u64 a = 0; int one = 1, zero = 0; u32 b = 0;" \
           " long r = bpf_usdt_readarg({}, ctx, &a), s = bpf_usdt_readarg(1, ctx, &b);" \
           " out.update(&zero, &r); out.update(&one, &s); return b; }}"  # fmt: skip
    probe = USDT(path=str(program))
    probe.enable_probe("skep:same", "f")
    with BPF(text=text.format(2), usdt_contexts=[probe]) as b:
        running.step()
        assert [b["out"][i].value for i in range(2)] == [-1, 0]
    with pytest.raises(CompileError, match="or the probe has no argument 3") as caught:
        BPF(text=text.format(3), usdt_contexts=[probe])
    assert "<text>:1:" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expression", "size", "signed"),
    [
        ("-4@%eax", "ctx->ax", 4, True), ("8@%r9", "ctx->r9", 8, False), ("1@%r10b", "ctx->r10", 1, False),
        ("1@%ah", "(ctx->ax >> 8)", 1, False), ("1@%sil", "ctx->si", 1, False), ("4@$-5", "-5LL", 4, False),
        ("-8@-24(%rbp)", "(ctx->bp + -24LL)", 8, True), ("4@(%rdx,%rcx)", "(ctx->dx + 0LL + ctx->cx * 1)", 4, False),
        ("%rdi", "ctx->di", 8, False), ("8f@%xmm1", None, 8, False), ("4@nothing(%rip)", None, 4, False),
        ("16@%xmm1", None, 16, False), ("4@%k1", None, 4, False),
    ],
)  # fmt: skip
def test_arguments_are_understood(text: str, expression: str | None, size: int, signed: bool) -> None:
    class NoSymbols:
        def address(self, _symbol: str) -> None:
            return None

    empty: Binary = NoSymbols()  # type: ignore[assignment]
    argument = Argument(text, empty, 0)
    assert (argument.expression, argument.size, argument.signed) == (expression, size, signed)
