"""Handing parts on to where they are taken, a few ahead of who takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from .document import DocumentArray
from .document.weight import weight
from .parts import AHEAD, Parts, cost_of

__all__ = ["Pump"]


@final
class Pump:
    """See the module. Used on the reactor alone. Begin it by `more`, with 0.

    :param parts: what is pulled: its end, or failure, is the end of this. Whoever made them cancels them.
    :param put: takes a part, and its cost. What has been handed on and not taken comes to `AHEAD` at most.
    :param end: told, once, that there are no more; because of a failure, if there is one.
    """

    def __init__(
        self, parts: Parts, put: Callable[[DocumentArray, int], object], end: Callable[[Failure | None], object]
    ) -> None:
        self._parts, self._put, self._end = parts, put, end
        self._left = AHEAD
        self._busy = self._over = False

    def more(self, taken: int) -> None:
        """So much of what was handed on has been taken."""
        self._left += taken
        if not self._busy:
            self._go_on()

    def stop(self) -> None:
        """Hand on nothing more, nor the end."""
        self._over = True

    def _go_on(self) -> None:
        self._busy = True
        while self._left > 0 and not self._over:
            try:
                part = self._parts.pull()
            except Exception:
                self._failed(Failure())
                break
            if isinstance(part, Deferred):
                part.addCallbacks(self._came, self._failed)
                return
            self._take(part)
        self._busy = False

    def _came(self, part: DocumentArray | None) -> None:
        self._take(part)
        self._go_on()

    def _take(self, part: DocumentArray | None) -> None:
        if self._over:
            return
        if part is None:
            self._over = True
            self._end(None)
            return
        cost = cost_of(weight(part))
        self._left -= cost
        self._put(part, cost)

    def _failed(self, failure: Failure) -> None:
        if not self._over:
            self._over = True
            self._end(failure)
