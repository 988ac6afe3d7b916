"""SystemExit and KeyboardInterrupt in a coroutine: raised out of a task they would end the loop, not the task."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

__all__ = ["ExitRaised", "catch_exit"]


class ExitRaised:
    """One of the two, on its way out of a task."""

    def __init__(self, raised: BaseException) -> None:
        self.raised = raised


async def catch_exit(coroutine: Coroutine[object, object, object], request: object = None) -> Any:
    """What *coroutine* returns; an `ExitRaised` where it raised one of the two.

    :param request: what it answers, so that who looks at the stack of a task finds it there (`LoopWatch`).
    """
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as raised:
        return ExitRaised(raised)
