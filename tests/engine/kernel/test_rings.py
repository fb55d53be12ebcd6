"""Perf rings and ring buffers: what a program writes is in the memory that the engine maps."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from skep.engine import Hook
from skep.object.kinds import kind_for_section
from skep.object.model import MapSpec, Object

if TYPE_CHECKING:
    from conftest import Assembler, Workload

    from skep.engine import ProgramHandle
    from skep.engine.kernel import KernelEngine
    from skep.object.model import ProgramKind

pytestmark = pytest.mark.kernel


def test_perf_ring_receives_the_sample_of_its_cpu(
    engine: KernelEngine, owner: Object, assembler: Assembler, workload: Workload
) -> None:
    # bpf_perf_event_output(ctx, events, BPF_F_CURRENT_CPU, &value, 8) with value = pid << 32 | magic
    assembler.copy(6, 1).call(14).raw(0x77, 0, immediate=32).raw(0x67, 0, immediate=32).raw(0x47, 0, immediate=0x5E9)
    assembler.raw(0x7B, 10, 0, -8).copy(1, 6).map(2, "events").raw(0x18, 3, immediate=-1).raw(0)
    assembler.copy(4, 10).add(4, -8).move(5, 8).call(25).move(0, 0).exit()
    spec = assembler.spec("output")
    loaded: list[ProgramHandle] = []
    with engine.create_map(MapSpec("events", 4, 4, 4, 0)) as events:
        rings = [engine.open_perf_ring(events, cpu, 2) for cpu in engine.online_cpus]

        def load(kind: ProgramKind) -> ProgramHandle:
            loaded.append(engine.load_program(spec, kind, {"events": events}, owner))
            return loaded[-1]

        with engine.attach(Hook("raw_tracepoint", "sched_process_exec"), load):
            pid = workload.run("true")
        wanted = struct.pack("=Q", pid << 32 | 0x5E9)
        found = 0
        for ring in rings:
            head, _, offset, size = struct.unpack_from("=QQQQ", ring.memory, 1024)
            assert (offset, size) == (4096, 8192)
            found += ring.memory[offset : offset + min(head, size)].count(wanted)
            ring.close()
        assert found == 1
    for program in loaded:
        program.close()


def test_perf_ring_wants_a_power_of_two_of_pages(engine: KernelEngine) -> None:
    with (
        engine.create_map(MapSpec("events", 4, 4, 4, 0)) as events,
        pytest.raises(ValueError, match="power of two of pages, not 3"),
    ):
        engine.open_perf_ring(events, 0, 3)


def test_perf_ring_that_cannot_be_put_into_the_map_is_closed(engine: KernelEngine) -> None:
    # the leak check of conftest.py is the assertion; CPU 1 has no slot in a map of one
    if engine.possible_cpus < 2:
        pytest.skip("needs two CPUs")
    with engine.create_map(MapSpec("events", 4, 4, 4, 1)) as events, pytest.raises(IndexError, match="index 1 is out of range"):
        engine.open_perf_ring(events, 1, 1)


def test_ring_buffer_record_is_in_the_mapped_data(engine: KernelEngine, owner: Object, assembler: Assembler) -> None:
    # bpf_ringbuf_output(ring, &value, 8, 0)
    assembler.raw(0x7A, 10, offset=-8, immediate=0x5E9).copy(2, 10).add(2, -8).map(1, "ring").move(3, 8).move(4, 0).call(130)
    spec = assembler.move(0, 0).exit().spec()
    kind = kind_for_section("xdp")
    assert kind is not None
    with (
        engine.create_map(MapSpec("ring", 27, 0, 0, 5000)) as map,
        engine.load_program(spec, kind, {"ring": map}, owner) as program,
    ):
        ring = engine.map_ring(map)
        assert ring.size == 8192
        program.test_run(bytes(60))
        (produced,) = struct.unpack_from("=Q", ring.data, 0)
        assert produced == 16
        assert struct.unpack_from("=IIQ", ring.data, 4096) == (8, struct.unpack_from("=I", ring.data, 4100)[0], 0x5E9)
        ring.consumer[:8] = struct.pack("=Q", produced)
        ring.close()
