"""Loading programs, refusals in words, running by hand."""

from __future__ import annotations

import os
import re
import signal
import struct
from typing import TYPE_CHECKING

import pytest

from skep.engine.kernel import verifier
from skep.errors import ObjectError, UnsupportedError, VerifierError
from skep.object.kinds import kind_for_section
from skep.object.model import MapSpec, Object, ProgramKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Assembler

    from skep.engine.kernel import KernelEngine

pytestmark = pytest.mark.kernel


def kind(section: str) -> ProgramKind:
    found = kind_for_section(section)
    assert found is not None
    return found


def test_program_is_loaded_with_its_name_and_type(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    spec = assembler.move(0, 0).exit().spec("a_long_name_for_a_program")
    with engine.load_program(spec, kind("xdp"), {}, owner) as program:
        info = program.info()
        assert (info["name"], info["type"]) == ("a_long_name_for", 6)
        assert program.fd >= 3


def test_packet_program_runs_on_given_data(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    # r2 = data, r3 = data_end; if data + 14 > data_end return 0; data[0] = 0x5a; return 2
    assembler.raw(0x61, 2, 1, 0).raw(0x61, 3, 1, 4).copy(4, 2).add(4, 14).move(0, 0).raw(0x2D, 4, 3, 2)
    spec = assembler.raw(0x72, 2, offset=0, immediate=0x5A).move(0, 2).exit().spec()
    with engine.load_program(spec, kind("xdp"), {}, owner) as program:
        assert program.test_run(bytes(60))[:2] == (2, b"\x5a" + bytes(59))
        assert program.test_run(bytes(60), repeat=1000)[3] < 1_000_000


def test_raw_tracepoint_program_runs_on_a_context(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    spec = assembler.raw(0x79, 0, 1, 8).exit().spec()  # returns the second argument
    with engine.load_program(spec, kind("raw_tracepoint"), {}, owner) as program:
        assert program.test_run(ctx=struct.pack("=QQ", 1, 77))[0] == 77


def test_map_value_relocation_reads_the_section_at_its_offset(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    data = MapSpec(".rodata", 2, 4, 16, 1, flags=1 << 7, initial=struct.pack("=QQ", 5, 6), frozen=True)
    spec = assembler.map(1, ".rodata", 8).raw(0x79, 0, 1).exit().spec()
    with engine.create_map(data) as rodata, engine.load_program(spec, kind("xdp"), {".rodata": rodata}, owner) as program:
        assert program.test_run(bytes(60))[0] == 6


def test_missing_map_is_an_object_error(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    spec = assembler.map(1, "nowhere").move(0, 0).exit().spec()
    with pytest.raises(ObjectError, match="uses map 'nowhere', which was not created"):
        engine.load_program(spec, kind("xdp"), {}, owner)


REFUSED: dict[str, tuple[str, Callable[[Assembler], Assembler], str, str]] = {
    "null map value": (
        "xdp",
        lambda a: (
            a.raw(0x62, 10, offset=-4).copy(2, 10).add(2, -4).map(1, "counts").call(1).raw(0x79, 0, 0).exit()
        ),
        "map_value_or_null",
        "test the pointer before it is used",
    ),
    "scalar pointer": ("kprobe", lambda a: a.raw(0x79, 2, 1).raw(0x79, 0, 2).exit(), "scalar", "bpf_probe_read_kernel"),
    "packet": ("xdp", lambda a: a.raw(0x61, 2, 1).raw(0x71, 0, 2).exit(), "invalid access to packet", "data_end"),
    "uninitialised register": ("xdp", lambda a: a.copy(0, 5).exit(), "!read_ok", "uninitialised variable"),
    "no result": ("xdp", lambda a: a.exit(), "R0 !read_ok", "return a value"),
    "endless loop": ("xdp", lambda a: a.move(0, 0).raw(0x05, offset=-1).exit(), r"infinite loop|back-edge|unreachable", ""),
    "stack": ("xdp", lambda a: a.raw(0x7A, 10, offset=-520).move(0, 0).exit(), "invalid write to stack", "512 bytes"),
    "unknown helper": ("xdp", lambda a: a.call(99999).move(0, 0).exit(), "invalid func", "does not know this helper"),
    "unknown opcode": ("xdp", lambda a: a.raw(0xFF).move(0, 0).exit(), "unknown opcode|BPF_ALU|reserved|invalid", ""),
    "context field": ("xdp", lambda a: a.raw(0x61, 0, 1, 200).exit(), "invalid bpf_context access", "no readable field"),
    "misaligned": (
        "xdp",
        lambda a: a.raw(0x7A, 10, offset=-8).raw(0x7A, 10, offset=-16).raw(0x79, 0, 10, -13).exit(),
        "misaligned",
        "aligned",
    ),
    "reference": (
        "xdp",
        lambda a: a.map(1, "ring").move(2, 8).move(3, 0).call(131).move(0, 0).exit(),
        "nreleased reference|reference has not been released",
        "released on every path",
    ),
    "unbounded": (
        "xdp",
        lambda a: (
            a.raw(0x62, 10, offset=-4).copy(2, 10).add(2, -4).map(1, "counts").call(1).raw(0x55, 0, offset=1).exit()
            .raw(0x79, 1, 0).raw(0x0F, 0, 1).raw(0x71, 0, 0).exit()
        ),
        "unbounded min value",
        "limit it first",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_verifier_refusal_names_reason_and_remedy(case: str, engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    section, build, reason, hint = REFUSED[case]
    spec = build(assembler).spec("refused")
    with (
        engine.create_map(MapSpec("counts", 1, 4, 8, 1)) as counts,
        engine.create_map(MapSpec("ring", 27, 0, 0, 4096)) as ring,
        pytest.raises(VerifierError) as caught,
    ):
        engine.load_program(spec, kind(section), {"counts": counts, "ring": ring}, owner)
    error = caught.value
    assert re.search(reason, str(error)), str(error)
    assert hint in error.hint, (str(error), error.log)
    assert error.log
    assert error.errno
    assert str(error).startswith(f"the kernel refuses program 'refused' ({section}): ")


def test_gpl_helper_without_gpl_licence(engine: KernelEngine, assembler: Assembler) -> None:
    owner = Object(b"", license="Proprietary", btf=None, maps={}, programs={})
    spec = assembler.copy(1, 10).add(1, -8).move(2, 8).move(3, 0).call(113).move(0, 0).exit().spec()
    with pytest.raises(VerifierError) as caught:
        engine.load_program(spec, kind("kprobe"), {}, owner)
    assert 'the licence must be "GPL"' in caught.value.hint, caught.value.log


def test_too_long_log_is_read_whole(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    for _ in range(3000):
        assembler.move(1, 1)
    spec = assembler.copy(0, 5).exit().spec()
    with pytest.raises(VerifierError) as caught:
        engine.load_program(spec, kind("xdp"), {}, owner)
    assert len(caught.value.log) > 64 * 1024
    assert caught.value.insn == 3000
    assert "0: (b7) r1 = 1" in caught.value.log


def test_c_line_comes_from_the_log(engine: KernelEngine) -> None:
    log = (
        "func#0 @0\n0: R1=ctx() R10=fp0\n; int x = *p; @ prog.c:7\n0: (79) r0 = *(u64 *)(r2 +0)\n"
        "R2 invalid mem access 'scalar'\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n"
    )
    report = verifier.read_log(log)
    assert (report.source_line, report.insn, report.reason) == ("int x = *p; @ prog.c:7", 0, "R2 invalid mem access 'scalar'")
    assert report.instruction == "r0 = *(u64 *)(r2 +0)"


def test_refused_program_type_is_not_blamed_on_privilege(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    spec = assembler.move(0, 0).exit().spec()
    refusal = ""
    try:
        engine.load_program(spec, kind("fentry/vfs_read"), {}, owner).close()
    except UnsupportedError as error:
        refusal = str(error)
    # whether this kernel takes fentry is its own affair; when not, it must not be called a lack of privilege
    assert not refusal or "refuses programs of type tracing (fentry) with EPERM, although no capability is missing" in refusal


def test_unknown_attach_target_is_told(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    spec = assembler.move(0, 0).exit().spec()
    with pytest.raises(UnsupportedError, match="has a function 'no_such_function_at_all'"):
        engine.load_program(spec, kind("fentry/no_such_function_at_all"), {}, owner)


def test_fast_timer_does_not_starve_a_load(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    for _ in range(100_000):
        assembler.move(1, 1)
    spec = assembler.move(0, 0).exit().spec()
    ticks = []
    previous = signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        engine.load_program(spec, kind("xdp"), {}, owner).close()
        assert signal.SIGALRM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert ticks


def test_interrupt_during_a_load_is_raised(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    for _ in range(200_000):
        assembler.move(1, 1)
    spec = assembler.move(0, 0).exit().spec()
    child = 0

    def load_until_interrupted() -> None:
        nonlocal child
        child = os.fork()
        if child == 0:  # interrupts the parent while it verifies
            signal.sigtimedwait([], 0.05)
            os.kill(os.getppid(), signal.SIGINT)
            os._exit(0)
        while True:
            with engine.load_program(spec, kind("xdp"), {}, owner):
                pass

    with pytest.raises(KeyboardInterrupt):
        load_until_interrupted()
    os.waitpid(child, 0)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
