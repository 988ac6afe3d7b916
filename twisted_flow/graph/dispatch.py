"""Walking a request through the flow's executors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from msgspec.structs import replace
from zope.interface import implementer

from ..document.identity import new_id
from ..executor.table import Endpoint, find
from ..interfaces import IDispatcher
from ..message import Request, Response, Route
from ..ready import MaybeDeferred
from .graph import GATEWAY, NodeConfig
from .plan import Branches, plan
from .target import named
from .walk import Visit, walk

__all__ = ["FlowDispatcher", "Node"]

_now, _UTC = datetime.now, UTC
_REMEMBERED, _SHORT = 1000, 500  # ways that are kept, and characters that name each; all others are made anew


class Node:
    """One executor of a flow.

    :param name: the executor's.
    :param endpoints: what it answers.
    :param dispatcher: how to have it answer.
    """

    def __init__(self, name: str, endpoints: Mapping[str, Endpoint], dispatcher: IDispatcher) -> None:
        self.name, self.endpoints = name, endpoints
        self.dispatch: Visit = dispatcher.dispatch
        self.id = new_id()


@implementer(IDispatcher)
class FlowDispatcher:
    """Takes a request through the graph; only those executors that have its endpoint, and are meant by
    ``targetPeapod``, see it.

    :param nodes: the executors.
    :param graph: how they are joined; None: one behind the other.
    """

    def __init__(self, nodes: Sequence[Node], graph: Sequence[NodeConfig] | None = None) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.graph = _chain(nodes) if graph is None else tuple(graph)
        self._ways: dict[tuple[str, str], Visit] = {}
        self._visits: dict[str, Visit] = {node.name: partial(_through, (node,)) for node in nodes}

    def dispatch(self, request: Request) -> MaybeDeferred[Response]:
        """See `IDispatcher`."""
        header = request.header
        try:
            way = self._ways[header.exec_endpoint, header.target_peapod]
        except KeyError:
            way = self._find_way(header.exec_endpoint, header.target_peapod)
        return way(request)

    def _find_way(self, endpoint: str, target: str) -> Visit:
        visited: dict[str, Branches] = {}
        meant = named(target, self.nodes)
        for name in meant:
            found = find(self.nodes[name].endpoints, endpoint)
            if found is not None:
                visited[name] = found.branches
        found_plan = plan(self.graph, visited)
        chain = found_plan.chain
        if chain is None:
            way: Visit = partial(walk, found_plan, self._visits)
        else:
            way = partial(_through, [self.nodes[name] for name in chain])
        if len(endpoint) + len(target) <= _SHORT:
            if len(self._ways) >= _REMEMBERED:
                self._ways.clear()
            self._ways[endpoint, target] = way
        return way


def _chain(nodes: Sequence[Node]) -> tuple[NodeConfig, ...]:
    before = [GATEWAY, *(node.name for node in nodes)]
    return tuple(NodeConfig(node.name, None, needs=(needed,)) for node, needed in zip(nodes, before, strict=False))


def _through(chain: Sequence[Node], request: Request) -> MaybeDeferred[Response]:
    """The response of the last one of *chain*, each of which takes what the one before it made."""
    return _go_on(iter(chain), request, None, request, [], _now(_UTC))


def _go_on(
    chain: Iterator[Node],
    request: Request,
    response: Response | None,
    asked: Request,
    routes: list[Route],
    started: datetime,
) -> MaybeDeferred[Response]:
    """Take *response*, which the last node gave to *request*, on through the rest of *chain*.

    :param asked: what was asked at first, and stays what is answered.
    :param routes: of the nodes before; those to come are added.
    :param started: when the last node was done.
    """
    for node in chain:
        if response is not None and (
            response.docs is not request.docs or response.groundtruths is not request.groundtruths
        ):  # else they were changed in place
            request = replace(request, docs=response.docs, groundtruths=response.groundtruths)
        answered: MaybeDeferred[Response] = node.dispatch(request)
        if type(answered) is not Response:
            return answered.addCallback(_arrived, node, chain, request, asked, routes, started)
        response, ended = answered, _now(_UTC)
        routes += response.routes
        routes.append(Route(node.name, node.id, started, ended))
        started = ended
    if response is None:
        return Response(asked, asked.docs, asked.groundtruths, routes)
    if response.request is asked:
        response.routes[:] = routes
        return response
    return Response(asked, response.docs, response.groundtruths, routes, response.status)


def _arrived(
    response: Response,
    node: Node,
    chain: Iterator[Node],
    request: Request,
    asked: Request,
    routes: list[Route],
    started: datetime,
) -> MaybeDeferred[Response]:
    """The same, once *node* has answered *request*."""
    ended = _now(_UTC)
    routes += response.routes
    routes.append(Route(node.name, node.id, started, ended))
    return _go_on(chain, request, response, asked, routes, ended)
