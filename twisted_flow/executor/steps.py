"""Generators as streams: run some steps at a time, no further ahead of who takes their parts than `AHEAD` allows."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Never

from ..document import DocumentArray
from ..document.weight import weight
from ..parts import AHEAD, Credit, cost_of
from .call import part_of

__all__ = ["AsynchronousGenerator", "PlainGenerator", "Put", "Steps", "make_parts"]

_TURN = 0.005  # seconds that steps take before something else has its turn
_SOON = 0.001  # and, on an event loop, before what was made leaves

PlainGenerator = Generator[object, Never, object]
"""What a ``def`` with a ``yield`` returns."""

AsynchronousGenerator = AsyncGenerator[object, Never]
"""What an ``async def`` with a ``yield`` returns."""

Put = Callable[[DocumentArray, int], object]
"""Takes a part that was made, and its cost."""


class Steps:
    """A generator of documents.

    :param generator: of a plain ``def``.
    :param put: takes what it makes.
    """

    def __init__(self, generator: PlainGenerator, put: Put) -> None:
        self._generator, self._put = generator, put
        self.left = AHEAD
        """The costs of the parts that may still be made; add to it what has been taken."""
        self.over = False
        """Whether it makes no more."""

    def run(self, ended: Callable[[], bool], pressed: Callable[[], bool]) -> None:
        """Run it while it may make more.

        :param ended: whether its parts are not wanted any more; then it is closed.
        :param pressed: whether something else waits for its turn.
        :raises BaseException: what it raises.
        """
        until = time.monotonic() + _TURN
        put, step = self._put, self._generator.__next__
        try:
            while self.left > 0 and not ended():
                try:
                    part = part_of(step())
                except StopIteration:
                    self.over = True
                    return
                cost = cost_of(weight(part))
                self.left -= cost
                put(part, cost)
                if pressed() or time.monotonic() > until:
                    break
        except BaseException:
            self.over = True
            self._generator.close()
            raise
        if ended():
            self.over = True
            self._generator.close()


async def make_parts(
    generator: AsynchronousGenerator,
    put: Put,
    credit: Credit,
    ended: Callable[[], bool],
    turn: Callable[[], Awaitable[object]],
    note: Callable[[Exception], object] = lambda raised: None,
) -> None:
    """Run *generator* to its end, as far ahead as *credit* lets it; in a task, which may be cancelled at any time.

    :param turn: lets others have their turn: what was made leaves meanwhile.
    :param ended: whether its parts are not wanted any more: a generator that goes on though its task was cancelled is
        closed at its next step.
    :param note: told what it raises then, which nobody waits for.
    """
    due = time.monotonic()  # the first part leaves at once, if it takes any time
    try:
        try:
            async for item in generator:
                if ended():
                    break
                part = part_of(item)
                cost = cost_of(weight(part))
                credit.left -= cost
                put(part, cost)
                if credit.left <= 0:
                    await credit.wait()
                    due = time.monotonic() + _SOON
                elif time.monotonic() > due:
                    await turn()
                    due = time.monotonic() + _SOON
        finally:
            await generator.aclose()
    except Exception as raised:
        if ended():
            note(raised)
        raise
