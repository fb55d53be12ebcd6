"""What several tests of the tracer check about themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import own_children

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def no_child_is_left() -> Iterator[None]:
    """All processes that a test started have ended, and somebody waited for them."""
    before = own_children()
    yield
    assert own_children() <= before
