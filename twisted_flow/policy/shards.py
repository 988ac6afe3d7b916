"""Shards: engines that hold a part of the data each. A call goes to any of them, or to all, by its endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred, FirstError, gatherResults, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..document import DocumentArray
from ..document.copies import copied
from ..document.merge import merge
from ..executor.requests import ANY_OTHER, DEFAULT
from ..executor.table import find
from ..interfaces import IChanging, IDescribed, IEngine
from ..maybe import MaybeDeferred
from ..message import Request, Response, collecting, copy_of
from ..outcome import Outcome, collected, dispatch_whole
from ..telemetry.printable import printable
from .replicas import Replicas, described

__all__ = ["Shards"]

log = Logger()


@implementer(IEngine, IChanging, IDescribed)
class Shards:
    """See the module.

    :param engines: the shards, one at least, in order.
    :param polling: 'any' or 'all' for each endpoint; `ANY_OTHER` stands for those that are not named.
    """

    def __init__(self, engines: Sequence[IEngine], polling: Mapping[str, str]) -> None:
        self.engines, self.polling = list(engines), polling
        self._any = inner = Replicas(engines)
        self.name, self.endpoints = inner.name, inner.endpoints
        self.start, self.stop, self.check, self.watch = inner.start, inner.stop, inner.check, inner.watch

    @property
    def health(self) -> str:
        """The best of theirs; where all are needed for an endpoint, 'unhealthy' while one does not serve."""
        best = self._any.health
        if best == "ready" and "all" in self.polling.values() and any(each.health != "ready" for each in self.engines):
            return "unhealthy"
        return best

    @property
    def window(self) -> int:
        """That of the one that takes the fewest, if a call may go to all."""
        if "all" not in self.polling.values():
            return self._any.window
        least: int = min(engine.window for engine in self.engines)
        return least

    def describe(self) -> dict[str, object]:
        """See `IDescribed`."""
        return {"health": self.health, "window": self.window, "shards": [described(each) for each in self.engines]}

    def dispatch(self, request: Request) -> MaybeDeferred[Outcome]:
        """See `IDispatcher`."""
        name = request.header.exec_endpoint
        if find(self.endpoints, name) is None or self._polled(name) == "any":
            return self._any.dispatch(request)
        if request.parts is not None:
            return dispatch_whole(request, self.dispatch)
        return self._ask_all(collecting(request))

    def _polled(self, name: str) -> str:
        named = self.polling.get(name if name in self.endpoints else DEFAULT)
        return named or self.polling.get(ANY_OTHER, "any")

    def _ask_all(self, request: Request) -> Deferred[Outcome]:
        """Each shard answers on documents of its own; the answers are joined, three-way, in the order of the shards."""
        asked = [request, *(copy_of(request) for _ in self.engines[1:])]
        before = copied(request.docs), copied(request.groundtruths)
        answers = [
            maybeDeferred(cast(Any, engine).dispatch, each).addCallback(collected)
            for engine, each in zip(self.engines, asked, strict=True)
        ]
        together: Deferred[Any] = gatherResults(answers, consumeErrors=True)
        return together.addCallbacks(
            lambda responses: self._joined(request, before, responses), lambda failure: _first(failure, answers)
        )

    def _joined(
        self, request: Request, before: tuple[DocumentArray, DocumentArray], responses: list[Response]
    ) -> Response:
        conflicts: list[tuple[str, str]] = []
        docs = merge(before[0], [response.docs for response in responses], conflicts)
        truths = [response.groundtruths for response in responses]
        groundtruths = merge(before[1], truths, conflicts) if any(truths) else request.groundtruths
        if conflicts:
            log.warn(
                "request {id}: {field} of document {document}, and {more} more, were changed by more than one shard of "
                "{name}: keeping the first shard's",
                id=printable(request.request_id), field=printable(conflicts[0][1]),
                document=printable(conflicts[0][0]), more=len(conflicts) - 1, name=self.name,
            )  # fmt: skip
        return Response(replace(request, docs=docs), docs, groundtruths, [])


def _first(failure: Failure, answers: Sequence[Deferred[Any]]) -> Failure:
    """The failure of the first shard that failed; the others need not go on."""
    for each in answers:
        each.cancel()
    error: Any = failure.value
    return cast(Failure, error.subFailure) if failure.check(FirstError) else failure
