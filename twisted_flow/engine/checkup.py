"""How an engine asks its executor for its health, and what it makes of the answer."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

__all__ = ["checkup"]

log = Logger()


def checkup(engine: Any, asking: Deferred[Any]) -> Deferred[None]:
    """Have *engine*'s health say what comes of *asking*; a change is one line in the log.

    :return: never fails.
    """

    def well(_: Any) -> None:
        if engine.health == "unhealthy":
            engine.health = "ready"
            log.info("executor {name} is well again", name=engine.name)

    def unwell(failure: Failure) -> None:
        if engine.health == "ready":
            engine.health = "unhealthy"
            reason = " ".join(failure.getErrorMessage().split())
            kind = getattr(failure.type, "__name__", "")
            log.error("executor {name} is unhealthy: {kind}: {reason}", name=engine.name, kind=kind, reason=reason)

    return asking.addCallbacks(well, unwell)
