"""Running a request through a chain of executors."""

from __future__ import annotations

import contextvars
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..document import Document, DocumentArray
from ..errors import FlowError
from ..executor.at_once import at_once_in
from ..executor.call import Call, documents_of, error_of
from ..executor.table import find
from ..maybe import MaybeDeferred
from ..message import Request, Response, ResponseStream, Route, collecting, status_of
from ..outcome import Outcome, collected, dispatch_whole, until_done
from .node import Node, Visit

__all__ = ["chain_of"]

_now, _UTC = datetime.now, UTC


def chain_of(nodes: Sequence[Node], endpoint: str) -> Visit:
    """How *nodes* answer *endpoint*, each of which takes what the one before it made. It holds for one generation.

    :raises Unavailable: if one of them is not open.
    """
    calls = [(node.name, node.id, call) for node in nodes if (call := node.direct(endpoint)) is not None]
    if len(calls) == len(nodes):
        return partial(_in_one_go, calls)
    found = [find(node.endpoints, endpoint) for node in nodes]
    return partial(_one_by_one, nodes, [each is not None and each.takes_parts for each in found])


_Calls = Sequence[tuple[str, str, Call]]


def _in_one_go(calls: _Calls, asked: Request) -> MaybeDeferred[Outcome]:
    """A chain whose methods never suspend, run by one coroutine: one for each costs more than most methods."""
    if asked.parts is not None:
        return dispatch_whole(asked, partial(_in_one_go, calls))
    routes: list[Route] = []
    try:
        request = at_once_in(partial(_run, calls, asked, routes))
        while len(routes) < len(calls):  # context variables were set: the others get a context without them
            request = at_once_in(partial(_run, calls[len(routes) :], request, routes))
    except (RuntimeError, GeneratorExit) as raised:  # of those that wait after all, or raise what ends a generator
        name, node_id, _ = calls[len(routes)]
        error = _came_by(error_of(raised, name), routes, name, node_id, _now(_UTC))
    else:
        return Response(asked, request.docs, request.groundtruths, routes)
    raise error


async def _run(calls: _Calls, request: Request, routes: list[Route], variables: contextvars.Context) -> Request:
    """Have *calls* answer one after another, until there are no more, or *variables* are set; routes tell how far.

    :return: what the last of them made, as a request to the next one.
    """
    started = _now(_UTC)
    for name, node_id, call in calls:
        try:
            result = await call(request, None)
            if result is None:  # the most frequent of all: they were changed in place, and may be something else now
                for document in request.docs:
                    if type(document) is not Document:
                        documents_of(request, result)  # which says what is wrong
            elif (docs := documents_of(request, result)) is not request.docs:
                request = replace(request, docs=docs)
        except GeneratorExit:  # it has waited, and is not waited for
            raise
        except BaseException as raised:  # SystemExit of a user's method is the user's mistake too
            error = _came_by(error_of(raised, name), routes, name, node_id, started)
            break
        ended = _now(_UTC)
        routes.append(Route(name, node_id, started, ended))
        if variables:
            return request
        started = ended
    else:
        return request
    raise error


def _came_by(error: FlowError, routes: list[Route], name: str, node_id: str, started: datetime) -> FlowError:
    """*error* of a node, with the routes that the request came by, its own last."""
    error.routes = [*routes, *error.routes, Route(name, node_id, started, _now(_UTC), status_of(error))]
    return error


def _one_by_one(nodes: Sequence[Node], takes: Sequence[bool], asked: Request) -> MaybeDeferred[Outcome]:
    if asked.parts is not None and not (takes and takes[0]):
        return dispatch_whole(asked, partial(_one_by_one, nodes, takes))
    return _Passage(nodes, takes, asked).go_on(None)


class _Passage:
    """A request on its way through nodes of which some have to be waited for.

    :param takes: which of them take parts: such a one gets those of the node before, or of the request, as they come.
    """

    __slots__ = ("asked", "nodes", "position", "request", "routes", "started", "takes")

    def __init__(self, nodes: Sequence[Node], takes: Sequence[bool], asked: Request) -> None:
        self.nodes, self.takes, self.asked = nodes, takes, asked
        """What was asked at first, and stays what is answered."""
        self.request = asked  # of the node at `position`
        self.position = -1
        self.routes: list[Route] = []
        self.started = _now(_UTC)  # when the node before was done

    def go_on(self, response: Response | None) -> MaybeDeferred[Outcome]:
        """Take *response*, which the node at `position` gave, on through the rest."""
        while True:
            if response is not None:
                self._left(response.routes)
            self.position += 1
            if self.position == len(self.nodes):
                return self._end(response)
            if response is not None and not response.in_place:
                self.request = replace(
                    self.request,
                    docs=response.docs,
                    groundtruths=response.groundtruths,
                    parameters=response.request.parameters,
                    parts=None,
                )
            parts = self.request.parts
            try:
                outcome: MaybeDeferred[Outcome] = self.nodes[self.position].dispatch(self._to_ask())
            except FlowError as error:
                if parts is not None:
                    parts.cancel()
                raised = error
                break
            if parts is not None:
                outcome = until_done(outcome, parts.cancel)  # whether or not all were taken
            if type(outcome) is not Response:
                return self._later(outcome)
            response = outcome
        raise self._failed(raised)

    def _to_ask(self) -> Request:
        """What the node at `position` is asked: for parts, if whoever gets its answer takes them."""
        position, request = self.position + 1, self.request
        if position == len(self.nodes):
            return request
        if self.takes[position]:
            return request if request.stream else replace(request, stream=True)
        return collecting(request)  # its parts would be collected here

    def _later(self, outcome: MaybeDeferred[Outcome]) -> MaybeDeferred[Outcome]:
        """Go on when *outcome* is there."""
        if type(outcome) is ResponseStream:
            return self._streaming(outcome)
        answer = cast("Deferred[Outcome]", outcome)
        return answer.addCallbacks(self._came, self._errback)

    def _came(self, outcome: Outcome) -> MaybeDeferred[Outcome]:
        return self._streaming(outcome) if type(outcome) is ResponseStream else self.go_on(outcome)

    def _streaming(self, stream: ResponseStream) -> MaybeDeferred[Outcome]:
        """Hand *stream* on, part by part, if whoever is next takes them, or ours is the answer."""
        if self.position < len(self.nodes) - 1:
            if self.takes[self.position + 1]:
                return self._handed_on(stream)
            whole = collected(stream)
            return self.go_on(whole) if type(whole) is Response else whole.addCallbacks(self._came, self._errback)
        stream.request = self.asked
        stream.parts.when_over(partial(self._stream_ended, stream))
        return stream

    def _handed_on(self, stream: ResponseStream) -> MaybeDeferred[Outcome]:
        """Have the next node take *stream* while it comes."""
        node, started = self.nodes[self.position], self.started
        stream.parts.when_over(lambda: self._note(node, stream.routes, started))
        self.started = _now(_UTC)
        self.request = replace(self.request, docs=DocumentArray(), parts=stream.parts)
        return self.go_on(None)

    def _stream_ended(self, stream: ResponseStream) -> None:
        self._left(stream.routes)
        stream.routes = self.routes

    def _left(self, routes: list[Route]) -> None:
        """Note that the node at `position` has answered, after *routes*."""
        self.started = self._note(self.nodes[self.position], routes, self.started)

    def _note(self, node: Node, routes: list[Route], started: datetime) -> datetime:
        """Note that *node* has answered, now."""
        ended = _now(_UTC)
        self.routes += routes
        self.routes.append(Route(node.name, node.id, started, ended))
        return ended

    def _errback(self, failure: Failure) -> Failure:
        if isinstance(failure.value, FlowError):
            self._failed(failure.value)
        return failure

    def _failed(self, error: FlowError) -> FlowError:
        node = self.nodes[self.position]
        return _came_by(error, self.routes, node.name, node.id, self.started)

    def _end(self, response: Response | None) -> Response:
        asked = self.asked
        if response is None:
            return Response(asked, asked.docs, asked.groundtruths, self.routes)
        if response.request is asked:
            response.routes[:] = self.routes
            return response
        if response.request.parameters is not asked.parameters:
            asked = replace(asked, parameters=response.request.parameters)  # which an executor has changed elsewhere
        return Response(asked, response.docs, response.groundtruths, self.routes, response.status)
