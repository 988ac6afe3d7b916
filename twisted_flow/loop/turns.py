"""Long work on the event loop, done in steps so that other work is not held up."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import partial
from typing import TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from . import asyncio_loop

__all__ = ["in_turns"]

T = TypeVar("T")
_TURN = 0.005  # seconds that steps take in one turn of the loop, at least one of them


def in_turns(steps: Generator[None, None, T]) -> Deferred[T]:
    """Take *steps* one after another, a few milliseconds of them in each turn of the loop: others have theirs between.

    :return: fires with what they return; fails with what they raise. Cancelling ends them.
    """
    loop = asyncio_loop()
    if loop is not None and loop.is_running():
        later: Callable[..., object] = loop.call_soon
    else:
        from twisted.internet import reactor

        later = partial(cast(IReactorTime, reactor).callLater, 0)
    result: Deferred[T] = Deferred()

    def in_another_turn(call: Callable[[], object]) -> None:
        later(later, call)  # not the next one: the answers to what has just come leave in that

    def go_on() -> None:
        due = time.monotonic() + _TURN
        try:
            while not result.called:
                next(steps)
                if time.monotonic() > due:
                    in_another_turn(go_on)
                    return
            steps.close()
        except StopIteration as end:
            if time.monotonic() > due:
                in_another_turn(partial(done, end.value))
            else:
                done(end.value)
        except Exception:
            result.errback(Failure())

    def done(value: T) -> None:
        if not result.called:  # else it was cancelled
            result.callback(value)

    in_another_turn(go_on)
    return result
