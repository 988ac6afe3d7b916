"""When a crashed process is started again: with growing delays, and when it counts as failed."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

__all__ = ["Restarts"]

_FIRST, _FACTOR, _MOST, _JITTER = 0.5, 2.0, 30.0, 0.2  # seconds between the crash and the next start
_TOO_OFTEN, _WHILE = 5, 60.0  # crashes within so many seconds


class Restarts:
    """The crashes of one process. It has failed after five within a minute, until a start succeeds.

    :param spread: a random number from 0 to 1, for the jitter.
    """

    def __init__(self, spread: Callable[[], float] = random.random) -> None:
        self._spread = spread
        self._crashes: deque[float] = deque(maxlen=_TOO_OFTEN)
        self._in_a_row = 0
        self.failed = False
        self.number = 0
        """Of all crashes."""

    def crashed(self, now: float) -> float:
        """Note a crash, or a start that did not succeed; return the seconds until the next start.

        :param now: in seconds of a monotonic clock.
        """
        if self._crashes and now - self._crashes[-1] > _WHILE + _MOST:
            self._in_a_row = 0
        self._crashes.append(now)
        self.number += 1
        self._in_a_row += 1
        if len(self._crashes) == _TOO_OFTEN and now - self._crashes[0] <= _WHILE:
            self.failed = True
        delay = _MOST if self.failed else min(_FIRST * _FACTOR ** (self._in_a_row - 1), _MOST)
        return delay * (1 + _JITTER * (2 * self._spread() - 1))

    def started(self) -> None:
        """Note that a start has succeeded."""
        self.failed = False
