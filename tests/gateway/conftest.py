"""What all tests of gateways leave behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.websockets import OPEN, lose


@pytest.fixture(autouse=True)
def lost() -> Iterator[None]:
    """Lose what a test left open: Autobahn's timers run on the reactor."""
    yield
    while OPEN:
        lose(OPEN.pop())
