"""How an engine asks its executor for its health, and what it makes of the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..telemetry.printable import one_line

__all__ = ["Calls", "checkup"]

log = Logger()


class Calls:
    """The calls of one executor that are under way, and since when."""

    def __init__(self) -> None:
        self._since: dict[Any, float] = {}

    def add(self, answer: Deferred[Any]) -> None:
        """A call begins, which ends with *answer*."""
        self._since[answer] = time.monotonic()
        answer.addBoth(self._ended, answer)

    def _ended(self, outcome: Any, answer: Deferred[Any]) -> Any:
        self._since.pop(answer, None)
        return outcome

    def longest(self) -> float:
        """For how many seconds the longest of them has run."""
        first = next(iter(self._since.values()), None)
        return 0.0 if first is None else time.monotonic() - first


def checkup(
    engine: Any, ask: Callable[[], Deferred[Any]], timeout: float, longest: float, stuck_after: float | None
) -> Deferred[None]:
    """Have *engine*'s health say what comes of *ask*; a change is one line in the log.

    Where the last question is not answered yet, no other is asked.

    :param timeout: seconds for the answer.
    :param longest: for how many seconds a call of it has run.
    :param stuck_after: from how many on that is too long.
    :return: never fails.
    """
    if engine.health not in ("ready", "unhealthy") or engine.asked:
        return succeed(None)

    def answered(_: Any) -> None:
        engine.asked = False

    def well(_: Any) -> None:
        if engine.health == "unhealthy":
            engine.health = "ready"
            log.info("executor {name} is well again", name=engine.name)

    def unwell(error: BaseException | None) -> None:
        if engine.health == "ready":
            engine.health = "unhealthy"
            log.error("executor {name} is unhealthy: {wrong}", name=engine.name, wrong=one_line(error))

    if stuck_after is not None and longest > stuck_after:
        unwell(TimeoutError(f"a call has run for {longest:.0f} s"))
        return succeed(None)
    from twisted.internet import reactor  # chosen by now

    engine.asked = True
    asked = ask().addTimeout(timeout, reactor, lambda _, seconds: _too_late(seconds))
    return asked.addCallbacks(well, lambda failure: unwell(failure.value)).addBoth(answered)


def _too_late(seconds: float) -> Failure:
    return Failure(TimeoutError(f"no answer within {seconds:g} s"))
