"""Probes agree with the kernel: a feature that is older than this kernel may not come out as missing without a reason."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from skep.engine.kernel import features
from skep.engine.probing import NO, YES
from skep.object.kinds import MAP_TYPES, PROGRAM_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.engine.probing import Feature

pytestmark = pytest.mark.kernel

# types that depend on the kernel's configuration, not only on its version
CONFIGURED = {"tracing", "lsm", "lirc_mode2", "netfilter", "xskmap", "lwt_seg6local"}


def version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int("".join(c for c in minor.partition(".")[0] if c.isdigit()))


RUNNING = version(os.uname().release)


def test_every_type_is_probed() -> None:
    assert set(features._MAP_SINCE) == set(MAP_TYPES) - {"unspec"}
    assert set(features._PROGRAM_SINCE) == set(PROGRAM_TYPES) - {"unspec"}


@pytest.mark.parametrize("probe", [features.probe_map_types, features.probe_program_types])
def test_types_older_than_this_kernel_are_there_and_newer_ones_are_not(
    probe: Callable[[], list[Feature]],
) -> None:
    for feature in probe():
        name = feature.name.split()[-1]
        if version(feature.since) > RUNNING:
            assert feature.state != YES, feature
        elif name not in CONFIGURED and name not in ("struct_ops", "ext"):
            assert feature.state == YES, feature
        assert feature.state == YES or feature.reason, feature


def test_features_older_than_this_kernel_are_there_or_say_why_not() -> None:
    found = {feature.name: feature for feature in features.probe_features()}
    for name in ("privilege for bpf", "kernel BTF", "tracefs", "bounded loops", "bpf_loop", "batch calls for maps",
                 "data sections", "ring buffer helpers", "bpf link for perf events", "syscall tracepoints"):  # fmt: skip
        assert found[name].state == YES, found[name]
    for feature in found.values():
        assert feature.state == YES or feature.reason, feature
        assert feature.state != NO or feature.fix, feature
