"""What the tests of buffers share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from sample import open_sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep import BPF


@pytest.fixture
def one_cpu() -> Iterator[int]:
    """This process on one CPU, the highest, so that all its events go to one ring."""
    allowed = os.sched_getaffinity(0)
    cpu = max(allowed)
    os.sched_setaffinity(0, {cpu})
    yield cpu
    os.sched_setaffinity(0, allowed)


@pytest.fixture
def bpf() -> Iterator[BPF]:
    with open_sample() as sample:
        yield sample
