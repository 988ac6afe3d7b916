"""How an engine asks its executor for its health, and what it makes of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..printable import one_line

__all__ = ["checkup"]

log = Logger()


def checkup(engine: Any, ask: Callable[[], Deferred[Any]]) -> Deferred[None]:
    """Have *engine*'s health say what comes of *ask*; a change is one line in the log.

    Where the last question is not answered yet, no other is asked.

    :return: never fails.
    """
    if engine.health not in ("ready", "unhealthy") or engine.asked:
        return succeed(None)
    engine.asked = True

    def answered(_: Any) -> None:
        engine.asked = False

    def well(_: Any) -> None:
        if engine.health == "unhealthy":
            engine.health = "ready"
            log.info("executor {name} is well again", name=engine.name)

    def unwell(failure: Failure) -> None:
        if engine.health == "ready":
            engine.health = "unhealthy"
            log.error("executor {name} is unhealthy: {wrong}", name=engine.name, wrong=one_line(failure.value))

    return ask().addCallbacks(well, unwell).addBoth(answered)
