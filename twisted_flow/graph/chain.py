"""One request through executors that stand one behind the other."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from msgspec.structs import replace

from ..document import Document
from ..executor.at_once import at_once_in
from ..executor.call import Call, Context, documents_of, error_of
from ..maybe import MaybeDeferred
from ..message import Request, Response, Route
from .node import Node, Visit

__all__ = ["chain_of"]

_now, _UTC = datetime.now, UTC


def chain_of(nodes: Sequence[Node], endpoint: str) -> Visit:
    """How *nodes* answer *endpoint*, each of which takes what the one before it made.

    :raises Unavailable: if one of them is not open.
    """
    calls = [(node.name, node.id, call) for node in nodes if (call := node.at_once(endpoint)) is not None]
    return partial(_in_one_go, calls) if len(calls) == len(nodes) else partial(_one_by_one, nodes)


_Calls = Sequence[tuple[str, str, Call]]


def _in_one_go(calls: _Calls, asked: Request) -> Response:
    """Where none of them ever waits: to start and to end a coroutine for each takes longer than most of them run."""
    routes: list[Route] = []
    try:
        request = at_once_in(partial(_run, calls, asked, routes))
        while len(routes) < len(calls):  # context variables were set: the others get a context without them
            request = at_once_in(partial(_run, calls[len(routes) :], request, routes))
    except (RuntimeError, GeneratorExit) as wrong:  # of those that wait after all, or raise what ends a generator
        error = error_of(wrong, calls[len(routes)][0])
    else:
        return Response(asked, request.docs, request.groundtruths, routes)
    raise error


async def _run(calls: _Calls, request: Request, routes: list[Route], variables: contextvars.Context) -> Request:
    """Have *calls* answer one after another, until there are no more, or *variables* are set; routes tell how far.

    :return: what the last of them made, as a request to the next one.
    """
    started = _now(_UTC)
    context = Context(request.request_id, request.deadline)
    for name, node_id, call in calls:
        try:
            result = await call(request, context)
            if result is None:  # the most frequent of all: they were changed in place, and may be something else now
                for document in request.docs:
                    if type(document) is not Document:
                        documents_of(request, result)  # which says what is wrong
            elif (docs := documents_of(request, result)) is not request.docs:
                request = replace(request, docs=docs)
        except GeneratorExit:  # it has waited, and is not waited for
            raise
        except BaseException as wrong:  # SystemExit of a user's method is the user's mistake too
            error = error_of(wrong, name)
            break
        ended = _now(_UTC)
        routes.append(Route(name, node_id, started, ended))
        if variables:
            return request
        started = ended
    else:
        return request
    raise error


def _one_by_one(nodes: Sequence[Node], asked: Request) -> MaybeDeferred[Response]:
    return _go_on(iter(nodes), asked, None, asked, [], _now(_UTC))


def _go_on(
    nodes: Iterator[Node],
    request: Request,
    response: Response | None,
    asked: Request,
    routes: list[Route],
    started: datetime,
) -> MaybeDeferred[Response]:
    """Take *response*, which the last node gave to *request*, on through the rest of *nodes*.

    :param asked: what was asked at first, and stays what is answered.
    :param routes: of the nodes before; those to come are added.
    :param started: when the last node was done.
    """
    for node in nodes:
        if response is not None and (
            response.docs is not request.docs or response.groundtruths is not request.groundtruths
        ):  # else they were changed in place
            request = replace(request, docs=response.docs, groundtruths=response.groundtruths)
        answered: MaybeDeferred[Response] = node.dispatch(request)
        if type(answered) is not Response:
            return answered.addCallback(_arrived, node, nodes, request, asked, routes, started)
        response, started = answered, _left(node, answered, routes, started)
    if response is None:
        return Response(asked, asked.docs, asked.groundtruths, routes)
    if response.request is asked:
        response.routes[:] = routes
        return response
    return Response(asked, response.docs, response.groundtruths, routes, response.status)


def _arrived(
    response: Response,
    node: Node,
    nodes: Iterator[Node],
    request: Request,
    asked: Request,
    routes: list[Route],
    started: datetime,
) -> MaybeDeferred[Response]:
    """The same, once *node* has answered *request*."""
    return _go_on(nodes, request, response, asked, routes, _left(node, response, routes, started))


def _left(node: Node, response: Response, routes: list[Route], started: datetime) -> datetime:
    """Note that *node* has answered: when."""
    ended = _now(_UTC)
    routes += response.routes
    routes.append(Route(node.name, node.id, started, ended))
    return ended
