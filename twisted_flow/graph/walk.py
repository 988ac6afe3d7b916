"""One request on its way through forks and joins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..document import DocumentArray
from ..document.copies import copied
from ..document.merge import merge
from ..errors import FlowError
from ..maybe import MaybeDeferred
from ..message import Request, Response, Route, collecting, copied_parameters
from ..outcome import Outcome, collected, dispatch_whole
from ..telemetry.printable import forget_frames, printable
from .node import Visit
from .plan import REQUEST, Join, Plan, Stop

__all__ = ["walk"]

log = Logger()

Documents = tuple[DocumentArray, DocumentArray]
"""Documents, and what they should become."""


def walk(plan: Plan, visits: Mapping[str, Visit], request: Request) -> MaybeDeferred[Outcome]:
    """Take *request*, all of whose documents are awaited first, the way of *plan*. See `_walk`."""
    return dispatch_whole(collecting(request), partial(_walk, plan, visits))


def _walk(plan: Plan, visits: Mapping[str, Visit], request: Request) -> MaybeDeferred[Outcome]:
    """Take *request* the way of *plan*.

    Branches run side by side, each on documents of its own. Where one fails, the rest is cancelled; what nobody waits
    for may fail, and says so in the log.

    :param visits: how a node is visited, by its name.
    """
    walking = _Walk(plan, request, visits)
    walking.go_on(walking.deliver, REQUEST, (request.docs, request.groundtruths))
    outcome = walking.outcome
    if type(outcome) is Response:
        return outcome
    if outcome is not None:
        outcome.raiseException()
    walking.answer = Deferred(walking.cancel)
    return walking.answer


def _copied(documents: Documents) -> Documents:
    docs, groundtruths = documents
    return copied(docs), copied(groundtruths) if groundtruths else DocumentArray()


class _Walk:
    """The state of one walk: the documents in the inboxes of the stops that still wait for more."""

    def __init__(self, plan: Plan, request: Request, visits: Mapping[str, Visit]) -> None:
        self.plan, self.request, self.visits = plan, request, visits
        self.outcome: Response | Failure | None = None
        self.answer: Deferred[Outcome] | None = None
        """Where to say the outcome, if it was not there at once."""
        self.inboxes: list[dict[int, Documents]] = [{} for _ in plan.stops]
        self.bases: dict[int, Documents] = {}
        self.visited: dict[int, Response] = {}
        self.under_way: dict[int, Deferred[Response]] = {}
        self.over = False
        """Whether it has failed."""

    def go_on(self, step: Callable[..., None], index: int, *arguments: Any) -> None:
        """Take *step* at *index*, unless all is over; what it raises (documents cannot be copied, say) fails it."""
        if self.over:
            return
        try:
            step(index, *arguments)
        except Exception:
            self._failed(Failure(), index)

    def deliver(self, index: int, documents: Documents) -> None:
        """Hand on what a stop has made; all copies are made before the first of them is changed."""
        plan = self.plan
        takes, needed = plan.takes[index], index in plan.bases
        if needed:
            self.bases[index] = documents
        asked = len(takes) + (index == plan.end)
        given = [_copied(documents) for _ in range(asked if needed else asked - 1)]
        if not needed:
            given.append(documents)
        full = []
        for (stop, position), its in zip(takes, given, strict=False):
            inbox = self.inboxes[stop]
            inbox[position] = its
            if len(inbox) == len(plan.stops[stop].sources):
                full.append(stop)
        if index == plan.end:
            self._end(given[-1])
        for stop in full:
            self.go_on(self._arrive, stop)

    def _arrive(self, index: int) -> None:
        """Visit a stop whose inbox is complete."""
        stop = self.plan.stops[index]
        if stop.branches != "joined":
            request = self._apart(stop, index)
        else:
            documents = self._joined(stop.source, self._inbox(index, stop.order), stop)
            if stop.node is None:
                self.deliver(index, documents)
                return
            request = self._request(documents)
        response = collected(self.visits[stop.node or ""](request))
        if type(response) is Response:
            self._visited(index, response, request)
            return
        self.under_way[index] = response
        response.addCallbacks(
            lambda response: self.go_on(self._visited, index, response, request), self._failed, errbackArgs=(index,)
        )

    def _inbox(self, index: int, order: Iterable[int]) -> Iterator[Documents]:
        """What a stop takes, in *order*."""
        inbox = self.inboxes[index]
        return (inbox[position] for position in order)

    def _request(self, documents: Documents) -> Request:
        parameters = copied_parameters(self.request.parameters)
        return replace(self.request, docs=documents[0], groundtruths=documents[1], parameters=parameters)

    def _apart(self, stop: Stop, index: int) -> Request:
        """A request with the branches one by one; and joined, from copies, where both are wanted."""
        branches = list(self._inbox(index, range(len(stop.sources))))
        documents: Documents = DocumentArray(), DocumentArray()
        if stop.branches == "both":
            documents = self._joined(stop.source, map(_copied, self._inbox(index, stop.order)), stop)
        return replace(
            self._request(documents),
            docs_matrix=[each for each, _ in branches],
            groundtruths_matrix=[each for _, each in branches],
        )

    def _joined(self, source: int | Join, inbox: Iterator[Documents], stop: Stop) -> Documents:
        """What *source* comes to; its parts are taken from *inbox* one after another."""
        if isinstance(source, int):
            return next(inbox)
        base = self.bases[source.base]
        branches = [self._joined(branch, inbox, stop) for branch in source.branches]

        conflicts: list[tuple[str, str]] = []
        documents, groundtruths = zip(*branches, strict=True)
        truths = merge(base[1], groundtruths, conflicts) if any(groundtruths) else DocumentArray()
        joined = merge(base[0], documents, conflicts)
        if conflicts:
            log.warn(
                "request {id}: {field} of document {document}, and {more} more, were changed by more than one branch "
                "before {node}: keeping the branch listed first in `needs`",
                id=printable(self.request.request_id), field=printable(conflicts[0][1]),
                document=printable(conflicts[0][0]),
                more=len(conflicts) - 1, node=stop.node or "the end",
            )  # fmt: skip
        return joined, truths

    def _visited(self, index: int, response: Response, request: Request) -> None:
        self.under_way.pop(index, None)
        self.visited[index] = response
        stop = self.plan.stops[index]
        documents = (response.docs, response.groundtruths)
        if stop.branches == "apart" and response.docs is request.docs:  # it changed the branches in place
            documents = self._joined(stop.source, self._inbox(index, stop.order), stop)
        self.deliver(index, documents)

    def _failed(self, failure: Failure, index: int) -> None:
        self.under_way.pop(index, None)
        if index in self.plan.awaited:
            if isinstance(failure.value, FlowError):
                failure.value.routes = [*self._routes(), *failure.value.routes]
            self._fail(failure)
        elif not failure.check(CancelledError):
            log.error(
                "request {id}: {node}, whose answer is not awaited, failed: {error}",
                id=printable(self.request.request_id), node=self.plan.stops[index].node,
                error=printable(failure.getErrorMessage(), 1000),
            )  # fmt: skip
            forget_frames(failure.value)

    def _fail(self, failure: Failure) -> None:
        """Fail the request by the first error; later ones are ignored."""
        if self.over:
            return
        self.cancel()
        self._settle(failure)

    def cancel(self, _: Deferred[Outcome] | None = None) -> None:
        """End all that is under way."""
        self.over = True
        for response in list(self.under_way.values()):
            response.cancel()

    def _routes(self) -> list[Route]:
        """Of the nodes that have answered."""
        return [route for index in sorted(self.visited) for route in self.visited[index].routes]

    def _end(self, documents: Documents) -> None:
        routes = self._routes()
        last: Any = max(self.visited, default=None)
        response = Response(self.request, documents[0], documents[1], routes)
        if last is not None:
            response = replace(response, status=self.visited[last].status)
        self._settle(response)

    def _settle(self, outcome: Response | Failure) -> None:
        self.outcome = outcome
        if self.answer is not None:
            self.answer.callback(outcome)
