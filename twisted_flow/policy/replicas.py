"""Replicas: several engines of one executor. A call goes to the one that has the fewest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from zope.interface import implementer

from ..executor.table import Endpoint
from ..generation import Generation
from ..interfaces import IChanging, IDescribed, IEngine
from ..maybe import MaybeDeferred
from ..message import Request, Response
from ..outcome import Outcome, until_done
from .watching import watch_of

__all__ = ["Replicas", "described"]

_BEST_FIRST = ("ready", "unhealthy", "restarting", "failed", "starting", "stopping", "stopped", "new")
_SERVES = ("ready", "unhealthy")


def described(engine: IEngine) -> dict[str, object]:
    """What *engine* says of itself; its health alone, where it says nothing."""
    says = IDescribed(engine, None)
    return {"health": engine.health} if says is None else says.describe()


def _all_of(doing: Sequence[Deferred[None]]) -> Deferred[None]:
    """Wait for all, and fail as the first that failed; cancelling cancels all."""
    return DeferredList(doing, consumeErrors=True).addCallback(_first_failure)


def _first_failure(results: list[tuple[bool, Any]]) -> Any:
    return next((failure for well, failure in results if not well), None)


@implementer(IEngine, IChanging, IDescribed)
class Replicas:
    """See the module. Each has its own object, process or thread; the window is that of all that serve.

    :param engines: of the same executor, one at least.
    """

    def __init__(self, engines: Sequence[IEngine]) -> None:
        self.engines = list(engines)
        self.name: str = engines[0].name
        self.endpoints: Mapping[str, Endpoint] = engines[0].endpoints
        self._under_way = [0] * len(self.engines)
        self._turn = 0
        self._generation = Generation()
        self.watch = self._generation.watch
        for engine in self.engines:
            watch_of(engine)(self._generation.end)

    @property
    def health(self) -> str:
        """The best of theirs: a set is ready while one of it is."""
        return min([str(engine.health) for engine in self.engines], key=_BEST_FIRST.index)

    @property
    def window(self) -> int:
        """Of those that serve; 0 while none does, and one restarts."""
        serving = [engine.window for engine in self.engines if engine.health in _SERVES]
        return sum(serving) if serving else int(self.health != "restarting")

    def start(self) -> Deferred[None]:
        """Start all at once. See `IEngine`."""
        return _all_of([engine.start() for engine in self.engines])

    def stop(self) -> Deferred[None]:
        """Stop all at once. See `IEngine`."""
        return _all_of([engine.stop() for engine in self.engines])

    def check(self, timeout: float, stuck_after: float | None) -> Deferred[None]:
        """Ask each. See `IEngine`."""
        return _all_of([engine.check(timeout, stuck_after) for engine in self.engines])

    def describe(self) -> dict[str, object]:
        """See `IDescribed`."""
        copies = [
            {**described(engine), "under_way": busy} for engine, busy in zip(self.engines, self._under_way, strict=True)
        ]
        return {"health": self.health, "window": self.window, "copies": copies}

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        number = self._least_busy()
        outcome: MaybeDeferred[Outcome] = self.engines[number].dispatch(request)
        if type(outcome) is not Response:
            self._under_way[number] += 1
            until_done(outcome, self._release(number))
        return outcome

    def _least_busy(self) -> int:
        """The number of the healthy one with the fewest calls; of several alike each has its turn."""
        self._turn = (self._turn + 1) % len(self.engines)

        def rank(number: int) -> tuple[bool, bool, int, int, int]:
            engine = self.engines[number]
            busy = self._under_way[number]
            return (
                engine.health not in _SERVES,
                busy >= engine.window,
                _BEST_FIRST.index(engine.health),
                busy,
                (number - self._turn) % len(self.engines),
            )

        return min(range(len(self.engines)), key=rank)

    def _release(self, number: int) -> Callable[[], None]:
        def release() -> None:
            self._under_way[number] -= 1

        return release
