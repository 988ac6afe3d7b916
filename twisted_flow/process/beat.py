"""The event loop's pulse: how late it is, for who counts that, and a sign of life for systemd's watchdog."""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from .systemd import notify

__all__ = ["Beat"]

_BEAT = 0.25  # seconds


class Beat:
    """See the module.

    :param clock: of the loop.
    :param late: called for each beat, with the seconds that it was late.
    """

    def __init__(self, clock: IReactorTime, late: Callable[[float], object]) -> None:
        self._clock, self._late = clock, late
        self._beating = LoopingCall(self._beat)
        self._beating.clock = clock
        self._due = self._alive_at = 0.0
        self._alive_every = 0.0

    def start(self) -> None:
        """Begin, on the loop."""
        self._due = self._clock.seconds() + _BEAT
        self._beating.start(_BEAT, now=False)

    def feed_watchdog(self) -> None:
        """Give signs of life from now on, twice in the time that systemd waits for one (``WatchdogSec=``)."""
        if os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            said = os.environ.get("WATCHDOG_USEC", "")
            self._alive_every = int(said) / 2e6 if said.isdecimal() else 0.0

    def stop(self) -> None:
        """End; it need not have begun."""
        if self._beating.running:
            self._beating.stop()

    def _beat(self) -> None:
        now = self._clock.seconds()
        self._late(max(now - self._due, 0.0))
        self._due = now + _BEAT
        if self._alive_every and now >= self._alive_at:
            self._alive_at = now + self._alive_every - _BEAT
            notify("WATCHDOG=1")
