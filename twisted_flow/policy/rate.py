"""How fast an executor ends calls, measured while others wait for it."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Rate"]

_ENOUGH, _A_WHILE = 8, 1.0  # calls, or seconds, that make a measurement
_RECENT = 2.0  # seconds after which it begins anew


class Rate:
    """See the module.

    :param now: tells the time, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._since, self._ended = now(), 0
        self._rate: float | None = None
        self.sure = False
        """Whether it was measured since calls wait: what was measured before may have been other work."""

    def begin(self) -> None:
        """The first call waits: what ends from now on is counted."""
        self._since, self._ended, self.sure = self._now(), 0, False

    def ended(self) -> None:
        """A call has ended."""
        self._ended += 1
        if not self._ended % _ENOUGH:
            self._measure()

    def _measure(self) -> None:
        elapsed = self._now() - self._since
        if self._ended and elapsed > 0 and (self._ended >= _ENOUGH or elapsed >= _A_WHILE):
            self._rate, self.sure = self._ended / elapsed, True
            if elapsed >= _RECENT:
                self._since, self._ended = self._now(), 0

    def seconds_for(self, calls: int) -> float | None:
        """In how many seconds *calls* end; None: nobody knows yet."""
        self._measure()
        return None if self._rate is None else calls / self._rate
