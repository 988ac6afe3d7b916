"""In the server's own process and thread: ``async def`` methods as tasks, others called on the spot.

The default for an executor whose methods all are asynchronous. A plain ``def`` runs here only if the user says so.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from ..errors import ConfigurationError
from ..executor.call import response_to
from ..executor.spec import ExecutorSpec
from ..executor.table import Endpoint, find
from ..interfaces import IDescribed, IDirect, IEngine, IEngineMaker, IExecutor
from ..maybe import MaybeDeferred
from ..message import Request
from ..outcome import Outcome, dispatch_whole
from .lifecycle import Lifecycle
from .on_loop import run_on_loop

__all__ = ["InlineEngine", "InlineEngineMaker"]


@implementer(IEngine, IDirect, IDescribed)
class InlineEngine:
    """See the module. `window` bounds the tasks under way."""

    def __init__(self, executor: IExecutor, most: int | None = None) -> None:
        self.window = most or 256
        self.executor, self.name, self.endpoints = executor, executor.name, executor.endpoints
        self._life = life = Lifecycle(executor, _call)
        self.start, self.stop, self.check = life.start, life.stop, life.check
        self.direct, self.watch = life.direct, life.watch

    @property
    def health(self) -> str:
        """See `IEngine`."""
        return self._life.health

    def describe(self) -> dict[str, object]:
        """See `IDescribed`."""
        return {"engine": "inline", "health": self.health, "window": self.window}

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        name = request.header.exec_endpoint
        endpoint: Endpoint | None = find(self.endpoints, name)
        if request.parts is not None and (endpoint is None or not endpoint.takes_parts):
            return dispatch_whole(request, self.dispatch)
        method = self._life.method(name)
        if method is None or endpoint is None:
            return response_to(request, None)
        return run_on_loop(self.name, method, request, endpoint, self._life.under_way)


def _call(function: Callable[[], object]) -> Deferred[object]:
    return succeed(None).addCallback(lambda _: function())


@implementer(IEngineMaker)
class InlineEngineMaker:
    """``engine='inline'``."""

    name = "inline"

    def make(self, executor: IExecutor, spec: ExecutorSpec) -> IEngine:
        """See `IEngineMaker`."""
        for endpoint in executor.endpoints.values():
            if endpoint.exclusive:
                raise ConfigurationError(
                    f"{executor.name}: {endpoint.name} is exclusive, which takes a thread or process of its own: leave "
                    "out engine='inline'"
                )
        return InlineEngine(executor, spec.max_concurrency)
