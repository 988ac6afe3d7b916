"""What all tests share. The reactor is chosen here, before anything imports Klein."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from twisted_flow.loop import install_reactor

install_reactor()

settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("long", parent=settings.get_profile("default"), max_examples=2000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
