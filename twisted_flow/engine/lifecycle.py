"""The states of an engine, and when its executor is made, warmed up, checked and closed; the same for all engines.

::

    new → starting → ready ⇄ unhealthy → stopping → stopped (→ starting …)
                 └──→ stopped, where the executor cannot be made

An engine with a child has two more: ``restarting`` and ``failed``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from inspect import iscoroutine
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import Unavailable
from ..executor.call import Call, Context
from ..executor.table import Endpoint, find
from ..generation import Generation
from ..interfaces import IExecutor
from ..loop import spawn
from ..maybe import MaybeDeferred
from ..outcome import Outcome, until_done
from ..telemetry.printable import one_line

__all__ = ["CallsUnderWay", "Lifecycle"]

log = Logger()


class CallsUnderWay:
    """The calls of one executor that are under way, and since when."""

    def __init__(self) -> None:
        self._since: dict[object, float] = {}

    def add(self, answer: MaybeDeferred[Outcome]) -> None:
        """A call begins, which ends when *answer* is over."""
        self._since[answer] = time.monotonic()
        until_done(answer, lambda: self._since.pop(answer, None))

    def longest(self) -> float:
        """For how many seconds the longest of them has run."""
        first = next(iter(self._since.values()), None)
        return 0.0 if first is None else time.monotonic() - first


class Lifecycle:
    """See the module. An engine has one, and says how its executor is reached.

    :param executor: what runs.
    :param run: calls a function where the executor runs; returns a Deferred of its result.
    :param end: called when nothing more will be run there.
    """

    def __init__(
        self,
        executor: IExecutor,
        run: Callable[[Callable[[], object]], Deferred[object]],
        end: Callable[[], object] = lambda: None,
    ) -> None:
        self.executor, self._run, self._end_run = executor, run, end
        self.name: str = executor.name
        self.endpoints: Mapping[str, Endpoint] = executor.endpoints
        self.health = "new"
        """See the module; changed by `enter` alone."""
        self.under_way = CallsUnderWay()
        self._methods: Mapping[str, Call] | None = None  # None: it is not open
        self._asked = False  # whether a question for its health is not answered yet
        self._generation = Generation()
        self.watch = self._generation.watch

    def enter(self, health: str) -> None:
        """Change the state, and end the generation: what was looked up before is looked up anew."""
        self.health = health
        self._generation.end()

    def changed(self) -> None:
        """End the generation, where something else than the state has changed."""
        self._generation.end()

    def lost(self, health: str) -> None:
        """The executor is gone, with its process."""
        self._methods = None
        self.enter(health)

    def reopened(self, methods: Mapping[str, Call]) -> None:
        """It has been made anew, and is warm."""
        self._methods = methods
        self.enter("ready")

    def start(self) -> Deferred[None]:
        """See `IEngine`."""
        self.enter("starting")
        return self._run(self.executor.open).addCallbacks(self._opened, self._not_made)

    def _opened(self, methods: Mapping[str, Call]) -> Deferred[None]:
        self._methods = methods
        return self._hook(self.executor.warm_up).addCallback(self._warm)

    def _not_made(self, failure: Failure) -> Failure:
        self._stopped(None)
        return failure

    def _warm(self, _: object) -> None:
        if self.health == "starting":  # not stopped meanwhile
            self.enter("ready")

    def _hook(self, hook: Callable[[], object]) -> Deferred[Any]:
        """The result of *hook*, called where the executor runs; an ``async def`` is awaited on the loop."""
        return self._run(hook).addCallback(_awaited)

    def stop(self) -> Deferred[None]:
        """See `IEngine`."""
        if self.health in ("new", "stopped"):
            return succeed(None)
        self.enter("stopping")
        return self._hook(self.executor.close).addBoth(self._stopped)

    def _stopped(self, outcome: object) -> object:
        self._methods = None
        self._end_run()
        self.enter("stopped")
        return outcome

    def method(self, endpoint: str) -> Call | None:
        """The function that calls *endpoint*; None if the executor has no such endpoint and documents pass through.

        :raises Unavailable: if it is not open.
        """
        if self._methods is None:
            raise Unavailable(f"executor {self.name!r} is {self.health}")
        method: Call | None = find(self._methods, endpoint)
        return method

    def direct(self, endpoint: str) -> Call | None:
        """See `IDirect`: for methods that never suspend."""
        described: Endpoint | None = find(self.endpoints, endpoint)
        if described is None or described.suspends:
            return None
        method = self.method(endpoint)
        if method is None or "context" not in described.wants:
            return method
        return lambda request, _: method(request, Context.of(request))  # each may change its own

    def check(self, timeout: float, stuck_after: float | None, longest: float | None = None) -> Deferred[None]:
        """See `IEngine`. Where the last question is not answered yet, no other is asked.

        :param longest: for how many seconds a call has run, where the engine knows better.
        """
        if self.health not in ("ready", "unhealthy") or self._asked:
            return succeed(None)
        longest = self.under_way.longest() if longest is None else longest
        if stuck_after is not None and longest > stuck_after:
            self._unwell(TimeoutError(f"a call has run for {longest:.0f} s"))
            return succeed(None)
        from twisted.internet import reactor  # chosen by now

        self._asked = True
        asked = self._hook(self.executor.check_health).addTimeout(timeout, reactor, _too_late)
        return asked.addCallbacks(self._well, lambda failure: self._unwell(failure.value)).addBoth(self._answered)

    def _answered(self, _: object) -> None:
        self._asked = False

    def _well(self, _: object) -> None:
        if self.health == "unhealthy":
            self.enter("ready")
            log.info("executor {name} is healthy again", name=self.name)

    def _unwell(self, error: BaseException | None) -> None:
        if self.health == "ready":
            self.enter("unhealthy")
            log.error("executor {name} is unhealthy: {error}", name=self.name, error=one_line(error))


def _awaited(result: object) -> object:
    return spawn(result) if iscoroutine(result) else result


def _too_late(_: object, seconds: float) -> Failure:
    return Failure(TimeoutError(f"no answer within {seconds:g} s"))
