"""Pulling streams, on the running reactor."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater

from tests.support import wait_for


async def pulled(stream: Any, most: int = 10**6) -> list[Any]:
    """The parts of *stream*, each as its texts."""
    found: list[Any] = []
    while len(found) < most:
        part = await maybeDeferred(stream.parts.pull)
        if part is None:
            break
        found.append(part.texts)
    return found


def doing(coroutine: Any) -> Any:
    return wait_for(lambda: Deferred.fromCoroutine(coroutine()))


async def until(condition: Any) -> None:
    """Wait until *condition* holds: for what happens in a thread, or a process."""
    due = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < due, "it never came true"
        await deferLater(reactor, 0.005)  # type: ignore[arg-type]
