"""Calls from threads to the reactor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.logger import Logger

from .reactor import asyncio_loop

__all__ = ["from_thread", "next_turn"]

log = Logger()


class _Errands:
    """Calls that threads want made on the reactor, which is woken once for many: that costs more than most calls."""

    def __init__(self, wake: Callable[..., object]) -> None:
        self._wake = wake
        self._calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._woken = False

    def __call__(self, function: Callable[..., object], *arguments: object) -> None:
        self._calls.append((function, arguments))
        if not self._woken:
            self._woken = True
            self._wake(self._run)

    def _run(self) -> None:
        self._woken = False  # before the first: what comes from now on wakes again
        while self._calls:
            function, arguments = self._calls.popleft()
            try:
                function(*arguments)
            except Exception:
                log.failure("a call from a thread failed")


def from_thread() -> Callable[..., object]:
    """What a thread calls, with a function and its arguments, to have it called on the reactor, in order."""
    loop = asyncio_loop()
    if loop is not None:
        return _Errands(loop.call_soon_threadsafe)  # the reactor's own way goes through a timer
    from twisted.internet import reactor  # chosen by now

    return _Errands(reactor.callFromThread)  # type: ignore[attr-defined]


def next_turn() -> Callable[[Callable[[], object]], object]:
    """What has a function called in the next turn of the reactor."""
    loop = asyncio_loop()
    if loop is not None:
        return loop.call_soon
    from twisted.internet import reactor

    return lambda function: reactor.callLater(0, function)
