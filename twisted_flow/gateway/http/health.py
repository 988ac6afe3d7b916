"""The health routes, as Kubernetes asks for them. They stay when others are hidden, and are open to anybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...answer import Answer
from ...document.identity import new_id
from ...errors import Unavailable
from ...readiness import Readiness
from .problem import write_problem

__all__ = ["HEALTH", "health_routes"]

HEALTH = ("/livez", "/readyz", "/startupz")
"""Whether the event loop turns; whether the flow can answer; whether it has started once (else nothing listens)."""

_FINE = Answer(b'{"status":"ok"}', "application/json")


def health_routes(readiness: Readiness) -> Mapping[str, Callable[[], Answer]]:
    """What each of them answers: 200; ``/readyz`` 503 with the names of what is not ready."""

    def fine() -> Answer:
        return _FINE

    def ready() -> Answer:
        wanting = readiness.wanting()
        if not wanting:
            return _FINE
        told = ", ".join(f"{name} is {state}" for name, state in wanting.items())
        return write_problem(Unavailable(f"not ready: {told}"), new_id())

    return dict(zip(HEALTH, (fine, ready, fine), strict=True))
