"""What all tests share. The reactor is chosen here, before anything imports Klein."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from twisted_flow.loop import install_reactor

install_reactor()

from tests.support import Server  # noqa: E402 (it imports what chooses a reactor)

settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("long", parent=settings.get_profile("default"), max_examples=2000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(autouse=True)
def no_server_is_left() -> Iterator[None]:
    """End the servers that a test has started and, as it failed, has not ended."""
    before = len(Server.started)
    yield
    for server in Server.started[before:]:
        if server.process.poll() is None:
            server.process.kill()
            server.wait()
    del Server.started[before:]
